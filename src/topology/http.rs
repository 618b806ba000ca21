//! `[http]`: how much the doors take, and for how long they wait.

use super::section::Section;
use crate::api::Options;
use crate::event::Duration;
use std::ops::RangeInclusive;
use std::time::Duration as Wall;

const MILLISECOND: Duration = Duration(1_000);

/// Reads `[http]`. What stands in other sections – deadlines, and the length of a line – is given.
pub(super) fn read(section: &Section, deadline: Duration, deadline_max: Duration, line_bytes_max: usize) -> Options {
    let number = |key: &str, range: RangeInclusive<i64>| section.integer(key, range) as usize;
    let length = |key: &str, least: Duration, most: Duration| wall(section.duration(key, least..=most));
    let (least, most) = (MILLISECOND.times(100), Duration::MINUTE.times(10));
    let options = Options {
        deadline_default: wall(deadline),
        deadline_max: wall(deadline_max),
        line_bytes_max,
        body_bytes_max: number("body_bytes_max", 256..=16 << 20),
        lines_in_flight_max: number("lines_in_flight_max", 1..=100_000),
        result_bytes_max: number("result_bytes_max", 1_024..=1 << 30),
        // hyper reads a head into a buffer of 400 KiB.
        head_bytes_max: number("head_bytes_max", 1_024..=262_144),
        headers_max: number("headers_max", 8..=1_000),
        head_timeout: length("head_timeout", least, most),
        body_timeout: length("body_timeout", least, most),
        write_timeout: length("write_timeout", least, most),
        idle_timeout: length("idle_timeout", least, Duration::DAY),
        connections_max: number("connections_max", 1..=1_000_000),
        streams_max: number("streams_max", 0..=100_000),
        event_requests_max: number("event_requests_max", 0..=100_000),
        page_entries_max: number("page_entries_max", 1..=10_000),
        keep_alive: length("keep_alive", least, Duration::HOUR),
        drain_timeout: length("drain_timeout", MILLISECOND, Duration::HOUR),
    };
    if section.is_sound() && options.body_bytes_max > line_bytes_max {
        let expected = format_args!("at most input.line_bytes_max ({line_bytes_max}): an event is no longer here than there");
        section.error("body_bytes_max", options.body_bytes_max, expected);
    }
    for (key, open) in [("streams_max", options.streams_max), ("event_requests_max", options.event_requests_max)] {
        if section.is_sound() && open > options.connections_max {
            section.error(key, open, format_args!("at most http.connections_max ({}): each takes one", options.connections_max));
        }
    }
    section.finish();
    options
}

fn wall(length: Duration) -> Wall {
    Wall::from_micros(length.0.unsigned_abs())
}
