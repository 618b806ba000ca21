//! Arbitrary records and outputs for property tests: every content, every event type, every field present and absent.

use crate::decision::{
    CAUSES_TOLD_MAX, CauseList, Decision, Outcome, Part, Parts, Provenance, Reason, ReasonCode, Reasons, Skip, Skips, Status, Suspicion,
    Why,
};
use crate::engine::{Alert, AlertStatus, Edge, Member, Output, Rejected, Subject};
use crate::event::*;
use crate::typology::{Kind, Typology};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

pub(crate) fn id() -> impl Strategy<Value = Id> {
    any::<u128>().prop_map(Id::from_bits)
}

fn time() -> impl Strategy<Value = Timestamp> {
    (Timestamp::MIN.0..Timestamp::MAX.0).prop_map(Timestamp)
}

fn money() -> impl Strategy<Value = Money> {
    (0..=AMOUNT_MINOR_MAX, select(vec!["EUR", "SEK", "JPY", "BHD"]))
        .prop_map(|(minor, code)| Money { minor, currency: Currency::parse(code).expect("listed") })
}

fn country() -> impl Strategy<Value = Country> {
    select(vec![Country(*b"SE"), Country(*b"DE")])
}

pub(crate) fn target() -> impl Strategy<Value = Target> {
    let ends = [of(id()), of(id()), of(id()), of(id()), of(id())];
    let standing = of((select(Verdict::ALL.to_vec()), select(LabelSource::ALL.to_vec())));
    (any::<u64>(), time(), select(EventType::ALL.to_vec()), any::<u16>(), ends, standing).prop_map(
        |(sequence, time, kind, source, ends, standing)| Target { sequence: Sequence(sequence), time, kind, source, ends, standing },
    )
}

fn payment() -> impl Strategy<Value = Body> {
    let ids = (id(), id(), of(id()), of(id()), of(id()), of(id()), of(id()));
    let items = prop::collection::vec(id(), 0..=ITEMS_MAX);
    (ids, money(), of(any::<u16>()), of(country()), items).prop_map(|(ids, amount, mcc, country, items)| {
        let (user, merchant, device, card, ip, channel, session) = ids;
        Body::Payment(Payment { user, merchant, device, card, ip, amount, mcc, country, channel, session, items: items.into() })
    })
}

fn payment_result() -> impl Strategy<Value = Body> {
    (id(), select(PaymentStatus::ALL.to_vec()), of(any::<i64>()), of(id()), of(id()), of(target())).prop_map(
        |(target, status, amount_minor, reason, user, resolved)| {
            Body::PaymentResult(PaymentResult { target, status, amount_minor, reason, user, resolved })
        },
    )
}

fn transfer() -> impl Strategy<Value = Body> {
    (of(id()), of(id()), money(), of(id()), of(id()), of(id()), of(id()), of(id())).prop_map(
        |(from, to, amount, from_bank, to_bank, format, user, device)| {
            Body::Transfer(Transfer { from, to, amount, from_bank, to_bank, format, user, device })
        },
    )
}

fn interaction() -> impl Strategy<Value = Body> {
    let ids = (id(), id(), of(id()), of(id()), of(id()), of(id()), of(id()));
    (ids, select(Action::ALL.to_vec()), of(any::<u32>()), of(0.001f32..=1.0)).prop_map(|(ids, action, dwell_ms, propensity)| {
        let (user, item, merchant, surface, session, device, experiment) = ids;
        Body::Interaction(Interaction { user, item, action, merchant, dwell_ms, surface, session, device, experiment, propensity })
    })
}

fn label() -> impl Strategy<Value = Body> {
    let verdict = (select(Verdict::ALL.to_vec()), select(LabelSource::ALL.to_vec()));
    (id(), verdict, of(id()), of(id()), of(id()), of(target())).prop_map(|(target, (verdict, source), scenario, user, from, resolved)| {
        Body::Label(Label { target, verdict, source, scenario, user, from, resolved })
    })
}

