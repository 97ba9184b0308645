//! Several rows in a table that is filled in like a sheet. All of it is a form: each button sends the table and gets it
//! back changed, so that nothing depends on a script.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawForm, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use fragua_base::ErrorKind;
use fragua_serving::{DataType, Feature, Row, ServedModel};
use serde_json::{Map, Value};

use super::fields::{error_text, plain, value, warning};
use super::{App, Chosen, Head, NoModel, remember};
use crate::error::{Error, render};
use crate::format;
use crate::page::{Page, encode, parse_query};

/// Rows of an empty table.
const FIRST_ROWS: usize = 3;
/// More belong into a file.
const MOST_ROWS: usize = 200;

#[derive(Template)]
#[template(path = "app/rows.html")]
struct RowsPage<'a> {
    page: &'a Page,
    head: Head,
    no_model: Option<NoModel>,
    action: String,
    columns: Vec<Column>,
    rows: Vec<RowView>,
    is_class: bool,
    /// What could not be done.
    problem: String,
    /// What was done.
    said: String,
    csv: String,
    kept_address: Option<String>,
    is_full: bool,
}

struct Column {
    name: String,
    choices: Vec<String>,
    is_checkbox: bool,
    is_number: bool,
}

struct RowView {
    number: usize,
    cells: Vec<CellView>,
    /// The answer with its probability.
    answer: Option<(String, String)>,
    /// Why there is none.
    is_wrong: bool,
}

struct CellView {
    name: String,
    id: String,
    value: String,
    error: String,
    warning: String,
}

impl CellView {
    /// Returns the choices of a column, with the value itself where it is not one of them.
    fn choices<'a>(&'a self, column: &'a Column) -> Vec<&'a str> {
        let mut choices: Vec<&str> = column.choices.iter().map(String::as_str).collect();
        if !choices.contains(&self.value.as_str()) {
            choices.insert(0, &self.value);
        }
        choices
    }
}

/// What is in the table: texts, row by row, in the order of the features.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sheet {
    width: usize,
    rows: Vec<Vec<String>>,
}

impl Sheet {
    fn of_example(model: &ServedModel) -> Self {
        let example: Vec<String> = model
            .features
            .iter()
            .map(|feature| plain(&feature.example))
            .collect();
        let width = example.len();
        let mut rows = vec![vec![String::new(); width]; FIRST_ROWS];
        rows[0] = example;
        Self { width, rows }
    }

    /// Reads a sent table: fields are called `ROW.COLUMN`, and `rows` says how many rows there are.
    fn read(form: &[(String, String)], width: usize) -> Self {
        let field = |name: &str| {
            form.iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        let count: usize = field("rows")
            .and_then(|rows| rows.parse().ok())
            .unwrap_or(FIRST_ROWS);
        let mut rows = vec![vec![String::new(); width]; count.min(MOST_ROWS)];
        for (name, value) in form {
            let place = name
                .split_once('.')
                .and_then(|(row, column)| Some((row.parse::<usize>().ok()?, column.parse::<usize>().ok()?)));
            if let Some((row, column)) = place
                && let Some(cell) = rows.get_mut(row).and_then(|cells| cells.get_mut(column))
            {
                value.trim().clone_into(cell);
            }
        }
        Self { width, rows }
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= MOST_ROWS
    }

    fn add(&mut self) {
        if !self.is_full() {
            self.rows.push(vec![String::new(); self.width]);
        }
    }

    fn duplicate(&mut self, row: usize) {
        if let Some(cells) = self.rows.get(row).cloned()
            && !self.is_full()
        {
            self.rows.insert(row + 1, cells);
        }
    }

    fn delete(&mut self, row: usize) {
        if row < self.rows.len() {
            self.rows.remove(row);
        }
        if self.rows.is_empty() {
            self.add();
        }
    }

    /// Puts a block of cells in, from a place on, as a sheet or a CSV file has them. A first line of column names says where
    /// each column goes. Returns how many rows were put in and how many found no room.
    fn paste(
        &mut self,
        text: &str,
        at: (usize, usize),
        features: &[Feature],
    ) -> Result<(usize, usize), String> {
        let mut lines = cells_of(text)?;
        let names = |cell: &String| features.iter().position(|feature| feature.name == *cell);
        let places: Option<Vec<usize>> = lines.first().and_then(|line| {
            // One column may be an answer of an earlier time: half of the names are enough.
            let known: Vec<Option<usize>> = line.iter().map(names).collect();
            let found = known.iter().flatten().count();
            (found * 2 > line.len()).then(|| known.iter().map(|place| place.unwrap_or(usize::MAX)).collect())
        });
        if places.is_some() {
            lines.remove(0);
        }
        let room = MOST_ROWS.saturating_sub(at.0);
        let put = lines.len().min(room);
        for (offset, line) in lines.iter().take(put).enumerate() {
            let row = at.0 + offset;
            while self.rows.len() <= row {
                self.rows.push(vec![String::new(); self.width]);
            }
            for (index, text) in line.iter().enumerate() {
                let column = match &places {
                    Some(places) => places.get(index).copied().unwrap_or(usize::MAX),
                    None => at.1.saturating_add(index),
                };
                if let Some(cell) = self.rows[row].get_mut(column) {
                    text.trim().clone_into(cell);
                }
            }
        }
        Ok((put, lines.len() - put))
    }

    fn is_empty(row: &[String], features: &[Feature]) -> bool {
        // A checkbox that is not ticked says nothing by itself.
        let says =
            |(cell, feature): (&String, &Feature)| !cell.is_empty() && feature.data_type != DataType::Boolean;
        !row.iter().zip(features).any(says)
    }
}

/// Reads a block of cells: by tabs as a sheet copies them, or by commas or semicolons.
fn cells_of(text: &str) -> Result<Vec<Vec<String>>, String> {
    let first = text.lines().next().unwrap_or_default();
    let separator = match (
        first.contains('\t'),
        first.matches(';').count() > first.matches(',').count(),
    ) {
        (true, _) => b'\t',
        (false, true) => b';',
        (false, false) => b',',
    };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut lines = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        lines.push(record.iter().map(str::to_owned).collect());
    }
    Ok(lines)
}

