//! The company's events, sent when the clock has come to their times.

use super::world::{World, is_awaited};
use super::{DemoOptions, Show};
use crate::api::{Answer, Desk, Submitted};
use crate::runtime::service::Node;
use futures_util::future::join_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration as Wall;
use tokio::runtime::Handle;

/// What is due within it is sent together, so that a thread wakes for several events.
const TICK: Wall = Wall::from_millis(5);
/// The longest sleep: an end and an attack are waited for.
const REST: Wall = Wall::from_millis(100);
/// A world that is so far behind the clock goes on from now: the machine slept.
const BEHIND_MAX: Wall = Wall::from_secs(2);
/// Events under way; beyond it they are lost, as at a client that has no more connections.
const UNDER_WAY_MAX: usize = 20_000;

/// The thread that plays.
pub(super) struct Traffic {
    node: Arc<Node>,
    show: Arc<Show>,
    handle: Handle,
    world: World,
    deadline: Wall,
    under_way: Arc<AtomicUsize>,
}

/// One event on its way.
struct Line {
    json: Vec<u8>,
    is_awaited: bool,
    /// The attack that is followed, if it is one of its events.
    episode: Option<u32>,
}

impl Traffic {
    pub(super) fn new(node: Arc<Node>, world: World, options: &DemoOptions, show: Arc<Show>, handle: Handle) -> Traffic {
        Traffic { node, show, handle, world, deadline: options.deadline, under_way: Arc::default() }
    }

    /// Plays until `stop`.
    pub(super) fn play(mut self, stop: &AtomicBool) {
        let mut lines = Vec::new();
        while !stop.load(Ordering::Acquire) {
            self.begin_attacks();
            let now = self.world.elapsed();
            let behind = now.saturating_sub(self.world.due());
            if behind > BEHIND_MAX {
                self.world.paused += behind;
            }
            while self.world.due() <= now {
                lines.push(self.line());
            }
            if !lines.is_empty() {
                self.send(std::mem::take(&mut lines));
            }
            for ended in self.world.company.drain_ended() {
                self.show.over(ended.episode);
            }
            let wait = self.world.due().saturating_sub(self.world.elapsed()).clamp(TICK, REST);
            std::thread::sleep(wait);
        }
    }

    fn begin_attacks(&mut self) {
        for attack in self.show.orders() {
            if self.world.company.attack(attack)
                && let Some(truth) = self.world.company.under_way().last()
            {
                let episode = truth.episode;
                self.show.begun(attack, episode, self.world.on_clock(self.world.company.now()));
            }
        }
    }

    fn line(&mut self) -> Line {
        let mut json = Vec::with_capacity(320);
        let occurrence = self.world.take(&mut json);
        Line { json, is_awaited: is_awaited(&occurrence), episode: self.show.sent(&occurrence) }
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
