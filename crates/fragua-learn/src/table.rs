//! Typed columns in memory.

use crate::Error;
use crate::config::ColumnType;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// The code of a missing value in a [`Categorical`] column.
pub const MISSING_CODE: u32 = u32::MAX;

/// The two kinds of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Numbers, NaN where missing.
    Numeric,
    /// Texts out of a dictionary.
    Categorical,
}

/// The values of one column.
#[derive(Clone, Debug)]
pub enum Column {
    /// Numbers; NaN is a missing value.
    Numeric(Vec<f64>),
    /// Texts, kept as codes into a dictionary.
    Categorical(Categorical),
}

/// Texts as codes into a dictionary; [`MISSING_CODE`] is a missing value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Categorical {
    dictionary: Vec<String>,
    codes: Vec<u32>,
}

impl Categorical {
    /// Builds a column from its parts.
    ///
    /// # Errors
    /// A code is neither in the dictionary nor [`MISSING_CODE`].
    pub fn new(dictionary: Vec<String>, codes: Vec<u32>) -> Result<Self, Error> {
        let outside = |&code: &u32| code != MISSING_CODE && code as usize >= dictionary.len();
        if let Some(row) = codes.iter().position(outside) {
            return Err(Error::Data(format!(
                "code {} in row {} has no word in the dictionary",
                codes[row],
                row + 1
            )));
        }
        Ok(Self { dictionary, codes })
    }

    /// Returns the words, in order of first appearance for columns read by this crate.
    pub fn dictionary(&self) -> &[String] {
        &self.dictionary
    }

    /// Returns one code a row.
    pub fn codes(&self) -> &[u32] {
        &self.codes
    }

    /// Returns the text of a row, `None` where it is missing.
    pub fn text(&self, row: usize) -> Option<&str> {
        match self.codes[row] {
            MISSING_CODE => None,
            code => Some(&self.dictionary[code as usize]),
        }
    }
}

/// One value on its way into or out of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Missing,
    /// A number; NaN counts as missing.
    Number(f64),
    /// A text; the empty text counts as missing.
    Text(Cow<'a, str>),
}

impl<'a> Cell<'a> {
    /// Reads a JSON scalar: `null` is missing, true and false are 1 and 0.
    ///
    /// Returns `None` for lists and objects.
    pub fn from_json(value: &'a serde_json::Value) -> Option<Self> {
        use serde_json::Value;
        match value {
            Value::Null => Some(Cell::Missing),
            Value::Bool(flag) => Some(Cell::Number(f64::from(u8::from(*flag)))),
            Value::Number(number) => number.as_f64().map(Cell::Number),
            Value::String(text) => Some(Cell::Text(Cow::Borrowed(text))),
            Value::Array(_) | Value::Object(_) => None,
        }
    }
}

/// Named columns of equal length.
#[derive(Clone, Debug)]
pub struct Table {
    names: Vec<String>,
    columns: Vec<Column>,
    row_count: usize,
}

impl Table {
    /// Builds a table from named columns.
    ///
    /// # Errors
    /// Columns differ in length or two have the same name.
    pub fn new(columns: Vec<(String, Column)>) -> Result<Self, Error> {
        let row_count = columns.first().map_or(0, |(_, column)| column.len());
        let mut seen = std::collections::HashSet::new();
        for (name, column) in &columns {
            if column.len() != row_count {
                return Err(Error::Data(format!(
                    "column `{name}` has {} rows, the first one {row_count}",
                    column.len()
                )));
            }
            if !seen.insert(name.clone()) {
                return Err(Error::Data(format!("column `{name}` appears twice")));
            }
        }
        let (names, columns) = columns.into_iter().unzip();
        Ok(Self {
            names,
            columns,
            row_count,
        })
    }

    /// Returns the number of rows.
    pub fn row_count(&self) -> usize {
        self.row_count
    }

    /// Returns the names of the columns, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the columns, in the order of [`Table::names`].
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Returns a column by name.
    ///
    /// # Errors
    /// [`Error::MissingColumn`] when there is none of that name.
    pub fn column(&self, name: &str) -> Result<&Column, Error> {
        let position = self.names.iter().position(|known| known == name);
        position
            .map(|position| &self.columns[position])
            .ok_or_else(|| Error::MissingColumn {
                name: name.to_owned(),
                present: self.names.clone(),
            })
    }

