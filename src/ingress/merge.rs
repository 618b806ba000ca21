//! The ordered stream of a replay: all files of all sources by event time, with the labels that mappings make.
//!
//! The order is that of the heads: always the file whose next event is earliest; at equal times events before labels, then by source,
//! then by file. Within a file its own order is kept, also where it is disordered; a line or row without a time comes right behind the one before it.
//! A mapping's labels form one queue a source, in the order of their events, each due at its event's time plus the delay.

use super::assign::assign;
use super::contract::{Reading, Texts};
use super::feed::{BEFORE_ALL, Catalogue, FileFeed};
use super::file::{InputError, Progress};
use super::input::{InputFile, RowLabel, Table};
use super::options::{Format, InputLimits, SourceOptions};
use super::pending::{Pending, PendingLabels};
use super::table::Plan;
use crate::event::*;
use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

/// Knows the events that labels and results of their own may speak of.
pub trait Targets {
    /// The event with this id, if it is known.
    fn resolve(&mut self, id: Id) -> Option<Target>;
    /// A payment or transfer has gone by, which labels may speak of, or a label, which changes what stands of its target.
    fn note(&mut self, record: &Record);
}

/// Knows nothing.
impl Targets for () {
    fn resolve(&mut self, _: Id) -> Option<Target> {
        None
    }

    fn note(&mut self, _: &Record) {}
}

/// Keeps what was refused, for the person who must mend it.
pub trait Rejections {
    /// The record `sequence` was refused: its raw bytes, cut at the limit, and what was found and expected.
    fn keep(&mut self, sequence: Sequence, raw: &[u8], detail: String);
}

/// Keeps nothing.
impl Rejections for () {
    fn keep(&mut self, _: Sequence, _: &[u8], _: String) {}
}

/// What a merge tells on the way.
pub struct Sinks<'a, T: Texts + ?Sized> {
    pub texts: &'a mut T,
    pub targets: &'a mut dyn Targets,
    pub rejected: &'a mut dyn Rejections,
}

/// The most items of one source's catalogue: their hashes are held in memory while it is read.
pub const CATALOGUE_ITEMS_MAX: usize = 1 << 20;

/// The ordered stream of records.
pub struct Merge {
    streams: Vec<Stream>,
    /// The key of every stream that has a head.
    heads: BinaryHeap<Reverse<Key>>,
    /// The stream of a source's pending labels, by source.
    label_streams: Vec<Option<usize>>,
    jump_max: Vec<Duration>,
    reading: Reading,
    limits: InputLimits,
    next: Sequence,
    /// The greatest event time read so far.
    greatest: Option<Timestamp>,
    /// Streams whose first head was read.
    primed: usize,
    progress: Progress,
    bytes_total: u64,
}

/// What orders heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    time: Timestamp,
    label: bool,
    source: u16,
    /// Streams of a source stand in the order of its files, the catalogue before them.
    stream: usize,
}

struct Stream {
    source: u16,
    partition: u32,
    feed: Feed,
    /// Where the last head stood; a head without a time takes its place.
    time: Timestamp,
}

enum Feed {
    File(Box<FileFeed>),
    Catalogue(Box<Catalogue>),
    Labels(PendingLabels),
    /// Read to its end, or given up after an error.
    Ended,
}

impl Merge {
    /// Opens the stream of `files`, as [`assign`] spreads them over `sources`; ids are hashed under `key`, the first record has the
    /// sequence `first`.
    ///
    /// # Errors
    /// A file that cannot be opened, a missing column, an unknown zone, files that fit no source.
    pub fn open(
        files: &[PathBuf],
        sources: &[SourceOptions],
        limits: InputLimits,
        key: IdKey,
        first: Sequence,
    ) -> Result<Merge, InputError> {
        let assigned = assign(files, sources)?;
        let mut merge = Merge {
            streams: Vec::new(),
            heads: BinaryHeap::new(),
            label_streams: vec![None; sources.len()],
            jump_max: sources.iter().map(|source| source.jump_max).collect(),
            reading: Reading::new(key, limits.id_bytes_max),
            limits,
            next: first,
            greatest: None,
            primed: 0,
            progress: Progress::default(),
            bytes_total: 0,
        };
        for (index, source) in sources.iter().enumerate() {
            let paths: Vec<&PathBuf> = assigned.iter().filter(|(of, _)| *of == index).map(|(_, path)| path).collect();
            if paths.is_empty() {
                continue;
            }
            for path in &paths {
                merge.bytes_total += fs::metadata(path).map_err(|error| InputError::of(path, format!("cannot be opened: {error}")))?.len();
            }
            merge.open_source(index, source, &paths)?;
        }
        Ok(merge)
    }

