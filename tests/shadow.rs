//! Who looks at the models: a shadow whose scores are compared and never used, drift against the reference, precision and recall as labels
//! come. Whatever they do, what was served is what a replay without any of them gives.

mod house;

use house::model::{model, write};
use house::service::{PATIENCE, Room, runtime};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir::api::{Answer, Desk, Submitted};
use weir::event::Timestamp;
use weir::gnn::{Model, Reference, Spread};
use weir::metrics::Metrics;
use weir::runtime::Service;
use weir::topology::Topology;

/// Rules that hang on what the model says, at two thresholds.
const RULES: &str = "
[policy.rule.model]
of = \"payment\"
when = \"model_probability > 0.5\"
outcome = \"challenge\"
risk_score = 470
[policy.rule.model_and_amount]
of = \"payment\"
when = \"amount > 100 && 0.625 <= model_probability\"
outcome = \"review\"
risk_score = 610
";

fn room(files: &str) -> Room {
    let room = Room::new(&format!("{RULES}[model]\n{files}"));
    write(&room.path("a.safetensors"), &model(1));
    write(&room.path("b.safetensors"), &model(2));
    room
}

/// A model of finite numbers that says what is none: what is too much is taken from what is too much.
fn no_number() -> Model {
    let mut model = model(3);
    model.narrow_bias = [f32::MAX; _];
    model.narrow.as_flattened_mut().fill(f32::MAX);
    let branch = model.payment.as_mut().unwrap();
    branch.head = std::array::from_fn(|unit| if unit < 16 { f32::MAX } else { f32::MIN });
    model
}

/// A service in this process.
struct Served {
    service: Arc<Service>,
    metrics: Metrics,
    runtime: tokio::runtime::Runtime,
}

impl Served {
    fn start(room: &Room, data: &str) -> Served {
        let (metrics, topology) = (Metrics::new("test"), Topology::load(&[room.path("small.toml")]).unwrap());
        let service = Arc::new(Service::start(&topology, &room.path(data), &metrics, false).unwrap());
        Served { service, metrics, runtime: runtime() }
    }

