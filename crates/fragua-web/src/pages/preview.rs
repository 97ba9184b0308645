//! A safe look into a file: text, tables, JSON, Markdown, pictures, documents in a sandbox, the description of a model.

use std::fmt::Write as _;
use std::io;

use bytes::Bytes;
use fragua_storage::{ByteRange, ObjectStream};
use serde_json::Value;

use super::columns;
use super::tracking::mlmodel::{self, ModelCard};
use crate::error::Error;
use crate::format;
use crate::markdown;
use crate::markup::{Markup, escape};
use crate::page::Page;
use crate::pages::download;

/// A look into a text ends here.
const TEXT_BYTES: u64 = 256 * 1024;
/// Texts that are understood as a whole (JSON, Markdown) are read up to here, and shown as plain text beyond.
const WHOLE_BYTES: u64 = 1024 * 1024;
/// Rows of a table are paged through up to here.
const TABLE_BYTES: u64 = 16 * 1024 * 1024;
const ROWS_PER_PAGE: usize = 100;
const MOST_COLUMNS: usize = 200;
const MOST_CELL_CHARS: usize = 300;
/// A JSON value with more parts is shown as text.
const MOST_NODES: usize = 4_000;

pub(super) enum Preview {
    Nothing,
    /// What was chosen is not there.
    Missing,
    Picture,
    Text {
        text: String,
        is_cut: bool,
    },
    Json {
        tree: Markup,
        text: String,
    },
    Table(TableView),
    Markdown(Markup),
    /// HTML, shown in a frame that has no rights.
    Document,
    Model {
        card: ModelCard,
        text: String,
    },
    Binary,
}

/// A page of the rows of a table.
#[derive(Debug, Default, PartialEq)]
pub(super) struct TableView {
    pub(super) head: Vec<String>,
    /// Number and cells of each row.
    pub(super) rows: Vec<(usize, Vec<String>)>,
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
    /// Only the beginning of the file was read.
    pub(super) is_cut: bool,
}

/// What is to be read of a file before it can be shown.
pub(super) struct Wanted {
    name: String,
    ending: String,
    size: u64,
    limit: u64,
}

/// What a name alone tells of a file.
pub(super) enum Plan {
    Shown(Preview),
    Read(Wanted),
    /// Its columns are read where they lie, by [`rows_of_columns`].
    Columns,
}

/// Decides by its name and size how to look into a file.
pub(super) fn plan(name: &str, size: u64) -> Plan {
    if download::picture_type(name).is_some() {
        return Plan::Shown(Preview::Picture);
    }
    if download::is_document(name) {
        return Plan::Shown(Preview::Document);
    }
    let ending = name
        .rsplit_once('.')
        .map_or("", |(_, ending)| ending)
        .to_ascii_lowercase();
    if matches!(ending.as_str(), "parquet" | "pq") {
        return Plan::Columns;
    }
    let is_whole = matches!(ending.as_str(), "json" | "md") || name == mlmodel::FILE_NAME;
    let limit = match (delimiter(&ending), is_whole) {
        (Some(_), _) => TABLE_BYTES,
        (None, true) if size <= WHOLE_BYTES => WHOLE_BYTES,
        _ => TEXT_BYTES,
    };
    Plan::Read(Wanted {
        name: name.to_owned(),
        ending,
        size,
        limit,
    })
}

fn delimiter(ending: &str) -> Option<u8> {
    match ending {
        "csv" => Some(b','),
        "tsv" => Some(b'\t'),
        _ => None,
    }
}

impl Wanted {
    /// Returns how many bytes are read at most.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns the part to read; nothing where that is all. An empty file has no range.
    pub(super) fn range(&self) -> Option<ByteRange> {
        (self.size > self.limit).then_some(ByteRange::Between {
            first: 0,
            last: self.limit - 1,
        })
    }

