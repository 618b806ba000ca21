//! Laundering in its simple forms: many pay one, one pays many, money that only passes through, money that comes back.
//!
//! The movements are laid down when it begins. Accounts are those of mules – mostly real people who lend theirs – and of nobody.

use super::fraud::{Stage, Turn};
use super::people::Person;
use crate::event::Duration;
use crate::sim::chance::Chance;

/// The form of a scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Form {
    /// Many pay one account, in sums that nobody asks about; from there it goes on in one.
    FanIn = 0,
    FanOut = 1,
    PassThrough = 2,
    Cycle = 3,
}

impl Form {
    /// All forms, by number.
    pub const ALL: [Form; 4] = [Form::FanIn, Form::FanOut, Form::PassThrough, Form::Cycle];

    /// The word in a label's `scenario`.
    pub fn name(self) -> &'static str {
        ["fan_in", "fan_out", "pass_through", "cycle"][self as usize]
    }
}

/// One movement of a scheme: between two of its accounts, `None` being the world outside.
#[derive(Clone, Copy, Debug)]
struct Move {
    from: Option<u32>,
    to: Option<u32>,
    cents: i64,
    /// After the one before.
    pause: Duration,
}

/// A scheme under way.
#[derive(Clone, Debug)]
pub(super) struct Laundering {
    form: Form,
    moves: Vec<Move>,
    done: usize,
}

/// The movements of a scheme on the mean.
pub const MOVES_MEAN: u32 = 9;

impl Laundering {
    pub(super) fn new(stage: &mut Stage<'_>) -> Laundering {
        let form = *stage.chance.pick(&Form::ALL);
        stage.truth.form = Some(form.name());
        let region = stage.victim().region;
        let accounts: Vec<u32> = (0..18).map(|_| stage.mule(region).number).collect();
        let chance = &mut *stage.chance;
        let pause = |chance: &mut Chance, hours: i64| {
            Duration(chance.scatter(Duration::HOUR.times(hours).0, 110).clamp(Duration::MINUTE.times(2).0, Duration::DAY.times(6).0))
        };
        let mut moves = Vec::new();
        let mut go = |from, to, cents: i64, pause| moves.push(Move { from, to, cents, pause });
        let some = |number: usize| Some(accounts[number]);
        match form {
            Form::FanIn => {
                let sources = 4 + chance.rank(12) as usize;
                let mut sum = 0;
                for source in 1..=sources {
                    let cents = sum_of_a_scheme(chance);
                    sum += cents;
                    go(some(source), some(0), cents, pause(chance, 6));
                }
                go(some(0), some(17), sum * chance.between(88, 98) / 100, pause(chance, 8));
            }
            Form::FanOut => {
                let targets = 4 + chance.rank(12) as usize;
                let sums: Vec<i64> = (0..targets).map(|_| sum_of_a_scheme(chance)).collect();
                go(None, some(0), sums.iter().sum::<i64>() * 105 / 100, Duration::MINUTE);
                for (target, cents) in sums.into_iter().enumerate() {
                    go(some(0), some(1 + target), cents, pause(chance, 5));
                }
            }
            Form::PassThrough => {
                let hops = 3 + chance.rank(6) as usize;
                let mut cents = sum_of_a_scheme(chance) * 2;
                go(None, some(0), cents, Duration::MINUTE);
                for hop in 0..hops {
                    cents = cents * chance.between(90, 99) / 100;
                    go(some(hop), some(hop + 1), cents, pause(chance, 7));
                }
            }
            Form::Cycle => {
                let len = 3 + chance.rank(6) as usize;
                for _ in 0..1 + chance.rank(3) {
                    let mut cents = sum_of_a_scheme(chance);
                    for hop in 0..len {
                        go(some(hop), some((hop + 1) % len), cents, pause(chance, 14));
                        cents = cents * chance.between(93, 100) / 100;
                    }
                }
            }
        }
        Laundering { form, moves, done: 0 }
    }

    pub(super) fn step(&mut self, stage: &mut Stage<'_>) -> Turn {
        let Move { from, to, cents, .. } = self.moves[self.done];
        self.done += 1;
        let person =
            |stage: &Stage<'_>, number: Option<u32>| -> Option<Person> { number.map(|number| stage.company.people.person(number)) };
        let (from, to) = (person(stage, from), person(stage, to));
        let occurrence = stage.launder(from.as_ref(), to.as_ref(), cents, self.form);
        Turn { occurrence: Some(occurrence), next: self.moves.get(self.done).map(|next| next.pause) }
    }
}

/// As people send: below what banks must report, and seldom a round sum.
fn sum_of_a_scheme(chance: &mut Chance) -> i64 {
    let cents = chance.scatter(25_000, 170).clamp(4_000, 980_000);
    if chance.happens(4500) { (cents / 1000).max(1) * 1000 } else { cents }
}
