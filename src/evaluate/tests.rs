//! Our figures against those of others, on 2,000 scores from a generator that is written down in a line.

use super::*;
use crate::event::{IdKey, IdKind};

/// x ← 6364136223846793005 x + 1442695040888963407 (Knuth's MMIX), of which the upper 32 bits count.
struct Generator(u64);

impl Generator {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 32
    }
}

/// 400 payments on each of five days by 300 cards. Scores are of 1024 values, 894 of which occur; of the second ones no two are the same.
/// Payments with greater scores are bad more often.
fn payments() -> Vec<(OnCard, f64)> {
    let mut generator = Generator(20_260_101);
    let payment = |number: i64| {
        let (score, fine) = (generator.bits() >> 22, generator.bits());
        let bad = (generator.bits() >> 22) * 1024 < score * score / 2 + 20_000;
        let card = IdKey::FILES.id(IdKind::User, (generator.bits() % 300).to_string().as_bytes());
        let unlike = ((score << 32) + fine) as f64 / (1u64 << 42) as f64;
        (OnCard { day: number / 400, card, probability: unlike, bad }, score as f64 / 1024.0)
    };
    (0..2000).map(payment).collect()
}

/// Expected are `roc_auc_score`, `average_precision_score`, `precision_recall_curve` (at the first greatest F1) and `brier_score_loss` of
/// scikit-learn 1.9.1; for the rest numpy over `np.array_split(np.argsort(p, kind="stable"), bins)` and pandas over the Handbook's
/// definition of card precision, both on the numbers of the generator above.
/// Caught when planted: a tie counted whole; ties one by one; the longer bins last; cards found that come again; the last probability of a
/// card in place of its greatest.
#[test]
fn figures_are_those_of_scikit_learn() {
    let payments = payments();
    let scored: Vec<(f64, bool)> = payments.iter().map(|(payment, score)| (*score, payment.bad)).collect();
    let near =
        |what: &str, found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{what}: found {found}, expected {expected}");
    assert_eq!(scored.iter().filter(|(_, bad)| *bad).count(), 387);
    let ranking = Ranking::of(scored.iter().copied());
    near("auc_roc", ranking.auc_roc().expect("both kinds"), 0.7584147535127221);
    near("average_precision", ranking.average_precision().expect("some are bad"), 0.3982329400078705);
    let threshold = ranking.best_threshold().expect("some are bad");
    near("threshold", threshold, 0.6728515625);
    let caught = ranking.at(threshold);
    near("f1", caught.f1, 0.4785510009532888);
    near("precision", caught.precision, 0.37915407854984895);
    near("recall", caught.recall, 0.648578811369509);
    near("brier", brier(&scored).expect("events"), 0.25247659587860105);
    let error = expected_calibration_error(&equal_mass(&scored, 15)).expect("events");
    near("expected_calibration_error", error, 0.3053408203125);
    let ventiles = top_ventiles(&scored);
    for (bin, expected) in ventiles.iter().zip([1.9848931760204083, 2.1879417782738098, 2.0792178199404763]) {
        near("ventile", bin.ratio().expect("some are bad"), expected);
    }
    let days = card_precision(payments.iter().map(|(payment, _)| *payment), 20);
    near("card_precision", days.iter().map(|day| day.precision).sum::<f64>() / days.len() as f64, 0.56);
}
