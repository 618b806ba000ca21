//! What a service takes of memory beside its engine.

use super::Submission;
use super::answers::Answers;
use super::launch::JUDGE_WAITING;
use super::ticket::Ticket;
use super::watching::{BOXES, Shown};
use crate::decision::Decision;
use crate::event::{Event, Record};
use crate::gnn::DeviceChoice;
use crate::gnn::cuda::{Share, taken};
use crate::runtime::columns;
use crate::store::Store;
use crate::topology::{Bill, Line, Topology};

/// Texts of ids that an event brings at most.
const TEXTS: usize = 12;

/// The bill of a service under `topology`, its engine's aside: not all of it is touched at start, and it is what each part takes at most. Where
/// forward passes may run on a device, what that takes of this machine's memory is among it.
pub fn service_bill(topology: &Topology) -> Bill {
    let (authorize, http) = (&topology.authorize, &topology.http);
    let (answers, answer_bytes) = Answers::room(topology.deciding.limits.ids_max);
    let waiting = size_of::<Submission>() + size_of::<Event>() + TEXTS * topology.input.id_bytes_max;
    let caller = waiting + size_of::<Ticket>() + size_of::<Decision>();
    let line =
        |table: &str, count: usize, bytes_each: usize| Line { table: table.to_owned(), count: count as u64, bytes_each: bytes_each as u64 };
    let mut lines = vec![
        Line { table: "answers".to_owned(), count: answers, bytes_each: answer_bytes },
        line("snapshot on its way", 1, topology.snapshot.copy_bytes_max),
        line("database", 1, Store::MEMORY_BYTES as usize),
        line("callers that wait", authorize.waiting_max, caller),
        line("lines that wait", authorize.stream_waiting_max, waiting),
        line("records for the engine", JUDGE_WAITING, size_of::<Record>()),
        line("copies for the monitor", BOXES, Shown::bytes_max(columns(topology).len())),
        line("connections", http.connections_max, http.head_bytes_max + http.body_bytes_max),
    ];
    if topology.model.device != DeviceChoice::Cpu {
        lines.extend(taken().1.iter().map(of_share));
    }
    Bill { lines }
}

/// The bill of a device on which forward passes may run under `topology`: of its own memory, beside what its driver takes of it. Without
/// lines where none may, or the build has no CUDA.
pub fn device_bill(topology: &Topology) -> Bill {
    let shares = if topology.model.device == DeviceChoice::Cpu { Vec::new() } else { taken().0 };
    Bill { lines: shares.iter().map(of_share).collect() }
}

fn of_share(share: &Share) -> Line {
    Line { table: share.part.to_owned(), count: share.count as u64, bytes_each: share.bytes_each as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_costs_where_one_may_be_used_and_nowhere_else() {
        let mut topology = Topology::parse(&[]).unwrap();
        let bills = |topology: &Topology| (service_bill(topology), device_bill(topology));
        let (service, device) = bills(&topology);
        topology.model.device = DeviceChoice::Cpu;
        let (without, none) = bills(&topology);
        assert_eq!(none.lines, []);
        assert_eq!(service.lines[..without.lines.len()], without.lines);
        let line = |bill: &Bill, part: &str| bill.lines.iter().find(|line| line.table == part).map(Line::bytes);
        if cfg!(feature = "cuda") {
            // 2^18 rows of a cache's line, here and there; 8 MiB on their way there and 1 MiB back.
            assert_eq!((line(&service, "device: rows known"), line(&device, "rows that stay")), (Some(16 << 20), Some(16 << 20)));
            assert_eq!(line(&service, "device: pinned"), Some(9 << 20));
            let mebibytes = [service.bytes() - without.bytes(), device.bytes()].map(|bytes| bytes >> 20);
            assert_eq!(mebibytes, [34, 25], "{service:?} {device:?}");
            topology.model.device = DeviceChoice::Cuda(1);
            assert_eq!(bills(&topology), (service, device));
        } else {
            assert_eq!((service, device), (without, none));
        }
    }
}
