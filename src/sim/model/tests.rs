//! Scenarios small enough to be computed by hand, a paragraph of the text each.

mod limits;
mod verdicts;

use super::*;
use crate::decision::{ListsOptions, PolicyOptions, Provenance};
use crate::engine::{AlertOptions, GuardOptions, LabelOptions, SourceTime};
use crate::event::{Currency, IdKey, IdKind, Item, Label, Money, Origin, Payment, Profile, Rates, Session, Target, Transfer};
use crate::graph::{FamilyLimits, Limits};
use crate::typology::laundering::LaunderingOptions;
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
        laundering: LaunderingOptions::default(),
        rates: Rates { reporting: Currency::parse("EUR").unwrap(), currencies: Vec::new() },
        labels: LabelOptions { maturity: Duration::DAY, known: Duration::DAY.times(400) },
        dedupe: Duration::DAY.times(7),
        future_skew_max: Duration::MINUTE,
        sources: vec![
            SourceTime { jump_max: Some(Duration(i64::MAX / 4)), maturity: None, fresh_max: None },
            SourceTime { jump_max: None, maturity: Some(Duration::DAY.times(3)), fresh_max: None },
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
