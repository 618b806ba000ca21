//! Scenarios small enough to be computed by hand, a paragraph of the text each.

use super::*;
use crate::decision::{ListsOptions, PolicyOptions, Provenance};
use crate::engine::{AlertOptions, GuardOptions, LabelOptions, SourceTime};
use crate::event::{Currency, IdKey, IdKind, Item, Label, Money, Origin, Payment, Profile, Rates, Session, Target, Transfer};
use crate::graph::{FamilyLimits, Limits};
use crate::velocity::{Aggregate, Role, Stat};

const HOUR: i64 = Duration::HOUR.0;
const DAY: i64 = Duration::DAY.0;

fn id(kind: IdKind, name: &str) -> Id {
    IdKey::FILES.id(kind, name.as_bytes())
}

/// Two windows and a label window over a user's payments, wide limits; one source matures after a day, another after three.
pub(in crate::sim) fn options() -> Options {
    let family = FamilyLimits { rows_max: 1000, warm_nodes_max: 1000, pairs_max: 1000, late_rows_max: 1000 };
    Options {
        limits: Limits { nodes_max: 1000, ids_max: 1000, families: [family; 3] },
        aggregates: vec![Aggregate {
            name: "spent".into(),
            key: Role(0),
            of: EventType::Payment,
            filter: None,
            windows: vec![Duration::HOUR, Duration::DAY],
            stats: vec![Stat::Count, Stat::Sum, Stat::Max, Stat::Distinct(Role(1)), Stat::Pair(Role(1))],
            label_windows: vec![Duration::DAY],
        }],
        policy: PolicyOptions::default(),
        lists: ListsOptions::default(),
        guard: GuardOptions::default(),
        alerts: AlertOptions::default(),
        rates: Rates { reporting: Currency::parse("EUR").unwrap(), currencies: Vec::new() },
        labels: LabelOptions { maturity: Duration::DAY, known: Duration::DAY.times(400) },
        dedupe: Duration::DAY.times(7),
        future_skew_max: Duration::MINUTE,
        sources: vec![
            SourceTime { jump_max: Some(Duration(i64::MAX / 4)), maturity: None },
            SourceTime { jump_max: None, maturity: Some(Duration::DAY.times(3)) },
        ],
        id_key: IdKey::FILES,
        provenance: Provenance::default(),
        threads: 1,
    }
}

/// A model that is told one event after the other.
struct Story<'f> {
    model: Model<'f>,
    told: u64,
    source: u16,
    received: i64,
}

impl<'f> Story<'f> {
    fn of(options: &Options) -> Story<'f> {
        Story::filtered(options, &|_, _| true)
    }

    fn filtered(options: &Options, filter: Filter<'f>) -> Story<'f> {
        Story { model: Model::new(options, filter), told: 0, source: 0, received: 0 }
    }

    fn record(&mut self, content: Content) -> Seen {
        let sequence = Sequence(self.told);
        self.told += 1;
        let origin = Origin { source: self.source, partition: 0, offset: 0 };
        self.model.apply(&Record { sequence, received: Timestamp(self.received), origin, effort: Default::default(), content })
    }

    fn tell(&mut self, time: i64, body: Body) -> Seen {
        let id = id(IdKind::Event, &format!("told {}", self.told));
        self.record(Content::Event(Event { id, time: Timestamp(time), body }))
    }

    fn facts(&mut self, time: i64, body: Body) -> Facts {
        match self.tell(time, body) {
            Seen::Judged(facts) => *facts,
            other => panic!("{other:?}"),
        }
    }

    fn pay(&mut self, time: i64, user: &str, merchant: &str, minor: i64) -> Facts {
        self.facts(time, payment(user, merchant, minor))
    }

    fn label(&mut self, time: i64, target: Target, verdict: Verdict, source: LabelSource) -> Seen {
        let body = Body::Label(Label {
            target: id(IdKind::Event, "target"),
            verdict,
            source,
            scenario: None,
            user: None,
            from: None,
            resolved: Some(target),
        });
        self.tell(time, body)
    }

    /// The event told as the `sequence`th, as a target.
    fn target(&self, sequence: u64, time: i64, user: &str, merchant: &str) -> Target {
        Target {
            sequence: Sequence(sequence),
            time: Timestamp(time),
            kind: EventType::Payment,
            source: self.source,
            ends: ends(&payment(user, merchant, 0)),
            standing: None,
        }
    }
}

