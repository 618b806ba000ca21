//! Each form of laundering is what its definition says, told by its edges alone.

use crate::event::{Duration, LabelSource, Timestamp, Verdict};
use crate::sim::company::fraud::Attack;
use crate::sim::company::land::REGIONS;
use crate::sim::company::laundering::Form;
use crate::sim::company::name::Name;
use crate::sim::company::occurrence::{Act, EventName};
use crate::sim::company::truth::{Edge, Truth};
use crate::sim::company::{Company, Options};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::OnceLock;

/// A bank's ledger over some months, with what laundered in it.
struct Ledger {
    truths: Vec<Truth>,
    /// When each account did something.
    times: HashMap<Name, Vec<Timestamp>>,
    /// On whose device transfers were ordered.
    devices: HashMap<EventName, Name>,
    transfers: u64,
    lines: u64,
    days: i64,
    scenarios: BTreeSet<&'static str>,
}

fn ledger(seed: u64, days: i64) -> Ledger {
    let options = Options { laundering_permyriad: 300, activities_per_day: 9_000, ..Options::ledger(seed, 4000) };
    let end = options.start + Duration::DAY.times(days);
    let mut company = Company::new(options);
    let (truths, scenarios) = (Vec::new(), BTreeSet::new());
    let mut ledger = Ledger { truths, times: HashMap::new(), devices: HashMap::new(), transfers: 0, lines: 0, days, scenarios };
    while company.now() < end {
        let occurrence = company.next().expect("it never ends");
        ledger.lines += 1;
        match &occurrence.act {
            Act::Transfer(of) => {
                ledger.transfers += 1;
                for account in [of.from, of.to].into_iter().flatten() {
                    ledger.times.entry(account).or_default().push(occurrence.time);
                }
                if let Some(device) = of.device {
                    ledger.devices.insert(occurrence.id, device);
                }
            }
            Act::Label { verdict: Verdict::Laundering, source: LabelSource::Analyst, scenario, .. } => {
                ledger.scenarios.extend(*scenario);
            }
            Act::Label { .. } | Act::Profile { .. } => {}
            other => panic!("a bank does not see {other:?}"),
        }
        if ledger.lines.is_multiple_of(4096) {
            ledger.truths.extend(company.drain_ended());
        }
    }
    ledger.truths.extend(company.drain_ended());
    ledger
}

fn cents(edge: &Edge) -> i64 {
    let region = REGIONS.iter().find(|region| region.currency.code == edge.currency).expect("a currency of the world");
    region.currency.cents(edge.amount)
}

/// A scheme as its edges show it.
struct Scheme<'t> {
    truth: &'t Truth,
    /// Who pays whom, each pair once, in order of the first time.
    pairs: Vec<(Option<Name>, Option<Name>)>,
}

