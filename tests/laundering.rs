//! Laundering through the engine: what is found around transfers becomes alerts, one a scheme, and nothing depends on how records are cut.

mod house;
mod ring;

use house::{GENEROUS, digest, engine, options, run};
use ring::{Stream, id};
use std::collections::BTreeSet;
use weir::engine::{Alert, AlertLimits, AlertOptions, AlertStatus, Options, Output, Subject, Threshold};
use weir::event::{Duration, Id, IdKind, ListChange};
use weir::sim::company;
use weir::typology::Typology;
use weir::typology::laundering::{LaunderingOptions, Reach};

/// Every alert is told of at once, and none is over; no typology speaks but `structuring`, whose score is 75 a sum: four open an alert.
fn structuring() -> Options {
    let limits = AlertLimits { alerts_max: 300, members_max: 200, edges_max: 3000, evidence_rows_max: 200_000 };
    let mut laundering = [Threshold { alert: 2_002, interdict: 1_001 }; Typology::LAUNDERING.len()];
    laundering[Typology::Structuring as usize - Typology::FanIn as usize].alert = 300;
    let alerts = AlertOptions { limits, per_hour: 1_000_000, close_after: Duration::DAY.times(400), laundering, ..AlertOptions::default() };
    Options { alerts, ..options(GENEROUS) }
}

fn alerts(outputs: &[Output]) -> Vec<Alert> {
    outputs.iter().filter_map(|output| if let Output::Alert(alert) = output { Some(alert.clone()) } else { None }).collect()
}

fn account(name: &str) -> Id {
    id(IdKind::Account, name)
}

/// Sums just below the limit from one account, to each of these.
fn sums(stream: &mut Stream, from: &str, to: &str) {
    for to in to.split(' ') {
        stream.pass(Duration::HOUR);
        stream.send(from, to, &format!("phone of {from}"), 900_000);
    }
}

/// Of each version the number, its status, its events and how many belong to it.
fn told(options: &Options, stream: &Stream) -> Vec<(u64, AlertStatus, u64, usize)> {
    let outputs = run(&mut engine(options), &stream.records, 1);
    for size in [7, 256] {
        assert_eq!(alerts(&run(&mut engine(options), &stream.records, size)), alerts(&outputs), "batches of {size}");
    }
    alerts(&outputs).iter().map(|alert| (alert.number, alert.status, alert.events, alert.members.len())).collect()
}

#[test]
fn findings_around_one_scheme_become_one_alert() {
    let options = structuring();
    let mut stream = Stream::new();
    sums(&mut stream, "a", "x y z");
    assert_eq!(told(&options, &stream), [], "three are weak, and open none");
    sums(&mut stream, "a", "w");
    let first = (1, AlertStatus::Open, 4, 4);
    assert_eq!(told(&options, &stream), [first]);
    let opened = alerts(&run(&mut engine(&options), &stream.records, 64)).remove(0);
    assert_eq!((opened.subject, opened.typology), (Subject::Entity(IdKind::Account, account("a")), Typology::Structuring));
    assert_eq!((opened.score, opened.cut, opened.money_minor), (300, false, 4 * 900_000));
    let members: BTreeSet<Id> = opened.members.iter().map(|member| member.id).collect();
    assert_eq!(members, ["x", "y", "z", "w"].map(account).into());
    assert_eq!(opened.edges.len(), 4);
    assert!(opened.edges.iter().all(|edge| edge.from == account("a") && members.contains(&edge.to) && edge.amount_minor == 900_000));

    // A weak finding around whoever belongs to it joins, one around anybody else does not.
    sums(&mut stream, "q", "q1 q2 q3");
    sums(&mut stream, "x", "m n o");
    let grown = (1, AlertStatus::Open, 7, 7);
    assert_eq!(told(&options, &stream), [first, grown]);

    // Another one, that grows together with the first: the older takes it in.
    sums(&mut stream, "b", "r s t u");
    let second = (2, AlertStatus::Open, 4, 4);
    assert_eq!(told(&options, &stream), [first, grown, second]);
    sums(&mut stream, "v", "k l m r");
    let told = told(&options, &stream);
    assert_eq!(told[..3], [first, grown, second]);
    assert_eq!(told[3], (2, AlertStatus::Merged, 4, 4));
    // Its subject is a member now, and v and those whom it paid are.
    assert_eq!(told[4], (1, AlertStatus::Open, 7 + 4 + 4, 7 + 5 + 3));
    assert_eq!(told.len(), 5);
}

