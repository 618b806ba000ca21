//! The flat program: operations of 16 bytes with their operands inside, walked by one loop.
//!
//! Conditions are jumps. An operation of the form "unless" goes on with the next one when its relation gives `expected` and jumps to
//! `target` when not, so a comparison of a column with a constant, which is most of every policy, costs one step.

use super::{EvaluationError, REGISTERS_MAX};

/// One operation. Targets and errors are positions in the program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::decision) enum Op {
    /// Unless `row[column] == word` is `expected`. Int, text and bool columns.
    ColumnEquals {
        expected: bool,
        column: u16,
        target: u16,
        word: u64,
    },
    /// Unless `row[column] < constant` is `expected`, as integers.
    ColumnLess {
        expected: bool,
        column: u16,
        target: u16,
        constant: i64,
    },
    /// Unless `row[column] > constant` is `expected`, as integers.
    ColumnGreater {
        expected: bool,
        column: u16,
        target: u16,
        constant: i64,
    },
    /// As above for doubles; a NaN goes to `error`.
    ColumnDoubleLess {
        expected: bool,
        column: u16,
        target: u16,
        error: u16,
        constant: f64,
    },
    ColumnDoubleGreater {
        expected: bool,
        column: u16,
        target: u16,
        error: u16,
        constant: f64,
    },
    /// A NaN equals nothing.
    ColumnDoubleEquals {
        expected: bool,
        column: u16,
        target: u16,
        constant: f64,
    },
    /// The same relations between registers.
    Equals {
        expected: bool,
        left: u8,
        right: u8,
        target: u16,
    },
    Less {
        expected: bool,
        left: u8,
        right: u8,
        target: u16,
    },
    DoubleLess {
        expected: bool,
        left: u8,
        right: u8,
        target: u16,
        error: u16,
    },
    DoubleEquals {
        expected: bool,
        left: u8,
        right: u8,
        target: u16,
    },
    /// Jumps when the register is not 0.
    JumpIf {
        register: u8,
        target: u16,
    },
    Jump {
        target: u16,
    },
    Load {
        to: u8,
        column: u16,
    },
    Constant {
        to: u8,
        word: u64,
    },
    Copy {
        to: u8,
        from: u8,
    },
    /// `to = to OP from`; overflow and division by zero go to `error`.
    Add {
        to: u8,
        from: u8,
        error: u16,
    },
    Subtract {
        to: u8,
        from: u8,
        error: u16,
    },
    Multiply {
        to: u8,
        from: u8,
        error: u16,
    },
    Divide {
        to: u8,
        from: u8,
        error: u16,
    },
    Remainder {
        to: u8,
        from: u8,
        error: u16,
    },
    Negate {
        to: u8,
        error: u16,
    },
    DoubleAdd {
        to: u8,
        from: u8,
    },
    DoubleSubtract {
        to: u8,
        from: u8,
    },
    DoubleMultiply {
        to: u8,
        from: u8,
    },
    DoubleDivide {
        to: u8,
        from: u8,
    },
    DoubleNegate {
        to: u8,
    },
    ToDouble {
        to: u8,
    },
    /// Towards zero; outside the integers, and NaN: `error`.
    ToInt {
        to: u8,
        error: u16,
    },
    /// Rule `index` holds.
    Holds {
        index: u16,
    },
    /// Rule `index` met an error.
    Errs {
        index: u16,
    },
    /// The program is over.
    End,
}

const _: () = assert!(std::mem::size_of::<Op>() == 16, "four operations fit a cache line");