fn payment(user: &str, merchant: &str, minor: i64) -> Body {
    Body::Payment(Payment {
        user: id(IdKind::User, user),
        merchant: id(IdKind::Merchant, merchant),
        device: None,
        card: None,
        ip: None,
        amount: Money { minor, currency: Currency::parse("EUR").unwrap() },
        mcc: None,
        country: None,
        channel: None,
        session: None,
        items: Box::default(),
    })
}

fn ints<const N: usize>(facts: &Facts, names: [&str; N]) -> [i64; N] {
    names.map(|name| facts.int(name).unwrap_or_else(|| panic!("no figure {name}")))
}

fn skip(part: Part, why: Why) -> Skip {
    Skip { part, why, value: 0, window: 0 }
}

/// Caught: `>=` for `>` at the lower edge of a window.
#[test]
fn a_window_holds_its_upper_edge_and_not_its_lower_one() {
    let mut story = Story::of(&options());
    story.pay(0, "ann", "shop", 100);
    let at_once = story.pay(0, "ann", "shop", 20);
    assert_eq!(ints(&at_once, ["spent.count_1h", "spent.sum_1h"]), [1, 100], "time T is inside");
    let just_inside = story.pay(HOUR - 1, "ann", "shop", 3);
    assert_eq!(ints(&just_inside, ["spent.count_1h", "spent.sum_1h"]), [2, 120]);
    let at_the_edge = story.pay(HOUR, "ann", "shop", 0);
    assert_eq!(ints(&at_the_edge, ["spent.count_1h", "spent.sum_1h", "spent.count_1d"]), [1, 3, 3], "time T - w is outside");
}

#[test]
fn an_event_does_not_see_itself_and_nobody_sees_another_user() {
    let mut story = Story::of(&options());
    assert_eq!(ints(&story.pay(0, "ann", "shop", 100), ["spent.count_1d", "user.events", "merchant.events"]), [0, 0, 0]);
    assert_eq!(ints(&story.pay(1, "bob", "shop", 100), ["spent.count_1d", "user.events", "merchant.events"]), [0, 0, 1]);
}

#[test]
fn a_late_event_enters_the_windows_it_is_inside_of_and_leaves_at_its_own_time() {
    let mut story = Story::of(&options());
    story.pay(2 * HOUR, "ann", "shop", 100);
    let late = story.pay(30 * HOUR / 60, "ann", "shop", 7);
    assert!(late.late);
    assert_eq!(late.now, Timestamp(2 * HOUR), "a late event is read at stream time");
    let after = story.pay(2 * HOUR, "ann", "shop", 0);
    assert_eq!(ints(&after, ["spent.count_1h", "spent.count_1d", "spent.sum_1d"]), [1, 2, 107]);
    let gone = story.pay(24 * HOUR + HOUR / 2, "ann", "shop", 0);
    assert_eq!(ints(&gone, ["spent.count_1d", "spent.sum_1d"]), [2, 100], "the late one left, those that came with it did not");
}

#[test]
fn ticks_move_time_through_silence_and_never_back() {
    let mut story = Story::of(&options());
    story.pay(0, "ann", "shop", 100);
    assert_eq!(story.record(Content::Tick(Timestamp(HOUR))), Seen::Applied);
    assert_eq!(story.record(Content::Tick(Timestamp(5))), Seen::Applied);
    let late = story.pay(1, "ann", "shop", 0);
    assert!(late.late);
    assert_eq!(ints(&late, ["spent.count_1h"]), [0]);
}

