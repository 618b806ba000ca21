//! Many users on one device, several of them suspicious: a farm, or identities made up.
//!
//! A family, a kiosk and a house of students share devices, too: so sharing alone is nothing, and neither is one of them whose card was
//! refused. There must be fraud known of two users, or of one while three are suspicious and a quarter of the rows; without any that is known,
//! half of the rows must have failed, at four users, or two thirds and four, at three.

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
    if !rows.iter().any(|(_, row)| suspicious(row)) {
        return None;
    }
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
    let proven = known.len() >= 2 || known.len() == 1 && suspects.len() >= 3 && 4 * suspicions >= all;
    let suspected = match suspects.len() {
        0..3 => false,
        3 => failures >= 4 && 3 * failures >= 2 * all,
        _ => 2 * failures >= all,
    };
    let users = users.len() + u32::from(payer == Payer::Newcomer);
    if users < options.users_min || !proven && !suspected {
        return None;
    }
    let score = 400 + 120 * known.len() + 60 * suspects.len() + 10 * users;
    Some(rows.finding(Typology::SharedDevice, slot::DEVICE, score, |_| true))
}
