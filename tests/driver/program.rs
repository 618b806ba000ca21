//! The program on a device: the kernels run behind a driver of ours, and what it decides is what the CPU decides.

use super::house::model::{JUDGING, model, write};
use super::house::service::Room;
use super::libraries::Libraries;
use serde_json::{Value, json};
use std::path::Path;
use weir::gnn::cuda::look;

/// What the program prints with a library in the driver's place, and how it ends.
fn with(room: &Room, library: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = room.command(arguments).env("LD_LIBRARY_PATH", library).envs(environment.iter().copied()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn json_of(printed: (Option<i32>, String, String)) -> Value {
    let (code, out, told) = printed;
    assert_eq!(code, Some(0), "{told}");
    serde_json::from_str(&out).unwrap()
}

/// Driver, packing and kernels, from the command line down, against the CPU. Caught when planted: another
/// calibration in the kernel, and rows that stay on the device written before the forward pass that reads them.
#[test]
fn a_replay_on_a_device_has_the_digest_of_one_on_the_cpu() {
    let (room, libraries) = (Room::new(JUDGING), Libraries::new());
    write(&room.path("a.safetensors"), &model(1));
    let emulating = libraries.emulating();
    room.done(&["simulate", "--world", "small", "--events", "3000", "--seed", "5", "--out", "sample.jsonl"]);
    let replay = ["replay", "sample.jsonl", "-t", "small.toml", "--json"];
    let here = room.json(&[&replay[..], &["--backend", "cpu"]].concat());
    assert_eq!((&here["backend"], &here["backend_instead"]), (&json!("cpu"), &Value::Null));
    assert!(here["outcomes"]["challenge"].as_u64().unwrap() > 50, "the model matters: {here}");
    for (batch, order) in [("64", "0"), ("1000", "1")] {
        let arguments = [&replay[..], &["--backend", "cuda", "--batch", batch]].concat();
        let there = json_of(with(&room, &emulating, &[("FAKE_CUDA_ORDER", order)], &arguments));
        assert_eq!((&there["backend"], &there["digest"]), (&json!("cuda:0 Pretended"), &here["digest"]), "batches of {batch}");
        assert_eq!(there["state_hash"], here["state_hash"]);
    }
    // Lost behind some batches: what was asked for then is judged here, and so is everything behind it.
    let lost = json_of(with(&room, &emulating, &[("FAKE_CUDA_LOST", "9")], &[&replay[..], &["--batch", "128"]].concat()));
    assert_eq!((&lost["backend"], &lost["digest"]), (&json!("cpu"), &here["digest"]));
    let why = lost["backend_instead"].as_str().unwrap();
    assert_eq!(why, "cuda:0 Pretended is lost: waiting for it: CUDA_ERROR_LAUNCH_FAILED: as it was told to");
}

/// On a card, where there is one.
#[test]
fn a_card_decides_as_the_cpu_does() {
    if let Err(missing) = look().card(0) {
        println!("skipped: a replay on a card: {missing}");
        assert!(std::env::var("WEIR_REQUIRE_GPU").is_err(), "WEIR_REQUIRE_GPU is set, and {missing}");
        return;
    }
    let room = Room::new(JUDGING);
    write(&room.path("a.safetensors"), &model(1));
    room.done(&["simulate", "--world", "small", "--events", "20000", "--seed", "7", "--out", "sample.jsonl"]);
    let replay = |more: &[&str]| room.json(&[&["replay", "sample.jsonl", "-t", "small.toml", "--json"], more].concat());
    let here = replay(&["--backend", "cpu"]);
    for batch in ["1", "7", "256", "1000", "3000"] {
        let there = replay(&["--backend", "cuda", "--batch", batch]);
        assert!(there["backend"].as_str().unwrap().starts_with("cuda:0 "), "{there}");
        assert_eq!((&there["digest"], &there["state_hash"]), (&here["digest"], &here["state_hash"]), "batches of {batch}");
    }
}

/// Caught when planted: `auto` that ends with an error where there is no device.
#[test]
fn what_is_chosen_is_said_and_what_cannot_be_had_is_an_error() {
    let (room, libraries) = (Room::new(JUDGING), Libraries::new());
    write(&room.path("a.safetensors"), &model(1));
    let pretended = libraries.pretended();
    room.done(&["simulate", "--world", "small", "--events", "200", "--seed", "5", "--out", "sample.jsonl"]);
    let none = [("FAKE_CUDA_DEVICES", "0")];
    let replay = ["replay", "sample.jsonl", "-t", "small.toml"];
    let auto = json_of(with(&room, &pretended, &none, &[&replay[..], &["--json"]].concat()));
    let why = auto["backend_instead"].as_str().unwrap();
    assert!(auto["backend"] == "cpu" && why.starts_with("found a driver and no device"), "{auto}");
    for arguments in [&replay[..], &["run", "-t", "small.toml", "--listen", "127.0.0.1:0"]] {
        let (code, out, told) = with(&room, &pretended, &none, &[arguments, &["--backend", "cuda:1"]].concat());
        let expected = "error: cuda:1 is to run forward passes: found a driver and no device, expected one that `nvidia-smi` lists";
        assert!(code == Some(2) && out.is_empty() && told.contains(expected), "{told}");
    }
    let (code, _, told) = with(&room, &pretended, &none, &[&replay[..], &["--backend", "gpu"]].concat());
    assert!(code == Some(2) && told.contains("expected \"auto\", \"cpu\" or \"cuda:N\""), "{told}");
}

#[test]
fn the_doctor_says_what_is_there_and_what_cannot_work() {
    let (room, libraries) = (Room::new(JUDGING), Libraries::new());
    let pretended = libraries.pretended();
    let doctor = ["doctor", "-t", "small.toml", "--json"];
    let seen = json_of(with(&room, &pretended, &[], &doctor));
    let devices = &seen["devices"];
    assert_eq!(devices["library"], json!(pretended.join("libcuda.so").canonicalize().unwrap()));
    assert_eq!((&devices["cuda"], &devices["used"], &devices["why_none"]), (&json!("13.0"), &json!("cuda:0 Pretended"), &Value::Null));
    let device = json!({ "name": "cuda:0 Pretended", "capability": "9.0", "memory_bytes": 1 << 30, "why_not": null });
    assert_eq!(devices["devices"], json!([device]));
    assert_eq!(seen["problems"], json!([]));
    assert!(devices["needed_bytes"].as_u64().is_some_and(|bytes| bytes > 20 << 20), "{devices}");

    // What nothing was chosen of is no problem; what was chosen is one.
    let old = [("FAKE_CUDA_CAPABILITY", "61")];
    let why = "found cuda:0 Pretended of compute capability 6.1, expected 7.5 or later: take another device";
    let seen = json_of(with(&room, &pretended, &old, &doctor));
    assert_eq!((&seen["devices"]["used"], &seen["devices"]["why_none"]), (&json!("cpu"), &json!(why)));
    let noted = |seen: &Value, why: &str| seen["notes"].as_array().unwrap().iter().any(|note| note.as_str().unwrap().contains(why));
    assert!(noted(&seen, &format!("a device is not used: {why}; forward passes run on cpu, with the same results")), "{seen}");
    // One that does not say what it is beside one that can be used; and none at all, or none asked for, is no note.
    let silent = [("FAKE_CUDA_FAIL", "cuDeviceGetName=999"), ("FAKE_CUDA_DEVICES", "2")];
    let seen = json_of(with(&room, &pretended, &silent, &doctor));
    assert!(noted(&seen, "a device is not used: found cuda:0, which does not say what it is (CUDA_ERROR_UNKNOWN: "), "{seen}");
    assert_eq!((&seen["devices"]["used"], &seen["devices"]["why_none"]), (&json!("cuda:1 Other"), &Value::Null));
    let [first, second] = [0, 1].map(|number| &seen["devices"]["devices"][number]);
    assert_eq!((&first["name"], &first["memory_bytes"], &second["name"]), (&json!("cuda:0"), &Value::Null, &json!("cuda:1 Other")));
    assert!(first["why_not"].as_str().unwrap().ends_with("reset it, or hide it (CUDA_VISIBLE_DEVICES)"), "{first}");
    let seen = json_of(with(&room, &pretended, &silent, &[&doctor[..], &["--backend", "cpu"]].concat()));
    assert!(!noted(&seen, "a device is not used") && seen["devices"]["needed_bytes"] == 0, "{seen}");
    let (code, text, _) = with(&room, &pretended, &old, &["doctor", "-t", "small.toml", "--backend", "cuda"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&format!("PROBLEM     model.device: cuda:0 is to run forward passes: {why}")), "{text}");
    assert!(text.ends_with("1 of what is configured cannot work\n"), "{text}");
    // A place for data below a file, and brokers at a port that nobody listens at.
    room.write("kafka.toml", "[kafka]\nbrokers = \"127.0.0.1:1\"\n");
    let asked = ["doctor", "-t", "small.toml", "-t", "kafka.toml", "--data", "small.toml/data", "--backend", "cpu", "--json"];
    let (code, text, _) = with(&room, &pretended, &[], &asked);
    let seen: Value = serde_json::from_str(&text).unwrap();
    let problems: Vec<&str> = seen["problems"].as_array().unwrap().iter().map(|problem| problem.as_str().unwrap()).collect();
    assert_eq!((code, problems.len()), (Some(1), 2), "{problems:?}");
    assert!(
        problems[0].starts_with("kafka.brokers: found ") && problems[1].starts_with("small.toml/data: found no directory"),
        "{problems:?}"
    );
    assert_eq!((&seen["data"]["exists"], &seen["data"]["writable"]), (&json!(false), &json!(false)));
}
