use super::*;
use crate::engine::{AlertStatus, Member, Subject};
use crate::event::{IdKind, Sequence};
use crate::typology::Typology;
use proptest::prelude::*;

fn id(number: u128) -> Id {
    Id::from_bits(number)
}

fn name(id: Id) -> String {
    format!("a{}", id.bits())
}

fn euro() -> Currency {
    Currency::parse("EUR").expect("listed")
}

/// Minutes behind 2025-03-03 09:12, from, to, cents; the transfers are numbered from 100.
fn alert(typology: Typology, edges: &[(i64, u128, u128, i64)]) -> Alert {
    let time = |minutes: i64| Timestamp(1_740_993_120_000_000) + Duration::MINUTE.times(minutes);
    let edge = |(place, &(minutes, from, to, amount_minor)): (usize, &(i64, u128, u128, i64))| Edge {
        from: id(from),
        to: id(to),
        amount_minor,
        time: time(minutes),
        event: id(100 + place as u128),
    };
    let members = edges.iter().flat_map(|edge| [edge.1, edge.2]).filter(|number| *number != 1);
    Alert {
        sequence: Sequence(7),
        number: 3,
        version: 2,
        status: AlertStatus::Open,
        kind: typology.kind(),
        subject: Subject::Entity(IdKind::Account, id(1)),
        typology,
        typologies: 1 << typology as u32,
        score: 700,
        cut: false,
        opened_at: time(0),
        first_event: time(0),
        last_event: time(0),
        events: edges.len() as u64,
        money_minor: 0,
        merged_into: None,
        members: members.map(|number| Member { kind: IdKind::Account, id: id(number) }).collect(),
        edges: edges.iter().enumerate().map(edge).collect(),
    }
}

fn roles(evidence: &Evidence) -> Vec<(u128, Option<Role>)> {
    evidence.accounts().map(|account| (account.id.bits(), account.role)).collect()
}

/// Five pay a mule, who pays three on; the alert has them in another order than that of time.
fn gather_scatter() -> Alert {
    let ins = [(0, 2, 1, 200_000), (30, 3, 1, 300_000), (60, 4, 1, 240_000), (90, 5, 1, 250_000), (120, 6, 1, 250_000)];
    let outs = [(1_900, 1, 7, 400_000), (2_000, 1, 8, 400_000), (1_968, 1, 9, 402_800)];
    alert(Typology::GatherScatter, &[&ins[..], &outs].concat())
}

#[test]
fn who_gathers_and_scatters_is_in_the_middle() {
    use Role::{Intermediary, Sink, Source};
    let told = gather_scatter();
    let evidence = Evidence::of(&told, euro());
    let expected = [(2, Source), (1, Intermediary), (3, Source), (4, Source), (5, Source), (6, Source), (7, Sink), (9, Sink), (8, Sink)];
    assert_eq!(roles(&evidence), expected.map(|(number, role)| (number, Some(role))));
    assert_eq!((evidence.conserved_percent(), evidence.duration()), (Some(97), Duration::MINUTE.times(2_000)));
    assert_eq!(
        evidence.sentence(&name),
        "Between 3 March 2025 09:12 and 4 March 2025 18:32 (UTC) EUR 12,400.00 went in 8 transfers from 5 accounts through a1 to a7, a9 and a8 \
         within 34 hours; 97 % of what came in went on."
    );
    let (layers, back) = evidence.layers();
    assert!(back.is_empty());
    assert_eq!(layers, [0, 1, 0, 0, 0, 0, 2, 2, 2]);
}

#[test]
fn what_comes_back_is_said_to() {
    let told = alert(Typology::Cycle, &[(0, 2, 3, 100_000), (10, 3, 4, 98_000), (20, 4, 2, 96_000)]);
    let evidence = Evidence::of(&told, euro());
    assert_eq!(roles(&evidence), [(2, Some(Role::Source)), (3, Some(Role::Intermediary)), (4, Some(Role::Intermediary))]);
    assert_eq!(evidence.conserved_percent(), Some(96));
    assert_eq!(
        evidence.sentence(&name),
        "On 3 March 2025 between 09:12 and 09:32 (UTC) EUR 1,000.00 went in 3 transfers from a2 through a3 and a4 and back within 20 minutes; \
         97 % of what came in went on."
    );
    let (layers, back) = evidence.layers();
    assert_eq!((layers, back.len()), (vec![0, 1, 2], 1));
}

