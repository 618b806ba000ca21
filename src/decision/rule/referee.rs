//! The referee: over random schemas, rows and rules our program says what the interpreter of `cel` says, errors included.

use super::{EvaluationError, Program};
use crate::event::{IdKey, IdKind};
use crate::feature::{FeatureType, Schema, double, int};
use cel::{Context, Value};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use std::collections::HashMap;

const WORDS: [&str; 4] = ["", "web", "SE", "7"];
const INTS: [i64; 10] = [0, 1, -1, 2, 3, 7, i64::MAX, i64::MIN, 1 << 53, (1 << 53) + 1];
const DOUBLES: [f64; 12] =
    [0.0, -0.0, 1.0, 0.5, -2.5, 3.0, 1e308, 9_007_199_254_740_992.0, 9.3e18, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Type {
    Int,
    Double,
    Bool,
    Symbol,
    User,
}

/// A column with the value of its row.
#[derive(Clone, Debug)]
struct Column {
    name: String,
    kind: Type,
    /// An index into the values of its type.
    value: usize,
}

fn columns() -> impl Strategy<Value = Vec<Column>> {
    let kind = prop_oneof![
        3 => Just(Type::Int),
        2 => Just(Type::Double),
        1 => Just(Type::Bool),
        1 => Just(Type::Symbol),
        1 => Just(Type::User)
    ];
    proptest::collection::vec((kind, any::<bool>(), 0..60usize), 5..12).prop_map(|drawn| {
        let column = |(number, (kind, nested, value))| {
            let name = if nested { format!("group{}.c{number}", number % 2) } else { format!("c{number}") };
            Column { name, kind, value }
        };
        drawn.into_iter().enumerate().map(column).collect()
    })
}

/// Writes a rule; every choice is taken from bytes, so that a failing rule shrinks.
struct Writer<'a> {
    columns: &'a [Column],
    bytes: std::slice::Iter<'a, u8>,
}

impl Writer<'_> {
    fn choose(&mut self, count: usize) -> usize {
        usize::from(self.bytes.next().copied().unwrap_or(0)) % count
    }

    fn leaf(&mut self, kind: Type) -> String {
        let fitting: Vec<&Column> = self.columns.iter().filter(|column| column.kind == kind).collect();
        if !fitting.is_empty() && self.choose(4) != 0 {
            return fitting[self.choose(fitting.len())].name.clone();
        }
        self.constant(kind)
    }

    fn constant(&mut self, kind: Type) -> String {
        match kind {
            Type::Int => INTS[self.choose(INTS.len())].to_string(),
            Type::Double => format!("{:?}", DOUBLES[self.choose(9)]),
            Type::Bool => ["false", "true"][self.choose(2)].to_owned(),
            Type::Symbol | Type::User => format!("{:?}", WORDS[self.choose(WORDS.len())]),
        }
    }

    fn number(&mut self) -> Type {
        [Type::Int, Type::Int, Type::Double][self.choose(3)]
    }

    fn any(&mut self) -> Type {
        [Type::Int, Type::Double, Type::Bool, Type::Symbol, Type::User][self.choose(5)]
    }

    fn sides(&mut self, sign: &str, left: Type, right: Type, depth: usize) -> String {
        format!("({} {sign} {})", self.part(left, depth - 1), self.part(right, depth - 1))
    }

    fn part(&mut self, kind: Type, depth: usize) -> String {
        if depth == 0 || self.choose(5) == 0 {
            return self.leaf(kind);
        }
        let way = self.choose(10);
        match kind {
            _ if way == 9 => {
                format!("({} ? {} : {})", self.part(Type::Bool, depth - 1), self.part(kind, depth - 1), self.part(kind, depth - 1))
            }
            Type::Int if way == 8 => format!("-({})", self.part(Type::Int, depth - 1)),
            Type::Int if way >= 6 => format!("int({})", self.part(Type::Double, depth - 1)),
            Type::Int => {
                let sign = ["+", "-", "*", "/", "%", "/"][way];
                self.sides(sign, kind, kind, depth)
            }
            Type::Double if way == 8 => format!("-({})", self.part(Type::Double, depth - 1)),
            Type::Double if way >= 6 => format!("double({})", self.part(Type::Int, depth - 1)),
            Type::Double => {
                let sign = ["+", "-", "*", "/", "/", "-"][way];
                self.sides(sign, kind, kind, depth)
            }
            Type::Symbol | Type::User => self.leaf(kind),
            Type::Bool => match way {
                0 | 1 => self.sides("&&", kind, kind, depth),
                2 | 3 => self.sides("||", kind, kind, depth),
                4 => format!("!({})", self.part(kind, depth - 1)),
                5 => {
                    let of = self.any();
                    let sign = ["==", "!="][self.choose(2)];
                    self.sides(sign, of, of, depth)
                }
                6 | 7 => {
                    let sign = ["<", "<=", ">", ">=", "==", "!="][self.choose(6)];
                    let (left, right) = (self.number(), self.number());
                    self.sides(sign, left, right, depth)
                }
                _ => {
                    let of = self.any();
                    let elements: Vec<String> = (0..self.choose(4))
                        .map(|_| {
                            let element = if matches!(of, Type::Int | Type::Double) { self.number() } else { of };
                            self.constant(element)
                        })
                        .collect();
                    // A constant text before `in` has no kind: there must be a column.
                    let value = match of {
                        Type::Symbol | Type::User => match self.columns.iter().find(|column| column.kind == of) {
                            Some(column) => column.name.clone(),
                            None => return self.leaf(Type::Bool),
                        },
                        _ => self.part(of, depth - 1),
                    };
                    format!("({value} in [{}])", elements.join(", "))
                }
            },
        }
    }
}