    /// Returns what the bytes read are.
    pub(super) async fn understand(self, page: &Page, bytes: Bytes) -> Result<Preview, Error> {
        let is_cut = self.size > self.limit;
        let Some(text) = text_of(&bytes, is_cut) else {
            return Ok(Preview::Binary);
        };
        if let Some(delimiter) = delimiter(&self.ending) {
            let first = first_row(page);
            let bytes = bytes.clone();
            // Reading sixteen megabytes of rows takes longer than other requests should wait.
            let read = tokio::task::spawn_blocking(move || rows_of_csv(&bytes, delimiter, first, is_cut));
            let mut table = read.await.map_err(|_| Error::Panicked)?;
            turn_pages(&mut table, page, first);
            return Ok(Preview::Table(table));
        }
        if is_cut {
            return Ok(Preview::Text {
                text: text.to_owned(),
                is_cut,
            });
        }
        Ok(understood(page, &self.name, &self.ending, text))
    }
}

fn first_row(page: &Page) -> usize {
    let row = page.parameter("row").and_then(|row| row.parse().ok());
    row.unwrap_or(0)
}

/// Returns a page of the rows of a Parquet file, whose parts `open` opens. What cannot be read is a file without a look.
pub(super) async fn rows_of_columns<O, F>(page: &Page, size: u64, open: O) -> Result<Preview, Error>
where
    O: Fn(ByteRange) -> F + Send + Sync + 'static,
    F: Future<Output = Result<ObjectStream, Error>>,
{
    let first = first_row(page);
    let runtime = tokio::runtime::Handle::current();
    let read = move |start: u64, length: usize| {
        let last = start + length as u64 - 1;
        runtime.block_on(async {
            let stream = open(ByteRange::Between { first: start, last }).await;
            let stream = stream.map_err(io::Error::other)?;
            stream.into_bytes(length as u64).await.map_err(io::Error::other)
        })
    };
    let file = columns::File::new(size, read);
    let rows = tokio::task::spawn_blocking(move || {
        // One more than a page shows, to learn whether there are more.
        columns::rows(file, first, ROWS_PER_PAGE + 1, (MOST_COLUMNS, MOST_CELL_CHARS))
    });
    let Ok(Ok((head, rows))) = rows.await else {
        return Ok(Preview::Binary);
    };
    let mut table = TableView {
        head,
        rows: (first + 1..).zip(rows).collect(),
        ..TableView::default()
    };
    turn_pages(&mut table, page, first);
    Ok(Preview::Table(table))
}

/// Returns what a whole text is, by its name and its content.
fn understood(page: &Page, name: &str, ending: &str, text: &str) -> Preview {
    if name == mlmodel::FILE_NAME
        && let Some(card) = mlmodel::read(text)
    {
        return Preview::Model {
            card,
            text: text.to_owned(),
        };
    }
    if ending == "md" {
        return Preview::Markdown(markdown::render(text));
    }
    if ending == "json"
        && let Ok(value) = serde_json::from_str::<Value>(text)
    {
        let first = first_row(page);
        if let Some(mut table) = rows_of_json(&value, first) {
            turn_pages(&mut table, page, first);
            return Preview::Table(table);
        }
        let pretty = serde_json::to_string_pretty(&value).unwrap_or_else(|_| text.to_owned());
        if let Some(tree) = tree(&value) {
            return Preview::Json { tree, text: pretty };
        }
        return cut_text(&pretty);
    }
    cut_text(text)
}

fn cut_text(text: &str) -> Preview {
    let limit = usize::try_from(TEXT_BYTES).unwrap_or(usize::MAX);
    let end = text.floor_char_boundary(limit);
    Preview::Text {
        text: text[..end].to_owned(),
        is_cut: end < text.len(),
    }
}

/// Returns the text that bytes are; a character cut in two at the end of a part is left out.
fn text_of(bytes: &[u8], is_cut: bool) -> Option<&str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if is_cut && error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    (!text.contains('\0')).then_some(text)
}

