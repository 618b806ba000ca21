//! How far a search goes, and what it says where that ends it.

use super::bank::Bank;
use super::{Figure, Leg, Reach, Report};
use crate::event::Duration;
use crate::typology::Typology;
use proptest::prelude::*;

/// Nobody waits for an account with a hundred thousand counterparties, whichever side it is on: it costs no more rows than the budget, and
/// what is found there says that it is cut.
#[test]
fn a_hub_costs_no_more_than_anybody() {
    let mut bank = Bank::with_room(100_200, 101_000);
    (bank.ordered, bank.options.bulk_counts) = (false, true);
    bank.old("a b");
    for n in 0..100_000i64 {
        let sides = if n % 2 == 0 { format!("c{n}>hub") } else { format!("hub>c{n}") };
        bank.send(-400 + n / 300, &sides, 5_000 + n);
    }
    for rows_max in [96, 1024] {
        for sides in ["a>hub", "hub>a", "hub>new", "new>hub", "hub>hub", "c0>hub", "hub>c1", "c1>c3"] {
            bank.options.reach = Reach { rows_max, ..bank.options.reach };
            bank.look(0, sides, 50_000);
            let visits = bank.report.visits;
            assert!(visits <= bank.options.reach.visits_max, "{sides}: {visits} rows");
            assert!(bank.report.findings().iter().all(|finding| finding.cut), "{sides}: {:?}", bank.report.findings());
        }
    }
}

/// Thirty accounts that each deal with a thousand, and all with each other.
#[test]
fn a_crowd_of_hubs_costs_no_more_than_anybody() {
    let mut bank = Bank::with_room(30_200, 32_000);
    (bank.ordered, bank.options.bulk_counts) = (false, true);
    bank.old("a b");
    for n in 0..30_000i64 {
        let hub = n % 30;
        let sides = if n % 7 == 0 { format!("c{n}>hub{hub}") } else { format!("hub{hub}>c{n}") };
        bank.send(-300 + n / 120, &sides, 5_000 + n);
    }
    for n in 0..900i64 {
        bank.send(-40, &format!("hub{}>hub{}", n % 30, n / 30), 9_000 + n);
    }
    for (rows_max, busy_min) in [(96, 60), (1024, 1_000_000), (40, 1_000_000)] {
        bank.options.reach = Reach { rows_max, busy_min, ..bank.options.reach };
        for sides in ["hub1>hub2", "a>hub3", "hub4>b", "a>b", "hub0>new"] {
            bank.look(0, sides, 9_500);
            assert!(bank.report.visits <= bank.options.reach.visits_max, "{sides}: {} rows", bank.report.visits);
            let exhausted = bank.report.visits == bank.options.reach.visits_max;
            let cut = |report: &Report| report.findings().iter().all(|finding| finding.cut);
            assert!(!exhausted || cut(&bank.report), "{sides}: {:?}", bank.report.findings());
        }
    }
}

/// What was found: typology, subject, score, and its proofs.
fn told(report: &Report) -> Vec<(Typology, super::Party, u16, Vec<Leg>, bool)> {
    let of = |finding: &super::Finding| (finding.typology, finding.subject, finding.score, report.proofs(finding).to_vec(), finding.cut);
    report.findings().iter().map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// What is found with little budget and is not marked as cut is what is found with much; and where the budget was not spent, everything is.
    ///
    /// Caught: a circle that went on looking at rows when its part of the budget was spent. Caught when planted: a walk that the budget ended and
    /// that did not say so.
    #[test]
    fn a_small_budget_finds_the_same_or_says_that_it_is_cut(
        rows in prop::collection::vec((0..3i64, 0..9usize, 0..9usize, 0..8usize, 0..12u8), 10..90),
        this in (0..9usize, 0..9usize, 0..8usize),
        visits_max in 1..160u32,
    ) {
        const NAMES: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", ""];
        const AMOUNTS: [i64; 8] = [3_000, 20_000, 19_500, 19_000, 40_000, 39_000, 950_000, 930_000];
        let sides = |from: usize, to: usize| format!("{}>{}", NAMES[from], NAMES[if from == 8 && to == 8 { 0 } else { to }]);
        let mut bank = Bank::new();
        bank.options.reach = Reach { window: Duration::DAY.times(2), rows_max: 24, visits_max: 65_536, busy_min: 20 };
        bank.old("a b c d");
        let mut now = -100;
        for (pause, from, to, amount, oddity) in rows {
            now += pause;
            // Some come late, some are ordered by nobody.
            bank.ordered = oddity > 1;
            bank.send(if oddity == 11 { now - 40 } else { now }, &sides(from, to), AMOUNTS[amount]);
        }
        bank.ordered = true;
        let (from, to, amount) = this;
        bank.look(now, &sides(from, to), AMOUNTS[amount]);
        let (much, figures, visits) = (told(&bank.report), bank.report.figures().to_vec(), bank.report.visits);
        bank.options.reach.visits_max = visits_max;
        bank.look(now, &sides(from, to), AMOUNTS[amount]);
        prop_assert!(bank.report.visits <= visits_max);
        let little = told(&bank.report);
        for found in little.iter().filter(|(.., cut)| !cut) {
            prop_assert!(much.contains(found), "{:?} of {:?}", found, much);
        }
        if visits_max >= visits {
            prop_assert_eq!(&little, &much);
            // A circle is looked for with a part of the budget.
            if visits_max >= 3 * visits {
                prop_assert_eq!(bank.report.figures(), &figures);
            }
        } else {
            prop_assert!(little.iter().filter(|(.., cut)| !cut).count() <= much.len());
            prop_assert_eq!(bank.report.figure(Figure::Score), little.iter().map(|found| i64::from(found.2)).max().unwrap_or(0));
        }
    }
}
