//! What the model's forward pass costs an event, in time on one thread: payments and transfers of the simulated company, 20,000 people after
//! 40 days, gathered by the engine of the built-in topology.
//!
//! `cargo bench --bench forward --features learn` (about 1 GiB); with `-- packing` behind it that alone.
//!
//! *In the step* is the engine's own phase between two readings of the clock, which are in it, batch by batch while the company goes on:
//! gathering and deciding stand between two batches and take the caches. *Alone* asks the same of the same 1,024 events again and again, as
//! do *burn* – its forward pass with the `flex` backend, without gradients, parameters already tensors and figures of states already worked
//! out – and *f64*, the reference. *Packing* is what the host does of it where a device does the rest, and no time passes there: `staged` where
//! every batch brings all rows of nodes, `resident` where rows stay in 2^18 slots and are met again. The model's parameters are drawn, for they do not matter to the time: 96 inputs a type where there are as
//! many, with codes and spreads fitted to the events as training does.

use criterion::{BenchmarkId, Criterion, SamplingMode, criterion_group, criterion_main};
use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration as Wall, Instant};
use weir::engine::{Engine, NO_MODEL, NamedModel, Output, Phase};
use weir::event::{Content, Duration, Effort, EventType, IdKey, Origin, Record, Sequence, Timestamp};
use weir::gnn::cuda::{Argument, Buffer, Device, DeviceError, Kernel, OnDevice, Room};
use weir::gnn::{Backend, Bound, Inputs, Model, SeedBatch, SeedView, reference};
use weir::graph::ego::{EgoBatch, SEED_SLOTS};
use weir::ingress::{Reading, wire::parse_event};
use weir::learn::{
    Around, BRANCHES, Chance, Coding, Count, Expected, Fitted, Forward, KINDS, Network, PIECES_MAX_ALL, Platt, Row, RowSink, Rows, Sample,
    SampleOptions, Standard, TrainOptions,
};
use weir::sim::company::{Company, Options, occurrence};
use weir::topology::Topology;

const PEOPLE: u32 = 20_000;
const DAYS: i64 = 40;
/// Events of each type that are asked about again and again.
const POOL: usize = 1_024;
/// Records a step where no time is taken.
const BATCH: usize = 256;

/// What the company does, as records.
struct Traffic {
    company: Company,
    writer: occurrence::Writer,
    reading: Reading,
    line: Vec<u8>,
    sequence: u64,
}

impl Traffic {
    /// The next event of one of these types.
    fn next(&mut self, kinds: &[EventType]) -> Record {
        loop {
            let occurrence = self.company.next().expect("there is always something");
            if !kinds.iter().any(|kind| kind.name() == occurrence.act.kind_name()) {
                continue;
            }
            self.line.clear();
            self.writer.write(&occurrence, &mut self.line);
            let event = parse_event(self.line.trim_ascii_end(), &mut self.reading, &mut ()).expect("the company keeps the contract");
            let origin = Origin { source: 0, partition: 0, offset: self.sequence };
            self.sequence += 1;
            let sequence = Sequence(self.sequence - 1);
            return Record { sequence, received: event.time, origin, effort: Effort::Full, content: Content::Event(event) };
        }
    }
}

/// An engine with the company's past, and events that it gathered.
struct World {
    engine: Engine,
    traffic: Traffic,
    inputs: Inputs,
    out: Vec<Output>,
    pools: [Pool; BRANCHES],
    sample: Sample,
}

/// Events of one type: words of their feature columns, and their ego graphs.
#[derive(Default)]
struct Pool {
    words: Vec<u64>,
    egos: EgoBatch,
    events: usize,
}

impl Pool {
    fn view(&self, branch: usize, seed: usize) -> SeedView<'_> {
        let width = self.words.len() / self.events;
        SeedView { kind: KINDS[branch], row: &self.words[seed * width..][..width], egos: &self.egos, seed }
    }
}