/// Walks `ops` over `row` and tells `answer` each rule that holds or errs, in their order; of the others it says nothing.
/// Jumps lead only forward (see [`super::emit`]) except from the blocks behind the last rule back into it, each at most once a rule:
/// so the walk ends.
pub(in crate::decision) fn run(ops: &[Op], row: &[u64], mut answer: impl FnMut(u16, Result<(), EvaluationError>)) {
    let mut registers = [0u64; REGISTERS_MAX];
    let mut at = 0usize;
    // The mask spares the bounds check; the emitter never gives out a greater number.
    macro_rules! register {
        ($number:expr) => {
            registers[usize::from($number) % REGISTERS_MAX]
        };
    }
    macro_rules! unless {
        ($relation:expr, $expected:expr, $target:expr) => {
            at = if ($relation) == $expected { at + 1 } else { usize::from($target) }
        };
    }
    macro_rules! ordered {
        ($left:expr, $relation:tt, $right:expr, $expected:expr, $target:expr, $error:expr) => {{
            let (left, right): (f64, f64) = ($left, $right);
            if left.is_nan() || right.is_nan() {
                at = usize::from($error);
            } else {
                unless!((left $relation right), $expected, $target);
            }
        }};
    }
    macro_rules! checked {
        ($to:expr, $result:expr, $error:expr) => {
            match $result {
                Some(value) => {
                    register!($to) = value as u64;
                    at += 1;
                }
                None => at = usize::from($error),
            }
        };
    }
    macro_rules! set {
        ($to:expr, $word:expr) => {{
            register!($to) = $word;
            at += 1;
        }};
    }
    let double = f64::from_bits;
    loop {
        match ops[at] {
            Op::ColumnEquals { expected, column, target, word } => unless!(row[usize::from(column)] == word, expected, target),
            Op::ColumnLess { expected, column, target, constant } => {
                unless!((row[usize::from(column)] as i64) < constant, expected, target)
            }
            Op::ColumnGreater { expected, column, target, constant } => {
                unless!((row[usize::from(column)] as i64) > constant, expected, target)
            }
            Op::ColumnDoubleLess { expected, column, target, error, constant } => {
                ordered!(double(row[usize::from(column)]), <, constant, expected, target, error)
            }
            Op::ColumnDoubleGreater { expected, column, target, error, constant } => {
                ordered!(double(row[usize::from(column)]), >, constant, expected, target, error)
            }
            Op::ColumnDoubleEquals { expected, column, target, constant } => {
                unless!(double(row[usize::from(column)]) == constant, expected, target)
            }
            Op::Equals { expected, left, right, target } => unless!(register!(left) == register!(right), expected, target),
            Op::Less { expected, left, right, target } => {
                unless!((register!(left) as i64) < (register!(right) as i64), expected, target)
            }
            Op::DoubleLess { expected, left, right, target, error } => {
                ordered!(double(register!(left)), <, double(register!(right)), expected, target, error)
            }
            Op::DoubleEquals { expected, left, right, target } => {
                unless!(double(register!(left)) == double(register!(right)), expected, target)
            }
            Op::JumpIf { register, target } => unless!(register!(register) == 0, true, target),
            Op::Jump { target } => at = usize::from(target),
            Op::Load { to, column } => set!(to, row[usize::from(column)]),
            Op::Constant { to, word } => set!(to, word),
            Op::Copy { to, from } => set!(to, register!(from)),
            Op::Add { to, from, error } => checked!(to, (register!(to) as i64).checked_add(register!(from) as i64), error),
            Op::Subtract { to, from, error } => checked!(to, (register!(to) as i64).checked_sub(register!(from) as i64), error),
            Op::Multiply { to, from, error } => checked!(to, (register!(to) as i64).checked_mul(register!(from) as i64), error),
            Op::Divide { to, from, error } => checked!(to, (register!(to) as i64).checked_div(register!(from) as i64), error),
            Op::Remainder { to, from, error } => checked!(to, (register!(to) as i64).checked_rem(register!(from) as i64), error),
            Op::Negate { to, error } => checked!(to, (register!(to) as i64).checked_neg(), error),
            Op::DoubleAdd { to, from } => set!(to, (double(register!(to)) + double(register!(from))).to_bits()),
            Op::DoubleSubtract { to, from } => set!(to, (double(register!(to)) - double(register!(from))).to_bits()),
            Op::DoubleMultiply { to, from } => set!(to, (double(register!(to)) * double(register!(from))).to_bits()),
            Op::DoubleDivide { to, from } => set!(to, (double(register!(to)) / double(register!(from))).to_bits()),
            Op::DoubleNegate { to } => set!(to, (-double(register!(to))).to_bits()),
            Op::ToDouble { to } => set!(to, (register!(to) as i64 as f64).to_bits()),
            Op::ToInt { to, error } => checked!(to, truncated(double(register!(to))), error),
            Op::Holds { index } => {
                answer(index, Ok(()));
                at += 1;
            }
            Op::Errs { index } => {
                answer(index, Err(EvaluationError));
                at += 1;
            }
            Op::End => return,
        }
    }
}

/// `value` towards zero, if it lies strictly between -2^63 and 2^63: CEL leaves both bounds out.
fn truncated(value: f64) -> Option<i64> {
    (value > i64::MIN as f64 && value < i64::MAX as f64).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_become_integers_towards_zero_and_only_in_their_range() {
        assert_eq!(truncated(-2.9), Some(-2));
        assert_eq!(truncated(9_223_372_036_854_774_784.0), Some(9_223_372_036_854_774_784));
        for out in [f64::NAN, f64::INFINITY, 9_223_372_036_854_775_808.0, -9_223_372_036_854_775_808.0] {
            assert_eq!(truncated(out), None, "{out}");
        }
    }
}
