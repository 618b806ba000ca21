//! Many users on one device, several of them suspicious: a farm, or identities made up.
//!
//! A family, a kiosk and a house of students share devices, too: so sharing alone is nothing, and neither is one of them whose card was
//! refused. What tells them apart is that a farm's customers are *settled*: whoever has paid with no other device lately lives on this one,
//! while members of a family have phones, and visitors of a kiosk come from elsewhere. So little suspicion is enough where most are settled,
//! and much is needed where they are not.

use super::{Different, Finding, Rows, Typology, TypologyOptions, failed, slot, suspicious};
use crate::graph::NodeId;

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
    let (mut failures, mut suspicions, mut all) = (0, 0, 0);
    if let Payer::Known(user) = payer {
        users.add(user);
    }
    for (_, row) in rows.iter() {
        let user = row.nodes[slot::USER];
        users.add(user);
        all += 1;
        failures += u32::from(failed(row));
        if suspicious(row) {
            suspects.add(user);
            suspicions += 1;
        }
        if row.flags.bad() {
            known.add(user);
        }
    }
    let newcomers = u32::from(payer == Payer::Newcomer);
    let users_len = users.len() + newcomers;
    if users_len < options.users_min {
        return None;
    }
    let proven = (known.len() >= 2 || known.len() == 1 && suspects.len() >= 3) && 2 * suspicions >= all;
    let suspected = match suspects.len() {
        0..3 => false,
        3 => failures >= 4 && 3 * failures >= 2 * all,
        _ => 2 * failures >= all,
    };
    let doubted = suspects.len() >= 2 && (known.len() >= 1 || suspicions >= 3) && 6 * suspicions >= all;
    // Only few come so far that the payments of each user are looked at.
    if !proven && !suspected && !doubted {
        return None;
    }
    let settled = |of: &Different| of.iter().filter(|user| is_settled(rows, *user, device)).count() as u32;
    let residents = settled(&users) + newcomers;
    let inhabited = residents >= options.users_min
        && 2 * residents >= users_len
        && settled(&suspects) >= 2
        && (settled(&known) >= 1 || suspicions >= 3)
        && 6 * suspicions >= all;
    let enough = proven || inhabited || suspected && residents >= 2;
    if !enough {
        return None;
    }
    let score = 400 + 120 * known.len() + 60 * suspects.len() + 10 * users_len;
    Some(rows.finding(Typology::SharedDevice, slot::DEVICE, score, |_| true))
}

/// Whether a user has paid with no other device lately.
fn is_settled(rows: &Rows<'_>, user: NodeId, device: NodeId) -> bool {
    rows.of(user).iter().all(|(_, row)| !row.nodes[slot::DEVICE].is_some() || row.nodes[slot::DEVICE] == device)
}
