//! Alerts: what is planted is found, with those who belong to it and the payments that prove it; what is honest is not; and nothing depends
//! on how records are cut, on threads, or on where the engine was stopped.

mod house;
mod ring;

use house::{GENEROUS, engine, options, run};
use ring::model::{Model, Told};
use ring::{Stream, Town, id};
use weir::decision::{Outcome, ReasonCode, RuleOptions};
use weir::engine::{Alert, AlertLimits, AlertOptions, AlertStatus, Engine, GuardOptions, Options, Output, Subject};
use weir::event::{Duration, EventType, IdKind, ListChange, PaymentStatus, Verdict};
use weir::typology::{Kind, Typology};

/// Every alert is told of at once, and none is over.
fn unbudgeted() -> Options {
    let limits = AlertLimits { alerts_max: 300, members_max: 200, edges_max: 3000, evidence_rows_max: 200_000 };
    let alerts = AlertOptions { limits, per_hour: 1_000_000, close_after: Duration::DAY.times(400), ..AlertOptions::default() };
    // The guard has its own tests.
    Options { alerts, guard: GuardOptions { declines_min: 1_000_000, ..GuardOptions::default() }, ..options(GENEROUS) }
}

/// Likewise; the policy holds what costs `amount` or more and nothing else.
fn holding(amount: i64) -> Options {
    let mut options = unbudgeted();
    options.policy.velocity.clear();
    options.policy.control_share = 0;
    options.policy.rules = vec![RuleOptions {
        name: "dear".into(),
        of: EventType::Payment,
        when: format!("amount >= {amount}"),
        outcome: Outcome::Review,
        risk_score: 600,
        reason: ReasonCode::Rule,
        text: String::new(),
    }];
    options
}

fn alerts(outputs: &[Output]) -> Vec<&Alert> {
    outputs.iter().filter_map(|output| if let Output::Alert(alert) = output { Some(alert) } else { None }).collect()
}

/// The newest version of each.
fn newest(outputs: &[Output]) -> Vec<&Alert> {
    let all = alerts(outputs);
    let is_newest = |alert: &&Alert| !all.iter().any(|other| other.number == alert.number && other.version > alert.version);
    let mut newest: Vec<&Alert> = all.iter().copied().filter(is_newest).collect();
    newest.sort_by_key(|alert| alert.number);
    newest
}

/// Some thousand payments among few, so that everything overlaps: rings grow into one another, cards and shops are tried.
///
/// Caught when planted: a merge that left the members of the younger alert out; the sixteenth row of the device not looked at; the payment's
/// own user counted twice; members of cards' and shops' alerts whose ids led to them; members that were joined by the next finding only, and
/// not by their own payment.
#[test]
fn it_equals_the_obvious() {
    let options = holding(12_000);
    for seed in 0..6 {
        let records = Town { seed, payments: 1500, users: 60, devices: 24, cards: 50, merchants: 8, failing: 12, bad: 6 }.records();
        let mut engine = engine(&options);
        let mut model = Model::new(options.alerts);
        for record in &records {
            let outputs = run(&mut engine, std::slice::from_ref(record), 1);
            model.apply(record, &outputs);
            let mut open: Vec<Alert> = engine.open_alerts().collect();
            open.sort_by_key(|alert| alert.number);
            let (open, expected): (Vec<Told>, Vec<Told>) = (open.iter().map(Told::of).collect(), model.told());
            assert_eq!(open.len(), expected.len(), "seed {seed}, {:?}", record.sequence);
            for (open, expected) in open.iter().zip(&expected) {
                assert_eq!(open, expected, "seed {seed}, {:?}", record.sequence);
            }
        }
        let counts = engine.alert_counts(Kind::Fraud);
        let seen = alerts(&run(&mut house::engine(&options), &records, 64)).iter().fold(0, |bits, alert| bits | alert.typologies);
        assert!(counts.opened > 10 && seen & 0b1_0001_0111 == 0b1_0001_0111, "{counts:?}, typologies {seen:b}");
    }
}

