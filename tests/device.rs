//! A device that forward passes run on is lost: no event is, and no decision comes out otherwise, in the engine and in a service.

mod house;

use house::model::{JUDGING, model, write};
use house::service::{PATIENCE, Room, now, runtime};
use house::{GENEROUS, digest, engine, options, records, run};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use weir::api::{Answer, Desk};
use weir::decision::Part;
use weir::engine::{Engine, NO_MODEL, NamedModel, Options, Output};
use weir::event::{Content, Control, ControlKind, Record, Sequence, Timestamp};
use weir::gnn::{Backend, Bound, DeviceLost, Inputs, Score, SeedBatch, SeedView};
use weir::journal::Disk;
use weir::metrics::Metrics;
use weir::runtime::{Backing, Service};
use weir::sim::device::{LOST, LostDevice};
use weir::topology::Topology;

fn judging(options: &Options) -> Engine {
    let mut engine = engine(options);
    let bound = Bound::new(model(1), &Inputs::new(&engine.layout().schema)).expect("its figures are counted here");
    engine.put_model_in_force(Some(NamedModel { name: [1; 16], model: Arc::new(bound) }), NO_MODEL);
    engine
}

fn lost() -> DeviceLost {
    DeviceLost { why: LOST.to_owned() }
}

/// Caught when planted: the scores that were written before the error taken for those of the batch.
#[test]
fn a_device_is_lost_and_nothing_else() {
    let (options, records) = (options(GENEROUS), records("tiny", 23, 1500));
    let mut here = judging(&options);
    let outputs = run(&mut here, &records, 64);
    let expected = (digest(&outputs), here.state_hash(), here.course());
    let scored = |output: &&Output| matches!(output, Output::Decision(decision) if decision.used.contains(Part::Gnn));
    assert!(outputs.iter().filter(scored).count() > 300, "the model judges");
    for (size, threads) in [(1, 1), (7, 1), (64, 1), (500, 2)] {
        for after in [0, 1, 9, u64::MAX] {
            let (mut there, device) = (judging(&Options { threads, ..options.clone() }), LostDevice::after(after));
            let asked = device.asked();
            there.put_backend(Box::new(device), 1);
            let outputs = run(&mut there, &records, size);
            let (asked, batches) = (asked.load(Ordering::Relaxed), records.len().div_ceil(size) as u64);
            let place = format!("batches of {size}, lost after {after}, asked {asked} times");
            assert_eq!((digest(&outputs), there.state_hash(), there.course()), expected, "{place}");
            let is_lost = after < asked;
            assert_eq!(there.take_lost(), is_lost.then(lost), "{place}");
            assert_eq!(there.take_lost(), None, "{place}: it is told once");
            assert!(if is_lost { asked == after + 1 } else { asked > 2 && asked <= batches }, "{place}");
        }
    }
}

/// Gives every score, with one bit of it turned.
struct WrongDevice;

impl Backend for WrongDevice {
    fn forward(&mut self, model: &Arc<Bound>, batch: SeedBatch<'_>, scores: &mut [Option<Score>]) -> Result<(), DeviceLost> {
        for (seed, score) in scores.iter_mut().enumerate() {
            let right = batch.judged[seed].and_then(|kind| model.score(SeedView { kind, row: batch.row(seed), egos: batch.egos, seed }));
            *score = right.map(|right| Score { probability: f32::from_bits(right.probability.to_bits() ^ 1), ..right });
        }
        Ok(())
    }
}

/// Caught when planted: scores taken as they come.
#[test]
fn a_device_with_other_bits_is_not_relied_on() {
    let (options, records) = (options(GENEROUS), records("tiny", 31, 1200));
    let expected = digest(&run(&mut judging(&options), &records, 64));
    let mut there = judging(&options);
    there.put_backend(Box::new(WrongDevice), 1);
    assert_eq!(digest(&run(&mut there, &records, 64)), expected);
    assert_eq!(there.take_lost(), Some(DeviceLost { why: "it gives other bits than the CPU".to_owned() }));
}