    fn pay(&self, id: &str, number: u64, time: Timestamp) -> Value {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let body = format!(
            r#"{{"id":"{id}","type":"payment","time":"{time}","user":"u-{}","merchant":"m-{}","amount":{},"currency":"EUR"}}"#,
            mixed % 301,
            mixed % 31,
            1 + mixed % 900
        );
        match self.runtime.block_on(self.service.authorize(body.as_bytes(), Duration::from_secs(10))) {
            Answer::Decided { json, .. } => serde_json::from_slice(&json).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn pay_many(&self, count: u64) -> Vec<Value> {
        (0..count).map(|number| self.pay(&format!("p-{number}"), number, now())).collect()
    }

    fn label(&self, target: &str, time: Timestamp, verdict: &str, source: &str) {
        let line = json!({ "id": format!("l-{target}-{verdict}"), "type": "label", "time": time.to_string(), "target": target, "label": verdict, "source": source });
        let submitted = self.runtime.block_on(self.service.submit(line.to_string().as_bytes()));
        assert!(matches!(submitted, Submitted::Recorded { .. }), "{submitted:?}");
    }

    /// The figure of this name with its labels, once it is there and `holds`.
    fn until(&self, name: &str, holds: impl Fn(f64) -> bool) -> f64 {
        let until = Instant::now() + PATIENCE;
        loop {
            let text = String::from_utf8(self.metrics.render(true)).unwrap();
            let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
            if let Some(found) = found.filter(|found| holds(*found)) {
                return found;
            }
            assert!(Instant::now() < until, "{name} is {found:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// How many events the shadow was compared by, at one threshold.
    fn compared(&self) -> u64 {
        let count = |reached| self.metrics.model_shadow_compared_total.with_label_values(&["payment", "0.5", reached]).get();
        ["both", "serving", "shadow", "neither"].into_iter().map(count).sum()
    }
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(since.as_micros() as i64)
}

/// What was served is what a replay gives, which knows of no shadow.
fn served_as_without(room: &Room, data: &str, decisions: &[Value]) {
    assert!(decisions.iter().all(|decision| decision["status"] == "evaluated" || decision["status"] == "degraded"));
    let verified = room.json(&["journal", "verify", data, "--json"]);
    for batch in ["1", "256"] {
        let replayed = room.json(&["replay", data, "--json", "--batch", batch]);
        assert_eq!(replayed["digest"], verified["digest"], "{data}, batch {batch}");
    }
}

#[test]
fn a_shadow_is_compared_and_never_used() {
    let room = room("file = \"a.safetensors\"\nshadow = \"b.safetensors\"\n");
    let served = Served::start(&room, "data");
    let decisions = served.pay_many(700);
    let until = Instant::now() + PATIENCE;
    while served.compared() + served.metrics.model_unwatched_total.get() < 700 {
        assert!(Instant::now() < until, "{} compared", served.compared());
        std::thread::sleep(Duration::from_millis(10));
    }
    let compared = served.compared();
    assert_eq!((served.metrics.model_shadow_invalid_total.get(), served.metrics.model_shadow_difference.get_sample_count()), (0, compared));
    served.service.end();
    // The database of texts is for one at a time.
    drop(served);
    served_as_without(&room, "data", &decisions);

    // Each line says what was answered; what the shadow says is another model's word, the one that this model says where it serves.
    let lines = std::fs::read_to_string(room.path("data/shadow.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len() as u64, compared);
    let answered = |line: &Value| decisions.iter().find(|decision| decision["sequence"] == line["sequence"]).unwrap().clone();
    for line in &lines {
        let decision = answered(line);
        assert_eq!((&line["probability"], &line["model"]), (&decision["fraud_probability"], &decision["model"]));
        assert!(line["shadow_probability"].is_f64());
    }
    assert!(lines.iter().filter(|line| line["shadow_probability"] != line["probability"]).count() > 600);
    room.done(&["journal", "export", "data", "--out", "events.jsonl"]);
    room.done(&["replay", "events.jsonl", "-t", "small.toml", "--model", "b.safetensors", "--out", "judged-by-b"]);
    let judged = room.done(&["tail", "decisions", "--data", "judged-by-b"]);
    let judged: Vec<Value> = judged.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        let id = &answered(line)["event_id"];
        let alone = judged.iter().find(|decision| decision["event_id"] == *id).unwrap();
        assert_eq!(alone["fraud_probability"], line["shadow_probability"], "{id}");
    }
    let told = room.done(&["check", "small.toml"]);
    assert!(told.contains("  model     ") && told.contains("  shadow    "), "{told}");
}

/// It is behind, and says so; nobody waits for it, not even the end.
#[test]
fn nobody_waits_for_a_slow_shadow() {
    let room = room("file = \"a.safetensors\"\nshadow = \"b.safetensors\"\n");
    let served = Served::start(&room, "data");
    // Some ten thousand times slower than it is: hundreds of events of the two thousand find room.
    served.service.slow_shadow(Duration::from_millis(100));
    let decisions = served.pay_many(2_000);
    assert!(served.metrics.model_unwatched_total.get() > 0 && served.compared() < 2_000);
    served.service.end();
    served_as_without(&room, "data", &decisions);
}

/// Caught as it was written: the probability of a logit that is no number, which is one.
#[test]
fn a_shadow_that_says_no_number_is_counted() {
    let room = room("file = \"a.safetensors\"\nshadow = \"nan.safetensors\"\n");
    write(&room.path("nan.safetensors"), &no_number());
    let served = Served::start(&room, "data");
    let decisions = served.pay_many(300);
    served.until("model_shadow_invalid_total", |count| count + served.metrics.model_unwatched_total.get() as f64 == 300.0);
    assert_eq!((served.compared(), served.metrics.model_shadow_difference.get_sample_count()), (0, 0));
    served.service.end();
    served_as_without(&room, "data", &decisions);
    let lines = std::fs::read_to_string(room.path("data/shadow.jsonl")).unwrap();
    assert!(lines.lines().all(|line| line.ends_with("\"shadow_probability\":null}")), "{lines}");
}

/// A rule must not take it for certainty. Caught as it was written: the probability of a logit that is no number, which is one.
#[test]
fn what_a_serving_model_says_without_a_number_is_left_out() {
    let room = room("file = \"nan.safetensors\"\n");
    write(&room.path("nan.safetensors"), &no_number());
    let served = Served::start(&room, "data");
    let decisions = served.pay_many(300);
    served.service.end();
    served_as_without(&room, "data", &decisions);
    for decision in &decisions {
        let left_out = json!({ "part": "gnn", "why": "what the model said is no number" });
        assert_eq!((&decision["fraud_probability"], &decision["status"]), (&Value::Null, &json!("degraded")), "{decision}");
        assert!(decision["skipped"].as_array().unwrap().contains(&left_out), "{decision}");
        assert!(!decision["used"].as_array().unwrap().contains(&json!("gnn")), "{decision}");
        assert!(decision["reasons"].as_array().unwrap().iter().all(|reason| reason["code"] != "model_fraud"), "{decision}");
    }
}

fn uniform(edges: &[f32]) -> Spread {
    Spread { edges: edges.to_vec(), shares: vec![1.0 / (edges.len() + 1) as f32; edges.len() + 1] }
}

/// Amounts are drawn evenly up to 900.
#[test]
fn drift_is_told_against_the_reference() {
    let room = room("file = \"known.safetensors\"\n");
    let mut known = model(1);
    // As they come; as they do not come; and scores of which none is there to be met.
    let figures = vec![("amount".to_owned(), uniform(&[180.0, 360.0, 540.0, 720.0])), ("hour".to_owned(), uniform(&[-2.0, -1.0]))];
    known.payment.as_mut().unwrap().reference = Some(Reference { score: uniform(&[2.0]), figures });
    write(&room.path("known.safetensors"), &known);
    let served = Served::start(&room, "data");
    served.pay_many(1_200);
    let psi = |figure: &str| format!("model_drift_psi{{figure=\"{figure}\",of=\"payment\"}}");
    assert!(served.until(&psi("amount"), |_| true) < 0.05);
    // Two parts of three that stay empty: (1 - 1/3) ln 3, and twice (1/3 - 0.0001) ln (0.33 / 0.0001).
    assert!((served.until(&psi("hour"), |_| true) - 6.14).abs() < 0.02);
    assert!(served.until(&psi("score"), |_| true) > 4.0);
    // Of a model without a reference nothing is told.
    let published = served.runtime.block_on(served.service.publish_model(&std::fs::read(room.path("a.safetensors")).unwrap()));
    assert!(matches!(published, weir::api::Change::Done(_)), "{published:?}");
    (0..10).for_each(|number| drop(served.pay(&format!("after-{number}"), number, now())));
    let until = Instant::now() + PATIENCE;
    while String::from_utf8(served.metrics.render(true)).unwrap().contains("model_drift_psi{") {
        assert!(Instant::now() < until, "the figures of the model before stay");
        std::thread::sleep(Duration::from_millis(20));
    }
    served.service.end();
}

/// Payments of four days ago: of those that reached a threshold some turn out bad after an hour, of the others one after two days.
/// Caught when planted: labels that a stronger word denies.
#[test]
fn precision_and_recall_come_with_the_labels() {
    let room = room("file = \"a.safetensors\"\n");
    let served = Served::start(&room, "data");
    let day = weir::event::Duration::DAY;
    let then = now() - day.times(4);
    let scored: Vec<(String, f64)> = (0..300)
        .map(|number| {
            let id = format!("p-{number}");
            let decision = served.pay(&id, number, then);
            (id, decision["fraud_probability"].as_f64().unwrap())
        })
        .collect();
    let reached = |threshold: f64| scored.iter().filter(|(_, probability)| *probability >= threshold).count() as f64;
    let (alarms, high) = (reached(0.5), reached(0.625));
    assert!(alarms > 20.0 && high > 5.0 && high < alarms && alarms < 280.0, "{alarms} {high}");
    let hour = weir::event::Duration::HOUR;
    let mut caught: Vec<&(String, f64)> = scored.iter().filter(|(_, probability)| *probability >= 0.625).collect();
    caught.truncate(5);
    for (id, _) in &caught {
        served.label(id, then + hour, "fraud", "chargeback");
        // Said again, by one whose word weighs less.
        served.label(id, then + hour, "legitimate", "rule");
    }
    let (missed, _) = scored.iter().find(|(_, probability)| *probability < 0.5).unwrap();
    served.label(missed, then + day.times(2), "fraud", "analyst");
    served.label("nobody-knows-it", then + hour, "fraud", "analyst");
    let figure =
        |name: &str, threshold: &str, delay: &str| format!("model_{name}{{delay=\"{delay}\",of=\"payment\",threshold=\"{threshold}\"}}");
    let is = |expected: f64| move |found: f64| (found - expected).abs() < 1e-9;
    served.until(&figure("precision", "0.5", "1d"), is(5.0 / alarms));
    served.until(&figure("precision", "0.625", "1d"), is(5.0 / high));
    served.until(&figure("recall", "0.625", "1d"), is(1.0));
    served.until(&figure("precision", "0.5", "3d"), is(5.0 / alarms));
    served.until(&figure("recall", "0.5", "3d"), is(5.0 / 6.0));
    let text = String::from_utf8(served.metrics.render(true)).unwrap();
    assert!(!text.contains("delay=\"7d\""), "a week has not passed: {text}");
    assert!(!text.contains("delay=\"14d\""), "answers are known for a week");
    served.service.end();
}