fn rows_of_csv(bytes: &[u8], delimiter: u8, first: usize, is_cut: bool) -> TableView {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .from_reader(bytes);
    let cells = |record: &csv::ByteRecord| -> Vec<String> {
        let cells = record.iter().take(MOST_COLUMNS);
        cells
            .map(|cell| format::shorten(&String::from_utf8_lossy(cell), MOST_CELL_CHARS))
            .collect()
    };
    let head = reader.byte_headers().map(&cells).unwrap_or_default();
    let records = reader.byte_records().filter_map(Result::ok).enumerate();
    let rows = records
        .skip(first)
        // One more than a page shows, to learn whether there are more.
        .take(ROWS_PER_PAGE + 1)
        .map(|(number, record)| (number + 1, cells(&record)))
        .collect();
    TableView {
        head,
        rows,
        is_cut,
        ..TableView::default()
    }
}

/// Reads a table as `mlflow.log_table` and pandas write it: `{"columns": […], "data": [[…], …]}`.
fn rows_of_json(value: &Value, first: usize) -> Option<TableView> {
    let (columns, data) = (value.get("columns")?.as_array()?, value.get("data")?.as_array()?);
    let cell = |value: &Value| match value {
        Value::String(text) => format::shorten(text, MOST_CELL_CHARS),
        Value::Null => String::new(),
        Value::Number(number) => number
            .as_f64()
            .map_or_else(|| number.to_string(), |number| number.to_string()),
        other => format::shorten(&other.to_string(), MOST_CELL_CHARS),
    };
    let rows = data.iter().enumerate().skip(first).take(ROWS_PER_PAGE + 1);
    Some(TableView {
        head: columns.iter().take(MOST_COLUMNS).map(cell).collect(),
        rows: rows
            .map(|(number, row)| {
                let row = row.as_array().map(Vec::as_slice).unwrap_or_default();
                (number + 1, row.iter().take(MOST_COLUMNS).map(cell).collect())
            })
            .collect(),
        ..TableView::default()
    })
}

fn turn_pages(table: &mut TableView, page: &Page, first: usize) {
    if table.rows.len() > ROWS_PER_PAGE {
        table.rows.truncate(ROWS_PER_PAGE);
        table.next = Some(page.with("row", &(first + ROWS_PER_PAGE).to_string()));
    }
    if first > 0 {
        let before = first.saturating_sub(ROWS_PER_PAGE);
        let before = if before == 0 {
            String::new()
        } else {
            before.to_string()
        };
        table.previous = Some(page.with("row", &before));
    }
}

/// Writes a JSON value as lists that fold; nothing when it has too many parts.
fn tree(value: &Value) -> Option<Markup> {
    let mut html = String::new();
    let mut left = MOST_NODES;
    write_node(value, 0, &mut left, &mut html)?;
    Some(Markup::trusted(format!("<div class=\"json\">{html}</div>")))
}

