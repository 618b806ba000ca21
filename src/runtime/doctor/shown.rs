//! An examination for people.

use super::{Examination, Limits};
use crate::topology::grouped;
use std::fmt;

fn mebibytes(bytes: Option<u64>) -> String {
    bytes.map_or("unknown".to_owned(), |bytes| format!("{} MiB", grouped(bytes >> 20)))
}

fn limit(limit: Option<[Option<u64>; 2]>) -> String {
    match limit {
        Some([Some(soft), _]) => grouped(soft),
        Some([None, _]) => "unlimited".to_owned(),
        None => "unknown".to_owned(),
    }
}

impl fmt::Display for Examination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, name: &str, text: &str| writeln!(f, "  {name:<11} {text}");
        let features = if self.features.is_empty() { "nothing more".to_owned() } else { self.features.join(", ") };
        writeln!(f, "weir {}, built with {features}", self.version)?;
        let processor = &self.processor;
        let (model, features) = (processor.model.as_deref().unwrap_or("unknown"), processor.features.join(" "));
        line(f, "processor", &format!("{model}, {} core(s), {features}", processor.cores))?;
        let memory = &self.memory;
        let limited = memory.limit_bytes.map(|limit| format!(", at most {} here", mebibytes(Some(limit)))).unwrap_or_default();
        let (total, free, swap) = (mebibytes(memory.total_bytes), mebibytes(memory.available_bytes), mebibytes(memory.swap_bytes));
        line(
            f,
            "memory",
            &format!("{total}, {free} free{limited}, swap {swap}; the topology takes {}", mebibytes(Some(self.needed_bytes))),
        )?;
        line(f, "huge pages", memory.huge_pages.as_deref().unwrap_or("unknown"))?;
        let Limits { open_files, file_bytes, address_space_bytes, processes } = self.limits;
        let (files, size, space, processes) = (limit(open_files), limit(file_bytes), limit(address_space_bytes), limit(processes));
        line(f, "limits", &format!("open files {files}, file size {size}, address space {space}, processes {processes}"))?;
        let devices = &self.devices;
        match &devices.library {
            Some(path) => {
                let cuda = devices.cuda.as_deref().map(|cuda| format!(", CUDA {cuda}")).unwrap_or_default();
                let driver = devices.driver.as_deref().map(|driver| format!(", driver {driver}")).unwrap_or_default();
                line(f, "driver", &format!("{}{cuda}{driver}", path.display()))?;
            }
            None => line(f, "driver", "none")?,
        }
        for device in &devices.devices {
            let why = device.why_not.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
            let (capability, memory) = (device.capability.as_deref().unwrap_or("unknown"), mebibytes(device.memory_bytes));
            line(f, "device", &format!("{}, compute capability {capability}, {memory}{why}", device.name))?;
        }
        if let Some(why) = &devices.why_none {
            line(f, "no device", why)?;
        }
        let used = devices.used.as_deref().unwrap_or("nothing");
        let taken = match devices.needed_bytes {
            0 => String::new(),
            bytes => format!("; a device takes {} of its own", mebibytes(Some(bytes))),
        };
        line(f, "forward on", &format!("{used} (model.device is {}){taken}", devices.chosen))?;
        let brokers = &self.brokers;
        let library = brokers.librdkafka.as_deref().map_or("this build has no Kafka".to_owned(), |version| format!("librdkafka {version}"));
        match (&brokers.configured, brokers.reached.is_empty()) {
            (None, _) => line(f, "brokers", &format!("none configured; {library}"))?,
            (Some(named), true) => line(f, "brokers", &format!("{named} not reached; {library}"))?,
            (Some(_), false) => line(f, "brokers", &format!("{}; {library}", brokers.reached.join(", ")))?,
        }
        if let Some(data) = &self.data {
            let there = if data.exists { "" } else { ", not there yet" };
            let (free, total) = (mebibytes(data.free_bytes), mebibytes(data.total_bytes));
            let system = data.file_system.as_deref().unwrap_or("an unknown file system");
            line(f, "data", &format!("{}{there}: {system}, {free} free of {total}", data.path.display()))?;
        }
        self.notes.iter().try_for_each(|note| line(f, "note", note))?;
        self.problems.iter().try_for_each(|problem| line(f, "PROBLEM", problem))?;
        match self.problems.len() {
            0 => write!(f, "what is configured can work"),
            count => write!(f, "{count} of what is configured cannot work"),
        }
    }
}