    /// Returns one cell.
    ///
    /// # Panics
    /// When row or column are outside the table.
    pub fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        match &self.columns[column] {
            Column::Numeric(values) if values[row].is_nan() => Cell::Missing,
            Column::Numeric(values) => Cell::Number(values[row]),
            Column::Categorical(values) => values
                .text(row)
                .map_or(Cell::Missing, |text| Cell::Text(Cow::Borrowed(text))),
        }
    }

    /// Copies the given rows, in the given order, into a new table.
    ///
    /// # Panics
    /// When a row is outside the table.
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        let columns = self.columns.iter().map(|column| column.select(rows)).collect();
        Self {
            names: self.names.clone(),
            columns,
            row_count: rows.len(),
        }
    }

    /// Copies the table with other values in one column, as many as there are rows.
    pub(crate) fn with_column(&self, column: usize, values: Column) -> Self {
        let mut copy = self.clone();
        copy.columns[column] = values;
        copy
    }

    /// Copies the given columns into a new table.
    ///
    /// # Errors
    /// [`Error::MissingColumn`] when one is not there.
    pub fn select_columns<S: AsRef<str>>(&self, names: &[S]) -> Result<Self, Error> {
        let column = |name: &S| Ok((name.as_ref().to_owned(), self.column(name.as_ref())?.clone()));
        Self::new(names.iter().map(column).collect::<Result<_, Error>>()?)
    }
}

impl Column {
    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        match self {
            Column::Numeric(values) => values.len(),
            Column::Categorical(values) => values.codes.len(),
        }
    }

    /// Tells whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the kind of the column.
    pub fn kind(&self) -> ColumnKind {
        match self {
            Column::Numeric(_) => ColumnKind::Numeric,
            Column::Categorical(_) => ColumnKind::Categorical,
        }
    }

    /// Tells whether a row has no value.
    pub(crate) fn is_missing(&self, row: usize) -> bool {
        match self {
            Column::Numeric(values) => values[row].is_nan(),
            Column::Categorical(values) => values.codes[row] == MISSING_CODE,
        }
    }

    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        match self {
            Column::Numeric(values) => Column::Numeric(rows.iter().map(|&row| values[row]).collect()),
            Column::Categorical(values) => Column::Categorical(Categorical {
                dictionary: values.dictionary.clone(),
                codes: rows.iter().map(|&row| values.codes[row]).collect(),
            }),
        }
    }
}

/// Builds a [`Table`] row by row.
///
/// A column without a declared kind takes the kind of its first value that is not missing; a column that
/// never gets one becomes numeric.
#[derive(Debug)]
pub struct TableBuilder {
    names: Vec<String>,
    columns: Vec<Growing>,
    declared: BTreeMap<String, ColumnKind>,
    row_count: usize,
}

#[derive(Debug)]
enum Growing {
    Unknown(usize),
    Numeric(Vec<f64>),
    Categorical(Categorical, HashMap<String, u32>),
}

