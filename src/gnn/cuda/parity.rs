//! Kernels and CPU say the same, to the bit: the kernels' own text runs under the emulator.
//!
//! Faults planted in the kernels are the matter of `kernels/lanes.sh`.

use super::emulated::Emulated;
use super::{Kernel, OnDevice, Room};
use crate::event::EventType;
use crate::feature::{FeatureType, Schema, double, int};
use crate::gnn::model::tests::{Drawn, any_model};
use crate::gnn::{Backend, Bound, Branch, Coded, Inputs, PIECES_MAX, Score, SeedBatch, SeedView};
use crate::graph::NodeId;
use crate::graph::ego::{AGE, BAD, EDGE, EgoBatch, FAILED, GOOD, INCOMING, QUIET, SEED_SLOTS};
use crate::graph::state::{self, STATE};
use proptest::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Columns of integers, and of doubles behind them.
const INTS: usize = 40;
const WIDTH: usize = INTS + 20;

fn schema() -> Schema {
    let mut schema = Schema::default();
    for column in 0..WIDTH {
        let kind = if column < INTS { FeatureType::Int } else { FeatureType::Double };
        schema.push(format!("column_{column}"), kind, "");
    }
    schema
}

/// A branch that reads these inputs, with codes of 1 to 16 pieces in turn.
fn drawn_branch(drawn: &mut Drawn, names: &[String]) -> Branch {
    let coded = |(n, name): (usize, &String)| {
        let pieces = (n * 7) % PIECES_MAX + 1;
        let mut edge = drawn.next() * 4.0 - 4.0;
        let edges = (0..=pieces).map(|_| {
            edge += 0.05 + drawn.next().abs();
            edge
        });
        Coded { name: name.clone(), edges: edges.collect() }
    };
    let inputs: Vec<Coded> = names.iter().enumerate().map(coded).collect();
    let count = inputs.iter().map(Coded::pieces).sum();
    let mut row = |scale: f32| std::array::from_fn(|_| drawn.next() * scale);
    let pieces = (0..count).map(|_| row(0.2)).collect();
    let bias = row(0.1);
    let head = std::array::from_fn(|_| drawn.next() * 0.4);
    Branch { inputs, bias, pieces, head, head_bias: drawn.next(), slope: 1.2, offset: -0.3, reference: None }
}

/// A model whose payments read every input and whose transfers read seven.
fn drawn_model(seed: u64) -> Arc<Bound> {
    let inputs = Inputs::new(&schema());
    let mut drawn = Drawn(seed ^ 0x6d6f_6465_6c00);
    let mut model = any_model(seed);
    model.payment = Some(drawn_branch(&mut drawn, inputs.names()));
    let few: Vec<String> = inputs.names().iter().step_by(15).cloned().collect();
    model.transfer = Some(drawn_branch(&mut drawn, &few));
    Arc::new(Bound::new(model, &inputs).expect("all inputs are known"))
}

/// Seeds, whose ego graphs have been made up.
struct Batch {
    judged: Vec<Option<EventType>>,
    rows: Vec<u64>,
    egos: EgoBatch,
}

/// Who stands on the other side of an edge.
#[derive(Clone, Copy)]
enum Neighbours {
    /// One for all edges, another row each time.
    Hub,
    /// So many nodes, whose rows change now and then.
    Of(u32),
    /// One for all edges; rows, and what else is read, stand near the ends of singles.
    AtTheEnds,
}

impl Batch {
    fn drawn(drawn: &mut Drawn, seeds: usize, neighbours: Neighbours) -> Batch {
        const COUNTS: [usize; 8] = [0, 1, 7, 16, 3, 0, 16, 15];
        let (mut parts, mut nodes) = (Vec::new(), Vec::new());
        for place in 0..seeds * SEED_SLOTS {
            let mut edges = Vec::new();
            for _ in 0..COUNTS[(place * 5 + place / 3) % COUNTS.len()] {
                let (node, state) = neighbour(drawn, neighbours);
                nodes.push(node);
                edges.push((drawn_edge(drawn), state));
            }
            parts.push((neighbour(drawn, neighbours).1, edges));
        }
        let mut egos = EgoBatch::of(&parts);
        egos.name_neighbours(&nodes);
        let kinds = [Some(EventType::Payment), Some(EventType::Transfer), Some(EventType::Payment), None, Some(EventType::Session)];
        let judged = (0..seeds).map(|seed| kinds[(seed + seed / 3) % kinds.len()]).collect();
        let mut row = |column: usize| match (column < INTS, neighbours) {
            (true, _) => int((drawn.next() * 6.0) as i64),
            (false, Neighbours::AtTheEnds) => double(f64::from(drawn_end(drawn))),
            (false, _) => double(f64::from(drawn.next()) * 3.3),
        };
        let rows = (0..seeds * WIDTH).map(|at| row(at % WIDTH)).collect();
        Batch { judged, rows, egos }
    }

