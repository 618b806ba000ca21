//! The company's events, sent when the clock has come to their times.

use super::{DemoOptions, Show};
use crate::api::{Answer, Desk, Submitted};
use crate::event::{Duration, Timestamp};
use crate::runtime::service::Node;
use crate::sim::company::occurrence::{Act, Occurrence, Writer};
use crate::sim::company::{Company, Options};
use futures_util::future::join_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration as Wall, Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::Handle;

/// What is due within it is sent together, so that a thread wakes for several events.
const TICK: Wall = Wall::from_millis(5);
/// The longest sleep: an end and an attack are waited for.
const REST: Wall = Wall::from_millis(100);
/// A world that is so far behind the clock goes on from now: the machine slept.
const BEHIND_MAX: Wall = Wall::from_secs(2);
/// Events under way; beyond it they are lost, as at a client that has no more connections.
const UNDER_WAY_MAX: usize = 20_000;
/// Numbers of events are not used again in the same directory: a run begins behind all records, at the next multiple.
const NUMBERS_APART: u64 = 1_000_000;
/// Records of a journal that nobody has sent anything to: its foundations and a tick.
const RECORDS_FRESH: u64 = 8;
const SEED: u64 = 1;

/// The thread that plays.
pub(super) struct Traffic {
    node: Arc<Node>,
    show: Arc<Show>,
    handle: Handle,
    company: Company,
    writer: Writer,
    speed: i64,
    deadline: Wall,
    under_way: Arc<AtomicUsize>,
    /// The clock, and the time in the world, at the beginning.
    began: Instant,
    start: Timestamp,
    /// How long the world has stood still since.
    paused: Wall,
}

/// One event on its way.
struct Line {
    json: Vec<u8>,
    is_awaited: bool,
    /// The attack that is followed, if it is one of its events.
    episode: Option<u32>,
}

impl Traffic {
    pub(super) fn new(node: Arc<Node>, options: &DemoOptions, show: Arc<Show>, handle: Handle) -> Traffic {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start = Timestamp(since.as_millis() as i64 * 1000);
        let mut of = Options::of(SEED, options.people);
        // Results, labels and profiles come on top: one line in seven.
        of.activities_per_day = (options.rate * 86_400 * 6 / 7).max(1);
        of.start = start;
        let company = Company::new(of);
        let recorded = node.recorded();
        let company = match recorded {
            0..=RECORDS_FRESH => company,
            _ => company.resumed((recorded / NUMBERS_APART + 1) * NUMBERS_APART),
        };
        Traffic {
            node,
            show,
            handle,
            company,
            writer: Writer::default(),
            speed: options.speed.into(),
            deadline: options.deadline,
            under_way: Arc::default(),
            began: Instant::now(),
            start,
            paused: Wall::ZERO,
        }
    }

    /// Plays until `stop`.
    pub(super) fn play(mut self, stop: &AtomicBool) {
        let mut next = self.draw();
        let mut lines = Vec::new();
        while !stop.load(Ordering::Acquire) {
            self.begin_attacks();
            let now = self.began.elapsed();
            let behind = now.saturating_sub(self.due());
            if behind > BEHIND_MAX {
                self.paused += behind;
            }
            while self.due() <= now {
                lines.push(self.line(&next));
                next = self.draw();
            }
            if !lines.is_empty() {
                self.send(std::mem::take(&mut lines));
            }
            for ended in self.company.drain_ended() {
                self.show.over(ended.episode);
            }
            let wait = self.due().saturating_sub(self.began.elapsed()).clamp(TICK, REST);
            std::thread::sleep(wait);
        }
    }

    fn draw(&mut self) -> Occurrence {
        self.company.next().expect("there is always something")
    }

    /// When the event drawn last is due, since the beginning.
    fn due(&self) -> Wall {
        Wall::from_micros((self.company.now().0 - self.start.0).max(0) as u64 / self.speed as u64) + self.paused
    }

    /// The time in the world as the clock shows it.
    fn on_clock(&self, time: Timestamp) -> Timestamp {
        self.start + Duration((time.0 - self.start.0) / self.speed + self.paused.as_micros() as i64)
    }

    fn begin_attacks(&mut self) {
        for attack in self.show.orders() {
            if self.company.attack(attack)
                && let Some(truth) = self.company.under_way().last()
            {
                let episode = truth.episode;
                self.show.begun(attack, episode, self.on_clock(self.company.now()));
            }
        }
    }

    fn line(&mut self, occurrence: &Occurrence) -> Line {
        let on_clock = Occurrence { time: self.on_clock(occurrence.time), ..*occurrence };
        let mut json = Vec::with_capacity(320);
        self.writer.write(&on_clock, &mut json);
        let is_awaited = matches!(occurrence.act, Act::Payment(_) | Act::Transfer(_));
        Line { json, is_awaited, episode: self.show.sent(occurrence.trace) }
    }

    /// Hands events to the service and waits for none of them.
    fn send(&self, lines: Vec<Line>) {
        let count = lines.len();
        if self.under_way.fetch_add(count, Ordering::Relaxed) + count > UNDER_WAY_MAX {
            self.under_way.fetch_sub(count, Ordering::Relaxed);
            self.show.lost(count as u64);
            return;
        }
        let (node, show, deadline, under_way) = (self.node.clone(), self.show.clone(), self.deadline, self.under_way.clone());
        self.handle.spawn(async move {
            let taken = join_all(lines.into_iter().map(|line| hand(&node, &show, line, deadline))).await;
            under_way.fetch_sub(count, Ordering::Relaxed);
            show.lost(taken.iter().filter(|taken| !**taken).count() as u64);
        });
    }
}

/// Hands one event over: whether it stands in the journal.
async fn hand(node: &Node, show: &Show, line: Line, deadline: Wall) -> bool {
    if !line.is_awaited {
        return matches!(node.submit(&line.json).await, Submitted::Recorded { .. });
    }
    let answer = node.authorize(&line.json, deadline).await;
    if let Some(episode) = line.episode {
        show.answered(episode, &answer);
    }
    matches!(answer, Answer::Decided { .. })
}
