//! No tipping-off: runs that differ only in what is known, thought or set of laundering differ in no byte that anybody outside of AML can
//! read, but for outcomes where the policy interdicts.

mod house;
mod ring;

use house::service::{PATIENCE, Room};
use house::{GENEROUS, engine, options, run};
use ring::{Dice, Stream, id};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use weir::decision::{Audience, Decision, ListsOptions, Outcome, PolicyOptions, ReasonCode, RuleOptions, SHARE_ONE, Thresholds};
use weir::engine::{AlertLimits, AlertOptions, GuardOptions, NO_MODEL, NamedModel, Options, Output, Threshold};
use weir::event::{Currency, Duration, EventType, IdKind, ListChange, PaymentStatus, Record, Verdict};
use weir::gnn::{Bound, Branch, Inputs};
use weir::render::{PolicyTexts, View, alert, decision};
use weir::typology::{Kind, Typology};

fn rule(name: &str, of: EventType, when: &str, outcome: Outcome, risk_score: u16, reason: ReasonCode) -> RuleOptions {
    RuleOptions { name: name.into(), of, when: when.into(), outcome, risk_score, reason, text: String::new() }
}

/// Rules that everybody may hear of – more of transfers than a decision names, some that decline – and rules that AML alone may.
fn policy() -> PolicyOptions {
    use EventType::{Payment, Transfer};
    use Outcome::{Approve, Decline, Review};
    use ReasonCode::{AmountHigh, ModelLaundering, Rule, TypologyLaundering};
    let mut rules = vec![
        rule("aml_awake", Transfer, "laundering.score > 0", Approve, 700, TypologyLaundering),
        rule("aml_divides", Transfer, "1000 / laundering.score > 100000", Review, 800, TypologyLaundering),
        rule("aml_likely", Transfer, "model_probability > 0.5", Decline, 990, ModelLaundering),
        // That a payment costs much means something to AML alone here: what it becomes is no business of fraud's alerts.
        rule("aml_payment", Payment, "amount_minor > 400000", Review, 650, ModelLaundering),
        rule("dear", Payment, "amount_minor > 30000", Review, 610, AmountHigh),
        rule("declined", Transfer, "amount_minor % 7 == 0", Decline, 900, Rule),
    ];
    rules.extend((0..5).map(|n| rule(&format!("public{n}"), Transfer, &format!("amount_minor % {} < 3", n + 3), Approve, 10 * n, Rule)));
    rules.sort_by(|a, b| a.name.cmp(&b.name));
    let thresholds = Thresholds { challenge_risk_score_min: 400, review_risk_score_min: 600, decline_risk_score_min: 900 };
    PolicyOptions { thresholds, rules, velocity: Vec::new(), control_share: SHARE_ONE / 4 }
}

/// Little room and little budget, so that whoever takes any of it is missed.
fn plain() -> Options {
    let limits = AlertLimits { alerts_max: 8, members_max: 12, edges_max: 12, evidence_rows_max: 20_000 };
    let quiet = [Threshold { alert: 1_001, interdict: 1_001 }; Typology::LAUNDERING.len()];
    let alerts = AlertOptions { limits, per_hour: 3, close_after: Duration::HOUR.times(4), laundering: quiet, ..AlertOptions::default() };
    let guard =
        GuardOptions { declines_min: 60, share_percent: 25, multiple: 2, rest: Duration::MINUTE.times(20), ..GuardOptions::default() };
    Options { policy: policy(), alerts, guard, ..options(GENEROUS) }
}

/// What is known and thought of laundering.
struct State {
    name: &'static str,
    options: Options,
    /// What the model of transfers says: its logit.
    says: f32,
    /// It says what is no number.
    errs: bool,
    /// Alerts about these accounts are suppressed.
    suppressed: bool,
}

fn state(name: &'static str, says: f32, change: impl FnOnce(&mut Options)) -> State {
    let mut options = plain();
    change(&mut options);
    State { name, options, says, errs: false, suppressed: false }
}

