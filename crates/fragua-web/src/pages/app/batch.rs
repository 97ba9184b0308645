//! A file of rows in, the same file with the answers out, and what could not be read of it.

use std::collections::VecDeque;
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex, PoisonError};

use askama::Template;
use axum::extract::{Multipart, Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use fragua_base::ErrorKind;
use fragua_serving::Scored;
use fragua_serving::{Format, OnBadCell};

use super::{App, Chosen, Head, NoModel};
use crate::error::{Error, render};
use crate::format;
use crate::page::Page;

/// Scored files that wait to be fetched, and the bytes of all of them; the oldest go.
const MOST_FILES: usize = 8;
const MOST_BYTES: usize = 128 << 20;
const ID_BYTES: usize = 16;

/// Scored files in memory until they are fetched. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct ScoredFiles(Arc<Mutex<VecDeque<ScoredFile>>>);

#[derive(Clone)]
struct ScoredFile {
    id: String,
    name: String,
    format: Format,
    bytes: Bytes,
}

impl ScoredFiles {
    fn put(&self, file: ScoredFile) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.push_front(file);
        let size = |files: &VecDeque<ScoredFile>| files.iter().map(|file| file.bytes.len()).sum::<usize>();
        while files.len() > MOST_FILES || (files.len() > 1 && size(&files) > MOST_BYTES) {
            files.pop_back();
        }
    }

    fn get(&self, id: &str) -> Option<ScoredFile> {
        let files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.iter().find(|file| file.id == id).cloned()
    }
}

#[derive(Template)]
#[template(path = "app/batch.html")]
struct BatchPage<'a> {
    page: &'a Page,
    head: Head,
    no_model: Option<NoModel>,
    action: String,
    limit: String,
    columns: Vec<(String, &'static str)>,
    problem: String,
    result: Option<ResultView>,
}

struct ResultView {
    name: String,
    size: String,
    address: String,
    rows: String,
    skipped: u64,
    bad: u64,
    /// Row, column, what is wrong.
    first: Vec<(usize, String, String)>,
    version: String,
}

pub(super) async fn show(State(app): State<App>, page: Page) -> Result<Response, Error> {
    let chosen = Chosen::of(&app, &page).await?;
    render(&batch_page(&app, &page, &chosen).await)
}

/// What the form says.
struct Sent {
    name: String,
    bytes: Bytes,
    on_bad_cell: OnBadCell,
    to: Format,
}

pub(super) async fn score(
    State(app): State<App>,
    page: Page,
    multipart: Result<Multipart, axum::extract::multipart::MultipartRejection>,
) -> Result<Response, Error> {
    let chosen = Chosen::of(&app, &page).await?;
    let multipart = multipart.map_err(|_| Error::Invalid(page.t("form-unknown")))?;
    let mut made = batch_page(&app, &page, &chosen).await;
    let Some(model) = chosen.model.clone() else {
        return render(&made);
    };
    let sent = match read(multipart).await {
        Ok(Some(sent)) => sent,
        Ok(None) => {
            made.problem = page.t("batch-no-file");
            return render(&made);
        }
        Err(reason) => {
            made.problem = reason;
            return render(&made);
        }
    };
    let from = Format::of(FilePath::new(&sent.name));
    let scored = app
        .serving
        .score_file(model, sent.bytes, (from, sent.to), sent.on_bad_cell)
        .await;
    match scored {
        Ok(scored) => made.result = Some(result(&app, &page, &sent.name, sent.to, scored)),
        Err(error) if error.kind() == ErrorKind::Internal => return Err(error.into()),
        Err(error) => made.problem = error.to_string(),
    }
    render(&made)
}

/// Reads the form; nothing where no file was chosen.
async fn read(mut multipart: Multipart) -> Result<Option<Sent>, String> {
    let mut sent = Sent {
        name: String::new(),
        bytes: Bytes::new(),
        on_bad_cell: OnBadCell::Refuse,
        to: Format::Csv,
    };
    while let Some(field) = multipart.next_field().await.map_err(|error| error.body_text())? {
        match field.name().unwrap_or_default() {
            "file" => {
                field.file_name().unwrap_or_default().clone_into(&mut sent.name);
                sent.bytes = field.bytes().await.map_err(|error| error.body_text())?;
            }
            "on-bad-cell" => {
                sent.on_bad_cell = match field.text().await.map_err(|error| error.body_text())?.as_str() {
                    "null" => OnBadCell::Null,
                    "skip" => OnBadCell::Skip,
                    _ => OnBadCell::Refuse,
                };
            }
            "to" => {
                let text = field.text().await.map_err(|error| error.body_text())?;
                sent.to = if text == "parquet" {
                    Format::Parquet
                } else {
                    Format::Csv
                };
            }
            _ => {}
        }
    }
    Ok((!sent.bytes.is_empty()).then_some(sent))
}

