//! Tokens to clauses. Knows the grammar, not what can be searched.

use std::fmt;

use super::lex::{Token, tokens};
use super::problem::{Expected, SearchError, SearchProblem, Span};

#[derive(Debug, PartialEq)]
pub(super) struct Clause {
    pub(super) key: Key,
    pub(super) comparison: Comparison,
    /// Where the operator is, `NOT IN` and `IS NOT NULL` as one.
    pub(super) operator: Span,
    /// Where the value is, or the list; empty where there is none.
    pub(super) value: Span,
}

/// `metrics.accuracy`, or `status` without an entity.
#[derive(Debug, PartialEq)]
pub(super) struct Key {
    pub(super) entity: Option<String>,
    pub(super) name: String,
    pub(super) span: Span,
}

#[derive(Debug, PartialEq)]
pub(super) enum Comparison {
    Compare(Operator, Literal),
    In { negated: bool, values: Vec<Literal> },
    Null { negated: bool },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Text(String),
    Number(f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Like,
    Ilike,
}

impl Operator {
    fn from_symbol(symbol: &str) -> Self {
        match symbol {
            "!=" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => Self::Equal,
        }
    }

    /// Returns the operator as it is written.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Like => "LIKE",
            Self::Ilike => "ILIKE",
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Parses comparisons joined by `AND`. An `AND` at the end is tolerated, as MLflow does.
pub(super) fn filter(text: &str) -> Result<Vec<Clause>, SearchError> {
    let mut parser = Parser::new(text)?;
    let mut clauses = Vec::new();
    while parser.peek().is_some() {
        clauses.push(parser.clause()?);
        if parser.peek().is_some() {
            parser.keyword("AND", Expected::And)?;
        }
    }
    Ok(clauses)
}

/// Parses a key with an optional `ASC` or `DESC`; ascending is the default.
pub(super) fn order(text: &str) -> Result<(Key, bool), SearchError> {
    let mut parser = Parser::new(text)?;
    let key = parser.key()?;
    let ascending = if parser.take_keyword("DESC") {
        false
    } else {
        parser.take_keyword("ASC");
        true
    };
    match parser.peek() {
        None => Ok((key, ascending)),
        Some(_) => Err(parser.error(Expected::Direction)),
    }
}

/// A comparison without its value.
enum Shape {
    Compare(Operator),
    In { negated: bool },
    Null { negated: bool },
}

struct Parser {
    tokens: Vec<(Token, Span)>,
    next: usize,
    end: usize,
}

impl Parser {
    fn new(text: &str) -> Result<Self, SearchError> {
        Ok(Self {
            tokens: tokens(text)?,
            next: 0,
            end: text.len(),
        })
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(token, _)| token)
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.next)?.0.clone();
        self.next += 1;
        Some(token)
    }

