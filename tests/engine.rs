//! What the engine promises of itself: nothing depends on how records are cut into batches, on threads, on what comes later, or on where
//! it was stopped and restored; and a fraud label that is taken back leaves nothing.

mod house;

use house::{GENEROUS, NARROW, digest, engine, happenings, options, recording, records, run, snapshot};
use weir::decision::{Status, Why};
use weir::engine::{CHECKPOINT_EVERY, Checkpoint, Engine, Options, Output};
use weir::event::{Answered, Body, Content, Duration, Effort, Event, IdKind, LabelSource, Origin, Record, Sequence, StandInWhy, Verdict};
use weir::graph::{Family, Head, Limits, NodeId, state};
use weir::sim::happening::{Happening, Oddity, Text};
use weir::sim::stream::{Recording, cut, record, shuffle_after};

const BOTH: [Limits; 2] = [GENEROUS, NARROW];

/// Caught when planted: stream time that moves on by a microsecond between two groups of a batch.
#[test]
fn batches_and_threads_change_nothing() {
    for limits in BOTH {
        let options = options(limits);
        let records = records("tiny", 11, 2500);
        let mut once = engine(&options);
        let (expected, state) = (digest(&run(&mut once, &records, 1)), once.state_hash());
        for (size, threads) in [(7, 1), (64, 1), (500, 1), (1, 2), (500, 2)] {
            let mut again = engine(&Options { threads, ..options.clone() });
            assert_eq!(digest(&run(&mut again, &records, size)), expected, "batches of {size} on {threads} threads");
            assert_eq!(again.state_hash(), state, "batches of {size} on {threads} threads");
            assert_eq!(again.derived_hash(), once.derived_hash(), "batches of {size} on {threads} threads");
        }
        let mut mixed = engine(&options);
        let mut out = Vec::new();
        for range in cut(records.len(), 90, 5) {
            mixed.step(&records[range], &mut |_| {}, &mut out);
        }
        assert_eq!((digest(&out), mixed.state_hash()), (expected, state), "batches of any size");
    }
}

/// The course is the same however records are cut, at every checkpoint, also in an engine that was restored between two of them; and one
/// event that is another one changes it for good.
///
/// Caught when planted: what the last record of a batch met taken for what each met.
#[test]
fn the_course_tells_engines_apart_and_nothing_else_does() {
    let options = options(GENEROUS);
    let records = records("tiny", 11, 25_000);
    assert!(records.len() as u64 > 2 * CHECKPOINT_EVERY, "{} records", records.len());
    let mut once = engine(&options);
    run(&mut once, &records, 1);
    let course = once.course();
    let checkpoints: Vec<Checkpoint> = once.checkpoints().collect();
    assert_eq!(checkpoints.len() as u64, records.len() as u64 / CHECKPOINT_EVERY);
    for (size, threads) in [(7, 1), (64, 1), (500, 1), (500, 2)] {
        let mut again = engine(&Options { threads, ..options.clone() });
        run(&mut again, &records, size);
        assert_eq!((again.course(), again.checkpoints().collect()), (course, checkpoints.clone()), "{size} on {threads} threads");
    }
    let stop = 12_345;
    let mut walking = engine(&options);
    run(&mut walking, &records[..stop], 64);
    let mut bytes = Vec::new();
    walking.write_snapshot(&mut bytes).unwrap();
    let mut restored = engine(&options);
    restored.restore_snapshot(&mut bytes.as_slice()).unwrap();
    run(&mut restored, &records[stop..], 64);
    assert_eq!((restored.course(), restored.checkpoints().collect::<Vec<_>>()), (course, checkpoints[1..].to_vec()));
    // One payment early in the stream costs a cent more.
    let mut other = records.clone();
    let changed = other.iter_mut().find_map(|record| match &mut record.content {
        Content::Event(Event { body: Body::Payment(payment), .. }) => {
            payment.amount.minor += 1;
            Some(record.sequence)
        }
        _ => None,
    });
    assert!(changed.is_some_and(|sequence| sequence.0 < CHECKPOINT_EVERY), "{changed:?}");
    let mut differing = engine(&options);
    run(&mut differing, &other, 64);
    assert!(differing.checkpoints().zip(&checkpoints).all(|(found, expected)| found.sequence == expected.sequence && found != *expected));
}

/// The outputs to the first records, as many as `kept` events became.
fn outputs_to(outputs: &[Output], before: Sequence) -> &[Output] {
    &outputs[..outputs.partition_point(|output| output.sequence() < before)]
}

