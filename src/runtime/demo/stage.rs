//! What a demonstration is played on: a service, and a company that has a past in it.
//!
//! Windows, graph and alerts of a service that just began are empty, and for an hour its answers say little. So what happened in the company
//! of late is recorded and judged before the doors open, once for a directory. It goes the way of every event, at the times at which it
//! would have come; what the journal holds afterwards tells nobody that it was fast.

use super::DemoOptions;
use super::world::{World, is_awaited};
use crate::event::IdKey;
use crate::journal::Disk;
use crate::metrics::Metrics;
use crate::runtime::backing::Backing;
use crate::runtime::progress::Progress;
use crate::runtime::service::{Node, Opening, PastReader, PastRecorder, Service, ServiceError, Standing};
use crate::topology::Topology;
use crossbeam::channel::bounded;
use std::path::Path;
use std::sync::Arc;
use std::thread::scope;
use std::time::{Duration as Wall, Instant};

/// The longest past.
const PAST_MAX: Wall = Wall::from_secs(60 * 60);
/// The most events of a past on the mean of a day: some seconds of two processors.
const EVENTS_MAX: u64 = 400_000;
/// A past fills no more than one part in so many of the tables.
const TABLES_PART: u64 = 4;
/// Events that go from thread to thread at once, and such stretches on their way.
const STRETCH_EVENTS: usize = 1_024;
const STRETCHES_WAITING: usize = 8;

/// A service with a company that is about to go on.
pub struct Stage {
    pub node: Arc<Node>,
    pub(super) world: World,
    /// Of the journal's ids.
    pub(super) key: IdKey,
    /// What was played before, if this directory was begun now.
    pub past: Option<Past>,
}

/// The past of a company.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    pub events: u64,
    /// How long it is on the clock.
    pub length: Wall,
    /// How long it took.
    pub took: Wall,
}

impl Stage {
    /// Opens the data directory `dir`, or begins it and plays the company's past to it.
    ///
    /// # Errors
    /// As [`Node::lead`].
    pub fn set(topology: Topology, dir: &Path, options: &DemoOptions, metrics: &Metrics, progress: bool) -> Result<Stage, String> {
        let words = |error: ServiceError| error.to_string();
        let (standing, world, past) = stand(&topology, dir, options, metrics, progress).map_err(words)?;
        let key = standing.journal.key();
        let service = Service::launch(&topology, standing, metrics).map_err(words)?;
        let node = Arc::new(Node::over(service, topology, dir, metrics)?);
        Ok(Stage { node, world, key, past })
    }
}

/// What stands in the directory, with the company's past where it was begun now.
fn stand(
    topology: &Topology,
    dir: &Path,
    options: &DemoOptions,
    metrics: &Metrics,
    progress: bool,
) -> Result<(Standing, World, Option<Past>), ServiceError> {
    let events_max = EVENTS_MAX.min(u64::from(topology.deciding.limits.ids_max) / TABLES_PART);
    let length = Wall::from_millis(events_max * 1000 / (options.rate * u64::from(options.speed))).min(PAST_MAX);
    let world = World::new(options, length, 0);
    let begins = Some(world.start());
    let backing = Backing::choose(topology.model.device)?;
    let mut standing = Standing::open(&Opening { topology, root: dir, files: Arc::new(Disk), key: None, begins, metrics, progress })?;
    standing.judge_on(backing, metrics);
    standing.begin_model(topology)?;
    if standing.latest == world.start() {
        let (world, past) = play(world, &mut standing, topology, progress)?;
        return Ok((standing, world, Some(past)));
    }
    // Every number that was used left a record, unless its event was lost; those are no more than the others.
    let used = 2 * standing.journal.next().0;
    Ok((standing, World::new(options, Wall::ZERO, used), None))
}

