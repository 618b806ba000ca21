//! No single column tells fraud from honesty, nor laundering: a table's best reader, who may sort the values of one column as they like
//! after having seen the truth, does not get beyond an AUC of 0.8.

use super::town;
use crate::event::{Duration, Timestamp};
use crate::sim::company::Company;
use crate::sim::company::land::REGIONS;
use crate::sim::company::name::Name;
use crate::sim::company::occurrence::{Act, Paying, Sending};
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// Values of one column with whether each is a crime.
type Column = Vec<(i64, bool)>;

/// Columns by name.
#[derive(Default)]
struct Table(BTreeMap<&'static str, Column>);

impl Table {
    fn put(&mut self, name: &'static str, value: i64, is_crime: bool) {
        self.0.entry(name).or_default().push((value, is_crime));
    }
}

/// The AUC of the best order of a column's values. Where there are more than 40 different ones they are first put into as many bins of equal
/// weight; so nothing is asked of the order, and a column that tells by its middle or by a single value is caught as well.
fn best_auc(column: &Column) -> f64 {
    let mut values: Vec<i64> = column.iter().map(|(value, _)| *value).collect();
    values.sort_unstable();
    let mut edges: Vec<i64> = values.clone();
    edges.dedup();
    if edges.len() > 40 {
        edges = (0..40).map(|bin| values[bin * values.len() / 40]).collect();
        edges.dedup();
    }
    let mut bins = vec![(0f64, 0f64); edges.len()];
    for (value, is_crime) in column {
        let bin = edges.partition_point(|edge| edge <= value) - 1;
        if *is_crime { bins[bin].1 += 1.0 } else { bins[bin].0 += 1.0 }
    }
    bins.sort_by(|a, b| (a.1 * (b.0 + b.1)).total_cmp(&(b.1 * (a.0 + a.1))));
    let (mut below, mut pairs) = (0.0, 0.0);
    for (honest, crimes) in &bins {
        pairs += crimes * (below + honest / 2.0);
        below += honest;
    }
    pairs / (below * bins.iter().map(|(_, crimes)| crimes).sum::<f64>())
}

/// When each thing was seen first: how old it is at its next event.
struct Ages<T>(HashMap<T, Timestamp>);

impl<T: Hash + Eq> Ages<T> {
    /// In minutes; -1 where there is nothing, -2 where it is seen for the first time.
    fn of(&mut self, thing: Option<T>, now: Timestamp) -> i64 {
        let Some(thing) = thing else { return -1 };
        let known = self.0.contains_key(&thing);
        let first = *self.0.entry(thing).or_insert(now);
        if known { (now - first).0 / Duration::MINUTE.0 } else { -2 }
    }
}

impl<T> Default for Ages<T> {
    fn default() -> Self {
        Ages(HashMap::new())
    }
}

/// What a reader of the stream knows of the past.
#[derive(Default)]
struct Memory {
    names: Ages<Name>,
    ips: Ages<u32>,
    pairs: Ages<(Name, Name)>,
    addresses: Ages<(Name, u32)>,
    homes: HashMap<Name, &'static str>,
    usual: HashMap<Name, (i64, i64)>,
}

fn number(text: &str) -> i64 {
    text.bytes().fold(0, |number, byte| number * 256 % 1_000_003 + i64::from(byte))
}

impl Memory {
    fn payment(&mut self, table: &mut Table, now: Timestamp, p: &Paying, is_crime: bool) {
        let region = REGIONS.iter().find(|region| region.currency.code == p.currency).expect("a currency of the world");
        let cents = region.currency.cents(p.amount);
        let home = *self.homes.entry(p.user).or_insert(p.country);
        let usual = self.usual.entry(p.user).or_default();
        let times_usual = if usual.1 < 3 { -1 } else { cents * 100 / (usual.0 / usual.1).max(1) };
        *usual = (usual.0 + cents, usual.1 + 1);
        let mut put = |name, value| table.put(name, value, is_crime);
        put("amount", p.amount);
        put("amount in euros", cents);
        put("last digits of the amount", p.amount % 100);
        put("amount against the user's mean", times_usual);
        put("currency", number(p.currency));
        put("hour", now.0.rem_euclid(Duration::DAY.0) / Duration::HOUR.0);
        put("weekday", now.0.div_euclid(Duration::DAY.0) % 7);
        put("mcc", i64::from(p.mcc));
        put("country", number(p.country));
        put("away from home", i64::from(p.country != home));
        put("channel", number(p.channel));
        put("items", p.items.iter().count() as i64);
        put("session", i64::from(p.session.is_some()));
        put("has a device", i64::from(p.device.is_some()));
        put("has a card", i64::from(p.card.is_some()));
        put("first byte of the ip", p.ip.map_or(-1, |ip| i64::from(ip >> 24)));
        put("age of the user", self.names.of(Some(p.user), now));
        put("age of the device", self.names.of(p.device, now));
        put("age of the card", self.names.of(p.card, now));
        put("age of the merchant", self.names.of(Some(p.merchant), now));
        put("age of the ip", self.ips.of(p.ip, now));
        put("age of user and device", self.pairs.of(p.device.map(|device| (p.user, device)), now));
        put("age of user and card", self.pairs.of(p.card.map(|card| (p.user, card)), now));
        put("age of user and ip", self.addresses.of(p.ip.map(|ip| (p.user, ip)), now));
        put("age of user and merchant", self.pairs.of(Some((p.user, p.merchant)), now));
    }

    fn transfer(&mut self, table: &mut Table, now: Timestamp, t: &Sending, is_crime: bool) {
        let region = REGIONS.iter().find(|region| region.currency.code == t.currency).expect("a currency of the world");
        let cents = region.currency.cents(t.amount);
        let mut put = |name, value| table.put(name, value, is_crime);
        put("amount", t.amount);
        put("amount in euros", cents);
        put("last digits of the amount", t.amount % 1000);
        put("currency", number(t.currency));
        put("hour", now.0.rem_euclid(Duration::DAY.0) / Duration::HOUR.0);
        put("weekday", now.0.div_euclid(Duration::DAY.0) % 7);
        put("format", number(t.format));
        put("from", i64::from(t.from.is_some()));
        put("to", i64::from(t.to.is_some()));
        put(
            "banks",
            t.from_bank.map_or(0, |bank| 1 + i64::from(bank.number)) * 10 + t.to_bank.map_or(0, |bank| 1 + i64::from(bank.number)),
        );
        put("same country", i64::from(t.from_bank.map(|bank| bank.country) == t.to_bank.map(|bank| bank.country)));
        put("device", i64::from(t.device.is_some()));
        put("user", i64::from(t.user.is_some()));
        put("age of the payer", self.names.of(t.from, now));
        put("age of the payee", self.names.of(t.to, now));
        put("age of the device", self.names.of(t.device, now));
        put("age of the pair", self.pairs.of(t.from.zip(t.to), now));
    }
}

/// Columns of payments and transfers over `events` events, the first `warm` of which only make things known.
fn tables(seed: u64, events: usize, warm: usize) -> [Table; 2] {
    let (mut payments, mut transfers) = (Table::default(), Table::default());
    let (mut unread, mut memory) = (Table::default(), Memory::default());
    for (place, occurrence) in Company::new(town(seed)).take(events).enumerate() {
        let is_crime = occurrence.trace.is_some_and(|trace| trace.is_crime);
        let reads = place >= warm;
        match &occurrence.act {
            Act::Payment(p) => memory.payment(if reads { &mut payments } else { &mut unread }, occurrence.time, p, is_crime),
            Act::Transfer(t) => memory.transfer(if reads { &mut transfers } else { &mut unread }, occurrence.time, t, is_crime),
            Act::Session { device, ip, user, .. } => {
                memory.names.of(*device, occurrence.time);
                memory.ips.of(*ip, occurrence.time);
                memory.pairs.of(device.map(|device| (*user, device)), occurrence.time);
                memory.addresses.of(ip.map(|ip| (*user, ip)), occurrence.time);
            }
            _ => {}
        }
    }
    [payments, transfers]
}

/// Caught when planted: crooks that always use a phone of their own.
#[test]
fn no_column_gives_a_crime_away() {
    let both = [11, 12, 13].map(|seed| ["payment", "transfer"].into_iter().zip(tables(seed, 1_000_000, 400_000)));
    for (what, table) in both.into_iter().flatten() {
        let crimes = table.0["amount"].iter().filter(|(_, is_crime)| *is_crime).count();
        assert!(crimes > 200, "{what}: {crimes} crimes");
        let mut found: Vec<(f64, &str)> = table.0.iter().map(|(name, column)| (best_auc(column), *name)).collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        println!("{what}: {crimes} crimes, {:.3?}", &found[..5]);
        assert!(found[0].0 < 0.8, "{what}: {found:.3?}");
    }
}

#[test]
fn the_reader_of_columns_can_read() {
    let told: Column = (0..2000).map(|n| (n % 50, n % 50 == 17)).collect();
    let untold: Column = (0..2000).map(|n| (n % 50, n / 50 % 10 == 0)).collect();
    assert!(best_auc(&told) > 0.98 && best_auc(&untold) < 0.52, "{} {}", best_auc(&told), best_auc(&untold));
}
