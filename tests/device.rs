//! A device that forward passes run on is lost: no event is, and no decision comes out otherwise, in the engine and in a service.

mod house;

use house::model::{JUDGING, model, write};
use house::service::{PATIENCE, Room, now, runtime};
use house::{GENEROUS, digest, engine, options, records, run};
use serde_json::{Value, json};
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use weir::api::{Answer, Desk};
use weir::decision::Part;
use weir::engine::{Engine, NO_MODEL, NamedModel, Options, Output};
use weir::event::{Content, Control, ControlKind, Record, Sequence, Timestamp};
use weir::gnn::{Backend, Bound, DeviceLost, Inputs, Score, SeedBatch, SeedView};
use weir::journal::{Disk, Files, ReadFile, WriteFile};
use weir::metrics::Metrics;
use weir::runtime::{Backing, Node, Peer, Service, Standby};
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

fn why_lost(engine: &mut Engine) -> Option<DeviceLost> {
    engine.take_lost().map(|(lost, _)| lost)
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
            assert_eq!(Arc::strong_count(&asked), 2, "no step lets go of a device");
            let (asked, batches) = (asked.load(Ordering::Relaxed), records.len().div_ceil(size) as u64);
            let place = format!("batches of {size}, lost after {after}, asked {asked} times");
            assert_eq!((digest(&outputs), there.state_hash(), there.course()), expected, "{place}");
            let is_lost = after < asked;
            assert_eq!(why_lost(&mut there), is_lost.then(lost), "{place}");
            assert_eq!(why_lost(&mut there), None, "{place}: it is told once");
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
    assert_eq!(why_lost(&mut there), Some(DeviceLost { why: "it gives other bits than the CPU".to_owned() }));
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
    let text = String::from_utf8(metrics.render(true)).unwrap();
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned))
}

const NAME: &str = "cuda:0 a simulated device";

/// Whether the gauge names the simulated device, and whether it names the CPU.
fn shown(metrics: &Metrics) -> [bool; 2] {
    [NAME, "cpu"].map(|device| value(metrics, &format!("gnn_backend{{device=\"{device}\"}}")).as_deref() == Some("1"))
}

fn payment(number: u64) -> String {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    format!(
        r#"{{"id":"p-{number}","type":"payment","time":"{}","user":"u-{}","merchant":"m-{}","amount":{},"currency":"EUR"}}"#,
        now(),
        mixed % 31,
        mixed % 7,
        1 + mixed % 900
    )
}

/// What the model `model` says of a payment.
fn judged(runtime: &Runtime, desk: &impl Desk, number: u64, model: &str) -> Value {
    match runtime.block_on(desk.authorize(payment(number).as_bytes(), Duration::from_secs(10))) {
        Answer::Decided { json, .. } => {
            let decision: Value = serde_json::from_slice(&json).unwrap();
            assert!(decision["model"] == model && decision["fraud_probability"].is_f64(), "{decision}");
            decision
        }
        other => panic!("{other:?}"),
    }
}

/// A room whose topology names a model, and the model's name.
fn judging_room() -> (Room, String) {
    let room = Room::new(JUDGING);
    let name = write(&room.path("a.safetensors"), &model(1));
    (room, name)
}

fn topology(room: &Room) -> Topology {
    Topology::load(&[room.path("small.toml")]).unwrap()
}

/// A service in `data` of the room, with forward passes where `backing` says.
fn start(room: &Room, backing: Backing, metrics: &Metrics) -> Service {
    Service::start_on(Arc::new(Disk), backing, &topology(room), &room.path("data"), metrics, false).unwrap()
}

