//! Chromium on every page of what the demo left: it renders, its console is silent, the form predicts.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use axum::http::Method;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use url::{ParseError, Url};

use crate::harness::{Server, demo, example_row};

/// Chromium with the driver that steers it; both end when dropped.
struct Browser {
    client: Client,
    driver: Child,
    _profile: tempfile::TempDir,
}

/// Takes the messages of the page's console since the last time.
#[derive(Debug)]
struct TakeConsole;

impl WebDriverCompatibleCommand for TakeConsole {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _url: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}

/// Makes the page as wide as a phone's, which is narrower than a window can be, or as wide as the window again.
#[derive(Debug)]
struct Phone(bool);

impl WebDriverCompatibleCommand for Phone {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!(
            "session/{}/goog/cdp/execute",
            session.unwrap_or_default()
        ))
    }

    fn method_and_body(&self, _url: &Url) -> (Method, Option<String>) {
        let body = match self.0 {
            true => json!({
                "cmd": "Emulation.setDeviceMetricsOverride",
                "params": { "width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": false },
            }),
            false => json!({ "cmd": "Emulation.clearDeviceMetricsOverride", "params": {} }),
        };
        (Method::POST, Some(body.to_string()))
    }
}

impl Browser {
    async fn start() -> Self {
        let path = |name: &str, fallback: &str| std::env::var(name).unwrap_or_else(|_| fallback.to_owned());
        let mut driver = Command::new(path("FRAGUA_TEST_CHROMEDRIVER", "/usr/bin/chromedriver"))
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts; `cargo xtask test` installs it");
        let mut lines = BufReader::new(driver.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let ready = lines
            .find(|line| line.contains("started successfully on port"))
            .unwrap();
        let port: u16 = ready
            .trim_end_matches('.')
            .rsplit(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        std::thread::spawn(move || lines.for_each(drop));

        let profile = tempfile::tempdir().unwrap();
        let arguments = json!([
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--lang=en",
            "--window-size=1280,900",
            format!("--user-data-dir={}", profile.path().display()),
        ]);
        let capabilities = json!({
            "goog:chromeOptions": { "args": arguments, "binary": path("FRAGUA_TEST_CHROMIUM", "/usr/bin/chromium") },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else {
            unreachable!("an object was written above")
        };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        Self {
            client,
            driver,
            _profile: profile,
        }
    }

    /// Opens a page and fails when it has no title, overflows sideways in a window or on a phone, or its console says
    /// anything.
    async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
        self.check(url).await;
    }

    async fn check(&self, url: &str) {
        let console = self.client.issue_cmd(TakeConsole).await.unwrap();
        assert_eq!(console, json!([]), "the console of {url}");
        assert!(
            !self.client.title().await.unwrap().is_empty(),
            "{url} has a title"
        );
        for phone in [true, false] {
            self.client.issue_cmd(Phone(phone)).await.unwrap();
            let overflow =
                "return document.documentElement.scrollWidth > document.documentElement.clientWidth + 1";
            assert_eq!(
                self.client.execute(overflow, vec![]).await.unwrap(),
                json!(false),
                "{url} overflows sideways, phone: {phone}"
            );
        }
    }

    /// Returns the addresses on this host that the page links to, without fragments.
    async fn links(&self) -> Vec<String> {
        let script = "return [...document.links].map(link => link.href.split('#')[0])";
        let links = self.client.execute(script, vec![]).await.unwrap();
        let links = links.as_array().unwrap().iter().filter_map(Value::as_str);
        links
            .filter(|link| link.starts_with("http://127.0.0.1:"))
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
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
    let browser = Browser::start().await;
    let starts = ["orchestrator", "tracking", "console", "app"].map(|role| server.address(role) + "/");
    let mut waiting: Vec<String> = starts.to_vec();
    let mut seen: Vec<String> = Vec::new();
    // Sixty pages reach each kind of page several times.
    while let Some(page) = waiting.pop() {
        if seen.contains(&page) || !is_page(&page) || seen.len() == 60 {
            continue;
        }
        browser.open(&page).await;
        let found = browser.links().await;
        seen.push(page);
        waiting.splice(0..0, found.into_iter().filter(|link| !seen.contains(link)));
    }
    for start in starts {
        assert!(seen.contains(&start));
    }
    assert!(seen.len() > 20, "{seen:#?}");
    browser.client.clone().close().await.unwrap();
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_predicts_what_the_api_predicts() {
    let demo = demo();
    let server = Server::start(demo.project());
    let browser = Browser::start().await;
    browser.open(&(server.address("app") + "/")).await;
    let form = browser.client.form(Locator::Css("#predict-form")).await.unwrap();
    for (name, value) in example_row().as_object().unwrap() {
        let field = browser
            .client
            .find(Locator::Css(&format!("#predict-form [name='{name}']")))
            .await
            .unwrap();
        match value.as_str() {
            Some(choice) => field.select_by_value(choice).await.unwrap(),
            None => drop(form.set_by_name(name, &value.to_string()).await.unwrap()),
        }
    }
    browser
        .client
        .find(Locator::Css("#predict-button"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    let predicted = browser
        .client
        .wait()
        .for_element(Locator::Css("#predicted-class"))
        .await
        .unwrap();
    let predicted = predicted.text().await.unwrap();
    assert_eq!(predicted, demo.summary["prediction"]["Prediction"].to_string());
    browser.check("the form after predicting").await;

    browser.open(&(server.address("app") + "/?lang=es")).await;
    assert_eq!(
        browser
            .client
            .find(Locator::Css("html"))
            .await
            .unwrap()
            .attr("lang")
            .await
            .unwrap()
            .as_deref(),
        Some("es")
    );
    browser.client.clone().close().await.unwrap();
    server.stop();
}
