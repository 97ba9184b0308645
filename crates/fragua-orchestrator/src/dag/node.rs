//! A YAML document as a tree that remembers where each value stands.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

/// A line and a column, both from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl<T> From<&Spanned<T>> for Place {
    fn from(spanned: &Spanned<T>) -> Self {
        let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).max(1);
        Self {
            line: number(spanned.referenced.line()),
            column: number(spanned.referenced.column()),
        }
    }
}

/// A value with the places of all that is in it, by JSON pointer. A mapping's entry stands where its key stands.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) value: Value,
    places: BTreeMap<String, Place>,
}

impl Document {
    /// Returns the place of what a pointer names, or of the nearest thing around it.
    pub(crate) fn place(&self, pointer: &str) -> Option<Place> {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.places.get(pointer) {
                return Some(*place);
            }
            pointer = &pointer[..pointer.rfind('/')?];
        }
    }

    /// Returns the lines of all that is below a pointer, by the pointer from there.
    pub(crate) fn lines_below(&self, pointer: &str) -> BTreeMap<String, u32> {
        let below = self.places.range(pointer.to_owned()..);
        below
            .take_while(|(place, _)| place.starts_with(pointer))
            .filter_map(|(place, at)| {
                let rest = &place[pointer.len()..];
                (rest.is_empty() || rest.starts_with('/')).then(|| (rest.to_owned(), at.line))
            })
            .collect()
    }
}

/// Reads one YAML document.
pub(crate) fn read(text: &str) -> Result<Document, serde_saphyr::Error> {
    let mut options = serde_saphyr::Options::default();
    options.strict_booleans = true;
    options.with_snippet = false;
    options.budget = options.budget.map(|mut budget| {
        budget.max_depth = 64;
        budget.max_nodes = 100_000;
        budget.max_aliases = 1000;
        budget
    });
    let node: Node = serde_saphyr::from_str_with_options(text, options)?;
    let mut places = BTreeMap::new();
    let value = node.into_value(String::new(), None, &mut places);
    Ok(Document { value, places })
}

struct Node(Spanned<Content>);

enum Content {
    Scalar(Value),
    List(Vec<Node>),
    Mapping(Vec<(Spanned<String>, Node)>),
}

impl Node {
    fn into_value(self, pointer: String, key: Option<Place>, places: &mut BTreeMap<String, Place>) -> Value {
        let place = key.unwrap_or_else(|| Place::from(&self.0));
        let value = match self.0.value {
            Content::Scalar(value) => value,
            Content::List(items) => items
                .into_iter()
                .enumerate()
                .map(|(index, item)| item.into_value(format!("{pointer}/{index}"), None, places))
                .collect(),
            Content::Mapping(entries) => {
                let mut mapping = Map::new();
                for (key, node) in entries {
                    let escaped = key.value.replace('~', "~0").replace('/', "~1");
                    let value =
                        node.into_value(format!("{pointer}/{escaped}"), Some(Place::from(&key)), places);
                    mapping.insert(key.value, value);
                }
                Value::Object(mapping)
            }
        };
        places.insert(pointer, place);
        value
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        Content::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Content, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number must be finite"))?;
        Ok(Content::Scalar(Value::Number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(Value::String(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Content, E> {
        Ok(Content::Scalar(Value::String(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Content::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<Content, A::Error> {
        let mut entries: Vec<(Spanned<String>, Node)> = Vec::new();
        while let Some((key, value)) = mapping.next_entry::<Spanned<String>, Node>()? {
            if entries.iter().any(|(earlier, _)| earlier.value == key.value) {
                return Err(A::Error::custom(format!(
                    "the key {:?} stands here twice",
                    key.value
                )));
            }
            entries.push((key, value));
        }
        Ok(Content::Mapping(entries))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_keep_their_kinds_and_places() {
        let text = "dag: one\nnumber: 1.5\nyes_is_text: yes\nflag: true\nnothing:\ntasks:\n  - id: first\n    bash: |\n      echo\n  - { id: second }\n";
        let document = read(text).unwrap();
        assert_eq!(
            document.value,
            json!({
                "dag": "one", "number": 1.5, "yes_is_text": "yes", "flag": true, "nothing": null,
                "tasks": [{"id": "first", "bash": "echo\n"}, {"id": "second"}],
            })
        );
        let place = |pointer: &str| document.place(pointer).map(|place| (place.line, place.column));
        assert_eq!(place("/dag"), Some((1, 1)));
        assert_eq!(place("/tasks/0"), Some((7, 5)));
        assert_eq!(place("/tasks/0/bash"), Some((8, 5)));
        assert_eq!(place("/tasks/1/id"), Some((10, 7)));
        assert_eq!(place("/tasks/1/id/unknown/below"), Some((10, 7)));
        assert_eq!(
            document.lines_below("/tasks/0/bash"),
            BTreeMap::from([(String::new(), 8)])
        );
    }

    #[test]
    fn aliases_cannot_blow_up() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let item = format!("*a{}", level - 1);
            text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![item; 10].join(", ")));
        }
        assert!(read(&text).is_err());
    }
}
