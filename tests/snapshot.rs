//! Snapshots: taken at any record and at any pace they hold the state as it was when they began, and taking one changes nothing; what is
//! torn or damaged on disk is told, never believed.

mod house;

use house::{GENEROUS, NARROW, engine, options, records, run};
use proptest::prelude::*;
use std::path::Path;
use std::sync::{Arc, Mutex};
use weir::engine::{Engine, Imaging, Options, Progress};
use weir::event::{Content, Control, ControlKind, Record, Sequence, Timestamp};
use weir::graph::{FamilyLimits, Limits};
use weir::journal::{Disk, Files};
use weir::memory::image::{BLOCK_HEADER, Blocks, Failure, Totals};
use weir::sim::chance::Chance;
use weir::sim::fault::{Crash, ForgetfulFiles};
use weir::snapshot::{Snapshots, Taken, Taker, TakerOptions, Taking, inspect, restore, verify};

/// Blocks that are kept in memory.
#[derive(Clone, Default)]
struct Heap {
    free: usize,
    given: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// Decides nothing, and is known as long as none comes behind it.
const BACKEND: Control = Control { kind: ControlKind::Backend, blob: [5; 32] };

const BLOCK: usize = 32 << 10;

impl Blocks for Heap {
    fn block_bytes(&self) -> usize {
        BLOCK
    }
    fn free(&self) -> usize {
        self.free
    }
    fn take(&mut self) -> Option<Vec<u8>> {
        self.free = self.free.checked_sub(1)?;
        Some(Vec::with_capacity(BLOCK))
    }
    fn give(&mut self, block: Vec<u8>) -> bool {
        self.given.lock().unwrap().push(block);
        true
    }
    fn discard(&mut self, _: Vec<u8>) {}
}

/// Of the state, of what is derived, and of how it came about.
fn hashes(engine: &Engine) -> ([u8; 32], [u8; 32], u64) {
    (engine.state_hash(), engine.derived_hash(), engine.course())
}

fn restored(options: &Options, blocks: &[Vec<u8>], totals: Totals) -> Result<(Engine, Sequence), String> {
    let mut fresh = engine(options);
    let mut image = fresh.restore_image();
    for block in blocks {
        image.block(&block[BLOCK_HEADER..]).map_err(|error| error.to_string())?;
    }
    let sequence = image.finish(totals).map_err(|error| error.to_string())?;
    Ok((fresh, sequence))
}

/// Steps `records` in batches of any size, pumps between them, and begins a snapshot again and again. Each is restored and goes on to the
/// end. Returns how many there were, and how much of them was copied before a write.
fn take_everywhere(limits: Limits, seed: u64, events: u64, budget_pages: usize) -> (u32, u64) {
    let options = options(limits);
    let mut records = records("tiny", seed, events);
    records[100].content = Content::Control(BACKEND);
    let mut plain = engine(&options);
    let expected = run(&mut plain, &records, 64);
    let end = hashes(&plain);

    let mut chance = Chance::new(seed);
    let mut walking = engine(&options);
    let (mut out, mut place, mut snapshots, mut copied) = (Vec::new(), 0, 0, 0);
    let mut begun = None;
    while place < records.len() {
        if begun.is_none() && place > 300 && chance.happens(3000) {
            let heap = Heap { free: 10_000, ..Heap::default() };
            let before = hashes(&walking);
            walking.snapshot_begin(Sequence(place as u64), Imaging { blocks: Box::new(heap.clone()), reserve: 10 }).unwrap();
            begun = Some((heap, before, place));
        }
        let size = chance.between(1, 40) as usize;
        let next = (place + size).min(records.len());
        walking.step(&records[place..next], &mut |_| {}, &mut out);
        place = next;
        let budget = chance.between(0, budget_pages as i64) as usize * 4096;
        let last = place == records.len();
        if let Progress::Done(totals) = walking.snapshot_pump(if last { usize::MAX } else { budget }) {
            let (heap, before, stop) = begun.take().expect("only what was begun is done");
            let blocks = heap.given.lock().unwrap();
            let (mut again, sequence) = restored(&options, &blocks, totals).unwrap();
            assert_eq!(sequence, Sequence(stop as u64));
            assert_eq!(hashes(&again), before, "restored at {stop}, seed {seed}");
            assert_eq!(again.backend_told(), Some(BACKEND.blob), "restored at {stop}, seed {seed}");
            let rest = run(&mut again, &records[stop..], 64);
            assert_eq!(rest, expected[expected.len() - rest.len()..], "after {stop} records, seed {seed}");
            assert_eq!((hashes(&again), again.counts()), (end, plain.counts()), "after {stop} records, seed {seed}");
            again.rebuild_derived().unwrap();
            assert_eq!(hashes(&again), end, "rebuilt, after {stop} records, seed {seed}");
            snapshots += 1;
            copied += totals.copied;
        }
    }
    assert_eq!(out, expected, "outputs of the engine that was photographed, seed {seed}");
    assert_eq!(hashes(&walking), end, "state of the engine that was photographed, seed {seed}");
    (snapshots, copied)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 0, ..ProptestConfig::default() })]

    // Caught when planted: see `every_way_to_write_copies_first`; what the newest record about a backend names, left out of the image.
    #[test]
    fn a_snapshot_is_the_state_at_its_beginning(seed in 0u64..1_000_000, slow in any::<bool>()) {
        let pages = if slow { 3 } else { 60 };
        let (many, copied) = take_everywhere(NARROW, seed, 1500, pages);
        prop_assert!(many > 3 && copied > 0, "{} snapshots, {} bytes copied", many, copied);
        let (some, copied) = take_everywhere(GENEROUS, seed, 1200, 8 * pages);
        prop_assert!(some > 0 && copied > 0, "{} snapshots, {} bytes copied", some, copied);
    }
}

