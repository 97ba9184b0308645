//! Finds what Python's `json` module would say about a text that is not JSON.
//!
//! FastAPI hands clients that module's message and position, so ours must be the same ones.

/// The first fault of a text, in Python's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Python's message, without the position.
    pub(crate) message: &'static str,
    /// Where, in characters from the start.
    pub(crate) position: usize,
}

/// Python's own limit is about 1,000 frames.
const MAX_DEPTH: usize = 900;

/// Returns the first fault of `text`, or `None` when Python would read it.
pub(crate) fn find_fault(text: &str) -> Option<Fault> {
    let scanner = Scanner {
        bytes: text.as_bytes(),
    };
    let outcome = scanner.value(scanner.blanks(0), 0).and_then(|end| {
        let end = scanner.blanks(end);
        if end == text.len() {
            Ok(end)
        } else {
            Err(("Extra data", end))
        }
    });
    let (message, byte) = outcome.err()?;
    // Faults are found at ASCII characters or at the end, so the byte is always a character boundary.
    let position = text.get(..byte).map_or(byte, |before| before.chars().count());
    Some(Fault { message, position })
}

/// A message and the byte it is about.
type Found = (&'static str, usize);

struct Scanner<'a> {
    bytes: &'a [u8],
}

impl Scanner<'_> {
    fn at(&self, index: usize) -> Option<u8> {
        self.bytes.get(index).copied()
    }

    fn blanks(&self, mut index: usize) -> usize {
        while matches!(self.at(index), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            index += 1;
        }
        index
    }

    /// Returns the index after the value that starts at `start`.
    fn value(&self, start: usize, depth: usize) -> Result<usize, Found> {
        if depth > MAX_DEPTH {
            return Err(("Nested too deeply", start));
        }
        match self.at(start) {
            Some(b'"') => self.string(start),
            Some(b'{') => self.object(start, depth),
            Some(b'[') => self.array(start, depth),
            Some(b'-' | b'0'..=b'9') => self.number(start),
            _ => self.word(start),
        }
    }

    fn word(&self, start: usize) -> Result<usize, Found> {
        ["null", "true", "false", "NaN", "Infinity"]
            .into_iter()
            .find(|word| self.bytes[start..].starts_with(word.as_bytes()))
            .map(|word| start + word.len())
            .ok_or(("Expecting value", start))
    }

    fn number(&self, start: usize) -> Result<usize, Found> {
        let first = if self.at(start) == Some(b'-') {
            start + 1
        } else {
            start
        };
        let mut end = match self.at(first) {
            Some(b'0') => first + 1,
            Some(b'1'..=b'9') => self.digits(first),
            Some(b'I') if first > start && self.bytes[first..].starts_with(b"Infinity") => {
                return Ok(first + "Infinity".len());
            }
            _ => return Err(("Expecting value", start)),
        };
        if self.at(end) == Some(b'.') && self.digits(end + 1) > end + 1 {
            end = self.digits(end + 1);
        }
        if matches!(self.at(end), Some(b'e' | b'E')) {
            let exponent = match self.at(end + 1) {
                Some(b'+' | b'-') => end + 2,
                _ => end + 1,
            };
            if self.digits(exponent) > exponent {
                end = self.digits(exponent);
            }
        }
        Ok(end)
    }

    fn digits(&self, mut index: usize) -> usize {
        while self.at(index).is_some_and(|byte| byte.is_ascii_digit()) {
            index += 1;
        }
        index
    }

    fn string(&self, quote: usize) -> Result<usize, Found> {
        let mut index = quote + 1;
        loop {
            match self.at(index) {
                None => return Err(("Unterminated string starting at", quote)),
                Some(b'"') => return Ok(index + 1),
                Some(b'\\') => index = self.escape(quote, index)?,
                Some(byte) if byte < 0x20 => return Err(("Invalid control character at", index)),
                Some(_) => index += 1,
            }
        }
    }

    fn escape(&self, quote: usize, backslash: usize) -> Result<usize, Found> {
        match self.at(backslash + 1) {
            None => Err(("Unterminated string starting at", quote)),
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(backslash + 2),
            Some(b'u') => {
                let digits = self.bytes.get(backslash + 2..backslash + 6);
                let hexadecimal = digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
                // Python asks for one more character: the string cannot end here.
                if hexadecimal && self.at(backslash + 6).is_some() {
                    return Ok(backslash + 6);
                }
                Err(("Invalid \\uXXXX escape", backslash + 1))
            }
            Some(_) => Err(("Invalid \\escape", backslash)),
        }
    }

    fn object(&self, start: usize, depth: usize) -> Result<usize, Found> {
        let mut index = self.blanks(start + 1);
        if self.at(index) == Some(b'}') {
            return Ok(index + 1);
        }
        loop {
            if self.at(index) != Some(b'"') {
                return Err(("Expecting property name enclosed in double quotes", index));
            }
            index = self.blanks(self.string(index)?);
            if self.at(index) != Some(b':') {
                return Err(("Expecting ':' delimiter", index));
            }
            index = self.blanks(self.value(self.blanks(index + 1), depth + 1)?);
            match self.at(index) {
                Some(b'}') => return Ok(index + 1),
                Some(b',') => index = self.blanks(index + 1),
                _ => return Err(("Expecting ',' delimiter", index)),
            }
        }
    }

    fn array(&self, start: usize, depth: usize) -> Result<usize, Found> {
        let mut index = self.blanks(start + 1);
        if self.at(index) == Some(b']') {
            return Ok(index + 1);
        }
        loop {
            index = self.blanks(self.value(index, depth + 1)?);
            match self.at(index) {
                Some(b']') => return Ok(index + 1),
                Some(b',') => index = self.blanks(index + 1),
                _ => return Err(("Expecting ',' delimiter", index)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values are what CPython 3.11 answers.
    #[test]
    fn says_what_python_says() {
        fn check(text: &str, message: &'static str, position: usize) {
            assert_eq!(find_fault(text), Some(Fault { message, position }), "{text:?}");
        }
        let property = "Expecting property name enclosed in double quotes";
        check("", "Expecting value", 0);
        check(" ", "Expecting value", 1);
        check("{", property, 1);
        check("}", "Expecting value", 0);
        check("{]", property, 1);
        check("{'a':1}", property, 1);
        check(r#"{"a":1,}"#, property, 7);
        check(r#"{ "a":1, }"#, property, 9);
        check(r#"{"a" 1}"#, "Expecting ':' delimiter", 5);
        check(r#"{"a""#, "Expecting ':' delimiter", 4);
        check(r#"{"a":}"#, "Expecting value", 5);
        check(r#"{"a":1 "b"}"#, "Expecting ',' delimiter", 7);
        check(r#"{"a":1} x"#, "Extra data", 8);
        check(r#"{"a":"x"#, "Unterminated string starting at", 5);
        check("{\"a\":\"\u{1}\"}", "Invalid control character at", 6);
        check(r#"{"a":"\q"}"#, "Invalid \\escape", 6);
        check(r#"{"a":"\u12"}"#, "Invalid \\uXXXX escape", 7);
        check(r#"{"a":"\u12g4"}"#, "Invalid \\uXXXX escape", 7);
        check("\"\\u", "Invalid \\uXXXX escape", 2);
        check("\"\\", "Unterminated string starting at", 0);
        check("[1,]", "Expecting value", 3);
        check("[1 2]", "Expecting ',' delimiter", 3);
        check("[", "Expecting value", 1);
        check("tru", "Expecting value", 0);
        check("-", "Expecting value", 0);
        check("01", "Extra data", 1);
        check("1.", "Extra data", 1);
        check("1e", "Extra data", 1);
        check("\n\n {\"a\": x}", "Expecting value", 9);
        check(r#"{"a":[1,2}"#, "Expecting ',' delimiter", 9);
        check("{\"a\":\"é\",}", property, 9);
    }

    #[test]
    fn finds_no_fault_in_what_python_reads() {
        for text in [
            "null",
            " {} ",
            "[ ]",
            r#"{"a": [1, -0.5e+3, "x\u00e9\n", true]}"#,
            "NaN",
            "-Infinity",
            "1E5",
        ] {
            assert_eq!(find_fault(text), None, "{text}");
        }
    }

    #[test]
    fn deep_nesting_ends() {
        let deep = "[".repeat(100_000);
        assert_eq!(
            find_fault(&deep).map(|fault| fault.message),
            Some("Nested too deeply")
        );
    }
}
