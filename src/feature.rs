//! Feature columns: what the engine knows of an event when it is judged, by name and type.
//!
//! One row of 64-bit words an event. An integer column holds an `i64`, a double column the bits of an `f64`, a text column the low half
//! of a symbol's or id's hash (0 where the field is absent), a boolean column 0 or 1.

/// What a column's words mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FeatureType {
    Int,
    Double,
    /// Hash of a text. `kind` is the [`crate::event::IdKind`] under which a constant must be hashed to compare with it.
    Text(crate::event::IdKind),
    Bool,
}

/// The column of what the model says: filled behind the others, which the model reads.
pub const PROBABILITY: &str = "model_probability";

/// With this begin the columns of what was found around a transfer.
pub const LAUNDERING: &str = "laundering.";

/// A column's name and type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// `amount`, or `user_payments.count_1h`: at most one dot.
    pub name: String,
    pub kind: FeatureType,
    /// One line for `weir check`.
    pub help: String,
}

/// The columns of a row, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    pub features: Vec<Feature>,
}

impl Schema {
    /// The position of the column `name`.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.features.iter().position(|feature| feature.name == name)
    }

    /// Appends a column and returns its position.
    pub fn push(&mut self, name: impl Into<String>, kind: FeatureType, help: impl Into<String>) -> usize {
        self.features.push(Feature { name: name.into(), kind, help: help.into() });
        self.features.len() - 1
    }

    /// Words a row.
    pub fn len(&self) -> usize {
        self.features.len()
    }

    /// Whether there is no column.
    pub fn is_empty(&self) -> bool {
        self.features.is_empty()
    }
}

/// The word that holds `value` in a double column.
pub fn double(value: f64) -> u64 {
    value.to_bits()
}

/// The word that holds `value` in an integer column.
pub fn int(value: i64) -> u64 {
    value as u64
}
