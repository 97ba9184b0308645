//! What becomes of cells that cannot be read as what their column holds.

use crate::Error;
use crate::table::{Cell, Table, TableBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Most bad cells that a report keeps; all are counted.
const KEPT: usize = 20;

/// What to do with a cell that cannot be read as what its column holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", from = "Option<Word>")]
pub enum OnBadCell {
    /// Refuse the whole table.
    #[default]
    Refuse,
    /// Take the cell for missing.
    Null,
    /// Leave the row out.
    Skip,
}

/// A policy as it is written.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Word {
    Refuse,
    Null,
    Skip,
}

impl From<Option<Word>> for OnBadCell {
    /// The word `null` is nothing in YAML.
    fn from(word: Option<Word>) -> Self {
        match word {
            Some(Word::Refuse) => Self::Refuse,
            Some(Word::Null) | None => Self::Null,
            Some(Word::Skip) => Self::Skip,
        }
    }
}

/// What was not read as it stood.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReadReport {
    /// Rows of the table.
    pub rows: usize,
    /// Rows that were left out.
    pub skipped_rows: usize,
    /// Cells, and rows as a whole, that could not be read.
    pub bad_cells: usize,
    /// The first 20 of them.
    pub first: Vec<BadCell>,
}

impl fmt::Display for ReadReport {
    /// A line, and one for each bad cell that was kept.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bad, skipped) = (self.bad_cells, self.skipped_rows);
        write!(
            f,
            "{bad} cells or rows could not be read; rows left out: {skipped}"
        )?;
        for BadCell { row, column, message } in &self.first {
            match column {
                Some(column) => write!(f, "\n  row {row}, column `{column}`: {message}")?,
                None => write!(f, "\n  row {row}: {message}")?,
            }
        }
        Ok(())
    }
}

/// A cell that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadCell {
    /// One-based row, without a header.
    pub row: usize,
    /// Name of the column; `None` when the row as a whole cannot be read.
    pub column: Option<String>,
    /// What was found and what was expected.
    pub message: String,
}

/// Keeps count of what is bad, or refuses it.
#[derive(Debug)]
pub(crate) struct Ledger {
    policy: OnBadCell,
    pub(crate) report: ReadReport,
}

impl Ledger {
    pub(crate) fn new(policy: OnBadCell) -> Self {
        Self {
            policy,
            report: ReadReport::default(),
        }
    }

    /// Notes a bad cell; tells whether its row is to be left out.
    pub(crate) fn bad_cell(&mut self, row: usize, column: &str, message: String) -> Result<bool, Error> {
        let column = column.to_owned();
        match self.policy {
            OnBadCell::Refuse => Err(Error::Cell { row, column, message }),
            OnBadCell::Null | OnBadCell::Skip => {
                self.note(row, Some(column), message);
                Ok(self.policy == OnBadCell::Skip)
            }
        }
    }

    /// Notes a row that cannot be read at all, which is left out: only `skip` allows that.
    pub(crate) fn bad_row(&mut self, row: usize, message: String) -> Result<(), Error> {
        if self.policy != OnBadCell::Skip {
            return Err(Error::Row { row, message });
        }
        self.note(row, None, message);
        self.report.skipped_rows += 1;
        Ok(())
    }

    fn note(&mut self, row: usize, column: Option<String>, message: String) {
        self.report.bad_cells += 1;
        if self.report.first.len() < KEPT {
            self.report.first.push(BadCell { row, column, message });
        }
    }
}

/// Fills a table row by row, with a policy for bad cells.
#[derive(Debug)]
pub struct Intake {
    builder: TableBuilder,
    ledger: Ledger,
}

impl Intake {
    /// Starts with the columns of a builder.
    pub fn new(builder: TableBuilder, policy: OnBadCell) -> Self {
        Self {
            builder,
            ledger: Ledger::new(policy),
        }
    }

    /// Takes a row, known to its reader by its one-based number; a cell that the reader cannot read comes as what is wrong.
    ///
    /// # Errors
    /// A bad cell that the policy refuses; too few or too many cells.
    pub fn push<'a>(
        &mut self,
        row: usize,
        cells: impl IntoIterator<Item = Result<Cell<'a>, String>>,
    ) -> Result<(), Error> {
        let mut kept = Vec::new();
        let mut is_left_out = false;
        for (column, cell) in cells.into_iter().enumerate() {
            let cell = cell.and_then(|cell| self.builder.accepts(column, &cell).map(|()| cell));
            kept.push(match cell {
                Ok(cell) => cell,
                Err(message) => {
                    let name = self.builder.names().get(column).map_or("", String::as_str);
                    is_left_out |= self.ledger.bad_cell(row, name, message)?;
                    Cell::Missing
                }
            });
        }
        if is_left_out {
            self.ledger.report.skipped_rows += 1;
            return Ok(());
        }
        self.builder.push_row(kept)
    }

    /// Leaves out a row that cannot be read at all.
    pub(crate) fn bad_row(&mut self, row: usize, message: String) -> Result<(), Error> {
        self.ledger.bad_row(row, message)
    }

    /// Adds a column, missing in all rows so far.
    pub(crate) fn add_column(&mut self, name: String) {
        self.builder.add_column(name);
    }

    /// Ends the table.
    ///
    /// # Errors
    /// Two columns have the same name.
    pub fn finish(self) -> Result<(Table, ReadReport), Error> {
        let table = self.builder.finish()?;
        let mut report = self.ledger.report;
        report.rows = table.row_count();
        Ok((table, report))
    }
}
