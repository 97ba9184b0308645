//! The form that predicts.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use fragua_auth::Auth;
use fragua_base::{ManualClock, SharedClock};
use fragua_database::testing::TestDatabase;
use fragua_serving::{LogQuery, ModelSource, Serving, Settings};
use tokio_util::sync::CancellationToken;

use super::browser::{Answer, assert_pages, get, post, send};
use super::house::{House, now};

async fn app(house: &House) -> Router {
    let source = ModelSource::Local(house.tracking.clone());
    let clock: SharedClock = Arc::new(ManualClock::at(now()));
    let serving = Serving::open(source, Settings::default(), clock).unwrap();
    serving.follow_alias().await;
    fragua_web::app_pages(serving, Some(house.tracking.clone()), house.site())
}

/// The app over a serving that keeps what it predicts.
pub(crate) struct Kept {
    pub(crate) pages: Router,
    pub(crate) serving: Serving,
    writing: tokio::task::JoinHandle<()>,
    _database: TestDatabase,
}

impl Kept {
    pub(crate) async fn open(house: &House) -> Self {
        let database = TestDatabase::sqlite().await;
        let source = ModelSource::Local(house.tracking.clone());
        let clock: SharedClock = Arc::new(ManualClock::at(now()));
        let opened = Serving::open_with(source, database.database.clone(), Settings::default(), clock).await;
        let serving = opened.unwrap();
        serving.follow_alias().await;
        let log = serving.log().unwrap().clone();
        Self {
            pages: fragua_web::app_pages(serving.clone(), Some(house.tracking.clone()), house.site()),
            serving,
            writing: tokio::spawn(async move { log.run(CancellationToken::new()).await }),
            _database: database,
        }
    }

    /// Predicts with the form and returns the id under which the answer is kept.
    pub(crate) async fn predict(&self, form: &str) -> String {
        let answer = post(&self.pages, "/", form).await;
        assert_eq!(answer.status, StatusCode::OK);
        id_in(&answer)
    }

    /// Opens a page as the browser that asked for these predictions.
    async fn get_remembering(&self, address: &str, ids: &str) -> Answer {
        let request = Request::get(address)
            .header(header::HOST, "127.0.0.1:8080")
            .header(header::ACCEPT, "text/html")
            .header(header::COOKIE, format!("fragua_predictions={ids}"));
        send(&self.pages, request.body(Body::empty()).unwrap()).await
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.writing.abort();
    }
}

fn id_in(answer: &Answer) -> String {
    let (_, rest) = answer.body.split_once("/predictions/").unwrap();
    rest.chars().take_while(char::is_ascii_hexdigit).collect()
}

const GOOD: &str = "Elevation=1900&Slope=1.5&Area=Cache";

