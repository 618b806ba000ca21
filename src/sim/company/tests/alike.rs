//! Honest people do what launderers do: one pays many, many pay one, money goes on at once and comes back, new accounts get large sums.

use crate::event::{Duration, Timestamp};
use crate::sim::company::name::Name;
use crate::sim::company::occurrence::Act;
use crate::sim::company::{Company, Options};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An honest transfer between two accounts.
#[derive(Clone, Copy)]
struct Sent {
    time: Timestamp,
    from: Name,
    to: Name,
    amount: i64,
    is_bulk: bool,
}

/// Six weeks of a world in which nobody launders, by payer and by payee.
fn honest() -> (Vec<Sent>, HashMap<Name, Vec<usize>>, HashMap<Name, Vec<usize>>) {
    let options = Options { laundering_permyriad: 0, activities_per_day: 6_000, ..Options::ledger(3, 3000) };
    let end = options.start + Duration::DAY.times(42);
    let (mut sent, mut by_payer, mut by_payee) = (Vec::new(), HashMap::new(), HashMap::new());
    for occurrence in Company::new(options).take_while(|occurrence| occurrence.time < end) {
        let Act::Transfer(of) = occurrence.act else { continue };
        let Some((from, to)) = of.from.zip(of.to) else { continue };
        by_payer.entry(from).or_insert_with(Vec::new).push(sent.len());
        by_payee.entry(to).or_insert_with(Vec::new).push(sent.len());
        sent.push(Sent { time: occurrence.time, from, to, amount: of.amount, is_bulk: of.format == "bulk" });
    }
    (sent, by_payer, by_payee)
}

/// Caught when planted: none of the runs, shared bills, circles, or second cars begins.
#[test]
fn honest_people_look_like_launderers() {
    let (sent, by_payer, by_payee) = honest();
    let within = |places: &[usize], first: usize, span: Duration| -> Vec<Sent> {
        let begins = places.partition_point(|place| *place < first);
        places[begins..].iter().map(|place| sent[*place]).take_while(|other| other.time - sent[first].time <= span).collect()
    };
    let people = |of: &[Sent], side: fn(&Sent) -> Name| of.iter().map(side).collect::<BTreeSet<Name>>().len();

    // Runs: one pays four and more within minutes, and does so for the first time of all, or not.
    let (mut runs, mut first_runs) = (BTreeMap::new(), 0);
    for (payer, places) in &by_payer {
        for (rank, place) in places.iter().enumerate().filter(|(_, place)| sent[**place].is_bulk) {
            if people(&within(places, *place, Duration::MINUTE), |sent| sent.to) >= 4 {
                first_runs += u32::from(rank == 0 && sent[*place].time.0 > sent[0].time.0 + Duration::DAY.times(20).0);
                runs.entry(*payer).or_insert(*place);
            }
        }
    }
    assert!(runs.len() > 40 && first_runs > 5, "{} {first_runs}", runs.len());

    // Bills: three pay one the same sum on one day.
    let mut bills = 0;
    for (place, one) in sent.iter().enumerate() {
        let mut same = within(&by_payee[&one.to], place, Duration::HOUR.times(13));
        same.retain(|other| other.amount == one.amount && !other.is_bulk);
        bills += u32::from(people(&same, |sent| sent.from) >= 3);
    }
    assert!(bills > 100, "{bills}");

    // Collections: six and more pay one within two days, who is no firm: it pays on.
    let collects = |place: &usize| people(&within(&by_payee[&sent[*place].to], *place, Duration::DAY.times(2)), |sent| sent.from) >= 6;
    let clubs: BTreeSet<Name> =
        (0..sent.len()).filter(collects).map(|place| sent[place].to).filter(|name| by_payer.contains_key(name)).collect();
    assert!(clubs.len() > 20, "{}", clubs.len());

    // Circles: from one to another to a third and back.
    let mut circles = 0;
    for (place, one) in sent.iter().enumerate() {
        let on = |of: &Sent, first| within(by_payer.get(&of.to).map_or(&[], Vec::as_slice), first, Duration::DAY.times(10));
        let closes =
            |second: &Sent| second.to != one.from && on(second, place).iter().any(|third| third.to == one.from && third.time > second.time);
        circles += u32::from(on(one, place).iter().any(closes));
    }
    assert!(circles > 100, "{circles}");

    // What is large goes on: a car for a car.
    let large = |of: &Sent| !of.is_bulk && of.amount >= 200_000;
    let swaps = sent.iter().enumerate().filter(|(place, one)| {
        let on = within(by_payer.get(&one.to).map_or(&[], Vec::as_slice), *place, Duration::DAY.times(7));
        large(one) && on.iter().any(|next| large(next) && (one.amount * 6 / 10..one.amount * 14 / 10).contains(&next.amount))
    });
    let swaps = swaps.count();
    println!(
        "{} payers of runs, {first_runs} first ones, {bills} bills, {} clubs, {circles} circles, {swaps} swaps",
        runs.len(),
        clubs.len()
    );
    assert!(swaps > 150, "{swaps}");
}

/// Newcomers bring something, and get their wages; firms begin with a run.
///
/// Caught when planted: newcomers without money.
#[test]
fn new_accounts_get_wages() {
    let (sent, by_payer, by_payee) = honest();
    let settled = sent[0].time + Duration::DAY.times(28);
    let new = by_payee.iter().filter(|(account, places)| {
        let first = sent[places[0]];
        let is_first = by_payer.get(account).is_none_or(|paid| paid[0] > places[0]);
        is_first && first.is_bulk && first.time > settled
    });
    let new = new.count();
    assert!(new > 40, "{new}");
}
