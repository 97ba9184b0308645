//! Where the rows of `train` and `predict` are, and where those of `predict` go.

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use fragua_learn::{Format, OnBadCell, ReadOptions};
use fragua_orchestrator::{ArgumentError, TaskContext, open_bucket};
use object_store::ObjectStoreExt as _;
use object_store::aws::AmazonS3;
use object_store::path::Path as ObjectPath;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The largest object that is read, and what it may unpack to.
const MAXIMUM_OBJECT_BYTES: u64 = 2 << 30;
const MAXIMUM_UNPACKED_BYTES: u64 = 16 << 30;

/// A table, the rows of a query, or an object.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    /// The connection of the database, or of the object store: the program's own when absent.
    connection: Option<String>,
    /// The table, all of whose rows are taken.
    table: Option<String>,
    /// A query, instead of the table.
    query: Option<String>,
    /// The bucket of the object.
    bucket: Option<String>,
    /// The key of the object: `.csv`, `.jsonl` (both also `.gz`) or `.parquet`.
    key: Option<String>,
}

/// A table or an object.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    /// The connection of the database, or of the object store: the program's own when absent.
    connection: Option<String>,
    /// The table; made when it is missing. A retry replaces what the run wrote before.
    table: Option<String>,
    /// The bucket of the object.
    bucket: Option<String>,
    /// The key of the object: `.parquet`, or CSV. It is written over.
    key: Option<String>,
}

/// Where rows may be or go.
pub(super) enum Place<'a> {
    Table { connection: &'a str, table: &'a str },
    Object(Object<'a>),
}

/// Where rows may be.
pub(super) enum Origin<'a> {
    Query { connection: &'a str, query: &'a str },
    Place(Place<'a>),
}

pub(super) struct Object<'a> {
    connection: Option<&'a str>,
    bucket: &'a str,
    key: &'a str,
}

impl Source {
    pub(super) fn origin(&self) -> Result<Origin<'_>, ArgumentError> {
        if let (Some(connection), None, Some(query), None, None) = (
            &self.connection,
            &self.table,
            &self.query,
            &self.bucket,
            &self.key,
        ) {
            return Ok(Origin::Query { connection, query });
        }
        let place = Place::of(&self.connection, &self.table, &self.bucket, &self.key);
        let place = place.filter(|_| self.query.is_none()).map(Origin::Place);
        let message = "give a connection with a table or a query, or a bucket and a key";
        place.ok_or_else(|| ArgumentError::at("/from", message))
    }
}

impl Origin<'_> {
    /// Says where the rows are, as it is kept beside what was made of them.
    pub(super) fn source(&self) -> Map<String, Value> {
        let source = match self {
            Self::Query { connection, query } => json!({ "connection": connection, "query": query }),
            Self::Place(Place::Table { connection, table }) => {
                json!({ "connection": connection, "table": table })
            }
            Self::Place(Place::Object(object)) => json!({ "uri": object.to_string() }),
        };
        match source {
            Value::Object(source) => source,
            _ => Map::new(),
        }
    }
}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query { query, .. } => formatter.write_str(query),
            Self::Place(Place::Table { table, .. }) => formatter.write_str(table),
            Self::Place(Place::Object(object)) => object.fmt(formatter),
        }
    }
}

impl Target {
    pub(super) fn place(&self) -> Result<Place<'_>, ArgumentError> {
        let place = Place::of(&self.connection, &self.table, &self.bucket, &self.key);
        place
            .ok_or_else(|| ArgumentError::at("/into", "give a connection and a table, or a bucket and a key"))
    }
}

impl<'a> Place<'a> {
    fn of(
        connection: &'a Option<String>,
        table: &'a Option<String>,
        bucket: &'a Option<String>,
        key: &'a Option<String>,
    ) -> Option<Self> {
        match (connection, table, bucket, key) {
            (Some(connection), Some(table), None, None) => Some(Self::Table { connection, table }),
            (connection, None, Some(bucket), Some(key)) => Some(Self::Object(Object {
                connection: connection.as_deref(),
                bucket,
                key,
            })),
            _ => None,
        }
    }
}

impl Object<'_> {
    pub(super) fn open(&self, context: &TaskContext) -> anyhow::Result<(AmazonS3, ObjectPath)> {
        let path = ObjectPath::parse(self.key).with_context(|| format!("the key {}", self.key))?;
        Ok((open_bucket(context, self.connection, self.bucket)?, path))
    }

    pub(super) fn format(&self) -> Format {
        Format::of(Path::new(self.key))
    }

    pub(super) fn file_name(&self) -> &str {
        self.key.rsplit('/').next().unwrap_or(self.key)
    }

    /// Reads the object whole. Returns its bytes and its `ETag`.
    pub(super) async fn read(&self, context: &TaskContext) -> anyhow::Result<(Bytes, Option<String>)> {
        let (store, path) = self.open(context)?;
        let found = store.get(&path).await.with_context(|| self.to_string())?;
        let size = found.meta.size;
        ensure!(
            size <= MAXIMUM_OBJECT_BYTES,
            "{self} has {size} bytes, more than {MAXIMUM_OBJECT_BYTES}; part it"
        );
        let etag = found.meta.e_tag.clone();
        Ok((found.bytes().await?, etag))
    }

    /// Says how its rows are read.
    pub(super) fn read_options(&self, on_bad_cell: OnBadCell) -> ReadOptions {
        ReadOptions {
            format: Some(self.format()),
            on_bad_cell,
            max_bytes: MAXIMUM_UNPACKED_BYTES,
            ..ReadOptions::default()
        }
    }
}

impl fmt::Display for Object<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "s3://{}/{}", self.bucket, self.key)
    }
}