    fn open_source(&mut self, index: usize, source: &SourceOptions, paths: &[&PathBuf]) -> Result<(), InputError> {
        let number = u16::try_from(index).ok().filter(|number| *number != Origin::ENGINE);
        let number = number.ok_or_else(|| InputError::new(format!("found {index} sources, expected fewer than {}", Origin::ENGINE)))?;
        let stream = |partition: usize, feed| Stream { source: number, partition: partition as u32, feed, time: BEFORE_ALL };
        let mapping = match &source.format {
            Format::Wire => {
                for (partition, path) in paths.iter().enumerate() {
                    let file = InputFile::lines(path, &self.progress)?;
                    self.streams.push(stream(partition, Feed::file(file)));
                }
                return Ok(());
            }
            Format::Table(mapping) => mapping,
        };
        let plan = Plan::new(mapping).map_err(|message| InputError::new(format!("source {}: {message}", source.name)))?;
        let plan = Arc::new(plan);
        let mut rows_before = vec![0; paths.len()];
        // The rows of the last file stand before none.
        for next in (1..paths.len()).filter(|_| plan.numbers_rows) {
            let rows = Table::open(paths[next - 1], &plan, &self.limits, &Progress::default())?.count()?;
            rows_before[next] = rows_before[next - 1] + rows;
        }
        if plan.catalogue.is_some()
            && let Some(first) = self.first_time(&plan, paths)?
        {
            let files = paths.iter().zip(&rows_before).enumerate();
            let files = files.map(|(partition, (path, rows))| (partition as u32, (*path).clone(), *rows)).collect();
            let catalogue = Catalogue { files, plan: plan.clone(), open: None, seen: HashSet::new(), head: None };
            let feed = Feed::Catalogue(Box::new(catalogue));
            self.streams.push(Stream { time: first, ..stream(0, feed) });
        }
        for (partition, path) in paths.iter().enumerate() {
            let file = InputFile::rows(path, &plan, rows_before[partition], &self.limits, &self.progress)?;
            self.streams.push(stream(partition, Feed::file(file)));
        }
        if plan.label.is_some() {
            self.label_streams[index] = Some(self.streams.len());
            self.streams.push(stream(0, Feed::Labels(PendingLabels::default())));
        }
        Ok(())
    }

    /// The time of a source's first event: the earliest of its files' first events.
    fn first_time(&mut self, plan: &Arc<Plan>, paths: &[&PathBuf]) -> Result<Option<Timestamp>, InputError> {
        let mut first: Option<Timestamp> = None;
        for path in paths {
            let mut file = InputFile::rows(path, plan, 0, &self.limits, &Progress::default())?;
            while let Some(input) = file.next(&mut self.reading, &self.limits, &mut ())? {
                if let Ok((event, _)) = &input.found {
                    first = Some(first.map_or(event.time, |known| known.min(event.time)));
                    break;
                }
            }
        }
        Ok(first)
    }

    /// How many bytes were read; may be asked on another thread.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Bytes of all files as they stand on disk.
    pub fn bytes_total(&self) -> u64 {
        self.bytes_total
    }

    /// The sequence that the next record will get.
    pub fn next_sequence(&self) -> Sequence {
        self.next
    }

