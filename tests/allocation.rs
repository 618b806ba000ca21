//! No step allocates: what is judged, appended, labelled or refused finds its place in memory that was there from the start.
//!
//! A test binary of its own, with one test: the allocator counts for everybody in the process.

mod house;
mod ring;

use house::model::model;
use house::{GENEROUS, NARROW, engine, options, records};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use weir::engine::{Imaging, NO_MODEL, NamedModel, Options, Output, Progress, Threshold};
use weir::event::Sequence;
use weir::gnn::{Bound, Inputs};
use weir::memory::image::Blocks;
use weir::sim::company;
use weir::typology::{Kind, Typology};

struct Counting;

static CALLS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// From the very first step on, with room for everything and with tables that are full; with a model, too. Caught when planted: a `Vec` of one
/// element made in `Engine::step`, and one in the forward pass.
#[test]
fn no_step_allocates() {
    for (limits, judged) in [(GENEROUS, false), (NARROW, false), (GENEROUS, true)] {
        let records = records("tiny", 21, 4000);
        let mut engine = engine(&options(limits));
        if judged {
            let bound = Bound::new(model(1), &Inputs::new(&engine.layout().schema)).expect("its figures are counted here");
            engine.put_model_in_force(Some(NamedModel { name: [1; 16], model: Arc::new(bound) }), NO_MODEL);
        }
        let (mut out, mut alerts, mut scores) = (Vec::with_capacity(1024), 0, 0);
        for (number, batch) in records.chunks(256).enumerate() {
            out.clear();
            let before = CALLS.load(Ordering::Relaxed);
            engine.step(batch, &mut |_| {}, &mut out);
            alerts += told(&out);
            scores += out.iter().filter(|output| matches!(output, Output::Decision(decision) if decision.probability.is_some())).count();
            assert_eq!(CALLS.load(Ordering::Relaxed) - before, told(&out), "batch {number}, {limits:?}");
        }
        assert_eq!(scores > 100, judged, "{scores} scores");
        assert!(alerts > 20 && alerts < 2000, "{alerts} lists in versions of alerts");
    }
    no_step_of_a_snapshot_allocates();
    no_search_around_a_transfer_allocates();
}

/// What versions of alerts allocate: a list for their members and one for their edges, where there are any. They are few, and go out.
fn told(out: &[Output]) -> u64 {
    let lists = |output: &Output| match output {
        Output::Alert(alert) => u64::from(!alert.members.is_empty()) + u64::from(!alert.edges.is_empty()),
        _ => 0,
    };
    out.iter().map(lists).sum()
}

/// Blocks that were there from the start.
struct Ready {
    free: Vec<Vec<u8>>,
    given: Vec<Vec<u8>>,
}

impl Blocks for Ready {
    fn block_bytes(&self) -> usize {
        64 << 10
    }
    fn free(&self) -> usize {
        self.free.len()
    }
    fn take(&mut self) -> Option<Vec<u8>> {
        self.free.pop()
    }
    fn give(&mut self, block: Vec<u8>) -> bool {
        self.given.push(block);
        true
    }
    fn discard(&mut self, _: Vec<u8>) {}
}

/// While a snapshot is taken copies go into blocks that were there, and no pump allocates either.
fn no_step_of_a_snapshot_allocates() {
    let records = records("tiny", 22, 3000);
    let mut engine = engine(&options(GENEROUS));
    let mut out = Vec::with_capacity(256);
    engine.step(&records[..1000], &mut |_| {}, &mut Vec::new());
    let free = (0..200).map(|_| Vec::with_capacity(64 << 10)).collect();
    let blocks = Box::new(Ready { free, given: Vec::with_capacity(200) });
    engine.snapshot_begin(Sequence(1000), Imaging { blocks, reserve: 4 }).expect("none is being taken");
    let mut done = false;
    for (number, batch) in records[1000..].chunks(16).enumerate() {
        out.clear();
        let before = CALLS.load(Ordering::Relaxed);
        engine.step(batch, &mut |_| {}, &mut out);
        let progress = engine.snapshot_pump(16 << 10);
        assert_eq!(CALLS.load(Ordering::Relaxed) - before, told(&out), "batch {number}");
        if let Progress::Done(totals) = progress {
            assert!(totals.copied > 0, "{totals:?}");
            done = true;
        }
    }
    assert!(done, "the snapshot came to its end");
}

/// A bank's ledger with schemes of all forms, whose searches write into columns of their own, and whose findings wait in the batch's.
fn no_search_around_a_transfer_allocates() {
    let company = company::Options { transfers_alone: true, laundering_permyriad: 400, ..company::Options::of(4, 1000) };
    let records = ring::company::play(company, 12_000).records;
    let mut options: Options = options(GENEROUS);
    options.limits.nodes_max = 20_000;
    options.alerts.per_hour = 1_000_000;
    options.alerts.laundering = [Threshold { alert: 250, interdict: 700 }; Typology::LAUNDERING.len()];
    let mut engine = engine(&options);
    let (mut out, mut found) = (Vec::with_capacity(1024), 0);
    for (number, batch) in records.chunks(256).enumerate() {
        out.clear();
        let before = CALLS.load(Ordering::Relaxed);
        engine.step(batch, &mut |_| {}, &mut out);
        assert_eq!(CALLS.load(Ordering::Relaxed) - before, told(&out), "batch {number}");
        found += out.iter().filter(|output| matches!(output, Output::Alert(alert) if alert.typology.kind() == Kind::Aml)).count();
    }
    assert!(found > 50, "{found} versions of alerts of laundering");
}