    fn seeds(&self) -> SeedBatch<'_> {
        SeedBatch { judged: &self.judged, rows: &self.rows, width: WIDTH, egos: &self.egos }
    }

    /// Some of its seeds, as a batch of their own.
    fn part(&self, seeds: std::ops::Range<usize>) -> Batch {
        let mut egos = EgoBatch::default();
        seeds.clone().for_each(|seed| egos.push_copy(&self.egos, seed));
        let rows = self.rows[seeds.start * WIDTH..seeds.end * WIDTH].to_vec();
        Batch { judged: self.judged[seeds].to_vec(), rows, egos }
    }
}

fn drawn_state(drawn: &mut Drawn) -> [f32; STATE] {
    let mut sums = [0.0; STATE].map(|_: f32| drawn.next().abs() * 20.0);
    sums[state::MONEY] *= 10_000.0;
    sums[state::SQUARE] = sums[state::MONEY] * sums[state::MONEY] * drawn.next().abs();
    sums
}

/// One of the ends of what a single can be, or a number: subnormals, -0, infinities, and what is no number.
fn drawn_end(drawn: &mut Drawn) -> f32 {
    const ENDS: [u32; 10] =
        [0x0000_0001, 0x807f_ffff, 0x8000_0000, 0x7f7f_ffff, 0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0xffc0_0000, 0xffc1_2345, 0x7fa0_0001];
    let value = drawn.next() * 20.0;
    ENDS.get((value.abs() * 2.0) as usize).map_or(value, |bits| f32::from_bits(*bits))
}

/// A state whose counts are any of the ends, so that its figures are numbers all the same; one in thirty has the ends everywhere.
fn state_at_the_ends(drawn: &mut Drawn) -> [f32; STATE] {
    let mut sums = drawn_state(drawn);
    let everywhere = drawn.next().abs() < 0.03;
    let counts = if everywhere { &mut sums[..] } else { &mut sums[state::COUNT..state::COUNT + 3] };
    counts.iter_mut().for_each(|sum| *sum = drawn_end(drawn));
    sums
}

fn drawn_edge(drawn: &mut Drawn) -> [f32; EDGE] {
    let mut edge = [0.0; EDGE].map(|_: f32| drawn.next() * 3.0);
    edge[AGE] = edge[AGE].abs() * 9.0;
    for flag in [BAD, GOOD, FAILED, QUIET, INCOMING] {
        edge[flag] = f32::from(drawn.next() > 0.0);
    }
    edge
}

fn neighbour(drawn: &mut Drawn, neighbours: Neighbours) -> (NodeId, [f32; STATE]) {
    match neighbours {
        Neighbours::Hub => (NodeId(77), drawn_state(drawn)),
        Neighbours::AtTheEnds => (NodeId(77), state_at_the_ends(drawn)),
        Neighbours::Of(count) => {
            let node = (drawn.next().abs() * count as f32) as u32;
            // One in eight has no past; another's row is that of its node and of one of two times.
            let state = match node % 8 {
                0 => [0.0; STATE],
                _ => drawn_state(&mut Drawn(u64::from(node) << 1 | u64::from(drawn.next() > 0.9))),
            };
            (if node.is_multiple_of(16) { NodeId::NONE } else { NodeId(node) }, state)
        }
    }
}

fn on_cpu(model: &Bound, batch: &Batch) -> Vec<Option<Score>> {
    let seeds = batch.seeds();
    let score = |(seed, kind): (usize, &Option<EventType>)| {
        kind.and_then(|kind| model.score(SeedView { kind, row: seeds.row(seed), egos: &batch.egos, seed }))
    };
    batch.judged.iter().enumerate().map(score).collect()
}

