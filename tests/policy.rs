//! What decides changes while the program runs: policies, lists, and what the guard makes of a mistake. Whatever way the records are stepped
//! again, the answers are the same.

mod house;

use house::service::{Room, Running, now};
use serde_json::{Value, json};

/// Snapshots often, and time for every answer.
const OFTEN: &str = "
[snapshot]
records = 400
[authorize]
deadline = \"10s\"
";

const MISTAKE: &str = "
[policy.rule.mistake]
of = \"payment\"
when = \"amount > 0\"
outcome = \"decline\"
risk_score = 950
";

/// Payments of so many people at so many shops, with devices; their decisions.
fn pay_many(running: &Running, prefix: &str, count: u64) -> Vec<Value> {
    let mut caller = running.caller();
    let mut decisions = Vec::new();
    for number in 0..count {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let body = format!(
            r#"{{"id":"{prefix}-{number}","type":"payment","time":"{}","user":"u-{}","merchant":"m-{}","device":"d-{}","amount":{},"currency":"EUR"}}"#,
            now(),
            mixed % 3_001,
            mixed % 131,
            mixed % 2_003,
            1 + mixed % 900
        );
        let (status, bytes) = caller.ask("POST", "/v1/authorizations", &body).expect("an answer");
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&bytes));
        decisions.push(serde_json::from_slice(&bytes).unwrap());
    }
    decisions
}
fn with(decisions: &[Value], outcome: &str) -> usize {
    decisions.iter().filter(|decision| decision["outcome"] == outcome).count()
}

