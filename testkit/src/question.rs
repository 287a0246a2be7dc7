//! Questions as people write them after `--where`, with the most obvious way to answer them: over
//! the line of JSON of a record, parsed anew at every step.
//!
//! Nothing is shared with the real expressions. A question knows its own text and its own meaning,
//! so that what the real ones make of the text can be compared with it.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde_json::Value;
use serde_json::value::RawValue;

mod random;

/// A question about a record.
#[derive(Clone, Debug)]
pub struct Question(Node);

#[derive(Clone, Debug)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Test(Test),
}

#[derive(Clone, Debug)]
struct Test {
    /// The field as it is written.
    field: String,
    /// Where it is in the line of JSON.
    path: Vec<Step>,
    sort: Sort,
    operator: &'static str,
    operands: Vec<Operand>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Key(String),
    Index(usize),
}

/// How the values of a field are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sort {
    Level,
    Time,
    Duration,
    Address,
    Version,
    Name,
    Plain,
}

/// A value of a question: its text, and what that means.
#[derive(Clone, Debug)]
struct Operand {
    text: String,
    meaning: Meaning,
}

#[derive(Clone, Debug)]
enum Meaning {
    /// A JSON value; of a level, time, version or name its text.
    Json(Value),
    Nanos(i128),
    /// The first bits of an address, as text of zeros and ones.
    Bits(String),
    /// What is to occur, perhaps only at the beginning or the end.
    Pattern {
        text: String,
        at_start: bool,
        at_end: bool,
    },
}

impl Question {
    /// Whether the record with this line of JSON is one that the question asks for.
    ///
    /// # Panics
    ///
    /// If the line is no JSON.
    pub fn matches(&self, line: &str) -> bool {
        matches(&self.0, line)
    }
}

fn matches(node: &Node, line: &str) -> bool {
    match node {
        Node::All(nodes) => nodes.iter().all(|node| matches(node, line)),
        Node::Any(nodes) => nodes.iter().any(|node| matches(node, line)),
        Node::Not(node) => !matches(node, line),
        Node::Test(test) => value(line, &test.path).is_some_and(|raw| test.holds(raw)),
    }
}

/// The value of a field, as it is written. The text of an error has either of two names.
fn value<'j>(line: &'j str, path: &[Step]) -> Option<&'j str> {
    let key = |key: &str| Step::Key(key.to_owned());
    if path != [key("error"), key("text")] {
        return descend(line, path);
    }
    let error = descend(line, &[key("error")])?;
    descend(error, &[key("stack")]).or_else(|| descend(error, &[key("value")]))
}

/// The value at the end of a path, as it is written.
fn descend<'j>(mut raw: &'j str, path: &[Step]) -> Option<&'j str> {
    for step in path {
        raw = match step {
            Step::Key(key) => {
                // Of keys that come twice the last one stays in the map.
                let members: BTreeMap<String, &RawValue> = serde_json::from_str(raw).ok()?;
                members.get(key)?.get()
            }
            Step::Index(index) => {
                let elements: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
                elements.get(*index)?.get()
            }
        };
    }
    Some(raw)
}

impl Test {
    /// The answer for a field that is there.
    fn holds(&self, raw: &str) -> bool {
        let orders: Vec<_> = self.operands.iter().map(|o| compare(self.sort, raw, o)).collect();
        let is_any = |wanted: &[Ordering]| {
            orders.iter().any(|order| order.is_some_and(|order| wanted.contains(&order)))
        };
        match self.operator {
            "exists" => true,
            "=" | "==" | "in" | "~" | "=~" => is_any(&[Ordering::Equal]),
            "!=" | "not in" | "!~" => !is_any(&[Ordering::Equal]),
            "<" => is_any(&[Ordering::Less]),
            "<=" => is_any(&[Ordering::Less, Ordering::Equal]),
            ">" => is_any(&[Ordering::Greater]),
            ">=" => is_any(&[Ordering::Greater, Ordering::Equal]),
            other => unreachable!("no operator {other}"),
        }
    }
}

