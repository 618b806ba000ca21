//! Laundering, as its analysts meet it: a ledger in which every typology is laid down once by hand, among people who pay one another; what is
//! found of it, how it is shown, and what is said of what is covered.

use crate::room::Room;
use crate::schemas::refused;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::OnceLock;
use weir::event::{Duration, Timestamp};
use weir::topology::Topology;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// When the schemes begin: everybody has been seen for long.
const BEGIN: i64 = 66 * DAY;

/// The built-in threshold lets a sum that goes through an account once join alerts and open none: so does who sells a car and buys another.
const LOW: &str = "[alert.laundering]\npass_through = { alert = 250 }\n";

/// A transfer: seconds behind 2025-01-01, from, to (`-`: the world outside), cents, format.
type Move = (i64, String, String, i64, &'static str);

/// A scheme: what it is, and its transfers.
struct Scheme {
    typology: &'static str,
    moves: Vec<Move>,
}

fn moved(time: i64, from: &str, to: &str, cents: i64) -> Move {
    (time, from.to_owned(), to.to_owned(), cents, "instant")
}

/// The schemes, each with accounts of its own, whose names begin with a letter that tells the scheme.
fn schemes() -> Vec<Scheme> {
    let mut schemes = Vec::new();
    let mut lay = |typology, moves| schemes.push(Scheme { typology, moves });
    // Ten strangers within two days.
    lay("fan_in", (0..10).map(|n| moved(BEGIN + n * 4 * HOUR, &format!("a{n}"), "a-hub", 90_000 + n * 1_000)).collect());
    lay("fan_out", (0..10).map(|n| moved(BEGIN + n * 4 * HOUR, "b-hub", &format!("b{n}"), 80_000 + n * 1_000)).collect());
    let gather = (0..6).map(|n| moved(BEGIN + n * 2 * HOUR, &format!("c{n}"), "c-hub", 100_000));
    let scatter = (0..6).map(|n| moved(BEGIN + DAY + n * 2 * HOUR, "c-hub", &format!("c1{n}"), 97_000));
    lay("gather_scatter", gather.chain(scatter).collect());
    let out = (0..5).map(|n| moved(BEGIN + n * HOUR, "d-from", &format!("d{n}"), 120_000));
    let into = (0..5).map(|n| moved(BEGIN + DAY + n * HOUR, &format!("d{n}"), "d-to", 117_000));
    lay("scatter_gather", out.chain(into).collect());
    let crowd = (0..4).flat_map(|from| (0..4).map(move |to| (from, to)));
    lay(
        "bipartite",
        crowd.map(|(from, to)| moved(BEGIN + (from * 4 + to) * 2 * HOUR, &format!("e{from}"), &format!("e1{to}"), 60_000)).collect(),
    );
    lay("stack", (0..5).map(|n| moved(BEGIN + n * 5 * HOUR, &format!("f{n}"), &format!("f{}", n + 1), 200_000 - n * 4_000)).collect());
    let ring = |n: i64| format!("g{}", n % 5);
    lay("cycle", (0..5).map(|n| moved(BEGIN + n * 6 * HOUR, &ring(n), &ring(n + 1), 250_000 - n * 5_000)).collect());
    lay("pass_through", vec![moved(BEGIN, "h0", "h1", 300_000), moved(BEGIN + 40 * MINUTE, "h1", "h2", 295_000)]);
    let cash = (0..5).map(|n| (BEGIN + n * 9 * HOUR, "-".to_owned(), "i0".to_owned(), 950_000 + n * 7_000, "cash"));
    lay("structuring", cash.collect());
    // Opened the day before; three times it takes and passes on.
    let mule = (0..3).flat_map(|n| {
        let begin = BEGIN + n * DAY;
        [moved(begin, &format!("j{n}"), "j-mule", 100_000), moved(begin + HOUR, "j-mule", &format!("j1{n}"), 96_000)]
    });
    lay("mule", mule.collect());
    let peel = |n: i64| {
        let (begin, whole) = (BEGIN + n * 8 * HOUR, 500_000 - n * 50_000);
        [
            moved(begin, &format!("k{n}"), &format!("k{}", n + 1), whole),
            moved(begin + HOUR, &format!("k{}", n + 1), &format!("k1{n}"), 48_000),
        ]
    };
    lay("peeling_chain", (0..5).flat_map(peel).collect());
    lay("funnel", (0..8).map(|n| moved(BEGIN + n * 3 * HOUR, &format!("new-l{n}"), "l-hub", 70_000 + n * 500)).collect());
    lay("dormant", vec![moved(BEGIN, "m0", "rest-m", 400_000), moved(BEGIN + 3 * HOUR, "rest-m", "m1", 390_000)]);
    schemes
}

/// What everybody does: each has three friends and pays one of them every few days. Accounts that are young, or at rest, do not.
fn everyday(schemes: &[Scheme]) -> Vec<Move> {
    let names = schemes.iter().flat_map(|scheme| &scheme.moves).flat_map(|(_, from, to, ..)| [from, to]);
    let mut known: BTreeSet<String> = names.filter(|name| *name != "-" && !name.starts_with("new-")).cloned().collect();
    known.remove("rest-m");
    known.remove("j-mule");
    known.extend((0..80).map(|n| format!("z{n}")));
    let known: Vec<String> = known.into_iter().collect();
    let mut moves = vec![moved(DAY, "rest-m", "z1", 2_000)];
    for (place, name) in known.iter().enumerate() {
        let place = place as i64;
        for turn in 0..18 {
            let friend = format!("z{}", (place * 7 + turn % 3 * 11) % 80);
            let time = turn * 4 * DAY + (place * 37 + turn * 101) % 96 * HOUR / 2 + place;
            if friend != *name {
                moves.push((time, name.clone(), friend, 1_500 + (place * 13 + turn * 29) % 90 * 30, "credit_transfer"));
            }
        }
    }
    moves
}

/// As a line of the wire format.
fn line(number: usize, (seconds, from, to, cents, format): &Move) -> String {
    let time = Timestamp(1_735_689_600_000_000) + Duration::SECOND.times(*seconds);
    let mut line = json!({
        "id": format!("t{number}"), "type": "transfer", "time": time.to_string(),
        "amount": cents, "currency": "EUR", "format": format,
    });
    for (key, account) in [("from", from), ("to", to)] {
        if account != "-" {
            line[key] = account.as_str().into();
        }
    }
    let orders = if from == "-" { to } else { from };
    line["user"] = format!("u-{orders}").into();
    line["device"] = format!("p-{orders}").into();
    format!("{line}\n")
}

/// A kept replay of the ledger, which all tests read.
struct Ledger {
    room: Room,
    schemes: Vec<Scheme>,
    /// The ids of a scheme's transfers.
    events: Vec<BTreeSet<String>>,
    /// The newest version of each alert of laundering.
    alerts: Vec<Value>,
}

fn ledger() -> &'static Ledger {
    static LEDGER: OnceLock<Ledger> = OnceLock::new();
    LEDGER.get_or_init(|| {
        let schemes = schemes();
        let honest = everyday(&schemes);
        let all = schemes.iter().enumerate().flat_map(|(place, scheme)| scheme.moves.iter().map(move |one| (one, Some(place))));
        let mut all: Vec<(&Move, Option<usize>)> = all.chain(honest.iter().map(|one| (one, None))).collect();
        all.sort_by_key(|(one, _)| one.0);
        let mut events = vec![BTreeSet::new(); schemes.len()];
        let mut text = String::new();
        for (number, (one, scheme)) in all.into_iter().enumerate() {
            text += &line(number, one);
            if let Some(scheme) = scheme {
                events[scheme].insert(format!("t{number}"));
            }
        }
        let room = Room::new();
        room.write("ledger.jsonl", &text);
        room.write("low.toml", LOW);
        let summary = room.summary(&["ledger.jsonl", "-t", "small.toml", "-t", "low.toml", "--out", "kept"]);
        assert_eq!((&summary["rejected"], &summary["duplicates"], &summary["late"]), (&0.into(), &0.into(), &0.into()), "{summary}");
        let mut alerts: Vec<Value> = Vec::new();
        for version in room.lines(&["tail", "alerts", "--data", "kept"]) {
            alerts.retain(|alert| alert["alert_id"] != version["alert_id"]);
            alerts.push(version);
        }
        alerts.retain(|alert| alert["kind"] == "aml");
        Ledger { room, schemes, events, alerts }
    })
}