impl World {
    fn new() -> World {
        let company = Options::of(1, PEOPLE);
        let now = company.start + Duration::DAY.times(DAYS);
        let topology = Topology::load(&[]).expect("the built-in topology");
        let engine = Engine::new(topology.engine_options(IdKey::FILES, 1), &mut |_| {}).expect("the options are sound");
        let inputs = Inputs::new(&engine.layout().schema);
        let reading = Reading::new(IdKey::FILES, 256);
        let (company, writer) = (Company::new(company), occurrence::Writer::default());
        let traffic = Traffic { company, writer, reading, line: Vec::new(), sequence: 0 };
        let all = Count { rows: POOL as u64, bad: POOL as u64 / 2 };
        // All of them.
        let sampling = SampleOptions {
            seed: 1,
            validation_from: Timestamp(i64::MAX),
            validation_share: 0.15,
            goods_per_bad: 2,
            validation_goods_max: 0,
            bytes_max: 1 << 30,
        };
        let sample = Sample::new(inputs.names(), &Expected { payment: all, transfer: all }, sampling);
        let mut world = World { engine, traffic, inputs, out: Vec::new(), pools: Default::default(), sample };
        let mut time = Timestamp::MIN;
        while time < now || world.pools.iter().any(|pool| pool.events < POOL) {
            let records: Vec<Record> = (0..BATCH).map(|_| world.traffic.next(&KINDS)).collect();
            world.step(&records, &mut |_| {});
            time = records[BATCH - 1].received;
            if time >= now {
                world.take(&records);
            }
        }
        world
    }

    fn step(&mut self, records: &[Record], phase: &mut dyn FnMut(Phase)) {
        self.out.clear();
        self.engine.step(records, phase, &mut self.out);
    }

    /// Takes what the engine gathered of the last step's events.
    fn take(&mut self, records: &[Record]) {
        let egos = self.engine.egos();
        let mut values = vec![0.0; self.inputs.len()];
        for (seed, (sequence, words)) in self.engine.judged_rows().enumerate() {
            let record = records.iter().find(|record| record.sequence == sequence).expect("a judged event is one of the batch");
            let Content::Event(event) = &record.content else { continue };
            let kind = event.body.kind();
            let pool = &mut self.pools[usize::from(kind == KINDS[1])];
            if pool.events == POOL {
                continue;
            }
            pool.words.extend_from_slice(words);
            pool.egos.push_copy(egos, seed);
            pool.events += 1;
            self.inputs.fill(words, &egos.own_features()[seed * SEED_SLOTS..][..SEED_SLOTS], &mut values);
            let around = std::array::from_fn(|slot| {
                let place = seed * SEED_SLOTS + slot;
                let range = egos.row_offsets()[place] as usize..egos.row_offsets()[place + 1] as usize;
                Around { edges: &egos.edge_features()[range.clone()], states: &egos.neighbour_features()[range] }
            });
            let bad = pool.events.is_multiple_of(2);
            let row = Row { sequence, event: event.id, name: "", time: event.time, kind, bad, inputs: &values, around };
            let taken: Result<(), Infallible> = self.sample.row(&row);
            let Ok(()) = taken;
        }
    }

