//! What a machine has of devices, and why none of them can be used: in words for whoever can do something about it.

use super::device::DeviceError;
use std::fmt;

/// The least compute capability that the kernels are built for.
pub const CAPABILITY_MIN: (i32, i32) = (7, 5);

/// The least version of CUDA that the driver must speak, as drivers write it: the kernels are built by this one.
pub const CUDA_MIN: i32 = 13_000;

/// A device that the driver knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// CUDA's number.
    pub number: u32,
    /// What the driver calls it.
    pub model: String,
    /// Compute capability: major, minor.
    pub capability: (i32, i32),
    pub memory_bytes: u64,
}

/// The driver and its devices, as far as they tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The CUDA that the driver speaks, as drivers write versions.
    pub cuda: Option<i32>,
    /// By CUDA's numbers: what each is, or why it does not say so.
    pub cards: Vec<Result<Card, Missing>>,
    /// Why none of them can be used, whichever is asked for.
    pub missing: Option<Missing>,
}

impl Seen {
    /// The card of this number, if it can be used by what it is.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn card(&self, number: u32) -> Result<&Card, Missing> {
        if let Some(missing) = &self.missing {
            return Err(missing.clone());
        }
        let found = self.cards.get(number as usize).ok_or(Missing::Number { asked: number, devices: self.cards.len() as u32 })?;
        let card = found.as_ref().map_err(Missing::clone)?;
        card.missing().map_or(Ok(card), Err)
    }
}

impl Card {
    /// As logs and figures name it.
    pub fn name(&self) -> String {
        format!("cuda:{} {}", self.number, self.model)
    }

    /// Why this one cannot be used, if that is so by what it is.
    pub fn missing(&self) -> Option<Missing> {
        (self.capability < CAPABILITY_MIN).then(|| Missing::DeviceOld(self.name(), self.capability))
    }
}

/// Why a device cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The program was built without the feature `cuda`.
    Built,
    /// There is no library of a driver.
    Driver,
    /// There is one, and it finds no device.
    Device,
    /// There is one, and it does not come up.
    Broken(String),
    /// It speaks an older CUDA than the kernels; as drivers write versions.
    DriverOld(i32),
    /// There are devices, but none of this number.
    Number { asked: u32, devices: u32 },
    /// The driver counts it and cannot say what it is: CUDA's number, and what the driver says instead.
    Silent { number: u32, why: String },
    /// The device's name and compute capability.
    DeviceOld(String, (i32, i32)),
    /// The device's name, and what did not fit.
    Memory(String, String),
    /// The device's name, and what it refused.
    Refused(String, String),
}

impl Missing {
    /// That this card said so while it was brought up.
    pub fn of(card: &Card, error: DeviceError) -> Missing {
        match error {
            DeviceError::Memory(what) => Missing::Memory(card.name(), what),
            DeviceError::Refused(why) => Missing::Refused(card.name(), why),
        }
    }
}

/// A version as drivers write it, as people do.
pub fn cuda_version(version: i32) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missing::Built => f.write_str("this build has no CUDA, expected one with --features cuda"),
            Missing::Driver => f.write_str(
                "found no driver library libcuda.so.1, expected that of an NVIDIA driver: install the driver, or give the container its \
                 devices (--gpus all)",
            ),
            Missing::Device => f.write_str(
                "found a driver and no device, expected one that `nvidia-smi` lists: load the driver's kernel module, or give the container \
                 its devices (--gpus all); CUDA_VISIBLE_DEVICES may hide some",
            ),
            Missing::Broken(why) => write!(f, "found a driver that does not come up ({why}), expected one that `nvidia-smi` can talk to"),
            Missing::DriverOld(found) => write!(
                f,
                "found a driver for CUDA {}, expected one for {} or later (580 or later): update the driver",
                cuda_version(*found),
                cuda_version(CUDA_MIN)
            ),
            Missing::Number { asked, devices: 1 } => write!(f, "found one device, cuda:0, expected one that is cuda:{asked}"),
            Missing::Number { asked, devices } => {
                write!(f, "found {devices} devices, cuda:0 to cuda:{}, expected one that is cuda:{asked}", devices - 1)
            }
            Missing::Silent { number, why } => write!(
                f,
                "found cuda:{number}, which does not say what it is ({why}), expected one that `nvidia-smi` can talk to: reset it, or hide it \
                 (CUDA_VISIBLE_DEVICES)"
            ),
            Missing::DeviceOld(name, (major, minor)) => {
                let (least_major, least_minor) = CAPABILITY_MIN;
                write!(
                    f,
                    "found {name} of compute capability {major}.{minor}, expected {least_major}.{least_minor} or later: take another device"
                )
            }
            Missing::Memory(name, what) => {
                write!(f, "{name} has no memory left ({what}), expected room for weights and one batch: `nvidia-smi` lists who holds it")
            }
            Missing::Refused(name, why) => write!(f, "{name} refused: {why}; see whether `nvidia-smi` can talk to it"),
        }
    }
}

impl std::error::Error for Missing {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever reads one knows which it is and what to do.
    #[test]
    fn each_has_words_of_its_own() {
        let name = || "cuda:0 NVIDIA H100".to_owned();
        let all = [
            (Missing::Built, "--features cuda"),
            (Missing::Driver, "libcuda.so.1"),
            (Missing::Device, "found a driver and no device"),
            (Missing::Broken("999".to_owned()), "does not come up (999)"),
            (Missing::DriverOld(12_040), "found a driver for CUDA 12.4, expected one for 13.0 or later"),
            (Missing::Number { asked: 3, devices: 2 }, "found 2 devices, cuda:0 to cuda:1, expected one that is cuda:3"),
            (Missing::Number { asked: 1, devices: 1 }, "found one device, cuda:0, expected one that is cuda:1"),
            (Missing::Silent { number: 2, why: "999".to_owned() }, "found cuda:2, which does not say what it is (999)"),
            (Missing::DeviceOld(name(), (7, 0)), "of compute capability 7.0, expected 7.5 or later"),
            (Missing::Memory(name(), "allocating 9 bytes".to_owned()), "no memory left (allocating 9 bytes)"),
            (Missing::Refused(name(), "loading the kernels: 1".to_owned()), "refused: loading the kernels: 1"),
        ];
        for (n, (missing, words)) in all.iter().enumerate() {
            let text = missing.to_string();
            assert!(text.contains(words), "{text}");
            assert!(all[..n].iter().all(|(other, _)| other.to_string() != text), "{text}");
        }
    }
}
