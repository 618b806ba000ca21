//! Account takeover: a user known for a while pays from a device never seen with them, at a new merchant, far above what they pay.
//!
//! People have new phones and large wishes, too. So this alone opens nothing: it counts where the policy holds or declines the payment.

use super::{Finding, Rows, Typology, slot};
use crate::graph::NodeId;

/// Payments by which a user's habits are known.
const KNOWN: u32 = 8;

/// `rows` are the user's; `device` and `merchant` those of the payment, new ones among them nodes without a row, and `amount` its amount.
pub fn account_takeover(rows: &Rows<'_>, device: NodeId, merchant: NodeId, amount: i64) -> Option<Finding> {
    let (mut all, mut most) = (0, 0);
    for (_, row) in rows.iter() {
        let met = |slot: usize, node: NodeId| node.is_some() && row.nodes[slot] == node;
        if met(slot::DEVICE, device) || met(slot::MERCHANT, merchant) {
            return None;
        }
        all += 1;
        most = most.max(row.amount_minor());
    }
    if all < KNOWN || amount <= 3 * most {
        return None;
    }
    // What they paid before proves nothing but that this is new: there is no row in it.
    Some(rows.finding(Typology::AccountTakeover, slot::USER, 600, |_| false))
}