/// Small batches stay here: no device is asked. Caught when planted: records counted instead of what is judged of them.
#[test]
fn a_device_is_asked_from_so_many_seeds_on() {
    let (options, records) = (options(GENEROUS), records("tiny", 37, 1200));
    let mut judged = vec![0; records.len().div_ceil(64)];
    let outputs = run(&mut judging(&options), &records, 64);
    for output in &outputs {
        if let Output::Decision(decision) = output
            && decision.used.contains(Part::Gnn)
        {
            judged[(decision.sequence.0 - records[0].sequence.0) as usize / 64] += 1;
        }
    }
    assert!(judged.iter().min() < judged.iter().max(), "{judged:?}");
    for seeds_min in 1..=64 {
        let (mut there, device) = (judging(&options), LostDevice::after(u64::MAX));
        let asked = device.asked();
        there.put_backend(Box::new(device), seeds_min);
        assert_eq!(digest(&run(&mut there, &records, 64)), digest(&outputs));
        let enough = judged.iter().filter(|judged| **judged >= seeds_min).count();
        assert_eq!(asked.load(Ordering::Relaxed), enough as u64, "from {seeds_min} on, {judged:?}");
    }
}

/// A record that says where forward passes run decides as much as a tick that moves nothing. Caught when planted: one that took the model out
/// of force.
#[test]
fn a_record_of_a_backend_decides_nothing() {
    let (options, records) = (options(GENEROUS), records("tiny", 29, 1200));
    let with = |content: Content| {
        let mut with = records.clone();
        for place in [0, 17, 600] {
            with.insert(place, Record { content: content.clone(), ..records[place].clone() });
        }
        (0..).map(Sequence).zip(&mut with).for_each(|(sequence, record)| record.sequence = sequence);
        with
    };
    let told = with(Content::Control(Control { kind: ControlKind::Backend, blob: [5; 32] }));
    let expected = digest(&run(&mut judging(&options), &with(Content::Tick(Timestamp::MIN)), 64));
    for size in [1, 64, 500] {
        assert_eq!(digest(&run(&mut judging(&options), &told, size)), expected, "batches of {size}");
    }
}

fn value(metrics: &Metrics, name: &str) -> Option<String> {
    let text = String::from_utf8(metrics.render()).unwrap();
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned))
}

/// Callers hear nothing of it; the journal and the gauge do. Caught when planted: a record without its blob.
#[test]
fn a_service_goes_on_without_its_device() {
    const NAME: &str = "cuda:0 a simulated device";
    let room = Room::new(JUDGING);
    let a = write(&room.path("a.safetensors"), &model(1));
    let (topology, metrics) = (Topology::load(&[room.path("small.toml")]).unwrap(), Metrics::new("test"));
    let backing = Backing::of(NAME, Box::new(LostDevice::after(40)), 1);
    let service = Service::start_on(Arc::new(Disk), backing, &topology, &room.path("data"), &metrics, false).unwrap();
    let gauge = |device: &str| value(&metrics, &format!("gnn_backend{{device=\"{device}\"}}"));
    assert_eq!((gauge(NAME).as_deref(), gauge("cpu")), (Some("1"), None));
    let runtime = runtime();
    let mut outcomes = [0; 2];
    for number in 0..100u64 {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let payment = format!(
            r#"{{"id":"p-{number}","type":"payment","time":"{}","user":"u-{}","merchant":"m-{}","amount":{},"currency":"EUR"}}"#,
            now(),
            mixed % 31,
            mixed % 7,
            1 + mixed % 900
        );
        match runtime.block_on(service.authorize(payment.as_bytes(), Duration::from_secs(10))) {
            Answer::Decided { json, .. } => {
                let decision: Value = serde_json::from_slice(&json).unwrap();
                assert!(decision["model"] == a && decision["fraud_probability"].is_f64(), "{decision}");
                outcomes[usize::from(decision["outcome"] == "challenge")] += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(outcomes[0] > 0 && outcomes[1] > 0, "the rule that asks the model says both: {outcomes:?}");
    assert_eq!((gauge(NAME), gauge("cpu").as_deref()), (None, Some("1")));
    let until = Instant::now() + PATIENCE;
    while service.judged() < service.recorded() {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(1));
    }
    service.end().unwrap();
    drop(service);

    let exported = room.done(&["journal", "export", "data", "--all"]);
    let lines: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = lines.iter().filter(|line| line["kind"] == "backend").map(|line| &line["told"]).collect();
    assert_eq!(told, [&json!({ "device": "cpu", "why": format!("{NAME} is lost: {LOST}") })]);
    assert_eq!(lines.iter().filter(|line| line["type"] == "payment").count(), 100);
    let verified = room.json(&["journal", "verify", "data", "--json"]);
    assert_eq!(verified["problems"], json!([]));
    for batch in ["1", "256"] {
        let replayed = room.json(&["replay", "data", "--json", "--batch", batch]);
        assert_eq!(replayed["digest"], verified["digest"], "batches of {batch}");
    }
}
