//! Values of XGBoost's files, which are JSON or the same in the binary form of UBJSON.

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Deepest nesting of lists and objects; XGBoost needs 8.
const MAX_DEPTH: usize = 64;

/// A value; lists of numbers, which are most of a file, take 8 bytes a number.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Flag(bool),
    Number(f64),
    Text(String),
    Numbers(Vec<f64>),
    List(Vec<Value>),
    Object(Vec<(String, Value)>),
}

impl Value {
    /// Reads JSON, or UBJSON where the text does not begin as JSON does.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        // In JSON a name follows the bracket, in UBJSON the size of one.
        let second = bytes.iter().skip(1).find(|byte| !byte.is_ascii_whitespace());
        if bytes.first() == Some(&b'{') && !matches!(second, Some(b'"' | b'}')) {
            let mut reader = Ubjson {
                rest: bytes,
                // A value can be one byte, and takes 32 here.
                values_left: 10_000 + bytes.len() / 4,
            };
            return reader.value(0);
        }
        serde_json::from_slice(bytes).map_err(|error| format!("it is neither JSON nor UBJSON: {error}"))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(fields) = self else {
            return None;
        };
        fields
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    /// Finds a value by the names on the way to it.
    pub(super) fn at(&self, path: &str) -> Result<&Self, String> {
        path.split('.').try_fold(self, |value, name| {
            value.get(name).ok_or_else(|| format!("it has no `{path}`"))
        })
    }

    pub(super) fn text(&self, path: &str) -> Result<&str, String> {
        match self.at(path)? {
            Self::Text(text) => Ok(text),
            _ => Err(format!("`{path}` is no text")),
        }
    }

    /// A whole number, which XGBoost writes as text.
    pub(super) fn count(&self, path: &str) -> Result<usize, String> {
        let refuse = || format!("`{path}` is no whole number");
        match self.at(path)? {
            Self::Text(text) => text.parse().map_err(|_| refuse()),
            Self::Number(number) if *number >= 0.0 && number.fract() == 0.0 && *number < 1e15 => {
                Ok(*number as usize)
            }
            _ => Err(refuse()),
        }
    }

    pub(super) fn numbers(&self, path: &str) -> Result<&[f64], String> {
        match self.at(path)? {
            Self::Numbers(numbers) => Ok(numbers),
            Self::List(list) if list.is_empty() => Ok(&[]),
            _ => Err(format!("`{path}` is no list of numbers")),
        }
    }

    pub(super) fn list(&self, path: &str) -> Result<&[Self], String> {
        match self.at(path)? {
            Self::List(list) => Ok(list),
            Self::Numbers(list) if list.is_empty() => Ok(&[]),
            _ => Err(format!("`{path}` is no list")),
        }
    }

    /// A list of texts; a value that is missing is an empty list.
    pub(super) fn texts(&self, path: &str) -> Result<Vec<String>, String> {
        if self.at(path).is_err() {
            return Ok(Vec::new());
        }
        let texts = self.list(path)?.iter().map(|value| match value {
            Self::Text(text) => Ok(text.clone()),
            _ => Err(format!("`{path}` is no list of texts")),
        });
        texts.collect()
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = List::default();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(list.finish())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields: Vec<(String, Value)> = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            if fields.len() >= 1_000 {
                return Err(A::Error::custom("an object has more than 1,000 fields"));
            }
            fields.push(entry);
        }
        Ok(Value::Object(fields))
    }
}

/// A list under construction, of numbers as long as nothing else comes.
#[derive(Default)]
struct List {
    numbers: Vec<f64>,
    others: Vec<Value>,
}

impl List {
    fn push(&mut self, value: Value) {
        match value {
            Value::Number(number) if self.others.is_empty() => self.numbers.push(number),
            value => {
                self.others.extend(self.numbers.drain(..).map(Value::Number));
                self.others.push(value);
            }
        }
    }

    fn finish(self) -> Value {
        if self.others.is_empty() {
            Value::Numbers(self.numbers)
        } else {
            Value::List(self.others)
        }
    }
}

/// What is left of a UBJSON file.
struct Ubjson<'a> {
    rest: &'a [u8],
    /// Values that may come, those in lists of numbers apart.
    values_left: usize,
}