/// The trees that proptest shrinks along are large; boxed, they do not all lie on the stack at once.
pub(crate) fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        payment().boxed(),
        payment_result().boxed(),
        transfer().boxed(),
        (id(), of(id()), of(id()), of(id()), of(id())).prop_map(|(user, device, ip, action, session)| Body::Session(Session {
            user,
            device,
            ip,
            action,
            session
        })),
        interaction().boxed(),
        (id(), of(id()), of(id()), of(id()), of(money()), of(id()))
            .prop_map(|(item, merchant, category, brand, price, title)| Body::Item(Item { item, merchant, category, brand, price, title })),
        label().boxed(),
        (id(), of(id()), of(country()), of(any::<bool>()), of(select(KycRisk::ALL.to_vec()))).prop_map(
            |(user, name, country, consent_personalization, kyc_risk)| {
                Body::Profile(Profile { user, name, country, consent_personalization, kyc_risk })
            }
        ),
        id().prop_map(|user| Body::Erase(Erase { user })),
    ]
}

fn origin() -> impl Strategy<Value = Origin> {
    (any::<u16>(), any::<u32>(), any::<u64>()).prop_map(|(source, partition, offset)| Origin { source, partition, offset })
}

fn refused() -> impl Strategy<Value = Refused> {
    (select(Refusal::ALL.to_vec()), of(select(Field::ALL.to_vec()))).prop_map(|(reason, field)| Refused { reason, field })
}

fn answered() -> impl Strategy<Value = Answered> {
    let why = select(vec![StandInWhy::Deadline, StandInWhy::ColdShard]);
    (id(), any::<u64>(), select(EventType::ALL.to_vec()), id(), time(), 1u8..=2, 0u8..4, why).prop_map(
        |(event, fingerprint, kind, key, time, revision, outcome, why)| Answered {
            event,
            fingerprint,
            kind,
            key,
            time,
            revision,
            outcome,
            why,
        },
    )
}

const KINDS: [ControlKind; 5] = [ControlKind::Topology, ControlKind::Policy, ControlKind::Leader, ControlKind::Model, ControlKind::Backend];

pub(crate) fn record() -> impl Strategy<Value = Record> {
    let efforts = vec![Effort::Full, Effort::NoExplanation, Effort::NoTypologies, Effort::NoGnn, Effort::RulesOnly];
    let content = prop_oneof![
        6 => (id(), time(), body().boxed()).prop_map(|(id, time, body)| Content::Event(Event { id, time, body })).boxed(),
        1 => refused().prop_map(Content::Refused),
        1 => (select(KINDS.to_vec()), any::<[u8; 32]>())
            .prop_map(|(kind, blob)| Content::Control(Control { kind, blob })),
        1 => time().prop_map(Content::Tick),
        1 => (id(), time(), body().boxed()).prop_map(|(id, time, body)| Content::Waiting(Event { id, time, body })).boxed(),
        1 => (any::<u16>(), any::<u64>()).prop_map(|(source, behind_ms)| Content::Lag(SourceLag { source, behind_ms })),
        1 => answered().prop_map(Content::Answered),
        1 => (any::<u16>(), id(), of(time())).prop_map(|(list, id, until)| Content::Listed(ListChange { list, id, until })),
    ];
    (any::<u64>(), time(), origin(), select(efforts), content.boxed()).prop_map(|(sequence, received, origin, effort, content)| Record {
        sequence: Sequence(sequence),
        received,
        origin,
        effort,
        content,
    })
}

fn reasons() -> impl Strategy<Value = Reasons> {
    let reason = (select(ReasonCode::ALL.to_vec()), any::<u16>(), 0u16..=1000, any::<i64>())
        .prop_map(|(code, cause, weight, value)| Reason { code, cause, weight, value });
    prop::collection::vec(reason, 0..6).prop_map(|all| {
        let mut reasons = Reasons::default();
        all.into_iter().for_each(|reason| reasons.insert(reason));
        reasons
    })
}

fn skips() -> impl Strategy<Value = Skips> {
    let skip = (select(Part::ALL.to_vec()), select(Why::ALL.to_vec()), any::<i64>(), any::<i64>())
        .prop_map(|(part, why, value, window)| Skip { part, why, value, window });
    prop::collection::vec(skip, 0..14).prop_map(|all| {
        let mut skips = Skips::default();
        all.into_iter().for_each(|skip| skips.push(skip));
        skips
    })
}