#[test]
fn an_account_is_hushed_and_counts_on() {
    let options = structuring();
    let suppressed = options.lists.lists.iter().position(|list| list.name == "suppressed").expect("it is declared") as u16;
    let hush = |stream: &mut Stream| {
        let until = Some(stream.now + Duration::DAY);
        stream.list(ListChange { list: suppressed, id: account("a"), until });
    };
    let mut before = Stream::new();
    hush(&mut before);
    sums(&mut before, "a", "x y z w v");
    assert_eq!(told(&options, &before), []);
    before.pass(Duration::DAY);
    sums(&mut before, "a", "u");
    assert_eq!(told(&options, &before), [(1, AlertStatus::Open, 6, 6)]);

    let mut after = Stream::new();
    sums(&mut after, "a", "x y z w");
    hush(&mut after);
    sums(&mut after, "a", "v");
    assert_eq!(told(&options, &after), [(1, AlertStatus::Open, 4, 4), (1, AlertStatus::Suppressed, 4, 4)]);
    after.pass(Duration::DAY);
    sums(&mut after, "a", "u");
    assert_eq!(told(&options, &after).last(), Some(&(1, AlertStatus::Open, 6, 6)));
}

/// What has no name any more proves nothing, and the alert says that there is more.
#[test]
fn what_is_too_old_to_be_named_is_said() {
    let mut options = structuring();
    options.alerts.limits.evidence_rows_max = 3;
    let mut stream = Stream::new();
    sums(&mut stream, "a", "x y z w");
    let [alert] = &alerts(&run(&mut engine(&options), &stream.records, 64))[..] else { panic!("one version") };
    assert_eq!((alert.cut, alert.events), (false, 4), "three rows, and the transfer itself");
    sums(&mut stream, "a", "v");
    let versions = alerts(&run(&mut engine(&options), &stream.records, 64));
    assert_eq!(versions.iter().map(|alert| (alert.cut, alert.events)).collect::<Vec<_>>(), [(false, 4), (true, 5)]);
    // The budget ends the search.
    let mut options = structuring();
    options.laundering.reach.visits_max = 4;
    let versions = alerts(&run(&mut engine(&options), &stream.records, 64));
    assert!(!versions.is_empty() && versions.iter().all(|alert| alert.cut), "{versions:?}");
}

/// A bank's ledger with schemes of all forms: the columns, what comes out, and the state are the same however the records are cut.
#[test]
fn batches_change_nothing() {
    let company = company::Options { transfers_alone: true, laundering_permyriad: 400, ..company::Options::of(3, 1000) };
    let records = ring::company::play(company, 30_000).records;
    let limits = AlertLimits { alerts_max: 40, members_max: 20, edges_max: 12, evidence_rows_max: 2_000 };
    let threshold = Threshold { alert: 250, interdict: 700 };
    let alerts = AlertOptions { limits, laundering: [threshold; Typology::LAUNDERING.len()], ..AlertOptions::default() };
    let mut options = Options { alerts, ..options(GENEROUS) };
    options.laundering = LaunderingOptions {
        reach: Reach { window: Duration::DAY.times(4), ..options.laundering.reach },
        young: Duration::DAY.times(5),
        rest: Duration::DAY.times(3),
        ..options.laundering
    };
    options.limits.nodes_max = 20_000;
    options.limits.families[0].rows_max = 60_000;
    let play = |size: usize| {
        let (mut engine, mut outputs, mut columns) = (engine(&options), Vec::new(), Vec::new());
        let at = engine.layout().laundering;
        for batch in records.chunks(size) {
            engine.step(batch, &mut |_| {}, &mut outputs);
            columns.extend(engine.judged_rows().flat_map(|(_, row)| row[at..at + 15 + Typology::LAUNDERING.len()].to_vec()));
        }
        (columns, digest(&outputs), outputs, engine.state_hash(), engine.course())
    };
    let (columns, once, outputs, state, course) = play(1);
    for size in [7, 256] {
        let again = play(size);
        assert!(again.0 == columns, "batches of {size}: columns");
        assert_eq!((again.1, again.3, again.4), (once, state, course), "batches of {size}");
    }
    let seen = self::alerts(&outputs).iter().fold(0, |bits, alert| bits | alert.typologies);
    assert!(seen.count_ones() >= 8, "{seen:b}");
    let width = 15 + Typology::LAUNDERING.len();
    for typology in Typology::LAUNDERING {
        let column = 15 + *typology as usize - Typology::FanIn as usize;
        let found = columns.chunks(width).filter(|row| row[column] > 0).count();
        println!("{}: {found} of {}", typology.name(), columns.len() / width);
        assert!(found > 0, "{}", typology.name());
    }
}
