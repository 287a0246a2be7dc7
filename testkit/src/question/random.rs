//! Random questions that have something to do with given records.

use fastrand::Rng;
use serde_json::Value;

use super::{Meaning, Node, Operand, Question, Sort, Step, Test, bits, descend, value};

/// The fields of a record: the name in JSON, other ways to write it, how it is compared, and the
/// operators it can be asked with.
type Field = (&'static str, &'static [&'static str], Sort, &'static [&'static str]);

const ALL: &[&str] =
    &["=", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "~", "=~", "!~", "exists"];
const ORDERED: &[&str] = &["=", "!=", "<", "<=", ">", ">=", "in", "not in", "exists"];
const NAMED: &[&str] = &["=", "!=", "in", "not in", "~", "!~", "exists"];
const LISTED: &[&str] = &["=", "!=", "in", "not in", "exists"];
const TIMES: &[&str] = &["=", "!=", "<", "<=", ">", ">=", "exists"];

const FIELDS: [Field; 19] = [
    ("timestamp", &["time", "ts", "TIMESTAMP"], Sort::Time, TIMES),
    ("level", &["level", "Level"], Sort::Level, ORDERED),
    ("type", &["type"], Sort::Name, NAMED),
    ("workerId", &["worker", "workerid"], Sort::Plain, ORDERED),
    ("writer", &["writer"], Sort::Plain, ORDERED),
    ("seq", &["seq"], Sort::Plain, ORDERED),
    ("requestId", &["request"], Sort::Name, LISTED),
    ("ipAddress", &["ip"], Sort::Address, LISTED),
    ("httpVersion", &["http"], Sort::Version, ORDERED),
    ("method", &["method"], Sort::Name, NAMED),
    ("url", &["url"], Sort::Plain, ALL),
    ("statusCode", &["status"], Sort::Plain, ORDERED),
    ("bytes", &["bytes", "size"], Sort::Plain, ORDERED),
    ("durationMs", &["ms", "duration"], Sort::Duration, ORDERED),
    ("error", &["error"], Sort::Plain, ALL),
    ("data", &["data"], Sort::Plain, ALL),
    ("event", &["event"], Sort::Name, NAMED),
    ("exitCode", &["exit"], Sort::Plain, ORDERED),
    ("signal", &["signal"], Sort::Name, NAMED),
];

impl Question {
    /// A question about fields and values that occur in these lines of JSON, most of the time.
    ///
    /// # Panics
    ///
    /// If a line is no JSON.
    pub fn random(rng: &mut Rng, lines: &[&str]) -> Self {
        let mut maker = Maker { rng, lines };
        Self(maker.node(0))
    }
}

struct Maker<'r, 'l> {
    rng: &'r mut Rng,
    lines: &'r [&'l str],
}

impl Maker<'_, '_> {
    fn node(&mut self, depth: u8) -> Node {
        let choice = if depth < 3 { self.rng.u8(..8) } else { 7 };
        let count = self.rng.usize(2..4);
        match choice {
            0 | 1 => Node::All((0..count).map(|_| self.node(depth + 1)).collect()),
            2 | 3 => Node::Any((0..count).map(|_| self.node(depth + 1)).collect()),
            4 => Node::Not(Box::new(self.node(depth + 1))),
            _ => Node::Test(self.test()),
        }
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        *self.rng.choice(all).expect("there are some")
    }

    fn test(&mut self) -> Test {
        let line = if self.lines.is_empty() { "{}" } else { self.one_of(self.lines) };
        let has = |(name, ..): &&Field| line.contains(&format!("\"{name}\":"));
        let of_line: Vec<_> = FIELDS.iter().filter(has).copied().collect();
        let is_near = !of_line.is_empty() && self.rng.u8(..6) > 0;
        let field = if is_near { self.one_of(&of_line) } else { self.one_of(&FIELDS) };
        let (name, others, sort, operators) = field;
        let mut path = vec![Step::Key(name.to_owned())];
        let mut written = if self.rng.bool() { name } else { self.one_of(others) }.to_owned();
        if matches!(name, "data" | "error") {
            self.walk(line, &mut path, &mut written);
        }
        let raw = value(line, &path).filter(|_| self.rng.u8(..5) > 0);
        let raw = raw.map(str::to_owned);
        let operator = self.one_of(operators);
        let count = match operator {
            "exists" => 0,
            "in" | "not in" => self.rng.usize(1..4),
            _ => 1,
        };
        let is_json = matches!(name, "data" | "error");
        let operands = (0..count)
            .map(|index| {
                let raw = raw.as_deref().filter(|_| index == 0);
                self.operand(name, sort, operator, raw, is_json)
            })
            .collect();
        Test { field: written, path, sort, operator, operands }
    }

    /// Goes on into JSON, for as long as there is more and chance has it.
    fn walk(&mut self, line: &str, path: &mut Vec<Step>, written: &mut String) {
        let is_error = written.eq_ignore_ascii_case("error");
        while self.rng.u8(..6) > 0 {
            let is_first = is_error && path.len() == 1;
            match value(line, path).map(serde_json::from_str::<Value>) {
                Some(Ok(Value::Object(members))) if !members.is_empty() => {
                    let keys: Vec<_> = members.keys().map(String::as_str).collect();
                    match self.one_of(&keys) {
                        "stack" | "value" if is_first && self.rng.bool() => {
                            self.step("text", path, written);
                        }
                        // Properties are found without being named; what follows names one.
                        "properties" if is_first && self.rng.bool() => {
                            let Some(inner) = self.property(line) else { return };
                            path.push(Step::Key("properties".to_owned()));
                            self.step(&inner, path, written);
                        }
                        key => self.step(key, path, written),
                    }
                }
                Some(Ok(Value::Array(elements))) if !elements.is_empty() => {
                    let index = self.rng.usize(..elements.len() + 1);
                    written.push_str(&format!("[{index}]"));
                    path.push(Step::Index(index));
                }
                _ => return,
            }
        }
    }

    fn step(&mut self, key: &str, path: &mut Vec<Step>, written: &mut String) {
        self.write_key(key, written);
        path.push(Step::Key(key.to_owned()));
    }

    /// A property of an error that its path need not say is one.
    fn property(&mut self, line: &str) -> Option<String> {
        const OWN: [&str; 6] = ["text", "stack", "value", "expected", "properties", "debug"];
        let path = ["error", "properties"].map(|key| Step::Key(key.to_owned()));
        let properties: Value = serde_json::from_str(descend(line, &path)?).ok()?;
        let keys: Vec<_> =
            properties.as_object()?.keys().filter(|k| !OWN.contains(&k.as_str())).collect();
        self.rng.choice(keys).cloned()
    }

    fn write_key(&mut self, key: &str, written: &mut String) {
        let is_plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_');
        let quoted = Value::from(key).to_string();
        match self.rng.u8(..3) {
            0 if is_plain => written.push_str(&format!(".{key}")),
            1 => written.push_str(&format!("[{quoted}]")),
            _ => written.push_str(&format!(".{quoted}")),
        }
    }

    fn operand(
        &mut self,
        name: &str,
        sort: Sort,
        operator: &'static str,
        raw: Option<&str>,
        is_json: bool,
    ) -> Operand {
        let own = raw.and_then(|raw| serde_json::from_str::<Value>(raw).ok());
        if matches!(operator, "~" | "=~" | "!~") {
            return self.pattern(own.as_ref());
        }
        match sort {
            Sort::Duration => self.duration(raw),
            Sort::Address => self.network(own.as_ref(), operator),
            Sort::Plain if is_json => self.json(own, operator),
            _ => self.typed(name, own, operator),
        }
    }

    /// A value of a typed field.
    fn typed(&mut self, name: &str, own: Option<Value>, operator: &str) -> Operand {
        let is_ordered = operator.starts_with(['<', '>']);
        let value = own.filter(|own| !own.is_null() || !is_ordered);
        let value = value.unwrap_or_else(|| match name {
            "timestamp" => "2026-02-03T14:05:06.789000Z".into(),
            "level" => self.one_of(&["ERROR", "WARN", "INFO"]).into(),
            "type" => self.one_of(&["LOG", "RESPONSE", "LIFECYCLE", "LOST"]).into(),
            "requestId" => "6f1c2f6e-0b1d-4b7e-9c1e-2f3a4b5c6d7e".into(),
            "httpVersion" => self.one_of(&["1.0", "1.1", "2.0"]).into(),
            "method" => self.one_of(&["GET", "POST", "PURGE"]).into(),
            "event" => self.one_of(&["WORKER_STARTED", "WORKER_EXITED"]).into(),
            "signal" => self.one_of(&["SIGKILL", "SIGTERM"]).into(),
            "url" => self.one_of(&["/", "/api", "{", ""]).into(),
            _ => self.rng.i64(-2..600).into(),
        });
        let text = match &value {
            Value::String(text) if name == "url" => Value::from(text.as_str()).to_string(),
            Value::String(text) if self.rng.bool() => format!("'{text}'"),
            Value::String(text) if name != "timestamp" && self.rng.bool() => text.to_lowercase(),
            Value::String(text) => text.clone(),
            Value::Null if self.rng.bool() => "master".to_owned(),
            other => other.to_string(),
        };
        Operand { text, meaning: Meaning::Json(value) }
    }

    /// A value to compare with what is in JSON.
    fn json(&mut self, own: Option<Value>, operator: &str) -> Operand {
        let is_scalar = |own: &Value| !own.is_object() && !own.is_array();
        let orders = operator.starts_with(['<', '>']);
        if let Some(Value::String(text)) = &own
            && matches!(operator, "in" | "not in")
            && let Ok(address) = text.parse()
        {
            let prefix = self.rng.usize(0..33);
            return network(address, prefix);
        }
        let mut value = own.filter(is_scalar).unwrap_or_else(|| match self.rng.u8(..5) {
            0 => Value::Null,
            1 => self.rng.bool().into(),
            2 => self.one_of(&["", "12", "x", "true"]).into(),
            3 => (f64::from(self.rng.i8(..)) / 4.0).into(),
            _ => self.rng.i64(-20..20).into(),
        });
        if orders && (value.is_null() || value.is_boolean()) {
            value = 3.into();
        }
        let text = match &value {
            Value::String(text) => match self.rng.bool() {
                true => Value::from(text.as_str()).to_string(),
                false => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
            },
            other => other.to_string(),
        };
        Operand { text, meaning: Meaning::Json(value) }
    }

    fn duration(&mut self, raw: Option<&str>) -> Operand {
        let micros = raw.map_or_else(|| self.rng.i128(0..10_000_000), super::micros);
        // Beyond this, milliseconds as floating point would no longer tell each microsecond.
        let micros = (micros + self.rng.i128(-1..=1)).clamp(0, 1 << 50);
        let text = match self.rng.u8(..3) {
            0 => format!("{micros}us"),
            1 => format!("{}.{:03}", micros / 1000, micros % 1000),
            _ => format!("{}ms{}us", micros / 1000, micros % 1000),
        };
        Operand { text, meaning: Meaning::Nanos(micros * 1000) }
    }

    fn network(&mut self, own: Option<&Value>, operator: &str) -> Operand {
        let own = own.and_then(|own| own.as_str()?.parse().ok());
        let address = own.unwrap_or_else(|| self.rng.u32(..).to_be_bytes().into());
        let prefix = if matches!(operator, "in" | "not in") { self.rng.usize(0..33) } else { 128 };
        network(address, prefix)
    }

    fn pattern(&mut self, own: Option<&Value>) -> Operand {
        let own = own.map(|own| own.as_str().map_or_else(|| own.to_string(), str::to_owned));
        let own = own.unwrap_or_else(|| "abc".to_owned());
        let letters: Vec<_> =
            own.split(|c: char| !c.is_ascii_alphanumeric()).filter(|t| !t.is_empty()).collect();
        let text = self.rng.choice(letters).unwrap_or("x").to_owned();
        let (at_start, at_end) = (self.rng.u8(..4) == 0, self.rng.u8(..4) == 0);
        let (start, end) = (if at_start { "^" } else { "" }, if at_end { "$" } else { "" });
        let pattern = format!("'{start}{text}{end}'");
        Operand { text: pattern, meaning: Meaning::Pattern { text, at_start, at_end } }
    }
}

/// The network of an address: the first `prefix` bits, all of them if it has fewer.
fn network(address: std::net::IpAddr, prefix: usize) -> Operand {
    let address = address.to_canonical();
    let (length, skipped) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
    let prefix = prefix.min(length);
    let bits = bits(address).get(..skipped + prefix).unwrap_or_default().to_owned();
    let text = if prefix == length { address.to_string() } else { format!("{address}/{prefix}") };
    Operand { text, meaning: Meaning::Bits(bits) }
}