    /// A model that reads what training would have it read.
    fn fitted(&self) -> (Fitted, Model) {
        let all: Vec<u32> = (0..POOL as u32).collect();
        let rows = rows_of(&self.sample);
        let wanted: Vec<usize> = (0..self.inputs.len()).collect();
        let (most, pieces) = (TrainOptions::default().inputs_max, PIECES_MAX_ALL / BRANCHES);
        let codings = rows.map(|rows| {
            let varying: Vec<usize> = Coding::new(rows, &all, &wanted, usize::MAX).inputs.iter().map(|input| input.at).collect();
            // As many as are read, from everywhere among them.
            let read = |number: &usize| varying.len() <= most || (number + 1) * most / varying.len() > number * most / varying.len();
            let read: Vec<usize> = (0..varying.len()).filter(read).map(|number| varying[number]).collect();
            Coding::new(rows, &all, &read, pieces)
        });
        let standard = Standard::new(rows.iter().map(|rows| (*rows, &all[..])));
        let network = Network::new(codings.each_ref().map(Coding::pieces), [true; SEED_SLOTS], &mut Chance::new(1, 0));
        let fitted = Fitted { network, standard, codings: codings.map(Some) };
        let model = fitted.model(self.inputs.names(), &[0, 1], &[Platt { slope: 1.0, offset: 0.0 }; BRANCHES]);
        (fitted, model)
    }
}

/// A device on which nothing takes time, and that gives zeroes.
#[derive(Default)]
struct Nowhere {
    written_bytes: usize,
}

impl Device for Nowhere {
    fn name(&self) -> &str {
        "nowhere"
    }

    fn allocate(&mut self, bytes: usize) -> Result<Buffer, DeviceError> {
        Ok(Buffer { address: 1 << 20, bytes })
    }

    fn write(&mut self, _: Buffer, _: usize, bytes: &[u8]) -> Result<(), DeviceError> {
        self.written_bytes += black_box(bytes).len();
        Ok(())
    }

    fn launch(&mut self, _: Kernel, _: [u32; 3], _: [u32; 3], _: u32, _: &[Argument]) -> Result<(), DeviceError> {
        Ok(())
    }

    fn read(&mut self, _: Buffer, _: usize, bytes: &mut [u8]) -> Result<(), DeviceError> {
        bytes.fill(0);
        Ok(())
    }
}

/// A pool cut into batches, as a backend is given them.
struct Batches {
    judged: Vec<Option<EventType>>,
    width: usize,
    batches: Vec<(EgoBatch, Vec<u64>)>,
}

impl Batches {
    fn of(pool: &Pool, kind: EventType, batch: usize) -> Batches {
        let width = pool.words.len() / pool.events;
        let cut = |first: usize| {
            let mut egos = EgoBatch::with_capacity(batch);
            (first..first + batch).for_each(|seed| egos.push_copy(&pool.egos, seed));
            (egos, pool.words[first * width..][..batch * width].to_vec())
        };
        Batches { judged: vec![Some(kind); batch], width, batches: (0..pool.events).step_by(batch).map(cut).collect() }
    }

    /// Packs the batch of this number.
    fn pack(&self, number: usize, model: &Arc<Bound>, device: &mut OnDevice<Nowhere>) {
        let (egos, rows) = &self.batches[number];
        let mut scores = vec![None; self.judged.len()];
        let batch = SeedBatch { judged: &self.judged, rows, width: self.width, egos };
        device.forward(model, batch, &mut scores).expect("nothing goes wrong where nothing happens");
        black_box(scores);
    }
}

fn rows_of(sample: &Sample) -> [&Rows; BRANCHES] {
    [&sample.payment, &sample.transfer]
}

/// Time of so many events, of batches that are asked about one after the other: criterion's iterations are events.
fn per_event(events: u64, batch: usize, mut asked: impl FnMut() -> Wall) -> Wall {
    let batches = events.div_ceil(batch as u64);
    let spent: Wall = (0..batches).map(|_| asked()).sum();
    spent.mul_f64(events as f64 / (batches * batch as u64) as f64)
}