/// Nothing is pumped until the end, so that every page is saved by the first write to it or not changed at all.
/// Caught when planted: `Ring::row_mut`, `Nodes::count_event`, `Warm::record_mut`, `Warm::give_back`, `Pairs::set`, `Index::remove`,
/// `Judged::put` and `Late::forget` writing past the watch; a used part of a ring that ends at its capacity where it has wrapped.
#[test]
fn every_way_to_write_copies_first() {
    for seed in [3, 4] {
        for limits in [NARROW, GENEROUS] {
            let (snapshots, copied) = take_everywhere(limits, seed, 2000, 0);
            assert!(snapshots > 0 && copied > 40_000, "{snapshots} snapshots, {copied} bytes copied");
        }
    }
}

#[test]
fn without_a_free_block_a_copy_gives_up_and_nothing_else_happens() {
    let options = options(GENEROUS);
    let records = records("tiny", 31, 1500);
    let mut plain = engine(&options);
    let expected = run(&mut plain, &records, 16);
    let mut walking = engine(&options);
    let mut out = run(&mut walking, &records[..800], 16);
    let tight = Heap { free: 4, ..Heap::default() };
    walking.snapshot_begin(Sequence(800), Imaging { blocks: Box::new(tight), reserve: 2 }).unwrap();
    assert!(matches!(walking.snapshot_pump(usize::MAX), Progress::Waiting { .. }), "two blocks are kept for copies");
    out.extend(run(&mut walking, &records[800..1200], 16));
    assert_eq!(walking.snapshot_pump(0), Progress::Failed(Failure::Exhausted));
    assert_eq!(walking.snapshot_pump(0), Progress::Idle);
    let roomy = Heap { free: 10_000, ..Heap::default() };
    let before = hashes(&walking);
    walking.snapshot_begin(Sequence(1200), Imaging { blocks: Box::new(roomy.clone()), reserve: 2 }).unwrap();
    out.extend(run(&mut walking, &records[1200..], 16));
    let Progress::Done(totals) = walking.snapshot_pump(usize::MAX) else { panic!("there is room for everything") };
    let (again, _) = restored(&options, &roomy.given.lock().unwrap(), totals).unwrap();
    assert_eq!(hashes(&again), before);
    assert_eq!((out, hashes(&walking)), (expected, hashes(&plain)));
}

