//! A rule's typed tree, and what of it is computed when it is loaded.

/// How words compare and compute: as they stand (integers, hashes, truth values) or as doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::decision) enum Class {
    Word,
    Double,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::decision) enum Relation {
    Equal,
    Different,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl Relation {
    /// The relation of the exchanged sides.
    pub(super) fn mirrored(self) -> Relation {
        match self {
            Relation::Equal | Relation::Different => self,
            Relation::Less => Relation::Greater,
            Relation::AtMost => Relation::AtLeast,
            Relation::Greater => Relation::Less,
            Relation::AtLeast => Relation::AtMost,
        }
    }
}

/// An operator of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::decision) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// What gives a word.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::decision) enum Value {
    Constant(u64),
    Column(u16),
    Arithmetic {
        class: Class,
        operator: Arithmetic,
        sides: Box<(Value, Value)>,
    },
    Negate(Class, Box<Value>),
    ToDouble(Box<Value>),
    ToInt(Box<Value>),
    Choose(Box<(Condition, Value, Value)>),
    /// 1 where the condition holds, else 0.
    Truth(Box<Condition>),
}

/// What holds or does not.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::decision) enum Condition {
    Constant(bool),
    Column(u16),
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Choose(Box<(Condition, Condition, Condition)>),
    Compare {
        class: Class,
        relation: Relation,
        left: Value,
        right: Value,
    },
    /// Whether `value`, of class `of`, equals one of the constants; each says as which class it compares.
    In {
        value: Value,
        of: Class,
        elements: Vec<(Class, u64)>,
    },
}

impl Value {
    /// Whether it can overflow, divide by zero or convert what has no integer.
    fn can_err(&self) -> bool {
        match self {
            Value::Constant(_) | Value::Column(_) => false,
            Value::Arithmetic { class, operator, sides } => {
                // Only a constant divisor other than 0 and -1 (which overflows once) is known to be safe.
                let safe_divisor = matches!(sides.1, Value::Constant(word) if !matches!(word as i64, 0 | -1));
                let own = match (class, operator) {
                    (Class::Double, _) => false,
                    (Class::Word, Arithmetic::Divide | Arithmetic::Remainder) => !safe_divisor,
                    (Class::Word, _) => true,
                };
                own || sides.0.can_err() || sides.1.can_err()
            }
            Value::Negate(class, inner) => *class == Class::Word || inner.can_err(),
            Value::ToDouble(inner) => inner.can_err(),
            Value::ToInt(_) => true,
            Value::Choose(choice) => choice.0.can_err() || choice.1.can_err() || choice.2.can_err(),
            Value::Truth(condition) => condition.can_err(),
        }
    }

    /// The columns that it reads.
    fn columns(&self, out: &mut Vec<u16>) {
        match self {
            Value::Constant(_) => {}
            Value::Column(column) => out.push(*column),
            Value::Arithmetic { sides, .. } => [&sides.0, &sides.1].into_iter().for_each(|side| side.columns(out)),
            Value::Negate(_, inner) | Value::ToDouble(inner) | Value::ToInt(inner) => inner.columns(out),
            Value::Choose(choice) => {
                choice.0.columns(out);
                [&choice.1, &choice.2].into_iter().for_each(|value| value.columns(out));
            }
            Value::Truth(condition) => condition.columns(out),
        }
    }

    /// Whether, as a double, it can be no number.
    fn can_be_nan(&self) -> bool {
        !matches!(self, Value::Constant(_) | Value::ToDouble(_))
    }
}