    /// The events that were read and not yet given out, of which sinks know the texts already. Labels that wait are not among them: they bring no text.
    pub fn ahead(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for stream in &self.streams {
            match &stream.feed {
                Feed::File(feed) => {
                    let ahead = feed.ahead.iter().filter_map(|ahead| ahead.as_ref().ok()?.as_ref());
                    let inputs = feed.head.iter().chain(ahead);
                    events.extend(inputs.filter_map(|input| Some(input.found.as_ref().ok()?.0.clone())));
                }
                Feed::Catalogue(catalogue) => {
                    let entry = catalogue.head.as_ref().and_then(|head| head.found.as_ref().ok());
                    events.extend(entry.map(|(id, item)| Event { id: *id, time: stream.time, body: Body::Item(item.clone()) }));
                }
                Feed::Labels(_) | Feed::Ended => {}
            }
        }
        events
    }

    /// Fills `out` with the next records, at most `max`; false when nothing was left. Every text of the records was told to the sinks
    /// before they are handed out, some of later records too.
    ///
    /// # Errors
    /// A file that cannot be read further. It is given up, the records in `out` are good, and the next call goes on with the other files.
    pub fn next_batch<T: Texts + ?Sized>(&mut self, max: usize, out: &mut Vec<Record>, sinks: Sinks<'_, T>) -> Result<bool, InputError> {
        let Sinks { texts, targets, rejected } = sinks;
        out.clear();
        while self.primed < self.streams.len() {
            let stream = self.primed;
            self.primed += 1;
            if let Some(key) = self.follow(stream, texts)? {
                self.heads.push(Reverse(key));
            }
        }
        while out.len() < max {
            let Some(Reverse(head)) = self.heads.peek().copied() else { break };
            let label = self.emit(head.stream, out, targets, rejected);
            let follower = self.follow(head.stream, texts);
            {
                let mut top = self.heads.peek_mut().expect("its head was taken just above");
                match &follower {
                    // The follower takes the head's place: one sift instead of two.
                    Ok(Some(key)) => *top = Reverse(*key),
                    _ => drop(PeekMut::pop(top)),
                }
            }
            let queued = label.map_or(Ok(()), |label| self.queue(head.source, label));
            follower.and(queued)?;
        }
        Ok(!out.is_empty())
    }

    /// Makes the head of a stream the next record, and its label if the row has one.
    fn emit(&mut self, stream: usize, out: &mut Vec<Record>, targets: &mut dyn Targets, rejected: &mut dyn Rejections) -> Option<Pending> {
        let sequence = self.next;
        self.next.0 += 1;
        let Stream { source, partition, feed, time } = &mut self.streams[stream];
        let (source, mut partition) = (*source, *partition);
        let mut row_label = None;
        let (offset, found) = match feed {
            Feed::File(feed) => {
                let input = feed.head.take().expect("a stream in the heap has a head");
                let found = input.found.map(|(event, label)| {
                    row_label = label;
                    event
                });
                (input.offset, found)
            }
            Feed::Catalogue(catalogue) => {
                let head = catalogue.head.take().expect("a stream in the heap has a head");
                partition = head.partition;
                (head.offset, head.found.map(|(id, item)| Event { id, time: *time, body: Body::Item(item) }))
            }
            Feed::Labels(labels) => {
                let label = labels.first().expect("a stream in the heap has a head");
                partition = label.partition;
                (label.offset, Ok(label.event(source)))
            }
            Feed::Ended => unreachable!("an ended stream stands in the heap"),
        };
        let (received, jumps) = self.receive(found.as_ref().ok().map(|event| event.time), source);
        let content = match found {
            Ok(mut event) => {
                resolve(&mut event.body, targets);
                Content::Event(event)
            }
            Err(bad) => {
                let raw = &bad.raw[..bad.raw.len().min(self.limits.rejected_bytes_max)];
                rejected.keep(sequence, raw, bad.detail);
                Content::Refused(bad.refused)
            }
        };
        let origin = Origin { source, partition, offset };
        out.push(Record { sequence, received, origin, effort: Effort::Full, content });
        let record = out.last().expect("pushed just above");
        let Content::Event(event) = &record.content else { return None };
        if matches!(event.body, Body::Payment(_) | Body::Transfer(_) | Body::Label(_)) {
            targets.note(record);
        }
        // An event that jumps too far is refused as future-dated; a label at its time plus the delay would hold up all labels behind it.
        row_label.filter(|_| !jumps).map(|label| Pending::new(label, event, record))
    }