fn ours(columns: &[Column]) -> (Schema, Vec<u64>) {
    let (mut schema, mut row) = (Schema::default(), Vec::new());
    for column in columns {
        let hashed = |kind: IdKind| {
            let word = WORDS[column.value % WORDS.len()];
            let hash = if word.is_empty() { 0 } else { IdKey::FILES.id(kind, word.as_bytes()).low() };
            (FeatureType::Text(kind), hash)
        };
        let (kind, word) = match column.kind {
            Type::Int => (FeatureType::Int, int(INTS[column.value % INTS.len()])),
            Type::Double => (FeatureType::Double, double(DOUBLES[column.value % DOUBLES.len()])),
            Type::Bool => (FeatureType::Bool, (column.value % 2) as u64),
            Type::Symbol => hashed(IdKind::Symbol),
            Type::User => hashed(IdKind::User),
        };
        schema.push(column.name.clone(), kind, "");
        row.push(word);
    }
    (schema, row)
}

fn theirs(columns: &[Column]) -> Context<'static, 'static> {
    let mut context = Context::default();
    let mut groups: HashMap<String, HashMap<String, Value>> = HashMap::new();
    for column in columns {
        let value: Value = match column.kind {
            Type::Int => INTS[column.value % INTS.len()].into(),
            Type::Double => DOUBLES[column.value % DOUBLES.len()].into(),
            Type::Bool => (column.value % 2 == 1).into(),
            Type::Symbol | Type::User => WORDS[column.value % WORDS.len()].into(),
        };
        match column.name.split_once('.') {
            Some((group, member)) => {
                groups.entry(group.to_owned()).or_default().insert(member.to_owned(), value);
            }
            None => context.add_variable_from_value(column.name.clone(), value),
        }
    }
    for (name, members) in groups {
        context.add_variable_from_value(name, members);
    }
    context
}

/// A rule in both forms.
struct Pair {
    ours: Program,
    theirs: cel::Program,
}

impl Pair {
    /// `None` where the rule is longer or deeper than our programs may be.
    fn compile(source: &str, schema: &Schema) -> Option<Pair> {
        match Program::compile(source, schema, &IdKey::FILES) {
            Ok(ours) => Some(Pair { ours, theirs: cel::Program::compile(source).expect("parsed before") }),
            Err(error) => {
                let limits = ["the rule needs", "the rule holds more than", "the rule is "];
                assert!(limits.iter().any(|limit| error.message.starts_with(limit)), "{source}: {error}");
                None
            }
        }
    }

    /// What each says of the same values: ours, theirs.
    fn verdicts(&self, row: &[u64], context: &Context) -> [Result<bool, EvaluationError>; 2] {
        let theirs = match self.theirs.execute(context) {
            Ok(Value::Bool(truth)) => Ok(truth),
            Ok(other) => panic!("a rule gave {other:?}"),
            Err(_) => Err(EvaluationError),
        };
        [self.ours.holds(row), theirs]
    }
}

