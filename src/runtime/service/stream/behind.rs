//! How far the topics are behind the journal: a thread of its own, since whoever sends may wait for brokers for seconds.

use super::Shared;
use super::ages::Ages;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration as Wall, Instant};
use tracing::warn;

/// Between two looks.
const LOOK_EVERY: Wall = Wall::from_millis(50);
/// Between two warnings.
const WARN_EVERY: Wall = Wall::from_secs(60);

/// The thread's own things.
pub(super) struct Behind {
    shared: Arc<Shared>,
    /// Where events are told that came by a door, and how long they may be missing there before somebody is warned.
    topic: String,
    publish_lag_max: Wall,
    ages: Ages,
    warned: Option<Instant>,
}

impl Behind {
    pub(super) fn new(shared: Arc<Shared>, topic: String, publish_lag_max: Wall) -> Behind {
        Behind { shared, topic, publish_lag_max, ages: Ages::default(), warned: None }
    }

    /// Measures until the service has ended.
    pub(super) fn run(mut self) {
        while !self.shared.is_ended() {
            self.measure();
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn measure(&mut self) {
        let (recorded, sent) = (self.shared.recorded.load(Ordering::Relaxed), *self.shared.topics.sent.borrow());
        let age = self.ages.of(recorded, sent, Instant::now());
        let metrics = &self.shared.metrics;
        metrics.sink_lag_records.set(recorded.saturating_sub(sent) as i64);
        metrics.sink_lag_seconds.set(age.as_secs_f64());
        let by_door = self.shared.topics.last_by_door.load(Ordering::Relaxed) > sent;
        let hook = if by_door { age } else { Wall::ZERO };
        metrics.hook_publish_lag_ms.set(hook.as_millis() as i64);
        if hook >= self.publish_lag_max && self.warned.is_none_or(|warned| warned.elapsed() >= WARN_EVERY) {
            self.warned = Some(Instant::now());
            warn!(seconds = hook.as_secs(), topic = self.topic, "events that came by the doors are not in their topic yet");
        }
    }
}