/// What a button of the table asks for.
#[derive(Debug, PartialEq, Eq)]
enum Deed {
    Predict,
    Add,
    Duplicate(usize),
    Delete(usize),
    Paste,
    Clear,
    Csv,
}

impl Deed {
    fn read(text: &str) -> Self {
        let row = |text: &str| text.parse().unwrap_or(usize::MAX);
        match text.split_once(':') {
            Some(("duplicate", number)) => Self::Duplicate(row(number)),
            Some(("delete", number)) => Self::Delete(row(number)),
            _ => match text {
                "add" => Self::Add,
                "paste" => Self::Paste,
                "clear" => Self::Clear,
                "csv" => Self::Csv,
                _ => Self::Predict,
            },
        }
    }
}

pub(super) async fn show(State(app): State<App>, page: Page) -> Result<Response, Error> {
    let chosen = Chosen::of(&app, &page).await?;
    let Some(model) = chosen.model.clone() else {
        return empty(&app, &page, &chosen).await;
    };
    let sheet = Sheet::of_example(&model);
    render(&rows_page(&app, &page, &chosen, &model, &sheet).await)
}

pub(super) async fn act(
    State(app): State<App>,
    page: Page,
    headers: HeaderMap,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let chosen = Chosen::of(&app, &page).await?;
    let Some(model) = chosen.model.clone() else {
        return empty(&app, &page, &chosen).await;
    };
    let form = parse_query(&String::from_utf8_lossy(&body));
    let field = |name: &str| crate::form::value(&form, name).unwrap_or_default();
    let mut sheet = Sheet::read(&form, model.features.len());
    let (mut problem, mut said) = (String::new(), String::new());
    match Deed::read(field("do")) {
        Deed::Predict => return predict(&app, &page, &headers, &chosen, model, &sheet, false).await,
        Deed::Csv => return predict(&app, &page, &headers, &chosen, model, &sheet, true).await,
        Deed::Add => sheet.add(),
        Deed::Duplicate(row) => sheet.duplicate(row),
        Deed::Delete(row) => sheet.delete(row),
        Deed::Clear => sheet.rows = vec![vec![String::new(); sheet.width]; FIRST_ROWS],
        Deed::Paste => {
            let place = |name: &str| field(name).parse().unwrap_or(0);
            match sheet.paste(
                field("pasted"),
                (place("at-row"), place("at-column")),
                &model.features,
            ) {
                Ok((put, 0)) => said = page.tn("rows-pasted", &(put as u64)),
                Ok((_, left)) => problem = page.tn("rows-no-room", &(left as u64)),
                Err(error) => problem = page.t1("paste-unreadable", "reason", &error),
            }
        }
    }
    render(&RowsPage {
        problem,
        said,
        ..rows_page(&app, &page, &chosen, &model, &sheet).await
    })
}

