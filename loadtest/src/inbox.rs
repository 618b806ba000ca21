//! The bounded queue between the pacing thread and the connections.

use crossbeam::queue::ArrayQueue;
use mio::{Poll, Token, Waker};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// A request on its way.
#[derive(Debug)]
pub struct Ticket {
    pub slot: u64,
    /// When it is due, on the clock: latency counts from here.
    pub due_ns: u64,
    /// The bytes to send, head and body.
    pub request: Vec<u8>,
}

/// Requests that wait for a connection.
pub struct Inbox {
    queue: ArrayQueue<Ticket>,
    waker: Waker,
    /// Set while the connections' thread sleeps although it could send: only then is waking it worth a system call.
    parked: AtomicBool,
    closed: AtomicBool,
}

/// The token by which the waker is told from connections.
pub const WAKER: Token = Token(usize::MAX);

impl Inbox {
    /// A queue of at most `capacity` requests, and the poll that [`crate::pool::serve`] sleeps in.
    ///
    /// # Errors
    /// Where the system gives no poll.
    pub fn new(capacity: usize) -> io::Result<(Inbox, Poll)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let inbox = Inbox { queue: ArrayQueue::new(capacity), waker, parked: AtomicBool::new(false), closed: AtomicBool::new(false) };
        Ok((inbox, poll))
    }

    /// Puts `ticket` in; gives it back where the queue is full.
    pub fn offer(&self, ticket: Ticket) -> Result<(), Ticket> {
        self.queue.push(ticket)?;
        // Either this sees `parked`, or the other side, which sets it before it looks, sees the ticket.
        if self.parked.swap(false, Ordering::SeqCst) {
            self.wake();
        }
        Ok(())
    }

    /// Nothing more comes.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.wake();
    }

    pub fn take(&self) -> Option<Ticket> {
        self.queue.pop()
    }

    /// Whether nothing is in it and nothing more comes.
    pub fn is_done(&self) -> bool {
        self.closed.load(Ordering::SeqCst) && self.queue.is_empty()
    }

    /// Announces that the caller is about to sleep and wants to be woken by the next ticket; false where there is one already.
    pub fn park(&self) -> bool {
        self.parked.store(true, Ordering::SeqCst);
        let sleeps = self.queue.is_empty();
        if !sleeps {
            self.unpark();
        }
        sleeps
    }

    pub fn unpark(&self) {
        self.parked.store(false, Ordering::SeqCst);
    }

    fn wake(&self) {
        // Fails only where the poll is gone, and then nobody sleeps.
        let _ = self.waker.wake();
    }
}