#[test]
fn admission_refuses_in_the_order_of_the_text() {
    let mut narrow = options();
    narrow.limits.ids_max = 2;
    let mut story = Story::of(&narrow);
    let event = |name: &str, time, minor| {
        Content::Event(Event { id: id(IdKind::Event, name), time: Timestamp(time), body: payment("ann", "shop", minor) })
    };
    assert_eq!(story.record(event("a", Timestamp::MAX.0, 1)), Seen::Rejected(Refusal::TimeOutOfRange));
    story.source = 1;
    assert_eq!(story.record(event("a", Duration::MINUTE.0 + 1, 1)), Seen::Rejected(Refusal::FutureDated));
    assert!(matches!(story.record(event("a", Duration::MINUTE.0, 1)), Seen::Judged(_)), "nothing moved, nothing is remembered");
    story.source = 0;
    assert_eq!(story.record(event("a", Duration::MINUTE.0, 1)), Seen::Duplicate);
    assert_eq!(story.record(event("a", Duration::MINUTE.0, 2)), Seen::Rejected(Refusal::IdConflict));
    let horizon = Duration::MINUTE.0 + 7 * DAY;
    story.record(event("b", horizon, 1));
    assert_eq!(story.record(event("a", Duration::MINUTE.0, 1)), Seen::Duplicate, "remembered to the last moment of the horizon");
    assert_eq!(story.record(event("c", Duration::MINUTE.0 - 1, 1)), Seen::Rejected(Refusal::TooOldToDeduplicate));
    story.record(event("c", horizon, 1));
    assert_eq!(story.record(event("a", Duration::MINUTE.0 - 1, 1)), Seen::Rejected(Refusal::TooOldToDeduplicate), "forgotten early");
    let forgotten = story.record(event("d", Duration::MINUTE.0, 1));
    assert_eq!(forgotten, Seen::Rejected(Refusal::TooOldToDeduplicate), "it could be the one that was forgotten");
    assert!(matches!(story.record(event("d", Duration::MINUTE.0 + 1, 1)), Seen::Judged(_)));
}

#[test]
fn a_label_without_its_target_may_come_again() {
    let mut story = Story::of(&options());
    story.pay(0, "ann", "shop", 100);
    let target = story.target(0, 0, "ann", "shop");
    let label = |resolved| {
        Content::Event(Event {
            id: id(IdKind::Event, "label"),
            time: Timestamp(1),
            body: Body::Label(Label {
                target: id(IdKind::Event, "told 0"),
                verdict: Verdict::Fraud,
                source: LabelSource::Chargeback,
                scenario: None,
                user: None,
                from: None,
                resolved,
            }),
        })
    };
    assert_eq!(story.record(label(None)), Seen::Rejected(Refusal::UnknownTarget));
    assert_eq!(story.record(label(Some(target))), Seen::Applied);
    assert_eq!(story.record(label(None)), Seen::Duplicate, "what the runtime adds is not content");
}

#[test]
fn pairs_and_distinct_merchants() {
    let mut story = Story::of(&options());
    let names = ["spent.distinct_merchant_1h", "spent.pair_merchant_count", "spent.pair_merchant_age_s"];
    assert_eq!(ints(&story.pay(0, "ann", "shop", 1), names), [0, 0, -1]);
    story.pay(1, "ann", "inn", 1);
    assert_eq!(ints(&story.pay(2_999_999, "ann", "shop", 1), names), [2, 1, 2], "whole seconds");
    assert_eq!(ints(&story.pay(HOUR + 1, "ann", "shop", 1), names), [1, 2, 3597]);
    assert_eq!(ints(&story.pay(DAY + 2_999_999, "ann", "shop", 1), names), [0, 1, DAY / 1_000_000 - 3598], "pairs know the longest window");
    assert_eq!(ints(&story.pay(9 * DAY, "ann", "shop", 1), names), [0, 0, -1]);
}

#[test]
fn the_greatest_of_the_recent_sixteen() {
    let mut story = Story::of(&options());
    story.pay(0, "ann", "shop", 500);
    for minute in 1..=15 {
        assert_eq!(story.pay(minute, "ann", "shop", minute).int("spent.max"), Some(500));
    }
    let sixteen = story.pay(16, "ann", "shop", 3);
    assert_eq!(sixteen.int("spent.max"), Some(500));
    assert_eq!(sixteen.neighbours[0].len(), 16);
    let seventeen = story.pay(17, "ann", "shop", 3);
    assert_eq!(seventeen.int("spent.max"), Some(15));
    assert_eq!(seventeen.neighbours[0][0].event, id(IdKind::Event, "told 16"), "newest first");
    assert_eq!(seventeen.neighbours[0][15].event, id(IdKind::Event, "told 1"));
}

