//! Whether probabilities mean what they say.

/// Events whose probabilities lie together.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Bin {
    pub events: u64,
    /// The least probability in it,
    pub least: f64,
    /// and the greatest.
    pub greatest: f64,
    /// The mean of the probabilities.
    pub predicted: f64,
    /// The share of the bad.
    pub observed: f64,
}

impl Bin {
    /// How often as much badness was predicted as came; `None` where none came.
    pub fn ratio(&self) -> Option<f64> {
        (self.observed > 0.0).then(|| self.predicted / self.observed)
    }
}

/// `scored` in `bins` parts of as many events each (the first ones have one more where it does not come out even), least probabilities
/// first; of equals the first stays first. Parts without an event are left out.
pub fn equal_mass(scored: &[(f64, bool)], bins: usize) -> Vec<Bin> {
    let mut sorted = scored.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (each, more) = (sorted.len() / bins, sorted.len() % bins);
    let mut rest = sorted.as_slice();
    let mut out = Vec::with_capacity(bins);
    for number in 0..bins {
        let (part, behind) = rest.split_at(each + usize::from(number < more));
        rest = behind;
        let ([(least, _), ..], Some((greatest, _))) = (part, part.last()) else { continue };
        let events = part.len() as f64;
        out.push(Bin {
            events: part.len() as u64,
            least: *least,
            greatest: *greatest,
            predicted: part.iter().map(|(probability, _)| probability).sum::<f64>() / events,
            observed: part.iter().filter(|(_, bad)| *bad).count() as f64 / events,
        });
    }
    out
}

/// The mean distance between predicted and observed over `bins`, weighted by their events; `None` without one.
pub fn expected_calibration_error(bins: &[Bin]) -> Option<f64> {
    let events: u64 = bins.iter().map(|bin| bin.events).sum();
    let sum: f64 = bins.iter().map(|bin| bin.events as f64 * (bin.observed - bin.predicted).abs()).sum();
    (events > 0).then(|| sum / events as f64)
}

/// The mean of the squared distances between a probability and what came; `None` without an event.
pub fn brier(scored: &[(f64, bool)]) -> Option<f64> {
    let sum: f64 = scored.iter().map(|(probability, bad)| (probability - f64::from(u8::from(*bad))).powi(2)).sum();
    (!scored.is_empty()).then(|| sum / scored.len() as f64)
}

/// Of twenty parts of as many events each the three with the greatest probabilities, the greatest first.
pub fn top_ventiles(scored: &[(f64, bool)]) -> Vec<Bin> {
    equal_mass(scored, 20).into_iter().rev().take(3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Five events in two parts: 0.0, 0.1, 0.2 (one bad) and 0.6, 0.9 (one bad). Planted: the longer parts last (ECE 0.15).
    #[test]
    fn bins_by_hand() {
        let scored = [(0.9, true), (0.1, false), (0.6, false), (0.0, false), (0.2, true)];
        let bins = equal_mass(&scored, 2);
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "found {a}, expected {b}");
        assert_eq!(bins.iter().map(|bin| (bin.events, bin.least, bin.greatest)).collect::<Vec<_>>(), [(3, 0.0, 0.2), (2, 0.6, 0.9)]);
        near(bins[0].predicted, 0.1);
        near(bins[0].observed, 1.0 / 3.0);
        near(bins[1].predicted, 0.75);
        near(bins[1].ratio().expect("one is bad"), 1.5);
        near(expected_calibration_error(&bins).expect("events"), 0.6 * (1.0 / 3.0 - 0.1) + 0.4 * 0.25);
        near(brier(&scored).expect("events"), (0.01 + 0.01 + 0.36 + 0.0 + 0.64) / 5.0);
    }

    #[test]
    fn few_events_fill_few_bins() {
        assert_eq!(equal_mass(&[(0.5, true)], 15).len(), 1);
        assert_eq!((expected_calibration_error(&[]), brier(&[])), (None, None));
        let top = top_ventiles(&(0..40).map(|n| (f64::from(n) / 40.0, n == 39)).collect::<Vec<_>>());
        assert_eq!(top.iter().map(|bin| bin.greatest).collect::<Vec<_>>(), [0.975, 0.925, 0.875]);
        assert_eq!(top[1].ratio(), None);
    }

    proptest! {
        #[test]
        fn every_event_is_in_one_bin(scored in prop::collection::vec((0.0f64..=1.0, any::<bool>()), 1..200), bins in 1usize..30) {
            let parts = equal_mass(&scored, bins);
            prop_assert_eq!(parts.iter().map(|bin| bin.events).sum::<u64>(), scored.len() as u64);
            let sizes = (parts.iter().map(|bin| bin.events).min(), parts.iter().map(|bin| bin.events).max());
            prop_assert!(sizes.1 <= sizes.0.map(|least| least + 1));
            prop_assert!(parts.windows(2).all(|pair| pair[0].greatest <= pair[1].least));
            // One bin for all is the least error that bins can show.
            let whole = expected_calibration_error(&equal_mass(&scored, 1)).expect("events");
            prop_assert!(expected_calibration_error(&parts).expect("events") >= whole - 1e-12);
        }

        #[test]
        fn who_knows_makes_no_error(bads in prop::collection::vec(any::<bool>(), 1..100)) {
            let scored: Vec<(f64, bool)> = bads.iter().map(|bad| (f64::from(u8::from(*bad)), *bad)).collect();
            prop_assert_eq!(brier(&scored), Some(0.0));
            prop_assert!(expected_calibration_error(&equal_mass(&scored, 15)).expect("events") < 1e-12);
        }
    }
}