fn forward(criterion: &mut Criterion) {
    let mut world = World::new();
    let (fitted, model) = world.fitted();
    let bound = Arc::new(Bound::new(model.clone(), &world.inputs).expect("all inputs are known"));
    for (branch, kind) in KINDS.iter().enumerate() {
        let (pool, coding) = (&world.pools[branch], fitted.codings[branch].as_ref().expect("both are read"));
        println!(
            "{}: {} inputs in {} pieces, {:.1} edges an event",
            kind.name(),
            coding.inputs.len(),
            coding.pieces(),
            pool.egos.neighbours().len() as f64 / POOL as f64
        );
    }
    world.engine.put_model_in_force(Some(NamedModel { name: [1; 16], model: Arc::clone(&bound) }), NO_MODEL);
    for (branch, kind) in KINDS.iter().enumerate() {
        let mut group = criterion.benchmark_group(kind.name());
        group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Wall::from_millis(100));
        group.measurement_time(Wall::from_millis(150));
        for batch in [1, 64, 256, 1024] {
            group.bench_function(BenchmarkId::new("in the step", batch), |bencher| {
                let mut records = Vec::with_capacity(batch);
                bencher.iter_custom(|events| {
                    per_event(events, batch, || {
                        records.clear();
                        records.extend((0..batch).map(|_| world.traffic.next(&[*kind])));
                        let (mut began, mut spent) = (Instant::now(), Wall::ZERO);
                        world.step(&records, &mut |phase| match phase {
                            Phase::Infer => began = Instant::now(),
                            Phase::Decide => spent = began.elapsed(),
                            _ => {}
                        });
                        spent
                    })
                });
            });
        }
        let (pool, rows) = (&world.pools[branch], rows_of(&world.sample)[branch]);
        let reading = fitted.reading(branch, rows).expect("both are read");
        let burn = Forward::new(&fitted.network);
        let places: Vec<u32> = (0..POOL as u32).collect();
        for batch in [1, 64, 256, 1024] {
            let mut seeds = (0..POOL / batch).cycle();
            group.bench_function(BenchmarkId::new("alone", batch), |bencher| {
                bencher.iter_custom(|events| {
                    per_event(events, batch, || {
                        let first = seeds.next().expect("it goes on") * batch;
                        let began = Instant::now();
                        for seed in first..first + batch {
                            black_box(bound.score(pool.view(branch, seed)));
                        }
                        began.elapsed()
                    })
                });
            });
        }
        for batch in [1, 64, 1024] {
            let mut chunks = places.chunks(batch).cycle();
            group.bench_function(BenchmarkId::new("burn", batch), |bencher| {
                bencher.iter_custom(|events| {
                    per_event(events, batch, || {
                        let rows = chunks.next().expect("it goes on");
                        let began = Instant::now();
                        black_box(burn.logits(&reading, rows));
                        began.elapsed()
                    })
                });
            });
        }
        for (name, resident_rows) in [("packing, staged", 0), ("packing, resident", 1 << 18)] {
            for batch in [64, 256, 1024] {
                let batches = Batches::of(pool, *kind, batch);
                let room = Room { seeds_max: 1024, resident_rows };
                let mut device = OnDevice::new(Nowhere::default(), room).expect("nothing is taken");
                let count = batches.batches.len();
                // The model goes once, and rows that stay are met from the second time on.
                (0..count).for_each(|number| batches.pack(number, &bound, &mut device));
                let before = device.device().written_bytes;
                (0..count).for_each(|number| batches.pack(number, &bound, &mut device));
                println!("{}, {name}/{batch}: {} bytes an event", kind.name(), (device.device().written_bytes - before) / POOL);
                let mut numbers = (0..count).cycle();
                group.bench_function(BenchmarkId::new(name, batch), |bencher| {
                    bencher.iter_custom(|events| {
                        per_event(events, batch, || {
                            let number = numbers.next().expect("it goes on");
                            let began = Instant::now();
                            batches.pack(number, &bound, &mut device);
                            began.elapsed()
                        })
                    });
                });
            }
        }
        let mut seeds = (0..POOL).cycle();
        group.bench_function("f64", |bencher| {
            bencher.iter(|| reference(&model, &world.inputs, pool.view(branch, seeds.next().expect("it goes on"))));
        });
        group.finish();
    }
}

criterion_group!(benches, forward);
criterion_main!(benches);