/// Predicts each row that can be; the others say what is wrong with them.
async fn predict(
    app: &App,
    page: &Page,
    headers: &HeaderMap,
    chosen: &Chosen,
    model: Arc<ServedModel>,
    sheet: &Sheet,
    as_file: bool,
) -> Result<Response, Error> {
    let mut made = rows_page(app, page, chosen, &model, sheet).await;
    let mut wrong = 0_u64;
    let mut good: Vec<(usize, Row)> = Vec::new();
    for (index, cells) in sheet.rows.iter().enumerate() {
        if Sheet::is_empty(cells, &model.features) {
            continue;
        }
        match model.check_record(&record(&model.features, cells)) {
            Ok(row) => good.push((index, row)),
            Err(errors) => {
                wrong += 1;
                let view = &mut made.rows[index];
                view.is_wrong = true;
                for error in errors {
                    let column = model
                        .features
                        .iter()
                        .position(|feature| feature.name == error.field);
                    if let Some(cell) = column.and_then(|column| view.cells.get_mut(column)) {
                        cell.error = page.t(error_text(error.kind));
                        cell.warning.clear();
                    }
                }
            }
        }
    }
    if wrong > 0 {
        made.problem = page.tn("rows-wrong", &wrong);
    }
    if good.is_empty() {
        if wrong == 0 {
            made.problem = page.t("rows-empty");
        }
        return render(&made);
    }
    let (places, rows): (Vec<usize>, Vec<Row>) = good.into_iter().unzip();
    let predicted = app
        .serving
        .predict_for_app(&chosen.endpoint, Arc::clone(&model), rows)
        .await;
    let (id, predictions) = match predicted {
        Ok(predicted) => predicted,
        Err(error) if error.kind() == ErrorKind::Internal => return Err(error.into()),
        Err(error) => {
            made.problem = error.to_string();
            return render(&made);
        }
    };
    for (index, place) in places.iter().enumerate() {
        let best = predictions
            .probabilities(index)
            .iter()
            .copied()
            .max_by(f32::total_cmp);
        let share = best.map_or_else(String::new, |share| format::percent(f64::from(share)));
        made.rows[*place].answer = Some((predictions.labels[index].to_string(), share));
    }
    made.said = page.tn("rows-predicted", &(places.len() as u64));
    made.csv = csv_of(&made).unwrap_or_default();
    let is_kept = app.serving.log().is_some();
    made.kept_address = is_kept.then(|| format!("/predictions/{}", encode(id.as_str())));
    let mut response = match as_file {
        true => file(&made.csv, &model.name),
        false => render(&made)?,
    };
    if is_kept {
        remember(headers, id.as_str(), &mut response);
    }
    Ok(response)
}

fn record(features: &[Feature], cells: &[String]) -> Map<String, Value> {
    features
        .iter()
        .zip(cells)
        .filter_map(|(feature, cell)| Some((feature.name.clone(), value(feature, cell)?)))
        .collect()
}

fn file(csv: &str, model: &str) -> Response {
    let plain: String = model
        .chars()
        .map(|sign| {
            if sign.is_ascii_alphanumeric() || matches!(sign, '-' | '_' | '.') {
                sign
            } else {
                '_'
            }
        })
        .collect();
    let name = format!("attachment; filename=\"{plain}-predictions.csv\"");
    let name = HeaderValue::from_str(&name).unwrap_or_else(|_| HeaderValue::from_static("attachment"));
    let kind = HeaderValue::from_static("text/csv; charset=utf-8");
    (
        [(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)],
        csv.to_owned(),
    )
        .into_response()
}

/// Writes the table with its answers.
fn csv_of(made: &RowsPage<'_>) -> Option<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let names = made.columns.iter().map(|column| column.name.as_str());
    let more: &[&str] = if made.is_class {
        &["prediction", "probability"]
    } else {
        &["prediction"]
    };
    writer.write_record(names.chain(more.iter().copied())).ok()?;
    for row in &made.rows {
        let Some((label, share)) = &row.answer else {
            continue;
        };
        let cells = row.cells.iter().map(|cell| cell.value.as_str());
        let answers = [label.as_str(), share.as_str()];
        writer
            .write_record(cells.chain(answers[..more.len()].iter().copied()))
            .ok()?;
    }
    String::from_utf8(writer.into_inner().ok()?).ok()
}

async fn empty(app: &App, page: &Page, chosen: &Chosen) -> Result<Response, Error> {
    render(&RowsPage {
        page,
        head: Head::of(app, page, chosen, "/table").await,
        no_model: Some(NoModel::of(page, chosen)),
        action: String::new(),
        columns: Vec::new(),
        rows: Vec::new(),
        is_class: false,
        problem: String::new(),
        said: String::new(),
        csv: String::new(),
        kept_address: None,
        is_full: false,
    })
}