/// Plays until the world has come to the present.
fn play(mut world: World, standing: &mut Standing, topology: &Topology, progress: bool) -> Result<(World, Past), ServiceError> {
    let began = Instant::now();
    let length = world.elapsed();
    let bar = Progress::count("playing the past", length.as_secs(), progress);
    let reader = PastReader::new(standing.journal.key(), topology.input.id_bytes_max);
    let mut recorder = PastRecorder::new(standing, topology.batch_events_max);
    let (read, recorded) = scope(|scope| {
        let (to_recorder, stretches) = bounded(STRETCHES_WAITING);
        let reading = scope.spawn(move || {
            let mut json = Vec::with_capacity(512);
            while world.due() < world.elapsed() {
                let mut stretch = Vec::with_capacity(STRETCH_EVENTS);
                while stretch.len() < STRETCH_EVENTS && world.due() < world.elapsed() {
                    let received = world.due_at();
                    json.clear();
                    let occurrence = world.take(&mut json);
                    stretch.push(reader.read(&json, received, is_awaited(&occurrence))?);
                }
                if to_recorder.send((world.due(), stretch)).is_err() {
                    // The recorder has failed, and says why.
                    break;
                }
            }
            Ok::<_, ServiceError>(world)
        });
        let mut events = 0;
        let recorded = stretches.iter().try_for_each(|(due, stretch)| {
            events += stretch.len() as u64;
            bar.at(due.as_secs(), || format!("seconds of the company, {events} events"));
            recorder.take(stretch)
        });
        drop(stretches);
        (reading.join().expect("the company does not panic"), recorded.map(|()| events))
    });
    bar.finish();
    let (events, world) = (recorded?, read?);
    Ok((world, Past { events, length, took: began.elapsed() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Content, Duration, Origin, Sequence, Timestamp};
    use crate::journal::Records;
    use crate::runtime::Demo;
    use crate::topology::Layer;

    /// A past of 2,000 events.
    const SMALL: &str = "
[limits]
nodes_max = 20_000
ids_max = 8_000
[limits.money]
rows_max = 8_000
warm_nodes_max = 1_000
pairs_max = 8_000
late_rows_max = 100
events_per_day = 100
[limits.access]
rows_max = 2_000
warm_nodes_max = 100
late_rows_max = 100
events_per_day = 100
[limits.interest]
rows_max = 8_000
warm_nodes_max = 100
late_rows_max = 100
events_per_day = 100
";

    #[test]
    fn a_past_is_received_when_it_would_have_come() {
        let dir = tempfile::tempdir().unwrap();
        let small = Layer { name: "small", text: SMALL, folder: Path::new("") };
        let topology = Topology::parse(&[Demo::layer(), small]).unwrap();
        let options = DemoOptions { people: 2000, rate: 100, speed: 1, deadline: Wall::from_millis(40), attack: None };
        let before = World::new(&options, Wall::ZERO, 0).start();
        let (standing, world, past) = stand(&topology, dir.path(), &options, &Metrics::new("test"), false).unwrap();
        let past = past.expect("a past");
        let recorded = standing.journal.next();
        drop(standing);
        assert!(world.start() < before - Duration::SECOND.times(19), "20 s are 2,000 events");

        let mut records = Records::open(Arc::new(Disk), &dir.path().join("journal"), Sequence(0)).unwrap();
        let (mut latest, mut events, mut awaited) = (Timestamp::MIN, 0, 0);
        while let Some(record) = records.next_record().unwrap() {
            assert!(record.received >= latest, "{record:?} behind {latest}");
            latest = record.received;
            match &record.content {
                Content::Event(event) => {
                    assert!(event.time <= record.received && record.received - event.time < Duration::SECOND.times(16), "{record:?}");
                    awaited += u64::from(record.origin.source == Origin::HOOK);
                    events += 1;
                }
                Content::Tick(now) => assert_eq!(*now, world.start() - Duration::SECOND.times(5)),
                Content::Control(_) => {}
                other => panic!("found {other:?}"),
            }
        }
        assert_eq!((past.events, recorded), (events, Sequence(events + 4)));
        assert!(events > 100 && awaited > events / 10 && awaited < events, "{awaited} of {events} events were awaited");
        assert!(latest > before - Duration::SECOND.times(5), "up to the present");
    }
}