fn result(app: &App, page: &Page, sent: &str, to: Format, scored: Scored) -> ResultView {
    let report = scored.report;
    let id = fragua_base::random_hex(ID_BYTES);
    let name = scored_name(sent, to);
    let view = ResultView {
        size: format::bytes(scored.bytes.len() as u64),
        address: format!("/batch/{id}"),
        rows: page.tn("rows-predicted", &(report.rows as u64)),
        skipped: report.skipped_rows as u64,
        bad: report.bad_cells as u64,
        first: report
            .first
            .into_iter()
            .map(|cell| (cell.row, cell.column.unwrap_or_default(), cell.message))
            .collect(),
        version: scored.model.version.clone(),
        name: name.clone(),
    };
    app.files.put(ScoredFile {
        id,
        name,
        format: to,
        bytes: scored.bytes,
    });
    view
}

/// Names the scored file after the one that came in.
fn scored_name(sent: &str, to: Format) -> String {
    let last = sent.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = last.split('.').next().unwrap_or_default();
    let plain: String = stem
        .chars()
        .map(|sign| {
            if sign.is_ascii_alphanumeric() || matches!(sign, '-' | '_') {
                sign
            } else {
                '_'
            }
        })
        .take(80)
        .collect();
    let ending = if to == Format::Parquet { "parquet" } else { "csv" };
    match plain.is_empty() {
        true => format!("scored.{ending}"),
        false => format!("{plain}-scored.{ending}"),
    }
}

/// Gives a scored file.
pub(super) async fn file(
    State(app): State<App>,
    page: Page,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let Some(file) = app.files.get(&id) else {
        return Err(Error::Part {
            kind: ErrorKind::NotFound,
            message: page.t("batch-gone"),
        });
    };
    let kind = match file.format {
        Format::Parquet => "application/vnd.apache.parquet",
        Format::Csv | Format::JsonLines => "text/csv; charset=utf-8",
    };
    let name = HeaderValue::from_str(&format!("attachment; filename=\"{}\"", file.name));
    let name = name.unwrap_or_else(|_| HeaderValue::from_static("attachment"));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, file.bytes).into_response())
}

async fn batch_page<'a>(app: &App, page: &'a Page, chosen: &Chosen) -> BatchPage<'a> {
    let columns = chosen.model.iter().flat_map(|model| &model.features);
    BatchPage {
        page,
        head: Head::of(app, page, chosen, "/batch").await,
        no_model: chosen.model.is_none().then(|| NoModel::of(page, chosen)),
        action: chosen.address("/batch", &[]),
        limit: format::bytes(app.serving.settings().max_body_bytes as u64),
        columns: columns
            .map(|feature| (feature.name.clone(), feature.data_type.name()))
            .collect(),
        problem: String::new(),
        result: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scored_file_is_named_after_the_one_that_came_in() {
        for (sent, to, expected) in [
            ("new rows.csv.gz", Format::Csv, "new_rows-scored.csv"),
            ("C:\\data\\a.parquet", Format::Parquet, "a-scored.parquet"),
            ("\"x\".csv", Format::Csv, "_x_-scored.csv"),
            ("", Format::Csv, "scored.csv"),
        ] {
            assert_eq!(scored_name(sent, to), expected);
        }
    }

    #[test]
    fn the_oldest_of_too_many_files_goes() {
        let files = ScoredFiles::default();
        for number in 0..=MOST_FILES {
            files.put(ScoredFile {
                id: number.to_string(),
                name: String::new(),
                format: Format::Csv,
                bytes: Bytes::new(),
            });
        }
        assert!(files.get("0").is_none());
        assert!(files.get("1").is_some());
    }
}
