//! `weir doctor`: what Weir sees of the machine, its devices and brokers, and what of that a topology cannot do with.

mod machine;
mod shown;

use super::Backing;
use super::{device_bill, service_bill};
use crate::gnn::cuda::{Card, Missing, Seen, cuda_version, look};
use crate::kafka::{self, KafkaOptions};
use crate::topology::{Bill, Sizes, Topology, grouped};
use machine::{Directory, Limits, Memory, Processor, REMOTE, VOLATILE, kernel_module, loaded};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What was seen. As JSON its keys are these.
#[derive(Clone, Debug, Serialize)]
pub struct Examination {
    pub version: &'static str,
    /// Those that the program was built with.
    pub features: Vec<&'static str>,
    processor: Processor,
    memory: Memory,
    /// What the topology's tables and the service's parts take at most.
    needed_bytes: u64,
    limits: Limits,
    devices: Devices,
    brokers: Brokers,
    data: Option<Directory>,
    /// What was configured and cannot work.
    pub problems: Vec<String>,
    /// What works, but not as well as it might.
    pub notes: Vec<String>,
}

/// The driver and what it knows.
#[derive(Clone, Debug, Serialize)]
struct Devices {
    library: Option<PathBuf>,
    /// The CUDA that the driver speaks, and the version of its kernel module.
    cuda: Option<String>,
    driver: Option<String>,
    devices: Vec<Device>,
    /// Why none of them can be used.
    why_none: Option<String>,
    /// What the topology or the caller says.
    chosen: String,
    /// Where forward passes would run.
    used: Option<String>,
    /// What they take of a device's memory, beside what its driver does; nothing where none may be used.
    needed_bytes: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Device {
    name: String,
    /// `None`, as its memory: it does not say.
    capability: Option<String>,
    memory_bytes: Option<u64>,
    why_not: Option<String>,
}

/// What the brokers say.
#[derive(Clone, Debug, Serialize)]
struct Brokers {
    /// `None`: this build has no Kafka.
    librdkafka: Option<String>,
    configured: Option<String>,
    /// By identity and address.
    reached: Vec<String>,
    unreached: Option<String>,
}

/// Looks at everything, under `topology`; at `data` where the service is to keep its files.
pub fn examine(topology: &Topology, data: Option<&Path>) -> Examination {
    let built = [("cuda", cfg!(feature = "cuda")), ("kafka", cfg!(feature = "kafka")), ("kafka-ssl", cfg!(feature = "kafka-ssl"))];
    let built = built.into_iter().chain([("learn", cfg!(feature = "learn"))]);
    let engine = Bill::of(&topology.deciding.limits, topology.batch_events_max, &Sizes::of(&topology.deciding));
    let (mut problems, mut notes) = (Vec::new(), Vec::new());
    let examination = Examination {
        version: crate::ENGINE_VERSION,
        features: built.filter(|(_, has)| *has).map(|(name, _)| name).collect(),
        processor: Processor::look(),
        memory: Memory::look(),
        needed_bytes: engine.bytes() + service_bill(topology).bytes(),
        limits: Limits::look(),
        devices: devices(topology, &mut problems, &mut notes),
        brokers: brokers(topology.kafka.as_ref(), &mut problems),
        data: data.map(Directory::look),
        problems: Vec::new(),
        notes: Vec::new(),
    };
    judge(&examination, topology, &mut problems, &mut notes);
    Examination { problems, notes, ..examination }
}

fn devices(topology: &Topology, problems: &mut Vec<String>, notes: &mut Vec<String>) -> Devices {
    let choice = topology.model.device;
    let (Seen { cuda, cards, missing }, driver) = (look(), kernel_module());
    // Brought up as a service would: only that shows whether its code can be loaded.
    let chosen = Backing::choose(choice);
    let why = chosen.as_ref().ok().filter(|backing| backing.is_cpu()).and_then(Backing::instead);
    match &chosen {
        Ok(backing) => notes.extend(unused(backing, driver.is_some())),
        Err(error) => problems.push(format!("model.device: {error}")),
    }
    let device = |(number, card): (usize, &Result<Card, Missing>)| match card {
        Ok(card) => Device {
            name: card.name(),
            capability: Some(format!("{}.{}", card.capability.0, card.capability.1)),
            memory_bytes: Some(card.memory_bytes),
            why_not: card.missing().map(|why| why.to_string()),
        },
        Err(why) => Device { name: format!("cuda:{number}"), capability: None, memory_bytes: None, why_not: Some(why.to_string()) },
    };
    Devices {
        library: loaded("libcuda.so"),
        cuda: cuda.map(cuda_version),
        driver,
        devices: cards.iter().enumerate().map(device).collect(),
        why_none: missing.as_ref().map(Missing::to_string).or(why),
        chosen: choice.to_string(),
        used: chosen.ok().map(|backing| backing.name().to_owned()),
        needed_bytes: device_bill(topology).bytes(),
    }
}

/// Of each device that is there and would have been taken before, why it is not, and what can be done. Without a library, or CUDA in this
/// build, only the driver's kernel module shows that there is one.
fn unused(backing: &Backing, has_kernel_module: bool) -> impl Iterator<Item = String> {
    let is_there = move |why: &&Missing| has_kernel_module || !matches!(why, Missing::Driver | Missing::Built);
    let told = |why: &Missing| format!("a device is not used: {why}; forward passes run on {}, with the same results", backing.name());
    backing.passed().iter().filter(is_there).map(told)
}

fn brokers(options: Option<&KafkaOptions>, problems: &mut Vec<String>) -> Brokers {
    let mut brokers = Brokers {
        librdkafka: kafka::library_version(),
        configured: options.map(|options| options.brokers.clone()),
        reached: Vec::new(),
        unreached: None,
    };
    match options.map(kafka::reach) {
        Some(Ok(reached)) => brokers.reached = reached,
        Some(Err(why)) => {
            problems.push(format!("kafka.brokers: {why}"));
            brokers.unreached = Some(why);
        }
        None => {}
    }
    brokers
}

/// Files that a process has open beside connections: journal, logs, database, snapshots.
const FILES_BESIDE: u64 = 256;

/// What of the machine the topology cannot do with, and what is worth a word.
fn judge(seen: &Examination, topology: &Topology, problems: &mut Vec<String>, notes: &mut Vec<String>) {
    let mebibytes = |bytes: u64| format!("{} MiB", grouped(bytes >> 20));
    let Memory { total_bytes, available_bytes, limit_bytes, ref huge_pages, .. } = seen.memory;
    let needed = seen.needed_bytes;
    let soft = |limit: Option<[Option<u64>; 2]>| limit.and_then(|[soft, _]| soft);
    let bounds =
        [("memory", total_bytes), ("the control group's limit", limit_bytes), ("ulimit -v", soft(seen.limits.address_space_bytes))];
    match bounds.into_iter().find_map(|(name, bound)| bound.filter(|bound| *bound < needed).map(|bound| (name, bound))) {
        Some((name, bound)) => problems.push(format!(
            "limits: the topology takes {} at most, found {name} of {}: `weir check` says which table takes how much",
            mebibytes(needed),
            mebibytes(bound)
        )),
        None if available_bytes.is_some_and(|available| available < needed) => {
            notes.push(format!(
                "the topology takes {} at most, {} are free now",
                mebibytes(needed),
                mebibytes(available_bytes.unwrap_or(0))
            ));
        }
        None => {}
    }
    if huge_pages.as_deref() == Some("never") {
        notes.push(
            "huge pages are off: steps take up to twice as long (/sys/kernel/mm/transparent_hugepage/enabled: madvise or always)"
                .to_owned(),
        );
    }
    if !seen.processor.fused {
        notes.push("the processor lacks fma, avx2 or popcnt: a forward pass takes many times as long, with the same results".to_owned());
    }
    let files = topology.http.connections_max as u64 + FILES_BESIDE;
    if let Some(found) = soft(seen.limits.open_files).filter(|found| *found < files) {
        notes.push(format!(
            "ulimit -n is {found}, expected {files}: http.connections_max and the files beside; connections beyond it are refused"
        ));
    }
    let segment = topology.journal.segment_bytes;
    if let Some(found) = soft(seen.limits.file_bytes).filter(|found| *found < segment) {
        problems.push(format!("journal.segment_bytes is {segment}, found ulimit -f of {found} bytes: the journal could not be written"));
    }
    let Some(data) = &seen.data else { return };
    let path = data.path.display();
    if !data.writable {
        problems.push(format!("{path}: found no directory that this user may write in, expected one, or a place for one"));
    }
    if let Some(free) = data.free_bytes.filter(|free| *free < segment) {
        problems.push(format!(
            "{path}: found {} free, expected room for one segment of the journal ({})",
            mebibytes(free),
            mebibytes(segment)
        ));
    }
    match data.file_system.as_deref() {
        Some(name) if REMOTE.contains(&name) || name.starts_with("fuse") => {
            notes.push(format!("{path} is on {name}: what it promises of a sync, and of the lock, is not known here"));
        }
        Some(name) if VOLATILE.contains(&name) => notes.push(format!("{path} is on {name}: a restart of the machine empties it")),
        _ => {}
    }
}
