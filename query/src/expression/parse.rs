//! From text to the tree of an expression.
//!
//! ```text
//! or    = and { ("or" | "||") and }
//! and   = not { ("and" | "&&") not }
//! not   = ("not" | "!") not | "(" or ")" | "exists" field | field test
//! test  = "exists"
//!       | ("=" | "==" | "!=" | "<" | "<=" | ">" | ">=") value
//!       | ("~" | "=~" | "!~") pattern
//!       | ["not"] "in" ( "(" value { "," value } ")" | value )
//! ```
//!
//! What a value means depends on the field; see `operand`.

use logq_format::Timestamp;
use regex::RegexBuilder;

use super::cursor::Cursor;
use super::error::{Problem, Reason};
use super::literal::Literal;
use super::operand::{Kind, Token, interval, literal};
use super::tree::{Node, Operand, Operator, Pattern, Test};
use crate::field::{FieldPath, after_root, root};
use crate::when::Context;

/// The longest text that is read as an expression.
///
/// Generous for lists that a program writes, and a bound on the cost of everything that follows.
pub(super) const TEXT_BYTES_MAX: usize = 1 << 16;

/// How deep parentheses and `not` may be nested: bounds the stack of parsing and judging.
pub(super) const DEPTH_MAX: usize = 64;

/// How many patterns an expression may have, and how much memory each may take compiled.
pub(super) const PATTERNS_MAX: usize = 64;
const PATTERN_BYTES_MAX: usize = 2 << 20;

/// Words that stand for themselves in any case, so that text like them needs quotes.
const KEYWORDS: [&str; 8] = ["and", "or", "not", "in", "exists", "null", "true", "false"];

/// Whether a word is one of the language.
pub(super) fn is_keyword(word: &str) -> bool {
    KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(word))
}

/// Whether a character is a part of words without quotes.
fn is_word_char(c: char) -> bool {
    !c.is_whitespace() && !"()[]{},=!<>~&|'\"".contains(c)
}

/// Reads the whole text.
pub(super) fn parse(text: &str, context: &Context<'_>) -> Result<Node, Problem> {
    let mut parser = Parser { cursor: Cursor::new(text), context, depth: 0, patterns: 0 };
    if text.len() > TEXT_BYTES_MAX {
        let reason = Reason::TooLong { bytes: text.len(), limit: TEXT_BYTES_MAX };
        return Err(parser.cursor.problem(reason));
    }
    parser.cursor.spaces();
    if parser.cursor.is_at_end() {
        return Err(parser.cursor.problem(Reason::Empty));
    }
    let node = parser.or()?;
    match parser.cursor.peek() {
        None => Ok(node),
        Some(')') => Err(parser.cursor.unexpected("`and`, `or` or the end, as no `(` is open")),
        Some(_) => Err(parser
            .cursor
            .unexpected("`and`, `or` or the end; text with spaces or signs is written in quotes")),
    }
}

struct Parser<'a, 'c> {
    cursor: Cursor<'a>,
    context: &'a Context<'c>,
    depth: usize,
    patterns: usize,
}

