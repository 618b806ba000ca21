//! Deciding: what is gathered of a batch is judged, by several threads where there are, and settled in the order of its records; what comes
//! of it goes out.

use super::batch::{self, Batch, Pending, Seed};
use super::guard::{Standing, sum_of, sum_slot};
use super::{Engine, Output};
use crate::decision::{Decision, Declining, GUARDED_MAX, ListLadder, Outcome, Policy, Reason, ReasonCode, Verdict, let_through};
use crate::event::{EventType, Sequence};
use crate::typology::Kind;

/// A cause of the policy came to stand otherwise with the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardTurn {
    /// The judged event at which it did, or the record that put another policy in force.
    pub sequence: Sequence,
    /// The policy that it is of.
    pub policy: [u8; 16],
    /// The events that the cause is asked of.
    pub of: EventType,
    /// Its index in the policy; `None`: all declines of events of this type together.
    pub cause: Option<u16>,
    /// Of those that decline on suspicion of laundering nobody outside of AML hears.
    pub kind: Kind,
    pub from: Standing,
    pub to: Standing,
    /// Declines in the window, and the judged events among which they were.
    pub declines: u64,
    pub judged: u64,
}

impl GuardTurn {
    /// A cause that yielded is gone with its policy, or says something else from here on.
    pub(super) fn ended(sequence: Sequence, policy: [u8; 16], of: EventType, cause: Option<u16>, kind: Kind, from: Standing) -> GuardTurn {
        GuardTurn { sequence, policy, of, cause, kind, from, to: Standing::Trusted, declines: 0, judged: 0 }
    }
}

/// Events that one thread judges at least, where several are allowed.
const SHARE_MIN: usize = 64;

impl Engine {
    /// Asks the policy for every seed.
    pub(super) fn decide(&mut self) {
        let (policy, ladder, width) = (&self.policy, &self.ladder, self.layout.schema.len());
        let Batch { seeds, features, verdicts, .. } = &mut self.batch;
        verdicts.resize(seeds.len(), Verdict::default());
        let judge = |((seed, row), verdict): ((&Seed, &[u64]), &mut Verdict)| {
            policy.judge(seed.kind, row, verdict);
            ladder.judge(&seed.listed, policy, verdict);
        };
        match &self.pool {
            // A smaller share than this is done before another thread is awake.
            Some(pool) if seeds.len() >= 2 * SHARE_MIN => pool.install(|| {
                use rayon::prelude::*;
                seeds.par_iter().zip(features.par_chunks_exact(width)).zip(verdicts.par_iter_mut()).with_min_len(SHARE_MIN).for_each(judge);
            }),
            _ => seeds.iter().zip(features.chunks_exact(width)).zip(verdicts.iter_mut()).for_each(judge),
        }
        self.settle();
    }