/// An image with right checksums and wrong content, as no writer of ours makes it: restoring says so or accepts it, and never panics.
#[test]
fn wrong_content_under_right_checksums_is_refused_or_harmless() {
    let options = options(NARROW);
    let mut walking = engine(&options);
    run(&mut walking, &records("tiny", 33, 900), 16);
    let heap = Heap { free: 10_000, ..Heap::default() };
    walking.snapshot_begin(Sequence(900), Imaging { blocks: Box::new(heap.clone()), reserve: 0 }).unwrap();
    let Progress::Done(totals) = walking.snapshot_pump(usize::MAX) else { panic!("there is room for everything") };
    let blocks = heap.given.lock().unwrap().clone();
    let mut chance = Chance::new(5);
    let (mut refused, tries) = (0, 1500);
    for _ in 0..tries {
        let mut wrong = blocks.clone();
        let block = chance.between(0, wrong.len() as i64 - 1) as usize;
        let most = wrong[block].len() as i64 - 1;
        // Numbers and pieces' headers stand at the front.
        let most = if chance.happens(5000) { most.min(2000) } else { most };
        let at = chance.between(BLOCK_HEADER as i64, most) as usize;
        wrong[block][at] ^= 1 << chance.between(0, 7);
        refused += u32::from(restored(&options, &wrong, totals).is_err());
    }
    assert!(refused > tries / 20, "{refused} of {tries} refused");
    assert!(restored(&options, &blocks[..blocks.len() - 1], totals).is_err(), "a block is missing");
    assert!(restored(&options, &[], totals).is_err());
}

const DIR: &str = "snapshots";
const SMALL: TakerOptions = TakerOptions { copy_bytes_max: 1 << 20, keep: 2 };

/// Takes a snapshot without stepping.
fn take(taker: &mut Taker, engine: &mut Engine, at: u64) -> Result<Taken, String> {
    taker.begin(engine, Sequence(at), Timestamp(at as i64)).map_err(|error| error.to_string())?;
    loop {
        match taker.pump(engine, 1 << 20, Sequence(at)) {
            Taking::Taken(taken) => return Ok(taken),
            Taking::Failed(error) => return Err(error.to_string()),
            Taking::Abandoned(failure) => return Err(format!("{failure:?}")),
            Taking::Idle => panic!("it was begun"),
            Taking::Going { .. } | Taking::Settling => std::thread::yield_now(),
        }
    }
}

fn walked(options: &Options, records: &[Record]) -> Engine {
    let mut walked = engine(options);
    run(&mut walked, records, 16);
    walked
}

#[test]
fn snapshots_are_listed_restored_and_pruned() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(DIR);
    let files: Arc<dyn Files> = Arc::new(Disk);
    let options = options(GENEROUS);
    let records = records("tiny", 34, 1200);
    let mut walking = engine(&options);
    let mut taker = Taker::start(files.clone(), &path, SMALL).unwrap();
    let mut at = Vec::new();
    for stop in [200, 500, 900] {
        run(&mut walking, &records[at.last().map_or(0, |(stop, _)| *stop)..stop], 16);
        let taken = take(&mut taker, &mut walking, stop as u64).unwrap();
        at.push((stop, hashes(&walking)));
        assert_eq!(taken.bytes, std::fs::metadata(&taken.path).unwrap().len());
        assert_eq!(taken.pruned.len(), usize::from(stop == 900));
    }
    let kept = Snapshots::at(files.clone(), &path);
    let sequences: Vec<u64> = kept.list().unwrap().iter().map(|kept| kept.sequence.0).collect();
    assert_eq!(sequences, [900, 500], "the newest first, the oldest pruned");
    let shape = engine(&options).shape();
    for (at_most, expected) in [(2000, Some(900)), (900, Some(900)), (899, Some(500)), (499, None)] {
        let newest = kept.newest_valid(&shape, Sequence(at_most)).unwrap();
        assert_eq!(newest.found.map(|kept| kept.sequence.0), expected);
    }
    let mut again = engine(&options);
    let newest = kept.newest_valid(&shape, Sequence(1200)).unwrap().found.unwrap();
    assert_eq!(kept.restore(&mut again, &newest).unwrap(), Sequence(900));
    assert_eq!(hashes(&again), at[2].1);
    let error = kept.restore(&mut again, &newest).unwrap_err().to_string();
    assert!(error.contains("the engine has taken records already"), "{error}");
    let content = inspect(&Disk, &newest.path).unwrap();
    assert_eq!((content.head.sequence.0, content.head.taken_at, content.head.now), (900, Timestamp(900), walking.now()));
    assert_eq!(content.totals.copied, 0, "no step came between");
}

