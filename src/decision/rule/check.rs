//! From CEL's tree to a typed one: every name is a column, every operator has its types, every text constant its hash.

use super::tree::{Arithmetic, Class, Condition, Relation, Value, folded};
use super::{RuleError, SOURCE_BYTES_MAX};
use crate::event::{IdKey, IdKind};
use crate::feature::{FeatureType, Schema};
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators};
use cel::parser::{ParseErrors, Parser};

/// A text that is no column: its hash waits for the kind of the text that it meets.
enum Words {
    One(String),
    Choose(Condition, Box<(Words, Words)>),
}

impl Words {
    fn hashed(self, kind: IdKind, key: &IdKey) -> Value {
        match self {
            // An absent text is the word 0, and equals "".
            Words::One(text) if text.is_empty() => Value::Constant(0),
            Words::One(text) => Value::Constant(key.id(kind, text.as_bytes()).low()),
            Words::Choose(when, sides) => Value::Choose(Box::new((when, sides.0.hashed(kind, key), sides.1.hashed(kind, key)))),
        }
    }
}

/// A part of a rule with its type.
enum Typed {
    Int(Value),
    Double(Value),
    Bool(Condition),
    Text(IdKind, Value),
    Words(Words),
}

impl Typed {
    fn type_name(&self) -> String {
        match self {
            Typed::Int(_) => "int".to_owned(),
            Typed::Double(_) => "double".to_owned(),
            Typed::Bool(_) => "bool".to_owned(),
            Typed::Text(kind, _) => format!("a {} text", kind.name()),
            Typed::Words(_) => "text".to_owned(),
        }
    }
}

/// Parses `source` and checks it against `schema`.
pub(in crate::decision) fn check(source: &str, schema: &Schema, key: &IdKey) -> Result<Condition, RuleError> {
    if source.len() > SOURCE_BYTES_MAX {
        return Err(RuleError { message: format!("the rule is {} bytes long, at most {SOURCE_BYTES_MAX}", source.len()), offset: 0 });
    }
    let (tree, info) = Parser::new().parse_with_source_info(source).map_err(|errors| syntax_error(source, &errors))?;
    let checker = Checker { schema, key, info };
    match checker.part(&tree)? {
        Typed::Bool(condition) => Ok(condition),
        other => Err(RuleError { message: format!("the rule is {}, expected bool", other.type_name()), offset: 0 }),
    }
}

/// The first of the parser's errors; it counts lines and letters.
fn syntax_error(source: &str, errors: &ParseErrors) -> RuleError {
    let Some(first) = errors.errors.first() else {
        return RuleError { message: "syntax error".to_owned(), offset: 0 };
    };
    let (line, column) = (usize::try_from(first.pos.0).unwrap_or(0), usize::try_from(first.pos.1).unwrap_or(0));
    let start: usize = source.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let offset = start + bytes_of(&source[start..], column.saturating_sub(1));
    let message = first.msg.strip_prefix("Syntax error: ").unwrap_or(&first.msg);
    RuleError { message: format!("syntax error: {message}"), offset }
}

/// How many bytes the first `letters` letters of `text` take.
fn bytes_of(text: &str, letters: usize) -> usize {
    text.char_indices().nth(letters).map_or(text.len(), |(at, _)| at)
}

struct Checker<'a> {
    schema: &'a Schema,
    key: &'a IdKey,
    info: SourceInfo,
}

