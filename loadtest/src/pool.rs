//! The connections: a bounded pool of keep-alive connections, one request at a time on each, all on one thread.
//!
//! A request waits in the inbox until a connection is free; its waiting is part of its latency. Nothing is sent twice: a request whose
//! connection breaks after its first byte left is lost, and told as such.

use crate::clock::Clock;
use crate::inbox::{Inbox, Ticket, WAKER};
use crate::request::Target;
use crate::response::{self, Response};
use crate::transport::Transport;
use mio::{Events, Poll, Registry, Token};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Why a request that was sent, wholly or in part, has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The connection ended before the answer did.
    Closed,
    /// No answer within the time limit, counted from sending.
    TimedOut,
    /// What came is no HTTP answer.
    Malformed,
}

/// How a request ended.
#[derive(Debug)]
pub enum End<'a> {
    Answered(Response<'a>),
    Lost(Loss),
    /// It waited for a connection as long as the time limit, counted from when it was due.
    Expired,
}

/// What became of a request, with times on the clock.
pub struct Settled<'a> {
    pub ticket: Ticket,
    /// When its first byte was sent.
    pub sent_ns: Option<u64>,
    pub done_ns: u64,
    pub end: End<'a>,
}

/// The settings of a pool.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connections: usize,
    /// For connecting, for an answer, for waiting in the inbox.
    pub timeout: Duration,
}

/// How many connections have opened, and how many tries have failed; read while it works.
#[derive(Debug, Default)]
pub struct Opening {
    pub opened: AtomicUsize,
    pub failed: AtomicUsize,
}

/// Before a failed connection is tried again.
const RETRY_NS: u64 = 20_000_000;
/// Between two looks at time limits.
const LOOK: Duration = Duration::from_millis(10);

struct Connection {
    transport: Option<Transport>,
    state: State,
    flight: Option<Flight>,
    input: Vec<u8>,
    /// While closed: not tried again before. While opening: when that began.
    since_ns: u64,
    /// Whether it has brought an answer since it was opened.
    has_served: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Opening,
    Idle,
    Busy,
}

struct Flight {
    ticket: Ticket,
    sent_ns: u64,
    written: usize,
}

struct Pool<'a> {
    target: &'a Target,
    limits: Limits,
    clock: Clock,
    inbox: &'a Inbox,
    opening: &'a Opening,
    settle: &'a mut dyn FnMut(Settled<'_>),
    connections: Vec<Connection>,
    /// The one used last is used next: a quiet time lets the others rest.
    idle: Vec<usize>,
    /// Taken out of the inbox, not yet sent, oldest first: one whose time limit is looked at, and those that a closed connection gave back.
    held: VecDeque<Ticket>,
    room: Vec<u8>,
    in_flight: usize,
}