impl TableBuilder {
    /// Starts a table whose column kinds are found from the values.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let names: Vec<String> = names.into_iter().collect();
        let columns = names.iter().map(|_| Growing::Unknown(0)).collect();
        Self {
            names,
            columns,
            declared: BTreeMap::new(),
            row_count: 0,
        }
    }

    /// Starts a table with declared column kinds.
    pub fn typed(columns: impl IntoIterator<Item = (String, ColumnKind)>) -> Self {
        let (names, columns) = columns
            .into_iter()
            .map(|(name, kind)| (name, Growing::of(kind, 0)))
            .unzip();
        Self {
            names,
            columns,
            declared: BTreeMap::new(),
            row_count: 0,
        }
    }

    /// Says what columns hold whose kinds would be found from the values; those that are not there may be added later.
    #[must_use]
    pub fn declare(mut self, types: &BTreeMap<String, ColumnType>) -> Self {
        self.declared = types
            .iter()
            .map(|(name, &kind)| (name.clone(), kind.into()))
            .collect();
        for (name, column) in self.names.iter().zip(&mut self.columns) {
            if let (Growing::Unknown(missing), Some(&kind)) = (&*column, self.declared.get(name)) {
                *column = Growing::of(kind, *missing);
            }
        }
        self
    }

    /// Returns the names of the columns, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Adds a column, missing in all rows so far, whose kind is found from its values unless it is declared.
    pub(crate) fn add_column(&mut self, name: String) {
        let column = match self.declared.get(&name) {
            Some(&kind) => Growing::of(kind, self.row_count),
            None => Growing::Unknown(self.row_count),
        };
        self.names.push(name);
        self.columns.push(column);
    }

    /// Tells what is wrong with a cell; a column that is not there takes any.
    pub(crate) fn accepts(&self, column: usize, cell: &Cell<'_>) -> Result<(), String> {
        let column = self.columns.get(column);
        column.map_or(Ok(()), |column| column.accepts(cell))
    }

    /// Adds one row.
    ///
    /// # Errors
    /// The row has too few or too many cells, a text stands where numbers belong or the other way round,
    /// or a number is too large for 32-bit floating point, in which models calculate. Nothing of the row
    /// is kept then.
    pub fn push_row<'a>(&mut self, cells: impl IntoIterator<Item = Cell<'a>>) -> Result<(), Error> {
        let row = self.row_count + 1;
        let cells: Vec<Cell<'a>> = cells.into_iter().collect();
        if cells.len() != self.names.len() {
            let message = format!("{} cells, expected {}", cells.len(), self.names.len());
            return Err(Error::Row { row, message });
        }
        for (index, cell) in cells.iter().enumerate() {
            if let Err(message) = self.accepts(index, cell) {
                return Err(Error::Cell {
                    row,
                    column: self.names[index].clone(),
                    message,
                });
            }
        }
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            column.push(cell);
        }
        self.row_count = row;
        Ok(())
    }

    /// Ends the table.
    ///
    /// # Errors
    /// Two columns have the same name.
    pub fn finish(self) -> Result<Table, Error> {
        Table::new(
            self.names
                .into_iter()
                .zip(self.columns.into_iter().map(Growing::finish))
                .collect(),
        )
    }
}

impl Growing {
    fn of(kind: ColumnKind, missing: usize) -> Self {
        match kind {
            ColumnKind::Numeric => Growing::Numeric(vec![f64::NAN; missing]),
            ColumnKind::Categorical => {
                let codes = vec![MISSING_CODE; missing];
                Growing::Categorical(
                    Categorical {
                        dictionary: Vec::new(),
                        codes,
                    },
                    HashMap::new(),
                )
            }
        }
    }

    fn accepts(&self, cell: &Cell<'_>) -> Result<(), String> {
        match (self, cell) {
            (_, Cell::Missing) => Ok(()),
            (Growing::Categorical(..), Cell::Number(number)) => {
                Err(format!("expected a text, got the number {number}"))
            }
            (_, Cell::Number(number)) => check_number(*number),
            (Growing::Numeric(_), Cell::Text(text)) if !text.is_empty() => {
                Err(format!("expected a number, got the text {:?}", shorten(text)))
            }
            (_, Cell::Text(_)) => Ok(()),
        }
    }

    fn push(&mut self, cell: Cell<'_>) {
        if let Growing::Unknown(missing) = self {
            *self = match &cell {
                Cell::Number(number) if !number.is_nan() => Growing::of(ColumnKind::Numeric, *missing),
                Cell::Text(text) if !text.is_empty() => Growing::of(ColumnKind::Categorical, *missing),
                _ => Growing::Unknown(*missing + 1),
            };
        }
        match self {
            Growing::Unknown(_) => {}
            Growing::Numeric(values) => values.push(match cell {
                Cell::Number(number) => number,
                Cell::Missing | Cell::Text(_) => f64::NAN,
            }),
            Growing::Categorical(column, index) => column.codes.push(match cell {
                Cell::Text(text) if !text.is_empty() => match index.get(text.as_ref()) {
                    Some(&code) => code,
                    None => {
                        let code = column.dictionary.len() as u32;
                        column.dictionary.push(text.to_string());
                        index.insert(text.into_owned(), code);
                        code
                    }
                },
                _ => MISSING_CODE,
            }),
        }
    }