/// Whatever comes after event k, decision k stands: also in the same batch, and though `received` of the later records is another.
#[test]
fn what_comes_later_changes_no_decision() {
    let plain = happenings("tiny", 12, 1500);
    for limits in BOTH {
        let options = options(limits);
        for kept in [1, 333, 1000, 1499] {
            let mut shuffled = plain.clone();
            shuffle_after(&mut shuffled, kept, 3);
            let (before, after) = (record(&plain, recording()), record(&shuffled, recording()));
            // Where the records part is where the first of the shuffled events stands.
            let same = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
            assert!(same >= kept, "{same} records are the same, {kept} events are");
            let outputs = [&before, &after].map(|records| run(&mut engine(&options), records, 64));
            let first = Sequence(same as u64);
            assert_eq!(outputs_to(&outputs[0], first), outputs_to(&outputs[1], first), "{kept} events kept");
            assert!(!outputs_to(&outputs[0], first).is_empty() || kept == 1);
        }
    }
}

/// Right after it was restored, and at the end. Caught when planted: a rebuild that takes any row of a pair for its newest.
#[test]
fn a_restored_engine_goes_on_as_if_nothing_had_been() {
    for limits in BOTH {
        let options = options(limits);
        let records = records("tiny", 13, 2600);
        let mut whole = engine(&options);
        let expected = run(&mut whole, &records, 64);
        let end = (whole.state_hash(), whole.derived_hash());
        let mut walking = engine(&options);
        let mut place = 0;
        for stop in (0..records.len()).step_by(211) {
            run(&mut walking, &records[place..stop], 64);
            place = stop;
            let mut restored = engine(&options);
            restored.restore_snapshot(&mut snapshot(&walking).as_slice()).expect("it was just written");
            assert_eq!(restored.state_hash(), walking.state_hash(), "after {stop} records");
            assert_eq!(restored.derived_hash(), walking.derived_hash(), "after {stop} records");
            assert_eq!(restored.now(), walking.now());
            let rest = run(&mut restored, &records[stop..], 64);
            assert_eq!(rest, expected[expected.len() - rest.len()..], "after {stop} records");
            assert_eq!((restored.state_hash(), restored.derived_hash()), end, "after {stop} records");
        }
    }
}

#[test]
fn a_snapshot_of_another_topology_or_a_torn_one_is_refused() {
    let options = options(NARROW);
    let mut written = engine(&options);
    run(&mut written, &records("tiny", 14, 300), 64);
    let bytes = snapshot(&written);
    let mut other = options.clone();
    other.provenance.topology = [7; 16];
    let error = engine(&other).restore_snapshot(&mut bytes.as_slice()).unwrap_err();
    assert_eq!(error.to_string(), "snapshot: it was written under another topology");
    for length in [0, 7, 40, bytes.len() / 2, bytes.len() - 1] {
        assert!(engine(&options).restore_snapshot(&mut &bytes[..length]).is_err(), "{length} bytes");
    }
}

/// The world without its own labels, so that the test's labels are the only ones.
fn unlabelled(seed: u64, events: u64) -> Vec<Happening> {
    let mut all = happenings("tiny", seed, events);
    all.retain(|happening| !matches!(happening.body, Text::Label { .. }));
    all
}

/// A label: how long after its event, and what it says.
type Later = (Duration, Verdict, LabelSource);

/// `plain` with the `labels` of every third payment or transfer among its first `labelled` events, each sent when the clock has reached it.
fn with_labels(plain: &[Happening], labelled: usize, labels: impl Fn(&Happening) -> Vec<Later>) -> Vec<Happening> {
    let mut all: Vec<Happening> = Vec::new();
    let mut clock = plain[0].time;
    let mut waiting: Vec<Happening> = Vec::new();
    for (place, happening) in plain.iter().enumerate() {
        if happening.oddity == Oddity::None {
            clock = clock.max(happening.time);
        }
        waiting.sort_by_key(|label| label.time);
        let due = waiting.partition_point(|label| label.time <= clock);
        all.extend(waiting.drain(..due));
        all.push(happening.clone());
        let money = matches!(happening.body, Text::Payment { .. } | Text::Transfer { .. });
        if money && happening.oddity == Oddity::None && place < labelled && place % 3 == 0 {
            for (number, (delay, label, source)) in labels(happening).into_iter().enumerate() {
                let id = format!("label {number} of {}", happening.id);
                let body = Text::Label { target: happening.id.clone(), label, source, scenario: None, user: None, from: None };
                waiting.push(Happening { id, time: happening.time + delay, body, oddity: Oddity::None });
            }
        }
    }
    all
}

