//! The model in the service: it comes into force by a record, at the start or while payments come, and everything that is made of the journal
//! afterwards – a restart, a standby, a replay – judges by the same models.

mod house;

use house::model::{model, write};
use house::service::{PATIENCE, Room, Running, now};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use weir::gnn::Model;

/// Snapshots often, time for every answer, and a rule that hangs on what the model says.
const OFTEN: &str = "
[snapshot]
records = 400
[authorize]
deadline = \"10s\"
[policy.rule.model]
of = \"payment\"
when = \"model_probability > 0.5\"
outcome = \"challenge\"
risk_score = 470
";

fn payment(id: &str, number: u64) -> String {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    format!(
        r#"{{"id":"{id}","type":"payment","time":"{}","user":"u-{}","merchant":"m-{}","device":"d-{}","amount":{},"currency":"EUR"}}"#,
        now(),
        mixed % 301,
        mixed % 31,
        mixed % 203,
        1 + mixed % 900
    )
}

/// Payments one after the other; their decisions.
fn pay(running: &Running, prefix: &str, count: u64) -> Vec<Value> {
    let mut caller = running.caller();
    let one = |number| {
        let (status, bytes) = caller.ask("POST", "/v1/authorizations", &payment(&format!("{prefix}-{number}"), number)).expect("an answer");
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&bytes));
        serde_json::from_slice(&bytes).unwrap()
    };
    (0..count).map(one).collect()
}

fn judged_by<'d>(decisions: impl IntoIterator<Item = &'d Value>, model: &str) -> bool {
    decisions.into_iter().all(|decision| decision["model"] == model && decision["fraud_probability"].is_f64())
}

/// What a model said matters: some payments reach the rule and some do not.
fn differ(decisions: &[Value]) -> bool {
    let challenged = decisions.iter().filter(|decision| decision["outcome"] == "challenge").count();
    challenged > 0 && challenged < decisions.len()
}

fn in_force(running: &Running) -> Value {
    running.ask("GET", "/v1/model", "").1
}

/// Replays give the digest that the log of outputs has, whatever the batch.
fn replays_as_served(room: &Room, data: &str) -> Value {
    let verified = room.json(&["journal", "verify", data, "--json"]);
    for more in [&["--batch", "1"][..], &["--batch", "256"], &["--batch", "500", "--threads", "2"]] {
        let replayed = room.json(&[&["replay", data, "--json"], more].concat());
        assert_eq!(replayed["digest"], verified["digest"], "{data} {more:?}");
    }
    verified
}

fn topology(room: &Room, model: &str) {
    room.write("small.toml", &format!("{}{OFTEN}[model]\nfile = \"{model}\"\n", house::service::SMALL));
}

/// Caught when planted: a snapshot that does not name its model.
#[test]
fn the_model_of_the_topology_judges_and_stays() {
    let room = Room::new("");
    topology(&room, "a.safetensors");
    let (a, b) = (write(&room.path("a.safetensors"), &model(1)), write(&room.path("b.safetensors"), &model(2)));
    let leader = room.start("data", &[]);
    let standby = room.start("standby", &["--follow", &leader.url()]);
    assert_eq!(in_force(&leader), json!({ "model": a, "before": null }));
    assert_eq!(leader.metric(&format!("model_info{{model=\"{a}\",use=\"serving\"}}")), Some(1.0));
    let first = pay(&leader, "first", 600);
    assert!(judged_by(&first, &a) && differ(&first), "{}", first[0]);

    // Killed, and started again from a snapshot: nothing is recorded anew.
    leader.until(|leader| leader.metric("snapshot_sequence").unwrap_or(0.0) >= 400.0);
    leader.kill();
    let leader = room.start("data", &[]);
    assert!(leader.metric("replay_records_total").unwrap() < 600.0, "it began with a snapshot");
    assert_eq!(in_force(&leader), json!({ "model": a, "before": null }));
    assert!(judged_by(&pay(&leader, "second", 100), &a));
    leader.end();

    // A file that the directory never saw comes into force; one that it saw does not come back by itself.
    topology(&room, "b.safetensors");
    let leader = room.start("data", &[]);
    assert_eq!(in_force(&leader), json!({ "model": b, "before": a }));
    assert!(judged_by(&pay(&leader, "third", 100), &b));
    leader.end();
    topology(&room, "a.safetensors");
    let leader = room.start("data", &[]);
    assert_eq!(in_force(&leader), json!({ "model": b, "before": a }));
    assert!(room.log("data").contains("was in force before, and stays out of it"), "{}", room.log("data"));

    drop(standby);
    let standby = room.start("standby", &["--follow", &leader.url()]);
    standby.caught_up();
    room.done(&["promote", "--url", &standby.url()]);
    assert_eq!(in_force(&standby), json!({ "model": b, "before": a }));
    assert_eq!(standby.metric(&format!("model_info{{model=\"{b}\",use=\"serving\"}}")), Some(1.0));
    assert!(judged_by(&pay(&standby, "promoted", 100), &b));
    leader.end();
    standby.end();
    replays_as_served(&room, "data");
    replays_as_served(&room, "standby");
    room.done(&["snapshot", "verify", "data"]);

    // Without the blob there is nothing to judge by.
    for blob in std::fs::read_dir(room.path("data/blobs")).unwrap() {
        let path = blob.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with(&b) {
            std::fs::remove_file(path).unwrap();
        }
    }
    let mut started = room.service("data", &[]).spawn().unwrap();
    assert!(!started.wait().unwrap().success());
    let told = format!("{b}…: a control record names this blob, it is not there");
    assert!(room.log("data").contains(&told), "{}", room.log("data"));
}