    fn error(&self, expected: Expected) -> SearchError {
        let span = self
            .tokens
            .get(self.next)
            .map_or(self.end..self.end, |(_, span)| span.clone());
        SearchProblem::Expected(expected).at(span)
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword));
        self.next += usize::from(found);
        found
    }

    fn keyword(&mut self, keyword: &str, expected: Expected) -> Result<(), SearchError> {
        if self.take_keyword(keyword) {
            Ok(())
        } else {
            Err(self.error(expected))
        }
    }

    fn expect(&mut self, token: &Token, expected: Expected) -> Result<(), SearchError> {
        if self.peek() != Some(token) {
            return Err(self.error(expected));
        }
        self.next += 1;
        Ok(())
    }

    fn clause(&mut self) -> Result<Clause, SearchError> {
        let key = self.key()?;
        let begin = self.next;
        let comparison = self.operator()?;
        let operator = self.span_from(begin);
        let begin = self.next;
        let comparison = match comparison {
            Shape::Compare(operator) => Comparison::Compare(operator, self.literal()?),
            Shape::In { negated } => Comparison::In {
                negated,
                values: self.list()?,
            },
            Shape::Null { negated } => Comparison::Null { negated },
        };
        Ok(Clause {
            key,
            comparison,
            operator,
            value: self.span_from(begin),
        })
    }

    /// The place of the tokens taken since `begin`; empty, behind the token before it, when none were.
    fn span_from(&self, begin: usize) -> Span {
        let end_of = |at: Option<usize>| at.and_then(|at| self.tokens.get(at)).map(|(_, span)| span.end);
        let end = end_of(self.next.checked_sub(1)).unwrap_or(0);
        let start = self.tokens.get(begin).map_or(self.end, |(_, span)| span.start);
        start.min(end)..end
    }

    fn key(&mut self) -> Result<Key, SearchError> {
        let begin = self.next;
        let first = self.key_part(Expected::Key)?;
        let mut rest = Vec::new();
        while self.peek() == Some(&Token::Dot) {
            self.next += 1;
            rest.push(self.key_part(Expected::Name)?);
        }
        if rest.is_empty() {
            return Ok(Key {
                entity: None,
                name: first,
                span: self.span_from(begin),
            });
        }
        Ok(Key {
            entity: Some(first),
            name: rest.join("."),
            span: self.span_from(begin),
        })
    }

    fn key_part(&mut self, expected: Expected) -> Result<String, SearchError> {
        match self.peek() {
            Some(Token::Word(word)) => {
                let word = word.clone();
                self.next += 1;
                Ok(word)
            }
            Some(Token::Quoted {
                text,
                quote: '`' | '"',
            }) if !text.is_empty() => {
                let text = text.clone();
                self.next += 1;
                Ok(text)
            }
            _ => Err(self.error(expected)),
        }
    }

    fn operator(&mut self) -> Result<Shape, SearchError> {
        if let Some(Token::Operator(symbol)) = self.peek() {
            let operator = Operator::from_symbol(symbol);
            self.next += 1;
            return Ok(Shape::Compare(operator));
        }
        if self.take_keyword("LIKE") {
            return Ok(Shape::Compare(Operator::Like));
        }
        if self.take_keyword("ILIKE") {
            return Ok(Shape::Compare(Operator::Ilike));
        }
        if self.take_keyword("IS") {
            let negated = self.take_keyword("NOT");
            self.keyword("NULL", Expected::Null)?;
            return Ok(Shape::Null { negated });
        }
        let negated = self.take_keyword("NOT");
        if !self.take_keyword("IN") {
            return Err(self.error(Expected::Operator));
        }
        Ok(Shape::In { negated })
    }

    fn literal(&mut self) -> Result<Literal, SearchError> {
        match self.peek() {
            Some(
                Token::Number(_)
                | Token::Quoted {
                    quote: '\'' | '"', ..
                },
            ) => {}
            _ => return Err(self.error(Expected::Value)),
        }
        match self.take() {
            Some(Token::Number(number)) => Ok(Literal::Number(number)),
            Some(Token::Quoted { text, .. }) => Ok(Literal::Text(text)),
            _ => Err(self.error(Expected::Value)),
        }
    }

    fn list(&mut self) -> Result<Vec<Literal>, SearchError> {
        self.expect(&Token::Open, Expected::List)?;
        let mut values = vec![self.literal()?];
        while self.peek() == Some(&Token::Comma) {
            self.next += 1;
            // A comma at the end is what Python writes for a tuple of one.
            if self.peek() == Some(&Token::Close) {
                break;
            }
            values.push(self.literal()?);
        }
        self.expect(&Token::Close, Expected::RestOfList)?;
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(key: &Key) -> String {
        let entity = key.entity.as_deref().unwrap_or("attribute");
        format!("{entity}.{}", key.name)
    }

    fn shown(text: &str) -> String {
        match filter(text) {
            Ok(clauses) => {
                let clauses = clauses.iter().map(|clause| match &clause.comparison {
                    Comparison::Compare(operator, Literal::Text(text)) => {
                        format!("[{}] {operator} '{text}'", named(&clause.key))
                    }
                    Comparison::Compare(operator, Literal::Number(number)) => {
                        format!("[{}] {operator} {number}", named(&clause.key))
                    }
                    Comparison::In { negated, values } => {
                        format!("[{}] in {} {negated}", named(&clause.key), values.len())
                    }
                    Comparison::Null { negated } => format!("[{}] null {negated}", named(&clause.key)),
                });
                clauses.collect::<Vec<_>>().join(" & ")
            }
            Err(error) => error.message("filter string", text),
        }
    }

    #[test]
    fn clauses() {
        for (text, expected) in [
            ("", ""),
            ("  ", ""),
            ("metrics.acc > 0.9", "[metrics.acc] > 0.9"),
            ("metrics.acc>=-1e-3", "[metrics.acc] >= -0.001"),
            ("metrics.acc<.5", "[metrics.acc] < 0.5"),
            ("params.x = 's'", "[params.x] = 's'"),
            ("params.x = \"it's\"", "[params.x] = 'it's'"),
            ("status = 'RUNNING'", "[attribute.status] = 'RUNNING'"),
            ("tags.mlflow.source.name = 'a'", "[tags.mlflow.source.name] = 'a'"),
            ("tags.`a b.c` = 'a'", "[tags.a b.c] = 'a'"),
            ("tags.\"a b\" != 'a'", "[tags.a b] != 'a'"),
            ("metrics.1st > 1", "[metrics.1st] > 1"),
            ("metrics.val-acc/x > 1", "[metrics.val-acc/x] > 1"),
            ("params.año like '%x_'", "[params.año] LIKE '%x_'"),
            ("a.b = 1 and c.d ILIKE 'x'", "[a.b] = 1 & [c.d] ILIKE 'x'"),
            ("a.b = 1 AND", "[a.b] = 1"),
            ("run_id IN ('a', 'b',)", "[attribute.run_id] in 2 false"),
            ("run_id not in ('a')", "[attribute.run_id] in 1 true"),
            ("tags.x IS NULL", "[tags.x] null false"),
            ("tags.x is not null", "[tags.x] null true"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn errors_name_their_place() {
        for (text, place) in [
            ("metrics.acc", 11),
            ("metrics.acc >", 13),
            ("metrics. > 1", 9),
            ("metrics.acc > x", 14),
            ("metrics.acc > 1 OR a.b = 1", 16),
            ("(metrics.acc > 1)", 0),
            ("metrics.acc BETWEEN 1 AND 2", 12),
            ("tags.x NOT LIKE 'a'", 11),
            ("tags.x = 'abc", 9),
            ("tags.x = `abc`", 9),
            ("run_id IN ()", 11),
            ("run_id IN 'a'", 10),
            ("'a' = 'b'", 0),
            ("AND a.b = 1", 4),
            ("a.b == 1", 5),
            ("a.b = 1; DROP TABLE runs", 7),
            ("a.b = 1e999", 6),
            ("a.b = 12x", 6),
        ] {
            match filter(text) {
                Ok(clauses) => panic!("{text}: {clauses:?}"),
                Err(error) => assert_eq!(error.span.start, place, "{text}: {error:?}"),
            }
        }
    }

    #[test]
    fn orders() {
        for (text, expected) in [
            ("metrics.acc", Some(("metrics.acc", true))),
            ("metrics.acc DESC", Some(("metrics.acc", false))),
            ("start_time asc", Some(("attribute.start_time", true))),
            ("tags.`a b` desc", Some(("tags.a b", false))),
            ("metrics.acc DOWN", None),
            ("metrics.acc DESC, x", None),
            ("", None),
        ] {
            let parsed = order(text).ok().map(|(key, ascending)| (named(&key), ascending));
            let expected = expected.map(|(key, ascending): (&str, bool)| (key.to_owned(), ascending));
            assert_eq!(parsed, expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_the_parser(text in "([a-z`'\"=<>!., ()0-9eE+\\-]|AND|LIKE|IN|NOT|IS|NULL|\\PC){0,40}") {
            if let Err(error) = filter(&text) {
                // The place lies on the borders of characters.
                proptest::prop_assert!(text.get(error.span.clone()).is_some());
                error.message("filter string", &text);
            }
            let _ = order(&text);
        }
    }
}