fn write_node(value: &Value, depth: usize, left: &mut usize, html: &mut String) -> Option<()> {
    *left = left.checked_sub(1)?;
    let (open, close, count) = match value {
        Value::Object(map) if !map.is_empty() => ('{', '}', map.len()),
        Value::Array(list) if !list.is_empty() => ('[', ']', list.len()),
        other => {
            let kind = match other {
                Value::String(_) => "string",
                Value::Number(_) => "number",
                _ => "word",
            };
            let _ = write!(html, "<span class=\"json-{kind}\">");
            escape(&other.to_string(), html);
            html.push_str("</span>");
            return Some(());
        }
    };
    let is_open = if depth < 2 { " open" } else { "" };
    let _ = write!(
        html,
        "<details{is_open}><summary>{open}<span class=\"json-count\">{count}</span>{close}</summary><ul>"
    );
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                html.push_str("<li><span class=\"json-key\">");
                escape(key, html);
                html.push_str("</span>: ");
                write_node(value, depth + 1, left, html)?;
                html.push_str("</li>");
            }
        }
        Value::Array(list) => {
            for value in list {
                html.push_str("<li>");
                write_node(value, depth + 1, left, html)?;
                html.push_str("</li>");
            }
        }
        _ => {}
    }
    html.push_str("</ul></details>");
    Some(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::page::tests::page;

    #[test]
    fn shows_text_and_not_what_only_looks_like_it() {
        for (bytes, is_cut, expected) in [
            (&b"hello"[..], false, Some("hello")),
            (b"\xff\xfe", false, None),
            (b"a\0b", false, None),
            ("añ".as_bytes().split_at(2).0, true, Some("a")),
            ("añ".as_bytes().split_at(2).0, false, None),
            (b"", false, Some("")),
        ] {
            assert_eq!(text_of(bytes, is_cut), expected, "{bytes:?}");
        }
        let long = "ñ".repeat(200_000);
        let Preview::Text { text, is_cut } = cut_text(&long) else {
            panic!("a text stays a text");
        };
        assert!(is_cut && text.len() <= 256 * 1024);
    }

    #[test]
    fn rows_are_paged_through() {
        let text = (0..250).fold("a,b\n".to_owned(), |text, row| {
            format!("{text}{row},\"x,{row}\"\n")
        });
        let page = page("/runs/r?path=t.csv&row=100", &[]);
        let mut table = rows_of_csv(text.as_bytes(), b',', 100, false);
        turn_pages(&mut table, &page, 100);
        assert_eq!(table.head, ["a", "b"]);
        assert_eq!(table.rows.len(), 100);
        assert_eq!(table.rows[0], (101, vec!["100".to_owned(), "x,100".to_owned()]));
        assert_eq!(table.previous.as_deref(), Some("/runs/r?path=t.csv"));
        assert_eq!(table.next.as_deref(), Some("/runs/r?path=t.csv&row=200"));
        let mut end = rows_of_csv(text.as_bytes(), b',', 200, false);
        turn_pages(&mut end, &page, 200);
        assert_eq!((end.rows.len(), end.next), (50, None));
        let uneven = rows_of_csv(b"a\n1,2,3\n\"open", b',', 0, true);
        assert_eq!(uneven.rows[0].1, ["1", "2", "3"]);
    }

    #[test]
    fn tables_of_the_client_are_tables() {
        let value = json!({"columns": ["q", "score"], "data": [["<b>", 0.5], [null, {"a": 1}]]});
        let table = rows_of_json(&value, 0).unwrap();
        assert_eq!(table.head, ["q", "score"]);
        assert_eq!(table.rows[0].1, ["<b>", "0.5"]);
        assert_eq!(table.rows[1].1, ["", "{\"a\":1}"]);
        for other in [json!({"columns": 1, "data": []}), json!([1]), json!(null)] {
            assert_eq!(rows_of_json(&other, 0), None);
        }
    }

    #[test]
    fn json_folds_and_its_texts_are_escaped() {
        let html = tree(&json!({"<b>": ["</ul><script>", 1, null], "e": {}}))
            .unwrap()
            .to_string();
        assert_eq!(
            html,
            "<div class=\"json\"><details open><summary>{<span class=\"json-count\">2</span>}</summary><ul>\
             <li><span class=\"json-key\">&lt;b&gt;</span>: <details open><summary>[<span class=\"json-count\">3</span>]\
             </summary><ul><li><span class=\"json-string\">&quot;&lt;/ul&gt;&lt;script&gt;&quot;</span></li>\
             <li><span class=\"json-number\">1</span></li><li><span class=\"json-word\">null</span></li></ul></details>\
             </li><li><span class=\"json-key\">e</span>: <span class=\"json-word\">{}</span></li></ul></details></div>"
        );
        assert_eq!(tree(&json!(vec![0; 5_000])), None);
    }
}