#[test]
fn a_chain_is_one_account_a_layer_and_a_fan_has_no_middle() {
    let told = alert(Typology::Stack, &[(0, 1, 2, 50_000), (5, 2, 3, 49_000), (7, 3, 4, 48_000), (9, 9, 4, 10_000)]);
    let evidence = Evidence::of(&told, euro());
    // Who comes in late stands before the one whom it pays.
    assert_eq!(evidence.layers().0, [0, 1, 2, 3, 2]);
    let told = alert(Typology::FanIn, &[(0, 2, 1, 5_000), (0, 3, 1, 5_000)]);
    let evidence = Evidence::of(&told, euro());
    assert_eq!(evidence.sentence(&name), "On 3 March 2025 at 09:12 (UTC) EUR 100.00 went in 2 transfers from a2 and a3 to a1.");
    assert_eq!(evidence.conserved_percent(), Some(100));
}

#[test]
fn who_pays_most_is_a_source_and_who_takes_last_a_sink() {
    let told = alert(Typology::Mule, &[(0, 2, 3, 10_000), (5, 3, 1, 90_000), (9, 4, 2, 30_000)]);
    let evidence = Evidence::of(&told, euro());
    let expected = [(2, Role::Sink), (3, Role::Source), (1, Role::Sink), (4, Role::Source)];
    assert_eq!(roles(&evidence), expected.map(|(number, role)| (number, Some(role))));
    // All of what there was is somewhere.
    assert_eq!(evidence.conserved_percent(), Some(100));
}

/// A transfer with the world outside has the account at both ends.
#[test]
fn the_world_outside_is_nobody() {
    let cash = [(0, 1, 1, 980_000), (60, 1, 1, 950_000), (180, 1, 1, 990_000)];
    let told = alert(Typology::Structuring, &cash);
    let evidence = Evidence::of(&told, euro());
    assert_eq!((roles(&evidence), evidence.conserved_percent()), (vec![(1, None)], None));
    assert_eq!(
        evidence.sentence(&name),
        "On 3 March 2025 between 09:12 and 12:12 (UTC) EUR 29,200.00 moved in 3 transfers between a1 and the world outside within 3 hours, \
         each of EUR 9,500.00 to 9,900.00."
    );
    let told = alert(Typology::Mule, &[(0, 2, 1, 70_000), (5, 1, 1, 60_000)]);
    let said = Evidence::of(&told, euro()).sentence(&name);
    assert!(said.ends_with("; besides, EUR 600.00 moved between a1 and the world outside."), "{said}");
}

#[test]
fn what_is_not_seen_here_is_said() {
    let mut told = gather_scatter();
    told.events = 90;
    assert!(Evidence::of(&told, euro()).sentence(&name).ends_with(" These are 8 of its 90 transfers."));
    (told.events, told.cut) = (8, true);
    assert!(Evidence::of(&told, euro()).sentence(&name).ends_with(" There is more than was looked at."));
    told.edges.clear();
    let empty = Evidence::of(&told, euro());
    let said = "No transfer of this alert is kept: this account takes money from many and pays as much on to many others.";
    assert_eq!((empty.sentence(&name).as_str(), empty.duration(), empty.conserved_percent()), (said, Duration(0), None));
    assert!(empty.svg("none", &name).ends_with("</svg>\n"));
}

#[test]
fn the_text_has_a_lane_an_account() {
    let told = alert(Typology::Cycle, &[(0, 2, 3, 100_000), (10, 3, 4, 98_000), (20, 4, 2, 96_000), (21, 4, 4, 1_000)]);
    let expected = "  #  account  role              took      paid
  1  a2       source          960.00  1,000.00
  2  a3       intermediary  1,000.00    980.00
  3  a4       intermediary    980.00    960.00

  time (UTC)                EUR   1   2   3    from → to     transfer
  2025-03-03 09:12:00  1,000.00   ●───▶   ·    a2 → a3       a100
  2025-03-03 09:22:00    980.00   ·   ●───▶    a3 → a4       a101
  2025-03-03 09:32:00    960.00   ◀───────●    a4 → a2       a102
  2025-03-03 09:33:00     10.00   ·   ·   ●    a4 ↔ outside  a103
";
    let found = Evidence::of(&told, euro()).text(&name);
    assert_eq!(found, expected, "\n{found}");
}

