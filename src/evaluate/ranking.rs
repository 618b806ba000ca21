//! How well scores put the bad before the good.

/// Events by score, greatest first; those with the same score stand together.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    steps: Vec<Step>,
    bad: u64,
    good: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    score: f64,
    bad: u64,
    good: u64,
}

/// What a threshold catches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Caught {
    pub f1: f64,
    /// Of what is caught, how much is bad; 0 where nothing is caught.
    pub precision: f64,
    /// Of what is bad, how much is caught; 0 where nothing is bad.
    pub recall: f64,
}

impl Caught {
    fn of(caught: u64, bad_caught: u64, bad: u64) -> Caught {
        let precision = bad_caught as f64 / caught.max(1) as f64;
        let recall = bad_caught as f64 / bad.max(1) as f64;
        Caught { f1: 2.0 * precision * recall / (precision + recall).max(1e-12), precision, recall }
    }
}

impl Ranking {
    /// Ranks scores, each with whether its event was bad; none of them NaN.
    pub fn of(scored: impl IntoIterator<Item = (f64, bool)>) -> Ranking {
        let mut scored: Vec<(f64, bool)> = scored.into_iter().collect();
        scored.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let mut ranking = Ranking { steps: Vec::new(), bad: 0, good: 0 };
        for tied in scored.chunk_by(|a, b| a.0 == b.0) {
            let bad = tied.iter().filter(|(_, bad)| *bad).count() as u64;
            let step = Step { score: tied[0].0, bad, good: tied.len() as u64 - bad };
            ranking.bad += step.bad;
            ranking.good += step.good;
            ranking.steps.push(step);
        }
        ranking
    }

    /// How often a bad event stands before a good one; a tie counts half. `None` without both.
    pub fn auc_roc(&self) -> Option<f64> {
        let pairs = u128::from(self.bad) * u128::from(self.good);
        let (mut halves, mut good_behind) = (0u128, self.good);
        for step in &self.steps {
            good_behind -= step.good;
            halves += u128::from(step.bad) * (2 * u128::from(good_behind) + u128::from(step.good));
        }
        (pairs > 0).then(|| halves as f64 / (2 * pairs) as f64)
    }

    /// The mean of the precisions at each score, weighted by what recall gains there: not interpolated, ties in one step. `None` where
    /// nothing is bad.
    pub fn average_precision(&self) -> Option<f64> {
        let (mut sum, mut bad, mut all) = (0.0, 0, 0);
        for step in &self.steps {
            bad += step.bad;
            all += step.bad + step.good;
            sum += step.bad as f64 * (bad as f64 / all as f64);
        }
        (self.bad > 0).then(|| sum / self.bad as f64)
    }

    /// The score from which on F1 is greatest; among equals the least. `None` where nothing is bad.
    pub fn best_threshold(&self) -> Option<f64> {
        let (mut best, mut bad, mut all) = (None::<(f64, f64)>, 0, 0);
        for step in &self.steps {
            bad += step.bad;
            all += step.bad + step.good;
            let f1 = Caught::of(all, bad, self.bad).f1;
            if best.is_none_or(|(greatest, _)| f1 >= greatest) {
                best = Some((f1, step.score));
            }
        }
        best.filter(|_| self.bad > 0).map(|(_, score)| score)
    }