fn on_device(device: &mut OnDevice<Emulated>, model: &Arc<Bound>, batch: &Batch) -> Vec<Option<Score>> {
    let stale = Score { logit: 0.0, probability: 0.0, embedding: [0.0; _] };
    let mut scores = vec![Some(stale); batch.judged.len()];
    device.forward(model, batch.seeds(), &mut scores).expect("the emulator finds nothing wrong");
    scores
}

fn device(order: u64, room: Room) -> OnDevice<Emulated> {
    OnDevice::new(Emulated::ordered(order), room).expect("there is memory")
}

/// Scores as bits: 0 and -0 are two, and what is no number equals itself.
fn bits(scores: &[Option<Score>]) -> Vec<Option<Vec<u32>>> {
    let of = |value: f32| if value.is_nan() { u32::MAX } else { value.to_bits() };
    let score = |score: &Score| [score.logit, score.probability].into_iter().chain(score.embedding).map(of).collect();
    scores.iter().map(|said| said.as_ref().map(score)).collect()
}

#[track_caller]
fn same(found: &[Option<Score>], expected: &[Option<Score>], what: &str) {
    let (found, expected) = (bits(found), bits(expected));
    let unlike = found.iter().zip(&expected).position(|(found, expected)| found != expected);
    assert!(unlike.is_none() && found.len() == expected.len(), "{what}: unlike from seed {unlike:?} on");
}

/// Sizes around a block's, and the largest of a step. Outputs begin as no numbers, for so the emulator's memory does.
#[test]
fn every_size_of_batch_is_the_cpus() {
    let fresh = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0u8);
    for (number, seeds) in [1, 7, 8, 9, 64, 1_000, 1_024].into_iter().enumerate() {
        for seed in [number as u64, fresh] {
            let (model, mut drawn) = (drawn_model(seed), Drawn(seed));
            let batch = Batch::drawn(&mut drawn, seeds, Neighbours::Of(500));
            let expected = on_cpu(&model, &batch);
            assert!(seeds == 1 || expected.iter().flatten().count() > seeds / 2);
            for (order, resident_rows) in [(0, 0), (1, 300), (seed | 2, 4_096)] {
                let mut device = device(order, Room { seeds_max: 1_024, resident_rows });
                let what = format!("{seeds} seeds drawn from {seed}, order {order}, {resident_rows} resident rows");
                same(&on_device(&mut device, &model, &batch), &expected, &what);
            }
        }
    }
}

/// Caught when planted on one side alone: the bits of no number read as they come.
#[test]
fn the_ends_of_singles_are_the_cpus() {
    let (model, mut drawn) = (drawn_model(11), Drawn(11));
    let batch = Batch::drawn(&mut drawn, 256, Neighbours::AtTheEnds);
    let expected = on_cpu(&model, &batch);
    let numbers = expected.iter().flatten().filter(|score| score.logit.is_finite()).count();
    assert!(numbers > 20 && numbers < expected.iter().flatten().count(), "{numbers} of {}", expected.len());
    let mut device = device(0, Room { seeds_max: 256, resident_rows: 64 });
    same(&on_device(&mut device, &model, &batch), &expected, "near the ends");
}

/// What stays on the device and what a batch brings are one: batches of one seed, of some and of all, one behind the other.
/// Caught when planted: rows kept before the forward pass; a row found by its node, whatever its bits.
#[test]
fn batches_of_one_are_batches_of_a_thousand() {
    let (model, mut drawn) = (drawn_model(5), Drawn(5));
    for neighbours in [Neighbours::Of(900), Neighbours::Hub] {
        let batch = Batch::drawn(&mut drawn, 1_024, neighbours);
        let expected = on_cpu(&model, &batch);
        let mut written = Vec::new();
        for (size, resident_rows) in [(1_024, 0), (1_024, 600), (1, 600), (1, 0), (100, 600)] {
            let mut device = device(3, Room { seeds_max: 300, resident_rows });
            let mut found = Vec::new();
            for first in (0..1_024).step_by(size) {
                let part = batch.part(first..(first + size).min(1_024));
                found.extend(on_device(&mut device, &model, &part));
            }
            same(&found, &expected, &format!("batches of {size}, {resident_rows} resident rows"));
            let launches = device.device().launches[Kernel::Keep as usize];
            assert_eq!(launches > 0, resident_rows > 0, "rows stay where there is room for them, and only there");
            written.push(device.device().written);
        }
        // A row that changes with every edge travels with every edge; rows that seldom change travel seldom.
        assert_eq!(written[1] >= written[0], matches!(neighbours, Neighbours::Hub), "{written:?}");
    }
}