/// The records of a stream, and the same with ticks of the same times in the places of its labels.
fn labelled_and_not(stream: &[Happening]) -> [Vec<Record>; 2] {
    let labelled = record(stream, Recording { unresolved: 0, ..recording() });
    let mut silent = labelled.clone();
    let mut labels = 0;
    for record in &mut silent {
        let Content::Event(Event { body: Body::Label(label), time, .. }) = &record.content else { continue };
        assert!(label.resolved.is_some(), "{label:?}");
        labels += 1;
        record.content = Content::Tick(*time);
    }
    assert!(labels > 100, "{labels} labels");
    [labelled, silent]
}

/// The maturity of the source that will send `happening`.
fn maturity(options: &Options, happening: &Happening) -> Duration {
    let id = recording().key.id(IdKind::Event, happening.id.as_bytes());
    let source = &options.sources[(id.low() % options.sources.len() as u64) as usize];
    source.maturity.unwrap_or(options.labels.maturity)
}

/// Caught when planted: a lifetime count of bads that is not taken back.
#[test]
fn fraud_that_is_taken_back_leaves_nothing() {
    let options = options(GENEROUS);
    let plain = unlabelled(15, 2500);
    let (hour, day) = (Duration::HOUR, Duration::DAY);
    let overruled = |_: &Happening| {
        vec![
            (hour, Verdict::Fraud, LabelSource::Chargeback),
            (hour.times(2), Verdict::Legitimate, LabelSource::Rule),
            (day.times(3), Verdict::Laundering, LabelSource::Chargeback),
            (day.times(4), Verdict::Legitimate, LabelSource::Analyst),
        ]
    };
    let labelled = plain.len() / 2;
    // The last label is four days, the longest maturity five days behind its event.
    let settled = plain[..labelled].iter().filter(|happening| happening.oddity == Oddity::None).map(|happening| happening.time).max();
    let settled = settled.expect("there are events") + day.times(5);
    let runs = labelled_and_not(&with_labels(&plain, labelled, overruled)).map(|records| {
        let mut engine = engine(&options);
        let (mut early, mut later, mut out) = (Vec::new(), Vec::new(), Vec::new());
        for record in &records {
            out.clear();
            engine.step(std::slice::from_ref(record), &mut |_| {}, &mut out);
            let judged = engine.judged_rows().map(|(sequence, row)| (sequence, row.to_vec()));
            if engine.now() > settled { later.extend(judged.zip(out.clone())) } else { early.extend(judged) }
        }
        let nodes = &engine.graph().nodes;
        let bads: u32 = (0..nodes.len() as u32).map(|node| nodes.bads(NodeId(node))).sum();
        (early, later, bads, states(&engine), engine.derived_hash())
    });
    let [labelled, silent] = runs;
    assert!(labelled.1.len() > 200, "{} decisions after all is settled", labelled.1.len());
    assert_ne!(labelled.0, silent.0, "the labels were felt while they stood");
    assert_eq!(labelled.1, silent.1, "later decisions");
    assert_eq!((labelled.2, silent.2), (0, 0), "bads");
    assert_eq!(labelled.3, silent.3, "states");
    assert_eq!(labelled.4, silent.4, "windows and pairs");
}

/// The states of all warm nodes, to the bit.
fn states(engine: &Engine) -> Vec<[u32; state::STATE]> {
    let graph = engine.graph();
    let mut all = Vec::new();
    for family in Family::ALL {
        for node in (0..graph.nodes.len() as u32).map(NodeId) {
            if let Head::Warm(record) = graph.nodes.head(node, family) {
                all.push(state::sums(graph.warm[family as usize].record(record)).map(f32::to_bits));
            }
        }
    }
    all
}

/// Silence until the maturity is over says the same as `legitimate` at that moment. Caught when planted: `<=` for `<` where a row
/// matures.
#[test]
fn silence_until_the_maturity_says_legitimate() {
    let options = options(GENEROUS);
    let plain = unlabelled(16, 2500);
    let confirmed = |happening: &Happening| vec![(maturity(&options, happening), Verdict::Legitimate, LabelSource::Analyst)];
    let runs = labelled_and_not(&with_labels(&plain, plain.len(), confirmed)).map(|records| {
        let mut engine = engine(&options);
        let digest = digest(&run(&mut engine, &records, 64));
        (digest, engine.derived_hash())
    });
    assert_eq!(runs[0], runs[1]);
}

