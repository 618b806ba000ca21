//! The simulated company as records, with what its rings really were: what rings are looked for in where honest people behave as fraud does.

use super::id;
use std::collections::{BTreeMap, BTreeSet};
use weir::event::{
    Body, Content, Currency, Effort, Event, Id, IdKind, Label, Money, Origin, Payment, PaymentResult, Record, Sequence, Target, Timestamp,
    Transfer, ends,
};
use weir::sim::company::fraud::Attack;
use weir::sim::company::name::{Name, NameKind};
use weir::sim::company::occurrence::{Act, EventName, Paying, Sending};
use weir::sim::company::truth::Truth;
use weir::sim::company::{Company, Options};

/// Payments, transfers and what became of them; sessions and interactions lead to no alert.
pub struct Played {
    pub records: Vec<Record>,
    /// Payments that belong to no attack.
    pub honest: usize,
    /// All attacks.
    pub truths: Vec<Truth>,
    /// Events that belong to an attack.
    pub traced: BTreeSet<Id>,
}

/// The id of a thing of the company.
pub fn named(name: Name) -> Id {
    let kind = match name.kind {
        NameKind::User => IdKind::User,
        NameKind::Device => IdKind::Device,
        NameKind::Card => IdKind::Card,
        NameKind::Account => IdKind::Account,
        NameKind::Merchant => IdKind::Merchant,
        NameKind::Item => IdKind::Item,
        NameKind::Session => IdKind::Session,
    };
    id(kind, &name.to_string())
}

/// The id of an event of the company.
pub fn event_id(name: EventName) -> Id {
    id(IdKind::Event, &name.to_string())
}

fn money(minor: i64, currency: &str) -> Money {
    Money { minor, currency: Currency::parse(currency).expect("listed") }
}

fn payment(paying: &Paying) -> Body {
    Body::Payment(Payment {
        user: named(paying.user),
        merchant: named(paying.merchant),
        device: paying.device.map(named),
        card: paying.card.map(named),
        ip: paying.ip.map(|ip| id(IdKind::Ip, &ip.to_string())),
        amount: money(paying.amount, paying.currency),
        mcc: Some(paying.mcc),
        country: None,
        channel: None,
        session: None,
        items: Box::default(),
    })
}

fn transfer(sending: &Sending) -> Body {
    Body::Transfer(Transfer {
        from: sending.from.map(named),
        to: sending.to.map(named),
        amount: money(sending.amount, sending.currency),
        from_bank: None,
        to_bank: None,
        format: None,
        user: sending.user.map(named),
        device: sending.device.map(named),
    })
}

/// Plays so many events.
pub fn play(options: Options, events: usize) -> Played {
    let mut company = Company::new(options);
    let mut played = Played { records: Vec::new(), honest: 0, truths: Vec::new(), traced: BTreeSet::new() };
    let mut targets: BTreeMap<EventName, Target> = BTreeMap::new();
    let mut now = Timestamp(i64::MIN);
    for place in 0..events {
        let occurrence = company.next().expect("there is always something");
        if place % 4096 == 0 {
            played.truths.extend(company.drain_ended());
        }
        let body = match &occurrence.act {
            Act::Payment(paying) => payment(paying),
            Act::Transfer(sending) => transfer(sending),
            Act::PaymentResult { target, status, amount, .. } => {
                let resolved = targets.get(target).copied();
                let target = event_id(*target);
                Body::PaymentResult(PaymentResult { target, status: *status, amount_minor: *amount, reason: None, user: None, resolved })
            }
            Act::Label { target, verdict, source, .. } => {
                let resolved = targets.get(target).copied();
                let target = event_id(*target);
                let (verdict, source) = (*verdict, *source);
                Body::Label(Label { target, verdict, source, scenario: None, user: None, from: None, resolved })
            }
            _ => continue,
        };
        now = now.max(occurrence.time);
        let (event, sequence) = (event_id(occurrence.id), Sequence(played.records.len() as u64));
        let (kind, ends) = (body.kind(), ends(&body));
        if let Act::Payment(_) = &occurrence.act {
            match occurrence.trace {
                Some(_) => drop(played.traced.insert(event)),
                None => played.honest += 1,
            }
        }
        if matches!(occurrence.act, Act::Payment(_) | Act::Transfer(_)) {
            targets.insert(occurrence.id, Target { sequence, time: occurrence.time, kind, source: 0, ends, standing: None });
        }
        let origin = Origin { source: 0, partition: 0, offset: sequence.0 };
        let content = Content::Event(Event { id: event, time: occurrence.time, body });
        played.records.push(Record { sequence, received: now, origin, effort: Effort::Full, content });
    }
    played.truths.extend(company.drain_ended());
    played.truths.extend(company.under_way().cloned());
    played
}

/// The rings among attacks: several customers behind a few devices.
pub fn is_ring(truth: &Truth) -> bool {
    matches!(truth.attack, Attack::DeviceFarm | Attack::SyntheticIdentities)
}
