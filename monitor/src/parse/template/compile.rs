//! Format strings to steps: the words of nginx and Apache, and nothing about lines.

use super::{Step, Template, TemplateError};
use crate::parse::names::{self, Field};
use crate::parse::number::Unit;

/// A piece of a format string: a literal byte, or a field as written and what it means.
enum Piece {
    Byte(u8),
    Field {
        written: String,
        field: Field,
    },
    /// Belongs to the field before it, if one is directly before it.
    Rest,
}

/// Compiles a format string of either kind.
pub(super) fn compile(text: &str) -> Result<Template, TemplateError> {
    let unknown = || TemplateError::Unknown { text: text.to_owned() };
    let (is_nginx, string) = match text.trim() {
        text if text.starts_with("log_format") => (true, quoted_pieces(text, '\'')),
        text if text.starts_with("LogFormat") => (false, quoted_pieces(text, '"')),
        text => (text.contains('$'), Some(text.to_owned())),
    };
    let string = string.ok_or_else(unknown)?;
    let pieces = match is_nginx {
        true => nginx(&string)?,
        false if string.contains('%') => apache(&string)?,
        false => return Err(unknown()),
    };
    let template = Template { steps: steps(pieces)? };
    let fields: Vec<Field> = template
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Field(field) => Some(*field),
            Step::Literal(_) => None,
        })
        .collect();
    if !fields.contains(&Field::Time) {
        return Err(TemplateError::Missing { missing: "time" });
    }
    if !names::suffices(&fields) {
        return Err(TemplateError::Missing { missing: "request" });
    }
    Ok(template)
}

/// What stands in quotes in a directive, joined; with backslashes for quotes inside.
fn quoted_pieces(text: &str, quote: char) -> Option<String> {
    let mut joined = String::new();
    let mut rest = text;
    let mut found = false;
    while let Some((_, inside)) = rest.split_once(quote) {
        let mut is_escaped = false;
        let end = inside.find(|character| {
            let is_end = character == quote && !is_escaped;
            is_escaped = character == '\\' && !is_escaped;
            is_end
        })?;
        let (piece, behind) = inside.split_at_checked(end)?;
        joined.push_str(piece);
        rest = behind.get(1..)?;
        found = true;
    }
    found.then_some(joined)
}

/// Joins literal bytes and refuses fields without anything between them.
fn steps(pieces: Vec<Piece>) -> Result<Vec<Step>, TemplateError> {
    let mut steps: Vec<Step> = Vec::new();
    let mut before: Option<String> = None;
    for piece in pieces {
        match piece {
            Piece::Byte(byte) => {
                match steps.last_mut() {
                    Some(Step::Literal(literal)) => literal.push(byte),
                    _ => steps.push(Step::Literal(vec![byte])),
                }
                before = None;
            }
            Piece::Rest if before.is_some() => {}
            Piece::Rest => steps.push(Step::Field(Field::Skip)),
            Piece::Field { written, field } => {
                if let Some(first) = before {
                    return Err(TemplateError::Adjacent { first, second: written });
                }
                steps.push(Step::Field(field));
                before = Some(written);
            }
        }
    }
    Ok(steps)
}

/// The pieces of a string with `$name` and `${name}`.
fn nginx(text: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((literal, behind)) = rest.split_once('$') {
        push_literal(&mut pieces, literal);
        let (name, behind) = match behind.strip_prefix('{') {
            Some(inside) => inside.split_once('}').ok_or_else(|| open("$", behind))?,
            None => {
                let is_end = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
                let end = behind.find(is_end).unwrap_or(behind.len());
                behind.split_at_checked(end).unwrap_or((behind, ""))
            }
        };
        pieces.push(match name {
            "is_args" | "args" | "query_string" => Piece::Rest,
            _ => {
                let field = names::field(name.as_bytes());
                Piece::Field { written: format!("${name}"), field }
            }
        });
        rest = behind;
    }
    push_literal(&mut pieces, rest);
    Ok(pieces)
}

/// The pieces of a string with `%h`, `%>s`, `%{Referer}i`.
fn apache(text: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((literal, directive)) = rest.split_once('%') {
        push_literal(&mut pieces, literal);
        let is_modifier = |c: char| c.is_ascii_digit() || matches!(c, '>' | '<' | '!' | ',');
        let behind = directive.trim_start_matches(is_modifier);
        let (argument, behind) = match behind.strip_prefix('{') {
            Some(inside) => inside.split_once('}').ok_or_else(|| open("%", directive))?,
            None => ("", behind),
        };
        let letter = behind.chars().next().ok_or_else(|| open("%", directive))?;
        rest = behind.get(letter.len_utf8()..).unwrap_or_default();
        let written = directive.get(..directive.len() - rest.len()).unwrap_or_default();
        push_apache(&mut pieces, letter, argument, written);
    }
    push_literal(&mut pieces, rest);
    Ok(pieces)
}

fn push_apache(pieces: &mut Vec<Piece>, letter: char, argument: &str, written: &str) {
    let field = match (letter, argument) {
        ('%', _) => return pieces.push(Piece::Byte(b'%')),
        ('q', _) => return pieces.push(Piece::Rest),
        ('t', "sec" | "msec" | "usec" | "%s") => Field::Time,
        // Written in brackets, which the string does not show.
        ('t', "") => {
            pieces.push(Piece::Byte(b'['));
            pieces.push(Piece::Field { written: format!("%{written}"), field: Field::Time });
            return pieces.push(Piece::Byte(b']'));
        }
        ('h' | 'a', _) => Field::Client,
        ('r', _) => Field::Request,
        ('m', _) => Field::Method,
        ('U', _) => Field::Path,
        ('s', _) => Field::Status,
        ('b' | 'B' | 'O', _) => Field::Bytes,
        ('D', _) | ('T', "us") => Field::Latency(Unit::Micros),
        ('T', "ms") => Field::Latency(Unit::Millis),
        ('T', _) => Field::Latency(Unit::Seconds),
        _ => Field::Skip,
    };
    pieces.push(Piece::Field { written: format!("%{written}"), field });
}

/// Literal bytes; a backslash stands before a quote or makes a tab.
fn push_literal(pieces: &mut Vec<Piece>, text: &str) {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'\\' => match bytes.next() {
                Some(b't') => b'\t',
                Some(escaped) => escaped,
                None => b'\\',
            },
            byte => byte,
        };
        pieces.push(Piece::Byte(byte));
    }
}

fn open(sign: &str, directive: &str) -> TemplateError {
    TemplateError::Open { directive: format!("{sign}{directive}") }
}
