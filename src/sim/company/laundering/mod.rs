//! Laundering: the forms of the papers, one or a mirror pair a file, and the table that lists them.
//!
//! Definitions are those of AMLworld (Altman, Blanuša, von Niederhäusern, Egressy, Anghel and Atasu, "Realistic Synthetic Financial
//! Transactions for Anti-Money Laundering Models", NeurIPS 2023), of AMLSim (Weber et al., "Scalable Graph Learning for Anti-Money
//! Laundering", 2018; IBM/AMLSim) and of the Graph Feature Preprocessor (Blanuša, Cravero Baraja, Anghel, von Niederhäusern, Altman,
//! Pozidis and Atasu, ICAIF 2024). Structuring, mules, peeling, funnels and accounts awakened are what supervisors call so.
//!
//! All movements of a scheme are laid down ([`draft`]) when it begins; then they happen one by one. Accounts are those of mules – mostly
//! real people who lend theirs, and go on living – and of nobody.

mod bipartite;
mod cycle;
mod dormant;
mod draft;
mod fan;
mod funnel;
mod gather;
mod mule;
mod pass_through;
mod peeling;
mod stack;
mod structuring;

use super::fraud::{Stage, Turn};
use super::land::REGION_OF;
use super::people::Device;
use super::transfer::Remittance;
use super::truth::Trace;
use draft::{Draft, Leg, What};

pub use draft::Bend;

/// The form of a scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Form {
    FanIn = 0,
    FanOut = 1,
    GatherScatter = 2,
    ScatterGather = 3,
    Bipartite = 4,
    Stack = 5,
    Cycle = 6,
    PassThrough = 7,
    Structuring = 8,
    Mule = 9,
    PeelingChain = 10,
    Funnel = 11,
    Dormant = 12,
}

/// Lays a scheme's movements down.
type Plot = fn(&mut Draft<'_, '_>);

/// The forms, by number: the word in a label's `scenario`, and who lays the movements down.
const TABLE: [(Form, &str, Plot); 13] = [
    (Form::FanIn, "fan_in", fan::many_to_one),
    (Form::FanOut, "fan_out", fan::one_to_many),
    (Form::GatherScatter, "gather_scatter", gather::gather_scatter),
    (Form::ScatterGather, "scatter_gather", gather::scatter_gather),
    (Form::Bipartite, "bipartite", bipartite::draw),
    (Form::Stack, "stack", stack::draw),
    (Form::Cycle, "cycle", cycle::draw),
    (Form::PassThrough, "pass_through", pass_through::draw),
    (Form::Structuring, "structuring", structuring::draw),
    (Form::Mule, "mule", mule::draw),
    (Form::PeelingChain, "peeling_chain", peeling::draw),
    (Form::Funnel, "funnel", funnel::draw),
    (Form::Dormant, "dormant", dormant::draw),
];

impl Form {
    /// All forms, by number.
    pub const ALL: [Form; TABLE.len()] = {
        let mut all = [Form::FanIn; TABLE.len()];
        let mut place = 0;
        while place < TABLE.len() {
            all[place] = TABLE[place].0;
            assert!(all[place] as usize == place);
            place += 1;
        }
        all
    };

    /// The word in a label's `scenario`.
    pub fn name(self) -> &'static str {
        TABLE[self as usize].1
    }

    /// Whether some of its accounts pass on what they got.
    pub fn passes_on(self) -> bool {
        !matches!(self, Form::FanIn | Form::FanOut | Form::Bipartite | Form::Structuring)
    }
}

/// The movements of a scheme on the mean.
pub const MOVES_MEAN: u32 = 11;

/// A scheme under way.
#[derive(Clone, Debug)]
pub(super) struct Laundering {
    form: Form,
    /// In order of time.
    legs: Vec<Leg>,
    done: usize,
}

impl Laundering {
    pub(super) fn new(stage: &mut Stage<'_>) -> Laundering {
        let mut form = *stage.chance.pick(&Form::ALL);
        let mut sleeper = None;
        // Who would use an account at rest lets one rest for later, and uses one that has rested: where none has, it is another form.
        while form == Form::Dormant && sleeper.is_none() {
            sleeper = dormant::trade(stage);
            if sleeper.is_none() {
                form = *stage.chance.pick(&Form::ALL);
            }
        }
        let region = match sleeper {
            Some(sleeper) => stage.company.people.person(sleeper).region,
            None => usize::from(REGION_OF[stage.chance.below(64) as usize]),
        };
        let mut draft = Draft::new(stage, form, region, sleeper);
        TABLE[form as usize].2(&mut draft);
        let (legs, bends) = draft.finish();
        (stage.truth.form, stage.truth.bends) = (Some(form.name()), bends);
        Laundering { form, legs, done: 0 }
    }

    pub(super) fn step(&mut self, stage: &mut Stage<'_>) -> Turn {
        let leg = self.legs[self.done];
        self.done += 1;
        let occurrence = match leg.what {
            What::Crime { from, to, minor, phone } => {
                let of = stage.movement(from, to, minor, phone);
                let occurrence = stage.company.send(stage.now, &of, Some(Trace { episode: stage.truth.episode, is_crime: true }));
                stage.company.report(stage.chance, stage.now, &occurrence, self.form);
                stage.truth.moved(&occurrence);
                occurrence
            }
            What::Honest { person } => {
                let of = stage.honest(person);
                let occurrence = stage.company.send(stage.now, &of, Some(Trace { episode: stage.truth.episode, is_crime: false }));
                stage.truth.event(occurrence.id, false);
                occurrence
            }
        };
        Turn { occurrence: Some(occurrence), next: self.legs.get(self.done).map(|next| next.at - leg.at) }
    }
}

impl Stage<'_> {
    /// A movement of money that is not what it seems.
    fn movement(&mut self, from: Option<u32>, to: Option<u32>, minor: i64, phone: Option<u32>) -> Remittance {
        let person = |number: Option<u32>| number.map(|number| self.company.people.person(number));
        let of = match (person(from), person(to)) {
            (Some(from), Some(to)) => {
                let receiver = self.company.party(&to, false);
                self.company.remit(self.chance, &from, receiver, 0, self.now)
            }
            (from, to) => {
                let (own, leaves) = (from.or(to).expect("a movement has a side in the world"), from.is_some());
                self.company.cash(self.chance, &own, leaves, 0)
            }
        };
        // The one that its owner had when the scheme began: they do not change it on the way.
        let begun = self.truth.begun;
        let phone = phone.map(|owner| self.company.people.device(&self.company.people.person(owner), Device::Phone, begun));
        Remittance { amount: minor, device: phone.or(of.device), ..of }
    }

    /// What somebody does who lends an account, and lives.
    fn honest(&mut self, number: u32) -> Remittance {
        let person = self.company.people.person(number);
        let cents = self.chance.scatter(4_000, 120).max(200);
        let friend = self.company.friend(self.chance, &person);
        match self.chance.below(3) {
            0 if friend.number != number => {
                let own = self.company.party(&person, false);
                self.company.remit(self.chance, &friend, own, cents, self.now)
            }
            1 if friend.number != number => {
                let to = self.company.party(&friend, false);
                self.company.remit(self.chance, &person, to, cents, self.now)
            }
            _ => {
                let to = self.company.biller(self.chance, person.region);
                self.company.remit(self.chance, &person, to, cents, self.now)
            }
        }
    }
}