fn verdicts(source: &str, columns: &[Column]) -> Option<[Result<bool, EvaluationError>; 2]> {
    let (schema, row) = ours(columns);
    Some(Pair::compile(source, &schema)?.verdicts(&row, &theirs(columns)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    // Planted mistakes that it caught: the error of a left side forgotten when the right one does not decide; sides exchanged although
    // both can err; a NaN ordered; `5 < x` turned round without its sign; int() of 2^63; a right side computed into the left one's
    // register; an inner `&&` using the flag of the outer one.
    #[test]
    fn a_program_says_what_the_interpreter_says(columns in columns(), bytes in proptest::collection::vec(any::<u8>(), 0..160)) {
        let source = Writer { columns: &columns, bytes: bytes.iter() }.part(Type::Bool, 5);
        if let Some([ours, theirs]) = verdicts(&source, &columns) {
            prop_assert_eq!(ours, theirs, "{}", source);
        }
    }
}

/// The property is worth what its world is: rules that hold, that do not, that err and that absorb an error must all be common.
#[test]
fn the_random_rules_are_not_all_alike() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = (columns(), proptest::collection::vec(any::<u8>(), 0..160));
    let (mut held, mut failed, mut erred, mut refused) = (0, 0, 0, 0);
    for _ in 0..1000 {
        let (columns, bytes) = strategy.new_tree(&mut runner).expect("no filter").current();
        let source = Writer { columns: &columns, bytes: bytes.iter() }.part(Type::Bool, 5);
        match verdicts(&source, &columns) {
            Some([Ok(true), _]) => held += 1,
            Some([Ok(false), _]) => failed += 1,
            Some([Err(_), _]) => erred += 1,
            None => refused += 1,
        }
    }
    assert!(held > 150 && failed > 150 && erred > 150 && refused < 50, "{held} held, {failed} failed, {erred} erred, {refused} refused");
}

/// Every operator on every pair of edge values, as columns and as constants: the pairs that a random rule meets too rarely. Planted
/// mistakes that it caught and the random rules did not: -1 as a divisor that cannot overflow; an element 2.0 of a list compared with an
/// integer by its bits; -0.0 and 0.0 told apart.
#[test]
fn every_operator_agrees_on_every_edge() {
    let column = |name: &str, kind, value| Column { name: name.to_owned(), kind, value };
    let written = |kind, value: usize| match kind {
        Type::Int => INTS[value].to_string(),
        _ => format!("{:?}", DOUBLES[value]),
    };
    // Of the doubles only the finite ones can be written as constants.
    let counts = |kind| if kind == Type::Int { (INTS.len(), INTS.len()) } else { (DOUBLES.len(), 9) };
    let mut asked = 0;
    for (left, right) in [(Type::Int, Type::Int), (Type::Int, Type::Double), (Type::Double, Type::Int), (Type::Double, Type::Double)] {
        let mut shapes: Vec<String> = ["==", "!=", "<", "<=", ">", ">="].map(|sign| format!("L {sign} R")).to_vec();
        if left == right {
            let signs = if left == Type::Int { vec!["+", "-", "*", "/", "%"] } else { vec!["+", "-", "*", "/"] };
            shapes.extend(signs.iter().map(|sign| format!("(L {sign} R) <= 1")));
        }
        // Made once: an interpreter's context is dear.
        let worlds: Vec<(String, Vec<u64>, Context)> = (0..counts(left).0)
            .flat_map(|a| (0..counts(right).0).map(move |b| (a, b)))
            .map(|(a, b)| {
                let columns = [column("a", left, a), column("b", right, b)];
                (format!("a = {}, b = {}", written(left, a), written(right, b)), ours(&columns).1, theirs(&columns))
            })
            .collect();
        for shape in shapes.iter().map(String::as_str).chain(["L in [R]", "(true ? L : L) in [7, R]"]) {
            let mut sources = vec![];
            if !shape.contains("in [") {
                sources.push(shape.replace('L', "a").replace('R', "b"));
                sources.extend((0..counts(left).1).map(|value| shape.replace('L', &written(left, value)).replace('R', "b")));
            }
            sources.extend((0..counts(right).1).map(|value| shape.replace('L', "a").replace('R', &written(right, value))));
            for source in sources {
                let schema = ours(&[column("a", left, 0), column("b", right, 0)]).0;
                let pair = Pair::compile(&source, &schema).expect("a short rule");
                for (values, row, context) in &worlds {
                    let [ours, theirs] = pair.verdicts(row, context);
                    assert_eq!(ours, theirs, "{source} with {values}");
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 10_000, "{asked}");
}
