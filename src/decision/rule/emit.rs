//! From a checked rule to jumps.
//!
//! A condition is emitted towards three places: where to go on when it is true, when it is false and when it errs, and it is told which
//! of them comes next, so that the likely way falls through. Where both sides of `&&` or `||` can err, a register remembers that the
//! left one did; where only the left one can, the sides are exchanged, which CEL's semantics allow: nothing has a side effect, and an
//! error is absorbed from either side.

use super::tree::{Arithmetic, Class, Condition, Relation, Value};
use super::{OPS_MAX, Op, REGISTERS_MAX, RuleError};

/// A place in the program that may not be known yet.
type Label = u16;

/// Where a condition goes on.
#[derive(Clone, Copy)]
struct Ways {
    yes: Label,
    no: Label,
    error: Label,
    /// The one of these that is bound directly behind the condition, or another place.
    next: Label,
}

/// Collects the rules of one program. Within a rule targets are labels; when it ends they become positions.
#[derive(Default)]
pub(in crate::decision) struct Emitter {
    ops: Vec<Op>,
    /// By label of the present rule: the position it stands for. [`super::SOURCE_BYTES_MAX`] keeps their number far below 2^16.
    places: Vec<Option<u16>>,
    /// Blocks for errors: rarely walked, so they stand behind the rule: `(label, first operation, where to go on)`.
    aside: Vec<(Label, Op, Label)>,
    too_deep: bool,
}

impl Emitter {
    /// Appends `condition` as the rule with this index; when it does not hold the walk goes on with the next rule.
    pub(in crate::decision) fn rule(&mut self, condition: &Condition, index: u16) -> Result<(), RuleError> {
        let start = self.ops.len();
        let (holds, error, after) = (self.label(), self.label(), self.label());
        self.condition(condition, 0, Ways { yes: holds, no: after, error, next: holds });
        self.bind(holds);
        self.ops.push(Op::Holds { index });
        let mut aside = std::mem::take(&mut self.aside);
        if condition.can_err() {
            aside.push((error, Op::Errs { index }, after));
        }
        if !aside.is_empty() {
            self.ops.push(Op::Jump { target: after });
        }
        for (label, op, then) in aside {
            self.bind(label);
            self.ops.push(op);
            self.ops.push(Op::Jump { target: then });
        }
        self.bind(after);
        let count = self.ops.len() - start;
        if count > OPS_MAX {
            return Err(RuleError { message: format!("the rule needs {count} operations, at most {OPS_MAX}"), offset: 0 });
        }
        if self.too_deep {
            let message = format!("the rule holds more than {REGISTERS_MAX} values at once: it is nested too deeply");
            return Err(RuleError { message, offset: 0 });
        }
        if self.ops.len() > usize::from(u16::MAX) {
            let message = format!("the rules together need {} operations, at most {}", self.ops.len(), u16::MAX);
            return Err(RuleError { message, offset: 0 });
        }
        for op in &mut self.ops[start..] {
            let (target, error) = links(op);
            if let Some(label) = target {
                *label = self.places[usize::from(*label)].expect("a condition's ways are bound when its rule ends");
            }
            if let Some(label) = error {
                // Nobody takes the error way of a condition that cannot err (two comparisons with a constant that is a number): it may
                // be unbound, and leads on.
                *label = self.places[usize::from(*label)].unwrap_or(self.places[usize::from(after)].expect("bound above"));
            }
        }
        self.places.clear();
        Ok(())
    }

    /// The program.
    pub(in crate::decision) fn finish(mut self) -> Box<[Op]> {
        self.ops.push(Op::End);
        self.ops.into_boxed_slice()
    }

    fn label(&mut self) -> Label {
        self.places.push(None);
        (self.places.len() - 1) as Label
    }

    fn bind(&mut self, label: Label) {
        self.places[usize::from(label)] = Some(self.ops.len() as u16);
    }

