//! Card precision: of the cards that are looked at each day, how many were compromised.
//!
//! As the Fraud Detection Handbook has it (Le Borgne et al. 2022, section 4.5): whoever looks into alerts looks at whole cards, so many a
//! day, and a card found to be compromised is stopped and does not come again.

use crate::event::Id;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A payment with a card.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OnCard {
    /// See [`super::day`].
    pub day: i64,
    pub card: Id,
    pub probability: f64,
    pub bad: bool,
}

/// What was found on a day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CardDay {
    pub day: i64,
    /// Compromised cards among those looked at, by how many can be looked at.
    pub precision: f64,
}

/// Each day with payments: the `looked_at` cards with the greatest probability of one of their payments, where cards found on earlier days
/// are left out. Of equals those come first whose first payment of the day came first.
pub fn card_precision(payments: impl IntoIterator<Item = OnCard>, looked_at: usize) -> Vec<CardDay> {
    let mut days: BTreeMap<i64, Vec<OnCard>> = BTreeMap::new();
    for payment in payments {
        days.entry(payment.day).or_default().push(payment);
    }
    let mut found: HashSet<Id> = HashSet::new();
    let precision = |found: &mut HashSet<Id>, payments: Vec<OnCard>| {
        let mut cards: Vec<OnCard> = Vec::new();
        let mut places: HashMap<Id, usize> = HashMap::new();
        for payment in payments.into_iter().filter(|payment| !found.contains(&payment.card)) {
            let place = *places.entry(payment.card).or_insert(cards.len());
            match cards.get_mut(place) {
                Some(card) => {
                    card.probability = card.probability.max(payment.probability);
                    card.bad |= payment.bad;
                }
                None => cards.push(payment),
            }
        }
        cards.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        let before = found.len();
        found.extend(cards.iter().take(looked_at).filter(|card| card.bad).map(|card| card.card));
        (found.len() - before) as f64 / looked_at as f64
    };
    days.into_iter().map(|(day, payments)| CardDay { day, precision: precision(&mut found, payments) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{IdKey, IdKind};
    use proptest::prelude::*;

    fn on(day: i64, card: u32, probability: f64, bad: bool) -> OnCard {
        OnCard { day, card: IdKey::FILES.id(IdKind::User, card.to_string().as_bytes()), probability, bad }
    }

    fn of(payments: &[OnCard], looked_at: usize) -> Vec<(i64, f64)> {
        card_precision(payments.iter().copied(), looked_at).iter().map(|day| (day.day, day.precision)).collect()
    }

    /// Two cards a day. On day 4 the cards 1 (found by another payment than its worst) and 2 are looked at; on day 5 card 1 is gone,
    /// which lets 4 in. Planted: cards found that come again (day 5: 0.5), and the last probability in place of the greatest.
    #[test]
    fn cards_by_hand() {
        let payments = [
            on(4, 1, 0.9, false),
            on(4, 1, 0.1, true),
            on(4, 2, 0.8, false),
            on(4, 3, 0.7, false),
            on(5, 1, 1.0, true),
            on(5, 3, 0.9, true),
            on(5, 4, 0.8, true),
            on(5, 2, 0.1, false),
            // Nobody is left on this day: it counts as a day.
            on(7, 3, 0.9, true),
        ];
        assert_eq!(of(&payments, 2), [(4, 0.5), (5, 1.0), (7, 0.0)]);
        assert_eq!(of(&[], 2), []);
    }

    #[test]
    fn of_equals_the_first_of_the_day_is_looked_at() {
        let payments = [on(0, 9, 0.5, true), on(0, 1, 0.5, false)];
        assert_eq!(of(&payments, 1), [(0, 1.0)]);
        assert_eq!(of(&[payments[1], payments[0]], 1), [(0, 0.0)]);
    }

    proptest! {
        #[test]
        fn a_card_is_found_once(payments in prop::collection::vec((0i64..4, 0u32..12, 0u8..10, any::<bool>()), 0..80), looked_at in 1usize..5) {
            let payments: Vec<OnCard> =
                payments.into_iter().map(|(day, card, score, bad)| on(day, card, f64::from(score), bad)).collect();
            let found: f64 = of(&payments, looked_at).iter().map(|(_, precision)| precision * looked_at as f64).sum();
            let bad: HashSet<Id> = payments.iter().filter(|payment| payment.bad).map(|payment| payment.card).collect();
            prop_assert!(found <= bad.len() as f64 + 1e-9);
            // With eyes for all of them all are found.
            let all: f64 = of(&payments, 12).iter().map(|(_, precision)| precision * 12.0).sum();
            prop_assert!((all - bad.len() as f64).abs() < 1e-9);
        }
    }
}