/// A batch with the switch in its middle, a kill behind it, a way back.
#[test]
fn a_model_is_switched_under_traffic_and_no_event_is_lost() {
    let room = Room::new("");
    topology(&room, "a.safetensors");
    let (a, b) = (write(&room.path("a.safetensors"), &model(1)), write(&room.path("b.safetensors"), &model(2)));
    let leader = room.start("data", &[]);
    let url = leader.url();
    let (done, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let published = std::thread::scope(|scope| {
        let calling: Vec<_> = (0..4u64)
            .map(|lane| {
                let (leader, done, answered) = (&leader, &done, &answered);
                scope.spawn(move || {
                    let (mut caller, mut decisions) = (leader.caller(), Vec::new());
                    let mut number = 0;
                    while !done.load(Ordering::Relaxed) {
                        let body = payment(&format!("lane-{lane}-{number}"), lane << 32 | number);
                        let (status, bytes) = caller.ask("POST", "/v1/authorizations", &body).expect("an answer");
                        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&bytes));
                        decisions.push(serde_json::from_slice::<Value>(&bytes).unwrap());
                        number += 1;
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    decisions
                })
            })
            .collect();
        let wait_for = |more: u64| {
            let (from, until) = (answered.load(Ordering::Relaxed), std::time::Instant::now() + PATIENCE);
            while answered.load(Ordering::Relaxed) < from + more {
                assert!(std::time::Instant::now() < until, "no answers come");
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        };
        wait_for(300);
        let published = room.json(&["model", "publish", "b.safetensors", "--url", &url, "--json"]);
        wait_for(600);
        done.store(true, Ordering::Relaxed);
        let decisions: Vec<Value> = calling.into_iter().flat_map(|lane| lane.join().unwrap()).collect();
        assert_eq!(decisions.len() as u64, answered.load(Ordering::Relaxed));
        // Every one has the model of its place in the journal, and none was a stand-in's.
        let switch = published["sequence"].as_u64().unwrap();
        let (before, after): (Vec<&Value>, Vec<&Value>) =
            decisions.iter().partition(|decision| decision["sequence"].as_u64().unwrap() < switch);
        assert!(before.len() >= 300 && after.len() >= 300, "{} before, {} after", before.len(), after.len());
        assert!(judged_by(before, &a) && judged_by(after, &b));
        published
    });
    assert_eq!((&published["model"], &published["before"]), (&json!(b), &json!(a)));
    let again = room.weir(&["model", "publish", "b.safetensors", "--url", &url]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("this model is in force already"), "{again:?}");

    // Killed behind the switch, and started again from a snapshot that knows it.
    leader.until(|leader| leader.metric("snapshot_sequence").unwrap_or(0.0) > published["sequence"].as_f64().unwrap());
    leader.kill();
    let leader = room.start("data", &[]);
    let url = leader.url();
    // The file that the topology names was in force before: what was published stands.
    assert_eq!(in_force(&leader), json!({ "model": b, "before": a }));
    assert!(judged_by(&pay(&leader, "restarted", 50), &b));

    // Back, and forth, and back once more behind the first model: then none judges.
    let rollback = || room.json(&["model", "rollback", "--url", &url, "--json"])["model"].clone();
    assert_eq!(rollback(), json!(a));
    assert!(judged_by(&pay(&leader, "back", 50), &a));
    assert_eq!(rollback(), json!(b));
    assert_eq!(room.done(&["model", "show", "--url", &url]), format!("model {b} is in force, before it was {a}\n"));
    leader.end();
    let verified = replays_as_served(&room, "data");
    assert!(verified["digest"].is_string());
}

/// Where no model was before the first one, a rollback leaves none; the service goes on without.
#[test]
fn a_first_model_can_be_taken_back() {
    let room = Room::new(OFTEN);
    let a = write(&room.path("a.safetensors"), &model(1));
    let leader = room.start("data", &[]);
    let standby = room.start("standby", &["--follow", &leader.url()]);
    let url = leader.url();
    assert_eq!(in_force(&leader), json!({ "model": null, "before": null }));
    let refused = room.weir(&["model", "rollback", "--url", &url]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("there is no model, and none was before"), "{refused:?}");
    let bare = pay(&leader, "bare", 20);
    assert!(bare.iter().all(|decision| decision["model"].is_null() && decision["fraud_probability"].is_null()));
    room.done(&["model", "publish", "a.safetensors", "--url", &url]);
    assert!(judged_by(&pay(&leader, "judged", 500), &a));
    let taken_back = room.json(&["model", "rollback", "--url", &url, "--json"])["sequence"].as_f64().unwrap();
    assert_eq!(in_force(&leader), json!({ "model": null, "before": a }));
    assert_eq!(leader.metric(&format!("model_info{{model=\"{a}\",use=\"serving\"}}")), None);
    let bare = pay(&leader, "bare-again", 500);
    assert!(bare.iter().all(|decision| decision["model"].is_null() && decision["fraud_probability"].is_null()));
    leader.until(|leader| leader.metric("snapshot_sequence").unwrap_or(0.0) > taken_back);
    leader.kill();
    // A file does not bring back what was taken back.
    topology(&room, "a.safetensors");
    let leader = room.start("data", &[]);
    assert_eq!(in_force(&leader), json!({ "model": null, "before": a }));
    assert!(room.log("data").contains("in_force=\"none\""), "{}", room.log("data"));
    room.done(&["model", "rollback", "--url", &leader.url()]);
    assert!(judged_by(&pay(&leader, "judged-again", 20), &a));
    drop(standby);
    let standby = room.start("standby", &["--follow", &leader.url()]);
    standby.caught_up();
    leader.end();
    standby.end();
    let (leader, standby) = (replays_as_served(&room, "data"), replays_as_served(&room, "standby"));
    assert_eq!(leader["journal"], standby["journal"]);
}

/// A broken file is refused whole, at the door as at the start, with what is wrong with it; nothing changes.
#[test]
fn a_broken_model_is_refused_whole() {
    let room = Room::new("");
    topology(&room, "a.safetensors");
    let a = write(&room.path("a.safetensors"), &model(1));
    let broken = |name: &str, change: &dyn Fn(&mut Model)| {
        let mut model = model(3);
        change(&mut model);
        write(&room.path(name), &model);
    };
    broken("nan.safetensors", &|model| model.join[1][2][3] = f32::NAN);
    broken("unknown.safetensors", &|model| model.payment.as_mut().unwrap().inputs[1].name = "user_payments.count_3h".to_owned());
    std::fs::write(room.path("long.safetensors"), vec![7; (4 << 20) + 1]).unwrap();
    let wrong = [
        ("nan.safetensors", "join: found NaN at place 2179, expected finite numbers"),
        ("unknown.safetensors", "found no figures called user_payments.count_3h in this topology"),
        ("long.safetensors", "found 4194305 bytes, expected at most 4194304"),
        ("none.safetensors", "found no readable file"),
    ];
    let leader = room.start("data", &[]);
    let url = leader.url();
    for (name, what) in wrong {
        let told = room.weir(&["model", "publish", name, "--url", &url]);
        assert_eq!(told.status.code(), Some(2), "{name}");
        assert!(String::from_utf8_lossy(&told.stderr).contains(what), "{told:?}");
    }
    // At the door itself, without the command's own look at the file.
    let door = |bytes: &[u8]| {
        weir::runtime::Peer::new(&url, None, None).unwrap().answer("POST", "/v1/model/publish", weir::runtime::Body::Bytes(bytes), PATIENCE)
    };
    let (status, told) = door(&std::fs::read(room.path("nan.safetensors")).unwrap()).unwrap();
    assert_eq!((status, told.contains("model: join: found NaN at place 2179")), (422, true), "{told}");
    assert_eq!(leader.ask("POST", "/v1/model/publish", "{}").0, 415);
    // The door may close before the last byte of it was sent.
    assert_eq!(door(&vec![0; (4 << 20) + 1]).map_or(413, |(status, _)| status), 413);
    assert_eq!(in_force(&leader), json!({ "model": a, "before": null }));
    leader.end();
    for (name, what) in wrong {
        topology(&room, name);
        for command in [&["check", "small.toml"][..], &["run", "-t", "small.toml", "--data", "data", "--listen", "127.0.0.1:0"]] {
            let told = room.weir(command);
            let text = String::from_utf8_lossy(&told.stderr).into_owned();
            let line = house::service::SMALL.lines().count() + OFTEN.lines().count() + 2;
            let place = format!("small.toml:{line}: model.file: {name}: ");
            assert!(told.status.code() == Some(2) && text.contains(&place) && text.contains(what), "{command:?} {text}");
        }
    }
    topology(&room, "a.safetensors");
    assert!(room.done(&["check", "small.toml"]).contains(&format!("model     {a} judges payments, ")));
}