#[test]
fn a_full_ring_says_since_when_it_knows() {
    let mut narrow = options();
    narrow.limits.families[0].rows_max = 2;
    let mut story = Story::of(&narrow);
    for minute in 0..2 {
        assert_eq!(story.pay(minute, "ann", "shop", 1).skips, []);
    }
    let short = story.pay(2, "ann", "shop", 1);
    assert_eq!(short.int("spent.count_1h"), Some(1), "the oldest left before the new one was read");
    let since = |window: i64, value| Skip { part: Part::Window, why: Why::HistorySince, value, window };
    // A day, and the longest maturity of three besides, for the labels.
    assert_eq!(short.skips, [since(HOUR, 0), since(DAY, 0), since(4 * DAY, 0)]);
    story.record(Content::Tick(Timestamp(HOUR + 1)));
    let later = story.pay(HOUR + 1, "ann", "shop", 1);
    assert_eq!(later.skips, [since(DAY, 1), since(4 * DAY, 1)], "the hour is whole again: its dropped rows would have left");
}

#[test]
fn a_row_behind_one_that_is_still_inside_waits() {
    let mut story = Story::of(&options());
    // The horizon: a maturity of three days and a label window of one.
    story.pay(4 * DAY, "ann", "shop", 1);
    story.pay(DAY, "bob", "shop", 1);
    let waiting = story.pay(6 * DAY, "bob", "shop", 1);
    assert_eq!(waiting.visible[0], 0..2);
    assert_eq!(waiting.neighbours[0].len(), 1, "visible, though in no window");
    assert_eq!(ints(&waiting, ["spent.count_1d", "spent.good_1d"]), [0, 0]);
    let gone = story.pay(8 * DAY, "bob", "shop", 1);
    assert_eq!(gone.visible[0], 2..3);
}

#[test]
fn a_full_late_ring_keeps_late_rows_out_of_all_windows() {
    let mut narrow = options();
    narrow.limits.families[0].late_rows_max = 1;
    let mut story = Story::of(&narrow);
    story.pay(10 * HOUR, "ann", "shop", 1);
    story.pay(9 * HOUR + 1, "ann", "shop", 10);
    assert_eq!(story.pay(9 * HOUR + 2, "ann", "inn", 100).skips, []);
    let after = story.pay(10 * HOUR, "ann", "shop", 0);
    assert_eq!(ints(&after, ["spent.sum_1h", "spent.distinct_merchant_1h", "spent.max"]), [11, 1, 10], "it belongs to no aggregate");
    assert_eq!(after.neighbours[0].len(), 3, "recent it is all the same");
    let late = |window: i64| Skip { part: Part::Window, why: Why::LateFull, value: 0, window };
    // Labels: a day behind the longest maturity of three.
    assert_eq!(after.skips, [late(HOUR), late(DAY), late(4 * DAY)]);
    assert_eq!(story.pay(10 * HOUR + 2, "ann", "shop", 0).skips, [late(DAY), late(4 * DAY)], "the row would have left the hour");
    assert_eq!(story.pay(33 * HOUR + 2, "ann", "shop", 0).skips, [late(4 * DAY)]);
    let free = 4 * DAY + 9 * HOUR + 1;
    story.record(Content::Tick(Timestamp(free)));
    story.pay(free - HOUR, "ann", "shop", 1000);
    let after = story.pay(free + 1, "ann", "shop", 0);
    assert_eq!((after.int("spent.sum_1d"), after.skips.as_slice()), (Some(1000), [].as_slice()), "the place is free again");
}

#[test]
fn a_full_table_of_pairs_gives_birth_to_superseded_rows() {
    let mut narrow = options();
    narrow.limits.families[0].pairs_max = 1;
    let mut story = Story::of(&narrow);
    let names = ["spent.count_1d", "spent.distinct_merchant_1d", "spent.pair_merchant_count"];
    story.pay(0, "ann", "shop", 1);
    assert_eq!(story.pay(HOUR, "ann", "inn", 1).skips, []);
    let after = story.pay(2 * HOUR, "ann", "inn", 1);
    assert_eq!(ints(&after, names), [2, 1, 0]);
    assert_eq!(after.skips, [skip(Part::Distinct, Why::PairsFull)]);
    // The shop's row leaves the longest window and its place; the inn takes it, and its earlier rows stay uncounted.
    story.pay(DAY, "ann", "inn", 1);
    assert_eq!(ints(&story.pay(DAY + 1, "ann", "inn", 1), names), [3, 1, 1]);
    assert_eq!(story.pay(DAY + 2 * HOUR, "bob", "pub", 1).skips, []);
}