/// An alert that tells of this typology, and of it four fifths of the scheme's transfers.
fn found(typology: &str) -> &'static Value {
    let ledger = ledger();
    let place = ledger.schemes.iter().position(|scheme| scheme.typology == typology).expect("it was laid down");
    let told = |alert: &&Value| {
        let seen = alert["reasons"].as_array().unwrap().iter().any(|reason| reason["code"] == typology);
        let shown: BTreeSet<&str> = alert["event_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        let shared = ledger.events[place].iter().filter(|event| shown.contains(event.as_str())).count();
        seen && alert["status"] != "merged" && shared * 5 >= ledger.events[place].len() * 4
    };
    let alert = ledger.alerts.iter().find(told);
    alert.unwrap_or_else(|| panic!("no alert tells of {typology}: {:?}", ledger.events[place]))
}

#[test]
fn a_fan_in_is_found() {
    found("fan_in");
}

#[test]
fn a_fan_out_is_found() {
    found("fan_out");
}

#[test]
fn a_gather_scatter_is_found() {
    found("gather_scatter");
}

#[test]
fn a_scatter_gather_is_found() {
    found("scatter_gather");
}

#[test]
fn a_bipartite_crowd_is_found() {
    found("bipartite");
}

#[test]
fn a_stack_is_found() {
    found("stack");
}