    /// Has the guard look at what would be declined, and lets the control group through: in the order of the records, whatever the threads.
    ///
    /// Suspicion of laundering goes beside all else: no counter, yielding or letting through that others may hear of hangs on it.
    fn settle(&mut self) {
        let Engine { guard, turns, policy, before, heirs, provenance, ladder, layout, batch, .. } = self;
        let before = before.as_ref().map(|before| &*before.policy);
        let Batch { seeds, features, verdicts, .. } = batch;
        let lane_of = |slot: usize| sum_of(slot).map_or_else(|| lane(policy.guarded_type(slot)), |(lane, _)| lane);
        for ((seed, row), verdict) in seeds.iter().zip(features.chunks_exact(layout.schema.len())).zip(verdicts) {
            let sight = &seed.sight;
            guard.judged(sight, lane_of);
            let declines = |outcome: Outcome, exempt: bool| outcome == Outcome::Decline && !exempt;
            // By whether it is on suspicion.
            let declined = [verdict.outcome, verdict.suspicion.outcome].map(|outcome| declines(outcome, verdict.exempt));
            let mut yields = false;
            if declined != [false; 2] {
                for slot in slots(&verdict.declining) {
                    let suspects = policy.suspects(slot);
                    if !declined[usize::from(suspects)] {
                        continue;
                    }
                    let to = match heirs[slot / 64] >> (slot % 64) & 1 {
                        0 => Standing::YieldsToChallenge,
                        _ => Standing::YieldsToPredecessor,
                    };
                    yields |= guard.declined(slot, sum_slot(sight.lane, suspects), sight, to).yields();
                }
            }
            if yields {
                policy.judge_yielding(seed.kind, row, |slot| guard.standing(slot).into(), before, verdict);
                ladder.judge(&seed.listed, policy, verdict);
            }
            let mut sum_yields = |suspects: bool| {
                let sum = sum_slot(sight.lane, suspects);
                guard.declined(sum, sum, sight, Standing::YieldsToChallenge).yields()
            };
            if declined[0] && verdict.outcome == Outcome::Decline && sum_yields(false) {
                policy.lighten(milder(seed, row, before, ladder, |verdict| verdict.outcome), verdict);
                verdict.sum_yielded = true;
            }
            let suspicion = &mut verdict.suspicion;
            if declined[1] && suspicion.outcome == Outcome::Decline && sum_yields(true) {
                policy.lighten_suspicion(milder(seed, row, before, ladder, |verdict| verdict.suspicion.outcome), suspicion);
                suspicion.sum_yielded = true;
            }
            if !declined[0] {
                guard.ordinary(sight);
            }
            for turn in guard.turns() {
                let cause = (turn.slot < GUARDED_MAX).then(|| policy.guarded()[turn.slot]);
                turns.push(GuardTurn {
                    sequence: seed.sequence,
                    policy: provenance.policy,
                    of: seed.kind,
                    cause,
                    kind: kind(sum_of(turn.slot).map_or_else(|| policy.suspects(turn.slot), |(_, suspects)| suspects)),
                    from: turn.from,
                    to: turn.to,
                    declines: turn.declines,
                    judged: turn.judged,
                });
            }
            guard.clear_turns();
            verdict.suspicion.no_number = seed.no_number;
            if seed.interdicted {
                let reason = Reason { code: ReasonCode::TypologyLaundering, cause: 0, weight: 0, value: 0 };
                verdict.suspicion.outcome = verdict.suspicion.outcome.max(Outcome::Review);
                verdict.suspicion.reasons.insert(reason);
            }
            let_through(seed.event, policy.control_share(), verdict);
        }
    }

    /// How causes came to stand otherwise with the guard in the last step, in order.
    pub fn guard_turns(&self) -> &[GuardTurn] {
        &self.turns
    }

    /// Gives the outputs in the order of their records: first what answers, then what it leads to.
    pub(super) fn emit(&mut self, out: &mut Vec<Output>) {
        let Batch { seeds, scores, verdicts, pending, alerts, alerts_end, .. } = &mut self.batch;
        let (mut alerts, mut told) = (alerts.drain(..), 0);
        for (pending, end) in pending.iter().zip(alerts_end) {
            match pending {
                Pending::Rejected(rejected) => out.push(Output::Rejected(*rejected)),
                Pending::StandIn(sequence, answered) => {
                    out.push(Output::Decision(Decision::stand_in(*sequence, answered, self.provenance)));
                }
                Pending::Judgement(seed) => {
                    let seed = *seed as usize;
                    let score = scores.get(seed).and_then(Option::as_ref);
                    out.push(Output::Decision(batch::decision(&seeds[seed], &verdicts[seed], score, &self.provenance)));
                }
                Pending::Found(..) | Pending::Laundered(..) | Pending::Suppressed(..) => {}
            }
            out.extend(alerts.by_ref().take((*end - told) as usize).map(Output::Alert));
            told = *end;
        }
    }
}

/// The kind of what follows from a cause.
pub(super) fn kind(suspects: bool) -> Kind {
    if suspects { Kind::Aml } else { Kind::Fraud }
}

/// What becomes of an event while all declines yield: what the policy before says, on suspicion or else, short of a decline.
fn milder(seed: &Seed, row: &[u64], before: Option<&Policy>, ladder: &ListLadder, says: impl Fn(&Verdict) -> Outcome) -> Outcome {
    let mut verdict = Verdict::default();
    let Some(before) = before else { return Outcome::Challenge };
    before.judge(seed.kind, row, &mut verdict);
    ladder.judge(&seed.listed, before, &mut verdict);
    if says(&verdict) == Outcome::Decline { Outcome::Challenge } else { says(&verdict) }
}

/// The guard's lane of judged events of this type.
pub(super) fn lane(kind: EventType) -> u8 {
    u8::from(kind == EventType::Transfer)
}

/// The slots whose bits are set.
fn slots(bits: &Declining) -> impl Iterator<Item = usize> {
    let of = |(at, word): (usize, &u64)| {
        let mut left = *word;
        std::iter::from_fn(move || {
            let bit = left.trailing_zeros() as usize;
            left &= left.checked_sub(1)?;
            Some(at * 64 + bit)
        })
    };
    bits.iter().enumerate().flat_map(of)
}