    fn finish(self) -> Column {
        match self {
            Growing::Unknown(missing) => Column::Numeric(vec![f64::NAN; missing]),
            Growing::Numeric(values) => Column::Numeric(values),
            Growing::Categorical(column, _) => Column::Categorical(column),
        }
    }
}

/// Checks that a number survives the conversion to 32 bits, in which models calculate.
pub(crate) fn check_number(number: f64) -> Result<(), String> {
    if number.is_nan() || number.abs() <= f64::from(f32::MAX) {
        return Ok(());
    }
    Err(format!(
        "{number} is outside ±3.4e38, the range models calculate in"
    ))
}

pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Cell<'_> {
        Cell::Text(Cow::Borrowed(text))
    }

    #[test]
    fn kinds_follow_the_first_value_and_earlier_gaps_stay_missing() {
        let mut builder = TableBuilder::new(["a".to_owned(), "b".to_owned(), "c".to_owned()]);
        builder
            .push_row([Cell::Missing, text(""), Cell::Missing])
            .unwrap();
        builder
            .push_row([Cell::Number(2.0), text("x"), Cell::Missing])
            .unwrap();
        builder
            .push_row([Cell::Missing, text("x"), Cell::Missing])
            .unwrap();
        let table = builder.finish().unwrap();
        assert_eq!(table.row_count(), 3);
        assert_eq!(table.cell(0, 0), Cell::Missing);
        assert_eq!(table.cell(1, 0), Cell::Number(2.0));
        assert_eq!(table.cell(0, 1), Cell::Missing);
        assert_eq!(table.cell(2, 1), text("x"));
        assert_eq!(table.columns()[2].kind(), ColumnKind::Numeric);
    }

    #[test]
    fn a_refused_row_names_the_cell_and_leaves_the_table_as_it_was() {
        let check = |cells: Vec<Cell<'static>>, expected: &str| {
            let kinds = [
                ("n".to_owned(), ColumnKind::Numeric),
                ("t".to_owned(), ColumnKind::Categorical),
            ];
            let mut builder = TableBuilder::typed(kinds);
            builder.push_row([Cell::Number(1.0), text("x")]).unwrap();
            assert_eq!(builder.push_row(cells).unwrap_err().to_string(), expected);
            assert_eq!(builder.finish().unwrap().row_count(), 1);
        };
        check(vec![Cell::Number(1.0)], "row 2: 1 cells, expected 2");
        check(
            vec![text("abc"), text("x")],
            "row 2, column `n`: expected a number, got the text \"abc\"",
        );
        check(
            vec![Cell::Number(1.0), Cell::Number(7.0)],
            "row 2, column `t`: expected a text, got the number 7",
        );
        let infinite = "row 2, column `n`: inf is outside ±3.4e38, the range models calculate in";
        check(vec![Cell::Number(f64::INFINITY), text("x")], infinite);
    }

    #[test]
    fn columns_must_agree_in_length_and_differ_in_name() {
        let column = |n| Column::Numeric(vec![0.0; n]);
        assert!(Table::new(vec![("a".into(), column(1)), ("b".into(), column(2))]).is_err());
        assert!(Table::new(vec![("a".into(), column(1)), ("a".into(), column(1))]).is_err());
        assert!(Categorical::new(vec!["x".into()], vec![0, MISSING_CODE]).is_ok());
        assert!(Categorical::new(vec!["x".into()], vec![1]).is_err());
    }

    #[test]
    fn selecting_rows_and_columns_keeps_the_given_order() {
        let numbers = Column::Numeric(vec![1.0, 2.0, 3.0]);
        let words = Categorical::new(vec!["x".into(), "y".into()], vec![1, 0, MISSING_CODE]).unwrap();
        let table = Table::new(vec![
            ("n".into(), numbers),
            ("w".into(), Column::Categorical(words)),
        ])
        .unwrap();
        let picked = table.select_rows(&[2, 0]).select_columns(&["w", "n"]).unwrap();
        assert_eq!(picked.names(), ["w", "n"]);
        assert_eq!(picked.cell(0, 0), Cell::Missing);
        assert_eq!(picked.cell(1, 0), text("y"));
        assert_eq!(picked.cell(0, 1), Cell::Number(3.0));
        let error = table.select_columns(&["z"]).unwrap_err().to_string();
        assert_eq!(error, "column `z` is not in the table; it has: n, w");
    }
}
