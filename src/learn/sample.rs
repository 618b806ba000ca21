//! A sample of rows, held in memory to learn from: every bad one, and of the good ones as many as are worth their place.
//!
//! The good are chosen by a hash of the event's id, so that a sample does not depend on how the stream was cut, and two seeds have two.
//! The newest part of the time is for validation. There a larger share of the good is kept and each stands for as many as it was chosen
//! from, so that figures of the validation are figures of the stream.

use super::chance::mix;
use super::rows::{Count, Expected, Row, RowSink};
use crate::event::{EventType, Timestamp};
use crate::gnn::{EDGE_INPUTS, state_figures};
use crate::graph::RECENT;
use crate::graph::ego::{EDGE, SEED_SLOTS};
use std::convert::Infallible;

/// What an edge brings besides the one.
pub const EDGE_FIGURES: usize = EDGE_INPUTS - 1;

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleOptions {
    pub seed: u64,
    /// Rows from then on are for validation.
    pub validation_from: Timestamp,
    /// The share of the range that the validation is.
    pub validation_share: f64,
    /// For each bad row so many good ones.
    pub goods_per_bad: u32,
    /// Good rows of the validation, a type of event.
    pub validation_goods_max: u64,
    /// What a sample may take, were all its neighbourhoods full; beyond it fewer good rows are kept.
    pub bytes_max: u64,
}

/// Rows of one type of event, in the order of their events: R rows, I inputs, N edges.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    width: usize,
    /// Of the hashes of the good: those below are for learning.
    learnt_below: u64,
    /// The same in the validation: those below are kept.
    validated_below: u64,
    /// Of the good rows that came, how many are for learning.
    pub share: f64,
    times: Vec<Timestamp>,
    bads: Vec<bool>,
    /// Whether a row is for learning: some of the validation's are there for the validation alone.
    learnt: Vec<bool>,
    /// (R, I)
    inputs: Vec<f32>,
    /// (R * SEED_SLOTS + 1)
    offsets: Vec<u32>,
    /// Features of an edge, then figures of the state on its other side. (N, EDGE_FIGURES)
    edges: Vec<[f32; EDGE_FIGURES]>,
    /// Rows and bad ones that came, before and since `validation_from`.
    pub came: [Count; 2],
}

/// Rows of payments and of transfers.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub options: SampleOptions,
    /// Names of the inputs (I).
    pub names: Vec<String>,
    pub payment: Rows,
    pub transfer: Rows,
}

/// A hash below which a share of all hashes lies.
fn below(share: f64) -> u64 {
    // Conversion ends at the greatest word.
    (share * 2f64.powi(64)) as u64
}

impl Rows {
    fn new(width: usize, expected: Count, options: &SampleOptions, scale: f64) -> Rows {
        let goods = (expected.rows - expected.bad).max(1) as f64;
        let share = (expected.bad as f64 * f64::from(options.goods_per_bad) * scale / goods).min(1.0);
        let validated = (options.validation_goods_max as f64 * scale / (goods * options.validation_share)).clamp(share, 1.0);
        Rows {
            width,
            learnt_below: below(share),
            validated_below: below(validated),
            share,
            times: Vec::new(),
            bads: Vec::new(),
            learnt: Vec::new(),
            inputs: Vec::new(),
            offsets: vec![0],
            edges: Vec::new(),
            came: [Count::default(); 2],
        }
    }

    /// Rows kept (R).
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether none was kept.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    pub fn time(&self, row: usize) -> Timestamp {
        self.times[row]
    }

    pub fn is_bad(&self, row: usize) -> bool {
        self.bads[row]
    }

    pub fn is_learnt(&self, row: usize) -> bool {
        self.learnt[row]
    }

    /// How many rows of the validation this one stands for.
    pub fn weight(&self, row: usize) -> f64 {
        match self.bads[row] || self.validated_below == u64::MAX {
            true => 1.0,
            false => 2f64.powi(64) / self.validated_below as f64,
        }
    }