/// Caught when planted: alerts that took stream time from the end of the batch.
#[test]
fn batches_and_threads_change_nothing() {
    for (alerts_max, per_hour) in [(1024, 60), (5, 3)] {
        let limits = AlertLimits { alerts_max, members_max: 6, edges_max: 5, evidence_rows_max: 300 };
        let alerts = AlertOptions { limits, per_hour, close_after: Duration::HOUR.times(3), ..AlertOptions::default() };
        let options = Options { alerts, ..options(GENEROUS) };
        let records = Town { seed: 3, payments: 2500, users: 90, devices: 40, cards: 80, merchants: 9, failing: 12, bad: 6 }.records();
        let mut once = engine(&options);
        let expected = run(&mut once, &records, 1);
        assert!(self::alerts(&expected).len() > 40, "{} versions", self::alerts(&expected).len());
        let end = (once.state_hash(), once.course(), once.alert_counts(Kind::Fraud));
        for (size, threads) in [(7, 1), (64, 1), (500, 1), (1, 2), (500, 2)] {
            let mut again = engine(&Options { threads, ..options.clone() });
            assert_eq!(run(&mut again, &records, size), expected, "batches of {size} on {threads} threads");
            assert_eq!(
                (again.state_hash(), again.course(), again.alert_counts(Kind::Fraud)),
                end,
                "batches of {size} on {threads} threads"
            );
        }
        let counts = once.alert_counts(Kind::Fraud);
        assert!(alerts_max > 5 || counts.dropped > 0, "so small a table is full: {counts:?}");
    }
}

/// Caught when planted: members that lead to no alert any more after a restore, and those that began to.
#[test]
fn a_restored_engine_goes_on_as_if_nothing_had_been() {
    let limits = AlertLimits { alerts_max: 12, members_max: 8, edges_max: 6, evidence_rows_max: 200 };
    let alerts = AlertOptions { limits, per_hour: 5, close_after: Duration::HOUR.times(2), ..AlertOptions::default() };
    let options = Options { alerts, ..options(GENEROUS) };
    let records = Town { seed: 8, payments: 1200, users: 60, devices: 30, cards: 60, merchants: 8, failing: 12, bad: 6 }.records();
    let mut whole = engine(&options);
    let expected = run(&mut whole, &records, 64);
    let (mut walking, mut place) = (engine(&options), 0);
    for stop in (0..records.len()).step_by(97) {
        run(&mut walking, &records[place..stop], 64);
        place = stop;
        let mut bytes = Vec::new();
        walking.write_snapshot(&mut bytes).unwrap();
        let mut restored = engine(&options);
        restored.restore_snapshot(&mut bytes.as_slice()).unwrap();
        assert_eq!(restored.state_hash(), walking.state_hash(), "after {stop} records");
        let rest = run(&mut restored, &records[stop..], 64);
        assert_eq!(rest, expected[expected.len() - rest.len()..], "after {stop} records");
        assert_eq!(restored.state_hash(), whole.state_hash(), "after {stop} records");
    }
}

/// A farm of nine customers on two devices, some of them on both: refused here and there.
#[test]
fn a_farm_becomes_one_alert_with_all_who_belong_to_it() {
    let mut stream = Stream::new();
    let mut engine = engine(&unbudgeted());
    for n in 0..200u64 {
        stream.pay(
            &format!("honest{}", n % 50),
            &format!("phone{}", n % 50),
            Some(&format!("own{}", n % 50)),
            &format!("shop{}", n % 7),
            2000,
        );
    }
    for round in 0..3 {
        for n in 0..9 {
            let device = if (n + usize::from(round == 2 && n == 4)) % 2 == 0 { "farm0" } else { "farm1" };
            let event = stream.pay(&format!("fake{n}"), device, Some(&format!("bought{n}")), &format!("shop{}", n % 7), 9000);
            if n % 3 != 2 && round < 2 {
                stream.result(event, PaymentStatus::DeclinedByIssuer);
            }
        }
    }
    let outputs = run(&mut engine, &stream.records, 64);
    // What came since the newest version was nothing new: it is in the state.
    let open: Vec<Alert> = engine.open_alerts().collect();
    let [ring] = &open[..] else { panic!("{open:#?}") };
    assert_eq!(newest(&outputs).iter().filter(|alert| alert.status == AlertStatus::Open).count(), 1);
    assert_eq!((ring.typology, ring.subject), (Typology::SharedDevice, Subject::Entity(IdKind::Device, id(IdKind::Device, "farm1"))));
    let mut members: Vec<_> = ring.members.iter().map(|member| member.id).collect();
    members.sort();
    let mut expected: Vec<_> = (0..9).map(|n| id(IdKind::User, &format!("fake{n}"))).chain([id(IdKind::Device, "farm0")]).collect();
    expected.sort();
    assert_eq!(members, expected);
    assert_eq!((ring.events, ring.money_minor), (27, 27 * 9000));
    assert_eq!(ring.edges.len(), 27);
    assert!(ring.edges.iter().all(|edge| members.contains(&edge.from) && edge.amount_minor == 9000));
    let versions = alerts(&outputs).len();
    assert!(versions < 27, "{versions} versions of 27 events");
}

