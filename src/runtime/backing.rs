//! Which device forward passes run on: chosen at the start, told of, kept to until it is lost.

use super::error::ReplayError;
use crate::gnn::cuda::{Missing, open_device, open_first};
use crate::gnn::{Backend, DeviceChoice};
use crate::metrics::Metrics;
use serde_json::{Value, json};
use std::mem::ManuallyDrop;
use std::thread::Builder;
use tracing::{error, info, warn};

/// What the CPU is called where devices are named.
pub(super) const CPU: &str = "cpu";

/// Seeds of a batch from which a device is asked: with fewer a core is done before a launch is (`kernels/README.md`: reckoned, not measured).
const SEEDS_MIN: usize = 32;

/// Where forward passes run, and how that is called.
pub struct Backing {
    name: String,
    /// The device, and for how many seeds at least it is asked.
    backend: Option<(Box<dyn Backend>, usize)>,
    /// Why each device that would have been taken before is not.
    passed: Vec<Missing>,
}

impl Backing {
    /// The CPU.
    pub fn cpu() -> Backing {
        Backing { name: CPU.to_owned(), backend: None, passed: Vec::new() }
    }

    /// A backend of this name, asked about batches of at least `seeds_min` seeds.
    pub fn of(name: &str, backend: Box<dyn Backend>, seeds_min: usize) -> Backing {
        Backing { name: name.to_owned(), backend: Some((backend, seeds_min)), passed: Vec::new() }
    }

    /// What is chosen, brought up. A service does so whether a topology names a model or not: one may be published at any time, and a device that
    /// was asked for and cannot be used is to be known at the start, not in the middle of traffic.
    ///
    /// # Errors
    /// Where one device and no other is chosen and cannot be used.
    pub fn choose(choice: DeviceChoice) -> Result<Backing, ReplayError> {
        match choice {
            DeviceChoice::Cpu => Ok(Backing::cpu()),
            DeviceChoice::Auto => {
                let (opened, passed) = open_first();
                let first = opened.map_or_else(Backing::cpu, |(name, backend)| Backing::of(&name, backend, SEEDS_MIN));
                Ok(Backing { passed, ..first })
            }
            DeviceChoice::Cuda(number) => match open_device(number) {
                Ok((name, backend)) => Ok(Backing::of(&name, backend, SEEDS_MIN)),
                Err(why) => Err(ReplayError::Device(choice, why)),
            },
        }
    }

    /// As decisions' readers are told: `cpu`, or `cuda:0` and what the device is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why it is this one, where another device would have been taken before: what each of them said.
    pub fn instead(&self) -> Option<String> {
        (!self.passed.is_empty()).then(|| self.passed.iter().map(Missing::to_string).collect::<Vec<_>>().join("; "))
    }

    /// Whether it is the CPU.
    pub fn is_cpu(&self) -> bool {
        self.backend.is_none()
    }

    /// As [`Backing::instead`], one by one.
    pub fn passed(&self) -> &[Missing] {
        &self.passed
    }

    /// The device, if it is not the CPU.
    pub(super) fn into_backend(self) -> Option<(Box<dyn Backend>, usize)> {
        self.backend
    }

    /// One line of the log, and the gauge.
    pub(super) fn tell(&self, metrics: &Metrics) {
        let (device, why) = (self.name.as_str(), self.instead().unwrap_or_default());
        match (&self.backend, self.passed.as_slice()) {
            (_, []) => info!(device, "forward passes run here"),
            (None, [Missing::Driver | Missing::Built]) => info!(device, why, "there is no device: forward passes run on the CPU"),
            (None, _) => warn!(device, why, "no device can be used: forward passes run on the CPU"),
            (Some(_), _) => warn!(device, why, "forward passes run here, for no device before it can be used"),
        }
        show(metrics, &self.name);
    }
}

/// Lets go of a device that was lost, on a thread of its own: its driver may take long, or for ever, and nobody waits for that.
pub(super) fn let_go(backend: Box<dyn Backend>) {
    let backend = ManuallyDrop::new(backend);
    // Where there is no thread to be had it stays as it is.
    let _ = Builder::new().name("lost device".to_owned()).spawn(move || drop(ManuallyDrop::into_inner(backend)));
}

/// The device `name` is lost and the CPU has its place: one line of the log, and the gauge.
pub(super) fn tell_lost(metrics: &Metrics, name: &str, why: &str) {
    error!(device = name, why, "the device is lost: forward passes run on the CPU from here on, with the same results");
    show(metrics, CPU);
}

/// What the blob of a control record tells of where forward passes run from there on.
pub(super) fn told(name: &str, why: &str) -> Vec<u8> {
    json!({ "device": name, "why": why }).to_string().into_bytes()
}

/// The device that such a blob names.
pub(super) fn device_of(blob: &[u8]) -> Option<String> {
    let told: Value = serde_json::from_slice(blob).ok()?;
    told["device"].as_str().map(str::to_owned)
}

fn show(metrics: &Metrics, name: &str) {
    metrics.gnn_backend.reset();
    metrics.gnn_backend.with_label_values(&[name]).set(1);
}
