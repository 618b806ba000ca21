//! Tickets: who waits for which event, and that each gets one answer.
//!
//! Judge and timer race for a ticket by compare-and-swap. Whoever wins settles it, and everybody who asks for the event meanwhile gets
//! what was settled.

use super::stream::Arrival;
use crate::decision::Decision;
use crate::event::Refused;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use tokio::sync::Notify;

/// What a ticket was settled with.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// The judgement or, with [`crate::decision::Status::Fallback`], what the stand-in said.
    Decision(Box<Decision>),
    /// The engine took the event, which is none that is judged.
    Taken,
    /// The engine refused the event.
    Refused(Refused),
    /// The id was used with other content.
    Conflict,
    /// The journal took nothing.
    Unrecorded,
}

/// Who may settle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Winner {
    Judge = 1,
    Timer = 2,
}

/// One event that somebody waits for.
pub(super) struct Ticket {
    /// Of the event: what else comes under its id is a conflict.
    pub(super) fingerprint: u64,
    /// How whoever asked first came.
    pub(super) arrival: Arrival,
    winner: AtomicU8,
    /// The sequence of the event's record and 1; 0 while it has none.
    recorded: AtomicU64,
    reply: OnceLock<Reply>,
    wake: Notify,
}

impl Ticket {
    pub(super) fn new(fingerprint: u64, arrival: Arrival) -> Ticket {
        let (winner, recorded) = (AtomicU8::new(0), AtomicU64::new(0));
        Ticket { fingerprint, arrival, winner, recorded, reply: OnceLock::new(), wake: Notify::new() }
    }

    /// Claims the right to settle; `true` for the first who asks.
    pub(super) fn claim(&self, by: Winner) -> bool {
        self.winner.compare_exchange(0, by as u8, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The event has its record.
    pub(super) fn note_recorded(&self, sequence: u64) {
        self.recorded.store(sequence + 1, Ordering::Release);
    }

    /// Whether the event's own record stands in the journal.
    pub(super) fn is_recorded(&self) -> bool {
        self.recorded.load(Ordering::Acquire) != 0
    }

    /// Gives everybody the answer; only who has claimed may.
    pub(super) fn settle(&self, reply: Reply) {
        if self.reply.set(reply).is_ok() {
            self.wake.notify_waiters();
        }
    }

    /// The answer, if it is settled.
    pub(super) fn reply(&self) -> Option<Reply> {
        self.reply.get().cloned()
    }

    /// Whether nothing could be recorded for it.
    pub(super) fn is_unrecorded(&self) -> bool {
        matches!(self.reply.get(), Some(Reply::Unrecorded))
    }

    /// Waits for the answer.
    pub(super) async fn settled(&self) -> Reply {
        loop {
            // Made before the look: a wake between the two is not missed.
            let woken = self.wake.notified();
            if let Some(reply) = self.reply() {
                return reply;
            }
            woken.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn one_of_two_wins_and_all_hear_the_same() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        for _ in 0..200 {
            let ticket = Arc::new(Ticket::new(7, Arrival::now(None)));
            let hearing: Vec<_> = (0..4)
                .map(|_| {
                    let ticket = ticket.clone();
                    runtime.spawn(async move { matches!(ticket.settled().await, Reply::Conflict) })
                })
                .collect();
            let racing: Vec<_> = [(Winner::Judge, Reply::Conflict), (Winner::Timer, Reply::Unrecorded)]
                .into_iter()
                .map(|(winner, reply)| {
                    let ticket = ticket.clone();
                    std::thread::spawn(move || {
                        let won = ticket.claim(winner);
                        if won {
                            ticket.settle(reply);
                        }
                        won
                    })
                })
                .collect();
            let won: Vec<bool> = racing.into_iter().map(|thread| thread.join().unwrap()).collect();
            assert_eq!(won.iter().filter(|won| **won).count(), 1);
            for heard in hearing {
                assert_eq!(runtime.block_on(heard).unwrap(), won[0]);
            }
        }
    }
}
