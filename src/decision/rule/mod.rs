//! Rules: conditions in CEL syntax over the feature columns, compiled to a flat program.
//!
//! A rule takes three steps: `cel` parses it, [`check`] gives every part a type against the schema, [`emit`] turns it into jumps over
//! columns, constants and a few registers, and [`run`] walks them. Nothing is allocated and nothing recurses while a rule is asked.
//!
//! The meaning is that of CEL: `&&` and `||` absorb an error of one side when the other side decides; integer overflow, division by zero
//! and the ordering of a NaN are errors. The interpreter of `cel` is the referee (`referee.rs`). Narrower than CEL on purpose: types are
//! known when the rule is loaded, numbers mix only in comparisons, and texts (kept as hashes) know `==`, `!=` and `in` alone.

mod check;
mod emit;
#[cfg(test)]
mod referee;
mod run;
mod tree;

pub(super) use check::check;
pub(super) use emit::Emitter;
pub(super) use run::{Op, run};
pub(super) use tree::{Class, Condition, Relation, Value};

use crate::event::IdKey;
use crate::feature::Schema;
use std::fmt;

/// The most operations of one rule.
pub const OPS_MAX: usize = 256;
/// The most intermediate values that a rule may hold at once.
pub const REGISTERS_MAX: usize = 16;
/// The longest rule, in bytes: together with the parser's own limit of 96 nested brackets it bounds how deep a rule's tree can be.
pub const SOURCE_BYTES_MAX: usize = 4096;
/// The stack on which rules are compiled. The parser takes up to 130 kB a bracket without optimisation, 12 MB at its limit; what is not
/// used is only reserved.
const COMPILER_STACK_BYTES: usize = 64 << 20;

/// Why a rule cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// What was found and what was expected.
    pub message: String,
    /// Where, in bytes from the start of the rule.
    pub offset: usize,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.message, self.offset)
    }
}

impl std::error::Error for RuleError {}

/// A rule's arithmetic overflowed, divided by zero or ordered a NaN: it neither holds nor fails to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvaluationError;

impl fmt::Display for EvaluationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the rule's arithmetic overflowed, divided by zero or compared what is not a number")
    }
}

impl std::error::Error for EvaluationError {}

/// One compiled rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    ops: Box<[Op]>,
}

impl Program {
    /// Compiles `source`, a CEL expression of type bool, against the columns of `schema`; text constants are hashed with `key`.
    pub fn compile(source: &str, schema: &Schema, key: &IdKey) -> Result<Program, RuleError> {
        deep(|| {
            let mut emitter = Emitter::default();
            emitter.rule(&check(source, schema, key)?, 0)?;
            Ok(Program { ops: emitter.finish() })
        })
        .unwrap_or_else(|message| Err(RuleError { message, offset: 0 }))
    }

    /// Whether the rule holds for `row`, a row of the schema that it was compiled against.
    pub fn holds(&self, row: &[u64]) -> Result<bool, EvaluationError> {
        let mut answer = Ok(false);
        run(&self.ops, row, |_, outcome| answer = outcome.map(|()| true));
        answer
    }
}

