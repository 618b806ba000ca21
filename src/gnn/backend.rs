//! Where forward passes run: the seam between the engine and a device beside the CPU.

use super::bound::Bound;
use super::cpu::{Score, SeedView};
use crate::event::EventType;
use crate::graph::ego::EgoBatch;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A batch's seeds as a backend sees them: S seeds, F words of figures a seed.
#[derive(Clone, Copy)]
pub struct SeedBatch<'a> {
    /// By seed the type of the event that is asked about; `None` where the model is not asked. (S)
    pub judged: &'a [Option<EventType>],
    /// Words of the feature columns. (S, F)
    pub rows: &'a [u64],
    /// F
    pub width: usize,
    pub egos: &'a EgoBatch,
}

/// A device that does not answer any more, or not with what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceLost {
    /// What the device or its driver said.
    pub why: String,
}

/// Where forward passes run. Its scores are those of [`Bound::score`], to the bit.
pub trait Backend: Send {
    /// Scores of all seeds that are asked about, all or nothing: after an error `scores` is not read. `None` stands where a seed is not asked
    /// about, or the model has nothing for its type.
    ///
    /// # Errors
    /// The device is lost; it is not asked again.
    ///
    /// # Panics
    /// Where it is all the same.
    fn forward(&mut self, model: &Arc<Bound>, batch: SeedBatch<'_>, scores: &mut [Option<Score>]) -> Result<(), DeviceLost>;
}

impl SeedBatch<'_> {
    /// Whether the first seed that is asked about has the score that the CPU gives it. What is no number has no bits to compare.
    pub fn holds_what_the_cpu_says(&self, model: &Bound, scores: &[Option<Score>]) -> bool {
        let first = self.judged.iter().enumerate().find_map(|(seed, kind)| Some((seed, (*kind)?)));
        first.is_none_or(|(seed, kind)| {
            let expected = model.score(SeedView { kind, row: self.row(seed), egos: self.egos, seed });
            match (&scores[seed], &expected) {
                (Some(found), Some(expected)) => found == expected || !(found.logit.is_finite() || expected.logit.is_finite()),
                (found, expected) => found.is_none() && expected.is_none(),
            }
        })
    }

    /// Seeds.
    pub fn len(&self) -> usize {
        self.judged.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.judged.is_empty()
    }

    /// The words of a seed's feature columns.
    pub fn row(&self, seed: usize) -> &[u64] {
        &self.rows[seed * self.width..][..self.width]
    }
}

impl fmt::Display for DeviceLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for DeviceLost {}

/// `[model] device`: where forward passes are to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A device that can be used, else the CPU.
    #[default]
    Auto,
    Cpu,
    /// This one and no other, by CUDA's number.
    Cuda(u32),
}

impl DeviceChoice {
    /// What a choice may read.
    pub const WORDS: &str = "\"auto\", \"cpu\" or \"cuda:N\"";
}

impl FromStr for DeviceChoice {
    type Err = String;

    /// `cuda` alone is the first device.
    fn from_str(text: &str) -> Result<DeviceChoice, String> {
        match text {
            "auto" => Some(DeviceChoice::Auto),
            "cpu" => Some(DeviceChoice::Cpu),
            "cuda" => Some(DeviceChoice::Cuda(0)),
            _ => {
                let number = text.strip_prefix("cuda:").filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
                number.and_then(|number| number.parse().ok()).map(DeviceChoice::Cuda)
            }
        }
        .ok_or_else(|| format!("expected {}", DeviceChoice::WORDS))
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceChoice::Auto => f.write_str("auto"),
            DeviceChoice::Cpu => f.write_str("cpu"),
            DeviceChoice::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Caught when planted: a number that was cut at its first sign that is none.
    #[test]
    fn a_choice_is_read_back_and_nothing_else_is_one() {
        for choice in [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Cuda(0), DeviceChoice::Cuda(17)] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for text in ["", "gpu", "cuda:", "cuda:x", "cuda:1x", "cuda:-1", "CPU", "cuda0", "cuda: 1", "cuda:+1"] {
            assert_eq!(text.parse::<DeviceChoice>(), Err("expected \"auto\", \"cpu\" or \"cuda:N\"".to_owned()), "{text}");
        }
    }
}