/// Nobody refused them and nobody labels them: the policy itself held what a farm bought, on several phones.
///
/// Caught when planted: groups that did not take each other in; a group of which nothing was held for a month that went on; a payment that
/// passed and took nothing from its group; a suppression that was read as of the end of the batch.
#[test]
fn what_the_policy_held_calls_for_attention() {
    // Neighbours share a phone, one after the other all along.
    let farm = |stream: &mut Stream, payments: std::ops::Range<u64>, minor| {
        for n in payments {
            stream.pay(
                &format!("fake{}", n / 2),
                &format!("farm{}", n.div_ceil(2)),
                Some(&format!("bought{n}")),
                &format!("shop{}", n % 7),
                minor,
            );
        }
    };
    let town = |stream: &mut Stream, payments: u64, dear: u64| {
        for n in 0..payments {
            let (user, minor) = (format!("honest{n}"), if n % dear == 0 { 9000 } else { 2000 });
            stream.pay(&user, &format!("kiosk{}", n % 3), Some(&format!("own{n}")), "shop", minor);
        }
    };
    let device = |n| id(IdKind::Device, &format!("farm{n}"));
    let held = |options: &Options, stream: &Stream, size: usize| {
        let outputs = run(&mut engine(options), &stream.records, size);
        let told = newest(&outputs).into_iter().filter(|alert| alert.typology == Typology::HeldRing).cloned();
        told.collect::<Vec<Alert>>()
    };

    let options = holding(9000);
    let mut stream = Stream::new();
    town(&mut stream, 600, 40);
    // Two customers are no crowd.
    farm(&mut stream, 0..4, 9000);
    assert_eq!(held(&options, &stream, 64), []);
    farm(&mut stream, 4..7, 9000);
    let [alert] = &held(&options, &stream, 64)[..] else { panic!("a farm, and no kiosk") };
    let mut members: Vec<_> = alert.members.iter().map(|member| member.id).collect();
    members.sort();
    let users = (0..4).map(|n| id(IdKind::User, &format!("fake{n}")));
    let mut expected: Vec<_> = users.chain((1..4).map(device)).collect();
    expected.sort();
    assert_eq!((alert.subject, members), (Subject::Entity(IdKind::Device, device(0)), expected));
    assert_eq!((alert.events, alert.money_minor, alert.score, alert.edges.len()), (7, 7 * 9000, 550, 7));

    // What passes between speaks for them.
    let mut mild = Stream::new();
    town(&mut mild, 600, 40);
    for n in 0..4 {
        farm(&mut mild, n..n + 1, 9000);
        (0..6).for_each(|_| farm(&mut mild, n..n + 1, 100));
    }
    assert_eq!(held(&options, &mild, 64), []);

    // Whoever holds half of all knows nothing of anybody.
    let mut everything = Stream::new();
    town(&mut everything, 600, 2);
    farm(&mut everything, 0..9, 9000);
    assert_eq!(held(&options, &everything, 64), []);

    // A month between: what was held before is forgotten.
    let mut slow = Stream::new();
    town(&mut slow, 600, 40);
    farm(&mut slow, 0..4, 9000);
    slow.pass(Duration::DAY.times(31));
    farm(&mut slow, 4..5, 9000);
    assert_eq!(held(&options, &slow, 64), []);

    // Nobody wants to hear of it: from the start, or once they did.
    let suppressed = options.lists.lists.iter().position(|list| list.name == "suppressed").expect("it is declared") as u16;
    let mut hushed = Stream::new();
    let until = Some(hushed.now + Duration::DAY);
    hushed.list(ListChange { list: suppressed, id: device(0), until });
    farm(&mut hushed, 0..9, 9000);
    let mut between = Stream::new();
    farm(&mut between, 0..1, 9000);
    between.list(ListChange { list: suppressed, id: device(0), until });
    farm(&mut between, 1..9, 9000);
    let mut told = Stream::new();
    farm(&mut told, 0..9, 9000);
    told.list(ListChange { list: suppressed, id: device(0), until });
    for size in [1, 500] {
        assert_eq!(held(&options, &hushed, size), [], "batches of {size}");
        assert_eq!(held(&options, &between, size), [], "batches of {size}");
        let told = held(&options, &told, size);
        assert_eq!(told.iter().map(|alert| alert.status).collect::<Vec<_>>(), [AlertStatus::Suppressed], "batches of {size}");
    }
}