async fn rows_page<'a>(
    app: &App,
    page: &'a Page,
    chosen: &Chosen,
    model: &ServedModel,
    sheet: &Sheet,
) -> RowsPage<'a> {
    let columns = model.features.iter().map(|feature| Column {
        name: feature.name.clone(),
        choices: feature.categories.clone(),
        is_checkbox: feature.data_type == DataType::Boolean,
        is_number: !feature.is_text(),
    });
    let rows = sheet.rows.iter().enumerate().map(|(row, cells)| {
        let is_empty = Sheet::is_empty(cells, &model.features);
        let cells = cells.iter().zip(&model.features).enumerate();
        let cells = cells.map(|(column, (value, feature))| CellView {
            name: format!("{row}.{column}"),
            id: format!("cell-{row}-{column}"),
            value: value.clone(),
            error: String::new(),
            warning: if is_empty {
                String::new()
            } else {
                warning(page, feature, value)
            },
        });
        RowView {
            number: row + 1,
            cells: cells.collect(),
            answer: None,
            is_wrong: false,
        }
    });
    RowsPage {
        page,
        head: Head::of(app, page, chosen, "/table").await,
        no_model: None,
        action: chosen.address("/table", &[]),
        columns: columns.collect(),
        rows: rows.collect(),
        is_class: !model.labels.is_empty(),
        problem: String::new(),
        said: String::new(),
        csv: String::new(),
        kept_address: None,
        is_full: sheet.is_full(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features() -> Vec<Feature> {
        [
            ("Elevation", DataType::Long),
            ("Area", DataType::Text),
            ("Wet", DataType::Boolean),
        ]
        .map(|(name, data_type)| Feature {
            name: name.to_owned(),
            data_type,
            required: true,
            range: None,
            categories: Vec::new(),
            example: Value::Null,
        })
        .to_vec()
    }

    fn sheet(rows: &[[&str; 3]]) -> Sheet {
        Sheet {
            width: 3,
            rows: rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect(),
        }
    }

    #[test]
    fn a_sent_table_is_read_by_its_places() {
        let form = parse_query("rows=2&0.0=1&0.1=+a+&1.2=true&7.0=no&0.9=no&x.y=no&do=add");
        assert_eq!(Sheet::read(&form, 3), sheet(&[["1", "a", ""], ["", "", "true"]]));
        assert_eq!(
            Sheet::read(&parse_query("rows=999999999"), 3).rows.len(),
            MOST_ROWS
        );
        assert_eq!(Sheet::read(&[], 3).rows.len(), FIRST_ROWS);
    }

    #[test]
    fn rows_come_and_go() {
        let mut made = sheet(&[["1", "", ""], ["2", "", ""]]);
        made.duplicate(0);
        made.delete(2);
        made.delete(9);
        assert_eq!(made, sheet(&[["1", "", ""], ["1", "", ""]]));
        made.delete(0);
        made.delete(0);
        assert_eq!(made, sheet(&[["", "", ""]]));
        for _ in 0..MOST_ROWS + 5 {
            made.add();
            made.duplicate(0);
        }
        assert_eq!(made.rows.len(), MOST_ROWS);
    }

    #[test]
    fn what_is_pasted_lands_where_it_belongs() {
        let features = features();
        let mut made = sheet(&[["", "", ""], ["", "", ""]]);
        // As a sheet copies cells.
        assert_eq!(
            made.paste("Rawah\ttrue\tlost\nCache\n", (1, 1), &features),
            Ok((2, 0))
        );
        assert_eq!(
            made,
            sheet(&[["", "", ""], ["", "Rawah", "true"], ["", "Cache", ""]])
        );
        // As a file with names has them, in another order and with an answer.
        let text = "Area,prediction,Elevation\n\"a, b\",2,1900\n";
        assert_eq!(made.paste(text, (0, 2), &features), Ok((1, 0)));
        assert_eq!(made.rows[0], ["1900", "a, b", ""]);
        assert_eq!(made.paste("1;2\n3;4", (0, 0), &features), Ok((2, 0)));
        assert_eq!(made.rows[1], ["3", "4", "true"]);
        let many = "1\n".repeat(MOST_ROWS + 7);
        assert_eq!(made.paste(&many, (0, 0), &features), Ok((MOST_ROWS, 7)));
        assert_eq!(made.paste("", (0, 0), &features), Ok((0, 0)));
        assert_eq!(made.paste("1", (usize::MAX, 0), &features), Ok((0, 1)));
    }

    #[test]
    fn a_row_without_a_value_is_no_row() {
        let features = features();
        assert!(Sheet::is_empty(&["", "", "true"].map(str::to_owned), &features));
        assert!(!Sheet::is_empty(&["", "a", ""].map(str::to_owned), &features));
    }

    #[test]
    fn buttons_are_read() {
        assert_eq!(Deed::read("delete:3"), Deed::Delete(3));
        assert_eq!(Deed::read("duplicate:x"), Deed::Duplicate(usize::MAX));
        assert_eq!(Deed::read("paste"), Deed::Paste);
        assert_eq!(Deed::read(""), Deed::Predict);
    }
}
