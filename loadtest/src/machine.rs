//! The machine a figure was measured on.

use serde::Serialize;
use std::fs;
use std::thread;

/// What a reader must know of the machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub memory_gib: f64,
    pub system: String,
    /// How many processes wanted to run in the minute before the run.
    pub load_before: f64,
}

impl Machine {
    /// This machine, as far as it tells.
    pub fn here() -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let named = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            line.split_once(':').map(|(_, value)| value.trim().to_owned())
        };
        let memory_kib: f64 =
            named(&read("/proc/meminfo"), "MemTotal").and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or(0.0);
        Machine {
            processor: named(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: thread::available_parallelism().map_or(0, |cores| cores.get()),
            memory_gib: memory_kib / 1_048_576.0,
            system: format!("{} {}", std::env::consts::OS, read("/proc/sys/kernel/osrelease").trim()),
            load_before: read("/proc/loadavg").split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0.0),
        }
    }

    /// All of it in one line.
    pub fn line(&self) -> String {
        format!(
            "{}, {} cores, {:.1} GiB, {}, load before the run {:.2}",
            self.processor, self.cores, self.memory_gib, self.system, self.load_before
        )
    }
}
