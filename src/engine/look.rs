//! Looking for typologies, as of an event: around a payment before its own row is there, around the target of a label or a result. And what
//! comes of it, behind the decisions.

use super::Engine;
use super::alerts::{self, Acquaintances, Found, Proof, Sighting};
use super::batch::{Batch, Pending};
use crate::decision::Outcome;
use crate::event::{EventType, Id, Payment, Record, SLOTS, Target};
use crate::graph::{Family, NodeId, Recent};
use crate::typology::{self, Finding, Kind, Payer, Rows, slot};

impl Engine {
    /// Has alerts grow by what was judged and found, in the order of the records; `turned` is how many of the guard's turns were told of.
    pub(super) fn call(&mut self, mut turned: usize) {
        let Engine { alerts, suspicions, turns, batch, .. } = self;
        let Batch { seeds, verdicts, pending, found, laundered, proofs, alerts: out, alerts_end, .. } = batch;
        for pending in pending.iter() {
            match pending {
                Pending::Judgement(seed) => {
                    let number = *seed as usize;
                    let seed = &seeds[number];
                    while let Some(turn) = turns.get(turned).filter(|turn| turn.sequence == seed.sequence) {
                        match turn.kind {
                            Kind::Fraud => alerts.turned(&seed.at, turn, out),
                            Kind::Aml => suspicions.turned(&seed.at, turn, out),
                        }
                        turned += 1;
                    }
                    if seed.kind == EventType::Payment {
                        let verdict = &verdicts[number];
                        // What the guard doubts says nothing of a device.
                        if !verdict.sum_yielded && verdict.yielded.as_slice().is_empty() {
                            let held = verdict.outcome != Outcome::Approve;
                            let seen =
                                Sighting { proof: &seed.proof, acquaintances: seed.acquaintances, held, suppressed: seed.suppressed };
                            alerts.judged(&seed.at, &seen, out);
                        }
                        alerts.paid(&seed.at, &seed.proof, out);
                    }
                    alerts.tend(&seed.at, out);
                    suspicions.tend(&seed.at, out);
                }
                Pending::Found(number, seed, at) => {
                    if seed.is_none_or(|seed| alerts::holds(verdicts[seed as usize].outcome)) {
                        alerts.found(at, &found[*number as usize], out);
                    }
                }
                Pending::Laundered(number, at) => {
                    let found = &laundered[*number as usize];
                    suspicions.laundered(at, found, &proofs[found.proofs.clone()], out);
                }
                Pending::Suppressed(subject, until, at) => {
                    alerts.suppress(at, *subject, *until, out);
                    suspicions.suppress(at, *subject, *until, out);
                }
                Pending::StandIn(..) | Pending::Rejected(_) => {}
            }
            alerts_end.push(out.len() as u32);
        }
    }

    /// The record as those see it who come behind the decisions.
    pub(super) fn moment(&self, record: &Record) -> alerts::Moment {
        alerts::Moment { sequence: record.sequence, received: record.received, now: self.now }
    }

    /// Looks around a payment whose row is yet to come; `recent` are the rows of its nodes.
    pub(super) fn look_at_payment(
        &mut self,
        record: &Record,
        payment: &Payment,
        nodes: &[NodeId; SLOTS],
        recent: &[Recent; SLOTS],
        amount: i64,
    ) {
        if payment.device.is_none() {
            return;
        }
        let options = self.options.alerts.typologies;
        let rows = |at: usize| Rows::new(&self.graph, recent[at], self.now, options.window);
        let payer = if nodes[slot::USER].is_some() { Payer::Known(nodes[slot::USER]) } else { Payer::Newcomer };
        let shared = typology::shared_device(&rows(slot::DEVICE), payer, &options);
        let taken = typology::account_takeover(&rows(slot::USER), nodes[slot::DEVICE], nodes[slot::MERCHANT], amount);
        // Who is newest in the rows of the customer and of the device.
        let other = |at: usize, of: usize| {
            let (position, _) = rows(at).iter().find(|(_, row)| row.nodes[of].is_some() && row.nodes[of] != nodes[of])?;
            let (_, ends) = self.evidence.of(self.graph.rings[Family::Money as usize].ordinal(position))?;
            ends[of]
        };
        let acquaintances = Acquaintances { device: other(slot::USER, slot::DEVICE), user: other(slot::DEVICE, slot::USER) };
        let seed = self.batch.seeds.len() - 1;
        self.batch.seeds[seed].acquaintances = acquaintances;
        let proof = self.batch.seeds[seed].proof;
        for (finding, on) in [(shared, None), (taken, Some(seed as u32))] {
            if let Some(finding) = finding {
                self.note(record, &finding, &proof.ends, Some(proof), on);
            }
        }
    }

    /// Looks around a payment that failed or, where it is `known`, was reported as fraud.
    pub(super) fn look_at_target(&mut self, record: &Record, target: &Target, nodes: &[NodeId; SLOTS], known: bool) {
        let options = self.options.alerts.typologies;
        let recent = |at: usize| self.graph.recent(Family::Money, nodes[at]);
        let rows = |recent: Recent, window| Rows::new(&self.graph, recent, self.now, window);
        let [merchant, device, card] = [slot::MERCHANT, slot::DEVICE, slot::CARD].map(recent);
        let within = options.testing_window;
        let mut findings = [
            typology::shared_device(&rows(device, options.window), Payer::Nobody, &options),
            typology::stolen_card(&rows(card, options.window)),
            None,
            None,
        ];
        if known && nodes[slot::MERCHANT].is_some() {
            let of = &self.graph.nodes;
            let (bads, events) = (of.bads(nodes[slot::MERCHANT]), u32::from(of.header(nodes[slot::MERCHANT]).events()));
            findings[2] = typology::merchant_bads(&rows(merchant, options.window), bads, events, &options);
        }
        if !known {
            findings[2] = typology::card_testing(&rows(device, within), slot::DEVICE, &options);
            findings[3] = typology::card_testing(&rows(merchant, within), slot::MERCHANT, &options);
        }
        for finding in findings.into_iter().flatten() {
            self.note(record, &finding, &target.ends, None, None);
        }
    }

    /// Keeps a finding with the names of what proves it, `newest` behind all others; it waits for the outcome of the event `on`.
    fn note(&mut self, record: &Record, finding: &Finding, ends: &[Option<Id>; SLOTS], newest: Option<Proof>, on: Option<u32>) {
        let Some(subject) = alerts::entity(ends, finding.subject) else { return };
        let suppressed = self.lists.until(subject.0, self.suppressing);
        let ring = &self.graph.rings[Family::Money as usize];
        let named = |position: u32| {
            let (event, ends) = self.evidence.of(ring.ordinal(position))?;
            let row = ring.row(position);
            Some(Proof { event, ends, amount_minor: row.amount_minor(), time: row.time })
        };
        let mut found = Found::new(finding.typology, finding.score, finding.cut, subject, suppressed);
        for position in finding.positions().iter().rev() {
            match named(*position) {
                Some(proof) => found.prove(proof),
                // Too old to be named.
                None => found.cut = true,
            }
        }
        if let Some(newest) = newest {
            found.prove(newest);
        }
        self.batch.pending.push(Pending::Found(self.batch.found.len() as u32, on, self.moment(record)));
        self.batch.found.push(found);
    }
}
