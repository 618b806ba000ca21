//! The limits of the doors.

use std::time::Duration;

/// How much the doors take, and for how long they wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long an authorization waits for its decision where the caller does not say.
    pub deadline_default: Duration,
    /// The longest deadline that a caller may ask for.
    pub deadline_max: Duration,
    /// Bytes of the body of an authorization.
    pub body_bytes_max: usize,
    /// Bytes of a line of `POST /v1/events`: the limit of the event contract. A longer line is handed on cut to one byte more than this, so
    /// that it is refused, and kept as refused, as from any other source.
    pub line_bytes_max: usize,
    /// Lines of one request that wait for the journal at the same time.
    pub lines_in_flight_max: usize,
    /// Bytes of results that are kept for a client that sends lines without reading what became of them.
    pub result_bytes_max: usize,
    /// Bytes of a request's head: request line and headers.
    pub head_bytes_max: usize,
    /// Headers of a request. Any other number than 100 costs an allocation a request.
    pub headers_max: usize,
    /// From the first byte of a head to its last; also for the handshake of an encrypted connection.
    pub head_timeout: Duration,
    /// For the whole body of an authorization, and from one piece to the next of a body of lines.
    pub body_timeout: Duration,
    /// How long a client may leave what was sent to it unread.
    pub write_timeout: Duration,
    /// How long a connection may rest between two requests, or before its first.
    pub idle_timeout: Duration,
    /// Connections open at the same time; more are closed at once.
    pub connections_max: usize,
    /// Streams of server-sent events open at the same time.
    pub streams_max: usize,
    /// Requests of `POST /v1/events` open at the same time.
    pub event_requests_max: usize,
    /// Entries of a stream that are fetched at a time.
    pub page_entries_max: usize,
    /// A stream that has nothing to say says so this often.
    pub keep_alive: Duration,
    /// How long requests that were begun may take when the service ends.
    pub drain_timeout: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            deadline_default: Duration::from_millis(40),
            deadline_max: Duration::from_secs(10),
            body_bytes_max: 65_536,
            line_bytes_max: 65_536,
            lines_in_flight_max: 256,
            result_bytes_max: 4 << 20,
            head_bytes_max: 16 << 10,
            headers_max: 100,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            connections_max: 4096,
            streams_max: 64,
            event_requests_max: 64,
            page_entries_max: 256,
            keep_alive: Duration::from_secs(15),
            drain_timeout: Duration::from_secs(10),
        }
    }
}