    fn register(&mut self, number: usize) -> u8 {
        self.too_deep |= number >= REGISTERS_MAX;
        (number % REGISTERS_MAX) as u8
    }

    fn jump(&mut self, target: Label, next: Label) {
        if target != next {
            self.ops.push(Op::Jump { target });
        }
    }

    /// Emits the operation that `make` gives for `(expected, target)` so that it continues by `ways`.
    fn branch(&mut self, ways: Ways, make: impl FnOnce(bool, Label) -> Op) {
        if ways.next == ways.no {
            self.ops.push(make(false, ways.yes));
            return;
        }
        self.ops.push(make(true, ways.no));
        self.jump(ways.yes, ways.next);
    }

    /// `condition`, with the registers from `free` on at its disposal.
    fn condition(&mut self, condition: &Condition, free: usize, ways: Ways) {
        match condition {
            Condition::Constant(true) => self.jump(ways.yes, ways.next),
            Condition::Constant(false) => self.jump(ways.no, ways.next),
            Condition::Column(column) => {
                let column = *column;
                self.branch(ways, |expected, target| Op::ColumnEquals { expected: !expected, column, target, word: 0 });
            }
            Condition::Not(inner) => self.condition(inner, free, Ways { yes: ways.no, no: ways.yes, ..ways }),
            Condition::And(left, right) => self.both(left, right, free, ways, true),
            Condition::Or(left, right) => self.both(left, right, free, ways, false),
            Condition::Choose(choice) => {
                let (when, then, otherwise) = &**choice;
                let (first, second) = (self.label(), self.label());
                self.condition(when, free, Ways { yes: first, no: second, error: ways.error, next: first });
                self.bind(first);
                self.condition(then, free, Ways { next: second, ..ways });
                self.bind(second);
                self.condition(otherwise, free, ways);
            }
            Condition::Compare { class, relation, left, right } => self.compare(*class, *relation, left, right, free, ways),
            Condition::In { value, of, elements } => self.within(value, *of, elements, free, ways),
        }
    }

    /// `left && right`, or `left || right`. The side that decides alone is "no" for `&&`, "yes" for `||`.
    fn both(&mut self, left: &Condition, right: &Condition, free: usize, ways: Ways, and: bool) {
        let (first, second) = if left.can_err() && !right.can_err() { (right, left) } else { (left, right) };
        let undecided = self.label();
        if !first.can_err() {
            let way = if and { Ways { yes: undecided, next: undecided, ..ways } } else { Ways { no: undecided, next: undecided, ..ways } };
            self.condition(first, free, way);
            self.bind(undecided);
            self.condition(second, free, ways);
            return;
        }
        let erred = self.register(free);
        let (failed, passed) = (self.label(), self.label());
        self.ops.push(Op::Constant { to: erred, word: 0 });
        self.aside.push((failed, Op::Constant { to: erred, word: 1 }, undecided));
        let (way, then) = if and {
            (
                Ways { yes: undecided, no: ways.no, error: failed, next: undecided },
                Ways { yes: passed, no: ways.no, error: ways.error, next: passed },
            )
        } else {
            (
                Ways { yes: ways.yes, no: undecided, error: failed, next: undecided },
                Ways { yes: ways.yes, no: passed, error: ways.error, next: passed },
            )
        };
        self.condition(first, free + 1, way);
        self.bind(undecided);
        self.condition(second, free + 1, then);
        self.bind(passed);
        self.ops.push(Op::JumpIf { register: erred, target: ways.error });
        self.jump(if and { ways.yes } else { ways.no }, ways.next);
    }