/// Names of the tags of a document in which each is closed in its order.
fn tags(svg: &str) -> Vec<&str> {
    let (mut open, mut all) = (Vec::new(), Vec::new());
    for tag in svg.split('<').skip(1) {
        let (tag, text) = tag.split_once('>').unwrap_or_else(|| panic!("a tag without an end: {tag}"));
        assert!(!text.contains('>') && text.split('&').skip(1).all(|rest| ["amp;", "lt;", "gt;"].iter().any(|one| rest.starts_with(one))));
        match tag.strip_prefix('/') {
            Some(closed) => assert_eq!(open.pop(), Some(closed)),
            None => {
                let name = tag.split([' ', '/']).next().expect("the first of all");
                all.push(name);
                if !tag.ends_with('/') {
                    open.push(name);
                }
            }
        }
    }
    assert!(open.is_empty(), "not closed: {open:?}");
    all
}

#[test]
fn the_picture_has_a_box_an_account_and_an_arrow_a_pair() {
    let told = alert(Typology::Cycle, &[(0, 2, 3, 100_000), (3, 2, 3, 50_000), (10, 3, 4, 98_000), (20, 4, 2, 96_000)]);
    let svg = Evidence::of(&told, euro()).svg("alert-3 <cycle>", &|id| format!("{}<&>\u{1}", name(id)));
    let tags = tags(&svg);
    let count = |name: &str| tags.iter().filter(|tag| **tag == name).count();
    // Three boxes, three of the legend and the ground; three arrows of a line and a head.
    assert_eq!((count("rect"), count("path"), count("g")), (7, 6, 3), "{svg}");
    assert!(
        svg.contains("<title>alert-3 &lt;cycle&gt;</title>")
            && svg.contains(">1,500.00 (2×)<")
            && svg.contains(">a2&lt;&amp;&gt;\u{fffd}<")
    );
    assert_eq!(svg.matches("class=\"k\"").count(), 1, "one leads back");
    // Those who are paid in turn: no arrow crosses another.
    let told = alert(Typology::Bipartite, &[(0, 1, 5, 100), (1, 2, 6, 100), (2, 3, 7, 100), (3, 1, 6, 100), (4, 3, 5, 100), (5, 3, 5, 9)]);
    let evidence = Evidence::of(&told, euro());
    let rows: Vec<usize> = evidence.places(&evidence.layers().0, 2).into_iter().map(|(_, row)| row).collect();
    let crossings = |rows: &[usize]| {
        let edges = || evidence.graph.edge_references().map(|edge| (rows[edge.source().index()], rows[edge.target().index()]));
        edges().map(|(from, to)| edges().filter(|other| other.0 < from && other.1 > to).count()).sum::<usize>()
    };
    let as_they_came = [0, 0, 1, 1, 2, 2];
    assert!(crossings(&rows) < crossings(&as_they_came), "{rows:?}");
}

#[test]
fn money_is_grouped() {
    let of = |minor, code| grouped_money(minor, Currency::parse(code).expect("listed"));
    assert_eq!(
        [of(5, "EUR"), of(-123_456_789, "EUR"), of(100_000, "JPY"), of(1_500, "BHD"), of(0, "EUR"), of(99_999, "EUR")],
        ["0.05", "-1,234,567.89", "100,000", "1.500", "0.00", "999.99"]
    );
}

proptest! {
    /// Whatever stands in an alert: every account has its box and line, and what is forward leads to the right.
    #[test]
    fn every_alert_can_be_shown(edges in prop::collection::vec((0..9_000i64, 1..9u128, 1..9u128, any::<i64>()), 0..24)) {
        let told = alert(Typology::GatherScatter, &edges);
        let evidence = Evidence::of(&told, euro());
        let (layers, back) = evidence.layers();
        for edge in evidence.graph.edge_references() {
            prop_assert!(back.contains(&edge.id()) || layers[edge.source().index()] < layers[edge.target().index()]);
        }
        let taken: i128 = evidence.accounts().map(|account| account.taken_minor).sum();
        prop_assert_eq!(taken, evidence.accounts().map(|account| account.paid_minor).sum::<i128>());
        let svg = evidence.svg("any", &name);
        let boxes = tags(&svg).iter().filter(|tag| **tag == "g").count();
        prop_assert_eq!(boxes, evidence.accounts().len());
        let text = evidence.text(&name);
        prop_assert_eq!(text.lines().count(), 3 + evidence.accounts().len() + edges.len());
        prop_assert!(evidence.sentence(&name).ends_with('.'));
    }
}
