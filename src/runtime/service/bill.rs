//! What a service takes of memory beside its engine.

use super::Submission;
use super::answers::Answers;
use super::launch::JUDGE_WAITING;
use super::ticket::Ticket;
use super::watching::{BOXES, Shown};
use crate::decision::Decision;
use crate::event::{Event, Record};
use crate::runtime::columns;
use crate::store::Store;
use crate::topology::{Bill, Line, Topology};

/// Texts of ids that an event brings at most.
const TEXTS: usize = 12;

/// The bill of a service under `topology`, its engine's aside: not all of it is touched at start, and it is what each part takes at most.
pub fn service_bill(topology: &Topology) -> Bill {
    let (authorize, http) = (&topology.authorize, &topology.http);
    let (answers, answer_bytes) = Answers::room(topology.deciding.limits.ids_max);
    let waiting = size_of::<Submission>() + size_of::<Event>() + TEXTS * topology.input.id_bytes_max;
    let caller = waiting + size_of::<Ticket>() + size_of::<Decision>();
    let line =
        |table: &str, count: usize, bytes_each: usize| Line { table: table.to_owned(), count: count as u64, bytes_each: bytes_each as u64 };
    let lines = vec![
        Line { table: "answers".to_owned(), count: answers, bytes_each: answer_bytes },
        line("snapshot on its way", 1, topology.snapshot.copy_bytes_max),
        line("database", 1, Store::MEMORY_BYTES as usize),
        line("callers that wait", authorize.waiting_max, caller),
        line("lines that wait", authorize.stream_waiting_max, waiting),
        line("records for the engine", JUDGE_WAITING, size_of::<Record>()),
        line("copies for the monitor", BOXES, Shown::bytes_max(columns(topology).len())),
        line("connections", http.connections_max, http.head_bytes_max + http.body_bytes_max),
    ];
    Bill { lines }
}
