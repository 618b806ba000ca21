//! A model as a file: safetensors, whose names and shapes are checked before a number of it is used.

use super::model::{AGE_BUCKETS, Branch, Coded, HIDDEN, INPUTS_MAX, MESSAGE, Model, NARROW, PIECES_MAX, SUMS, TIME_CODES};
use super::spread::Reference;
use crate::graph::ego::SEED_SLOTS;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;
use std::fmt;

/// What the file says of its form; a change of what the numbers mean changes it.
pub const FORM: &str = "weir model 1";
/// The most bytes of a model file.
pub const BYTES_MAX: usize = 4 << 20;

/// What is wrong with a model file, for the person who must act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelError(pub String);

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ModelError {}

fn wrong<T>(message: String) -> Result<T, ModelError> {
    Err(ModelError(message))
}

impl Model {
    /// The model as a file's bytes: the same model, the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut tensors = Vec::new();
        let mut tensor = |name: &str, shape: &[usize], values: Vec<f32>| {
            debug_assert_eq!(shape.iter().product::<usize>(), values.len());
            tensors.push((name.to_owned(), shape.to_vec(), values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()));
        };
        tensor("time", &[SEED_SLOTS, AGE_BUCKETS, TIME_CODES], self.time.as_flattened().as_flattened().to_vec());
        tensor("message.weight", &[SEED_SLOTS, SUMS, MESSAGE], self.message.as_flattened().as_flattened().to_vec());
        tensor("message.bias", &[SEED_SLOTS, MESSAGE], self.message_bias.as_flattened().to_vec());
        tensor("join", &[SEED_SLOTS, MESSAGE, HIDDEN], self.join.as_flattened().as_flattened().to_vec());
        tensor("narrow.weight", &[HIDDEN, NARROW], self.narrow.as_flattened().to_vec());
        tensor("narrow.bias", &[NARROW], self.narrow_bias.to_vec());
        // One text for one model: a map of the library has no order of its own.
        let mut words = vec![("form".to_owned(), FORM.to_owned())];
        for (name, branch) in [("payment", &self.payment), ("transfer", &self.transfer)] {
            let Some(branch) = branch else { continue };
            let edges: Vec<f32> = branch.inputs.iter().flat_map(|input| input.edges.iter().copied()).collect();
            tensor(&format!("{name}.edges"), &[edges.len()], edges);
            tensor(&format!("{name}.bias"), &[HIDDEN], branch.bias.to_vec());
            tensor(&format!("{name}.pieces"), &[branch.pieces.len(), HIDDEN], branch.pieces.as_flattened().to_vec());
            tensor(&format!("{name}.head"), &[NARROW], branch.head.to_vec());
            tensor(&format!("{name}.scale"), &[3], vec![branch.head_bias, branch.slope, branch.offset]);
            let inputs: Vec<String> = branch.inputs.iter().map(|input| format!("{} {}", input.name, input.pieces())).collect();
            words.push((format!("{name}.inputs"), inputs.join("\n")));
            words.extend(branch.reference.as_ref().map(|reference| (format!("{name}.reference"), reference.to_text())));
        }
        write(&words, &tensors)
    }

    /// The model in a file's bytes.
    ///
    /// # Errors
    /// What is missing, of another shape, not finite or not ascending; a file of another form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Model, ModelError> {
        if bytes.len() > BYTES_MAX {
            return wrong(format!("found {} bytes, expected at most {BYTES_MAX}", bytes.len()));
        }
        let (_, head) = SafeTensors::read_metadata(bytes).map_err(|error| ModelError(format!("found no safetensors file ({error})")))?;
        let file = SafeTensors::deserialize(bytes).map_err(|error| ModelError(format!("found no safetensors file ({error})")))?;
        let none = HashMap::new();
        let words = head.metadata().as_ref().unwrap_or(&none);
        match words.get("form") {
            Some(form) if form == FORM => {}
            Some(form) => return wrong(format!("found a file of the form `{form}`, expected `{FORM}`")),
            None => return wrong(format!("found tensors of nobody knows what, expected a file of the form `{FORM}`")),
        }
        let mut model = Model::zero();
        read(&file, "time", &[SEED_SLOTS, AGE_BUCKETS, TIME_CODES], model.time.as_flattened_mut().as_flattened_mut())?;
        read(&file, "message.weight", &[SEED_SLOTS, SUMS, MESSAGE], model.message.as_flattened_mut().as_flattened_mut())?;
        read(&file, "message.bias", &[SEED_SLOTS, MESSAGE], model.message_bias.as_flattened_mut())?;
        read(&file, "join", &[SEED_SLOTS, MESSAGE, HIDDEN], model.join.as_flattened_mut().as_flattened_mut())?;
        read(&file, "narrow.weight", &[HIDDEN, NARROW], model.narrow.as_flattened_mut())?;
        read(&file, "narrow.bias", &[NARROW], &mut model.narrow_bias)?;
        for (name, branch) in [("payment", &mut model.payment), ("transfer", &mut model.transfer)] {
            if let Some(inputs) = words.get(&format!("{name}.inputs")) {
                let branch = branch.insert(read_branch(&file, name, inputs)?);
                let called = format!("{name}.reference");
                branch.reference = words.get(&called).map(|text| Reference::from_text(&called, text)).transpose()?;
            }
        }
        if model.payment.is_none() && model.transfer.is_none() {
            return wrong("found inputs neither for payments nor for transfers".to_owned());
        }
        Ok(model)
    }
}

