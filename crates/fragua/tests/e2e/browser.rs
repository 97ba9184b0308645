//! Chromium on every page of what the demo left: it renders, its console is silent, the form predicts.

use fantoccini::Locator;
use serde_json::Value;

use crate::chromium::Chromium;
use crate::harness::{Server, demo, example_row};

/// Opens a page and fails when it has no title, overflows sideways in a window or on a phone, or its console says
/// anything.
async fn open(chromium: &Chromium, url: &str) {
    chromium.open(url).await;
    assert!(
        !chromium.client.title().await.unwrap().is_empty(),
        "{url} has a title"
    );
    check(chromium).await;
}

async fn check(chromium: &Chromium) {
    for is_phone in [true, false] {
        chromium.phone(is_phone).await;
        chromium.assert_quiet().await;
    }
}

/// Returns the addresses on this host that the page links to, without fragments and downloads.
async fn links(chromium: &Chromium) -> Vec<String> {
    let script = "return [...document.links].filter(link => !link.hasAttribute('download'))
                    .map(link => link.href.split('#')[0])";
    let links = chromium.run(script).await;
    let links = links.as_array().unwrap().iter().filter_map(Value::as_str);
    links
        .filter(|link| link.starts_with("http://127.0.0.1:"))
        .map(str::to_owned)
        .collect()
}

/// Whether a link leads to a page of ours: not to a download, a raw document or another part's API.
fn is_page(link: &str) -> bool {
    let path = link.split('?').next().unwrap_or(link);
    let raw = [
        "/api/",
        "/ajax-api/",
        "/download",
        "/raw",
        "/get-artifact",
        "/log",
        "/openapi.json",
        "/metrics",
        "/v2/",
    ];
    !raw.iter().any(|part| path.contains(part))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_that_links_lead_to_renders_without_a_console_message() {
    let demo = demo();
    let server = Server::start(demo.project());
    let chromium = Chromium::start().await;
    let starts = ["orchestrator", "tracking", "console", "app"].map(|role| server.address(role) + "/");
    let mut waiting: Vec<String> = starts.to_vec();
    let mut seen: Vec<String> = Vec::new();
    // Sixty pages reach each kind of page several times.
    while let Some(page) = waiting.pop() {
        if seen.contains(&page) || !is_page(&page) || seen.len() == 60 {
            continue;
        }
        open(&chromium, &page).await;
        let found = links(&chromium).await;
        seen.push(page);
        waiting.splice(0..0, found.into_iter().filter(|link| !seen.contains(link)));
    }
    for start in starts {
        assert!(seen.contains(&start));
    }
    assert!(seen.len() > 20, "{seen:#?}");
    chromium.close().await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_predicts_what_the_api_predicts() {
    let demo = demo();
    let server = Server::start(demo.project());
    let chromium = Chromium::start().await;
    open(&chromium, &(server.address("app") + "/")).await;
    let form = chromium.client.form(Locator::Css("#predict-form")).await.unwrap();
    for (name, value) in example_row().as_object().unwrap() {
        let field = chromium
            .client
            .find(Locator::Css(&format!("#predict-form [name='{name}']")))
            .await
            .unwrap();
        match value.as_str() {
            Some(choice) => field.select_by_value(choice).await.unwrap(),
            None => drop(form.set_by_name(name, &value.to_string()).await.unwrap()),
        }
    }
    chromium.click("#predict-button").await;
    let predicted = chromium
        .client
        .wait()
        .for_element(Locator::Css("#predicted-class"))
        .await
        .unwrap();
    let predicted = predicted.text().await.unwrap();
    assert_eq!(predicted, demo.summary["prediction"]["Prediction"].to_string());
    check(&chromium).await;

    open(&chromium, &(server.address("app") + "/?lang=es")).await;
    let language = chromium.run("return document.documentElement.lang").await;
    assert_eq!(language, "es");
    chromium.close().await;
    server.stop();
}