/// An engine that is asked for less still counts all.
#[test]
fn effort_changes_what_is_read_and_nothing_that_is_kept() {
    let mut options = options(GENEROUS);
    // What the guard keeps is how much is declined: no rule that declines may ask for what less effort does not read.
    options.policy.rules.retain(|rule| rule.name != "lively");
    let full = records("tiny", 17, 1500);
    let mut less = full.clone();
    less.iter_mut().step_by(2).for_each(|record| record.effort = Effort::RulesOnly);
    let mut engines = [engine(&options), engine(&options)];
    let outputs = [run(&mut engines[0], &full, 64), run(&mut engines[1], &less, 64)];
    assert_eq!(engines[0].state_hash(), engines[1].state_hash());
    let said = |outputs: &[Output]| {
        let decisions = outputs.iter().filter_map(|output| match output {
            Output::Decision(decision) => Some(decision),
            Output::Rejected(_) | Output::Alert(_) => None,
        });
        decisions.filter(|decision| decision.skipped.as_slice().iter().any(|skip| skip.why == Why::Effort)).count()
    };
    assert_eq!(said(&outputs[0]), 0);
    assert!(said(&outputs[1]) > 100);
}

/// The record with all sequences doubled, so that there is room between them.
fn spaced(record: &Record) -> Record {
    let mut record = record.clone();
    record.sequence.0 *= 2;
    if let Content::Event(event) = &mut record.content {
        let resolved = match &mut event.body {
            Body::Label(label) => label.resolved.as_mut(),
            Body::PaymentResult(result) => result.resolved.as_mut(),
            _ => None,
        };
        if let Some(target) = resolved {
            target.sequence.0 *= 2;
        }
    }
    record
}

/// Caught when planted: an awaited event that is taken for a duplicate; a second `answered` record that answers again.
#[test]
fn a_stand_in_changes_no_judgement_but_its_revision() {
    let options = options(GENEROUS);
    let plain: Vec<Record> = records("tiny", 17, 2000).iter().map(spaced).collect();
    let judged = run(&mut engine(&options), &plain, 64);
    let is_judged = |sequence| judged.iter().any(|output| matches!(output, Output::Decision(d) if d.sequence == sequence));
    let (mut answered, mut stand_ins) = (Vec::new(), 0);
    for record in &plain {
        let Content::Event(event) = &record.content else {
            answered.push(record.clone());
            continue;
        };
        // Every third judged event, by turns before its own record and behind it; behind it twice.
        let turn = (record.sequence.0 / 2) % 6;
        let concerned = turn.is_multiple_of(3) && is_judged(record.sequence) && record.sequence.0 > 0;
        let answer = |sequence: u64, revision| {
            let said = Answered {
                event: event.id,
                fingerprint: event.fingerprint(),
                kind: event.body.kind(),
                key: event.id,
                time: event.time,
                revision,
                outcome: 2,
                why: StandInWhy::Deadline,
            };
            let content = Content::Answered(said);
            Record { sequence: Sequence(sequence), origin: Origin::engine(), content, ..record.clone() }
        };
        if concerned && turn == 0 {
            answered.push(answer(record.sequence.0 - 1, 1));
            stand_ins += 1;
        }
        answered.push(record.clone());
        if concerned && turn == 3 {
            answered.extend([answer(record.sequence.0 + 1, 2), answer(record.sequence.0 + 1, 2)]);
            stand_ins += 1;
        }
    }
    assert!(stand_ins > 100, "{stand_ins}");
    let mut once = engine(&options);
    let all = run(&mut once, &answered, 1);
    let (said, own): (Vec<&Output>, Vec<&Output>) =
        all.iter().partition(|output| matches!(output, Output::Decision(d) if d.status == Status::Fallback));
    assert_eq!(said.len(), stand_ins);
    assert_eq!(own.len(), judged.len());
    let mut second = 0;
    for (own, judged) in own.into_iter().zip(&judged) {
        let own = match own {
            Output::Decision(decision) => {
                second += usize::from(decision.revision == 2);
                Output::Decision(weir::decision::Decision { revision: 1, ..*decision })
            }
            other => other.clone(),
        };
        assert_eq!(own, *judged);
    }
    let early = said.iter().filter(|output| matches!(output, Output::Decision(d) if d.revision == 1)).count();
    assert_eq!(second, early, "an event is judged as revision 2 where its stand-in came first");
    let mut again = engine(&options);
    assert_eq!(digest(&run(&mut again, &answered, 64)), digest(&all));
    assert_eq!(again.state_hash(), once.state_hash());
}