#[test]
fn a_cycle_is_found() {
    found("cycle");
}

#[test]
fn a_pass_through_is_found() {
    found("pass_through");
}

#[test]
fn structuring_is_found() {
    found("structuring");
}

#[test]
fn a_mule_is_found() {
    found("mule");
}

#[test]
fn a_peeling_chain_is_found() {
    found("peeling_chain");
}

#[test]
fn a_funnel_is_found() {
    found("funnel");
}

#[test]
fn a_dormant_account_is_found() {
    found("dormant");
}

/// Of some three thousand honest transfers no two become an alert: each alert is of a scheme, and each scheme has one.
#[test]
fn what_is_honest_is_not_told_of() {
    let ledger = ledger();
    let planted: BTreeSet<&str> = ledger.events.iter().flatten().map(String::as_str).collect();
    let is_planted = |id: &&Value| planted.contains(id.as_str().unwrap());
    for alert in &ledger.alerts {
        assert!(alert["event_ids"].as_array().unwrap().iter().any(|id| is_planted(&id)), "{alert}");
    }
    assert_eq!(ledger.alerts.len(), ledger.schemes.len());
}

fn id_of(typology: &str) -> &'static str {
    found(typology)["alert_id"].as_str().unwrap()
}

#[test]
fn alerts_are_listed_in_their_newest_version() {
    let ledger = ledger();
    let list = ledger.room.done(&["aml", "show", "--data", "kept"]);
    assert_eq!(list.lines().count(), 1 + ledger.alerts.len(), "{list}");
    let line = list.lines().find(|line| line.contains("gather_scatter")).unwrap();
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(cells[3..], ["13", "12", "11,820.00", "2025-03-08", "00:00", "2025-03-09", "10:00", "open"], "{line}");
    for one in ledger.room.lines(&["aml", "show", "--data", "kept", "--json"]) {
        let alert = ledger.alerts.iter().find(|alert| alert["alert_id"] == one["alert_id"]).unwrap();
        for key in ["version", "typology", "score", "status", "events", "money", "first_event", "last_event"] {
            assert_eq!(one[key], alert[key], "{key} of {one}");
        }
    }
    ledger.room.write("payments.jsonl", "");
    ledger.room.summary(&["payments.jsonl", "-t", "small.toml", "--out", "empty"]);
    assert_eq!(ledger.room.done(&["aml", "show", "--data", "empty"]), "empty: no alert of laundering\n");
}

/// Cash that comes to an account of a stack, which is not the one that its alert is about.
#[test]
fn the_world_outside_is_not_whom_the_alert_is_about() {
    let stack: Vec<Scheme> = schemes().into_iter().filter(|scheme| scheme.typology == "stack").collect();
    let cash: Vec<Move> = (0..5).map(|n| (BEGIN + 3 * DAY + n * 8 * HOUR, "-".to_owned(), "f3".to_owned(), 950_000, "cash")).collect();
    let honest = everyday(&stack);
    let mut all: Vec<&Move> = stack[0].moves.iter().chain(&honest).chain(&cash).collect();
    all.sort_by_key(|one| one.0);
    let room = Room::new();
    room.write("stack.jsonl", &all.iter().enumerate().map(|(number, one)| line(number, one)).collect::<String>());
    room.summary(&["stack.jsonl", "-t", "small.toml", "--out", "kept"]);
    let alerts = room.lines(&["tail", "alerts", "--data", "kept"]);
    let mut of_others = 0;
    for alert in &alerts {
        for edge in alert["edges"].as_array().unwrap().iter().filter(|edge| edge["amount"] == 950_000) {
            assert_eq!(edge["from"], edge["to"], "{edge}");
            of_others += usize::from(edge["to"] != alert["subject"]["id"]);
        }
    }
    assert!(of_others > 0, "{alerts:?}");
}