#[test]
fn a_node_without_a_warm_record_knows_its_newest_four() {
    let mut narrow = options();
    narrow.limits.families[0].warm_nodes_max = 1;
    let mut story = Story::of(&narrow);
    for minute in 0..5 {
        story.pay(minute, "ann", &format!("shop {minute}"), 1 << minute);
        story.pay(minute, "bob", &format!("inn {minute}"), 1 << minute);
    }
    let ann = story.pay(5, "ann", "shop", 0);
    assert_eq!(ints(&ann, ["spent.count_1h", "spent.sum_1h"]), [5, 31]);
    assert_eq!(ann.skips, []);
    let bob = story.pay(5, "bob", "inn", 0);
    assert_eq!(ints(&bob, ["spent.count_1h", "spent.sum_1h", "spent.distinct_merchant_1h", "spent.max"]), [4, 30, 4, 16]);
    assert_eq!(bob.neighbours[0].len(), 4);
    assert_eq!(bob.skips, [skip(Part::Graph, Why::WarmNodesFull)]);
    // Six days on everything has left, and ann's record with it: whoever has a fifth event first gets it.
    for minute in 0..6 {
        story.pay(6 * DAY + minute, "bob", "inn 0", 1);
        story.pay(6 * DAY + minute, "ann", "shop 0", 1);
    }
    let bob = story.pay(6 * DAY + 6, "bob", "inn", 0);
    assert_eq!((bob.int("spent.count_1h"), bob.skips.as_slice()), (Some(6), [].as_slice()));
    let ann = story.pay(6 * DAY + 6, "ann", "shop", 0);
    assert_eq!(ann.int("spent.count_1h"), Some(4));
}

#[test]
fn the_longest_dormant_node_makes_room() {
    let mut narrow = options();
    narrow.limits.nodes_max = 5;
    let mut story = Story::of(&narrow);
    story.tell(
        0,
        Body::Profile(Profile { user: id(IdKind::User, "ann"), name: None, country: None, consent_personalization: None, kyc_risk: None }),
    );
    story.pay(0, "ann", "shop", 1);
    story.pay(0, "bob", "inn", 1);
    assert_eq!(story.model.nodes_len(), 4);
    let full = story.pay(1, "cid", "pub", 1);
    assert_eq!(full.skips, [skip(Part::Graph, Why::NodesFull)], "cid found a place, the pub did not");
    let again = story.pay(2, "cid", "pub", 1);
    assert_eq!(ints(&again, ["user.events", "merchant.events", "spent.count_1h", "spent.distinct_merchant_1h"]), [1, 0, 1, 0]);
    story.record(Content::Tick(Timestamp(10 * DAY)));
    // Ann has a profile, so the shop, then bob are the longest dormant.
    assert_eq!(story.pay(10 * DAY, "dan", "zoo", 1).skips, []);
    let back = story.pay(10 * DAY, "ann", "inn", 1);
    assert_eq!(ints(&back, ["user.events", "user.days", "merchant.events"]), [1, 10, 1]);
    assert_eq!(ints(&story.pay(10 * DAY, "bob", "shop", 1), ["user.events", "merchant.events"]), [0, 0], "replaced, and forgotten");
}

#[test]
fn the_world_outside_and_oneself_are_no_second_node() {
    let mut story = Story::of(&Options {
        aggregates: vec![Aggregate {
            name: "paid".into(),
            key: Role(0),
            of: EventType::Transfer,
            filter: None,
            windows: vec![Duration::DAY],
            stats: vec![Stat::Count, Stat::Distinct(Role(1))],
            label_windows: Vec::new(),
        }],
        ..options()
    });
    let transfer = |from: Option<&str>, to: Option<&str>| {
        let account = |name: &str| id(IdKind::Account, name);
        let amount = Money { minor: 1, currency: Currency::parse("EUR").unwrap() };
        let (from, to) = (from.map(account), to.map(account));
        Body::Transfer(Transfer { from, to, amount, from_bank: None, to_bank: None, format: None, user: None, device: None })
    };
    story.facts(0, transfer(Some("a"), Some("a")));
    story.facts(1, transfer(Some("a"), None));
    let names = ["paid.count_1d", "paid.distinct_to_1d", "from.events", "to.events"];
    assert_eq!(ints(&story.facts(2, transfer(Some("a"), Some("b"))), names), [2, 0, 2, 0]);
    assert_eq!(ints(&story.facts(3, transfer(None, Some("a"))), names), [0, 0, 0, 3], "an empty key slot has no figures");
}

