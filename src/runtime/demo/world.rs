//! The company, and how its time lies on the clock.

use super::DemoOptions;
use crate::event::{Duration, Timestamp};
use crate::sim::company::occurrence::{Act, Occurrence, Writer};
use crate::sim::company::{Company, Options};
use std::time::{Duration as Wall, Instant, SystemTime, UNIX_EPOCH};

const SEED: u64 = 1;

/// A company at a moment of the clock, with what happens in it next.
pub(super) struct World {
    pub(super) company: Company,
    writer: Writer,
    speed: i64,
    /// The time of its first moment, in the world and on the clock.
    start: Timestamp,
    /// When it was made, and how far it was behind the clock then.
    made: Instant,
    behind: Wall,
    /// How long it has stood still since.
    pub(super) paused: Wall,
    next: Occurrence,
}

impl World {
    /// A company that begins so long ago. Its events are numbered from `events` on: whoever goes on in a directory uses no number again.
    pub(super) fn new(options: &DemoOptions, ago: Wall, events: u64) -> World {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start = Timestamp((since.as_millis() as i64 - ago.as_millis() as i64) * 1000);
        let mut of = Options::of(SEED, options.people);
        // Results, labels and profiles come on top: one line in seven.
        of.activities_per_day = (options.rate * 86_400 * 6 / 7).max(1);
        of.start = start;
        let mut company = Company::new(of);
        if events > 0 {
            company = company.resumed(events);
        }
        let next = draw(&mut company);
        let (made, paused) = (Instant::now(), Wall::ZERO);
        World { company, writer: Writer::default(), speed: options.speed.into(), start, made, behind: ago, paused, next }
    }

    /// The time of its first moment on the clock.
    pub(super) fn start(&self) -> Timestamp {
        self.start
    }

    /// How much of the clock has passed since the first moment.
    pub(super) fn elapsed(&self) -> Wall {
        self.behind + self.made.elapsed()
    }

    /// When what comes next is due, since the first moment.
    pub(super) fn due(&self) -> Wall {
        Wall::from_micros((self.company.now().0 - self.start.0).max(0) as u64 / self.speed as u64) + self.paused
    }

    /// The time at which what comes next is due.
    pub(super) fn due_at(&self) -> Timestamp {
        self.start + Duration(self.due().as_micros() as i64)
    }

    /// The time in the world as the clock shows it.
    pub(super) fn on_clock(&self, time: Timestamp) -> Timestamp {
        self.start + Duration((time.0 - self.start.0) / self.speed + self.paused.as_micros() as i64)
    }

    /// What comes next, with its time as the clock shows it; then something else comes next. Its line is appended to `json`.
    pub(super) fn take(&mut self, json: &mut Vec<u8>) -> Occurrence {
        let next = draw(&mut self.company);
        let taken = std::mem::replace(&mut self.next, next);
        let taken = Occurrence { time: self.on_clock(taken.time), ..taken };
        self.writer.write(&taken, json);
        taken
    }
}

fn draw(company: &mut Company) -> Occurrence {
    company.next().expect("there is always something")
}

/// Whether somebody waits for the answer.
pub(super) fn is_awaited(occurrence: &Occurrence) -> bool {
    matches!(occurrence.act, Act::Payment(_) | Act::Transfer(_))
}