#[tokio::test]
async fn without_a_model_it_says_what_to_do() {
    let house = House::open().await;
    let app = app(&house).await;
    assert_pages(&app, &["/"]).await;
    let page = get(&app, "/").await;
    page.has(&[
        "No model answers yet",
        "http://127.0.0.1:8080/",
        "http://127.0.0.1:8084/models/cover_type_class",
    ]);
    page.lacks(&["<form"]);
    let sent = post(&app, "/", GOOD).await;
    assert_eq!(sent.status, StatusCode::OK);
    sent.has(&["No model answers yet"]);
    let health = get(&app, "/health").await;
    assert_eq!(health.body, r#"{"status":"healthy","model_loaded":false}"#);
}

#[tokio::test]
async fn the_form_comes_from_the_signature() {
    let house = House::open().await;
    let run_id = house.champion().await;
    let app = app(&house).await;
    assert_pages(&app, &["/"]).await;
    let page = get(&app, "/").await;
    page.has(&[
        "cover_type_class",
        ">v1<",
        ">champion<",
        "name=\"Elevation\"",
        "name=\"Slope\"",
        "<option value=\"Cache\"",
        "<option value=\"Neota\"",
        "<option value=\"Rawah\"",
        " in training</span>",
        "class=\"histogram\"",
        "data-moves=\"field-0\"",
        "/dags/model_training_dag/runs/manual__1",
        "http://127.0.0.1:8085/docs",
        &format!("http://127.0.0.1:8084/runs/{run_id}"),
        "No prediction yet",
    ]);
    let health = get(&app, "/health").await;
    health.has(&["\"model_loaded\":true"]);
}

#[tokio::test]
async fn predicts_with_and_without_script() {
    let house = House::open().await;
    house.champion().await;
    let app = app(&house).await;
    // Without script the answer is this page, with it the same page is taken apart.
    let answer = post(&app, "/", GOOD).await;
    assert_eq!(answer.status, StatusCode::OK);
    answer.has(&[
        "<output id=\"predicted-class\" for=\"predict-form\">0</output>",
        "Probability of each class",
        "value=\"1900\"",
        "curl -s http://127.0.0.1:8085/predict",
    ]);
    let (bars, why) = answer.body.split_once("id=\"why\"").unwrap();
    assert_eq!(bars.matches("class=\"bar-track\"").count(), 3);
    // The base, a step for each column, the score.
    assert_eq!(why.matches("class=\"bar-track\"").count(), 5);
    answer.has(&[
        "Training rows like this one",
        "Elevation <span class=\"own\">= 1900</span>",
    ]);
    // The link to share shows the same.
    let shared = get(&app, &format!("/?{GOOD}")).await;
    shared.has(&["for=\"predict-form\">0</output>"]);
}

#[tokio::test]
async fn the_form_needs_no_key_and_shows_where_a_program_puts_one() {
    let house = House::open().await;
    house.champion().await;
    let database = TestDatabase::sqlite().await;
    let auth = Auth::open(database.database.clone(), house.clock.clone()).await;
    let source = ModelSource::Local(house.tracking.clone());
    let serving = Serving::open(source, Settings::default(), house.clock.clone());
    let serving = serving.unwrap().requiring_keys(auth.unwrap());
    serving.follow_alias().await;
    let app = fragua_web::app_pages(serving, Some(house.tracking.clone()), house.site());
    post(&app, "/", GOOD).await.has(&[
        "<output id=\"predicted-class\" for=\"predict-form\">0</output>",
        "Authorization: Bearer $FRAGUA_SERVING_KEY",
    ]);
}

#[tokio::test]
async fn what_is_wrong_is_said_beside_the_field() {
    let house = House::open().await;
    house.champion().await;
    let app = app(&house).await;
    for (form, expected) in [
        ("Elevation=high&Slope=1.5&Area=Cache", "Enter a whole number"),
        ("Elevation=1900&Slope=steep&Area=Cache", "Enter a number"),
        ("Elevation=&Slope=1.5&Area=Cache", "Enter a value"),
        ("Slope=1.5&Area=Cache", "Enter a value"),
    ] {
        let answer = post(&app, "/", form).await;
        answer.has(&[
            expected,
            "aria-invalid=\"true\"",
            "One field needs another value.",
        ]);
        answer.lacks(&["</output>"]);
    }
    let odd = post(&app, "/", "Elevation=99999&Slope=1.5&Area=Mars").await;
    odd.has(&[
        "Outside what the model has seen in training",
        "The model has not seen this in training",
        "</output>",
        "<option value=\"Mars\" selected>",
    ]);
}

#[tokio::test]
async fn what_is_typed_is_never_markup() {
    let house = House::open().await;
    house.champion().await;
    let app = app(&house).await;
    let answer = post(&app, "/", "Elevation=%22%3E%3Cscript%3E&Slope=1&Area=%3Cb%3E").await;
    answer.lacks(&["\"><script>", "<b>"]);
    answer.has(&["&#60;b&#62;"]);
}

#[tokio::test]
async fn an_alias_that_moves_shows_at_the_next_page() {
    let house = House::open().await;
    house.champion().await;
    let source = ModelSource::Local(house.tracking.clone());
    let serving = Serving::open(source, Settings::default(), house.clock.clone()).unwrap();
    serving.follow_alias().await;
    let app = fragua_web::app_pages(serving.clone(), Some(house.tracking.clone()), house.site());
    house.champion().await;
    serving.follow_alias().await;
    get(&app, "/").await.has(&[">v2<"]);
}

#[tokio::test]
async fn each_version_has_an_address() {
    let house = House::open().await;
    house.champion().await;
    house.champion().await;
    let app = app(&house).await;
    let page = get(&app, "/").await;
    page.has(&[
        "href=\"/?model=cover_type_class%40champion\" aria-current=\"true\"",
        "href=\"/?model=cover_type_class%2F1\"",
        "href=\"/table\"",
    ]);
    let old = get(&app, "/?model=cover_type_class%2F1").await;
    old.has(&[
        ">v1<",
        "action=\"/?model=cover_type_class%2F1\"",
        "href=\"/table?model=cover_type_class%2F1\"",
        "data-events=\"/events?model=cover_type_class%2F1\"",
    ]);
    let answer = post(&app, "/?model=cover_type_class%2F1", GOOD).await;
    answer.has(&[
        "/models/cover_type_class/versions/1/predict",
        "version 1 in ",
        "?model=cover_type_class%2F1&#38;Elevation=1900&#38;Slope=1.5&#38;Area=Cache",
    ]);
    for (model, status) in [
        ("unheard-of", StatusCode::NOT_FOUND),
        ("cover_type_class%2F9", StatusCode::NOT_FOUND),
        ("cover_type_class%2Fnew", StatusCode::BAD_REQUEST),
        ("%3Cb%3E%40%40", StatusCode::BAD_REQUEST),
    ] {
        for path in ["/", "/table", "/history", "/monitoring", "/events"] {
            let answer = get(&app, &format!("{path}?model={model}")).await;
            assert_eq!(answer.status, status, "{path} {model}");
            answer.lacks(&["<b>"]);
        }
    }
}

#[tokio::test]
async fn a_prediction_has_an_address_and_takes_feedback() {
    let house = House::open().await;
    house.champion().await;
    let kept = Kept::open(&house).await;
    let answer = post(&kept.pages, "/", GOOD).await;
    let id = id_in(&answer);
    let cookie = answer.header("set-cookie");
    assert!(
        cookie.starts_with(&format!("fragua_predictions={id};")),
        "{cookie}"
    );
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    // The log is written a moment later; whoever asked waits for it.
    let address = format!("/predictions/{id}");
    let page = kept.get_remembering(&address, &id).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    page.has(&[
        "cover_type_class v1",
        "<dt>Elevation</dt><dd>1900</dd>",
        "Training rows like this one",
        "http://127.0.0.1:8084/models/cover_type_class/versions/1",
        "Yes, it is 0",
    ]);
    assert_pages(&kept.pages, &[&address]).await;
    let feedback = format!("{address}/feedback");
    for (form, expected) in [
        ("row=0&do=wrong&label=", "Say what is true."),
        ("row=0&do=wrong&label=pine", "Enter a number"),
    ] {
        post(&kept.pages, &feedback, form).await.has(&[expected]);
    }
    assert_eq!(
        post(&kept.pages, &feedback, "row=7&do=right").await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        post(&kept.pages, &feedback, "do=right").await.status,
        StatusCode::BAD_REQUEST
    );
    let given = post(
        &kept.pages,
        &feedback,
        "row=0&do=wrong&label=2&note=%3Cb%3Eseen%3C%2Fb%3E",
    )
    .await;
    assert_eq!(given.status, StatusCode::SEE_OTHER);
    let page = get(&kept.pages, &address).await;
    page.has(&["It was 2", "&#60;b&#62;seen"]);
    post(&kept.pages, &feedback, "row=0&do=right").await;
    get(&kept.pages, &address).await.has(&["badge state-success"]);
    for (address, status) in [
        (
            "/predictions/0123456789abcdef0123456789abcdef",
            StatusCode::NOT_FOUND,
        ),
        ("/predictions/%3Cscript%3E", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(get(&kept.pages, address).await.status, status, "{address}");
    }
}

#[tokio::test]
async fn the_history_opens_on_what_everybody_asked_and_tells_mine_apart() {
    let house = House::open().await;
    house.champion().await;
    let kept = Kept::open(&house).await;
    get(&kept.pages, "/history")
        .await
        .has(&["Nothing was predicted here"]);
    let mine = kept.predict(GOOD).await;
    let other = kept.predict("Elevation=2900&Slope=1.5&Area=Rawah").await;
    kept.get_remembering(&format!("/predictions/{other}"), &other)
        .await;
    let page = kept.get_remembering("/history?of=mine", &mine).await;
    page.has(&[&format!("/predictions/{mine}"), "Elevation 1900"]);
    page.lacks(&[&format!("/predictions/{other}")]);
    let page = get(&kept.pages, "/history").await;
    page.has(&[&format!("/predictions/{mine}"), &format!("/predictions/{other}")]);
    post(
        &kept.pages,
        &format!("/predictions/{mine}/feedback"),
        "row=0&do=right",
    )
    .await;
    let page = get(&kept.pages, "/history?truth=known").await;
    page.has(&[&format!("/predictions/{mine}")]);
    page.lacks(&[&format!("/predictions/{other}")]);
    let forgotten = post(&kept.pages, "/history?of=mine", "").await;
    assert!(forgotten.header("set-cookie").contains("Max-Age=0"));
    // What is no id of ours is no question to the log.
    kept.get_remembering("/history?of=mine", "x'or'1.../..")
        .await
        .has(&["Nothing was predicted here"]);
    assert_pages(
        &kept.pages,
        &["/history", "/history?of=mine", "/history?truth=unknown"],
    )
    .await;
}

#[tokio::test]
async fn the_table_works_as_a_plain_form() {
    let house = House::open().await;
    house.champion().await;
    let kept = Kept::open(&house).await;
    assert_pages(&kept.pages, &["/table"]).await;
    let rows = "rows=3&0.0=1900&0.1=1.5&0.2=Cache&1.0=2900&1.1=2.5&1.2=Rawah";
    let answer = post(&kept.pages, "/table", &format!("{rows}&do=predict")).await;
    answer.has(&[
        "2 rows predicted.",
        "<strong>0</strong>",
        "<strong>2</strong>",
        "Elevation,Slope,Area,prediction,probability",
    ]);
    let id = id_in(&answer);
    let page = kept
        .get_remembering(&format!("/predictions/{id}?row=1"), &id)
        .await;
    page.has(&["2 rows", "<dt>Elevation</dt><dd>2900</dd>"]);
    let file = post(&kept.pages, "/table", &format!("{rows}&do=csv")).await;
    assert_eq!(file.header("content-type"), "text/csv; charset=utf-8");
    let lines: Vec<&str> = file.body.lines().collect();
    assert_eq!(lines[0], "Elevation,Slope,Area,prediction,probability");
    assert!(lines[2].starts_with("2900,2.5,Rawah,2,"), "{}", lines[2]);
    // A wrong row says so in its cells and does not stop the others.
    let answer = post(
        &kept.pages,
        "/table",
        &format!("{rows}&2.0=high&2.1=1&2.2=Mars&do=predict"),
    )
    .await;
    answer.has(&[
        "One row has cells",
        "2 rows predicted.",
        "id=\"cell-2-0-note\"",
        "Enter a whole number",
        "The model has not seen this in training",
    ]);
    let grown = post(&kept.pages, "/table", &format!("{rows}&do=duplicate:1")).await;
    grown.has(&["name=\"rows\" value=\"4\"", "name=\"2.0\" value=\"2900\""]);
    let pasted = post(
        &kept.pages,
        "/table",
        "rows=3&do=paste&pasted=Area%09Elevation%0ACache%091950%0A&at-row=0&at-column=1",
    )
    .await;
    pasted.has(&["1 row pasted.", "name=\"0.0\" value=\"1950\""]);
    post(&kept.pages, "/table", "rows=2&do=predict")
        .await
        .has(&["Fill in a row first."]);
    let odd = post(&kept.pages, "/table", "rows=1&0.0=%22%3E%3Cscript%3E&do=predict").await;
    odd.lacks(&["\"><script>"]);
}

#[tokio::test]
async fn monitoring_tells_drift_and_accuracy() {
    let house = House::open().await;
    house.champion().await;
    let kept = Kept::open(&house).await;
    get(&kept.pages, "/monitoring")
        .await
        .has(&["This version was asked nothing yet", "No truth is known yet"]);
    let mut ids = Vec::new();
    for elevation in [1900, 1910, 1920, 2950] {
        ids.push(
            kept.predict(&format!("Elevation={elevation}&Slope=1.5&Area=Cache"))
                .await,
        );
    }
    for (id, verdict) in ids
        .iter()
        .zip(["do=right", "do=right", "do=wrong&label=1", "do=right"])
    {
        let feedback = format!("/predictions/{id}/feedback");
        let given = post(&kept.pages, &feedback, &format!("row=0&{verdict}")).await;
        assert_eq!(given.status, StatusCode::SEE_OTHER);
    }
    let page = get(&kept.pages, "/monitoring").await;
    page.has(&[
        "4 rows",
        "These are few rows",
        "Too few rows to tell",
        "Kolmogorov–Smirnov",
        "class=\"histogram-now\"",
        "75.0 %",
        "95 %: 30.1 % – 95.4 %",
        "2025-04-02",
    ]);
    page.lacks(&["Large drift"]);
    assert_pages(&kept.pages, &["/monitoring"]).await;
    let log = kept.serving.log().unwrap();
    let kept_rows = log.predictions(&LogQuery::default()).await.unwrap().items;
    assert_eq!(kept_rows.len(), 4);
}

#[tokio::test]
async fn without_a_log_pages_say_so() {
    let house = House::open().await;
    house.champion().await;
    let app = app(&house).await;
    for address in ["/history", "/monitoring"] {
        get(&app, address).await.has(&["Predictions are not kept here"]);
    }
    let answer = post(&app, "/", GOOD).await;
    assert_eq!(answer.header("set-cookie"), "");
    answer.lacks(&["/predictions/"]);
    assert_eq!(get(&app, "/predictions/0123").await.status, StatusCode::CONFLICT);
}

/// Sends a file to be scored.
async fn score(kept: &Kept, name: &str, content: &str, on_bad_cell: &str) -> Answer {
    let body = format!(
        "--b\r\ncontent-disposition: form-data; name=\"on-bad-cell\"\r\n\r\n{on_bad_cell}\r\n--b\r\n\
         content-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{content}\r\n--b--\r\n"
    );
    let request = Request::post("/batch")
        .header(header::HOST, "127.0.0.1:8080")
        .header(header::ACCEPT, "text/html")
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b");
    send(&kept.pages, request.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn a_file_is_scored_and_what_is_bad_is_reported() {
    let house = House::open().await;
    house.champion().await;
    let kept = Kept::open(&house).await;
    assert_pages(&kept.pages, &["/batch"]).await;
    let rows = "id,Elevation,Slope,Area\n7,1900,1.5,Cache\n8,high,2.5,Rawah\n9,2900,2.5,Rawah\n";
    let answer = score(&kept, "rows.csv", rows, "skip").await;
    answer.has(&[
        "2 rows predicted.",
        "rows-scored.csv",
        "1 cell could not be read",
        "1 row was left out",
        "<th scope=\"row\">2</th><td>Elevation</td>",
    ]);
    let (_, rest) = answer.body.split_once("href=\"/batch/").unwrap();
    let id: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
    let file = get(&kept.pages, &format!("/batch/{id}")).await;
    assert_eq!(
        file.header("content-disposition"),
        "attachment; filename=\"rows-scored.csv\""
    );
    let lines: Vec<&str> = file.body.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].starts_with("id,Elevation,Slope,Area,"), "{}", lines[0]);
    assert!(lines[2].starts_with("9,2900,2.5,Rawah,2,"), "{}", lines[2]);
    score(&kept, "rows.csv", rows, "refuse")
        .await
        .has(&["This could not be done", "Elevation"]);
    score(&kept, "rows.csv", "id\n1\n", "skip")
        .await
        .has(&["lacks columns that the model takes: Elevation, Slope, Area"]);
    score(&kept, "rows.csv", "", "skip")
        .await
        .has(&["Choose a file that is not empty."]);
    score(&kept, "rows.parquet", rows, "skip")
        .await
        .has(&["This could not be done"]);
    assert_eq!(
        get(&kept.pages, "/batch/0123").await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        post(&kept.pages, "/batch", "file=1").await.status,
        StatusCode::BAD_REQUEST
    );
}
