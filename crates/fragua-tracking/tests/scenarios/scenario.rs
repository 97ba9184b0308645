//! A file of requests and the answers expected.
//!
//! `ask` is a method, a path and the rest of the line as the body. A path without a slash in front is below
//! `/2.0/mlflow`, in turn of `/api` and `/ajax-api`. `${name}` stands for what an earlier answer gave to `keep`, or for
//! a long text of `values`. In an expected answer `<any>` stands for anything and `<id>` for an invented id; a message
//! that ends in `…` is the beginning of the answer's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::http::{Request, header};
use serde::Deserialize;
use serde_json::Value;

use crate::servers::Server;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Fragua,
    Mlflow,
}

pub(crate) struct Scenario {
    path: PathBuf,
    file: File,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    values: BTreeMap<String, Repeated>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Repeated {
    repeat: String,
    times: usize,
    #[serde(default)]
    between: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    ask: String,
    /// `none` sends none.
    content_type: Option<String>,
    /// What of both, or of one.
    expect: Option<Expected>,
    mlflow: Option<Expected>,
    fragua: Option<Expected>,
    /// Why the two differ.
    reason: Option<String>,
    /// Names for what the answer has at a path of dots.
    #[serde(default)]
    keep: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    status: u16,
    code: Option<String>,
    message: Option<String>,
    json: Option<Value>,
    text: Option<String>,
}

type Names = BTreeMap<String, String>;

impl Scenario {
    /// Returns every scenario in the order of the file names.
    pub(crate) fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../e2e/scenarios/mlflow");
        let entries = std::fs::read_dir(&folder).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.into_iter().map(Self::read).collect()
    }

    fn read(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(&path).unwrap();
        let file =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path, file }
    }

    /// Sends every request and notes what differs. Returns how many were sent.
    pub(crate) async fn play(&self, side: Side, server: &Server, failures: &mut Vec<String>) -> usize {
        let repeated = |value: &Repeated| vec![value.repeat.as_str(); value.times].join(&value.between);
        let values = self.file.values.iter();
        let mut names: Names = values
            .map(|(name, value)| (name.clone(), repeated(value)))
            .collect();
        for (at, step) in self.file.steps.iter().enumerate() {
            if let Err(difference) = step.play(at, side, server, &mut names).await {
                let file = self.path.file_name().unwrap_or_default().display();
                failures.push(format!("{file}, {}\n    {difference}", step.ask));
            }
        }
        self.file.steps.len()
    }
}

impl Step {
    async fn play(&self, at: usize, side: Side, server: &Server, names: &mut Names) -> Result<(), String> {
        let response = server.send(self.request(at, names)).await;
        let status = response.status().as_u16();
        let text = String::from_utf8_lossy(response.body()).into_owned();
        let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| {
            value
                .to_str()
                .is_ok_and(|value| value.starts_with("application/json"))
        });
        let json = is_json
            .then(|| serde_json::from_str::<Value>(&text).ok())
            .flatten();
        if side == Side::Fragua {
            always(status, json.as_ref(), &text)?;
        }
        for (name, path) in &self.keep {
            let pointer = format!("/{}", path.replace('.', "/"));
            let kept = json
                .as_ref()
                .and_then(|json| json.pointer(&pointer))
                .and_then(Value::as_str);
            names.insert(name.clone(), kept.unwrap_or_default().to_owned());
        }
        self.expected(side)?.compare(status, json, &text, names)
    }

    fn expected(&self, side: Side) -> Result<&Expected, String> {
        match (&self.expect, &self.mlflow, &self.fragua, &self.reason) {
            (Some(both), None, None, None) => Ok(both),
            (None, Some(mlflow), Some(fragua), Some(_)) => Ok(match side {
                Side::Fragua => fragua,
                Side::Mlflow => mlflow,
            }),
            _ => Err("a step has `expect`, or `mlflow`, `fragua` and the reason why they differ".to_owned()),
        }
    }

    fn request(&self, at: usize, names: &Names) -> Request<Body> {
        let ask = filled(&self.ask, names);
        let mut parts = ask.splitn(3, ' ');
        let (method, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let uri = match path.strip_prefix('/') {
            Some(_) => path.to_owned(),
            None if at.is_multiple_of(2) => format!("/api/2.0/mlflow/{path}"),
            None => format!("/ajax-api/2.0/mlflow/{path}"),
        };
        let mut request = Request::builder().method(method).uri(uri);
        match self.content_type.as_deref() {
            Some("none") => {}
            Some(content_type) => request = request.header(header::CONTENT_TYPE, content_type),
            None if method == "GET" => {}
            None => request = request.header(header::CONTENT_TYPE, "application/json"),
        }
        request
            .body(Body::from(parts.next().unwrap_or_default().to_owned()))
            .unwrap()
    }
}