/// Families share a phone, and now and then one of them is refused, or has a card stolen.
#[test]
fn honest_families_are_no_rings() {
    let mut stream = Stream::new();
    for n in 0..4000u64 {
        let (family, person) = (n % 60, n / 60 % 4);
        let user = format!("user{family}-{person}");
        let event =
            stream.pay(&user, &format!("tablet{family}"), Some(&format!("card{family}-{}", person / 2)), &format!("shop{}", n % 31), 1500);
        if n % 97 == 0 {
            stream.result(event, PaymentStatus::DeclinedByIssuer);
        }
        if n % 1501 == 0 {
            stream.label(event, Verdict::Fraud);
        }
    }
    let outputs = run(&mut engine(&unbudgeted()), &stream.records, 64);
    let rings: Vec<_> = alerts(&outputs).into_iter().filter(|alert| alert.typology == Typology::SharedDevice).collect();
    assert!(rings.is_empty(), "{rings:#?}");
}

/// A machine tries cards at a shop; the shop and the machine call.
#[test]
fn cards_that_are_tried_are_found_at_the_device() {
    let mut stream = Stream::new();
    for n in 0..12 {
        let event = stream.pay("tester", "machine", Some(&format!("number{n}")), "charity", 100);
        if n % 4 != 3 {
            stream.result(event, PaymentStatus::DeclinedByIssuer);
        }
    }
    let outputs = run(&mut engine(&unbudgeted()), &stream.records, 64);
    let subjects: Vec<Subject> = newest(&outputs).iter().map(|alert| alert.subject).collect();
    let (machine, shop) = (id(IdKind::Device, "machine"), id(IdKind::Merchant, "charity"));
    assert_eq!(subjects, [Subject::Entity(IdKind::Device, machine), Subject::Entity(IdKind::Merchant, shop)]);
    let alert = newest(&outputs)[0];
    assert_eq!(alert.typology, Typology::CardTesting);
    // All cards but one, which passed before anybody could know.
    assert_eq!(alert.members.iter().filter(|member| member.kind == IdKind::Card).count(), 11, "{:?}", alert.members);
}

/// The hour's budget is for the weightiest; the others are held, and rise when there is room.
#[test]
fn an_hour_has_its_budget() {
    let mut stream = Stream::new();
    // Ten cards, each refused at four shops, the later the dearer.
    for card in 0..10 {
        for shop in 0..4 {
            let event = stream.pay(&format!("u{card}"), &format!("d{card}"), Some(&format!("c{card}")), &format!("s{shop}"), 1000 << card);
            stream.result(event, PaymentStatus::DeclinedByIssuer);
        }
    }
    let options = Options { alerts: AlertOptions { per_hour: 4, ..AlertOptions::default() }, ..options(GENEROUS) };
    let mut engine = engine(&options);
    let first = run(&mut engine, &stream.records, 64);
    let opened =
        |outputs: &[Output]| alerts(outputs).iter().filter(|alert| alert.version == 1).map(|alert| alert.number).collect::<Vec<_>>();
    assert_eq!(opened(&first).len(), 4);
    let held = engine.alert_counts(Kind::Fraud).held;
    assert!(held > 3, "{:?}", engine.alert_counts(Kind::Fraud));
    // The next hour: those that are held rise, the greatest first, for the half that is easy.
    stream.records.clear();
    stream.pass(Duration::HOUR);
    for n in 0..6 {
        stream.pay(&format!("new{n}"), &format!("device{n}"), None, "s0", 100);
    }
    let second = run(&mut engine, &stream.records, 64);
    let risen = opened(&second);
    assert_eq!(risen.len(), 2, "{risen:?}");
    assert!(risen[0] > risen[1], "the dearest first: {risen:?}");
    assert_eq!(engine.alert_counts(Kind::Fraud).held, held - 2);
}

