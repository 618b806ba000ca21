//! The newest judgements that did not approve: what a person may have to look at.

use crate::decision::{Decision, Outcome};
use crate::event::{Body, Event, Id, Money};
use std::collections::VecDeque;
use std::sync::Mutex;

/// How many are kept.
const NEWS_MAX: usize = 64;

/// A judgement that did not approve, with what it is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Item {
    pub(super) decision: Decision,
    pub(super) amount: Money,
    /// Who pays and who is paid.
    pub(super) parties: [Option<Id>; 2],
}

/// The newest of them. The judge writes, pages read; nothing here grows.
pub(in crate::runtime) struct News(Mutex<VecDeque<Item>>);

impl News {
    pub(super) fn new() -> News {
        News(Mutex::new(VecDeque::with_capacity(NEWS_MAX)))
    }

    /// Keeps `decision` about `event` unless it approves.
    pub(super) fn note(&self, event: &Event, decision: &Decision) {
        if decision.outcome == Outcome::Approve {
            return;
        }
        let (amount, parties) = match &event.body {
            Body::Payment(payment) => (payment.amount, [Some(payment.user), Some(payment.merchant)]),
            Body::Transfer(transfer) => (transfer.amount, [transfer.from, transfer.to]),
            _ => return,
        };
        let mut items = self.0.lock().expect("nobody panics with it");
        if items.len() == NEWS_MAX {
            items.pop_back();
        }
        items.push_front(Item { decision: *decision, amount, parties });
    }

    /// At most `limit` of them, the newest first.
    pub(super) fn newest(&self, limit: usize) -> Vec<Item> {
        self.0.lock().expect("nobody panics with it").iter().take(limit).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{NEWS_MAX, News};
    use crate::decision::{Decision, Outcome, Provenance};
    use crate::event::{Answered, EventType, IdKey, IdKind, Sequence, StandInWhy, Timestamp};
    use crate::ingress::Reading;
    use crate::ingress::wire::parse_event;
    use crate::runtime::naming::Told;

    fn judged(number: u64, outcome: Outcome) -> Decision {
        let id = IdKey::FILES.id(IdKind::Event, number.to_string().as_bytes());
        let (kind, time, why) = (EventType::Payment, Timestamp(0), StandInWhy::Deadline);
        let answered = Answered { event: id, fingerprint: 0, kind, key: id, time, revision: 1, outcome: outcome as u8, why };
        Decision::stand_in(Sequence(number), &answered, Provenance::default())
    }

    #[test]
    fn the_newest_that_did_not_approve_are_kept() {
        let json = br#"{"id":"p","type":"payment","time":"2026-01-01T00:00:00Z","user":"u","merchant":"m","amount":5,"currency":"EUR"}"#;
        let event = parse_event(json, &mut Reading::new(IdKey::FILES, 64), &mut Told::default()).expect("a payment");
        let news = News::new();
        for number in 0..3 * NEWS_MAX as u64 {
            news.note(&event, &judged(number, Outcome::ALL[number as usize % 4]));
        }
        let found: Vec<u64> = news.newest(1000).iter().map(|item| item.decision.sequence.0).collect();
        assert_eq!(found.len(), NEWS_MAX);
        assert_eq!(found[..4], [191, 190, 189, 187], "the newest first, none of those that approved");
        assert_eq!(news.newest(2).len(), 2);
    }
}