impl Condition {
    /// The constants that the column of doubles is compared with, wherever in the condition that is.
    pub(in crate::decision) fn compared(&self, column: u16, out: &mut Vec<f64>) {
        match self {
            Condition::Constant(_) | Condition::Column(_) | Condition::In { .. } => {}
            Condition::Not(inner) => inner.compared(column, out),
            Condition::And(left, right) | Condition::Or(left, right) => [left, right].iter().for_each(|side| side.compared(column, out)),
            Condition::Choose(choice) => [&choice.0, &choice.1, &choice.2].iter().for_each(|part| part.compared(column, out)),
            Condition::Compare { class: Class::Double, left, right, .. } => match (left, right) {
                (Value::Column(of), Value::Constant(word)) | (Value::Constant(word), Value::Column(of)) if *of == column => {
                    out.push(f64::from_bits(*word));
                }
                _ => {}
            },
            Condition::Compare { .. } => {}
        }
    }

    /// The columns that it reads, some more than once.
    pub(in crate::decision) fn columns(&self, out: &mut Vec<u16>) {
        match self {
            Condition::Constant(_) => {}
            Condition::Column(column) => out.push(*column),
            Condition::Not(inner) => inner.columns(out),
            Condition::And(left, right) | Condition::Or(left, right) => [left, right].iter().for_each(|side| side.columns(out)),
            Condition::Choose(choice) => [&choice.0, &choice.1, &choice.2].iter().for_each(|part| part.columns(out)),
            Condition::Compare { left, right, .. } => [left, right].iter().for_each(|side| side.columns(out)),
            Condition::In { value, .. } => value.columns(out),
        }
    }

    /// Whether asking it can be an error.
    pub(super) fn can_err(&self) -> bool {
        match self {
            Condition::Constant(_) | Condition::Column(_) => false,
            Condition::Not(inner) => inner.can_err(),
            Condition::And(left, right) | Condition::Or(left, right) => left.can_err() || right.can_err(),
            Condition::Choose(choice) => choice.0.can_err() || choice.1.can_err() || choice.2.can_err(),
            Condition::Compare { class, relation, left, right } => {
                let ordering = !matches!(relation, Relation::Equal | Relation::Different);
                let nan = *class == Class::Double && ordering && (left.can_be_nan() || right.can_be_nan());
                nan || left.can_err() || right.can_err()
            }
            Condition::In { value, .. } => value.can_err(),
        }
    }
}

/// `value`, computed now where all of it is constant and no error arises.
pub(super) fn folded(value: Value) -> Value {
    let constant = match &value {
        Value::Arithmetic { class, operator, sides } => match (&sides.0, &sides.1) {
            (&Value::Constant(left), &Value::Constant(right)) => computed(*class, *operator, left, right),
            _ => None,
        },
        Value::Negate(class, inner) => match (class, &**inner) {
            (Class::Word, &Value::Constant(word)) => (word as i64).checked_neg().map(|negated| negated as u64),
            (Class::Double, &Value::Constant(word)) => Some((-f64::from_bits(word)).to_bits()),
            _ => None,
        },
        Value::ToDouble(inner) => match **inner {
            Value::Constant(word) => Some((word as i64 as f64).to_bits()),
            _ => None,
        },
        _ => None,
    };
    constant.map_or(value, Value::Constant)
}

fn computed(class: Class, operator: Arithmetic, left: u64, right: u64) -> Option<u64> {
    match class {
        Class::Word => {
            let (left, right) = (left as i64, right as i64);
            let result = match operator {
                Arithmetic::Add => left.checked_add(right),
                Arithmetic::Subtract => left.checked_sub(right),
                Arithmetic::Multiply => left.checked_mul(right),
                Arithmetic::Divide => left.checked_div(right),
                Arithmetic::Remainder => left.checked_rem(right),
            };
            result.map(|value| value as u64)
        }
        Class::Double => {
            let (left, right) = (f64::from_bits(left), f64::from_bits(right));
            let result = match operator {
                Arithmetic::Add => left + right,
                Arithmetic::Subtract => left - right,
                Arithmetic::Multiply => left * right,
                Arithmetic::Divide => left / right,
                Arithmetic::Remainder => return None,
            };
            // What is no number stays an operation, so that a constant is always one.
            result.is_finite().then(|| result.to_bits())
        }
    }
}