/// Sends what comes into `inbox` and hands every request to `settle` exactly once; returns when the inbox is closed and all are settled.
///
/// # Errors
/// Where the poll fails.
pub fn serve(
    target: &Target,
    limits: Limits,
    clock: Clock,
    inbox: &Inbox,
    mut poll: Poll,
    opening: &Opening,
    settle: &mut dyn FnMut(Settled<'_>),
) -> io::Result<()> {
    let connections = (0..limits.connections)
        .map(|_| Connection { transport: None, state: State::Closed, flight: None, input: Vec::new(), since_ns: 0, has_served: false })
        .collect();
    let room = vec![0; 1 << 16];
    let mut pool =
        Pool { target, limits, clock, inbox, opening, settle, connections, idle: Vec::new(), held: VecDeque::new(), room, in_flight: 0 };
    let mut events = Events::with_capacity(1024);
    let mut looked_ns = 0;
    loop {
        let now_ns = clock.now_ns();
        if now_ns >= looked_ns + LOOK.as_nanos() as u64 || looked_ns == 0 {
            looked_ns = now_ns;
            pool.look(now_ns, poll.registry());
        }
        pool.dispatch();
        if pool.in_flight == 0 && pool.held.is_empty() && inbox.is_done() {
            return Ok(());
        }
        // Woken by a new request only while a connection is free to take it.
        if !pool.idle.is_empty() && !inbox.park() {
            continue;
        }
        match poll.poll(&mut events, Some(LOOK)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        inbox.unpark();
        for event in events.iter().filter(|event| event.token() != WAKER) {
            pool.ready(event.token().0, event.is_read_closed(), poll.registry());
        }
    }
}

impl Pool<'_> {
    /// Opens what is closed and ends what has taken too long.
    fn look(&mut self, now_ns: u64, registry: &Registry) {
        let timeout_ns = self.limits.timeout.as_nanos() as u64;
        for at in 0..self.connections.len() {
            let connection = &mut self.connections[at];
            match (connection.state, &connection.flight) {
                (State::Closed, _) if connection.since_ns <= now_ns => self.open(at, registry),
                (State::Opening, _) if connection.since_ns + timeout_ns <= now_ns => self.failed(at),
                (State::Busy, Some(flight)) if flight.sent_ns + timeout_ns <= now_ns => {
                    self.end(at, End::Lost(Loss::TimedOut));
                    self.close(at);
                }
                _ => {}
            }
        }
        while let Some(ticket) = self.held.pop_front().or_else(|| self.inbox.take()) {
            if ticket.due_ns + timeout_ns > now_ns {
                self.held.push_front(ticket);
                break;
            }
            (self.settle)(Settled { ticket, sent_ns: None, done_ns: now_ns, end: End::Expired });
        }
    }

    /// Gives waiting requests to free connections.
    fn dispatch(&mut self) {
        while let Some(&at) = self.idle.last() {
            let Some(ticket) = self.held.pop_front().or_else(|| self.inbox.take()) else { return };
            self.idle.pop();
            let connection = &mut self.connections[at];
            connection.state = State::Busy;
            connection.flight = Some(Flight { ticket, sent_ns: self.clock.now_ns(), written: 0 });
            self.in_flight += 1;
            self.write(at);
        }
    }

    fn open(&mut self, at: usize, registry: &Registry) {
        match Transport::open(self.target, registry, Token(at)) {
            Ok(transport) => {
                let connection = &mut self.connections[at];
                connection.transport = Some(transport);
                connection.state = State::Opening;
                connection.since_ns = self.clock.now_ns();
            }
            Err(_) => self.failed(at),
        }
    }

    fn failed(&mut self, at: usize) {
        self.opening.failed.fetch_add(1, Ordering::Relaxed);
        self.close(at);
    }

    /// Drops the connection. One that has served may be opened anew at once; one that never did must wait, or a server that is down or
    /// hangs up would be called without end.
    fn close(&mut self, at: usize) {
        let connection = &mut self.connections[at];
        if connection.state == State::Idle {
            self.idle.retain(|idle| *idle != at);
        }
        // Dropping the socket takes it out of the poll.
        connection.transport = None;
        connection.state = State::Closed;
        connection.input.clear();
        connection.since_ns = if connection.has_served { 0 } else { self.clock.now_ns() + RETRY_NS };
        connection.has_served = false;
    }

    /// The poll says that connection `at` can go on.
    fn ready(&mut self, at: usize, is_read_closed: bool, registry: &Registry) {
        if self.connections[at].state == State::Opening {
            let advanced = self.connections[at].transport.as_mut().map(Transport::advance);
            match advanced {
                Some(Ok(())) => {
                    self.opening.opened.fetch_add(1, Ordering::Relaxed);
                    self.connections[at].state = State::Idle;
                    self.idle.push(at);
                }
                Some(Err(error)) if is_patience(&error) => return,
                _ => return self.failed(at),
            }
        }
        if self.connections[at].state == State::Busy {
            self.write(at);
        }
        if matches!(self.connections[at].state, State::Busy | State::Idle) {
            self.read(at, is_read_closed);
        }
        // Closed between two requests, which servers may do: opened anew at once, no request has suffered.
        if self.connections[at].state == State::Closed && self.connections[at].since_ns == 0 && !self.inbox.is_done() {
            self.open(at, registry);
        }
    }

    fn write(&mut self, at: usize) {
        let connection = &mut self.connections[at];
        let (Some(transport), Some(flight)) = (&mut connection.transport, &mut connection.flight) else { return };
        let mut sent = Ok(());
        while flight.written < flight.ticket.request.len() {
            match transport.send(&flight.ticket.request[flight.written..]) {
                Ok(taken) => flight.written += taken,
                Err(error) => {
                    sent = Err(error);
                    break;
                }
            }
        }
        let sent = sent.and_then(|()| transport.flush());
        match sent {
            Ok(()) => {}
            Err(error) if is_patience(&error) => {}
            Err(_) if flight.written == 0 => {
                // Not a byte has left: the server had closed the connection in a quiet time. The request goes to another one.
                if let Some(flight) = connection.flight.take() {
                    self.held.push_front(flight.ticket);
                    self.in_flight -= 1;
                }
                self.close(at);
            }
            // The answer may be there all the same (a server that refuses and closes): reading decides.
            Err(_) => self.read(at, true),
        }
    }

    /// Reads what there is. A short read empties the socket, except of an end that is told with the event.
    fn read(&mut self, at: usize, is_read_closed: bool) {
        loop {
            let Some(transport) = &mut self.connections[at].transport else { return };
            let received = transport.receive(&mut self.room);
            match received {
                Ok(0) => return self.ended(at),
                Ok(length) => {
                    self.connections[at].input.extend_from_slice(&self.room[..length]);
                    if !self.answer(at, false) {
                        return;
                    }
                    if length < self.room.len() && !is_read_closed && self.target.tls.is_none() {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_patience(&error) => return,
                Err(_) => return self.ended(at),
            }
        }
    }

    /// The other side has closed.
    fn ended(&mut self, at: usize) {
        if self.connections[at].state == State::Busy && self.answer(at, true) {
            self.end(at, End::Lost(Loss::Closed));
        }
        self.close(at);
    }

    /// Settles the request of connection `at` where its answer is whole; false where the connection was closed for it.
    fn answer(&mut self, at: usize, ended: bool) -> bool {
        let done_ns = self.clock.now_ns();
        let connection = &mut self.connections[at];
        let input = std::mem::take(&mut connection.input);
        let Some(flight) = connection.flight.take() else {
            // Bytes that nobody asked for.
            self.close(at);
            return false;
        };
        let is_written = flight.written == flight.ticket.request.len();
        let (end, keeps) = match response::parse(&input, ended) {
            Ok(None) => {
                connection.flight = Some(flight);
                connection.input = input;
                return true;
            }
            Ok(Some(response)) => {
                let keeps = response.keeps && response.length == input.len() && is_written && !ended;
                (End::Answered(response), keeps)
            }
            Err(response::Malformed) => (End::Lost(Loss::Malformed), false),
        };
        (self.settle)(Settled { ticket: flight.ticket, sent_ns: Some(flight.sent_ns), done_ns, end });
        self.in_flight -= 1;
        self.connections[at].has_served = true;
        if !keeps {
            self.close(at);
            return false;
        }
        // Its room is used again.
        let connection = &mut self.connections[at];
        connection.input = input;
        connection.input.clear();
        connection.state = State::Idle;
        self.idle.push(at);
        true
    }

    /// Settles the request of connection `at`, if it has one, without an answer.
    fn end(&mut self, at: usize, end: End<'_>) {
        if let Some(flight) = self.connections[at].flight.take() {
            self.in_flight -= 1;
            let done_ns = self.clock.now_ns();
            (self.settle)(Settled { ticket: flight.ticket, sent_ns: Some(flight.sent_ns), done_ns, end });
        }
    }
}

fn is_patience(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
