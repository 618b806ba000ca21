//! AdamW (Loshchilov and Hutter, ICLR'19) with a rate that rises and falls once (Smith and Topin, 2018).

use super::network::{Gradients, Network};

/// AdamW, its rate and its first moment's memory on one cycle.
pub struct Optimizer {
    first: Gradients,
    second: Gradients,
    step: usize,
    steps: usize,
    rate_max: f32,
    weight_decay: f32,
}

/// Where the rate begins and ends, as parts of the highest; when it is highest, as a part of the course.
const RATE_BEGINS: f32 = 1.0 / 25.0;
const RATE_ENDS: f32 = 1e-5;
const RISES: f32 = 0.3;
/// Memory of the first moment when the rate is low, and when it is highest.
const MEMORY: (f32, f32) = (0.95, 0.85);
const SECOND_MEMORY: f32 = 0.999;

impl Optimizer {
    /// Of a course of so many `steps`.
    pub fn new(network: &Network, steps: usize, rate_max: f32, weight_decay: f32) -> Optimizer {
        let zeroes: Gradients = network.parameters.iter().map(|parameter| vec![0.0; parameter.values.len()]).collect();
        Optimizer { first: zeroes.clone(), second: zeroes, step: 0, steps, rate_max, weight_decay }
    }

    /// The rate as a part of the highest, and the memory.
    fn cycle(&self) -> (f32, f32) {
        let at = self.step as f32 / self.steps.max(1) as f32;
        let between = |from: f32, to: f32, part: f32| to + (from - to) * 0.5 * (1.0 + (std::f32::consts::PI * part.min(1.0)).cos());
        match at < RISES {
            true => (between(RATE_BEGINS, 1.0, at / RISES), between(MEMORY.0, MEMORY.1, at / RISES)),
            false => {
                let part = (at - RISES) / (1.0 - RISES);
                (between(1.0, RATE_ENDS, part), between(MEMORY.1, MEMORY.0, part))
            }
        }
    }

    /// Moves the parameters against their gradients.
    pub fn step(&mut self, network: &mut Network, gradients: &Gradients) {
        let (part, memory) = self.cycle();
        self.step += 1;
        let rate = self.rate_max * part;
        let first_whole = 1.0 - memory.powi(self.step as i32);
        let second_whole = 1.0 - SECOND_MEMORY.powi(self.step as i32);
        for (at, parameter) in network.parameters.iter_mut().enumerate() {
            let kept = if parameter.decays { 1.0 - rate * self.weight_decay } else { 1.0 };
            let moments = self.first[at].iter_mut().zip(&mut self.second[at]);
            for ((value, gradient), (first, second)) in parameter.values.iter_mut().zip(&gradients[at]).zip(moments) {
                *first = memory * *first + (1.0 - memory) * gradient;
                *second = SECOND_MEMORY * *second + (1.0 - SECOND_MEMORY) * gradient * gradient;
                *value = *value * kept - rate * (*first / first_whole) / ((*second / second_whole).sqrt() + 1e-8);
            }
        }
    }
}