/// Runs `compile` on a stack that is deep enough for every rule the limits let through.
pub(super) fn deep<T: Send>(compile: impl FnOnce() -> T + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("rules".to_owned()).stack_size(COMPILER_STACK_BYTES);
        let running = thread.spawn_scoped(scope, compile).map_err(|error| format!("no thread to compile rules on: {error}"))?;
        Ok(running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::IdKind;
    use crate::feature::{FeatureType, double, int};

    fn schema() -> Schema {
        let mut schema = Schema::default();
        schema.push("amount", FeatureType::Int, "");
        schema.push("currency", FeatureType::Text(IdKind::Symbol), "");
        schema.push("user", FeatureType::Text(IdKind::User), "");
        schema.push("user_payments.count_1h", FeatureType::Int, "");
        schema.push("user_payments.bad_rate_7d", FeatureType::Double, "");
        schema.push("late", FeatureType::Bool, "");
        schema
    }

    fn row(amount: i64, currency: &str, count: i64, rate: f64, late: bool) -> [u64; 6] {
        let currency = if currency.is_empty() { 0 } else { IdKey::FILES.id(IdKind::Symbol, currency.as_bytes()).low() };
        let user = IdKey::FILES.id(IdKind::User, b"7").low();
        [int(amount), currency, user, int(count), double(rate), u64::from(late)]
    }

    fn holds(source: &str, row: &[u64]) -> Result<bool, EvaluationError> {
        Program::compile(source, &schema(), &IdKey::FILES).unwrap_or_else(|error| panic!("{source}: {error}")).holds(row)
    }

    fn refused(source: &str) -> (String, usize) {
        let error = Program::compile(source, &schema(), &IdKey::FILES).expect_err(source);
        (error.message, error.offset)
    }

    #[test]
    fn rules_read_their_columns() {
        let row = row(12_000, "SEK", 31, 0.25, true);
        for (source, expected) in [
            ("amount > 10000 && user_payments.count_1h > 20", true),
            ("amount > 10000 && user_payments.count_1h > 31", false),
            ("user_payments.bad_rate_7d >= 0.25", true),
            ("currency in [\"EUR\", \"SEK\"] && !(amount % 7 == 0)", true),
            ("currency != 'SEK' || late", true),
            ("user == \"7\"", true),
            ("user == \"8\"", false),
            ("double(amount) / 2.0 == 6000.0", true),
            ("int(user_payments.bad_rate_7d * 100.0) == 25", true),
            ("(late ? amount : 0) == 12000", true),
            ("amount > 11999.5", true),
            ("currency == (late ? 'SEK' : 'EUR')", true),
            ("late == (amount > 5)", true),
            ("amount in []", false),
        ] {
            assert_eq!(holds(source, &row), Ok(expected), "{source}");
        }
    }

    #[test]
    fn the_empty_text_is_an_absent_field() {
        assert_eq!(holds("currency == ''", &row(1, "", 0, 0.0, false)), Ok(true));
        assert_eq!(holds("currency == ''", &row(1, "SEK", 0, 0.0, false)), Ok(false));
    }

    #[test]
    fn errors_are_absorbed_only_where_the_other_side_decides() {
        let row = row(0, "SEK", i64::MAX, f64::NAN, false);
        for (source, expected) in [
            ("1 / amount > 0", Err(EvaluationError)),
            ("user_payments.count_1h + 1 > 0", Err(EvaluationError)),
            ("user_payments.bad_rate_7d > 0.5", Err(EvaluationError)),
            ("user_payments.bad_rate_7d == 0.5", Ok(false)),
            ("1 / amount > 0 || amount == 0", Ok(true)),
            ("1 / amount > 0 || amount == 1", Err(EvaluationError)),
            ("1 / amount > 0 && amount == 1", Ok(false)),
            ("1 / amount > 0 && amount % amount == 1", Err(EvaluationError)),
            ("(1 / amount > 0 || user_payments.bad_rate_7d > 0.5) || double(amount) < 1.0", Ok(true)),
            ("(1 / amount > 0 && user_payments.count_1h * 1 > 5) || user_payments.count_1h - 1 > 5", Ok(true)),
            ("1 / amount > 0 ? true : true", Err(EvaluationError)),
            ("late ? 1 / amount > 0 : amount == 0", Ok(true)),
            ("-9223372036854775808 / (amount - 1) > 0", Err(EvaluationError)),
        ] {
            assert_eq!(holds(source, &row), expected, "{source}");
        }
    }

    #[test]
    fn type_errors_name_both_sides_and_the_place() {
        assert_eq!(
            refused("amount + 0.5 > 1.0"),
            ("`amount` is int and `0.5` is double: + needs two of one type, write double(amount)".to_owned(), 7)
        );
        assert_eq!(
            refused("late && user == currency"),
            ("`user` is a user text and `currency` is a symbol text: texts of different kinds never agree".to_owned(), 13)
        );
        assert_eq!(refused("amount"), ("the rule is int, expected bool".to_owned(), 0));
        assert_eq!(refused("amount == 'x'"), ("`amount` is int and \"x\" is text: == needs two of one type".to_owned(), 7));
        assert_eq!(refused("currency < 'x'").0, "`currency` is a symbol text: < is for numbers, texts know == and != and in");
        assert_eq!(refused("amount && late").0, "`amount` is int, && needs bool");
        assert_eq!(refused("user_payments.bad_rate_7d % 2.0 == 0.0").0, "`user_payments.bad_rate_7d` is double: % is for int");
        assert_eq!(refused("late ? 1 : 2.0").0, "`1` is int and `2.0` is double: ?: needs two of one type, write double(1)");
    }

    #[test]
    fn what_is_not_supported_is_named_with_its_place() {
        for (source, message, offset) in [
            ("late && [1, 2].exists(x, x > 1)", "macros (has, all, exists, exists_one, map, filter) are not supported", 21),
            ("has(user.name)", "macros (has, all, exists, exists_one, map, filter) are not supported", 3),
            ("size(currency) > 1", "function `size` is not supported: only int() and double() are", 4),
            ("currency.startsWith('S')", "method `startsWith` is not supported", 19),
            ("{'a': 1} == {}", "maps are not supported", 0),
            ("amount > 5u", "unsigned constants are not supported, write 5", 9),
            ("amount == null", "null is not supported: an absent text equals \"\"", 10),
            ("[1][0] == 1", "indexing is not supported", 3),
            ("amount in late", "`in` needs a list of constants", 7),
            ("amount in [1, user_payments.count_1h]", "a list may hold constants only", 27),
        ] {
            assert_eq!(refused(source), (message.to_owned(), offset), "{source}");
        }
        assert_eq!(refused("amuont > 5"), ("there is no `amuont`".to_owned(), 0));
        assert_eq!(
            refused("user_payments.count_2h > 5"),
            ("there is no `user_payments.count_2h`; `user_payments` has count_1h, bad_rate_7d".to_owned(), 13)
        );
        assert!(refused("amount >").0.starts_with("syntax error"), "{:?}", refused("amount >"));
    }

    #[test]
    fn the_place_is_counted_in_bytes_also_behind_wide_letters_and_lines() {
        assert_eq!(refused("currency == 'åäö' &&\n amuont > 5"), ("there is no `amuont`".to_owned(), 25));
        assert_eq!(refused("currency == 'åäö' &&\n amount > > 5").1, 34);
        assert_eq!(refused("currency == 'åäö' && > 5").1, 24);
    }

    #[test]
    fn rules_have_a_length_and_a_depth() {
        let long = (0..200).map(|n| format!("amount == {n}")).collect::<Vec<_>>().join(" || ");
        assert!(Program::compile(&long, &schema(), &IdKey::FILES).is_ok());
        let longer = (0..230).map(|n| format!("amount*{n}==1")).collect::<Vec<_>>().join("||");
        assert!(refused(&longer).0.starts_with("the rule needs"), "{:?}", refused(&longer));
        let deep = format!("{}1{} > 0", "(amount - ".repeat(20), ")".repeat(20));
        assert_eq!(refused(&deep).0, "the rule holds more than 16 values at once: it is nested too deeply");
        let huge = format!("amount > 0{}", " ".repeat(SOURCE_BYTES_MAX));
        assert_eq!(refused(&huge).0, format!("the rule is {} bytes long, at most {SOURCE_BYTES_MAX}", huge.len()));
    }

    #[test]
    fn the_longest_chains_are_refused_without_running_out_of_stack() {
        for link in ["1+", "!", "-", "(", "[", "amount.", "late?late:", "amount in"] {
            let mut source = link.repeat(SOURCE_BYTES_MAX / link.len() - 1);
            source.push('1');
            assert!(Program::compile(&source, &schema(), &IdKey::FILES).is_err(), "{link}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_compiler_panic(source in "[a-z0-9 ().\\[\\]!&|<>=+*/%?:'\"{},-]{0,60}|\\PC{0,40}") {
            if let Err(error) = Program::compile(&source, &schema(), &IdKey::FILES) {
                proptest::prop_assert!(error.offset <= source.len());
            }
        }
    }
}
