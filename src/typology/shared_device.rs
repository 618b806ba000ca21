//! Many users on one device, several of them suspicious: a farm, or identities made up.
//!
//! A family, a kiosk and a shop's tablet share devices, too, and some of their honest payments are refused: so sharing alone is nothing, and
//! neither are a few refused. The device's rows are *weighed*: each suspicious one for a ring, each other against it, by about how much more
//! often such a row is seen in rings than at honest places, as in a sequential test. A ring is where the weight reaches what the kind of place
//! asks for:
//!
//! - Where strangers come and go, with more users in the newest rows than half of them, honest payments are looked at without end, and chance
//!   would make a ring of them some day: most rows must be suspicious.
//! - Where few users are *settled*, having paid with no other device lately, they live on this one. It is looked at so from its first rows
//!   until there are sixteen, and little is enough; but refused payments alone are so only where some have come again, for to a new kiosk
//!   everybody comes for the first time.
//! - Elsewhere something between.
//!
//! What is known of one crook must not stain all who share a library's machine with them: but for where settled users are, half of the rows
//! must be suspicious.

use super::{Different, Finding, Rows, Typology, TypologyOptions, slot, suspicious};
use crate::graph::{NodeId, RECENT};

/// What a row says for a ring, one reported as fraud and one that failed; one that is neither says 1 against it.
const BAD: u32 = 7;
const FAILED: u32 = 3;
/// What the weight must come to where strangers come and go, where settled users are met from the first row on, and elsewhere.
const CROWD: u32 = 22;
const SETTLEMENT: u32 = 7;
const ELSEWHERE: u32 = 14;

/// Who pays with the device now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payer {
    /// Nobody: a label or a result asks.
    Nobody,
    /// Somebody whom no row knows.
    Newcomer,
    Known(NodeId),
}

/// `rows` are the device's.
pub fn shared_device(rows: &Rows<'_>, payer: Payer, options: &TypologyOptions) -> Option<Finding> {
    // Nearly every device ends here.
    let (_, doubtful) = rows.iter().find(|(_, row)| suspicious(row))?;
    let device = doubtful.nodes[slot::DEVICE];
    let (mut users, mut suspects, mut known) = (Different::new(), Different::new(), Different::new());
    let (mut evidence, mut suspicions, mut ordinary) = (0, 0, 0);
    if let Payer::Known(user) = payer {
        users.add(user);
    }
    for (_, row) in rows.iter() {
        let user = row.nodes[slot::USER];
        users.add(user);
        if row.flags.bad() {
            known.add(user);
        }
        if suspicious(row) {
            suspects.add(user);
            suspicions += 1;
            evidence += if row.flags.bad() { BAD } else { FAILED };
        } else {
            ordinary += 1;
        }
    }
    let users_len = users.len() + u32::from(payer == Payer::Newcomer);
    let is_full = rows.cut();
    let suspects_min = if known.len() > 0 && !is_full { 2 } else { 3 };
    if users_len < options.users_min || suspects.len() < suspects_min || evidence < ordinary + SETTLEMENT {
        return None;
    }
    // Only few come so far that the payments of each user are looked at.
    let asked = if is_full && users_len > RECENT as u32 / 2 { CROWD } else { ELSEWHERE };
    let is_likely = suspicions >= ordinary && evidence >= ordinary + asked;
    if !is_likely && (is_full || !is_settlement(rows, device, &users, users_len, known.len() > 0, options)) {
        return None;
    }
    let score = 400 + 120 * known.len() + 60 * suspects.len() + 10 * users_len;
    Some(rows.finding(Typology::SharedDevice, slot::DEVICE, score, |_| true))
}

/// Whether the users live on the device: enough of them, and half, are settled; where no fraud is known two of these, and a quarter of all,
/// have come again.
fn is_settlement(rows: &Rows<'_>, device: NodeId, users: &Different, users_len: u32, is_known: bool, options: &TypologyOptions) -> bool {
    let (mut settled, mut regulars) = (0, 0);
    for user in users.iter() {
        let own = rows.of(user);
        if own.iter().all(|(_, row)| !row.nodes[slot::DEVICE].is_some() || row.nodes[slot::DEVICE] == device) {
            let own_len = own.iter().count();
            settled += u32::from(own_len >= 1);
            regulars += u32::from(own_len >= 2);
        }
    }
    settled >= options.users_min && 2 * settled >= users_len && (is_known || regulars >= 2 && 4 * regulars >= users_len)
}