fn suspicion() -> impl Strategy<Value = Suspicion> {
    let causes = || {
        prop::collection::vec(any::<u16>(), 0..=CAUSES_TOLD_MAX).prop_map(|all| {
            let mut causes = CauseList::default();
            all.into_iter().for_each(|cause| causes.push(cause));
            causes
        })
    };
    let of = (select(Outcome::ALL.to_vec()), 0u16..=1000, reasons(), causes(), causes(), any::<[bool; 2]>());
    let made = of.prop_map(|(outcome, risk_score, reasons, rule_errors, yielded, [sum_yielded, no_number])| Suspicion {
        outcome,
        risk_score,
        reasons,
        rule_errors,
        yielded,
        sum_yielded,
        no_number,
    });
    prop_oneof![Just(Suspicion::default()), made]
}

pub(crate) fn decision() -> impl Strategy<Value = Decision> {
    let names = (id(), select(EventType::ALL.to_vec()), id(), 1u8..=2, any::<u32>(), time());
    let answer = (select(Outcome::ALL.to_vec()), 0u16..=1000, of(0f32..=1.0), reasons(), of(any::<u32>()));
    let how = (select(vec![Status::Evaluated, Status::Degraded, Status::Fallback]), any::<u8>(), skips(), suspicion());
    let provenance = (of(any::<[u8; 16]>()), any::<[u8; 16]>(), any::<[u8; 16]>());
    (names, answer, how, provenance).prop_map(|(names, answer, how, (model, policy, topology))| {
        let (event, kind, key, revision, sequence, time) = names;
        let (outcome, risk_score, probability, reasons, control_group) = answer;
        let (status, used, skipped, suspicion) = how;
        let (sequence, used) = (Sequence(u64::from(sequence)), Parts(used));
        let provenance = Provenance { model, policy, topology };
        Decision {
            event,
            kind,
            key,
            revision,
            sequence,
            time,
            outcome,
            risk_score,
            probability,
            reasons,
            control_group,
            status,
            used,
            skipped,
            provenance,
            suspicion,
        }
    })
}

pub(crate) fn alert() -> impl Strategy<Value = Alert> {
    let entity = (select(IdKind::ALL.to_vec()), id()).prop_map(|(kind, id)| Subject::Entity(kind, id));
    let cause = (any::<[u8; 16]>(), of(any::<u16>()), select(EventType::ALL.to_vec())).prop_map(|(policy, cause, of)| Subject::Cause {
        policy,
        cause,
        of,
    });
    let kind = select(Kind::ALL.to_vec());
    let names = (any::<u32>(), kind, any::<u64>(), any::<u32>(), select(AlertStatus::ALL.to_vec()), prop_oneof![3 => entity, 1 => cause]);
    let what = (select(Typology::ALL.to_vec()), any::<u32>(), 0u16..=1000, any::<bool>(), of(any::<u64>()));
    let extent = (time(), time(), time(), any::<u64>(), any::<i64>());
    let member = (select(IdKind::ALL.to_vec()), id()).prop_map(|(kind, id)| Member { kind, id });
    let edge = (id(), id(), any::<i64>(), time(), id()).prop_map(|(from, to, amount_minor, time, event)| Edge {
        from,
        to,
        amount_minor,
        time,
        event,
    });
    let proof = (prop::collection::vec(member, 0..4), prop::collection::vec(edge, 0..4));
    (names, what, extent, proof).prop_map(|(names, what, extent, (members, edges))| {
        let (sequence, kind, number, version, status, subject) = names;
        let (typology, typologies, score, cut, merged_into) = what;
        let (opened_at, first_event, last_event, events, money_minor) = extent;
        let sequence = Sequence(u64::from(sequence));
        Alert {
            sequence,
            kind,
            number,
            version,
            status,
            subject,
            typology,
            typologies,
            score,
            cut,
            opened_at,
            first_event,
            last_event,
            events,
            money_minor,
            merged_into,
            members,
            edges,
        }
    })
}

pub(crate) fn output() -> impl Strategy<Value = Output> {
    prop_oneof![
        3 => decision().prop_map(Output::Decision).boxed(),
        1 => (any::<u32>(), origin(), refused(), of(id())).prop_map(|(sequence, origin, refused, event)| {
            Output::Rejected(Rejected { sequence: Sequence(u64::from(sequence)), origin, refused, event })
        }),
        1 => alert().prop_map(Output::Alert).boxed(),
    ]
}