impl<'t> Scheme<'t> {
    fn new(truth: &'t Truth) -> Scheme<'t> {
        let mut pairs = Vec::new();
        for edge in &truth.edges {
            if !pairs.contains(&(edge.from, edge.to)) {
                pairs.push((edge.from, edge.to));
            }
        }
        Scheme { truth, pairs }
    }

    fn is_exact(&self) -> bool {
        self.truth.bends.is_empty()
    }

    fn bends(&self, word: &str) -> bool {
        self.truth.bends.iter().any(|bend| bend.name() == word)
    }

    fn payees(&self, from: Name) -> BTreeSet<Option<Name>> {
        self.pairs.iter().filter(|pair| pair.0 == Some(from)).map(|pair| pair.1).collect()
    }

    fn payers(&self, to: Name) -> BTreeSet<Option<Name>> {
        self.pairs.iter().filter(|pair| pair.1 == Some(to)).map(|pair| pair.0).collect()
    }

    fn accounts(&self) -> BTreeSet<Name> {
        self.pairs.iter().flat_map(|pair| [pair.0, pair.1]).flatten().collect()
    }

    /// Accounts that take and pay.
    fn between(&self) -> Vec<Name> {
        self.accounts().into_iter().filter(|name| !self.payers(*name).is_empty() && !self.payees(*name).is_empty()).collect()
    }

    fn sources(&self) -> Vec<Name> {
        self.accounts().into_iter().filter(|name| self.payers(*name).is_empty()).collect()
    }

    fn sinks(&self) -> Vec<Name> {
        self.accounts().into_iter().filter(|name| self.payees(*name).is_empty()).collect()
    }

    fn into(&self, name: Name) -> Vec<&Edge> {
        self.truth.edges.iter().filter(|edge| edge.to == Some(name)).collect()
    }

    fn out_of(&self, name: Name) -> Vec<&Edge> {
        self.truth.edges.iter().filter(|edge| edge.from == Some(name)).collect()
    }

    /// What `name` took goes on: at most all of it, and at least what the fee leaves; nothing before it is there.
    ///
    /// Caught when planted: fees of 6 % where nothing is bent; money that doubles when it is changed.
    fn passes_on(&self, name: Name) {
        let (into, out) = (self.into(name), self.out_of(name));
        let sum = |edges: &[&Edge], of: fn(&Edge) -> i64| edges.iter().map(|edge| of(edge)).sum::<i64>();
        let told = || format!("{name} of {:?}", self.truth);
        if self.is_exact() {
            let (took, gave) = (sum(&into, |edge| edge.amount), sum(&out, |edge| edge.amount));
            assert!(gave <= took && gave * 100 >= took * 97, "{took} {gave} {}", told());
        } else {
            // A tenth for the fee, two fifths that stay, and what changing money costs.
            let (took, gave) = (sum(&into, cents), sum(&out, cents));
            assert!(gave <= took + 20 && gave * 100 >= took * 52, "{took} {gave} {}", told());
            let least = if self.bends("partial") {
                50
            } else if self.bends("fees") {
                88
            } else {
                95
            };
            assert!(gave * 100 >= took * least, "{took} {gave} {}", told());
        }
        let mut balance = 0;
        for edge in self.truth.edges.iter().filter(|_| !self.bends("jitter")) {
            balance += if edge.to == Some(name) { cents(edge) } else { 0 };
            balance -= if edge.from == Some(name) { cents(edge) } else { 0 };
            assert!(balance >= -20, "{}", told());
        }
    }
}

fn fan(scheme: &Scheme<'_>, is_in: bool) {
    let (one, many) = if is_in { (scheme.sinks(), scheme.sources()) } else { (scheme.sources(), scheme.sinks()) };
    assert!(one.len() == 1 && (4..=16).contains(&many.len()) && scheme.pairs.len() == many.len(), "{:?}", scheme.truth);
}

fn gather_scatter(scheme: &Scheme<'_>) {
    let [hub] = scheme.between()[..] else { panic!("{:?}", scheme.truth) };
    let (payers, payees) = (scheme.payers(hub), scheme.payees(hub));
    assert!((3..=10).contains(&payers.len()) && (3..=10).contains(&payees.len()), "{:?}", scheme.truth);
    assert_eq!(scheme.pairs.len(), payers.len() + payees.len());
    scheme.passes_on(hub);
}

fn scatter_gather(scheme: &Scheme<'_>) {
    let ([source], [sink]) = (&scheme.sources()[..], &scheme.sinks()[..]) else { panic!("{:?}", scheme.truth) };
    let between = scheme.between();
    assert!((3..=10).contains(&between.len()) && scheme.pairs.len() == 2 * between.len(), "{:?}", scheme.truth);
    for account in between {
        assert_eq!((scheme.payers(account), scheme.payees(account)), ([Some(*source)].into(), [Some(*sink)].into()));
        scheme.passes_on(account);
    }
}

fn bipartite(scheme: &Scheme<'_>) {
    let (sources, sinks) = (scheme.sources(), scheme.sinks());
    assert!(scheme.between().is_empty() && (2..=6).contains(&sources.len()) && (2..=6).contains(&sinks.len()), "{:?}", scheme.truth);
    assert!(sources.iter().all(|source| scheme.payees(*source).len() >= 2) && sinks.iter().all(|sink| scheme.payers(*sink).len() >= 2));
}

fn stack(scheme: &Scheme<'_>) {
    let mut layer: BTreeSet<Name> = scheme.sources().into_iter().collect();
    let (mut hops, mut seen) = (0, layer.len());
    loop {
        let next: BTreeSet<Name> = layer.iter().flat_map(|name| scheme.payees(*name)).flatten().collect();
        if next.is_empty() {
            break;
        }
        (hops, seen, layer) = (hops + 1, seen + next.len(), next);
    }
    // Each account has one layer, so that counting layers counts accounts.
    assert!((3..=5).contains(&hops) && seen == scheme.accounts().len(), "{hops} {seen} {:?}", scheme.truth);
    scheme.between().into_iter().for_each(|account| scheme.passes_on(account));
}

fn cycle(scheme: &Scheme<'_>) {
    let (pairs, edges) = (&scheme.pairs, &scheme.truth.edges);
    assert!(pairs.windows(2).all(|two| two[0].1 == two[1].0) && pairs[0].0 == pairs[pairs.len() - 1].1, "{:?}", scheme.truth);
    let accounts = scheme.accounts();
    assert!((2..=10).contains(&accounts.len()) && accounts.len() == pairs.len(), "{:?}", scheme.truth);
    let start = edges[0].from;
    accounts.into_iter().filter(|account| Some(*account) != start).for_each(|account| scheme.passes_on(account));
}

fn pass_through(scheme: &Scheme<'_>) {
    let [through] = scheme.between()[..] else { panic!("{:?}", scheme.truth) };
    assert!(scheme.payers(through).len() <= 2 && scheme.payees(through).len() <= 3, "{:?}", scheme.truth);
    soon_gone(scheme, through);
}

/// What `through` took has left it two days after the last of it came, most of it.
fn soon_gone(scheme: &Scheme<'_>, through: Name) {
    scheme.passes_on(through);
    let last = scheme.into(through).iter().map(|edge| edge.time).max().expect("it took");
    assert!(scheme.out_of(through).iter().all(|edge| edge.time > last && edge.time - last <= Duration::DAY.times(2)), "{:?}", scheme.truth);
}

fn structuring(scheme: &Scheme<'_>) {
    let (sources, sinks) = (scheme.sources(), scheme.sinks());
    let sums: Vec<i64> = scheme.truth.edges.iter().map(cents).collect();
    assert!(sinks.len() == 1 && (1..=6).contains(&sources.len()) && (4..=10).contains(&sums.len()), "{:?}", scheme.truth);
    assert!(sums.iter().all(|sum| (785_000..1_000_000).contains(sum)), "{sums:?}");
}

fn mule(scheme: &Scheme<'_>, ledger: &Ledger) {
    let mules = scheme.between();
    let [collector] = scheme.sinks()[..] else { panic!("{:?}", scheme.truth) };
    assert!((2..=3).contains(&mules.len()), "{:?}", scheme.truth);
    let mut devices = BTreeSet::new();
    for mule in mules {
        assert_eq!(scheme.payees(mule), [Some(collector)].into());
        newly_opened(scheme, ledger, mule);
        scheme.passes_on(mule);
        // Out follows in, again and again.
        let mine = scheme.truth.edges.iter().filter(|edge| edge.from == Some(mule) || edge.to == Some(mule));
        let turns: Vec<(bool, Timestamp)> = mine.map(|edge| (edge.to == Some(mule), edge.time)).collect();
        let rounds = turns.windows(2).filter(|two| two[0].0 && !two[1].0);
        assert!(turns[0].0 && (2..=4).contains(&rounds.clone().count()), "{turns:?}");
        assert!(rounds.clone().all(|two| two[1].1 - two[0].1 <= Duration::DAY.times(2)), "{turns:?}");
        devices.extend(scheme.out_of(mule).iter().map(|edge| ledger.devices.get(&edge.event)));
    }
    assert!(devices.len() == 1 && !devices.contains(&None), "{devices:?}");
}

fn newly_opened(scheme: &Scheme<'_>, ledger: &Ledger, account: Name) {
    let first = scheme.truth.edges.iter().find(|edge| edge.from == Some(account) || edge.to == Some(account)).expect("it takes part");
    assert_eq!(ledger.times[&account][0], first.time, "{account} of {:?}", scheme.truth);
}

fn peeling_chain(scheme: &Scheme<'_>) {
    let [first] = scheme.sources()[..] else { panic!("{:?}", scheme.truth) };
    let mut on = scheme.payees(first).into_iter().flatten().next().expect("it pays");
    let mut hops = 1;
    while !scheme.payees(on).is_empty() {
        scheme.passes_on(on);
        let mut sums: BTreeMap<Name, i64> = BTreeMap::new();
        scheme.out_of(on).into_iter().for_each(|edge| *sums.entry(edge.to.expect("inside")).or_default() += cents(edge));
        let mut sums: Vec<(i64, Name)> = sums.into_iter().map(|(name, sum)| (sum, name)).collect();
        sums.sort_unstable();
        let [(peel, aside), (rest, next)] = sums[..] else { panic!("{sums:?} {:?}", scheme.truth) };
        assert!(scheme.payees(aside).is_empty() && peel * 100 <= (peel + rest) * 21, "{peel} {rest} {:?}", scheme.truth);
        (on, hops) = (next, hops + 1);
    }
    assert!((4..=8).contains(&hops) && scheme.accounts().len() == 2 * hops, "{hops} {:?}", scheme.truth);
}

fn funnel(scheme: &Scheme<'_>, ledger: &Ledger) {
    let (opened, hub): (Vec<Name>, Vec<Name>) = scheme.between().into_iter().partition(|name| scheme.payers(*name) == [None].into());
    let [hub] = hub[..] else { panic!("{:?}", scheme.truth) };
    assert!((5..=12).contains(&opened.len()) && (1..=3).contains(&scheme.payees(hub).len()), "{:?}", scheme.truth);
    scheme.passes_on(hub);
    for account in opened {
        assert_eq!(scheme.payees(account), [Some(hub)].into());
        newly_opened(scheme, ledger, account);
        scheme.passes_on(account);
    }
}

fn dormant(scheme: &Scheme<'_>, ledger: &Ledger) {
    let [sleeper] = scheme.between()[..] else { panic!("{:?}", scheme.truth) };
    let awakes = scheme.truth.edges[0].time;
    let before: Vec<Timestamp> = ledger.times[&sleeper].iter().copied().filter(|time| *time < awakes).collect();
    assert!(before.len() >= 2 && awakes - before[before.len() - 1] >= Duration::DAY.times(45), "{before:?} {awakes}");
    soon_gone(scheme, sleeper);
}

/// A ledger of five months with much laundering, which all tests of forms read.
fn months() -> &'static Ledger {
    static MONTHS: OnceLock<Ledger> = OnceLock::new();
    MONTHS.get_or_init(|| ledger(1, 150))
}