    fn compare(&mut self, class: Class, relation: Relation, left: &Value, right: &Value, free: usize, ways: Ways) {
        let error = ways.error;
        // `a >= b` is not `a < b`: what has no order has gone to `error` before.
        let (relation, ways) = match relation {
            Relation::Different => (Relation::Equal, Ways { yes: ways.no, no: ways.yes, ..ways }),
            Relation::AtLeast => (Relation::Less, Ways { yes: ways.no, no: ways.yes, ..ways }),
            Relation::AtMost => (Relation::Greater, Ways { yes: ways.no, no: ways.yes, ..ways }),
            other => (other, ways),
        };
        let (left, right, relation) = match (left, right) {
            (Value::Constant(_), Value::Column(_)) => (right, left, relation.mirrored()),
            _ => (left, right, relation),
        };
        if let (&Value::Column(column), &Value::Constant(word)) = (left, right) {
            let constant = f64::from_bits(word);
            self.branch(ways, |expected, target| match (class, relation) {
                (Class::Double, Relation::Less) => Op::ColumnDoubleLess { expected, column, target, error, constant },
                (Class::Double, Relation::Greater) => Op::ColumnDoubleGreater { expected, column, target, error, constant },
                (Class::Double, _) => Op::ColumnDoubleEquals { expected, column, target, constant },
                (Class::Word, Relation::Less) => Op::ColumnLess { expected, column, target, constant: word as i64 },
                (Class::Word, Relation::Greater) => Op::ColumnGreater { expected, column, target, constant: word as i64 },
                (Class::Word, _) => Op::ColumnEquals { expected, column, target, word },
            });
            return;
        }
        self.value(left, free, error);
        self.value(right, free + 1, error);
        let (left, right) = (self.register(free), self.register(free + 1));
        let (left, right) = if relation == Relation::Greater { (right, left) } else { (left, right) };
        self.branch(ways, |expected, target| match (class, relation) {
            (Class::Double, Relation::Equal) => Op::DoubleEquals { expected, left, right, target },
            (Class::Double, _) => Op::DoubleLess { expected, left, right, target, error },
            (Class::Word, Relation::Equal) => Op::Equals { expected, left, right, target },
            (Class::Word, _) => Op::Less { expected, left, right, target },
        });
    }

    /// `value in [elements]`: a ladder of comparisons. `of` is the value's own class; an element of the other class compares as double.
    fn within(&mut self, value: &Value, of: Class, elements: &[(Class, u64)], free: usize, ways: Ways) {
        let column = match value {
            Value::Column(column) => Some(*column),
            _ => {
                self.value(value, free, ways.error);
                None
            }
        };
        for (class, word) in elements {
            let further = self.label();
            let way = Ways { no: further, next: further, ..ways };
            let constant = Value::Constant(*word);
            match column {
                Some(column) if *class == of => self.compare(*class, Relation::Equal, &Value::Column(column), &constant, free, way),
                Some(column) => {
                    let wide = Value::ToDouble(Box::new(Value::Column(column)));
                    self.compare(Class::Double, Relation::Equal, &wide, &constant, free, way);
                }
                None => {
                    let (kept, left, right) = (self.register(free), self.register(free + 1), self.register(free + 2));
                    let word = *word;
                    self.ops.push(Op::Constant { to: right, word });
                    if *class == of {
                        self.branch(way, |expected, target| match class {
                            Class::Double => Op::DoubleEquals { expected, left: kept, right, target },
                            Class::Word => Op::Equals { expected, left: kept, right, target },
                        });
                    } else {
                        self.ops.push(Op::Copy { to: left, from: kept });
                        self.ops.push(Op::ToDouble { to: left });
                        self.branch(way, |expected, target| Op::DoubleEquals { expected, left, right, target });
                    }
                }
            }
            self.bind(further);
        }
        self.jump(ways.no, ways.next);
    }