    /// What is caught from `threshold` on.
    pub fn at(&self, threshold: f64) -> Caught {
        let over = self.steps.iter().take_while(|step| step.score >= threshold);
        let (bad, all) = over.fold((0, 0), |(bad, all), step| (bad + step.bad, all + step.bad + step.good));
        Caught::of(all, bad, self.bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranking(bad: &[f64], good: &[f64]) -> Ranking {
        Ranking::of(bad.iter().map(|score| (*score, true)).chain(good.iter().map(|score| (*score, false))))
    }

    /// By hand: 0.9 stands before all three good ones, 0.5 before one and beside one.
    /// Planted: a tie counted whole (AUC 0.83), ties one by one, of equal thresholds the greatest.
    #[test]
    fn a_ranking_by_hand() {
        let ranking = ranking(&[0.9, 0.5], &[0.7, 0.5, 0.1]);
        assert_eq!(ranking.auc_roc(), Some((3.0 + 1.5) / 6.0));
        // Precision 1 at the first, 2 of 4 where the second is reached with the one beside it.
        assert_eq!(ranking.average_precision(), Some(0.5 * 1.0 + 0.5 * 0.5));
        // F1 is 2/3 at 0.9 (1 of 1, half of the bad) and 2/3 at 0.5 (2 of 4, all of the bad): the least counts.
        assert_eq!(ranking.best_threshold(), Some(0.5));
        assert_eq!(ranking.at(0.5), Caught { f1: 2.0 / 3.0, precision: 0.5, recall: 1.0 });
        let at = ranking.at(0.6);
        assert_eq!((at.precision, at.recall), (0.5, 0.5));
        assert_eq!(ranking.at(0.95), Caught { f1: 0.0, precision: 0.0, recall: 0.0 });
    }

    #[test]
    fn what_cannot_be_said_is_not_said() {
        assert_eq!((ranking(&[0.4], &[]).auc_roc(), ranking(&[], &[0.4]).auc_roc()), (None, None));
        assert_eq!(ranking(&[0.4], &[]).average_precision(), Some(1.0));
        let good = ranking(&[], &[0.4]);
        assert_eq!((good.average_precision(), good.best_threshold()), (None, None));
        assert_eq!(Ranking::of([]).auc_roc(), None);
    }

    fn scored() -> impl Strategy<Value = Vec<(f64, bool)>> {
        // Few scores, so that there are ties.
        prop::collection::vec((0u8..20, any::<bool>()).prop_map(|(score, bad)| (f64::from(score) / 20.0, bad)), 1..60)
    }

    proptest! {
        #[test]
        fn only_the_order_counts(scored in scored()) {
            let ranking = Ranking::of(scored.iter().copied());
            let bent = Ranking::of(scored.iter().map(|(score, bad)| (score.powi(3) * 7.0 - 2.0, *bad)));
            prop_assert_eq!(ranking.auc_roc(), bent.auc_roc());
            prop_assert_eq!(ranking.average_precision(), bent.average_precision());
            let f1 = |ranking: &Ranking| ranking.best_threshold().map(|threshold| ranking.at(threshold).f1);
            prop_assert_eq!(f1(&ranking), f1(&bent));
        }

        #[test]
        fn the_pairs_are_counted_one_by_one(scored in scored()) {
            let (mut sum, mut pairs) = (0.0, 0.0);
            for (bad, _) in scored.iter().filter(|(_, bad)| *bad) {
                for (good, _) in scored.iter().filter(|(_, bad)| !*bad) {
                    sum += if bad > good { 1.0 } else if bad == good { 0.5 } else { 0.0 };
                    pairs += 1.0;
                }
            }
            let naive = (pairs > 0.0).then(|| sum / pairs);
            prop_assert_eq!(Ranking::of(scored.iter().copied()).auc_roc(), naive);
            let turned = Ranking::of(scored.iter().map(|(score, bad)| (-score, *bad))).auc_roc();
            prop_assert!(turned.zip(naive).is_none_or(|(turned, auc)| (turned + auc - 1.0).abs() < 1e-12));
        }

        #[test]
        fn a_perfect_ranking_has_nothing_to_gain(bad in 1u32..50, good in 1u32..50) {
            let ranking = Ranking::of((0..bad + good).map(|place| (f64::from(place), place >= good)));
            prop_assert_eq!((ranking.auc_roc(), ranking.average_precision()), (Some(1.0), Some(1.0)));
            prop_assert_eq!(ranking.best_threshold(), Some(f64::from(good)));
            prop_assert_eq!(ranking.at(f64::from(good)), Caught { f1: 1.0, precision: 1.0, recall: 1.0 });
        }

        #[test]
        fn no_threshold_is_better_than_the_best(scored in scored()) {
            let ranking = Ranking::of(scored.iter().copied());
            if let Some(best) = ranking.best_threshold() {
                let f1 = ranking.at(best).f1;
                prop_assert!(scored.iter().all(|(score, _)| ranking.at(*score).f1 <= f1));
                prop_assert!((0.0..=1.0).contains(&ranking.average_precision().expect("something is bad")));
            }
        }
    }
}