/// Each scheme of `form` obeys `definition`; there are enough of both kinds, with and without bends.
fn obeys(form: Form, definition: impl Fn(&Scheme<'_>)) {
    let mut counts = [0, 0];
    for truth in months().truths.iter().filter(|truth| truth.form == Some(form.name())) {
        let scheme = Scheme::new(truth);
        definition(&scheme);
        assert!(form.passes_on() || !(scheme.bends("fees") || scheme.bends("partial")), "{truth:?}");
        counts[usize::from(scheme.is_exact())] += 1;
    }
    assert!(counts.iter().all(|count| *count >= 15), "{form:?}: {counts:?}");
}

/// Caught when planted: fans of three.
#[test]
fn fans_have_one_side_of_one() {
    obeys(Form::FanIn, |scheme| fan(scheme, true));
    obeys(Form::FanOut, |scheme| fan(scheme, false));
}

/// Caught when planted: a hub that pays its first payer back.
#[test]
fn what_is_gathered_is_scattered() {
    obeys(Form::GatherScatter, gather_scatter);
}

/// Caught when planted: a second sink.
#[test]
fn what_is_scattered_is_gathered() {
    obeys(Form::ScatterGather, scatter_gather);
}

/// Caught when planted: pairs left out whoever has few.
#[test]
fn bipartite_sides_are_tied_twice() {
    obeys(Form::Bipartite, bipartite);
}

/// Caught when planted: an account that also pays into its own layer.
#[test]
fn stacks_have_layers() {
    obeys(Form::Stack, stack);
}

/// Caught when planted: a walk that ends at an account on its way.
#[test]
fn cycles_end_where_they_began() {
    obeys(Form::Cycle, cycle);
}

/// Caught when planted: more goes on than came; it goes before the last has come.
#[test]
fn what_passes_through_is_soon_gone() {
    obeys(Form::PassThrough, pass_through);
}

/// Caught when planted: sums from a half of the limit on.
#[test]
fn structured_sums_lie_just_below_the_limit() {
    obeys(Form::Structuring, structuring);
}

/// Caught when planted: each mule on a phone of its own; a phone that is replaced on the way.
#[test]
fn mules_are_young_and_share_a_phone() {
    obeys(Form::Mule, |scheme| mule(scheme, months()));
}

/// Caught when planted: up to a half is peeled off.
#[test]
fn little_is_peeled_off() {
    obeys(Form::PeelingChain, peeling_chain);
}

/// Caught when planted: lent accounts instead of new ones.
#[test]
fn funnels_have_new_accounts() {
    obeys(Form::Funnel, |scheme| funnel(scheme, months()));
}

/// Caught when planted: accounts awakened after five days.
#[test]
fn the_dormant_have_rested() {
    obeys(Form::Dormant, |scheme| dormant(scheme, months()));
}

/// Caught when planted: honest traffic also where nothing is bent; four in five schemes bent.
#[test]
fn schemes_are_exact_or_bent_and_end() {
    let ledger = months();
    let (mut moves, mut longest, mut exact) = (0, Duration(0), 0);
    for truth in &ledger.truths {
        assert_eq!(truth.attack, Attack::Laundering);
        let edges = &truth.edges;
        assert!(edges.iter().map(|edge| edge.event).eq(truth.crimes.iter().copied()), "{truth:?}");
        assert!(edges.is_sorted_by_key(|edge| edge.time) && edges.iter().all(|edge| edge.from != edge.to), "{truth:?}");
        let lasts = edges[edges.len() - 1].time - edges[0].time;
        assert!(lasts <= Duration::DAY.times(14), "{truth:?}");
        if truth.bends.is_empty() {
            assert!(truth.harmless.is_empty() && edges.iter().all(|edge| edge.currency == edges[0].currency), "{truth:?}");
        }
        exact += usize::from(truth.bends.is_empty());
        (moves, longest) = (moves + edges.len(), longest.max(lasts));
    }
    let schemes = ledger.truths.len();
    println!("{schemes} schemes, {moves} of {} transfers, at most {longest}", ledger.transfers);
    assert!((42..=58).contains(&(exact * 100 / schemes)), "{exact} of {schemes}");
    for word in ["fees", "jitter", "partial", "traffic", "abroad"] {
        let bent = ledger.truths.iter().filter(|truth| truth.bends.iter().any(|bend| bend.name() == word)).count();
        assert!((14..40).contains(&(bent * 100 / schemes)), "{word}: {bent} of {schemes}");
    }
    assert!(ledger.truths.iter().any(|truth| !truth.harmless.is_empty()));
    assert_eq!(ledger.scenarios, Form::ALL.map(Form::name).into());
    // Asked for were 300 in ten thousand, and nine thousand a day.
    let of_transfers = moves as u64 * 10_000 / ledger.transfers;
    assert!((240..360).contains(&of_transfers), "{of_transfers}");
    let a_day = ledger.transfers / ledger.days as u64;
    assert!((8_100..9_900).contains(&a_day), "{a_day}");
    assert!(ledger.lines < ledger.transfers * 106 / 100, "{} lines", ledger.lines);
}

/// A scheme's line says who paid whom, and how it was bent.
///
/// Caught when planted: the payer in the place of the payee.
#[test]
fn the_truth_has_the_edges() {
    let ledger = ledger(2, 12);
    let mut lines = Vec::new();
    ledger.truths.iter().for_each(|truth| truth.write_json(&mut lines));
    let read: Vec<serde_json::Value> =
        lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap()).collect();
    assert_eq!(read.len(), ledger.truths.len());
    let mut words = BTreeSet::new();
    for (line, truth) in read.iter().zip(&ledger.truths) {
        assert_eq!(line["form"].as_str(), truth.form);
        assert_eq!(line["distortion"], if truth.bends.is_empty() { "none" } else { "some" });
        words.extend(line["bends"].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()));
        let edges = line["edges"].as_array().unwrap();
        assert_eq!(edges.len(), truth.edges.len());
        for (told, edge) in edges.iter().zip(&truth.edges) {
            assert_eq!(told["event"], edge.event.to_string());
            assert_eq!(told["from"].as_str().map(str::to_owned), edge.from.map(|name| name.to_string()));
            assert_eq!(told["to"].as_str().map(str::to_owned), edge.to.map(|name| name.to_string()));
            assert_eq!((told["amount"].as_i64(), told["currency"].as_str()), (Some(edge.amount), Some(edge.currency)));
            assert_eq!(told["time"], edge.time.to_string());
        }
    }
    assert_eq!(words.len(), 5, "{words:?}");
}