#[test]
fn an_alert_is_shown_with_what_proves_it() {
    let ledger = ledger();
    let show = |typology: &str, more: &[&str]| ledger.room.done(&[&["aml", "show", "--data", "kept", id_of(typology)], more].concat());
    let text = show("pass_through", &[]);
    let sentence = "On 8 March 2025 between 00:00 and 00:40 (UTC) EUR 3,000.00 went in 2 transfers from h0 through h1 to h2 within\n\
                    40 minutes; 98 % of what came in went on.\n";
    assert!(text.contains(sentence), "{text}");
    for part in ["h0 → h1", "2025-03-08 00:40:00  2,950.00   ·   ●───▶ ", "  2  h1       intermediary  3,000.00  2,950.00\n"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let cash = show("structuring", &[]);
    assert!(cash.contains("i0 ↔ outside") && cash.contains(", each of EUR 9,500.00 to 9,"), "{cash}");

    let alert: Value = serde_json::from_str(&show("cycle", &["--json", "--svg", "cycle.svg"])).unwrap();
    assert_eq!(&alert, found("cycle"));
    let roles: BTreeMap<&str, &str> = alert["members"]
        .as_array()
        .unwrap()
        .iter()
        .chain([&alert["subject"]])
        .map(|member| (member["id"].as_str().unwrap(), member["role"].as_str().unwrap()))
        .collect();
    let expected = [("g0", "source"), ("g1", "intermediary"), ("g2", "intermediary"), ("g3", "intermediary"), ("g4", "intermediary")];
    assert_eq!(roles, expected.into());
    assert_eq!((&alert["conserved_percent"], &alert["duration_s"]), (&92.into(), &(24 * HOUR).into()));
    assert!(alert["narrative"].as_str().unwrap().contains("from g0 through 4 accounts and back within 24 hours"), "{alert}");
    let picture = fs::read_to_string(ledger.room.path("cycle.svg")).unwrap();
    assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n") && picture.matches("<g>").count() == 5, "{picture}");
    assert!(picture.contains(">g0</text>") && picture.contains(">2,500.00</text>"), "{picture}");
}

#[test]
fn alerts_of_laundering_are_what_their_schema_says() {
    let lines = ledger().room.done(&["tail", "alerts", "--data", "kept"]);
    assert!(lines.contains("\"narrative\"") && lines.contains("\"role\":\"intermediary\""), "{lines}");
    assert_eq!(refused("alert.json", &lines), Vec::<String>::new());
}

#[test]
fn what_cannot_be_shown_is_told() {
    let ledger = ledger();
    let told = |more: &[&str]| ledger.room.refused(&[&["aml", "show", "--data"], more].concat());
    assert_eq!(
        told(&["kept", "aml-99"]),
        "error: kept: found no alert of laundering aml-99, expected one of those that weir aml show --data kept lists\n"
    );
    assert_eq!(told(&["kept", "mine"]), "error: ALERT_ID: found \"mine\", expected an id such as aml-7\n");
    assert!(told(&["nowhere"]).starts_with("error: nowhere: opening: "));
    assert!(told(&["kept", "--svg", "all.svg"]).contains("ALERT_ID"));
    assert!(told(&["kept", id_of("cycle"), "--svg", "no/such.svg"]).starts_with("error: no/such.svg: cannot be written: "));
}

/// As while a service runs: it has the texts of ids.
#[test]
fn ids_are_hashes_while_somebody_else_has_their_texts() {
    let room = Room::new();
    room.write("one.jsonl", &line(1, &moved(0, "a", "b", 100)));
    room.summary(&["one.jsonl", "-t", "small.toml", "--out", "kept"]);
    let _held = weir::store::Store::open(&room.path("kept/identity")).unwrap();
    let output = room.weir(&["aml", "coverage", "--data", "kept"]);
    let (said, noted) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(noted.contains("another process has the texts of ids open: ids are shown as hashes"), "{noted}");
    assert!(output.status.success() && !said.contains("instant"), "{said}");
}

#[test]
fn coverage_says_what_is_looked_for_where_and_what_is_missing() {
    let ledger = ledger();
    let coverage =
        |more: &[&str]| -> Value { serde_json::from_str(&ledger.room.done(&[&["aml", "coverage", "--json"], more].concat())).unwrap() };
    let gaps = |report: &Value| -> Vec<(String, String)> {
        let of = |gap: &Value| gap["typology"].as_str().or(gap["product"].as_str()).unwrap_or("all").to_owned();
        report["gaps"].as_array().unwrap().iter().map(|gap| (of(gap), gap["gap"].as_str().unwrap().to_owned())).collect()
    };
    let report = coverage(&["--data", "kept"]);
    let thresholds = Topology::load(&[ledger.room.path("low.toml")]).unwrap().deciding.alerts.laundering;
    for (place, row) in report["typologies"].as_array().unwrap().iter().enumerate() {
        let typology = row["typology"].as_str().unwrap();
        let tells = |alert: &&Value| alert["reasons"].as_array().unwrap().iter().any(|reason| reason["code"] == typology);
        assert_eq!(row["alerts"], ledger.alerts.iter().filter(tells).count(), "{typology}");
        assert_eq!((&row["alert"], &row["interdict"]), (&json!(thresholds[place].alert), &Value::Null), "{typology}");
        assert!(!row["tests"].as_array().unwrap().is_empty(), "{typology}");
    }
    let products: BTreeMap<&str, &Value> =
        report["products"].as_array().unwrap().iter().map(|product| (product["product"].as_str().unwrap(), product)).collect();
    assert_eq!(products.keys().copied().collect::<Vec<&str>>(), ["cash", "credit_transfer", "instant"]);
    assert_eq!(
        (&products["cash"]["events"], &products["cash"]["alerts"]["structuring"], &products["cash"]["alerts"]["cycle"]),
        (&5.into(), &1.into(), &0.into())
    );
    assert_eq!((&products["instant"]["alerts"]["structuring"], &products["instant"]["alerts"]["funnel"]), (&0.into(), &1.into()));
    assert_eq!(products["cash"]["money"], json!({"amount": 5 * 950_000 + 10 * 7_000, "currency": "EUR"}));
    let told = gaps(&report);
    assert!(told.contains(&("payments".to_owned(), "no typology of laundering looks at payments".to_owned())), "{told:?}");
    assert!(told.iter().all(|(of, _)| of != "cycle" && of != "cash"), "{told:?}");

    // Thresholds of another topology; a source whose product never came.
    ledger.room.write("bank.csv", "ID,AT,A,B,SUM\n");
    ledger.room.write(
        "other.toml",
        "[alert.laundering]\ncycle = { alert = 1001, interdict = 900 }\n[source.bank]\nfiles = [\"bank.csv\"]\nevent = \"transfer\"\n\
         [source.bank.fields]\nid = { column = \"ID\" }\ntime = { column = \"AT\", zone = \"UTC\" }\nfrom = { column = \"A\" }\n\
         to = { column = \"B\" }\namount = { column = \"SUM\" }\ncurrency = { constant = \"EUR\" }\nformat = { constant = \"cheque\" }\n",
    );
    let told = gaps(&coverage(&["-t", "other.toml", "--data", "kept"]));
    let says = |of: &str, what: &str| told.iter().any(|(about, gap)| about == of && gap.contains(what));
    assert!(says("cycle", "never alerts") && says("cheque", "no transfer of it stands in this journal"), "{told:?}");
    assert!(says("stack", "holds no transfer for review") && !says("cycle", "holds no transfer"), "{told:?}");

    let text = ledger.room.done(&["aml", "coverage"]);
    assert!(text.contains("a_cycle_is_found") && text.contains("no data directory was looked at"), "{text}");
    let text = ledger.room.done(&["aml", "coverage", "--data", "kept"]);
    let line = text.lines().find(|line| line.trim_start().starts_with("structuring") && !line.contains("src/")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<&str>>(), ["structuring", "1", "0", "0"], "{text}");
    // Payments have no figure: nobody looks there.
    ledger.room.write("shop.jsonl", "{\"id\":\"p\",\"type\":\"payment\",\"time\":\"2025-01-01T00:00:00Z\",\"user\":\"u\",\"merchant\":\"m\",\"amount\":1,\"currency\":\"EUR\"}\n");
    ledger.room.summary(&["shop.jsonl", "-t", "small.toml", "--out", "shop"]);
    let report = coverage(&["--data", "shop"]);
    assert_eq!(
        report["products"],
        json!([{"product": "payments", "type": "payment", "covered": false, "events": 1, "money": {"amount": 1, "currency": "EUR"}, "alerts": null}])
    );
    let told = gaps(&report);
    assert!(
        told.contains(&("payments".to_owned(), "no typology of laundering looks at payments: 1 in this journal".to_owned())),
        "{told:?}"
    );
    assert!(told.contains(&("all".to_owned(), "no transfer stands in this journal".to_owned())), "{told:?}");
}
