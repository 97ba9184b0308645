use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use fragua_auth::Auth;
use fragua_base::{ManualClock, Timestamp};
use fragua_database::Database;
use serde_json::{Value, json};
use tower::ServiceExt as _;

pub(super) use super::models::{broken, forest, number_forest, text_forest};
use crate::source::memory::Registry;
use crate::{ModelSource, Serving, Settings, api};

/// A role over a registry in memory.
pub(super) struct Role {
    pub(super) registry: Registry,
    pub(super) serving: Serving,
    pub(super) clock: Arc<ManualClock>,
    router: Router,
}

pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answered {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(super) fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A good record of the forest.
pub(super) fn record() -> Value {
    json!({ "Elevation": 1900, "Slope": 3.5, "Area": "Rawah" })
}

pub(super) fn settings() -> Settings {
    Settings {
        model: "forest".to_owned(),
        body_timeout: Duration::from_secs(5),
        ..Settings::default()
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_743_552_000_000)))
}

impl Role {
    pub(super) fn new(settings: Settings) -> Self {
        Self::over(Registry::new(), settings)
    }

    pub(super) fn over(registry: Registry, settings: Settings) -> Self {
        let clock = clock();
        let source = ModelSource::Memory(registry.clone());
        let serving = Serving::open(source, settings, clock.clone()).unwrap();
        Self::of(registry, serving, clock)
    }

    /// A role that keeps deployments and predictions.
    pub(super) async fn with_database(settings: Settings, database: Database) -> Self {
        Self::over_database(Registry::new(), settings, database).await
    }

    pub(super) async fn over_database(registry: Registry, settings: Settings, database: Database) -> Self {
        let clock = clock();
        let source = ModelSource::Memory(registry.clone());
        let serving = Serving::open_with(source, database, settings, clock.clone()).await;
        Self::of(registry, serving.unwrap(), clock)
    }

    fn of(registry: Registry, serving: Serving, clock: Arc<ManualClock>) -> Self {
        Self {
            router: api::router(serving.clone()),
            registry,
            serving,
            clock,
        }
    }

    /// The role, where its routes ask for a key that `auth` knows.
    pub(super) fn requiring_keys(self, auth: Auth) -> Self {
        Self::of(self.registry, self.serving.requiring_keys(auth), self.clock)
    }

    /// A role that answers with version 3 of the forest.
    pub(super) async fn ready() -> Self {
        Self::ready_with(settings()).await
    }

    pub(super) async fn ready_with(settings: Settings) -> Self {
        let role = Self::new(settings);
        role.registry.put("3", forest());
        role.registry.point(Some("3"));
        role.serving.follow_alias().await;
        role
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answered {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Answered {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    pub(super) async fn send_for_bytes(&self, request: Request<Body>) -> Vec<u8> {
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await;
        bytes.unwrap().into()
    }

    pub(super) async fn get(&self, path: &str) -> Answered {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(super) async fn post(&self, path: &str, content_type: &str, body: impl Into<Body>) -> Answered {
        let request = Request::post(path).header(header::CONTENT_TYPE, content_type);
        self.send(request.body(body.into()).unwrap()).await
    }

    pub(super) async fn post_json(&self, path: &str, body: &Value) -> Answered {
        self.post(path, "application/json", body.to_string()).await
    }
}
