//! `weir check`: the topology read aloud: picture, bill of memory, rings in days.

use super::bill::{Bill, Sizes};
use super::picture::Picture;
use super::{Topology, canonical::content_hash};
use crate::event::Duration;
use crate::graph::Family;
use std::fmt::Write;

/// The report of a topology that passed its checks. `sizes` are those of the tables of this build, `service` is what a service takes beside
/// them, `device` what forward passes take of a device's memory.
pub fn report(topology: &Topology, sizes: &Sizes, service: &Bill, device: &Bill) -> String {
    let mut out = String::from("The way of an event\n\n");
    out += &Picture::of(topology).text();
    out += "\nMemory, allocated and touched at start\n\n";
    out += &bill_text(&Bill::of(&topology.deciding.limits, topology.batch_events_max, sizes));
    out += "\nThe service: what `weir run` takes beside it, at most\n\n";
    out += &bill_text(service);
    if !device.lines.is_empty() {
        out += "\nA device, where one is found: what it takes of its own memory\n\n";
        out += &bill_text(device);
    }
    out += "\nRings\n\n";
    out += &rings_text(topology);
    out += "\nDecisions will bear\n\n";
    for (name, text) in [("topology", topology.canonical_topology()), ("policy", topology.canonical_policy())] {
        let hash: String = content_hash(&text)[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        line(&mut out, format_args!("  {name:<9} {hash}"));
    }
    out
}

/// The picture as an SVG document.
pub fn svg(topology: &Topology) -> String {
    Picture::of(topology).svg()
}

fn bill_text(bill: &Bill) -> String {
    let mut out = String::new();
    line(&mut out, format_args!("  {:<22} {:>12} {:>10} {:>10}", "table", "count", "bytes each", "MiB"));
    for entry in &bill.lines {
        let (count, mib) = (grouped(entry.count), mib(entry.bytes()));
        line(&mut out, format_args!("  {:<22} {count:>12} {:>10} {mib:>10.1}", entry.table, grouped(entry.bytes_each)));
    }
    line(&mut out, format_args!("  {:<22} {:>12} {:>10} {:>10.1}", "sum", "", "", mib(bill.bytes())));
    out
}

fn rings_text(topology: &Topology) -> String {
    let mut out = String::new();
    for family in Family::ALL {
        let (rows, planned) = (topology.deciding.limits.families[family as usize].rows_max, topology.events_per_day[family as usize]);
        let horizon = topology.deciding.horizon(family);
        let days = f64::from(rows) / planned as f64;
        line(
            &mut out,
            format_args!("  {:<9} {} rows at {} a day are {days:.1} days", family.name(), grouped(rows.into()), grouped(planned)),
        );
        let needed = horizon.length.0 as f64 / Duration::DAY.0 as f64;
        line(&mut out, format_args!("  {:<9} needed are {needed:.1} days: {}", "", horizon.because));
    }
    let (ids, planned) = (topology.deciding.limits.ids_max, topology.events_per_day.iter().sum::<u64>());
    let days = f64::from(ids) / planned as f64;
    line(&mut out, format_args!("  {:<9} {} at {} a day are {days:.1} days", "event ids", grouped(ids.into()), grouped(planned)));
    let needed = topology.deciding.dedupe.0 as f64 / Duration::DAY.0 as f64;
    line(&mut out, format_args!("  {:<9} needed are {needed:.1} days: [dedupe]", ""));
    out
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn line(out: &mut String, line: std::fmt::Arguments) {
    writeln!(out, "{}", line.to_string().trim_end()).expect("a string takes every text");
}

/// Digits in groups of three: `3,500,000`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Layer;
    use crate::topology::bill::{Line, tests::sizes};
    use std::path::Path;

    #[test]
    fn digits_come_in_threes() {
        let texts: Vec<String> = [0, 999, 1000, 1_234_567].into_iter().map(grouped).collect();
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
    }

    /// Three sources, and every number that the report shows given here.
    const LAYER: &str = r#"
[limits]
nodes_max = 1_000
ids_max = 1_260
batch_events_max = 8
[limits.money]
rows_max = 6_500
warm_nodes_max = 10
pairs_max = 100
late_rows_max = 5
events_per_day = 100
[limits.access]
rows_max = 60
warm_nodes_max = 0
pairs_max = 0
late_rows_max = 1
events_per_day = 50
[limits.interest]
rows_max = 40
warm_nodes_max = 0
pairs_max = 0
late_rows_max = 1
events_per_day = 30
[source.bank]
files = ["a.csv", "b.csv"]
event = "transfer"
[source.bank.fields]
id = { row = true }
time = { column = "t" }
to = { column = "to" }
amount = { column = "a" }
currency = { constant = "EUR" }
[source.bank.label]
column = "l"
kind = { 1 = "laundering" }
delay = "33d"
[source.clicks]
files = ["c.jsonl"]
format = "jsonl"
"#;

    fn topology() -> Topology {
        let layer = Layer { name: "check.toml", text: LAYER, folder: Path::new("") };
        Topology::parse(&[layer]).unwrap_or_else(|errors| panic!("{errors}"))
    }

    #[test]
    fn sources_meet_and_outputs_part() {
        let text = Picture::of(&topology()).text();
        let expected = concat!(
            " ┌──────────────────────────┐   ┌───────────────┐   ┌──────────────────────────────┐\n",
            " │ source bank              │   │ source clicks │   │ source events                │\n",
            " │ table of transfer events │   │ JSON lines    │   │ JSON lines                   │\n",
            " │ labels after 33d         │   │ 1 file        │   │ files: from the command line │\n",
            " │ 2 files                  │   │               │   │                              │\n",
            " └──────────────────────────┘   └───────────────┘   └──────────────────────────────┘\n",
        );
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("1 admit    duplicates within 7d, no more than 5m ahead"), "{text}");
        for title in ["VALIDATE", "JOURNAL", "ENGINE", "OUTPUT LOG", "weir.decisions", "weir.rejected"] {
            assert!(text.contains(title), "{text}");
        }
    }

    #[test]
    fn the_bill_keeps_its_form() {
        let topology = topology();
        let expected = "\
\x20 table                         count bytes each        MiB
  nodes                         1,000         40        0.0
  index of nodes                2,000          8        0.0
  event ids                     1,575         48        0.1
  money: rows                   6,500         64        0.4
  money: warm nodes                10        320        0.0
  money: pairs                    200         12        0.0
  money: late rows                  5         24        0.0
  access: rows                     60         64        0.0
  access: late rows                 1         24        0.0
  interest: rows                   40         64        0.0
  interest: late rows               1         24        0.0
  batch                             8      2,048        0.0
  sum                                                   0.5
";
        let bill = Bill::of(&topology.deciding.limits, topology.batch_events_max, &sizes());
        assert_eq!(bill_text(&bill), expected);
    }

    #[test]
    fn rings_are_turned_into_days() {
        let expected = [
            "  money     6,500 rows at 100 a day are 65.0 days",
            "            needed are 63.0 days: 30d label window of account_in behind 33d maturity of source.bank",
            "  access    60 rows at 50 a day are 1.2 days",
            "            needed are 1.0 days: 1d window of user_sessions",
            "  interest  40 rows at 30 a day are 1.3 days",
            "            needed are 1.0 days: 1d window of user_interactions",
            "  event ids 1,260 at 180 a day are 7.0 days",
            "            needed are 7.0 days: [dedupe]",
        ];
        assert_eq!(rings_text(&topology()).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_default_stays_under_a_gibibyte() {
        let topology = Topology::parse(&[]).unwrap();
        let bill = Bill::of(&topology.deciding.limits, topology.batch_events_max, &sizes());
        assert!(bill.bytes() < 900 << 20, "room is needed for the process itself: {}", bill_text(&bill));
        let service = Bill { lines: vec![Line { table: "answers".to_owned(), count: 3, bytes_each: 48 }] };
        let device = |lines| report(&topology, &sizes(), &service, &Bill { lines });
        let report = device(vec![Line { table: "rows that stay".to_owned(), count: 1 << 18, bytes_each: 64 }]);
        let expected = "
A device, where one is found: what it takes of its own memory

  table                         count bytes each        MiB
  rows that stay              262,144         64       16.0
  sum                                                  16.0

Rings
";
        assert!(report.contains(expected), "{report}");
        assert!(!device(Vec::new()).contains("A device"));
        assert!(
            report.contains("VALIDATE") && report.contains("event ids") && report.contains("answers") && report.contains("policy  "),
            "{report}"
        );
    }

    #[test]
    fn the_drawing_is_well_formed() {
        let svg = svg(&topology());
        assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && svg.ends_with("</svg>\n"));
        // Six levels of boxes, one of them with a side, and the background.
        assert_eq!(svg.matches("<rect").count(), 3 + 1 + 1 + 1 + 1 + 3 + 1 + 1);
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        assert!(!svg.contains("NaN"));
    }
}