/// A town that pays, is tried by thieves, moves money in circles, and logs in.
fn records(suppressed: bool) -> Vec<Record> {
    let (mut stream, mut dice) = (Stream::new(), Dice(5));
    let mut waiting = Vec::new();
    for step in 0..2_600u64 {
        let (user, shop) = (dice.below(60), dice.below(9));
        // What becomes dear goes by few devices.
        let device = if dice.below(3) == 0 { dice.below(4) } else { user };
        let minor = 100 + dice.below(4_000) as i64 * if device < 4 { 9 } else { 1 } + if dice.below(90) == 0 { 500_000 } else { 0 };
        let card = format!("c{}", dice.below(50));
        let event = stream.pay(&format!("u{user}"), &format!("d{device}"), Some(&card), &format!("m{shop}"), minor);
        if dice.below(100) < if shop == 3 { 60 } else { 12 } {
            stream.result(event, PaymentStatus::DeclinedByIssuer);
        }
        if dice.below(100) < 7 {
            waiting.push(event);
        }
        if step % 50 == 49 {
            waiting.drain(..).for_each(|event| stream.label(event, Verdict::Fraud));
            stream.pass(Duration::MINUTE.times(6));
        }
        // Somebody's money goes round, and everybody pays everybody.
        let from = dice.below(300);
        stream.send(&format!("a{from}"), &format!("a{}", dice.below(300)), &format!("t{}", dice.below(90)), 50 + dice.below(90_000) as i64);
        if step % 13 == 5 {
            let ring = step / 13 % 10;
            let hop = |n: u64| format!("ring{ring}-{n}");
            for n in 0..4 {
                stream.send(&hop(n), &hop((n + 1) % 4), &format!("mule{n}"), 900_000 - 1_000 * n as i64);
            }
        }
        if step % 11 == 0 {
            stream.visit(&format!("u{user}"), &format!("d{device}"));
        }
        if step % 100 == 50 {
            match suppressed {
                false => stream.tick(),
                true => {
                    let account = id(IdKind::Account, &format!("ring{}-{}", step / 100 % 10, step / 1000));
                    stream.list(ListChange { list: 3, id: account, until: Some(stream.now + Duration::DAY) });
                }
            }
        }
    }
    stream.records
}

fn outputs(state: &State) -> Vec<Output> {
    let mut engine = engine(&state.options);
    let mut model = house::model::model(4);
    let branch =
        |says: f32, of: &Branch| Branch { inputs: of.inputs[..1].to_vec(), pieces: of.pieces[..4].to_vec(), offset: says, ..of.clone() };
    let payment = branch(0.0, model.payment.as_ref().expect("it has one"));
    let mut transfer = Branch { slope: 0.0, ..branch(state.says, &payment) };
    if state.errs {
        // What is more than the greatest number is none.
        (transfer.head, transfer.head_bias) = ([f32::MAX; _], f32::MAX);
    }
    model.transfer = Some(transfer);
    model.payment = Some(payment);
    let bound = Bound::new(model, &Inputs::new(&engine.layout().schema)).expect("it asks for the amount alone");
    engine.put_model_in_force(Some(NamedModel { name: [9; 16], model: Arc::new(bound) }), NO_MODEL);
    run(&mut engine, &records(state.suppressed), 64)
}

/// What everybody may read of outputs, in their order: lines of decisions, and of alerts of fraud. The outcome stands apart from each.
fn public(outputs: &[Output], options: &Options) -> Vec<(Option<Decision>, String)> {
    let eur = Currency::parse("EUR").expect("listed");
    let texts = PolicyTexts::new(&options.policy, &options.aggregates, &ListsOptions::default(), eur);
    let line = |output: &Output| {
        let mut out = Vec::new();
        let decided = match output {
            Output::Decision(one) => {
                decision(one, View::Public, &texts, &|_| None, &mut out);
                Some(*one)
            }
            Output::Alert(one) if one.kind == Kind::Fraud => {
                alert(one, None, eur, &|_, cause| texts.cause(i64::from(cause), View::Internal), &|_| None, &mut out);
                None
            }
            Output::Alert(_) => return None,
            Output::Rejected(rejected) => panic!("{rejected:?}"),
        };
        Some((decided, String::from_utf8(out).expect("JSON is UTF-8")))
    };
    outputs.iter().filter_map(line).collect()
}

