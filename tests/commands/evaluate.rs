//! `weir evaluate`: what it says of a model, and where it can say nothing.

use crate::room::Room;
use serde_json::Value;
use std::fs;
use weir::gnn::{Branch, Coded, Model};

/// A model to which a payment is the more suspect the larger it is: the logit is -2 for nothing and 2 from 100.00 on.
fn by_amount() -> Model {
    let mut model = Model::zero();
    let (mut piece, mut head) = ([0.0; _], [0.0; _]);
    (piece[0], head[0]) = (1.0, 4.0);
    model.narrow[0][0] = 1.0;
    model.payment = Some(Branch {
        inputs: vec![Coded { name: "amount_minor".to_owned(), edges: vec![0.0, 10_000.0] }],
        bias: [0.0; _],
        pieces: vec![piece],
        head,
        head_bias: -2.0,
        slope: 1.0,
        offset: 0.0,
        reference: None,
    });
    model
}

/// Four payments of a day: the largest and the third are frauds, as turns out weeks later. Between the frauds and the others lie four
/// pairs, of which three are in order.
#[test]
fn a_model_is_judged_by_the_labels_that_came_later() {
    let room = Room::new();
    let payment = |id: &str, second: u32, amount: u32| {
        format!(
            "{{\"id\":\"{id}\",\"type\":\"payment\",\"time\":\"2025-01-02T00:00:{second:02}Z\",\"user\":\"u{id}\",\"merchant\":\"m\",\
             \"amount\":{amount},\"currency\":\"EUR\"}}\n"
        )
    };
    let fraud = |target: &str| {
        format!(
            "{{\"id\":\"l{target}\",\"type\":\"label\",\"time\":\"2025-01-20T00:00:00Z\",\"target\":\"{target}\",\"label\":\"fraud\",\
             \"source\":\"chargeback\",\"scenario\":\"stolen_card\"}}\n"
        )
    };
    let events = [payment("a", 1, 500), payment("b", 2, 9_000), payment("c", 3, 5_000), payment("d", 4, 1_000), fraud("b"), fraud("d")];
    room.write("day.jsonl", &events.concat());
    fs::write(room.path("amount.safetensors"), by_amount().to_bytes()).unwrap();
    room.write("amount.json", "{\"known_until\":\"2025-01-02T00:00:01Z\"}");
    let evaluate =
        ["evaluate", "day.jsonl", "-t", "small.toml", "--model", "amount.safetensors", "--from", "2025-01-02", "--until", "2025-01-03"];
    assert_eq!(
        room.refused(&evaluate),
        "error: amount.json: the model knows labels until 2025-01-02T00:00:01Z: expected --from then or later, or --hindsight\n"
    );
    let text = room.done(&[&evaluate[..], &["--hindsight", "--json", "--scores", "scores.csv", "--plot", "curve.svg"]].concat());
    let report: Value = serde_json::from_str(&text).unwrap();
    let near = |key: &str, expected: f64| {
        let found = report[key].as_f64().unwrap_or(f64::NAN);
        assert!((found - expected).abs() < 1e-6, "{key}: found {found}, expected {expected}");
    };
    assert_eq!((&report["events"], &report["positives"], &report["hindsight"]), (&4.into(), &2.into(), &true.into()));
    near("auc_roc", 0.75);
    near("average_precision", (1.0 + 2.0 / 3.0) / 2.0);
    near("card_precision_100", 0.02);
    // From the third on: two of three, all of them.
    near("f1", 0.8);
    let probability = |amount: f64| 1.0 / (1.0 + (2.0 - 4.0 * amount / 10_000.0).exp());
    near("threshold", probability(1_000.0));
    let miss = [(500.0, 0.0), (9_000.0, 1.0), (5_000.0, 0.0), (1_000.0, 1.0)].map(|(amount, came)| (probability(amount) - came).powi(2));
    near("brier", miss.iter().sum::<f64>() / 4.0);
    assert_eq!(report["recall_by_scenario"]["stolen_card"]["caught"], 2);
    assert_eq!(report["per_day"][0]["day"], "2025-01-02");

    let scores = fs::read_to_string(room.path("scores.csv")).unwrap();
    let lines: Vec<Vec<&str>> = scores.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines[0], ["event_id", "time", "user", "fraud_probability", "aml_probability", "hindsight"]);
    assert_eq!(lines[1..].iter().map(|line| (line[0], line[2])).collect::<Vec<_>>(), [("a", "ua"), ("b", "ub"), ("c", "uc"), ("d", "ud")]);
    let found: f64 = lines[2][3].parse().unwrap();
    assert!((found - probability(9_000.0)).abs() < 1e-6 && lines[2][4].is_empty(), "{scores}");
    assert!(fs::read_to_string(room.path("curve.svg")).unwrap().contains("4 events, with hindsight"));
    // Where the model could know nothing, no word of it is needed.
    room.write("amount.json", "{\"known_until\":\"2025-01-02T00:00:00Z\"}");
    let table = room.done(&evaluate);
    assert!(table.contains("  AUC ROC                 0.7500\n") && !table.contains("hindsight"), "{table}");
}

