//! Chromium on pages that a server on a free port answers, and on those of a server that runs already.
//!
//! The end-to-end tests of the program take this file too.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use axum::Router;
use axum::http::Method;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use url::{ParseError, Url};

/// A browser, with the server it looks at where that is its own; both end when dropped.
pub(crate) struct Chromium {
    pub(crate) client: Client,
    base: String,
    driver: Child,
    _profile: tempfile::TempDir,
    server: Option<tokio::task::JoinHandle<()>>,
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

/// Takes a picture of all of a page, in base 64.
#[derive(Debug)]
struct LongPicture;

impl WebDriverCompatibleCommand for LongPicture {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!(
            "session/{}/goog/cdp/execute",
            session.unwrap_or_default()
        ))
    }

    fn method_and_body(&self, _url: &Url) -> (Method, Option<String>) {
        let params = json!({ "format": "png", "captureBeyondViewport": true });
        let body = json!({ "cmd": "Page.captureScreenshot", "params": params });
        (Method::POST, Some(body.to_string()))
    }
}

impl Chromium {
    /// Starts a browser whose addresses are below those of these pages.
    pub(crate) async fn at(pages: Router) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, pages).await.unwrap() });
        let mut chromium = Self::start().await;
        chromium.base = base;
        chromium.server = Some(server);
        chromium
    }

    /// Starts a browser for whole addresses.
    pub(crate) async fn start() -> Self {
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
        let capabilities = json!({
            "goog:chromeOptions": {
                "args": [
                    "--headless=new",
                    "--no-sandbox",
                    "--disable-dev-shm-usage",
                    "--disable-gpu",
                    "--lang=en",
                    "--window-size=1280,900",
                    format!("--user-data-dir={}", profile.path().display()),
                ],
                "binary": path("FRAGUA_TEST_CHROMIUM", "/usr/bin/chromium"),
            },
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
            base: String::new(),
            driver,
            _profile: profile,
            server: None,
        }
    }

    /// Shows pages as wide as a phone, or as wide as the window again.
    pub(crate) async fn phone(&self, is_phone: bool) {
        self.client.issue_cmd(Phone(is_phone)).await.unwrap();
    }

    pub(crate) async fn open(&self, address: &str) {
        self.client
            .goto(&format!("{}{address}", self.base))
            .await
            .unwrap();
    }

    /// Runs a script in the page and returns what it gives.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap()
    }

    /// Waits until an expression of the page is true.
    pub(crate) async fn until(&self, expression: &str) {
        let script = format!("return Boolean({expression})");
        let wait = async {
            while self.run(&script).await != json!(true) {
                tokio::task::yield_now().await;
            }
        };
        let outcome = tokio::time::timeout(std::time::Duration::from_secs(30), wait).await;
        assert!(outcome.is_ok(), "never true: {expression}");
    }

    pub(crate) async fn click(&self, css: &str) {
        self.client
            .find(Locator::Css(css))
            .await
            .unwrap()
            .click()
            .await
            .unwrap();
    }

    /// Types into a field; keys have the codes of WebDriver.
    pub(crate) async fn keys(&self, css: &str, keys: &str) {
        self.client
            .find(Locator::Css(css))
            .await
            .unwrap()
            .send_keys(keys)
            .await
            .unwrap();
    }

    /// Returns the path and the query of the page.
    pub(crate) async fn address(&self) -> String {
        self.client.current_url().await.unwrap()[url::Position::BeforePath..].to_owned()
    }

    /// Saves a picture of the page in the folder that `FRAGUA_TEST_PICTURES` names, for people to look at.
    pub(crate) async fn picture(&self, name: &str) {
        if let Ok(folder) = std::env::var("FRAGUA_TEST_PICTURES") {
            let png = self.client.screenshot().await.unwrap();
            std::fs::write(format!("{folder}/{name}.png"), png).unwrap();
        }
    }

    /// As [`Chromium::picture`], of the whole page and not only of what is in sight.
    pub(crate) async fn long_picture(&self, name: &str) {
        if let Ok(folder) = std::env::var("FRAGUA_TEST_PICTURES") {
            let taken = self.client.issue_cmd(LongPicture).await.unwrap();
            let png = taken["data"].as_str().unwrap().to_owned();
            std::fs::write(format!("{folder}/{name}.png.base64"), png).unwrap();
        }
    }

    /// Fails when the page overflows sideways or its console said anything.
    pub(crate) async fn assert_quiet(&self) {
        let console = self.client.issue_cmd(TakeConsole).await.unwrap();
        assert_eq!(console, json!([]), "the console of {}", self.address().await);
        let overflow =
            "return document.documentElement.scrollWidth > document.documentElement.clientWidth + 1";
        assert_eq!(
            self.run(overflow).await,
            json!(false),
            "{} overflows",
            self.address().await
        );
    }

    pub(crate) async fn close(self) {
        self.client.clone().close().await.unwrap();
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
