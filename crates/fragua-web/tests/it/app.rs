//! The form that predicts.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use fragua_base::{ManualClock, SharedClock};
use fragua_serving::{ModelSource, Serving, Settings};

use super::browser::{assert_pages, get, post};
use super::house::{House, now};

async fn app(house: &House) -> Router {
    let source = ModelSource::Local(house.tracking.clone());
    let clock: SharedClock = Arc::new(ManualClock::at(now()));
    let serving = Serving::open(source, Settings::default(), clock).unwrap();
    serving.follow_alias().await;
    fragua_web::app_pages(serving, house.site())
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
        "<output id=\"predicted-class\" form=\"predict-form\">0</output>",
        "Probability of each class",
        "value=\"1900\"",
        "curl -s http://127.0.0.1:8085/predict",
    ]);
    assert_eq!(answer.body.matches("class=\"bar-track\"").count(), 3);
    // The link to share shows the same.
    let shared = get(&app, &format!("/?{GOOD}")).await;
    shared.has(&["form=\"predict-form\">0</output>"]);
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
    let app = fragua_web::app_pages(serving.clone(), house.site());
    house.champion().await;
    serving.follow_alias().await;
    get(&app, "/").await.has(&[">v2<"]);
}
