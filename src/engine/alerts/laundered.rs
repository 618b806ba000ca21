//! Alerts of laundering: what its typologies find, gathered into one alert a scheme.
//!
//! Whoever takes part in a scheme leads to its alert, so that the next finding around any of its accounts makes that one grow; where it
//! leads to several, the oldest takes the others in. Its book is not that of fraud.

use super::evidence::Proof;
use super::table::head;
use super::{Alert, Alerts, Member, Moment, Subject};
use crate::event::{Id, IdKind, Timestamp};
use crate::typology::Typology;
use std::ops::Range;

/// A finding of laundering, with the name of its subject.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Laundered {
    pub typology: Typology,
    pub score: u16,
    /// Whether it opens an alert; a weaker finding only joins one that its subject leads to.
    pub opens: bool,
    pub cut: bool,
    /// An account.
    pub subject: Id,
    /// The proofs among the batch's, oldest first.
    pub proofs: Range<usize>,
    /// Its subject is suppressed while stream time lies before this.
    pub suppressed: Timestamp,
}

impl Alerts {
    /// A typology of laundering found something; `proofs` are its own.
    pub(in crate::engine) fn laundered(&mut self, at: &Moment, found: &Laundered, proofs: &[Proof], out: &mut Vec<Alert>) {
        let accounts = || proofs.iter().flat_map(|proof| proof.ends[..2].iter().copied().flatten());
        let mut home: Option<usize> = None;
        if !found.opens && self.table.index.lead(found.subject).is_none() {
            return;
        }
        for id in std::iter::once(found.subject).chain(accounts().filter(|_| found.opens)) {
            let Some(lead) = self.table.index.lead(id) else { continue };
            home = Some(match home {
                Some(home) if home != lead.slot => self.merge(home, lead.slot, at, out),
                _ => lead.slot,
            });
        }
        let slot = match home {
            Some(slot) => slot,
            None => {
                let subject = Subject::Entity(IdKind::Account, found.subject);
                let Some(slot) = self.open(at, subject, found.typology, out) else { return };
                self.table.set(slot, head::SUPPRESSED, found.suppressed.0 as u64);
                slot
            }
        };
        self.rate(slot, found.typology, found.score, found.cut);
        for proof in proofs {
            if self.table.count(slot, proof, found.typology.edge()) {
                self.table.set(slot, head::GROWN, at.now.0 as u64);
            }
        }
        for id in accounts() {
            self.table.add_member(slot, Member { kind: IdKind::Account, id }, true, false);
        }
        self.tell(slot, at, out);
    }
}
