//! `dataframe_split` read straight from its bytes into rows, as clients send it: the columns before the data.
//!
//! Only good requests come through here. Of any other the caller reads the JSON as a whole, slowly, to say what is wrong.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{cell_of_json, places};
use crate::row::{Cell, Row};
use crate::signature::{DataType, Feature};

/// Reads a request. `None` when anything at all is out of the ordinary.
pub(super) fn read_split(features: &[Feature], body: &[u8], max_rows: usize) -> Option<Vec<Row>> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let request = Request { features, max_rows };
    let rows = deserializer.deserialize_map(request).ok()?;
    deserializer.end().ok()?;
    Some(rows)
}

/// The whole body, and the frame in it.
#[derive(Clone, Copy)]
struct Request<'a> {
    features: &'a [Feature],
    max_rows: usize,
}

impl<'de> Visitor<'de> for Request<'_> {
    type Value = Vec<Row>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with dataframe_split alone")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut request: A) -> Result<Vec<Row>, A::Error> {
        match request.next_key::<Cow<'de, str>>()? {
            Some(form) if form == "dataframe_split" => {}
            _ => return Err(A::Error::custom("another form")),
        }
        let rows = request.next_value_seed(Frame(self))?;
        match request.next_key::<IgnoredAny>()? {
            None => Ok(rows),
            Some(_) => Err(A::Error::custom("something beside the frame")),
        }
    }
}

struct Frame<'a>(Request<'a>);

impl<'de> DeserializeSeed<'de> for Frame<'_> {
    type Value = Vec<Row>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Row>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Frame<'_> {
    type Value = Vec<Row>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("columns, then data")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut frame: A) -> Result<Vec<Row>, A::Error> {
        let Request { features, max_rows } = self.0;
        let (mut targets, mut rows) = (None, None);
        while let Some(key) = frame.next_key::<Cow<'de, str>>()? {
            match (&*key, &targets, &rows) {
                ("columns", None, _) => {
                    let columns = frame.next_value::<Vec<Cow<'de, str>>>()?;
                    targets =
                        Some(Targets::new(features, &columns).ok_or_else(|| A::Error::custom("columns"))?);
                }
                ("data", Some(targets), None) => {
                    rows = Some(frame.next_value_seed(Data { targets, max_rows })?)
                }
                ("index", ..) => drop(frame.next_value::<IgnoredAny>()?),
                _ => return Err(A::Error::custom("another order")),
            }
        }
        rows.ok_or_else(|| A::Error::custom("no data"))
    }
}

/// Where the columns of a request belong.
struct Targets<'a> {
    features: &'a [Feature],
    /// For each column of the request its feature; others are passed over.
    of_columns: Vec<Option<usize>>,
    /// A row before its cells are known: what a feature without a column is.
    blank: Vec<Cell>,
}

impl<'a> Targets<'a> {
    fn new(features: &'a [Feature], columns: &[Cow<'_, str>]) -> Option<Self> {
        let places = places(features, std::iter::empty(), |name| {
            columns.iter().position(|column| column == name)
        })
        .ok()?;
        let mut of_columns = vec![None; columns.len()];
        let mut blank = Vec::with_capacity(features.len());
        for (index, (feature, place)) in features.iter().zip(places).enumerate() {
            blank.push(match place {
                Some(_) => Cell::Missing,
                None => cell_of_json(feature, &Value::Null)?,
            });
            if let Some(place) = place {
                of_columns[place] = Some(index);
            }
        }
        Some(Self {
            features,
            of_columns,
            blank,
        })
    }
}

struct Data<'a> {
    targets: &'a Targets<'a>,
    max_rows: usize,
}

impl<'de> DeserializeSeed<'de> for Data<'_> {
    type Value = Vec<Row>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Row>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Data<'_> {
    type Value = Vec<Row>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut data: A) -> Result<Vec<Row>, A::Error> {
        let mut rows = Vec::new();
        while let Some(row) = data.next_element_seed(Cells(self.targets))? {
            if rows.len() == self.max_rows {
                return Err(A::Error::custom("too many rows"));
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

struct Cells<'a>(&'a Targets<'a>);

impl<'de> DeserializeSeed<'de> for Cells<'_> {
    type Value = Row;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Row, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Cells<'_> {
    type Value = Row;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value for each column")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Row, A::Error> {
        let Targets {
            features,
            of_columns,
            blank,
        } = self.0;
        let mut cells = blank.clone();
        let short = || A::Error::custom("too few values");
        for target in of_columns {
            match target {
                Some(index) => {
                    let value = values.next_element_seed(OfFeature(&features[*index]))?;
                    cells[*index] = value.ok_or_else(short)?;
                }
                None => drop(values.next_element::<IgnoredAny>()?.ok_or_else(short)?),
            }
        }
        match values.next_element::<IgnoredAny>()? {
            None => Ok(Row(cells)),
            Some(_) => Err(A::Error::custom("too many values")),
        }
    }
}

/// A value of a feature's column.
struct OfFeature<'a>(&'a Feature);

impl OfFeature<'_> {
    fn cell<E: serde::de::Error>(&self, value: &Value) -> Result<Cell, E> {
        cell_of_json(self.0, value).ok_or_else(|| E::custom("a value that does not convert"))
    }
}

impl<'de> DeserializeSeed<'de> for OfFeature<'_> {
    type Value = Cell;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cell, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OfFeature<'_> {
    type Value = Cell;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.data_type.name())
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Cell, E> {
        self.cell(&Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, boolean: bool) -> Result<Cell, E> {
        self.cell(&Value::from(boolean))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Cell, E> {
        self.cell(&Value::from(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Cell, E> {
        self.cell(&Value::from(number))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Cell, E> {
        self.cell(&Value::from(number))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Cell, E> {
        match self.0.data_type {
            DataType::Text => Ok(Cell::Text(text.to_owned())),
            _ => self.cell(&Value::from(text)),
        }
    }
}