/// Caught when planted: the guard's counters left out of the image (the service did not start again from it).
#[test]
fn a_mistake_is_published_contained_and_rolled_back_and_replay_says_the_same() {
    let room = Room::new(OFTEN);
    room.write("mistake.toml", MISTAKE);
    let leader = room.start("data", &[]);
    let standby = room.start("standby", &["--follow", &leader.url()]);
    let url = leader.url();
    let first = leader.ask("GET", "/v1/policy", "").1["policy"].as_str().unwrap().to_owned();
    let before = pay_many(&leader, "before", 600);
    assert_eq!(with(&before, "decline"), 0);
    assert!(before.iter().all(|decision| decision["policy"] == first.as_str()));

    let diff = room.done(&["policy", "diff", "mistake.toml", "--url", &url]);
    assert_eq!(diff, "+ rule.mistake: of payment, when amount > 0, outcome decline, risk_score 950, reason rule\n");
    let published = room.json(&["policy", "publish", "mistake.toml", "--url", &url, "--json"]);
    let second = published["policy"].as_str().unwrap().to_owned();
    assert_eq!((published["before"].as_str(), first == second), (Some(&*first), false));
    let again = room.weir(&["policy", "publish", "mistake.toml", "--url", &url]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("in force already"), "{again:?}");

    let after = pay_many(&leader, "after", 1_500);
    assert!(after.iter().all(|decision| decision["policy"] == second.as_str() && decision["topology"] == before[0]["topology"]));
    let declined = with(&after, "decline");
    assert!((50..=1_000).contains(&declined), "{declined}");
    let (last, guarded) =
        (after.last().unwrap(), json!({ "part": "rules", "why": "rule mistake declined so much of a sudden that it yields" }));
    assert_eq!((&last["outcome"], &last["status"]), (&json!("challenge"), &json!("degraded")));
    assert!(last["skipped"].as_array().unwrap().contains(&guarded), "{last}");
    assert_eq!(leader.metric("guard_turns_total{to=\"yields_to_challenge\"}").unwrap_or(0.0), 1.0);
    assert!(room.log("data").contains("rule mistake"), "{}", room.log("data"));

    // Who is blocked is declined all the same, until they are taken off.
    let (status, told) = leader.ask("POST", "/v1/lists/blocked", r#"[{"kind":"merchant","id":"m-blocked"},{"kind":"user","id":"u-x"}]"#);
    assert_eq!((status, &told["recorded"]), (200, &json!(2)));
    let pay = |running: &Running, id: &str| {
        let body = format!(
            r#"{{"id":"{id}","type":"payment","time":"{}","user":"u-1","merchant":"m-blocked","amount":7,"currency":"EUR"}}"#,
            now()
        );
        running.ask("POST", "/v1/authorizations", &body).1
    };
    let blocked = pay(&leader, "b-1");
    assert_eq!(blocked["outcome"], "decline");
    assert_eq!(blocked["reasons"][0]["text"], "this merchant is blocked (list blocked)");
    for (name, change, expected) in [
        ("nobody", r#"{"kind":"user","id":"u"}"#, 404),
        ("stolen", r#"{"kind":"user","id":"u"}"#, 422),
        ("blocked", r#"{"kind":"user","id":"u","until":"2020-01-01T00:00:00Z"}"#, 422),
        ("blocked", r#"{"kind":"user"}"#, 422),
    ] {
        assert_eq!(leader.ask("POST", &format!("/v1/lists/{name}"), change).0, expected, "{name} {change}");
    }

    // Killed, and started again from a snapshot that was taken under the second policy.
    leader.until(|leader| leader.metric("snapshot_sequence").unwrap_or(0.0) > published["sequence"].as_f64().unwrap() + 200.0);
    drop(leader);
    let leader = room.start("data", &[]);
    assert!(leader.metric("replay_records_total").unwrap_or(0.0) < 2_000.0, "it began with a snapshot");
    assert_eq!(leader.ask("GET", "/v1/policy", "").1["policy"], second.as_str());
    assert_eq!(leader.ask("GET", "/v1/policy?which=before", "").1["policy"], first.as_str());
    let restarted = pay_many(&leader, "restarted", 100);
    assert_eq!(with(&restarted, "challenge"), 100, "the guard remembers");
    assert_eq!(pay(&leader, "b-2")["outcome"], "decline");

    // What is wrong with a policy is told, and nothing changes.
    room.write("wrong.toml", "[policy.rule.wrong]\nof = \"payment\"\nwhen = \"user_payments.count_3h > amuont\"\noutcome = \"review\"\nrisk_score = 1\n\
        [policy.velocity.wrong]\nof = \"payment\"\naggregate = \"nothing\"\nstat = \"count\"\nwindow = \"1h\"\nmax = 1\noutcome = \"review\"\nrisk_score = 1\n");
    let url = leader.url();
    let told = String::from_utf8(room.weir(&["policy", "publish", "wrong.toml", "--url", &url]).stderr).unwrap();
    assert!(told.contains("policy.velocity.wrong.aggregate") && told.contains("an aggregate over payment events"), "{told}");
    room.write(
        "wrong.toml",
        "[policy.rule.wrong]\nof = \"payment\"\nwhen = \"user_payments.count_3h > 1\"\noutcome = \"review\"\nrisk_score = 1\n",
    );
    let told = String::from_utf8(room.weir(&["policy", "publish", "wrong.toml", "--url", &url]).stderr).unwrap();
    assert!(told.contains("there is no `user_payments.count_3h`"), "{told}");
    let told = leader.ask("POST", "/v1/policy/publish", r#"{"text":"[limits]\nnodes_max = 1\n"}"#).1;
    assert!(told["detail"].as_str().unwrap().contains("limits"), "{told}");
    assert_eq!(leader.ask("GET", "/v1/policy", "").1["policy"], second.as_str());

    assert_eq!(room.json(&["policy", "rollback", "--url", &url, "--json"])["policy"], first.as_str());
    assert_eq!(room.done(&["policy", "diff", "--before", "--url", &url]).chars().next(), Some('+'));
    let back = pay_many(&leader, "back", 100);
    assert_eq!((with(&back, "approve"), back.iter().all(|decision| decision["policy"] == first.as_str())), (100, true));
    drop(standby);
    let standby = room.start("standby", &["--follow", &leader.url()]);
    standby.caught_up();
    leader.end();
    standby.end();

    let verified = room.json(&["journal", "verify", "data", "--json"]);
    for more in [&[][..], &["--batch", "1"], &["--batch", "500", "--threads", "2"]] {
        let replayed = room.json(&[&["replay", "data", "--json"], more].concat());
        assert_eq!(replayed["digest"], verified["digest"], "{more:?}");
        assert_eq!(replayed["policy"], first.as_str());
    }
    let standby = room.json(&["journal", "verify", "standby", "--json"]);
    assert_eq!((&standby["digest"], &standby["journal"]), (&room.json(&["replay", "standby", "--json"])["digest"], &verified["journal"]));
    room.done(&["snapshot", "verify", "data"]);
    let shown = room.done(&["tail", "decisions", "--data", "data"]);
    assert!(shown.contains("rule mistake declined so much of a sudden that it yields"), "texts are those of the decision's own policy");
}
