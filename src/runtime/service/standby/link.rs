//! What the thread that follows a leader and those who look at it share.

use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration as Wall, Instant};
use tokio::sync::watch;

/// What the thread and those who look at it share.
pub(super) struct Link {
    /// The first record that is not here yet, and the first that the leader does not have.
    pub next: AtomicU64,
    pub leader_next: AtomicU64,
    pub epoch: AtomicU64,
    /// Who leads in that epoch, by its own word in the journal, where it came over this link.
    pub led_by: Mutex<Option<String>>,
    pub connected: AtomicBool,
    /// No more is to be taken.
    stop: AtomicBool,
    /// The connection, to be shut by whoever ends the wait for it.
    pub socket: Mutex<Option<TcpStream>>,
    /// Why this standby has stopped for good.
    pub failed: watch::Sender<Option<String>>,
    /// Why there is no connection.
    pub trouble: Mutex<String>,
}

impl Link {
    pub(super) fn new(next: u64, epoch: u64) -> Link {
        Link {
            next: AtomicU64::new(next),
            leader_next: AtomicU64::new(next),
            epoch: AtomicU64::new(epoch),
            led_by: Mutex::new(None),
            connected: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            socket: Mutex::new(None),
            failed: watch::Sender::new(None),
            trouble: Mutex::new("not connected yet".to_owned()),
        }
    }

    /// Records that the leader has and this standby does not.
    pub(super) fn lag(&self) -> u64 {
        self.leader_next.load(Ordering::Relaxed).saturating_sub(self.next.load(Ordering::Relaxed))
    }

    /// Follows no further than what is on its way already.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        if let Some(socket) = &*self.socket.lock().expect("nobody panics with it") {
            // Gone already is as good.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Waits, unless it is told to stop.
    pub(super) fn rest(&self, wait: Wall) {
        let until = Instant::now() + wait;
        while !self.is_done() && Instant::now() < until {
            std::thread::sleep(Wall::from_millis(10));
        }
    }
}