impl<'a> Parser<'a, '_> {
    fn or(&mut self) -> Result<Node, Problem> {
        let mut nodes = vec![self.and()?];
        while self.word("or") || self.sign("||") {
            nodes.push(self.and()?);
        }
        Ok(Node::any(nodes))
    }

    fn and(&mut self) -> Result<Node, Problem> {
        let mut nodes = vec![self.not()?];
        while self.word("and") || self.sign("&&") {
            nodes.push(self.not()?);
        }
        Ok(Node::all(nodes))
    }

    fn not(&mut self) -> Result<Node, Problem> {
        let start = self.cursor;
        let is_negated = self.word("not") || self.sign("!");
        if !is_negated && !self.sign("(") {
            return self.test();
        }
        if self.depth == DEPTH_MAX {
            return Err(start.problem(Reason::TooDeep { limit: DEPTH_MAX }));
        }
        self.depth += 1;
        let node = if is_negated {
            self.not()?.negated()
        } else {
            let node = self.or()?;
            if !self.sign(")") {
                return Err(self.cursor.unexpected("`and`, `or` or `)`"));
            }
            node
        };
        self.depth -= 1;
        Ok(node)
    }

    fn test(&mut self) -> Result<Node, Problem> {
        if self.word("exists") {
            let in_parentheses = self.sign("(");
            let field = self.field()?;
            if in_parentheses && !self.sign(")") {
                return Err(self.cursor.unexpected("`)`"));
            }
            return Ok(Node::test(field, Operator::Exists, Operand::None));
        }
        let field = self.field()?;
        let start = self.cursor;
        let Some(operator) = self.operator() else {
            return Err(start.unexpected("one of = != < <= > >= ~ !~ in, not in, exists"));
        };
        let kind = Kind::of(&field);
        kind.check_operator(&field, operator).map_err(|reason| start.problem(reason))?;
        match operator {
            Operator::Exists => Ok(Node::test(field, operator, Operand::None)),
            Operator::Matches | Operator::MatchesNot => {
                let pattern = self.pattern()?;
                Ok(Node::test(field, operator, Operand::Pattern(pattern)))
            }
            Operator::In | Operator::NotIn => self.membership(field, operator, kind),
            _ => self.comparison(field, operator, kind),
        }
    }

    fn field(&mut self) -> Result<FieldPath, Problem> {
        self.cursor.spaces();
        let root = root(&mut self.cursor)?;
        let field = after_root(&mut self.cursor, root)?;
        self.cursor.spaces();
        Ok(field)
    }

    fn operator(&mut self) -> Option<Operator> {
        // Longer signs come before those they begin with.
        const SIGNS: [(&str, Operator); 10] = [
            ("==", Operator::Equal),
            ("=~", Operator::Matches),
            ("=", Operator::Equal),
            ("!=", Operator::Unequal),
            ("!~", Operator::MatchesNot),
            ("<=", Operator::LessOrEqual),
            ("<", Operator::Less),
            (">=", Operator::GreaterOrEqual),
            (">", Operator::Greater),
            ("~", Operator::Matches),
        ];
        if let Some((_, operator)) = SIGNS.into_iter().find(|(sign, _)| self.sign(sign)) {
            return Some(operator);
        }
        if self.word("exists") {
            return Some(Operator::Exists);
        }
        if self.word("in") {
            return Some(Operator::In);
        }
        let is_negated = self.word("not") && self.word("in");
        is_negated.then_some(Operator::NotIn)
    }

    fn comparison(
        &mut self,
        field: FieldPath,
        operator: Operator,
        kind: Kind,
    ) -> Result<Node, Problem> {
        let token = self.token()?;
        let is_equality = matches!(operator, Operator::Equal | Operator::Unequal);
        if kind == Kind::Time
            && is_equality
            && let Some(range) = interval(&token, self.context)
        {
            return Ok(within(&field, range, operator == Operator::Equal));
        }
        let value = literal(&token, kind, &field, operator, self.context)?;
        Ok(Node::test(field, operator, Operand::One(value)))
    }

    fn membership(
        &mut self,
        field: FieldPath,
        operator: Operator,
        kind: Kind,
    ) -> Result<Node, Problem> {
        let is_list = self.sign("(");
        let start = self.cursor;
        let mut tokens = vec![self.token()?];
        while is_list && self.sign(",") {
            tokens.push(self.token()?);
        }
        if is_list && !self.sign(")") {
            return Err(self.cursor.unexpected("`,` or `)`"));
        }
        if kind == Kind::Time {
            return self.membership_of_time(&field, operator, &tokens);
        }
        let values = tokens.iter().map(|t| literal(t, kind, &field, operator, self.context));
        let values: Vec<_> = values.collect::<Result<_, _>>()?;
        // Without parentheses a list of one value is almost certainly a mistake.
        if !is_list && !matches!(values.as_slice(), [Literal::Network(_)]) {
            return Err(start.unexpected("a list as (500, 502), or a network as 192.0.2.0/24"));
        }
        Ok(Node::test(field, operator, Operand::Many(values)))
    }

    fn membership_of_time(
        &self,
        field: &FieldPath,
        operator: Operator,
        tokens: &[Token<'_>],
    ) -> Result<Node, Problem> {
        let is_in = operator == Operator::In;
        let each = |token: &Token<'_>| match interval(token, self.context) {
            Some(range) => Ok(within(field, range, is_in)),
            None => {
                let equal = if is_in { Operator::Equal } else { Operator::Unequal };
                let value = literal(token, Kind::Time, field, equal, self.context)?;
                Ok(Node::test(field.clone(), equal, Operand::One(value)))
            }
        };
        let nodes = tokens.iter().map(each).collect::<Result<_, _>>()?;
        Ok(if is_in { Node::any(nodes) } else { Node::all(nodes) })
    }

    /// Reads a value: a word, or text in quotes.
    fn token(&mut self) -> Result<Token<'a>, Problem> {
        self.cursor.spaces();
        let start = self.cursor;
        let token = match self.cursor.peek() {
            Some('"' | '\'') => Token::quoted(start.at(), self.cursor.string()?),
            _ => match self.cursor.take_while(is_word_char) {
                word if word.is_empty() || is_operator_word(word) => {
                    return Err(start.unexpected("a value; text is written in quotes"));
                }
                word => Token::word(start.at(), word),
            },
        };
        self.cursor.spaces();
        Ok(token)
    }

    fn pattern(&mut self) -> Result<Pattern, Problem> {
        self.cursor.spaces();
        let start = self.cursor;
        let text = match self.cursor.peek() {
            Some('"' | '\'') => self.cursor.raw_string()?,
            _ => match self.cursor.take_while(is_word_char) {
                "" => return Err(start.unexpected("a pattern in quotes")),
                word => word.to_owned(),
            },
        };
        self.cursor.spaces();
        if self.patterns == PATTERNS_MAX {
            return Err(start.problem(Reason::TooManyPatterns { limit: PATTERNS_MAX }));
        }
        self.patterns += 1;
        let regex = RegexBuilder::new(&text).size_limit(PATTERN_BYTES_MAX).build();
        match regex {
            Ok(regex) => Ok(Pattern { text, regex }),
            Err(error) => Err(start.problem(Reason::Pattern { message: last_line(&error) })),
        }
    }

    /// Reads a keyword, in any case, if it comes next and nothing continues it.
    fn word(&mut self, keyword: &str) -> bool {
        let mut ahead = self.cursor;
        ahead.spaces();
        let found = ahead.take_while(|c| is_word_char(c) && c != '.').eq_ignore_ascii_case(keyword);
        if found && ahead.peek() != Some('.') {
            ahead.spaces();
            self.cursor = ahead;
            return true;
        }
        false
    }

    /// Reads a sign if it comes next.
    fn sign(&mut self, sign: &str) -> bool {
        self.cursor.spaces();
        let found = self.cursor.eat(sign);
        if found {
            self.cursor.spaces();
        }
        found
    }
}

/// Words that cannot be a value, so that `status =  and ...` is told rather than searched for.
fn is_operator_word(word: &str) -> bool {
    is_keyword(word) && !["null", "true", "false"].iter().any(|v| v.eq_ignore_ascii_case(word))
}

/// Whether the time lies in the interval, or outside of it.
fn within(field: &FieldPath, range: std::ops::Range<Timestamp>, inside: bool) -> Node {
    let test =
        |operator, time| Node::test(field.clone(), operator, Operand::One(Literal::Time(time)));
    if inside {
        let from = test(Operator::GreaterOrEqual, range.start);
        Node::all(vec![from, test(Operator::Less, range.end)])
    } else {
        let before = test(Operator::Less, range.start);
        Node::any(vec![before, test(Operator::GreaterOrEqual, range.end)])
    }
}

/// What an error of the regex library says, without its drawing.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default();
    line.trim().trim_start_matches("error: ").to_owned()
}

impl Node {
    fn test(field: FieldPath, operator: Operator, operand: Operand) -> Self {
        Self::Test(Test { field, operator, operand })
    }
}