/// Caught when planted: a snapshot that is ended without asking how far the journal is synced.
#[test]
fn a_snapshot_waits_for_the_journal() {
    let files = ForgetfulFiles::new(1);
    let options = options(NARROW);
    let mut walking = walked(&options, &records("tiny", 35, 300));
    let mut taker = Taker::start(Arc::new(files.clone()), Path::new(DIR), SMALL).unwrap();
    taker.begin(&mut walking, Sequence(300), Timestamp(0)).unwrap();
    assert!(taker.begin(&mut walking, Sequence(300), Timestamp(0)).is_err(), "one at a time");
    for _ in 0..60 {
        let taking = taker.pump(&mut walking, 1 << 20, Sequence(299));
        // Time for the writer to do what it must not.
        std::thread::sleep(std::time::Duration::from_millis(1));
        assert!(matches!(taking, Taking::Going { .. } | Taking::Settling), "{taking:?}");
    }
    let kept = Snapshots::at(Arc::new(files.clone()), Path::new(DIR));
    assert!(kept.list().unwrap().is_empty());
    while !matches!(taker.pump(&mut walking, 0, Sequence(300)), Taking::Taken(_)) {
        std::thread::yield_now();
    }
    assert_eq!(kept.list().unwrap().len(), 1);
    assert!(matches!(taker.pump(&mut walking, 0, Sequence(300)), Taking::Idle), "what ends it is said once");
    taker.begin(&mut walking, Sequence(301), Timestamp(0)).unwrap();
    taker.abandon(&mut walking);
    while !matches!(taker.pump(&mut walking, 0, Sequence(301)), Taking::Abandoned(Failure::Closed)) {
        std::thread::yield_now();
    }
    assert_eq!(files.list(Path::new(DIR)).unwrap().len(), 1, "what was abandoned leaves nothing");
}

#[test]
fn another_engine_is_told() {
    let files = ForgetfulFiles::new(1);
    let ours = options(NARROW);
    let mut walking = walked(&ours, &records("tiny", 36, 300));
    let mut taker = Taker::start(Arc::new(files.clone()), Path::new(DIR), SMALL).unwrap();
    let path = take(&mut taker, &mut walking, 300).unwrap().path;
    let mut key = ours.clone();
    key.id_key.0[3] ^= 1;
    let mut limits = ours.clone();
    limits.limits.families[1].rows_max += 1;
    let mut topology = ours.clone();
    topology.provenance.topology = [7; 16];
    let mut policy = ours.clone();
    policy.provenance.policy = [7; 16];
    let expected = ["a key of ids", "limits.access.rows_max = 37, expected 38", "found topology", "found policy"];
    for (other, expected) in [key, limits, topology, policy].iter().zip(expected) {
        let mut other = engine(other);
        let error = restore(&files, &mut other, &path).unwrap_err().to_string();
        assert!(error.contains("of another engine") && error.contains(expected), "{error}");
        let newest = Snapshots::at(Arc::new(files.clone()), Path::new(DIR)).newest_valid(&other.shape(), Sequence(300)).unwrap();
        assert!(newest.found.is_none() && newest.skipped[0].why.contains(expected));
    }
}

/// Hardly room for anything, so that every byte of the file can be tried.
const TINY: Limits = Limits {
    nodes_max: 20,
    ids_max: 30,
    families: [
        FamilyLimits { rows_max: 16, warm_nodes_max: 2, pairs_max: 8, late_rows_max: 2 },
        FamilyLimits { rows_max: 5, warm_nodes_max: 1, pairs_max: 3, late_rows_max: 1 },
        FamilyLimits { rows_max: 7, warm_nodes_max: 1, pairs_max: 4, late_rows_max: 1 },
    ],
};

/// Caught when planted: a head whose checksum leaves out its length, blocks whose checksum leaves out the number, bytes behind the end.
#[test]
fn every_changed_byte_and_every_cut_is_told() {
    let files = ForgetfulFiles::new(2);
    let options = options(TINY);
    let mut walking = walked(&options, &records("tiny", 37, 700));
    let mut taker = Taker::start(Arc::new(files.clone()), Path::new(DIR), SMALL).unwrap();
    let path = take(&mut taker, &mut walking, 700).unwrap().path;
    let length = files.length(&path).unwrap();
    let shape = walking.shape();
    assert!(verify(&files, &path, Some(&shape)).is_ok());
    for at in 0..length {
        files.flip(&path, at);
        assert!(verify(&files, &path, None).is_err(), "byte {at} of {length}");
        if at % 17 == 0 {
            assert!(restore(&files, &mut engine(&options), &path).is_err(), "byte {at} of {length}");
        }
        files.flip(&path, at);
    }
    assert!(verify(&files, &path, Some(&shape)).is_ok());
    files.append(&path).unwrap().write(&[0]).unwrap();
    assert!(verify(&files, &path, None).unwrap_err().to_string().contains("behind its end"));
    for cut in (0..length).rev().step_by(61) {
        files.append(&path).unwrap().truncate(cut as u64).unwrap();
        assert!(verify(&files, &path, None).is_err() && inspect(&files, &path).is_err(), "cut at {cut} of {length}");
    }
}