fn read_branch(file: &SafeTensors<'_>, name: &str, inputs: &str) -> Result<Branch, ModelError> {
    let mut coded = Vec::new();
    for line in inputs.lines() {
        let parsed = line.split_once(' ').and_then(|(input, pieces)| Some((input, pieces.parse::<usize>().ok()?)));
        match parsed {
            Some((input, pieces)) if (1..=PIECES_MAX).contains(&pieces) => coded.push((input, pieces)),
            _ => return wrong(format!("{name}.inputs: found `{line}`, expected a name and 1 to {PIECES_MAX} pieces")),
        }
    }
    if coded.is_empty() || coded.len() > INPUTS_MAX {
        return wrong(format!("{name}.inputs: found {} inputs, expected 1 to {INPUTS_MAX}", coded.len()));
    }
    let pieces: usize = coded.iter().map(|(_, pieces)| pieces).sum();
    let mut edges = vec![0.0; pieces + coded.len()];
    read(file, &format!("{name}.edges"), &[pieces + coded.len()], &mut edges)?;
    let mut branch = Branch {
        inputs: Vec::with_capacity(coded.len()),
        bias: [0.0; HIDDEN],
        pieces: vec![[0.0; HIDDEN]; pieces],
        head: [0.0; NARROW],
        head_bias: 0.0,
        slope: 0.0,
        offset: 0.0,
        reference: None,
    };
    let mut rest = edges.as_slice();
    for (input, pieces) in coded {
        let (own, behind) = rest.split_at(pieces + 1);
        rest = behind;
        if !own.is_sorted_by(|a, b| a < b) {
            return wrong(format!("{name}.edges: found {own:?} for `{input}`, expected each to be greater than the one before"));
        }
        branch.inputs.push(Coded { name: input.to_owned(), edges: own.to_vec() });
    }
    read(file, &format!("{name}.bias"), &[HIDDEN], &mut branch.bias)?;
    read(file, &format!("{name}.pieces"), &[pieces, HIDDEN], branch.pieces.as_flattened_mut())?;
    read(file, &format!("{name}.head"), &[NARROW], &mut branch.head)?;
    let mut scale = [0.0; 3];
    read(file, &format!("{name}.scale"), &[3], &mut scale)?;
    [branch.head_bias, branch.slope, branch.offset] = scale;
    if branch.slope <= 0.0 {
        return wrong(format!(
            "{name}.scale: found a slope of {}, expected one above 0: a greater logit is a greater probability",
            branch.slope
        ));
    }
    Ok(branch)
}