    /// `value` into register `to`; the registers behind it are at its disposal.
    fn value(&mut self, value: &Value, to: usize, error: Label) {
        let register = self.register(to);
        match value {
            Value::Constant(word) => self.ops.push(Op::Constant { to: register, word: *word }),
            Value::Column(column) => self.ops.push(Op::Load { to: register, column: *column }),
            Value::Arithmetic { class, operator, sides } => {
                self.value(&sides.0, to, error);
                self.value(&sides.1, to + 1, error);
                let (to, from) = (register, self.register(to + 1));
                self.ops.push(match (class, operator) {
                    (Class::Word, Arithmetic::Add) => Op::Add { to, from, error },
                    (Class::Word, Arithmetic::Subtract) => Op::Subtract { to, from, error },
                    (Class::Word, Arithmetic::Multiply) => Op::Multiply { to, from, error },
                    (Class::Word, Arithmetic::Divide) => Op::Divide { to, from, error },
                    (Class::Word, Arithmetic::Remainder) => Op::Remainder { to, from, error },
                    (Class::Double, Arithmetic::Add) => Op::DoubleAdd { to, from },
                    (Class::Double, Arithmetic::Subtract) => Op::DoubleSubtract { to, from },
                    (Class::Double, Arithmetic::Multiply) => Op::DoubleMultiply { to, from },
                    (Class::Double, Arithmetic::Divide) => Op::DoubleDivide { to, from },
                    (Class::Double, Arithmetic::Remainder) => unreachable!("refused by the checker"),
                });
            }
            Value::Negate(class, inner) => {
                self.value(inner, to, error);
                self.ops.push(match class {
                    Class::Word => Op::Negate { to: register, error },
                    Class::Double => Op::DoubleNegate { to: register },
                });
            }
            Value::ToDouble(inner) => {
                self.value(inner, to, error);
                self.ops.push(Op::ToDouble { to: register });
            }
            Value::ToInt(inner) => {
                self.value(inner, to, error);
                self.ops.push(Op::ToInt { to: register, error });
            }
            Value::Choose(choice) => {
                let (when, then, otherwise) = &**choice;
                let (first, second, end) = (self.label(), self.label(), self.label());
                self.condition(when, to, Ways { yes: first, no: second, error, next: first });
                self.bind(first);
                self.value(then, to, error);
                self.ops.push(Op::Jump { target: end });
                self.bind(second);
                self.value(otherwise, to, error);
                self.bind(end);
            }
            Value::Truth(condition) => {
                let (yes, no, end) = (self.label(), self.label(), self.label());
                self.condition(condition, to, Ways { yes, no, error, next: yes });
                self.bind(yes);
                self.ops.push(Op::Constant { to: register, word: 1 });
                self.ops.push(Op::Jump { target: end });
                self.bind(no);
                self.ops.push(Op::Constant { to: register, word: 0 });
                self.bind(end);
            }
        }
    }
}

/// The places an operation may lead to, besides the next one.
fn links(op: &mut Op) -> (Option<&mut u16>, Option<&mut u16>) {
    match op {
        Op::ColumnDoubleLess { target, error, .. }
        | Op::ColumnDoubleGreater { target, error, .. }
        | Op::DoubleLess { target, error, .. } => (Some(target), Some(error)),
        Op::ColumnEquals { target, .. }
        | Op::ColumnLess { target, .. }
        | Op::ColumnGreater { target, .. }
        | Op::ColumnDoubleEquals { target, .. }
        | Op::Equals { target, .. }
        | Op::Less { target, .. }
        | Op::DoubleEquals { target, .. }
        | Op::JumpIf { target, .. }
        | Op::Jump { target } => (Some(target), None),
        Op::Add { error, .. }
        | Op::Subtract { error, .. }
        | Op::Multiply { error, .. }
        | Op::Divide { error, .. }
        | Op::Remainder { error, .. }
        | Op::Negate { error, .. }
        | Op::ToInt { error, .. } => (None, Some(error)),
        Op::Load { .. }
        | Op::Constant { .. }
        | Op::Copy { .. }
        | Op::DoubleAdd { .. }
        | Op::DoubleSubtract { .. }
        | Op::DoubleMultiply { .. }
        | Op::DoubleDivide { .. }
        | Op::DoubleNegate { .. }
        | Op::ToDouble { .. }
        | Op::Holds { .. }
        | Op::Errs { .. }
        | Op::End => (None, None),
    }
}