/// How a value compares with an operand; `None` if they cannot be compared.
fn compare(sort: Sort, raw: &str, operand: &Operand) -> Option<Ordering> {
    let value: Value = serde_json::from_str(raw).expect("a value of a line is JSON");
    let equal = |is_equal: bool| is_equal.then_some(Ordering::Equal);
    match &operand.meaning {
        Meaning::Nanos(nanos) => Some((micros(raw) * 1000).cmp(nanos)),
        Meaning::Bits(prefix) => equal(bits(value.as_str()?.parse().ok()?).starts_with(prefix)),
        Meaning::Pattern { text, at_start, at_end } => {
            let own = match &value {
                Value::Null => return None,
                Value::String(own) => own,
                _ => raw,
            };
            equal(match (at_start, at_end) {
                (true, true) => own == text,
                (true, false) => own.starts_with(text),
                (false, true) => own.ends_with(text),
                (false, false) => own.contains(text),
            })
        }
        Meaning::Json(other) => compare_json(sort, &value, other),
    }
}

fn compare_json(sort: Sort, value: &Value, other: &Value) -> Option<Ordering> {
    let texts = value.as_str().zip(other.as_str());
    match (sort, texts) {
        (Sort::Level, Some((one, other))) => {
            const SEVERITY: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "CRITICAL"];
            let rank = |level: &str| SEVERITY.iter().position(|each| *each == level);
            Some(rank(one)?.cmp(&rank(other)?))
        }
        (Sort::Version, Some((one, other))) => {
            let parts =
                |text: &str| text.split('.').map(str::parse::<u8>).collect::<Result<Vec<_>, _>>();
            Some(parts(one).ok()?.cmp(&parts(other).ok()?))
        }
        (Sort::Name, Some((one, other))) => {
            (one.to_uppercase() == other.to_uppercase()).then_some(Ordering::Equal)
        }
        // Times of the same length and zone are ordered as their texts are.
        (_, Some((one, other))) => Some(one.as_bytes().cmp(other.as_bytes())),
        _ => match (value, other) {
            (Value::Null, Value::Null) => Some(Ordering::Equal),
            (Value::Bool(one), Value::Bool(other)) => (one == other).then_some(Ordering::Equal),
            (Value::Number(one), Value::Number(other)) => {
                let integer = |n: &serde_json::Number| {
                    n.as_i64().map(i128::from).or(n.as_u64().map(i128::from))
                };
                match (integer(one), integer(other)) {
                    (Some(one), Some(other)) => Some(one.cmp(&other)),
                    _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
                }
            }
            _ => None,
        },
    }
}

/// The microseconds of a number of milliseconds with up to three decimals.
fn micros(raw: &str) -> i128 {
    let (whole, fraction) = raw.split_once('.').unwrap_or((raw, ""));
    format!("{whole}{fraction:0<3}").parse().expect("a duration is a number")
}

/// The bits of an address as text; those of four bytes are written as mapped ones.
fn bits(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => format!("{:0128b}", v4.to_ipv6_mapped().to_bits()),
        IpAddr::V6(v6) => format!("{:0128b}", v6.to_bits()),
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |nodes: &[Node], between: &str| {
            nodes.iter().map(|node| format!("({node})")).collect::<Vec<_>>().join(between)
        };
        match self {
            Self::All(nodes) => f.write_str(&join(nodes, " and ")),
            Self::Any(nodes) => f.write_str(&join(nodes, "||")),
            Self::Not(node) => write!(f, "not ({node})"),
            Self::Test(test) => test.fmt(f),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.operands.iter().map(|operand| operand.text.as_str()).collect();
        let Self { field, operator, .. } = self;
        match *operator {
            "exists" => write!(f, "exists({field})"),
            "in" | "not in" => write!(f, "{field} {operator} ({})", texts.join(", ")),
            _ => write!(f, "{field} {operator} {}", texts.concat()),
        }
    }
}