/// Caught when planted: a suppression that was read as of the end of the batch.
#[test]
fn who_is_suppressed_goes_on_counting() {
    let options = unbudgeted();
    let suppressed = options.lists.lists.iter().position(|list| list.name == "suppressed").expect("it is declared") as u16;
    let mut stream = Stream::new();
    let farm = |stream: &mut Stream, users: std::ops::Range<usize>| {
        for n in users {
            let event = stream.pay(&format!("fake{n}"), "farm", Some(&format!("bought{n}")), &format!("shop{n}"), 5000);
            stream.result(event, PaymentStatus::DeclinedByIssuer);
        }
    };
    farm(&mut stream, 0..5);
    let until = stream.now + Duration::HOUR.times(2);
    stream.list(ListChange { list: suppressed, id: id(IdKind::Device, "farm"), until: Some(until) });
    farm(&mut stream, 5..8);
    stream.pass(Duration::HOUR.times(3));
    farm(&mut stream, 8..9);
    for size in [1, 7, 500] {
        let outputs = run(&mut engine(&options), &stream.records, size);
        let told: Vec<(AlertStatus, u64)> = alerts(&outputs)
            .iter()
            .filter(|alert| alert.subject == Subject::Entity(IdKind::Device, id(IdKind::Device, "farm")))
            .map(|alert| (alert.status, alert.events))
            .collect();
        let at = told.iter().position(|(status, _)| *status == AlertStatus::Suppressed).expect("it says so once");
        assert_eq!(told.iter().filter(|(status, _)| *status == AlertStatus::Suppressed).count(), 1, "{told:?}");
        assert_eq!(told[at].1, 5, "{told:?}");
        assert_eq!(told[at + 1], (AlertStatus::Open, 9), "what came meanwhile was counted: {told:?}");
    }
}

/// Nothing came for long: it is told once more, and gone.
#[test]
fn alerts_end() {
    let mut stream = Stream::new();
    for n in 0..5 {
        let event = stream.pay(&format!("fake{n}"), "farm", Some(&format!("bought{n}")), &format!("shop{n}"), 5000);
        stream.result(event, PaymentStatus::DeclinedByIssuer);
    }
    stream.pass(Duration::DAY.times(8));
    stream.pay("somebody", "else", None, "shop", 1);
    let mut engine: Engine = engine(&Options { alerts: AlertOptions::default(), ..options(GENEROUS) });
    let outputs = run(&mut engine, &stream.records, 64);
    assert_eq!(newest(&outputs).iter().map(|alert| alert.status).collect::<Vec<_>>(), [AlertStatus::Closed]);
    assert_eq!(engine.open_alerts().count(), 0);
}

/// A hundred thousand customers behind one device cost no more looks than sixteen, and the finding says that there are more.
#[test]
fn a_hub_is_cut() {
    let mut stream = Stream::new();
    let mut options = unbudgeted();
    options.limits.nodes_max = 150_000;
    options.limits.families[0].rows_max = 120_000;
    for n in 0..100_000u32 {
        let event = stream.pay(&format!("user{n}"), "kiosk", None, &format!("shop{}", n % 100), 100);
        if n >= 99_990 {
            stream.label(event, Verdict::Fraud);
        }
    }
    let outputs = run(&mut engine(&options), &stream.records, 256);
    let found: Vec<_> = newest(&outputs).into_iter().filter(|alert| alert.typology == Typology::SharedDevice).collect();
    let [ring] = found[..] else { panic!("{found:#?}") };
    assert!(ring.cut && ring.members.len() <= 26, "{} members", ring.members.len());
}
