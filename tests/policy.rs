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
    assert_eq!(leader.metric("guard_turns_total{kind=\"fraud\",to=\"yields_to_challenge\"}").unwrap_or(0.0), 1.0);
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
    room.write("limits.toml", &format!("{MISTAKE}\n[limits]\nnodes_max = 1\n"));
    let told = String::from_utf8(room.weir(&["policy", "publish", "mistake.toml", "limits.toml", "--url", &url]).stderr).unwrap();
    assert!(told.contains("limits.toml:8: limits: found [limits], which needs a restart"), "{told}");
    let told = leader.ask("POST", "/v1/policy/publish", r#"{"text":"[limits]\nnodes_max = 1\n"}"#).1;
    assert!(told["detail"].as_str().unwrap().contains("policy:1: limits: found [limits], which needs a restart"), "{told}");
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

/// The guard's numbers and those of alerts come into force with the policy, and go with it.
#[test]
fn what_may_change_changes_together_and_replay_says_the_same() {
    let room = Room::new(OFTEN);
    let lenient = "[guard]\ndeclines_min = 5_000\n[alert]\nper_hour = 7\n";
    room.write("lenient.toml", &format!("{MISTAKE}{lenient}"));
    room.write("strict.toml", MISTAKE);
    let leader = room.start("data", &[]);
    let url = leader.url();
    let first = leader.ask("GET", "/v1/policy", "").1["policy"].as_str().unwrap().to_owned();
    pay_many(&leader, "before", 300);
    let published = room.json(&["policy", "publish", "lenient.toml", "--url", &url, "--json"]);
    let lenient = published["policy"].as_str().unwrap().to_owned();
    let text = leader.ask("GET", "/v1/policy", "").1["text"].as_str().unwrap().to_owned();
    assert!(text.contains("[guard]\ndeclines_min = 5000\n") && text.contains("per_hour = 7\n"), "{text}");
    let declined = pay_many(&leader, "unguarded", 700);
    assert_eq!((with(&declined, "decline"), &declined[0]["policy"]), (700, &json!(lenient)));

    // Killed, and started again from a snapshot that was taken under it: by the files the guard would step in by now.
    leader.until(|leader| leader.metric("snapshot_sequence").unwrap_or(0.0) > published["sequence"].as_f64().unwrap() + 200.0);
    leader.kill();
    let leader = room.start("data", &[]);
    let url = leader.url();
    assert!(leader.metric("replay_records_total").unwrap() < 1_000.0, "it began with a snapshot");
    assert_eq!(with(&pay_many(&leader, "restarted", 200), "decline"), 200);

    // Only the numbers are others: the same rule, which is counted on, yields at once.
    let diff = room.done(&["policy", "diff", "strict.toml", "--url", &url]);
    assert_eq!(diff, "~ guard.declines_min: 5000 -> 100\n~ alert.per_hour: 7 -> 60\n");
    let strict = room.json(&["policy", "publish", "strict.toml", "--url", &url, "--json"])["policy"].as_str().unwrap().to_owned();
    let guarded = pay_many(&leader, "guarded", 100);
    assert_eq!((with(&guarded, "challenge"), &guarded[0]["policy"]), (100, &json!(strict)));
    assert_eq!(guarded[0]["topology"], declined[0]["topology"]);
    let back = room.done(&["policy", "diff", "--before", "--url", &url]);
    assert_eq!(back, "~ guard.declines_min: 100 -> 5000\n~ alert.per_hour: 60 -> 7\n");
    assert_eq!(room.json(&["policy", "rollback", "--url", &url, "--json"])["policy"], lenient.as_str());
    let text = leader.ask("GET", "/v1/policy", "").1["text"].as_str().unwrap().to_owned();
    assert!(text.contains("[guard]\ndeclines_min = 5000\n") && text.contains("per_hour = 7\n"), "{text}");
    assert_eq!(pay_many(&leader, "last", 1)[0]["policy"], json!(lenient));

    // A file with one rule more than what is in force: what it does not name stays.
    room.write("more.toml", "[policy.rule.tiny]\nof = \"payment\"\nwhen = \"amount < 10\"\noutcome = \"review\"\nrisk_score = 610\n");
    let told = room.done(&["policy", "diff", "--amend", "more.toml", "--url", &url]);
    assert!(told.starts_with("+ rule.tiny: of payment") && told.lines().count() == 1, "{told}");
    room.done(&["policy", "publish", "--amend", "more.toml", "--url", &url]);
    let text = leader.ask("GET", "/v1/policy", "").1["text"].as_str().unwrap().to_owned();
    assert!(text.contains("[policy.rule.tiny]") && text.contains("per_hour = 7\n"), "{text}");
    room.done(&["policy", "rollback", "--url", &url]);
    leader.end();

    let verified = room.json(&["journal", "verify", "data", "--json"]);
    for more in [&[][..], &["--batch", "1"], &["--batch", "500", "--threads", "2"]] {
        let replayed = room.json(&[&["replay", "data", "--json"], more].concat());
        assert_eq!(replayed["digest"], verified["digest"], "{more:?}");
        assert_eq!((&replayed["policy"], replayed["policy"] == first.as_str()), (&json!(lenient), false));
    }
    room.done(&["snapshot", "verify", "data"]);
}

/// Who stands on a list is seen from its record on, over restarts, page by page. Caught when planted: pages in the order of the table.
#[test]
fn who_stands_on_a_list_is_shown() {
    let room = Room::new(OFTEN);
    let leader = room.start("data", &[]);
    let list = |leader: &Running, query: &str| leader.ask("GET", &format!("/v1/lists/blocked{query}"), "");
    assert_eq!(list(&leader, ""), (200, json!({ "list": "blocked", "effect": "block", "total": 0, "entries": [], "next": null })));
    let put = |leader: &Running, changes: Value| assert_eq!(leader.ask("POST", "/v1/lists/blocked", &changes.to_string()).0, 200);
    let users: Vec<Value> = (0..25).map(|n| json!({ "kind": "user", "id": format!("u-{n}") })).collect();
    put(&leader, json!(users));
    put(&leader, json!({ "kind": "merchant", "id": "m-1", "until": "2150-01-01T00:00:00Z" }));
    let ends = weir::event::Timestamp(now().parse::<jiff::Timestamp>().unwrap().as_microsecond() + 300_000).to_string();
    put(&leader, json!({ "kind": "user", "id": "u-brief", "until": ends }));
    put(&leader, json!({ "kind": "user", "id": "u-24", "remove": true }));
    assert_eq!(leader.ask("POST", "/v1/lists/stolen", r#"{"kind":"card","id":"c-1"}"#).0, 200);
    leader.until(|leader| list(leader, "").1["total"] == 25);

    // Texts come a moment later, from the store.
    let whole = |leader: &Running| list(leader, "?limit=1000").1["entries"].as_array().unwrap().clone();
    leader.until(|leader| whole(leader).iter().all(|entry| entry["id"].is_string()));
    let all = whole(&leader);
    let mut ids: Vec<&str> = all.iter().map(|entry| entry["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    let mut expected: Vec<String> = (0..24).map(|n| format!("u-{n}")).chain(["m-1".to_owned()]).collect();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    assert!(all.is_sorted_by_key(|entry| entry["hash"].as_str().unwrap().to_owned()));
    let of = |all: &[Value], id: &str| all.iter().find(|entry| entry["id"] == id).unwrap().clone();
    assert_eq!((&of(&all, "m-1")["until"], &of(&all, "m-1")["kind"]), (&json!("2150-01-01T00:00:00Z"), &json!("merchant")));
    assert_eq!(of(&all, "u-3")["until"], Value::Null);
    let (mut paged, mut query) = (Vec::new(), "?limit=10".to_owned());
    let sizes: Vec<usize> = std::iter::from_fn(|| {
        let (status, page) = (!query.is_empty()).then(|| list(&leader, &query))?;
        assert_eq!((status, &page["total"]), (200, &json!(25)));
        query = page["next"].as_str().map_or(String::new(), |next| format!("?limit=10&after={next}"));
        paged.extend(page["entries"].as_array().unwrap().clone());
        Some(page["entries"].as_array().unwrap().len())
    })
    .collect();
    assert_eq!((sizes, &paged), (vec![10, 10, 5], &all));

    // Another end leaves the first moment; who comes back begins anew.
    std::thread::sleep(std::time::Duration::from_millis(5));
    put(
        &leader,
        json!([{ "kind": "user", "id": "u-3", "until": "2151-01-01T00:00:00Z" }, { "kind": "user", "id": "u-4", "remove": true }]),
    );
    put(&leader, json!({ "kind": "user", "id": "u-4" }));
    let later = whole(&leader);
    assert_eq!((&of(&later, "u-3")["since"], &of(&later, "u-3")["until"]), (&of(&all, "u-3")["since"], &json!("2151-01-01T00:00:00Z")));
    assert!(of(&later, "u-4")["since"].as_str().unwrap() > of(&all, "u-4")["since"].as_str().unwrap());
    for (path, status) in [("nobody", 404), ("blocked?limit=0", 400), ("blocked?limit=1001", 400), ("blocked?after=7", 400)] {
        assert_eq!(leader.ask("GET", &format!("/v1/lists/{path}"), "").0, status, "{path}");
    }

    // Killed and started again from its journal; then from a snapshot, which holds all of it.
    leader.kill();
    let leader = room.start("data", &[]);
    assert_eq!(whole(&leader), later);
    let recorded = leader.metric("journal_records_total").unwrap_or(0.0);
    pay_many(&leader, "more", 500);
    leader.until(|leader| leader.metric("snapshot_sequence").unwrap_or(0.0) > recorded + 300.0);
    leader.kill();
    let leader = room.start("data", &[]);
    assert!(leader.metric("replay_records_total").unwrap() < 500.0, "it began with a snapshot");
    assert_eq!(whole(&leader), later);
    let lines = room.done(&["lists", "blocked", "--url", &leader.url()]);
    assert_eq!(lines.lines().count(), 25);
    let line = |id: &str| lines.lines().find(|line| line.split('\t').nth(1) == Some(id)).unwrap().to_owned();
    assert_eq!(line("u-5"), format!("user\tu-5\t{}\tfor good", of(&later, "u-5")["since"].as_str().unwrap()));
    let objects = room.done(&["lists", "blocked", "--json", "--url", &leader.url()]);
    assert_eq!(objects.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>(), later);
    let unknown = room.weir(&["lists", "nobody", "--url", &leader.url()]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there is no list \"nobody\"; the topology has"), "{unknown:?}");
}