impl Ubjson<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or("it ends in the middle of a value")?;
        self.rest = rest;
        Ok(*head)
    }

    /// The next marker; fillers are passed over.
    fn marker(&mut self) -> Result<u8, String> {
        loop {
            match self.take::<1>()?[0] {
                b'N' => {}
                marker => return Ok(marker),
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        let marker = self.marker()?;
        self.value_of(marker, depth)
    }

    fn value_of(&mut self, marker: u8, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err(format!("its values are nested more than {MAX_DEPTH} deep"));
        }
        self.values_left = self
            .values_left
            .checked_sub(1)
            .ok_or("it has too many small values")?;
        Ok(match marker {
            b'Z' => Value::Null,
            b'T' => Value::Flag(true),
            b'F' => Value::Flag(false),
            b'S' | b'H' => {
                let marker = self.marker()?;
                Value::Text(self.text(marker)?)
            }
            b'C' => Value::Text(char::from(self.take::<1>()?[0]).to_string()),
            b'[' => self.list(depth)?,
            b'{' => self.object(depth)?,
            marker => Value::Number(self.number(marker)?),
        })
    }

    fn number(&mut self, marker: u8) -> Result<f64, String> {
        Ok(match marker {
            b'i' => f64::from(i8::from_be_bytes(self.take()?)),
            b'U' => f64::from(u8::from_be_bytes(self.take()?)),
            b'I' => f64::from(i16::from_be_bytes(self.take()?)),
            b'u' => f64::from(u16::from_be_bytes(self.take()?)),
            b'l' => f64::from(i32::from_be_bytes(self.take()?)),
            b'm' => f64::from(u32::from_be_bytes(self.take()?)),
            b'L' => i64::from_be_bytes(self.take()?) as f64,
            b'd' => f64::from(f32::from_be_bytes(self.take()?)),
            b'D' => f64::from_be_bytes(self.take()?),
            marker => return Err(format!("it has the marker {:?}", char::from(marker))),
        })
    }

    /// A length of which each unit takes so many bytes at least.
    fn length(&mut self, marker: u8, unit: usize) -> Result<usize, String> {
        if matches!(marker, b'd' | b'D') {
            return Err("a length is no whole number".to_owned());
        }
        let length = self.number(marker)?;
        if length < 0.0 || length > (self.rest.len() / unit.max(1)) as f64 {
            return Err("a length leads behind its end".to_owned());
        }
        Ok(length as usize)
    }

    /// A text whose length has this marker.
    fn text(&mut self, marker: u8) -> Result<String, String> {
        let length = self.length(marker, 1)?;
        let (head, rest) = self.rest.split_at(length);
        self.rest = rest;
        String::from_utf8(head.to_vec()).map_err(|_| "a text is not UTF-8".to_owned())
    }

    fn list(&mut self, depth: usize) -> Result<Value, String> {
        let mut list = List::default();
        let first = self.marker()?;
        match first {
            b'$' => {
                let kind = self.take::<1>()?[0];
                let size = match kind {
                    b'i' | b'U' => 1,
                    b'I' | b'u' => 2,
                    b'l' | b'm' | b'd' => 4,
                    b'L' | b'D' => 8,
                    _ => return Err(format!("it has lists of {:?}", char::from(kind))),
                };
                if self.take()? != [b'#'] {
                    return Err("a list has a type and no length".to_owned());
                }
                let marker = self.marker()?;
                for _ in 0..self.length(marker, size)? {
                    list.numbers.push(self.number(kind)?);
                }
            }
            b'#' => {
                let marker = self.marker()?;
                for _ in 0..self.length(marker, 1)? {
                    list.push(self.value(depth + 1)?);
                }
            }
            mut marker => {
                while marker != b']' {
                    list.push(self.value_of(marker, depth + 1)?);
                    marker = self.marker()?;
                }
            }
        }
        Ok(list.finish())
    }

    fn object(&mut self, depth: usize) -> Result<Value, String> {
        let mut fields = Vec::new();
        let mut marker = self.marker()?;
        if marker == b'$' {
            return Err("it has objects of one type".to_owned());
        }
        let mut left = None;
        if marker == b'#' {
            let length = self.marker()?;
            left = Some(self.length(length, 2)?);
        }
        loop {
            match &mut left {
                Some(0) => break,
                Some(left) => {
                    *left -= 1;
                    marker = self.marker()?;
                }
                None if marker == b'}' => break,
                None => {}
            }
            if fields.len() >= 1_000 {
                return Err("an object has more than 1,000 fields".to_owned());
            }
            let name = self.text(marker)?;
            fields.push((name, self.value(depth + 1)?));
            if left.is_none() {
                marker = self.marker()?;
            }
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let json = br#"{"a":{"b":[1,2.5],"c":"x"},"d":[true,null,3],"n":"7"}"#;
        let ubjson = b"{i\x01a{i\x01b[$d#i\x02\x3f\x80\0\0\x40\x20\0\0i\x01cSi\x01x}L\0\0\0\0\0\0\0\x01d[TZi\x03]i\x01nSi\x017}";
        let value = Value::read(json).unwrap();
        assert_eq!(Value::read(ubjson), Ok(value.clone()));
        assert_eq!(value.numbers("a.b").unwrap(), [1.0, 2.5]);
        assert_eq!(value.count("n"), Ok(7));
        assert_eq!(value.text("a.e").unwrap_err(), "it has no `a.e`");
    }

    #[test]
    fn lengths_that_lead_too_far_are_refused() {
        for bytes in [
            &b"{i\x01a[$d#L\x7f\xff\xff\xff\xff\xff\xff\xff"[..],
            b"{i\x01aSi\xff",
            b"{L\0\0\0\0\0\0\x01\0a",
            b"{i\x01a[$Z#i\x05",
            b"{",
            b"{d",
        ] {
            assert!(Value::read(bytes).is_err());
        }
        let deep = [b"{i\x01a".as_slice(), &[b'['; 100_000]].concat();
        assert!(Value::read(&deep).unwrap_err().contains("deep"));
    }
}