/// What no answer of ours may be, whatever was asked: a fault that clients try again for minutes, a page where a
/// program reads, or the words of the database.
fn always(status: u16, json: Option<&Value>, text: &str) -> Result<(), String> {
    if [500, 502, 503, 504].contains(&status) {
        return Err(format!("{status} for what will not pass: {text}"));
    }
    let in_shape = |json: &Value| json["error_code"].is_string() && json["message"].is_string();
    if status >= 400 && !json.is_some_and(in_shape) {
        return Err(format!("{status} in no error shape: {text}"));
    }
    let leaks = [
        "SELECT ",
        "INSERT ",
        "UPDATE ",
        "constraint failed",
        "sqlite",
        "sqlx",
        "src/",
    ];
    match leaks.iter().find(|leak| status >= 400 && text.contains(**leak)) {
        Some(leak) => Err(format!("an error tells of {leak:?}: {text}")),
        None => Ok(()),
    }
}

impl Expected {
    fn compare(&self, status: u16, json: Option<Value>, text: &str, names: &Names) -> Result<(), String> {
        let field = |name: &str| json.as_ref()?.get(name)?.as_str();
        if status != self.status || self.code.as_deref() != field("error_code") {
            return Err(format!(
                "expected {} {:?}, got {status}: {text}",
                self.status, self.code
            ));
        }
        if let Some(message) = &self.message {
            let message = filled(message, names);
            let got = field("message").unwrap_or_default();
            let equal = match message.strip_suffix('…') {
                Some(beginning) => got.starts_with(beginning),
                None => got == message,
            };
            if !equal {
                return Err(format!(
                    "expected the message {message:?}\n    got                  {got:?}"
                ));
            }
        }
        if let Some(expected) = &self.text
            && filled(expected, names) != text
        {
            return Err(format!("expected the text {expected:?}, got {text:?}"));
        }
        if let Some(expected) = &self.json {
            let got = json.unwrap_or_default();
            if !matches(expected, &got, names) {
                return Err(format!("expected {expected}\n    got      {got}"));
            }
        }
        Ok(())
    }
}

fn matches(expected: &Value, got: &Value, names: &Names) -> bool {
    match (expected, got) {
        (Value::String(expected), _) if expected == "<any>" => true,
        (Value::String(expected), Value::String(got)) => {
            let expected = filled(expected, names);
            expected == *got || (expected.contains("<id>") && expected == without_ids(got))
        }
        (Value::Number(expected), Value::Number(got)) => expected.as_f64() == got.as_f64(),
        (Value::Array(expected), Value::Array(got)) => {
            let (expected, got) = (by_key(expected), by_key(got));
            expected.len() == got.len()
                && expected
                    .iter()
                    .zip(got)
                    .all(|(expected, got)| matches(expected, got, names))
        }
        (Value::Object(expected), Value::Object(got)) => {
            expected.len() == got.len()
                && expected
                    .iter()
                    .all(|(key, expected)| got.get(key).is_some_and(|got| matches(expected, got, names)))
        }
        _ => expected == got,
    }
}

/// Tags, parameters and metrics have no order of their own; what has one key keeps its order.
fn by_key(items: &[Value]) -> Vec<&Value> {
    let mut items: Vec<&Value> = items.iter().collect();
    items.sort_by_key(|item| {
        item["key"]
            .as_str()
            .or(item["alias"].as_str())
            .unwrap_or_default()
    });
    items
}

fn filled(text: &str, names: &Names) -> String {
    names.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("${{{name}}}"), value)
    })
}

/// Puts `<id>` where an invented id is: 32 hexadecimal digits, for a model after `m-`.
fn without_ids(text: &str) -> String {
    let is_digit = |character: char| character.is_ascii_digit() || ('a'..='f').contains(&character);
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_digit) {
        let digits = rest[start..]
            .find(|character| !is_digit(character))
            .unwrap_or(rest.len() - start);
        let before = &rest[..start];
        let (word, after) = rest[start..].split_at(digits);
        if digits == 32 {
            out += before.strip_suffix("m-").unwrap_or(before);
            out += "<id>";
        } else {
            out += before;
            out += word;
        }
        rest = after;
    }
    out + rest
}
