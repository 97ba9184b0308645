//! Text to tokens with their places.

use super::problem::{SearchError, SearchProblem, Span};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A bare name or keyword.
    Word(String),
    /// A text in single or double quotes, or in backticks.
    Quoted {
        text: String,
        quote: char,
    },
    Number(f64),
    /// `=`, `!=`, `<`, `<=`, `>`, `>=`.
    Operator(&'static str),
    Dot,
    Comma,
    Open,
    Close,
}

/// Two-character operators come first, so that `<=` is not read as `<`.
const OPERATORS: [&str; 6] = ["!=", ">=", "<=", "=", ">", "<"];

pub(super) fn tokens(text: &str) -> Result<Vec<(Token, Span)>, SearchError> {
    let mut tokens: Vec<(Token, Span)> = Vec::new();
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        let rest = &text[at..];
        if character.is_whitespace() {
            at += character.len_utf8();
            continue;
        }
        // What follows a dot without a gap is a part of a key, also when it begins with a digit.
        let after_dot = matches!(tokens.last(), Some((Token::Dot, span)) if span.end == at);
        let after_name =
            matches!(tokens.last(), Some((Token::Word(_) | Token::Quoted { .. }, span)) if span.end == at);
        let (token, length) =
            if let Some(operator) = OPERATORS.iter().find(|operator| rest.starts_with(**operator)) {
                (Token::Operator(operator), operator.len())
            } else if matches!(character, '\'' | '"' | '`') {
                quoted(rest, character, at)?
            } else if character == '.' && after_name {
                (Token::Dot, 1)
            } else if !after_dot && begins_number(rest) {
                number(rest, at)?
            } else if is_word(character) {
                let length = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
                (Token::Word(rest[..length].to_owned()), length)
            } else {
                match character {
                    ',' => (Token::Comma, 1),
                    '(' => (Token::Open, 1),
                    ')' => (Token::Close, 1),
                    _ => {
                        let span = at..at + character.len_utf8();
                        return Err(SearchProblem::Unexpected(character).at(span));
                    }
                }
            };
        tokens.push((token, at..at + length));
        at += length;
    }
    Ok(tokens)
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-' | '/' | ':')
}

fn begins_number(rest: &str) -> bool {
    let digits = rest.trim_start_matches(['+', '-']);
    rest.len() - digits.len() <= 1
        && digits
            .trim_start_matches('.')
            .starts_with(|character: char| character.is_ascii_digit())
        && digits.len() - digits.trim_start_matches('.').len() <= 1
}

fn number(rest: &str, at: usize) -> Result<(Token, usize), SearchError> {
    let mut length = 0;
    let mut before = ' ';
    for character in rest.chars() {
        let sign = matches!(character, '+' | '-') && (length == 0 || matches!(before, 'e' | 'E'));
        if !(sign || character == '.' || is_word(character) && !matches!(character, '-')) {
            break;
        }
        length += character.len_utf8();
        before = character;
    }
    match rest[..length].parse::<f64>() {
        Ok(number) if number.is_finite() => Ok((Token::Number(number), length)),
        _ => {
            let found = rest[..length].to_owned();
            Err(SearchProblem::NotANumber { found }.at(at..at + length))
        }
    }
}

/// Reads a text in quotes. A quote in the text is written twice, as in SQL.
fn quoted(rest: &str, quote: char, at: usize) -> Result<(Token, usize), SearchError> {
    let mut text = String::new();
    let mut length = 1;
    while let Some(part) = rest[length..].find(quote) {
        text.push_str(&rest[length..length + part]);
        length += part + 1;
        if !rest[length..].starts_with(quote) {
            return Ok((Token::Quoted { text, quote }, length));
        }
        text.push(quote);
        length += 1;
    }
    Err(SearchProblem::OpenQuote(quote).at(at..at + rest.len()))
}