fn without_outcome(line: &str) -> String {
    let at = line.find(r#""outcome":""#).expect("an outcome");
    let end = line[at..].find(',').expect("more behind it");
    format!("{}{}", &line[..at], &line[at + end..])
}

/// Both runs say the same to everybody; gives how many outcomes differ.
fn same(name: &str, one: &[(Option<Decision>, String)], other: &[(Option<Decision>, String)]) -> usize {
    let mut interdicted = 0;
    for ((of, line), (with, other)) in one.iter().zip(other) {
        let (Some(of), Some(with)) = (of, with) else {
            assert_eq!(line, other, "{name}");
            continue;
        };
        assert_eq!(without_outcome(line), without_outcome(other), "{name}");
        if of.outcome != with.outcome {
            let severer = if of.outcome > with.outcome { of } else { with };
            assert_eq!(severer.suspicion.outcome, severer.outcome, "{name}: the policy did not interdict: {severer:?}");
            interdicted += 1;
        }
    }
    assert_eq!(one.len(), other.len(), "{name}");
    interdicted
}

/// Caught when planted:
/// - the public view showing reasons for AML; the greater of both risk scores; public reasons and rules that err chosen among those of both;
/// - the guard counting declines on suspicion in the sum of the others; its turns told as alerts of fraud;
/// - the control group letting through what is declined on suspicion; a model's probability that is no number said to have been skipped;
/// - alerts of laundering numbered with those of fraud, spending their budget, taking their places.
#[test]
fn nobody_outside_of_aml_learns_of_a_suspicion() {
    let thresholds = |alert, interdict| [Threshold { alert, interdict }; Typology::LAUNDERING.len()];
    let nothing = |options: &mut Options| options.laundering.leg_minor = i64::MAX / 4;
    let states = [
        state("nothing is found, and the model trusts everybody", -20.0, nothing),
        state("all is told", -20.0, |options| options.alerts.laundering = thresholds(1, 1)),
        state("some is told", -20.0, |options| options.alerts.laundering = thresholds(400, 700)),
        state("the model trusts nobody", 20.0, nothing),
        state("the model trusts nobody, and all is told", 20.0, |options| options.alerts.laundering = thresholds(1, 1)),
        State { errs: true, ..state("the model says no number", -20.0, nothing) },
        state("AML has no rules", -20.0, |options| options.policy.rules.retain(|rule| rule.reason.audience() != Audience::Aml)),
        State { suppressed: true, ..state("alerts are suppressed", -20.0, |options| options.alerts.laundering = thresholds(1, 1_001)) },
    ];
    let expected = outputs(&states[0]);
    let shown = public(&expected, &states[0].options);
    // The ground is such that something can show: reasons that would be pushed out, budgets and places that are spent, a guard that turns.
    let decisions = || shown.iter().filter_map(|(decision, _)| decision.as_ref());
    let transfers = || decisions().filter(|decision| decision.kind == EventType::Transfer);
    assert!(transfers().any(|decision| decision.reasons.as_slice().len() == 4));
    assert!(
        transfers().any(|decision| decision.control_group.is_some()) && transfers().any(|decision| decision.outcome == Outcome::Decline)
    );
    let alerts = |kind| expected.iter().filter(move |output| matches!(output, Output::Alert(alert) if alert.kind == kind)).count();
    assert!(alerts(Kind::Fraud) > 100 && alerts(Kind::Aml) == 0, "{} and {}", alerts(Kind::Fraud), alerts(Kind::Aml));
    for state in &states[1..] {
        let found = outputs(state);
        let interdicted = same(state.name, &shown, &public(&found, &state.options));
        let aml = found.iter().filter(|output| matches!(output, Output::Alert(alert) if alert.kind == Kind::Aml)).count();
        let suspected =
            found.iter().filter(|output| matches!(output, Output::Decision(decision) if !decision.suspicion.reasons.as_slice().is_empty()));
        println!("{}: {interdicted} interdicted, {} suspected, {aml} alerts", state.name, suspected.count());
        let (interdicts, alerts) = match state.name {
            "the model says no number" => (false, false),
            // It held dear payments.
            "AML has no rules" => (true, false),
            _ => (true, true),
        };
        assert_eq!((interdicted > 0, aml > 0), (interdicts, alerts), "{}", state.name);
    }
}

/// The address of a service, asked with keys.
struct Door(String);

impl Door {
    fn open(&self, line: &str, key: &str, headers: &str, body: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(&self.0).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        write!(
            stream,
            "{line} HTTP/1.0\r\nhost: localhost\r\nauthorization: Bearer {key}\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        )
        .unwrap();
        BufReader::new(stream)
    }

    fn ask(&self, line: &str, key: &str, body: &str) -> (u16, String) {
        let mut text = String::new();
        let headers =
            if line.ends_with("/v1/events") { "content-type: application/x-ndjson\r\n" } else { "content-type: application/json\r\n" };
        self.open(line, key, headers, body).read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        (head.split(' ').nth(1).expect("a status").parse().unwrap(), body.to_owned())
    }

    /// The first entries of a stream.
    fn follow(&self, path: &str, key: &str, count: usize) -> Vec<String> {
        let stream = self.open(&format!("GET {path}?after=0"), key, "", "");
        let data = stream.lines().map(|line| line.unwrap()).filter_map(|line| line.strip_prefix("data: ").map(str::to_owned));
        data.take(count).collect()
    }
}

/// What roles outside of AML read at the doors of a service.
#[derive(Debug, PartialEq)]
struct Seen {
    answers: Vec<String>,
    again: Vec<String>,
    decisions: Vec<String>,
    alerts: String,
    alert_stream: Vec<String>,
    metrics: Vec<String>,
}

/// As it is read, but for the outcome of a transfer and the hashes of what is in force, by which the runs differ openly.
fn masked(line: &str) -> String {
    let mut line = line.trim_end().to_owned();
    for hash in [r#""policy":""#, r#""topology":""#] {
        let at = line.find(hash).expect("a decision names what was in force") + hash.len();
        line.replace_range(at..at + 32, "");
    }
    if line.starts_with(r#"{"event_id":"t"#) { without_outcome(&line) } else { line }
}

/// As it is read, but for when alerts opened: by the clock.
fn unclocked(text: &str) -> String {
    let mut parts = text.split(r#""opened_at":""#);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('"').expect("a time").1)
}

fn events(since: i64) -> Vec<(bool, String)> {
    let time = |second: i64| weir::event::Timestamp(since + second * 1_000_000).to_string();
    let mut events = Vec::new();
    // Money goes round between four accounts, twice.
    for n in 0..8i64 {
        let (from, to, amount) = (n % 4, (n + 1) % 4, 900_000 - 1_000 * n);
        let transfer = format!(
            r#"{{"id":"t{n}","type":"transfer","time":"{}","from":"a{from}","to":"a{to}","user":"mule{from}","amount":{amount},"currency":"EUR"}}"#,
            time(n)
        );
        events.push((true, transfer));
    }
    // Cards are tried at a shop.
    for n in 0..6i64 {
        let payment = format!(
            r#"{{"id":"p{n}","type":"payment","time":"{}","user":"u{n}","card":"c{n}","merchant":"shop","amount":100,"currency":"EUR"}}"#,
            time(10 + n)
        );
        events.push((true, payment));
    }
    for n in 0..6i64 {
        let time = time(20 + n);
        events.push((
            false,
            format!(r#"{{"id":"r{n}","type":"payment_result","time":"{time}","target":"p{n}","status":"declined_by_issuer"}}"#),
        ));
    }
    events
}

/// Plays the same events to a service under this layer; what others see of it, and how many transfers it interdicted and alerts of laundering it
/// told an analyst of.
fn seen(layer: &str, since: i64) -> (Seen, usize, usize) {
    let rule = "[policy.rule.circles]\nof = \"transfer\"\nwhen = \"laundering.score > 0\"\noutcome = \"review\"\nrisk_score = 990\n";
    let room = Room::new(&format!("[security]\nloopback_open = false\n{rule}{layer}"));
    let key = |scope: &str| room.done(&["keys", "add", "--name", scope, "--scope", scope, "--data", "data"]).trim().to_owned();
    let [hook, ingest, subscriber, analyst, supervisor] = ["hook", "ingest", "subscriber", "analyst", "supervisor"].map(key);
    let running = room.start("data", &[]);
    let door = Door(running.address.clone());
    let (mut answers, mut again, mut interdicted, mut judged) = (Vec::new(), Vec::new(), 0, 0);
    for (waits, event) in events(since) {
        if !waits {
            let (status, told) = door.ask("POST /v1/events", &ingest, &format!("{event}\n"));
            assert!(status == 200 && told.contains("\"recorded\""), "{told}");
            continue;
        }
        let (status, answer) = door.ask("POST /v1/authorizations", &hook, &event);
        assert_eq!(status, 200, "{answer}");
        let id = &event[7..event.find(',').expect("more behind the id") - 1];
        interdicted += usize::from(id.starts_with('t') && !answer.contains(r#""outcome":"approve""#));
        judged += 1;
        again.push(masked(&door.ask(&format!("GET /v1/decisions/{id}"), &subscriber, "").1));
        answers.push(masked(&answer));
    }
    assert_eq!(door.ask("GET /v1/decisions/t7?view=internal", &supervisor, "").0, 403);
    let until = Instant::now() + PATIENCE;
    let open =
        |key: &str| serde_json::from_str::<Value>(&door.ask("GET /v1/alerts", key, "").1).unwrap()["alerts"].as_array().unwrap().clone();
    while !open(&supervisor).iter().any(|alert| alert["events"] == 6) {
        assert!(Instant::now() < until, "{:?}", open(&supervisor));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let aml = open(&analyst).iter().filter(|alert| alert["kind"] == "aml").count();
    let metrics = door.ask("GET /metrics", &subscriber, "").1;
    let counted = ["alerts_", "guard_", "model_", "gnn_", "graph_", "kafka_", "engine_rejected", "hook_answers", "snapshot_bytes"];
    let counted = |line: &&str| counted.iter().any(|area| line.starts_with(area));
    let seen = Seen {
        answers,
        again,
        decisions: door.follow("/v1/streams/decisions", &subscriber, judged).iter().map(|line| masked(line)).collect(),
        alerts: unclocked(&door.ask("GET /v1/alerts", &supervisor, "").1),
        alert_stream: door.follow("/v1/streams/alerts", &supervisor, 2).iter().map(|line| unclocked(line)).collect(),
        metrics: metrics.lines().filter(counted).map(str::to_owned).collect(),
    };
    assert!(seen.metrics.iter().any(|line| line.starts_with("alerts_total{kind=\"fraud\"")), "{metrics}");
    (seen, interdicted, aml)
}

/// The same at the doors of a service, by roles.
#[test]
fn no_door_tells_of_a_suspicion() {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64 - 60_000_000;
    let told = |threshold: i64| {
        let line = |typology: &Typology| format!("{} = {{ alert = {threshold}, interdict = {threshold} }}\n", typology.name());
        format!("[alert.laundering]\n{}", Typology::LAUNDERING.iter().map(line).collect::<String>())
    };
    let (quiet, interdicted, aml) = seen(&format!("{}[laundering]\nleg_minor = 100_000_000\n", told(1001)), since);
    assert_eq!((interdicted, aml), (0, 0));
    let (loud, interdicted, aml) = seen(&told(1), since);
    assert!(interdicted > 0 && aml > 0, "{interdicted} interdicted, {aml} alerts of laundering");
    assert_eq!(loud, quiet);
}
