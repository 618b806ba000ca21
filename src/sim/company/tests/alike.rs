//! Honest people do what launderers do: one pays many, many pay one, money goes on at once and comes back, new accounts get large sums.

use crate::event::{Duration, Timestamp};
use crate::sim::company::land::REGIONS;
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
    cents: i64,
    is_bulk: bool,
}

/// Which transfers an account sent, or got, by place.
type Places = HashMap<Name, Vec<usize>>;

/// Six weeks of a world in which nobody launders, by payer and by payee.
fn honest() -> (Vec<Sent>, Places, Places) {
    let options = Options { laundering_permyriad: 0, activities_per_day: 4_000, ..Options::ledger(3, 20_000) };
    let end = options.start + Duration::DAY.times(42);
    let (mut sent, mut by_payer, mut by_payee) = (Vec::new(), Places::new(), Places::new());
    for occurrence in Company::new(options).take_while(|occurrence| occurrence.time < end) {
        let Act::Transfer(of) = occurrence.act else { continue };
        let Some((from, to)) = of.from.zip(of.to) else { continue };
        let region = REGIONS.iter().find(|region| region.currency.code == of.currency).expect("a currency of the world");
        let cents = region.currency.cents(of.amount);
        by_payer.entry(from).or_default().push(sent.len());
        by_payee.entry(to).or_default().push(sent.len());
        sent.push(Sent { time: occurrence.time, from, to, cents, is_bulk: of.format == "bulk" });
    }
    (sent, by_payer, by_payee)
}

/// Caught when planted, one by one: no firm runs its payroll; none is founded; no bill is shared; no club collects; no family goes around; who
/// sold a car buys none.
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

    // Three to five pay one the same sum on one day, as friends do; six and more within two days, as a club's members do.
    let same = |least: usize, span: Duration| {
        let all = |place: &usize| {
            let one = sent[*place];
            let mut others = within(&by_payee[&one.to], *place, span);
            others.retain(|other| other.cents == one.cents && !other.is_bulk);
            people(&others, |sent| sent.from) >= least
        };
        (0..sent.len()).filter(all).count()
    };
    let (bills, clubs) = (same(3, Duration::HOUR.times(13)), same(6, Duration::DAY.times(2)));

    // Circles: from one to another to a third and back.
    let mut circles = 0;
    for (place, one) in sent.iter().enumerate() {
        let on = |of: &Sent, first| within(by_payer.get(&of.to).map_or(&[], Vec::as_slice), first, Duration::DAY.times(10));
        let closes =
            |second: &Sent| second.to != one.from && on(second, place).iter().any(|third| third.to == one.from && third.time > second.time);
        circles += u32::from(on(one, place).iter().any(closes));
    }
    // What is large goes on: a car for a car.
    let large = |of: &Sent| !of.is_bulk && of.cents >= 300_000;
    let swaps = sent.iter().enumerate().filter(|(place, one)| {
        let on = within(by_payer.get(&one.to).map_or(&[], Vec::as_slice), *place, Duration::DAY.times(7));
        large(one) && on.iter().any(|next| large(next) && (one.cents * 6 / 10..one.cents * 14 / 10).contains(&next.cents))
    });
    let swaps = swaps.count();
    println!("{} payers of runs, {first_runs} first ones, {bills} bills, {clubs} clubs, {circles} circles, {swaps} swaps", runs.len());
    assert!(runs.len() > 300 && first_runs > 150 && bills > 1600 && clubs > 400 && circles > 700 && swaps > 450);
}

/// Newcomers bring something, and get their wages within weeks.
///
/// Caught when planted: newcomers without money.
#[test]
fn newcomers_get_their_first_wages() {
    let options = Options { activities_per_day: 6_000, ..Options::ledger(4, 3000) };
    let mut company = Company::new(options.clone());
    let mut got: HashMap<Name, BTreeSet<bool>> = HashMap::new();
    let mut joined = 0;
    while company.now() - options.start < Duration::DAY.times(90) {
        let occurrence = company.next().expect("it never ends");
        if company.now() - options.start < Duration::DAY.times(35) {
            joined = company.people.joined;
        }
        if let Act::Transfer(of) = occurrence.act
            && let Some(to) = of.to
        {
            got.entry(to).or_default().insert(of.format == "bulk");
        }
    }
    assert!(joined > 200, "{joined}");
    for number in options.people..options.people + joined {
        let account = company.people.account(&company.people.person(number), false);
        assert_eq!(got.get(&account), Some(&[false, true].into()), "{account}");
    }
}