fn until(what: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !what() {
        assert!(Instant::now() < until, "it does not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn end(service: Service) {
    until(|| service.judged() == service.recorded());
    service.end().unwrap();
}

/// What a record says of who leads.
fn leads(device: &str) -> Value {
    json!({ "device": device, "why": "who leads runs them here" })
}

/// The journal in `data`: how many payments, and what is told of devices. A replay on the CPU gives what was served.
fn kept(room: &Room, data: &str) -> (usize, Vec<Value>) {
    let exported = room.done(&["journal", "export", data, "--all"]);
    let lines: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = lines.iter().filter(|line| line["kind"] == "backend").map(|line| line["told"].clone()).collect();
    let verified = room.json(&["journal", "verify", data, "--json"]);
    assert_eq!(verified["problems"], json!([]));
    for batch in ["1", "256"] {
        let replayed = room.json(&["replay", data, "--json", "--backend", "cpu", "--batch", batch]);
        assert_eq!(replayed["digest"], verified["digest"], "batches of {batch}");
    }
    (lines.iter().filter(|line| line["type"] == "payment").count(), told)
}

/// Callers hear nothing of it; the journal and the gauge do. Caught when planted: a record without its blob.
#[test]
fn a_service_goes_on_without_its_device() {
    let (room, a) = judging_room();
    let (metrics, runtime) = (Metrics::new("test"), runtime());
    let service = start(&room, Backing::of(NAME, Box::new(LostDevice::after(40)), 1), &metrics);
    assert_eq!(shown(&metrics), [true, false]);
    let mut outcomes = [0; 2];
    for number in 0..100 {
        outcomes[usize::from(judged(&runtime, &service, number, &a)["outcome"] == "challenge")] += 1;
    }
    assert!(outcomes[0] > 0 && outcomes[1] > 0, "the rule that asks the model says both: {outcomes:?}");
    assert_eq!(shown(&metrics), [false, true]);
    end(service);
    let lost = json!({ "device": "cpu", "why": format!("{NAME} is lost: {LOST}") });
    assert_eq!(kept(&room, "data"), (100, vec![leads(NAME), lost]));
}

/// The journal knows which device it is: where a start finds another one it says so, and else nothing. Where the journal says nothing it is
/// the CPU. Caught when planted: no record, one at every start, and a journal without one that names nothing.
#[test]
fn a_start_on_another_device_is_recorded() {
    let (room, a) = judging_room();
    let runtime = runtime();
    for (number, (device, expected)) in
        [("cpu", vec![]), (NAME, vec![NAME]), (NAME, vec![NAME]), ("cpu", vec![NAME, "cpu"]), ("cpu", vec![NAME, "cpu"])]
            .into_iter()
            .enumerate()
    {
        let backing = match device {
            NAME => Backing::of(NAME, Box::new(LostDevice::after(u64::MAX)), 1),
            _ => Backing::cpu(),
        };
        let service = start(&room, backing, &Metrics::new("test"));
        judged(&runtime, &service, number as u64, &a);
        end(service);
        assert_eq!(kept(&room, "data"), (number + 1, expected.into_iter().map(leads).collect()), "start {number}");
    }
}

/// Passes when whoever holds it open lets go.
type Gate = Receiver<()>;

/// A device that is lost at once, whose driver then does not come back until it may, and says in which thread it did.
struct Stuck(LostDevice, Gate, Sender<Option<String>>);

impl Backend for Stuck {
    fn forward(&mut self, model: &Arc<Bound>, batch: SeedBatch<'_>, scores: &mut [Option<Score>]) -> Result<(), DeviceLost> {
        self.0.forward(model, batch, scores)
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        let _ = self.1.recv();
        let _ = self.2.send(std::thread::current().name().map(str::to_owned));
    }
}

/// The disk, which makes no blob until it may.
#[derive(Clone, Debug, Default)]
struct Slow(Arc<Mutex<Option<Gate>>>);

impl Files for Slow {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        Disk.create_dir(dir)
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        if path.parent().is_some_and(|dir| dir.ends_with("blobs"))
            && let Some(gate) = &*self.0.lock().unwrap()
        {
            let _ = gate.recv();
        }
        Disk.create(path)
    }
    fn append(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        Disk.append(path)
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        Disk.open(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        Disk.list(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        Disk.sync_dir(dir)
    }
}

/// Neither its driver nor the disk that hears of it holds up an answer. Caught when planted: a lost device let go of in the step, and by the
/// judge; its record's blob written before the answers were given.
#[test]
fn nobody_waits_for_a_lost_device() {
    let (room, a) = judging_room();
    let (files, runtime, metrics) = (Slow::default(), runtime(), Metrics::new("test"));
    let (gate, (left, gone)) = (channel(), channel());
    let stuck = Stuck(LostDevice::after(0), gate.1, left);
    let backing = Backing::of(NAME, Box::new(stuck), 1);
    let service = Service::start_on(Arc::new(files.clone()), backing, &topology(&room), &room.path("data"), &metrics, false).unwrap();
    // Before the service, whatever happens: it waits for its threads.
    let (frees, blobs) = (gate.0, channel());
    *files.0.lock().unwrap() = Some(blobs.1);
    judged(&runtime, &service, 0, &a);
    drop(blobs.0);
    for number in 1..20 {
        judged(&runtime, &service, number, &a);
    }
    end(service);
    assert_eq!((shown(&metrics), gone.try_recv()), ([false, true], Err(TryRecvError::Empty)));
    drop(frees);
    assert_eq!(gone.recv_timeout(PATIENCE), Ok(Some("lost device".to_owned())));
    assert_eq!((kept(&room, "data").0, kept(&room, "data").1.len()), (20, 2));
}

/// A standby steps on a device of its own, beside a leader on the CPU, and leads on it; the journal says so from where it leads. One that
/// lost it meanwhile leads on the CPU, as the journal says already. Caught when planted: a device that only who leads asks, no record, and the
/// name kept of one that was lost.
#[test]
fn a_standby_is_promoted_with_its_device() {
    for (after, told) in [(u64::MAX, vec![leads(NAME)]), (3, vec![])] {
        let (room, a) = judging_room();
        let (metrics, runtime, topology) = (Metrics::new("test"), runtime(), topology(&room));
        let leader = room.start("first", &["--backend", "cpu"]);
        let (device, peer) = (LostDevice::after(after), Peer::new(&leader.url(), None, None).unwrap());
        let asked = device.asked();
        let backing = Backing::of(NAME, Box::new(device), 1);
        let standby = Standby::start_on(backing, &topology, &room.path("second"), peer, &metrics, false).unwrap();
        let node = Node::follow(topology, &room.path("second"), standby, &metrics);
        let is_lost = after < u64::MAX;
        let mut caller = leader.caller();
        for number in 0..50 {
            assert_eq!(caller.ask("POST", "/v1/authorizations", &payment(number)).unwrap().0, 200);
            // One by one, so that it is asked often enough.
            until(|| is_lost && shown(&metrics) == [false, true] || asked.load(Ordering::Relaxed) > number);
        }
        assert_eq!(shown(&metrics), [!is_lost, is_lost]);
        let promoted = runtime.block_on(node.promote(false)).unwrap();
        assert_eq!((&promoted["old_leader_fenced"], &promoted["missing"]), (&json!(true), &json!(0)));
        for number in 50..100 {
            judged(&runtime, &node, number, &a);
        }
        assert_eq!(shown(&metrics), [!is_lost, is_lost]);
        assert_eq!(asked.load(Ordering::Relaxed), if is_lost { after + 1 } else { 100 });
        node.end().unwrap();
        drop(node);
        assert_eq!(kept(&room, "second"), (100, told));
    }
}