    /// Its inputs (I).
    pub fn inputs(&self, row: usize) -> &[f32] {
        &self.inputs[row * self.width..][..self.width]
    }

    /// The edges of one of its entities, newest first.
    pub fn edges(&self, row: usize, slot: usize) -> &[[f32; EDGE_FIGURES]] {
        let at = row * SEED_SLOTS + slot;
        &self.edges[self.offsets[at] as usize..self.offsets[at + 1] as usize]
    }

    /// Gives row after row, slot after slot, the neighbourhoods that `from` names by row and slot.
    #[cfg(feature = "learn")]
    pub(super) fn rearrange(&mut self, from: impl Iterator<Item = (usize, usize)>) {
        let (mut offsets, mut edges) = (vec![0], Vec::with_capacity(self.edges.len()));
        for (row, slot) in from {
            edges.extend_from_slice(self.edges(row, slot));
            offsets.push(edges.len() as u32);
        }
        (self.offsets, self.edges) = (offsets, edges);
    }

    fn take(&mut self, row: &Row<'_>, options: &SampleOptions) {
        let validated = row.time >= options.validation_from;
        let came = &mut self.came[usize::from(validated)];
        came.rows += 1;
        came.bad += u64::from(row.bad);
        let hash = mix(row.event.low() ^ mix(options.seed));
        let learnt = row.bad || hash < self.learnt_below;
        if !learnt && (!validated || hash >= self.validated_below) {
            return;
        }
        self.times.push(row.time);
        self.bads.push(row.bad);
        self.learnt.push(learnt);
        self.inputs.extend_from_slice(row.inputs);
        for around in &row.around {
            for (edge, sums) in around.edges.iter().zip(around.states) {
                let mut figures = [0.0; EDGE_FIGURES];
                figures[..EDGE].copy_from_slice(edge);
                figures[EDGE..].copy_from_slice(&state_figures(sums));
                self.edges.push(figures);
            }
            self.offsets.push(self.edges.len() as u32);
        }
    }
}

impl Sample {
    /// An empty sample of rows with inputs of these names.
    pub fn new(names: &[String], expected: &Expected, options: SampleOptions) -> Sample {
        let kept = |count: &Count| {
            let goods = (count.rows - count.bad) as f64;
            let learnt = count.bad as f64 * f64::from(options.goods_per_bad);
            count.bad as f64 + learnt.min(goods) + (options.validation_goods_max as f64).min(goods * options.validation_share)
        };
        let bytes = size_of::<f32>() * (names.len() + SEED_SLOTS * RECENT * EDGE_FIGURES);
        let wanted = bytes as f64 * (kept(&expected.payment) + kept(&expected.transfer));
        let scale = (options.bytes_max as f64 / wanted.max(1.0)).min(1.0);
        Sample {
            options,
            names: names.to_vec(),
            payment: Rows::new(names.len(), expected.payment, &options, scale),
            transfer: Rows::new(names.len(), expected.transfer, &options, scale),
        }
    }
}

impl RowSink for Sample {
    type Error = Infallible;