#[test]
fn labels_mature_and_are_overruled() {
    let mut story = Story::of(&options());
    let names = ["spent.bad_1d", "spent.good_1d", "user.bads", "merchant.bads"];
    story.pay(0, "ann", "shop", 1);
    let target = story.target(0, 0, "ann", "shop");
    assert_eq!(ints(&story.pay(DAY, "ann", "inn", 1), names), [0, 0, 0, 0], "T = time + maturity: not yet");
    assert_eq!(ints(&story.pay(DAY + 1, "ann", "shop", 1), names), [0, 1, 0, 0]);
    story.label(DAY + 2, target, Verdict::Fraud, LabelSource::Chargeback);
    let bad = story.pay(DAY + 3, "ann", "shop", 1);
    assert_eq!(ints(&bad, names), [1, 0, 1, 1]);
    assert_eq!(bad.figures["spent.bad_rate_1d"], Value::Double(1.0));
    story.label(DAY + 4, target, Verdict::Legitimate, LabelSource::Rule);
    assert_eq!(ints(&story.pay(DAY + 5, "ann", "shop", 1), names), [1, 0, 1, 1], "a weaker source does not overrule");
    story.label(DAY + 6, target, Verdict::Legitimate, LabelSource::Analyst);
    let good = story.pay(DAY + 7, "ann", "shop", 1);
    assert_eq!(ints(&good, names), [0, 1, 0, 0]);
    assert_eq!(good.figures["spent.bad_rate_1d"], Value::Double(0.0));
    let left = story.pay(2 * DAY, "ann", "shop", 1);
    assert_eq!(ints(&left, names), [0, 0, 0, 0], "the first row left, T - maturity - w; the second matures after this moment");
    assert_eq!(ints(&story.pay(2 * DAY + 1, "ann", "shop", 1), names), [0, 1, 0, 0]);
}

#[test]
fn a_verdict_counts_from_its_own_source_and_label_windows_by_its_maturity() {
    let mut story = Story::of(&options());
    story.source = 1;
    story.received = 4 * DAY;
    story.pay(0, "ann", "shop", 1);
    let names = ["spent.bad_1d", "spent.good_1d"];
    assert_eq!(ints(&story.pay(3 * DAY, "ann", "shop", 1), names), [0, 0]);
    assert_eq!(ints(&story.pay(3 * DAY + 1, "ann", "shop", 1), names), [0, 1]);
    assert_eq!(ints(&story.pay(4 * DAY - 1, "ann", "shop", 1), names), [0, 1]);
    assert_eq!(ints(&story.pay(4 * DAY, "ann", "shop", 1), names), [0, 0]);
}

#[test]
fn a_label_outlives_its_row() {
    let mut story = Story::of(&options());
    story.pay(0, "ann", "shop", 1);
    let mut target = story.target(0, 0, "ann", "shop");
    story.record(Content::Tick(Timestamp(10 * DAY)));
    story.label(10 * DAY, target, Verdict::Fraud, LabelSource::Chargeback);
    assert_eq!(ints(&story.pay(10 * DAY, "ann", "inn", 1), ["user.bads", "merchant.bads", "spent.bad_1d"]), [1, 0, 0]);
    target.standing = Some((Verdict::Fraud, LabelSource::Chargeback));
    story.label(10 * DAY, target, Verdict::Laundering, LabelSource::Analyst);
    assert_eq!(ints(&story.pay(10 * DAY, "ann", "shop", 1), ["user.bads", "merchant.bads"]), [1, 1]);
    target.standing = Some((Verdict::Laundering, LabelSource::Analyst));
    story.label(10 * DAY, target, Verdict::Legitimate, LabelSource::Analyst);
    assert_eq!(ints(&story.pay(10 * DAY, "ann", "shop", 1), ["user.bads", "merchant.bads"]), [0, 0]);
}

