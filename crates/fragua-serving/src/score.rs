//! Scoring a whole file: a table in, the same table with the answers out.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use fragua_learn::{
    ColumnKind, Format, OnBadCell, ReadOptions, ReadReport, Table, columns_of, read_bytes, write_csv,
    write_parquet,
};

use crate::metrics::Route;
use crate::model::ServedModel;
use crate::{Error, Serving};

/// A scored file.
#[derive(Debug, Clone)]
pub struct Scored {
    /// The version that answered.
    pub model: Arc<ServedModel>,
    /// Its bytes, in the format that was asked for.
    pub bytes: Bytes,
    /// What was not read as it stood.
    pub report: ReadReport,
}

impl Serving {
    /// Scores a file with a version: all of its columns and the answers after them, a label and a probability for each class.
    /// `bytes` are of format `from`, the answer of format `to`, which is CSV or Parquet.
    ///
    /// # Errors
    /// `BadTable` names row and column of what cannot be read; `TooManyRows`; `Overloaded`.
    pub async fn score_file(
        &self,
        model: Arc<ServedModel>,
        bytes: Bytes,
        (from, to): (Format, Format),
        on_bad_cell: OnBadCell,
    ) -> Result<Scored, Error> {
        let started = Instant::now();
        let counters = Arc::clone(&model.counters);
        let outcome = match self.admit() {
            Ok(permit) => {
                let serving = self.clone();
                let scored = self.compute(move || {
                    let scored = serving.score(model, bytes, (from, to), on_bad_cell);
                    drop(permit);
                    scored
                });
                scored.await.and_then(|scored| scored)
            }
            Err(error) => Err(error),
        };
        let (status, rows) = match &outcome {
            Ok(scored) => (200, scored.report.rows),
            Err(error) => (error.kind().http_status(), 0),
        };
        counters.count(Route::Batch, status, rows, started.elapsed());
        outcome
    }

    fn score(
        &self,
        model: Arc<ServedModel>,
        bytes: Bytes,
        (from, to): (Format, Format),
        on_bad_cell: OnBadCell,
    ) -> Result<Scored, Error> {
        let options = ReadOptions {
            format: Some(from),
            on_bad_cell,
            max_bytes: self.settings().max_unpacked_bytes(),
            ..ReadOptions::default()
        };
        let (table, report) = model.read_file(bytes, options)?;
        self.check_row_count(table.row_count())?;
        let scored = model.score(&table)?;
        Ok(Scored {
            bytes: written(&scored, to).map_err(bad)?,
            model,
            report,
        })
    }
}

impl ServedModel {
    /// Reads a file of rows: columns of the model as what the model takes, any other as it is.
    ///
    /// # Errors
    /// `BadTable` names row and column of what cannot be read, and columns that are missing.
    pub fn read_file(&self, bytes: Bytes, mut options: ReadOptions) -> Result<(Table, ReadReport), Error> {
        let present = columns_of(bytes.clone(), &options).map_err(bad)?;
        let missing: Vec<&str> = self
            .features
            .iter()
            .filter(|feature| feature.required && !present.iter().any(|(name, _)| *name == feature.name))
            .map(|feature| feature.name.as_str())
            .collect();
        if !missing.is_empty() {
            let reason = format!(
                "the table lacks columns that the model takes: {}",
                missing.join(", ")
            );
            return Err(Error::BadTable { reason });
        }
        options.kinds = Some(present.into_iter().map(|column| typed(self, column)).collect());
        read_bytes(bytes, &options).map_err(bad)
    }

    /// Returns a table with the answers as further columns: a label, and a probability for each class.
    ///
    /// # Errors
    /// `BadTable` when a column is missing or holds something else than the model takes.
    pub fn score(&self, table: &Table) -> Result<Table, Error> {
        let predictions = self.predictor.predict(table).map_err(bad)?;
        predictions.beside(table, &self.outputs).map_err(bad)
    }
}

fn bad(error: fragua_learn::Error) -> Error {
    Error::BadTable {
        reason: error.to_string(),
    }
}

/// A column of the model holds what the model takes; any other one stays as it is.
fn typed(model: &ServedModel, (name, kind): (String, ColumnKind)) -> (String, ColumnKind) {
    let feature = model.features.iter().find(|feature| feature.name == name);
    let kind = feature.map_or(kind, |feature| feature.data_type.column_kind());
    (name, kind)
}

fn written(table: &Table, format: Format) -> Result<Bytes, fragua_learn::Error> {
    let mut bytes = Vec::new();
    match format {
        Format::Parquet => write_parquet(table, &mut bytes)?,
        Format::Csv | Format::JsonLines => write_csv(table, &mut bytes)?,
    }
    Ok(bytes.into())
}