impl Checker<'_> {
    fn error<T>(&self, at: &IdedExpr, message: impl Into<String>) -> Result<T, RuleError> {
        // The parser's places are bytes; its syntax errors count letters.
        let offset = self.info.offset_for(at.id).map_or(0, |(start, _)| start as usize);
        Err(RuleError { message: message.into(), offset })
    }

    fn part(&self, at: &IdedExpr) -> Result<Typed, RuleError> {
        match &at.expr {
            Expr::Literal(literal) => self.literal(at, literal),
            Expr::Ident(name) => self.column(at, name),
            Expr::Select(select) if select.test => self.error(at, MACROS),
            Expr::Select(select) => match &select.operand.expr {
                Expr::Ident(group) => self.column(at, &format!("{group}.{}", select.field)),
                _ => self.error(at, format!("`.{}` is not supported here: a column has at most one dot", select.field)),
            },
            Expr::Call(call) => self.call(at, call),
            Expr::List(_) => self.error(at, "a list may stand only behind `in`"),
            Expr::Map(_) => self.error(at, "maps are not supported"),
            Expr::Struct(_) => self.error(at, "messages are not supported"),
            Expr::Comprehension(_) => self.error(at, MACROS),
            Expr::Unspecified => self.error(at, "an expression is missing"),
        }
    }

    fn literal(&self, at: &IdedExpr, literal: &LiteralValue) -> Result<Typed, RuleError> {
        match literal {
            LiteralValue::Boolean(value) => Ok(Typed::Bool(Condition::Constant(*value.inner()))),
            LiteralValue::Int(value) => Ok(Typed::Int(Value::Constant(*value.inner() as u64))),
            LiteralValue::Double(value) => Ok(Typed::Double(Value::Constant(value.inner().to_bits()))),
            LiteralValue::String(value) => Ok(Typed::Words(Words::One(value.inner().to_owned()))),
            LiteralValue::UInt(value) => self.error(at, format!("unsigned constants are not supported, write {}", value.inner())),
            LiteralValue::Bytes(_) => self.error(at, "bytes are not supported"),
            LiteralValue::Null => self.error(at, "null is not supported: an absent text equals \"\""),
        }
    }

    fn column(&self, at: &IdedExpr, name: &str) -> Result<Typed, RuleError> {
        let Some(position) = self.schema.position(name) else {
            return self.error(at, self.unknown(name));
        };
        let Ok(column) = u16::try_from(position) else {
            return self.error(at, format!("`{name}` is column {position}, rules reach the first {}", u16::MAX));
        };
        let value = Value::Column(column);
        Ok(match self.schema.features[position].kind {
            FeatureType::Int => Typed::Int(value),
            FeatureType::Double => Typed::Double(value),
            FeatureType::Text(kind) => Typed::Text(kind, value),
            FeatureType::Bool => Typed::Bool(Condition::Column(column)),
        })
    }

    /// What to say of a name that is no column: where its group is known, what the group has.
    fn unknown(&self, name: &str) -> String {
        const SHOWN_MAX: usize = 12;
        let group = name.split_once('.').map_or(name, |(group, _)| group);
        let prefix = format!("{group}.");
        let members: Vec<&str> = self.schema.features.iter().filter_map(|feature| feature.name.strip_prefix(&prefix)).collect();
        if members.is_empty() {
            return format!("there is no `{name}`");
        }
        let more = if members.len() > SHOWN_MAX { ", …" } else { "" };
        format!("there is no `{name}`; `{group}` has {}{more}", members[..members.len().min(SHOWN_MAX)].join(", "))
    }

    fn call(&self, at: &IdedExpr, call: &CallExpr) -> Result<Typed, RuleError> {
        if call.target.is_some() {
            return self.error(at, format!("method `{}` is not supported", call.func_name));
        }
        let arithmetic = |operator| self.arithmetic(at, operator, &call.args);
        let comparison = |relation| self.comparison(at, relation, &call.args);
        match call.func_name.as_str() {
            operators::CONDITIONAL => self.choice(at, &call.args),
            operators::LOGICAL_AND => {
                let [left, right] = self.conditions("&&", &call.args)?;
                Ok(Typed::Bool(Condition::And(Box::new(left), Box::new(right))))
            }
            operators::LOGICAL_OR => {
                let [left, right] = self.conditions("||", &call.args)?;
                Ok(Typed::Bool(Condition::Or(Box::new(left), Box::new(right))))
            }
            operators::LOGICAL_NOT => {
                let [inner] = self.conditions("!", &call.args)?;
                Ok(Typed::Bool(Condition::Not(Box::new(inner))))
            }
            operators::ADD => arithmetic(Arithmetic::Add),
            operators::SUBSTRACT => arithmetic(Arithmetic::Subtract),
            operators::MULTIPLY => arithmetic(Arithmetic::Multiply),
            operators::DIVIDE => arithmetic(Arithmetic::Divide),
            operators::MODULO => arithmetic(Arithmetic::Remainder),
            operators::EQUALS => comparison(Relation::Equal),
            operators::NOT_EQUALS => comparison(Relation::Different),
            operators::LESS => comparison(Relation::Less),
            operators::LESS_EQUALS => comparison(Relation::AtMost),
            operators::GREATER => comparison(Relation::Greater),
            operators::GREATER_EQUALS => comparison(Relation::AtLeast),
            operators::IN => self.within(at, &call.args),
            operators::NEGATE => self.negation(at, &call.args),
            operators::INDEX => self.error(at, "indexing is not supported"),
            "double" | "int" if call.args.len() == 1 => self.conversion(at, &call.func_name, &call.args[0]),
            name => self.error(at, format!("function `{name}` is not supported: only int() and double() are")),
        }
    }

    fn conditions<const N: usize>(&self, sign: &str, args: &[IdedExpr]) -> Result<[Condition; N], RuleError> {
        let mut conditions = Vec::with_capacity(N);
        for arg in args {
            match self.part(arg)? {
                Typed::Bool(condition) => conditions.push(condition),
                other => return self.error(arg, format!("{} is {}, {sign} needs bool", described(arg), other.type_name())),
            }
        }
        Ok(conditions.try_into().expect("the parser gives an operator its number of sides"))
    }

    fn arithmetic(&self, at: &IdedExpr, operator: Arithmetic, args: &[IdedExpr]) -> Result<Typed, RuleError> {
        let sign = ["+", "-", "*", "/", "%"][operator as usize];
        let (left, right) = (self.part(&args[0])?, self.part(&args[1])?);
        let compute = |class, left, right| folded(Value::Arithmetic { class, operator, sides: Box::new((left, right)) });
        match (left, right) {
            (Typed::Int(left), Typed::Int(right)) => Ok(Typed::Int(compute(Class::Word, left, right))),
            (Typed::Double(_), _) if operator == Arithmetic::Remainder => {
                self.error(at, format!("{} is double: % is for int", described(&args[0])))
            }
            (Typed::Double(left), Typed::Double(right)) => Ok(Typed::Double(compute(Class::Double, left, right))),
            (left, right) => self.error(at, disagreement(sign, &args[0], &left, &args[1], &right)),
        }
    }

    fn negation(&self, at: &IdedExpr, args: &[IdedExpr]) -> Result<Typed, RuleError> {
        match self.part(&args[0])? {
            Typed::Int(value) => Ok(Typed::Int(folded(Value::Negate(Class::Word, Box::new(value))))),
            Typed::Double(value) => Ok(Typed::Double(folded(Value::Negate(Class::Double, Box::new(value))))),
            other => self.error(at, format!("{} is {}, - needs int or double", described(&args[0]), other.type_name())),
        }
    }

    fn conversion(&self, at: &IdedExpr, name: &str, arg: &IdedExpr) -> Result<Typed, RuleError> {
        match (name, self.part(arg)?) {
            ("double", Typed::Int(value)) => Ok(Typed::Double(folded(Value::ToDouble(Box::new(value))))),
            ("double", Typed::Double(value)) => Ok(Typed::Double(value)),
            ("int", Typed::Double(value)) => Ok(Typed::Int(folded(Value::ToInt(Box::new(value))))),
            ("int", Typed::Int(value)) => Ok(Typed::Int(value)),
            (_, other) => self.error(at, format!("{} is {}, {name}() needs int or double", described(arg), other.type_name())),
        }
    }

    fn comparison(&self, at: &IdedExpr, relation: Relation, args: &[IdedExpr]) -> Result<Typed, RuleError> {
        let sign = ["==", "!=", "<", "<=", ">", ">="][relation as usize];
        let ordering = !matches!(relation, Relation::Equal | Relation::Different);
        let (left, right) = (self.part(&args[0])?, self.part(&args[1])?);
        if ordering {
            for (arg, side) in [(&args[0], &left), (&args[1], &right)] {
                match side {
                    Typed::Int(_) | Typed::Double(_) => {}
                    Typed::Bool(_) => return self.error(at, format!("{} is bool: {sign} is for numbers", described(arg))),
                    Typed::Text(..) | Typed::Words(_) => {
                        let name = side.type_name();
                        return self.error(at, format!("{} is {name}: {sign} is for numbers, texts know == and != and in", described(arg)));
                    }
                }
            }
        }
        let compare = |class, left, right| Ok(Typed::Bool(Condition::Compare { class, relation, left, right }));
        let wide = |value| folded(Value::ToDouble(Box::new(value)));
        match (left, right) {
            (Typed::Int(left), Typed::Int(right)) => compare(Class::Word, left, right),
            (Typed::Double(left), Typed::Double(right)) => compare(Class::Double, left, right),
            // The one place where CEL mixes numbers: the integer is taken as a double.
            (Typed::Int(left), Typed::Double(right)) => compare(Class::Double, wide(left), right),
            (Typed::Double(left), Typed::Int(right)) => compare(Class::Double, left, wide(right)),
            (Typed::Bool(left), Typed::Bool(right)) => compare(Class::Word, truth(left), truth(right)),
            (Typed::Text(kind, left), Typed::Text(other, right)) if kind == other => compare(Class::Word, left, right),
            (left @ Typed::Text(..), right @ Typed::Text(..)) => {
                let (a, b) = (described(&args[0]), described(&args[1]));
                let (left, right) = (left.type_name(), right.type_name());
                self.error(at, format!("{a} is {left} and {b} is {right}: texts of different kinds never agree"))
            }
            (Typed::Text(kind, left), Typed::Words(right)) => compare(Class::Word, left, right.hashed(kind, self.key)),
            (Typed::Words(left), Typed::Text(kind, right)) => compare(Class::Word, left.hashed(kind, self.key), right),
            // Two constants: any kind tells them apart.
            (Typed::Words(left), Typed::Words(right)) => {
                compare(Class::Word, left.hashed(IdKind::Symbol, self.key), right.hashed(IdKind::Symbol, self.key))
            }
            (left, right) => self.error(at, disagreement(sign, &args[0], &left, &args[1], &right)),
        }
    }

    fn choice(&self, at: &IdedExpr, args: &[IdedExpr]) -> Result<Typed, RuleError> {
        let [when] = self.conditions("?:", &args[..1])?;
        let (then, otherwise) = (self.part(&args[1])?, self.part(&args[2])?);
        let choose = |when, then, otherwise| Value::Choose(Box::new((when, then, otherwise)));
        Ok(match (then, otherwise) {
            (Typed::Int(then), Typed::Int(otherwise)) => Typed::Int(choose(when, then, otherwise)),
            (Typed::Double(then), Typed::Double(otherwise)) => Typed::Double(choose(when, then, otherwise)),
            (Typed::Bool(then), Typed::Bool(otherwise)) => Typed::Bool(Condition::Choose(Box::new((when, then, otherwise)))),
            (Typed::Words(then), Typed::Words(otherwise)) => Typed::Words(Words::Choose(when, Box::new((then, otherwise)))),
            (Typed::Text(kind, then), Typed::Text(other, otherwise)) if kind == other => Typed::Text(kind, choose(when, then, otherwise)),
            (Typed::Text(kind, then), Typed::Words(otherwise)) => Typed::Text(kind, choose(when, then, otherwise.hashed(kind, self.key))),
            (Typed::Words(then), Typed::Text(kind, otherwise)) => Typed::Text(kind, choose(when, then.hashed(kind, self.key), otherwise)),
            (then, otherwise) => return self.error(at, disagreement("?:", &args[1], &then, &args[2], &otherwise)),
        })
    }

    fn within(&self, at: &IdedExpr, args: &[IdedExpr]) -> Result<Typed, RuleError> {
        let value = self.part(&args[0])?;
        let Expr::List(list) = &args[1].expr else {
            return self.error(at, "`in` needs a list of constants");
        };
        let mut elements = Vec::with_capacity(list.elements.len());
        for element in &list.elements {
            let found = self.part(element)?;
            elements.push(match (&value, found) {
                (Typed::Int(_), Typed::Int(Value::Constant(word))) => (Class::Word, word),
                (Typed::Int(_) | Typed::Double(_), Typed::Double(Value::Constant(word))) => (Class::Double, word),
                (Typed::Double(_), Typed::Int(Value::Constant(word))) => (Class::Double, (word as i64 as f64).to_bits()),
                (Typed::Bool(_), Typed::Bool(Condition::Constant(truth))) => (Class::Word, u64::from(truth)),
                (Typed::Text(kind, _), Typed::Words(words @ Words::One(_))) => match words.hashed(*kind, self.key) {
                    Value::Constant(word) => (Class::Word, word),
                    _ => unreachable!("one word has one hash"),
                },
                (_, Typed::Words(Words::Choose(..))) => return self.error(element, "a list may hold constants only"),
                (value, found) if is_constant(&found) => {
                    return self.error(element, disagreement("in", &args[0], value, element, &found));
                }
                _ => return self.error(element, "a list may hold constants only"),
            });
        }
        let (value, of) = match value {
            Typed::Int(value) => (value, Class::Word),
            Typed::Double(value) => (value, Class::Double),
            Typed::Text(_, value) => (value, Class::Word),
            Typed::Bool(condition) => (truth(condition), Class::Word),
            Typed::Words(_) => return self.error(at, format!("{} is a constant: `in` needs a column before it", described(&args[0]))),
        };
        Ok(Typed::Bool(Condition::In { value, of, elements }))
    }
}