#[test]
fn items_of_a_payment_are_rows_of_interest() {
    let mut story = Story::of(&Options {
        aggregates: vec![Aggregate {
            name: "looked".into(),
            key: Role(0),
            of: EventType::Interaction,
            filter: None,
            windows: vec![Duration::DAY],
            stats: vec![Stat::Count, Stat::Distinct(Role(1)), Stat::Sum],
            label_windows: Vec::new(),
        }],
        ..options()
    });
    let Body::Payment(mut basket) = payment("ann", "shop", 100) else { unreachable!() };
    let item = |name: &str| id(IdKind::Item, name);
    basket.items = [item("hat"), item("hat"), item("tie")].into();
    story.facts(0, Body::Payment(basket));
    // An aggregate over another type is asked with the first slot of the same kind of entity.
    let facts = story.pay(1, "ann", "shop", 100);
    let names = ["looked.count_1d", "looked.distinct_item_1d", "looked.sum_1d", "user.events", "merchant.events"];
    assert_eq!(ints(&facts, names), [3, 2, 0, 4, 4]);
    let session = Session { user: id(IdKind::User, "ann"), device: None, ip: None, action: None, session: None };
    assert_eq!(ints(&story.facts(2, Body::Session(session)), ["looked.count_1d", "user.events"]), [3, 5]);
    assert_eq!(story.model.visible_events(Family::Interest), [id(IdKind::Event, "told 0"); 3]);
}

#[test]
fn filters_are_asked_once_when_the_row_comes() {
    let mut filtered = options();
    filtered.aggregates[0].filter = Some("amount > 10".into());
    filtered.aggregates[0].stats = vec![Stat::Count, Stat::Max];
    let large = |index: usize, event: &Event| {
        assert_eq!(index, 0);
        matches!(&event.body, Body::Payment(payment) if payment.amount.minor > 10)
    };
    let mut story = Story::filtered(&filtered, &large);
    story.pay(0, "ann", "shop", 10);
    story.pay(0, "ann", "shop", 11);
    assert_eq!(ints(&story.pay(1, "ann", "shop", 99), ["spent.count_1h", "spent.max", "user.events"]), [1, 11, 2]);
}

#[test]
fn an_unknown_rate_adds_nothing_and_is_said() {
    let mut story = Story::of(&options());
    let Body::Payment(mut foreign) = payment("ann", "shop", 100) else { unreachable!() };
    foreign.amount.currency = Currency::parse("SEK").unwrap();
    assert_eq!(story.facts(0, Body::Payment(foreign)).skips, [skip(Part::Money, Why::NoRate)]);
    assert_eq!(ints(&story.pay(0, "ann", "shop", 1), ["spent.count_1h", "spent.sum_1h"]), [1, 0]);
}

#[test]
fn a_catalogue_entry_keeps_its_place() {
    let mut narrow = options();
    narrow.limits.nodes_max = 2;
    let mut story = Story::of(&narrow);
    let hat = Item { item: id(IdKind::Item, "hat"), merchant: None, category: None, brand: None, price: None, title: None };
    assert_eq!(story.tell(0, Body::Item(hat)), Seen::Applied);
    story.pay(0, "ann", "shop", 1);
    assert_eq!(story.model.nodes_len(), 2, "the hat and ann");
    assert_eq!(story.pay(20 * DAY, "bob", "shop", 1).skips, [skip(Part::Graph, Why::NodesFull)], "bob took ann's place, the shop none");
}

#[test]
fn a_node_becomes_warm_only_while_it_knows_all_its_rows() {
    let mut narrow = options();
    narrow.limits.families[0].warm_nodes_max = 1;
    let mut story = Story::of(&narrow);
    for _ in 0..5 {
        story.pay(0, "ann", "shop", 1);
    }
    // The horizon is four days. Of bob's six rows two leave with ann's, and her record with them.
    for minute in [0, 0, 1, 1, 1, 1] {
        story.pay(minute, "bob", &format!("inn {}", story.told), 1);
    }
    assert_eq!(story.pay(1, "bob", "inn", 1).skips, [skip(Part::Graph, Why::WarmNodesFull)], "six rows, and the record is ann's");
    let five = story.pay(4 * DAY, "bob", "inn", 1);
    assert_eq!(five.skips, [skip(Part::Graph, Why::WarmNodesFull)], "five rows: too late for the record that is free");
    let after = story.pay(4 * DAY, "bob", "inn", 1);
    assert_eq!(after.skips, [skip(Part::Graph, Why::WarmNodesFull)]);
}

