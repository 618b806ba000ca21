//! Tables of others, read through their mappings.

use crate::room::{Room, SMALL, shared};
use serde_json::Value;
use std::fs;

/// A bank's table, with and without a verdict for what was genuine: at the same delay nothing is known sooner or later, so nothing differs.
/// Planted: nine days of maturity for every source, whatever its delay (without the rule known_shop it went unseen).
#[test]
fn saying_that_the_rest_is_legitimate_changes_nothing() {
    let room = Room::new();
    let mut table = "TX,BOOKED,CUSTOMER,SHOP,AMOUNT,FRAUD\n".to_owned();
    for row in 0..4000u64 {
        // Three weeks, two dozen shops of which one is bad, numbers without a pattern from a multiplicative step.
        let chance = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let (day, second) = (row / 200, row % 200 * 400);
        let (hour, minute) = (second / 3600, second / 60 % 60);
        let (customer, shop) = (chance % 90, chance / 90 % 24);
        let fraud = u64::from(shop == 3 && chance / 5000 % 3 > 0);
        table += &format!(
            "{row},2025-03-{:02} {hour:02}:{minute:02}:{:02},{customer},{shop},{}.{:02},{fraud}\n",
            day + 1,
            second % 60,
            chance % 700,
            chance % 100
        );
    }
    room.write("bank.csv", &table);
    let mapping = |kinds: &str| {
        format!(
            "{SMALL}
[source.bank]
files = [\"bank.csv\"]
event = \"payment\"
[source.bank.fields]
id = {{ column = \"TX\", prefix = \"b-\" }}
time = {{ column = \"BOOKED\", format = \"%Y-%m-%d %H:%M:%S\", zone = \"Europe/Stockholm\" }}
user = {{ column = \"CUSTOMER\", prefix = \"c\" }}
merchant = {{ column = \"SHOP\", prefix = \"s\" }}
amount = {{ column = \"AMOUNT\", scale = 100 }}
currency = {{ constant = \"SEK\" }}
[source.bank.label]
column = \"FRAUD\"
kind = {{ {kinds} }}
delay = \"7d\"
# An answer that shows to the row when a payment begins to count as genuine.
[policy.rule.known_shop]
of = \"payment\"
when = \"merchant_payments.good_7d >= 10\"
outcome = \"challenge\"
risk_score = 450
reason = \"amount_unusual\"
"
        )
    };
    room.write("both.toml", &mapping("1 = \"fraud\", 0 = \"legitimate\""));
    room.write("frauds.toml", &mapping("1 = \"fraud\""));
    let both = room.summary(&["-t", "both.toml"]);
    let frauds = room.summary(&["bank.csv", "-t", "frauds.toml"]);
    assert_eq!((&both["events"], &both["labels"]), (&Value::from(4000), &Value::from(4000)));
    assert!(frauds["labels"].as_u64().unwrap() > 50 && frauds["labels"].as_u64().unwrap() < 400, "{frauds}");
    assert!(both["outcomes"]["challenge"].as_u64().unwrap() > 100, "labels sway something: {both}");
    assert_eq!(both["topology"], frauds["topology"], "how a verdict is spelt does not decide");
    assert_eq!(both["digest"], frauds["digest"]);
}

#[test]
fn edits_of_an_encyclopedia_are_read_as_they_stand() {
    let Some(mapping) = shared("wiki/wiki.toml") else { return };
    let summary = Room::new().summary(&["-t", mapping.to_str().unwrap()]);
    // 157,474 edits behind a catalogue of 1,000 pages; an interaction is no question, so there is no decision.
    assert_eq!((&summary["events"], &summary["rejected"]), (&Value::from(158_474), &Value::from(0)));
    assert_eq!(summary["nodes"], 9227);
}

/// Whole data sets: two minutes on a shared core of the development profile, and less than one the one below.
/// `cargo test --test commands -- --ignored`
#[test]
#[ignore = "reads 1.75 million rows twice"]
fn the_handbook_with_and_without_its_legitimate_labels() {
    let Some(mapping) = shared("handbook/handbook.toml") else { return };
    let room = Room::new();
    let text = fs::read_to_string(&mapping).unwrap();
    room.write("frauds.toml", &text.replace(", 0 = \"legitimate\"", ""));
    let table = mapping.with_file_name("transactions.parquet");
    let table = table.to_str().unwrap();
    let both = room.summary(&[table, "-t", mapping.to_str().unwrap(), "--batch", "500"]);
    let frauds = room.summary(&[table, "-t", "frauds.toml", "--batch", "1"]);
    assert_eq!(both["events"], both["labels"]);
    assert!(frauds["labels"].as_u64().unwrap() * 50 < both["labels"].as_u64().unwrap());
    assert_eq!(both["rejected"], 0);
    assert_eq!((&both["topology"], &both["digest"]), (&frauds["topology"], &frauds["digest"]));
}

#[test]
#[ignore = "344,208 transfers"]
fn transfers_are_read_as_they_stand() {
    let Some(mapping) = shared("aml/aml.toml") else { return };
    let summary = Room::new().summary(&["-t", mapping.to_str().unwrap()]);
    assert_eq!(
        (&summary["events"], &summary["labels"], &summary["rejected"]),
        (&Value::from(344_208), &Value::from(344_208), &Value::from(0))
    );
}