    fn row(&mut self, row: &Row<'_>) -> Result<(), Infallible> {
        match row.kind {
            EventType::Payment => self.payment.take(row, &self.options),
            EventType::Transfer => self.transfer.take(row, &self.options),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{IdKey, IdKind, Sequence};
    use crate::graph::state::STATE;
    use crate::learn::Around;

    const OPTIONS: SampleOptions = SampleOptions {
        seed: 7,
        validation_from: Timestamp(8_000),
        validation_share: 0.2,
        goods_per_bad: 10,
        validation_goods_max: 1_000,
        bytes_max: 1 << 30,
    };

    /// A row a microsecond, every hundredth bad.
    fn sample(options: SampleOptions) -> Sample {
        let expected = Expected { payment: Count { rows: 10_000, bad: 100 }, transfer: Count::default() };
        let mut sample = Sample::new(&["figure".to_owned()], &expected, options);
        for at in 0..10_000i64 {
            let edges = vec![[at as f32; EDGE]; at as usize % 3];
            let states = vec![[0.0; STATE]; edges.len()];
            let around = [Around::default(), Around { edges: &edges, states: &states }, Around::default()];
            let event = IdKey::FILES.id(IdKind::Event, at.to_string().as_bytes());
            let (time, kind) = (Timestamp(at), EventType::Payment);
            let row = Row { sequence: Sequence(at as u64), event, name: "", time, kind, bad: at % 100 == 50, inputs: &[at as f32], around };
            let Ok(()) = sample.row(&row);
        }
        sample
    }

    #[test]
    fn all_the_bad_and_a_share_of_the_good_are_kept() {
        let Sample { payment: rows, .. } = sample(OPTIONS);
        let learnt: Vec<usize> = (0..rows.len()).filter(|row| rows.is_learnt(*row)).collect();
        assert_eq!(learnt.iter().filter(|row| rows.is_bad(**row)).count(), 100);
        assert!((900..1_100).contains(&(learnt.len() - 100)), "{} good", learnt.len() - 100);
        let validated = (0..rows.len()).filter(|row| rows.time(*row) >= OPTIONS.validation_from);
        let weight: f64 = validated.clone().map(|row| rows.weight(row)).sum();
        assert!((weight / 2_000.0 - 1.0).abs() < 0.1, "the validation stands for {weight} rows of 2,000");
        assert!(validated.count() > 900);
        assert_eq!(rows.came, [Count { rows: 8_000, bad: 80 }, Count { rows: 2_000, bad: 20 }]);
        for row in 0..rows.len() {
            let at = rows.time(row).0;
            assert_eq!((rows.inputs(row), rows.edges(row, 0).len()), (&[at as f32][..], 0));
            assert_eq!(rows.edges(row, 1).len(), at as usize % 3);
            assert!(rows.edges(row, 1).iter().all(|edge| edge[0] == at as f32));
        }
        let other = sample(SampleOptions { seed: 8, ..OPTIONS }).payment;
        assert_ne!(rows.times, other.times);
        assert_eq!(rows, sample(OPTIONS).payment);
    }

    #[test]
    fn a_sample_stays_within_its_bytes() {
        let bytes_max = 1 << 20;
        let Sample { payment: rows, .. } = sample(SampleOptions { bytes_max, ..OPTIONS });
        let full = size_of::<f32>() * (1 + SEED_SLOTS * RECENT * EDGE_FIGURES);
        let room = bytes_max as usize / full;
        assert!(rows.len() > room / 2 && rows.len() < room + 100, "{} rows, room for {room}", rows.len());
        assert_eq!((0..rows.len()).filter(|row| rows.is_bad(*row)).count(), 100);
    }

    #[cfg(feature = "learn")]
    #[test]
    fn neighbourhoods_of_others_stay_whole_and_in_their_slots() {
        use crate::learn::Ablation;
        let (before, mut after) = (sample(OPTIONS).payment, sample(OPTIONS));
        Ablation::Messages.apply(&mut after, 1);
        assert_eq!(after.payment, before);
        Ablation::Neighbours.apply(&mut after, 1);
        let after = after.payment;
        assert_eq!((&after.inputs, &after.bads, after.edges.len()), (&before.inputs, &before.bads, before.edges.len()));
        let sorted = |rows: &Rows| {
            let mut all: Vec<_> =
                (0..rows.len()).map(|row| rows.edges(row, 1).iter().map(|edge| edge[0] as u64).collect::<Vec<_>>()).collect();
            all.sort();
            all
        };
        assert_eq!(sorted(&after), sorted(&before));
        let own =
            (0..before.len()).filter(|row| !before.edges(*row, 1).is_empty() && after.edges(*row, 1) == before.edges(*row, 1)).count();
        assert!(own < 20, "{own} rows of {} have their own neighbourhood", before.len());
    }
}