fn read(file: &SafeTensors<'_>, name: &str, shape: &[usize], out: &mut [f32]) -> Result<(), ModelError> {
    let tensor: TensorView<'_> = match file.tensor(name) {
        Ok(tensor) => tensor,
        Err(_) => return wrong(format!("{name}: found no such tensor, expected one of shape {shape:?}")),
    };
    if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
        return wrong(format!("{name}: found {:?} of shape {:?}, expected F32 of shape {shape:?}", tensor.dtype(), tensor.shape()));
    }
    for (place, (value, bytes)) in out.iter_mut().zip(tensor.data().chunks_exact(4)).enumerate() {
        *value = f32::from_le_bytes(bytes.try_into().expect("four bytes"));
        if !value.is_finite() {
            return wrong(format!("{name}: found {value} at place {place}, expected finite numbers"));
        }
    }
    Ok(())
}

/// The library orders tensors by what is behind their names; words it keeps in a map of its own order. Here both stand as given.
fn write(words: &[(String, String)], tensors: &[(String, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
    let mut head = serde_json::Map::new();
    head.insert(
        "__metadata__".to_owned(),
        words.iter().map(|(name, word)| (name.clone(), word.clone().into())).collect::<serde_json::Map<_, _>>().into(),
    );
    let mut at = 0;
    for (name, shape, bytes) in tensors {
        head.insert(name.clone(), serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [at, at + bytes.len()] }));
        at += bytes.len();
    }
    let mut head = serde_json::Value::Object(head).to_string().into_bytes();
    head.resize(head.len().next_multiple_of(8), b' ');
    let mut out = (head.len() as u64).to_le_bytes().to_vec();
    out.extend_from_slice(&head);
    tensors.iter().for_each(|(.., bytes)| out.extend_from_slice(bytes));
    out
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::any_model;
    use super::super::spread::Spread;
    use super::*;

    fn broken(change: impl FnOnce(&mut Model)) -> String {
        let mut model = any_model(3);
        change(&mut model);
        Model::from_bytes(&model.to_bytes()).expect_err("a broken model").to_string()
    }

    #[test]
    fn a_model_survives_its_bytes() {
        let model = any_model(1);
        let bytes = model.to_bytes();
        assert_eq!(Model::from_bytes(&bytes), Ok(model.clone()));
        assert_eq!(model.to_bytes(), bytes);
        let mut half = model;
        let spread = Spread { edges: vec![0.125], shares: vec![0.75, 0.25] };
        half.payment.as_mut().unwrap().reference = Some(Reference { score: spread.clone(), figures: vec![("amount".to_owned(), spread)] });
        half.transfer = None;
        assert_eq!(Model::from_bytes(&half.to_bytes()), Ok(half));
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(broken(|model| model.join[1][2][3] = f32::NAN), "join: found NaN at place 2179, expected finite numbers");
        assert!(broken(|model| model.payment.as_mut().unwrap().inputs[0].edges[1] = -1e9).starts_with("payment.edges: found ["));
        assert!(broken(|model| model.payment.as_mut().unwrap().slope = -1.0).contains("expected one above 0"));
        assert_eq!(broken(|model| (model.payment, model.transfer) = (None, None)), "found inputs neither for payments nor for transfers");
        let bytes = any_model(1).to_bytes();
        assert!(Model::from_bytes(&bytes[..bytes.len() - 4]).expect_err("cut").0.starts_with("found no safetensors file"));
        assert!(Model::from_bytes(b"{}").expect_err("no file").0.starts_with("found no safetensors file"));
        let other = String::from_utf8_lossy(&bytes[..64]).into_owned();
        assert!(other.contains(FORM), "the form stands at the beginning: {other}");
        let mut renamed = bytes.clone();
        let at = bytes.windows(FORM.len()).position(|window| window == FORM.as_bytes()).unwrap();
        renamed[at + FORM.len() - 1] = b'9';
        assert_eq!(
            Model::from_bytes(&renamed).expect_err("another form").0,
            "found a file of the form `weir model 9`, expected `weir model 1`"
        );
    }
}
