//! How it becomes known what something was: chargebacks after weeks, analysts after hours or days, rules at once; and who was wrong.

use super::Company;
use super::fraud::Attack;
use super::laundering::Form;
use super::occurrence::Occurrence;
use super::schedule::Plan;
use crate::event::{Duration, LabelSource, Timestamp, Verdict};
use crate::sim::chance::Chance;

/// A label without a scenario.
pub const NO_SCENARIO: u8 = u8::MAX;
/// Scenarios from here on are forms of laundering.
const FORMS: u8 = 64;
/// A card's holder may dispute so long.
pub const CHARGEBACK_MAX: Duration = Duration::DAY.times(120);

/// The word for the scenario of a label.
pub fn scenario_word(scenario: u8) -> Option<&'static str> {
    match scenario {
        NO_SCENARIO => None,
        FORMS.. => Some(Form::ALL[usize::from(scenario - FORMS)].name()),
        _ => Some(Attack::ALL[usize::from(scenario)].name()),
    }
}

/// The scenario of a form of laundering.
pub fn scenario_of(form: Form) -> u8 {
    FORMS + form as u8
}

/// How long after a payment its holder's bank asks the money back.
fn chargeback_delay(chance: &mut Chance, attack: Attack) -> Duration {
    let median = Duration::DAY.times(attack.chargeback_days());
    Duration(chance.scatter(median.0, 100).clamp(Duration::DAY.0, CHARGEBACK_MAX.0))
}

impl Company {
    fn label(&mut self, due: Timestamp, of: &Occurrence, verdict: Verdict, source: LabelSource, scenario: u8) {
        let plan = Plan::Label { target: of.id.number, of_transfer: of.id.letter == b't', verdict, source, scenario };
        self.schedule.add(due, plan);
    }

    /// How a fraud becomes known. One that brought no money in is seldom looked at; no holder disputes it.
    pub(super) fn accuse(&mut self, chance: &mut Chance, now: Timestamp, payment: &Occurrence, attack: Attack, failed: bool) {
        let scenario = attack as u8;
        let analyst = |chance: &mut Chance| {
            Duration(chance.scatter(Duration::HOUR.times(20).0, 130).clamp(Duration::MINUTE.times(20).0, Duration::DAY.times(12).0))
        };
        if failed {
            if chance.happens(4500) {
                let due = now + analyst(chance);
                self.label(due, payment, Verdict::Fraud, LabelSource::Analyst, scenario);
            }
            return;
        }
        if chance.happens(800) {
            let due = now + Duration(chance.between(60_000_000, 3_600_000_000));
            self.label(due, payment, Verdict::Fraud, LabelSource::Rule, scenario);
        }
        let is_friendly = attack == Attack::FriendlyFraud;
        if !is_friendly && chance.happens(2500) {
            let due = now + analyst(chance);
            self.label(due, payment, Verdict::Fraud, LabelSource::Analyst, scenario);
        }
        if is_friendly || chance.happens(9000) {
            let delay = chargeback_delay(chance, attack);
            self.label(now + delay, payment, Verdict::Fraud, LabelSource::Chargeback, scenario);
            // The shop shows that it was the customer after all.
            if chance.happens(if is_friendly { 2800 } else { 200 }) {
                let due = now + delay + Duration(chance.between(Duration::DAY.times(8).0, Duration::DAY.times(45).0));
                self.label(due, payment, Verdict::Legitimate, LabelSource::Analyst, NO_SCENARIO);
            }
        }
    }

    /// How a robbed account becomes known: its holder calls the bank, and an analyst writes it down.
    pub(super) fn accuse_transfer(&mut self, chance: &mut Chance, now: Timestamp, transfer: &Occurrence, attack: Attack) {
        if chance.happens(8500) {
            let delay = chance.scatter(Duration::DAY.times(3).0, 120).clamp(Duration::HOUR.0, Duration::DAY.times(60).0);
            self.label(now + Duration(delay), transfer, Verdict::Fraud, LabelSource::Analyst, attack as u8);
        }
    }

    /// What becomes of an honest payment or transfer: some are looked at and cleared, few are accused by mistake and cleared later.
    pub(super) fn clear(&mut self, chance: &mut Chance, now: Timestamp, of: &Occurrence) {
        match chance.below(10_000) {
            0..25 => {
                let due =
                    now + Duration(chance.scatter(Duration::HOUR.times(15).0, 130).clamp(Duration::MINUTE.0, Duration::DAY.times(9).0));
                self.label(due, of, Verdict::Legitimate, LabelSource::Analyst, NO_SCENARIO);
            }
            25..28 => {
                let due = now + Duration(chance.between(1_000_000, 3_600_000_000));
                self.label(due, of, Verdict::Fraud, LabelSource::Rule, NO_SCENARIO);
                let due = due + Duration(chance.between(Duration::HOUR.0, Duration::DAY.times(4).0));
                self.label(due, of, Verdict::Legitimate, LabelSource::Analyst, NO_SCENARIO);
            }
            // A holder who did not know the shop's name on the bill.
            28 if of.id.letter == b'p' => {
                let due = now + Duration(chance.scatter(Duration::DAY.times(25).0, 70).clamp(Duration::DAY.0, CHARGEBACK_MAX.0));
                self.label(due, of, Verdict::Fraud, LabelSource::Chargeback, NO_SCENARIO);
                let due = due + Duration(chance.between(Duration::DAY.times(5).0, Duration::DAY.times(40).0));
                self.label(due, of, Verdict::Legitimate, LabelSource::Analyst, NO_SCENARIO);
            }
            _ => {}
        }
    }

    /// How laundering becomes known: analysts, after days or months, and not always.
    pub(super) fn report(&mut self, chance: &mut Chance, now: Timestamp, transfer: &Occurrence, form: Form) {
        if chance.happens(6500) {
            let delay = chance.scatter(Duration::DAY.times(21).0, 110).clamp(Duration::DAY.times(2).0, Duration::DAY.times(150).0);
            self.label(now + Duration(delay), transfer, Verdict::Laundering, LabelSource::Analyst, scenario_of(form));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Caught when planted: no limit to the delay.
    #[test]
    fn chargebacks_come_within_their_days() {
        let mut chance = Chance::new(3);
        for attack in Attack::ALL.into_iter().filter(|attack| *attack != Attack::Laundering) {
            let mut delays: Vec<Duration> = (0..2000).map(|_| chargeback_delay(&mut chance, attack)).collect();
            delays.sort_unstable();
            let (half, expected) = (delays[1000].0, Duration::DAY.times(attack.chargeback_days()).0);
            assert!((expected * 9 / 10..expected * 11 / 10).contains(&half), "{attack:?}: {}", delays[1000]);
            assert!(Duration::DAY <= delays[0] && delays[1999] <= CHARGEBACK_MAX, "{attack:?}: {} {}", delays[0], delays[1999]);
            assert!(delays[1999] > Duration::DAY.times(60), "{attack:?}: {}", delays[1999]);
        }
    }

    #[test]
    fn scenarios_have_words() {
        assert_eq!(scenario_word(NO_SCENARIO), None);
        assert_eq!(scenario_word(Attack::CardTesting as u8), Some("card_testing"));
        assert_eq!(scenario_word(scenario_of(Form::Cycle)), Some("cycle"));
    }
}
