//! Which device forward passes run on: chosen at the start, told of, kept to until it is lost.

use super::error::ReplayError;
use crate::gnn::cuda::{Missing, open_device};
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
    /// Why it is the CPU although a device would have been taken.
    instead: Option<Missing>,
}

impl Backing {
    /// The CPU.
    pub fn cpu() -> Backing {
        Backing { name: CPU.to_owned(), backend: None, instead: None }
    }

    /// A backend of this name, asked about batches of at least `seeds_min` seeds.
    pub fn of(name: &str, backend: Box<dyn Backend>, seeds_min: usize) -> Backing {
        Backing { name: name.to_owned(), backend: Some((backend, seeds_min)), instead: None }
    }

    /// What is chosen, brought up.
    ///
    /// # Errors
    /// Where one device and no other is chosen and cannot be used.
    pub fn choose(choice: DeviceChoice) -> Result<Backing, ReplayError> {
        let device = match choice {
            DeviceChoice::Cpu => return Ok(Backing::cpu()),
            DeviceChoice::Auto => None,
            DeviceChoice::Cuda(number) => Some(number),
        };
        match (open_device(device), device) {
            (Ok((name, backend)), _) => Ok(Backing::of(&name, backend, SEEDS_MIN)),
            (Err(why), None) => Ok(Backing { instead: Some(why), ..Backing::cpu() }),
            (Err(why), Some(_)) => Err(ReplayError::Device(choice, why)),
        }
    }

    /// As decisions' readers are told: `cpu`, or `cuda:0` and what the device is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why it is the CPU, where a device would have been taken.
    pub fn instead(&self) -> Option<String> {
        self.instead.as_ref().map(Missing::to_string)
    }

    /// The device, if it is not the CPU.
    pub(super) fn into_backend(self) -> Option<(Box<dyn Backend>, usize)> {
        self.backend
    }

    /// One line of the log, and the gauge.
    pub(super) fn tell(&self, metrics: &Metrics) {
        match &self.instead {
            Some(why @ (Missing::Driver | Missing::Built)) => {
                info!(device = self.name, %why, "there is no device: forward passes run on the CPU");
            }
            Some(why) => warn!(device = self.name, %why, "no device can be used: forward passes run on the CPU"),
            None => info!(device = self.name, "forward passes run here"),
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
