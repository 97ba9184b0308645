use std::path::PathBuf;

/// Everything that can go wrong while reading tables, training and predicting.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key of the training configuration holds a value that cannot be used.
    #[error("{field}: {message}")]
    Config {
        /// The key, as a path such as `candidates[0].max_depth`.
        field: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// A column that is needed is not in the table.
    #[error("column `{name}` is not in the table; it has: {}", present.join(", "))]
    MissingColumn {
        /// The column that was looked for.
        name: String,
        /// The columns that are there.
        present: Vec<String>,
    },
    /// One cell cannot be read as its column's type.
    #[error("row {row}, column `{column}`: {message}")]
    Cell {
        /// One-based row, without the header.
        row: usize,
        /// Name of the column.
        column: String,
        /// What was found and what was expected.
        message: String,
    },
    /// A row has the wrong shape or the text is not CSV.
    #[error("row {row}: {message}")]
    Row {
        /// One-based row, without the header; 0 is the header.
        row: usize,
        /// What was found and what was expected.
        message: String,
    },
    /// The table as a whole cannot be used for what was asked.
    #[error("{0}")]
    Data(String),
    /// A pipeline file is damaged, of a newer version, or not a pipeline file.
    #[error("pipeline file: {0}")]
    PipelineFile(String),
    /// A file with a model that was trained elsewhere is damaged or holds what is not supported.
    #[error("{format} file: {message}")]
    ModelFile {
        /// The kind of file, such as `ONNX`.
        format: &'static str,
        /// What is wrong, and what to do about it.
        message: String,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    pub(crate) fn config(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Config {
            field: field.into(),
            message: message.into(),
        }
    }
}