#[test]
fn who_is_in_use_again_is_not_dormant() {
    let mut narrow = options();
    narrow.limits.nodes_max = 2;
    let mut story = Story::of(&narrow);
    story.pay(0, "ann", "shop", 1);
    story.pay(10 * DAY, "ann", "shop", 1);
    let full = [skip(Part::Graph, Why::NodesFull)];
    assert_eq!(story.pay(10 * DAY, "bob", "inn", 1).skips, full);
    assert_eq!(ints(&story.pay(10 * DAY, "ann", "shop", 1), ["user.events", "merchant.events"]), [2, 2]);
}

#[test]
fn a_known_bad_and_a_catalogue_entry_that_had_rows_are_not_replaced() {
    let mut narrow = options();
    narrow.limits.nodes_max = 2;
    let mut story = Story::of(&narrow);
    story.pay(0, "ann", "shop", 1);
    let mut target = story.target(0, 0, "ann", "shop");
    story.label(0, target, Verdict::Fraud, LabelSource::Chargeback);
    let full = [skip(Part::Graph, Why::NodesFull)];
    assert_eq!(story.pay(10 * DAY, "bob", "inn", 1).skips, full);
    assert_eq!(ints(&story.pay(10 * DAY, "ann", "inn", 1), ["user.events", "user.bads", "merchant.events"]), [1, 1, 0]);
    target.standing = Some((Verdict::Fraud, LabelSource::Chargeback));
    story.label(10 * DAY, target, Verdict::Legitimate, LabelSource::Chargeback);
    // The shop, dormant all the while, may go now; ann has a row.
    assert_eq!(story.pay(10 * DAY, "ann", "inn", 1).skips, []);

    let mut story = Story::of(&narrow);
    let looked = |user: &str, item: &str| {
        Body::Interaction(Interaction {
            user: id(IdKind::User, user),
            item: id(IdKind::Item, item),
            action: Action::View,
            merchant: None,
            dwell_ms: None,
            surface: None,
            session: None,
            device: None,
            experiment: None,
            propensity: None,
        })
    };
    story.facts(0, looked("ann", "hat"));
    let hat = Item { item: id(IdKind::Item, "hat"), merchant: None, category: None, brand: None, price: None, title: None };
    story.tell(0, Body::Item(hat));
    assert_eq!(story.facts(31 * DAY, looked("bob", "tie")).skips, full, "bob took ann's place, the tie found none");
    assert_eq!(ints(&story.facts(32 * DAY, looked("bob", "hat")), ["user.events", "item.events"]), [1, 1]);
}

#[test]
fn a_late_row_without_a_place_is_no_pair() {
    let mut narrow = options();
    narrow.limits.families[0].late_rows_max = 0;
    let mut story = Story::of(&narrow);
    story.pay(10 * HOUR, "bob", "shop", 1);
    story.pay(9 * HOUR + 1, "ann", "shop", 1);
    let names = ["spent.pair_merchant_count", "spent.pair_merchant_age_s", "spent.distinct_merchant_1d"];
    assert_eq!(ints(&story.pay(10 * HOUR, "ann", "shop", 1), names), [0, -1, 0]);
    // Nobody's place is needed by a row behind the horizon, and nobody need be told.
    story.record(Content::Tick(Timestamp(110 * HOUR)));
    story.pay(11 * HOUR, "ann", "shop", 1);
    assert_eq!(story.pay(110 * HOUR, "ann", "shop", 1).skips, []);
}

#[test]
fn a_late_place_is_free_when_the_row_is_behind_the_horizon() {
    let mut narrow = options();
    narrow.limits.families[0].late_rows_max = 1;
    let mut story = Story::of(&narrow);
    story.pay(10 * HOUR, "ann", "shop", 1);
    story.pay(9 * HOUR, "ann", "shop", 1);
    story.record(Content::Tick(Timestamp(105 * HOUR)));
    story.pay(105 * HOUR - 1, "ann", "shop", 8);
    assert_eq!(story.pay(105 * HOUR, "ann", "shop", 0).int("spent.sum_1h"), Some(8), "T = time + H: the first has left");
}
