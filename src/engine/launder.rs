//! Looking for laundering, at every transfer before its own row is there: figures for rules and models, and findings for alerts.

use super::alerts::{Laundered, Proof};
use super::batch::Pending;
use super::{Engine, looks_for_typologies};
use crate::event::{Event, Record, SLOTS, Transfer};
use crate::feature::int;
use crate::graph::{Family, NodeId};
use crate::typology::Typology;
use crate::typology::laundering::{self, DEVICE, Figure, Finding, Leg, Party};

impl Engine {
    /// Looks around a transfer whose row is yet to come.
    pub(super) fn look_at_transfer(&mut self, record: &Record, event: &Event, transfer: &Transfer, nodes: &[NodeId; SLOTS], amount: i64) {
        if !looks_for_typologies(record.effort) {
            return;
        }
        let ring = &self.graph.rings[Family::Money as usize];
        let ends = [transfer.from, transfer.to.filter(|to| Some(*to) != transfer.from)];
        let party = |side: usize| match ends[side] {
            None => Party::OUTSIDE,
            Some(_) if nodes[side].is_some() => Party::of(nodes[side]),
            Some(_) => Party::NEW[side],
        };
        let ordered = transfer.user.is_some() || transfer.device.is_some();
        let leg = Leg { ordinal: ring.head().ordinal, time: event.time, amount_minor: amount, from: party(0), to: party(1), ordered };
        let around = laundering::Transfer { leg, device: nodes[DEVICE] };
        let batch = &mut self.batch;
        laundering::look(&self.graph, &mut batch.scratch, &around, &self.options.laundering, &mut batch.report);
        let width = self.layout.schema.len();
        let row = batch.features.len() - width + self.layout.laundering;
        for (column, figure) in batch.features[row..].iter_mut().zip(batch.report.figures()) {
            *column = int(*figure);
        }
        for finding in batch.report.findings() {
            let at = row + Figure::ALL.len() + (finding.typology as usize - Typology::FanIn as usize);
            batch.features[at] = u64::from(finding.score);
        }
        for number in 0..self.batch.report.findings().len() {
            let finding = self.batch.report.findings()[number];
            let threshold = self.options.alerts.laundering[finding.typology as usize - Typology::FanIn as usize];
            if finding.score >= threshold.interdict {
                self.batch.seeds.last_mut().expect("a judged event has a seed").interdicted = true;
            }
            if finding.score >= threshold.alert / 2 {
                self.note_laundering(record, &finding, leg, finding.score >= threshold.alert);
            }
        }
    }

    /// Keeps a finding with the names of what proves it; `opens`: it may open an alert, else only join one.
    fn note_laundering(&mut self, record: &Record, finding: &Finding, this: Leg, opens: bool) {
        let at = self.moment(record);
        let batch = &mut self.batch;
        let start = batch.proofs.len();
        let seed = batch.seeds.last().expect("a judged event has a seed");
        let (mut cut, mut subject) = (finding.cut, None);
        for leg in batch.report.proofs(finding) {
            let proof = match leg.ordinal == this.ordinal {
                true => Some(seed.proof),
                false => {
                    self.evidence.of(leg.ordinal).map(|(event, ends)| Proof { event, ends, amount_minor: leg.amount_minor, time: leg.time })
                }
            };
            // Too old to be named.
            let Some(proof) = proof else {
                cut = true;
                continue;
            };
            for (side, party) in [leg.from, leg.to].into_iter().enumerate() {
                if party == finding.subject {
                    subject = proof.ends[side];
                }
            }
            batch.proofs.push(proof);
        }
        let Some(subject) = subject else {
            batch.proofs.truncate(start);
            return;
        };
        let suppressed = self.lists.until(subject, self.suppressing);
        let proofs = start..batch.proofs.len();
        batch.pending.push(Pending::Laundered(batch.laundered.len() as u32, at));
        batch.laundered.push(Laundered { typology: finding.typology, score: finding.score, opens, cut, subject, proofs, suppressed });
    }
}