/// Infinities and what is no number go the same ways, and figures far outside their codes.
#[test]
fn extremes_are_the_cpus_too() {
    let (model, mut drawn) = (drawn_model(9), Drawn(9));
    let extremes = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE / 4.0, -0.0, -0.5, 3.0, 1e-30];
    let extreme = |drawn: &mut Drawn, value: &mut f32| {
        if drawn.next() > 0.9 {
            *value = extremes[(drawn.next().abs() * extremes.len() as f32) as usize];
        }
    };
    let (mut parts, seeds) = (Vec::new(), 64);
    for place in 0..seeds * SEED_SLOTS {
        let mut own = drawn_state(&mut drawn);
        own.iter_mut().for_each(|value| extreme(&mut drawn, value));
        let edges = (0..place % 17).map(|_| {
            let (mut edge, mut state) = (drawn_edge(&mut drawn), drawn_state(&mut drawn));
            [AGE, 1, 5].iter().for_each(|at| extreme(&mut drawn, &mut edge[*at]));
            state.iter_mut().for_each(|value| extreme(&mut drawn, value));
            (edge, state)
        });
        let edges = edges.collect();
        parts.push((own, edges));
    }
    let row = |at: usize| match at % WIDTH < INTS {
        true => int([i64::MIN, i64::MAX, 0, -1, 1 << 40, 16_777_217][at % 6]),
        false => double([f64::NAN, f64::INFINITY, 1e300, -1e-300, 0.1, -1e39][at % 6]),
    };
    let rows = (0..seeds * WIDTH).map(row).collect();
    let batch = Batch { judged: vec![Some(EventType::Payment); seeds], rows, egos: EgoBatch::of(&parts) };
    let expected = on_cpu(&model, &batch);
    assert!(expected.iter().flatten().any(|score| score.logit.is_nan()) && expected.iter().flatten().any(|score| score.logit.is_finite()));
    for resident_rows in [0, 1, 50] {
        same(&on_device(&mut device(1, Room { seeds_max: 64, resident_rows }), &model, &batch), &expected, "extremes");
    }
}

/// Every call that a device may fail in: nothing is said before it that is not true, and nobody may ask again.
#[test]
fn a_lost_device_says_nothing() {
    let (models, mut drawn) = ([drawn_model(1), drawn_model(2)], Drawn(1));
    let batches = [0, 1, 2].map(|_| Batch::drawn(&mut drawn, 20, Neighbours::Of(60)));
    let expected = [0, 1, 0].map(|model| batches.each_ref().map(|batch| on_cpu(&models[model], batch)));
    let mut failed = 0;
    for calls in 0..24 {
        let mut device = device(0, Room { seeds_max: 6, resident_rows: 40 });
        device.device_mut().calls_left = Some(calls);
        let asked =
            [0, 1, 0].into_iter().zip(&expected).flat_map(|(model, expected)| batches.iter().zip(expected).map(move |of| (model, of)));
        for (turn, (model, (batch, expected))) in asked.enumerate() {
            let mut scores = vec![None; batch.judged.len()];
            if let Err(lost) = device.forward(&models[model], batch.seeds(), &mut scores) {
                assert_eq!(lost.why, "the device was taken away");
                failed += 1;
                // It comes back with other words in its memory.
                device.device_mut().calls_left = None;
                let again = catch_unwind(AssertUnwindSafe(|| device.forward(&models[model], batch.seeds(), &mut scores)));
                assert!(again.is_err(), "{calls} calls, turn {turn}: it was asked again");
                break;
            }
            same(&scores, expected, &format!("{calls} calls, turn {turn}"));
        }
    }
    assert_eq!(failed, 24);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Streams of batches over few nodes and fewer slots.
    #[test]
    fn streams_of_batches_are_the_cpus(seed in any::<u64>(), nodes in 1u32..200, slots in 0usize..64, sizes in prop::collection::vec(1usize..40, 1..5)) {
        let (model, mut drawn) = (drawn_model(seed), Drawn(seed));
        let mut device = device(seed, Room { seeds_max: 16, resident_rows: slots });
        for seeds in sizes {
            let batch = Batch::drawn(&mut drawn, seeds, Neighbours::Of(nodes));
            prop_assert_eq!(bits(&on_device(&mut device, &model, &batch)), bits(&on_cpu(&model, &batch)));
        }
    }
}