/// The machine goes down at every call that the second snapshot makes: afterwards there is the first or the second, whole.
/// Caught when planted: a rename before the sync of the content; no sync of the directory; pruning before it.
#[test]
fn a_crash_at_any_point_leaves_a_whole_snapshot() {
    let options = options(NARROW);
    let records = &records("tiny", 38, 600)[..600];
    let one = TakerOptions { keep: 1, ..SMALL };
    let before = walked(&options, &records[..300]);
    let first = hashes(&before);
    drop(before);
    let run_to = |files: &ForgetfulFiles, crash: Option<u64>| {
        let mut walking = walked(&options, &records[..300]);
        let mut taker = Taker::start(Arc::new(files.clone()), Path::new(DIR), one).unwrap();
        take(&mut taker, &mut walking, 300).unwrap();
        run(&mut walking, &records[300..], 16);
        let calls = files.calls();
        if let Some(place) = crash {
            files.crash_after(place);
        }
        let taken = take(&mut taker, &mut walking, 600);
        (taken, hashes(&walking), files.calls() - calls)
    };
    let (taken, second, calls) = run_to(&ForgetfulFiles::new(0), None);
    assert_eq!(taken.unwrap().pruned.len(), 1);
    assert!(calls >= 6, "{calls} calls");
    let mut found_first = 0;
    for seed in 0..6 {
        for place in 0..=calls {
            for crash in [Crash::Process, Crash::Power] {
                let files = ForgetfulFiles::new(seed << 32 | place);
                let (taken, ..) = run_to(&files, Some(place));
                files.restart(crash);
                let kept = Snapshots::at(Arc::new(files.clone()), Path::new(DIR));
                let mut again = engine(&options);
                let newest = kept.newest_valid(&again.shape(), Sequence(600)).unwrap();
                let found = newest.found.unwrap_or_else(|| panic!("none is left: call {place}, {crash:?}, {:?}", newest.skipped));
                assert!(newest.skipped.is_empty(), "what has its name is whole: call {place}, {crash:?}, {:?}", newest.skipped);
                if taken.is_ok() {
                    assert_eq!(found.sequence, Sequence(600), "it was said to be there: call {place}, {crash:?}");
                }
                kept.restore(&mut again, &found).unwrap();
                let expected = if found.sequence == Sequence(600) { second } else { first };
                assert_eq!(hashes(&again), expected, "call {place}, {crash:?}");
                found_first += u32::from(found.sequence == Sequence(300));
                // It goes on from there, and what the crash left is swept away.
                run(&mut again, &records[found.sequence.0 as usize..], 16);
                assert_eq!(hashes(&again), second);
                let mut taker = Taker::start(Arc::new(files.clone()), Path::new(DIR), one).unwrap();
                take(&mut taker, &mut again, 600).unwrap();
                assert_eq!(files.list(Path::new(DIR)).unwrap().len(), 1, "call {place}, {crash:?}");
            }
        }
    }
    assert!(found_first > 10, "{found_first}");
}

/// A damaged newest snapshot is passed over, and told.
#[test]
fn the_one_before_a_damaged_one_is_taken() {
    let files = ForgetfulFiles::new(3);
    let options = options(NARROW);
    let records = &records("tiny", 39, 600)[..600];
    let mut walking = walked(&options, &records[..300]);
    let mut taker = Taker::start(Arc::new(files.clone()), Path::new(DIR), SMALL).unwrap();
    take(&mut taker, &mut walking, 300).unwrap();
    run(&mut walking, &records[300..], 16);
    let newest = take(&mut taker, &mut walking, 600).unwrap().path;
    files.flip(&newest, files.length(&newest).unwrap() / 2);
    let kept = Snapshots::at(Arc::new(files.clone()), Path::new(DIR));
    let found = kept.newest_valid(&walking.shape(), Sequence(600)).unwrap();
    assert_eq!(found.found.unwrap().sequence, Sequence(300));
    let why = &found.skipped[0].why;
    assert!(why.contains("00000000000000000600.snapshot: damaged: the checksum of block"), "{why}");
}
