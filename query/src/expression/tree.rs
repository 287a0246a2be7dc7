//! The tree of an expression, and how it is printed so that it is read back as the same tree.

use std::fmt;

use regex::Regex;

use super::literal::Literal;
use crate::field::{FieldPath, FieldValue};

/// A part of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// Every part is true; two parts or more, none of them an `All`.
    All(Vec<Node>),
    /// Some part is true; two parts or more, none of them an `Any`.
    Any(Vec<Node>),
    /// The part is false; it is no `Not`.
    Not(Box<Node>),
    Test(Test),
}

/// A question about one field.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Test {
    pub(super) field: FieldPath,
    pub(super) operator: Operator,
    pub(super) operand: Operand,
}

/// How a field is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Exists,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Matches,
    MatchesNot,
    In,
    NotIn,
}

/// What a field is asked with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    /// Of `exists`.
    None,
    One(Literal),
    /// Of `in`.
    Many(Vec<Literal>),
    /// Of `~`.
    Pattern(Pattern),
}

/// A regular expression, as it was written and compiled.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) text: String,
    pub(super) regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Node {
    /// Whether all of these are true.
    pub(super) fn all(nodes: Vec<Self>) -> Self {
        let flat = nodes.into_iter().flat_map(|node| match node {
            Self::All(inner) => inner,
            node => vec![node],
        });
        Self::one_or(flat.collect(), Self::All)
    }

    /// Whether any of these is true.
    pub(super) fn any(nodes: Vec<Self>) -> Self {
        let flat = nodes.into_iter().flat_map(|node| match node {
            Self::Any(inner) => inner,
            node => vec![node],
        });
        Self::one_or(flat.collect(), Self::Any)
    }

    fn one_or(mut nodes: Vec<Self>, several: impl FnOnce(Vec<Self>) -> Self) -> Self {
        match (nodes.len(), nodes.pop()) {
            (1, Some(node)) => node,
            (_, last) => {
                nodes.extend(last);
                several(nodes)
            }
        }
    }

    /// Whether this is false.
    pub(super) fn negated(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            node => Self::Not(Box::new(node)),
        }
    }
}

impl Test {
    /// The answer for a record that has the field, with this value.
    pub(super) fn holds(&self, value: &FieldValue<'_>) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let order = match &self.operand {
            Operand::One(literal) => literal.compare(value),
            _ => None,
        };
        match self.operator {
            Operator::Exists => true,
            Operator::Equal => order == Some(Equal),
            Operator::Unequal => order != Some(Equal),
            Operator::Less => order == Some(Less),
            Operator::LessOrEqual => matches!(order, Some(Less | Equal)),
            Operator::Greater => order == Some(Greater),
            Operator::GreaterOrEqual => matches!(order, Some(Greater | Equal)),
            Operator::In => self.is_listed(value),
            Operator::NotIn => !self.is_listed(value),
            Operator::Matches => self.is_matched(value),
            Operator::MatchesNot => !self.is_matched(value),
        }
    }

    fn is_listed(&self, value: &FieldValue<'_>) -> bool {
        let Operand::Many(literals) = &self.operand else { return false };
        literals.iter().any(|literal| literal.compare(value).is_some_and(|order| order.is_eq()))
    }

    /// Whether the pattern occurs in the text of the value; nothing occurs in null.
    fn is_matched(&self, value: &FieldValue<'_>) -> bool {
        let Operand::Pattern(pattern) = &self.operand else { return false };
        !value.is_null() && pattern.regex.is_match(&value.raw())
    }
}

impl Operator {
    fn sign(self) -> &'static str {
        match self {
            Self::Exists => "exists",
            Self::Equal => "=",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Matches => "~",
            Self::MatchesNot => "!~",
            Self::In => "in",
            Self::NotIn => "not in",
        }
    }

    /// Whether it asks which of two values is the greater.
    pub(super) fn is_ordering(self) -> bool {
        matches!(self, Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(nodes) => write_joined(f, nodes, " and "),
            Self::Any(nodes) => write_joined(f, nodes, " or "),
            Self::Not(node) if matches!(**node, Self::All(_) | Self::Any(_)) => {
                write!(f, "not ({node})")
            }
            Self::Not(node) => write!(f, "not {node}"),
            Self::Test(test) => test.fmt(f),
        }
    }
}

/// Writes the parts; within `and` those with `or` in parentheses.
fn write_joined(f: &mut fmt::Formatter<'_>, nodes: &[Node], between: &str) -> fmt::Result {
    for (index, node) in nodes.iter().enumerate() {
        f.write_str(if index == 0 { "" } else { between })?;
        match node {
            Node::Any(_) => write!(f, "({node})")?,
            _ => write!(f, "{node}")?,
        }
    }
    Ok(())
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (field, sign) = (&self.field, self.operator.sign());
        match &self.operand {
            Operand::None => write!(f, "{sign}({field})"),
            Operand::One(literal) => write!(f, "{field} {sign} {literal}"),
            Operand::Pattern(pattern) => write!(f, "{field} {sign} {pattern}"),
            Operand::Many(literals) => {
                write!(f, "{field} {sign} (")?;
                for (index, literal) in literals.iter().enumerate() {
                    write!(f, "{}{literal}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str(")")
            }
        }
    }
}

impl fmt::Display for Pattern {
    /// Writes it in quotes that do not end early: it has been read from such.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = if has_bare(&self.text, '\'') { '"' } else { '\'' };
        write!(f, "{quote}{}{quote}", self.text)
    }
}

/// Whether the character occurs without a backslash before it.
fn has_bare(text: &str, wanted: char) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == wanted {
            return true;
        }
    }
    false
}
