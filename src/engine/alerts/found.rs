//! What typologies find, with the names of what proves it.

use super::evidence::Proof;
use crate::event::{Id, IdKind, Sequence, Timestamp};
use crate::graph::RECENT;
use crate::typology::Typology;

/// The record at which something happens to alerts.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Moment {
    pub sequence: Sequence,
    pub received: Timestamp,
    /// Stream time.
    pub now: Timestamp,
}

/// A finding with the names of what proves it.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Found {
    pub typology: Typology,
    pub score: u16,
    pub cut: bool,
    pub subject: Id,
    pub kind: IdKind,
    /// Its subject is suppressed while stream time lies before this.
    pub suppressed: Timestamp,
    /// Oldest first.
    proofs: [Option<Proof>; RECENT + 1],
    count: u8,
}

impl Found {
    pub(in crate::engine) fn new(typology: Typology, score: u16, cut: bool, subject: (Id, IdKind), suppressed: Timestamp) -> Found {
        Found { typology, score, cut, subject: subject.0, kind: subject.1, suppressed, proofs: [None; RECENT + 1], count: 0 }
    }

    /// Adds what is no older than what was added before.
    pub(in crate::engine) fn prove(&mut self, proof: Proof) {
        self.proofs[usize::from(self.count)] = Some(proof);
        self.count += 1;
    }

    pub(super) fn proofs(&self) -> impl Iterator<Item = &Proof> {
        self.proofs[..usize::from(self.count)].iter().flatten()
    }
}