/// The word of a condition: 1 or 0.
fn truth(condition: Condition) -> Value {
    match condition {
        Condition::Constant(truth) => Value::Constant(u64::from(truth)),
        Condition::Column(column) => Value::Column(column),
        other => Value::Truth(Box::new(other)),
    }
}

const MACROS: &str = "macros (has, all, exists, exists_one, map, filter) are not supported";

fn is_constant(part: &Typed) -> bool {
    match part {
        Typed::Int(value) | Typed::Double(value) => matches!(value, Value::Constant(_)),
        Typed::Bool(condition) => matches!(condition, Condition::Constant(_)),
        Typed::Words(words) => matches!(words, Words::One(_)),
        Typed::Text(..) => false,
    }
}

/// How a message shows a part: as it was written where it is short, else by its place.
fn described(at: &IdedExpr) -> String {
    written(at).map_or("an expression".to_owned(), |text| if text.starts_with('"') { text } else { format!("`{text}`") })
}

fn written(at: &IdedExpr) -> Option<String> {
    match &at.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => Some(format!("{}.{}", written(&select.operand)?, select.field)),
        Expr::Literal(LiteralValue::Int(value)) => Some(value.inner().to_string()),
        Expr::Literal(LiteralValue::Double(value)) => Some(format!("{:?}", value.inner())),
        Expr::Literal(LiteralValue::Boolean(value)) => Some(value.inner().to_string()),
        Expr::Literal(LiteralValue::String(value)) => Some(format!("{:?}", value.inner())),
        _ => None,
    }
}

/// The message for two sides whose types do not meet.
fn disagreement(sign: &str, left: &IdedExpr, left_type: &Typed, right: &IdedExpr, right_type: &Typed) -> String {
    let integer = match (left_type, right_type) {
        (Typed::Int(_), Typed::Double(_)) => Some(left),
        (Typed::Double(_), Typed::Int(_)) => Some(right),
        _ => None,
    };
    let advice = integer.map_or(String::new(), |part| format!(", write double({})", written(part).unwrap_or_else(|| "…".to_owned())));
    let (a, b) = (described(left), described(right));
    let (left_type, right_type) = (left_type.type_name(), right_type.type_name());
    if left_type == right_type {
        return format!("{a} and {b} are {left_type}: {sign} is not for {left_type}");
    }
    format!("{a} is {left_type} and {b} is {right_type}: {sign} needs two of one type{advice}")
}