    /// The record's `received`, and whether an event at `time` jumps further ahead of it than its source may.
    fn receive(&mut self, time: Option<Timestamp>, source: u16) -> (Timestamp, bool) {
        let received = self.greatest.or(time).unwrap_or(Timestamp::MIN);
        let Some(time) = time else { return (received, false) };
        let jumps = time.0 > received.0.saturating_add(self.jump_max[usize::from(source)].0);
        if !jumps {
            self.greatest = Some(received.max(time));
        }
        (received, jumps)
    }

    /// Reads the next head of a stream; its key, or `None` at the end. After an error the stream is given up.
    fn follow<T: Texts + ?Sized>(&mut self, number: usize, texts: &mut T) -> Result<Option<Key>, InputError> {
        let Merge { streams, reading, limits, jump_max, .. } = self;
        let stream = &mut streams[number];
        let mut label = false;
        let read = match &mut stream.feed {
            Feed::File(feed) => {
                let read = feed.advance(reading, limits, texts, stream.time, jump_max[usize::from(stream.source)]);
                label = feed.is_label();
                read
            }
            Feed::Catalogue(catalogue) => catalogue.advance(reading, limits, texts).map(|more| more.then_some(stream.time)),
            Feed::Labels(labels) => {
                // The queue may become empty and fill again: it never ends.
                return match labels.pop() {
                    Ok(_) => {
                        let time = labels.first().map(|label| label.time);
                        Ok(time.map(|time| stream.key(number, time, true)))
                    }
                    Err(error) => {
                        stream.feed = Feed::Ended;
                        Err(error)
                    }
                };
            }
            Feed::Ended => return Ok(None),
        };
        match read {
            Ok(Some(time)) => {
                stream.time = time;
                Ok(Some(stream.key(number, time, label)))
            }
            Ok(None) => {
                stream.feed = Feed::Ended;
                Ok(None)
            }
            Err(error) => {
                stream.feed = Feed::Ended;
                Err(error)
            }
        }
    }

    /// Appends a label to the queue of its source.
    fn queue(&mut self, source: u16, label: Pending) -> Result<(), InputError> {
        let number = self.label_streams[usize::from(source)].expect("only a source with a label mapping makes labels");
        let stream = &mut self.streams[number];
        // Given up after an error of its temporary file.
        let Feed::Labels(labels) = &mut stream.feed else { return Ok(()) };
        if labels.first().is_none() {
            self.heads.push(Reverse(Key { time: label.time, label: true, source, stream: number }));
        }
        labels.push(label)
    }
}

/// Fills in what a label or result of its own speaks of.
fn resolve(body: &mut Body, targets: &mut dyn Targets) {
    match body {
        Body::Label(label) if label.resolved.is_none() => label.resolved = targets.resolve(label.target),
        Body::PaymentResult(result) => result.resolved = targets.resolve(result.target),
        _ => {}
    }
}

impl Stream {
    fn key(&self, number: usize, time: Timestamp, label: bool) -> Key {
        Key { time, label, source: self.source, stream: number }
    }
}

impl Feed {
    fn file(file: InputFile) -> Feed {
        Feed::File(Box::new(FileFeed { file, head: None, ahead: None }))
    }
}

impl Pending {
    /// The label that the row of `record` makes of its own `event`.
    fn new(label: RowLabel, event: &Event, record: &Record) -> Pending {
        Pending {
            id: label.id,
            time: label.time,
            verdict: label.verdict,
            scenario: label.scenario,
            partition: record.origin.partition,
            offset: record.origin.offset,
            target: event.id,
            target_sequence: record.sequence,
            target_time: event.time,
            target_kind: event.body.kind(),
            target_ends: ends(&event.body),
        }
    }

    fn event(&self, source: u16) -> Event {
        let target = Target {
            sequence: self.target_sequence,
            time: self.target_time,
            kind: self.target_kind,
            source,
            ends: self.target_ends,
            standing: None,
        };
        let label = Label {
            target: self.target,
            verdict: self.verdict,
            source: LabelSource::Chargeback,
            scenario: self.scenario,
            user: None,
            from: None,
            resolved: Some(target),
        };
        Event { id: self.id, time: self.time, body: Body::Label(label) }
    }
}
