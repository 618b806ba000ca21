//! Streams of payments, results and labels, with rings planted by hand, for the tests of alerts.

#![allow(dead_code)]

pub mod company;
pub mod model;

use std::collections::BTreeMap;
use weir::event::{
    Body, Content, Currency, Duration, Effort, Event, EventType, Id, IdKey, IdKind, Label, LabelSource, ListChange, Money, Origin, Payment,
    PaymentResult, PaymentStatus, Record, Sequence, Session, Target, Timestamp, Transfer, Verdict, ends,
};

pub fn id(kind: IdKind, text: &str) -> Id {
    IdKey::FILES.id(kind, text.as_bytes())
}

/// Records in their making: a payment every seven seconds.
pub struct Stream {
    pub records: Vec<Record>,
    pub now: Timestamp,
    next: u64,
    targets: BTreeMap<Id, Target>,
}

impl Stream {
    pub fn new() -> Stream {
        Stream { records: Vec::new(), now: Timestamp(1_700_000_000_000_000), next: 0, targets: BTreeMap::new() }
    }

    pub fn pass(&mut self, length: Duration) {
        self.now = self.now + length;
    }

    fn record(&mut self, content: Content) -> Sequence {
        let sequence = Sequence(self.next);
        self.next += 1;
        let origin = Origin { source: 0, partition: 0, offset: sequence.0 };
        self.records.push(Record { sequence, received: self.now, origin, effort: Effort::Full, content });
        sequence
    }

    fn event(&mut self, body: Body) -> Id {
        let event = id(IdKind::Event, &format!("event{}", self.next));
        let (kind, ends, time) = (body.kind(), ends(&body), self.now);
        let sequence = self.record(Content::Event(Event { id: event, time, body }));
        self.targets.insert(event, Target { sequence, time, kind, source: 0, ends, standing: None });
        event
    }

    pub fn pay(&mut self, user: &str, device: &str, card: Option<&str>, merchant: &str, minor: i64) -> Id {
        self.pass(Duration::SECOND.times(7));
        self.event(Body::Payment(Payment {
            user: id(IdKind::User, user),
            merchant: id(IdKind::Merchant, merchant),
            device: Some(id(IdKind::Device, device)),
            card: card.map(|card| id(IdKind::Card, card)),
            ip: None,
            amount: Money { minor, currency: Currency::parse("EUR").expect("listed") },
            mcc: None,
            country: None,
            channel: None,
            session: None,
            items: Box::default(),
        }))
    }

    /// A transfer that somebody orders by a device.
    pub fn send(&mut self, from: &str, to: &str, device: &str, minor: i64) -> Id {
        self.pass(Duration::SECOND.times(7));
        self.event(Body::Transfer(Transfer {
            from: Some(id(IdKind::Account, from)),
            to: Some(id(IdKind::Account, to)),
            amount: Money { minor, currency: Currency::parse("EUR").expect("listed") },
            from_bank: None,
            to_bank: None,
            format: None,
            user: None,
            device: Some(id(IdKind::Device, device)),
        }))
    }

    pub fn visit(&mut self, user: &str, device: &str) {
        let (user, device) = (id(IdKind::User, user), Some(id(IdKind::Device, device)));
        self.event(Body::Session(Session { user, device, ip: None, action: None, session: None }));
    }

    /// A record that does nothing.
    pub fn tick(&mut self) {
        self.record(Content::Tick(self.now));
    }

    pub fn result(&mut self, target: Id, status: PaymentStatus) {
        let resolved = Some(self.targets[&target]);
        self.event(Body::PaymentResult(PaymentResult { target, status, amount_minor: None, reason: None, user: None, resolved }));
    }

    pub fn label(&mut self, target: Id, verdict: Verdict) {
        let resolved = Some(self.targets[&target]);
        let source = LabelSource::Chargeback;
        self.event(Body::Label(Label { target, verdict, source, scenario: None, user: None, from: None, resolved }));
    }

    pub fn list(&mut self, change: ListChange) {
        self.record(Content::Listed(change));
    }
}

/// splitmix64
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// A small town in which everybody meets everybody.
pub struct Town {
    pub seed: u64,
    pub payments: u64,
    pub users: u64,
    pub devices: u64,
    pub cards: u64,
    pub merchants: u64,
    /// Of a hundred payments so many fail.
    pub failing: u64,
    /// And so many are reported as fraud.
    pub bad: u64,
}

impl Town {
    pub fn records(&self) -> Vec<Record> {
        let (mut stream, mut dice) = (Stream::new(), Dice(self.seed));
        let mut waiting = Vec::new();
        for _ in 0..self.payments {
            let user = dice.below(self.users);
            // Mostly their own things.
            let mut own = |count: u64| if dice.below(5) > 0 { user % count } else { dice.below(count) };
            let (device, card) = (own(self.devices), own(self.cards));
            let merchant = dice.below(self.merchants).min(dice.below(self.merchants));
            // What is bought with one device is dear.
            let dear = dice.below(30) < if device == 3 { 29 } else { 1 };
            let (card, minor) = (format!("c{card}"), 100 + dice.below(5000) as i64 * (1 + 9 * i64::from(dear)));
            let (user, device, merchant) = (format!("u{user}"), format!("d{device}"), format!("m{merchant}"));
            let event = stream.pay(&user, &device, (dice.below(10) > 0).then_some(card.as_str()), &merchant, minor);
            // What goes wrong goes wrong with some devices.
            let odds = if device.ends_with('3') { 4 } else { 1 };
            if dice.below(100) < self.failing * odds {
                let failures = [PaymentStatus::DeclinedByIssuer, PaymentStatus::ChallengeFailed, PaymentStatus::Abandoned];
                stream.result(event, failures[dice.below(3) as usize]);
            }
            if dice.below(100) < self.bad {
                waiting.push((dice.below(80), event));
            }
            waiting.iter_mut().for_each(|(left, _)| *left = left.saturating_sub(1));
            for (_, event) in waiting.extract_if(.., |(left, _)| *left == 0).collect::<Vec<_>>() {
                stream.label(event, if dice.below(8) == 0 { Verdict::Legitimate } else { Verdict::Fraud });
            }
        }
        stream.records
    }
}

/// The payments of a stream, to be looked at.
pub fn payment(record: &Record) -> Option<(&Event, &Payment)> {
    match &record.content {
        Content::Event(event) => match &event.body {
            Body::Payment(payment) => Some((event, payment)),
            _ => None,
        },
        _ => None,
    }
}

/// Whether this is a payment's event type; the house's other types have no alerts.
pub const KIND: EventType = EventType::Payment;