/// A model to which a transfer is the more suspect the larger it is, and two patterns of three transfers: of one the second is large enough,
/// of the other none. What came before FROM counts among a pattern's events, and is not judged.
#[test]
fn patterns_are_found_by_their_first_large_transfer() {
    let room = Room::new();
    let transfer = |id: &str, day: u32, cents: u32| {
        format!(
            "{{\"id\":\"{id}\",\"type\":\"transfer\",\"time\":\"2025-01-{day:02}T00:00:00Z\",\"from\":\"a{id}\",\"to\":\"b\",\"amount\":{cents},\
             \"currency\":\"EUR\"}}\n"
        )
    };
    let events = [("t1", 1, 9_000), ("t2", 2, 500), ("t3", 3, 8_000), ("t4", 4, 100), ("t5", 5, 200), ("t6", 6, 300), ("t7", 7, 7_000)];
    room.write("ledger.jsonl", &events.map(|(id, day, cents)| transfer(id, day, cents)).concat());
    let mut model = by_amount();
    model.transfer = model.payment.take();
    fs::write(room.path("amount.safetensors"), model.to_bytes()).unwrap();
    room.write("amount.json", "{\"known_until\":\"2025-01-01T00:00:00Z\"}");
    room.write(
        "patterns.csv",
        "event_id,pattern_id,typology\nt1,1,cycle\nt2,1,cycle\nt3,1,cycle\nt4,1,fan_in\nt5,1,fan_in\nt6,1,fan_in\nt7,-1,\n",
    );
    let truth =
        |form: &str, crimes: &str| format!("{{\"attack\":\"laundering\",\"form\":\"{form}\",\"crimes\":[{crimes}],\"members\":[]}}\n");
    room.write("schemes.jsonl", &(truth("cycle", "\"t1\",\"t2\",\"t3\"") + &truth("fan_in", "\"t4\",\"t5\",\"t6\"")));
    let evaluate = |patterns: &str, more: &[&str]| {
        let always = [
            "evaluate",
            "ledger.jsonl",
            "-t",
            "small.toml",
            "--model",
            "amount.safetensors",
            "--from",
            "2025-01-02",
            "--until",
            "2025-02-01",
        ];
        [&always[..], &["--threshold", "0.5", "--patterns", patterns], more]
            .concat()
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<String>>()
    };
    let done = |words: Vec<String>| room.done(&words.iter().map(String::as_str).collect::<Vec<&str>>());
    for file in ["patterns.csv", "schemes.jsonl"] {
        let report: Value = serde_json::from_str(&done(evaluate(file, &["--json"]))).unwrap();
        let patterns = &report["patterns"];
        assert_eq!((&patterns["patterns"], &patterns["found"], &patterns["recall"]), (&2.into(), &1.into(), &0.5.into()), "{report}");
        assert_eq!(patterns["by_typology"]["cycle"]["events_until_found_median"], 3.0, "{report}");
        assert_eq!((&patterns["by_typology"]["fan_in"]["found"], &patterns["threshold"]), (&0.into(), &0.5.into()), "{report}");
    }
    let text = done(evaluate("patterns.csv", &[]));
    let line = text.lines().find(|line| line.trim_start().starts_with("cycle")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<&str>>(), ["cycle", "1", "1", "1.0000", "0", "1", "3.0,", "3.0"], "{text}");

    let refused = |words: Vec<String>| room.refused(&words.iter().map(String::as_str).collect::<Vec<&str>>());
    room.write("other.csv", "event_id,pattern_id,typology\nx-t1,1,cycle\n");
    assert_eq!(
        refused(evaluate("other.csv", &[])),
        "error: other.csv: none of its 1 events stands in the stream, expected ids as the stream has them, with their prefix\n"
    );
    room.write("other.csv", "id,pattern_id,typology\nt1,1,cycle\n");
    assert_eq!(
        refused(evaluate("other.csv", &[])),
        "error: other.csv: found the columns id, pattern_id, typology, expected event_id, or the column that a source of the topology maps to the \
         id of transfers\n"
    );
    room.write("other.csv", "event_id,pattern_id,typology\nt1,,cycle\n");
    assert_eq!(refused(evaluate("other.csv", &[])), "error: other.csv: found no event of a pattern, expected some\n");
    room.write("other.jsonl", "{}\n");
    assert!(refused(evaluate("other.jsonl", &[])).contains("other.jsonl: line 1: "));
    assert_eq!(refused(evaluate("patterns.txt", &[])), "error: patterns.txt: found an unknown ending, expected .jsonl, .csv or .parquet\n");
}

#[test]
fn what_cannot_be_evaluated_is_told() {
    let room = Room::new();
    room.simulate("small", "2000");
    let evaluate = |more: &[&str]| room.refused(&[&["evaluate", "sample.jsonl", "-t", "small.toml"], more].concat());
    let always = ["--from", "1970-01-01", "--until", "2100-01-01"];
    let told = evaluate(&always);
    assert!(told.starts_with("error: no model judged the ") && told.ends_with("expected --model\n"), "{told}");
    assert_eq!(
        evaluate(&["--from", "2025-01-02", "--until", "2025-01-02"]),
        "error: --until: found 2025-01-02T00:00:00Z, expected a moment behind --from, which is 2025-01-02T00:00:00Z\n"
    );
    assert_eq!(
        evaluate(&[&always[..], &["--scores", "scores.xlsx"]].concat()),
        "error: scores.xlsx: found an unknown ending, expected .csv or .parquet\n"
    );
    assert_eq!(
        evaluate(&["--from", "2100-01-01", "--until", "2100-01-02"]),
        "error: found no payment or transfer from --from until --until, expected some\n"
    );
    assert!(evaluate(&[&always[..], &["--threshold", "1.5"]].concat()).contains("expected a number from 0 to 1"));
}
