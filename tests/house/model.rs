//! Models that nobody trained: their parameters are drawn, and what they say differs from event to event and from model to model.

use std::path::Path;
use weir::gnn::{Branch, Coded, HIDDEN, Model, NARROW};

/// A layer under which the model in the file `a.safetensors` judges, and a rule asks it.
pub const JUDGING: &str = "
[policy.rule.model]
of = \"payment\"
when = \"model_probability > 0.5\"
outcome = \"challenge\"
risk_score = 470
[model]
file = \"a.safetensors\"
";

/// Numbers between -1 and 1: SplitMix64 (Steele et al., OOPSLA'14).
struct Drawn(u64);

impl Drawn {
    fn fill(&mut self, values: &mut [f32], scale: f32) {
        for value in values {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            *value = (((z ^ z >> 31) >> 40) as f32 / (1 << 23) as f32 - 1.0) * scale;
        }
    }
}

/// A model of payments under the embedded topology.
pub fn model(seed: u64) -> Model {
    let mut drawn = Drawn(seed);
    let mut model = Model::zero();
    drawn.fill(model.time.as_flattened_mut().as_flattened_mut(), 0.3);
    drawn.fill(model.message.as_flattened_mut().as_flattened_mut(), 0.1);
    drawn.fill(model.message_bias.as_flattened_mut(), 0.1);
    drawn.fill(model.join.as_flattened_mut().as_flattened_mut(), 0.2);
    drawn.fill(model.narrow.as_flattened_mut(), 0.3);
    drawn.fill(&mut model.narrow_bias, 0.1);
    let coded = |name: &str, edges: &[f32]| Coded { name: name.to_owned(), edges: edges.to_vec() };
    let inputs = vec![
        coded("amount", &[0.0, 100.0, 300.0, 600.0, 1_000.0]),
        coded("user_payments.count_1h", &[0.0, 1.0, 4.0]),
        coded("entity_1.count_1d", &[0.0, 2.0, 8.0]),
    ];
    let count = inputs.iter().map(Coded::pieces).sum();
    let mut branch = Branch {
        inputs,
        bias: [0.0; HIDDEN],
        pieces: vec![[0.0; HIDDEN]; count],
        head: [0.0; NARROW],
        head_bias: 0.0,
        slope: 1.0,
        offset: 0.0,
        reference: None,
    };
    drawn.fill(&mut branch.bias, 0.1);
    drawn.fill(branch.pieces.as_flattened_mut(), 0.6);
    drawn.fill(&mut branch.head, 0.8);
    model.payment = Some(branch);
    model
}

/// Writes a model's file, and returns the name by which decisions call it.
pub fn write(path: &Path, model: &Model) -> String {
    use sha2::{Digest, Sha256};
    let bytes = model.to_bytes();
    std::fs::write(path, &bytes).unwrap();
    Sha256::digest(&bytes)[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}
