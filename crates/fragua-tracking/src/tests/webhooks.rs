use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fragua_base::{Secret, Timestamp};
use fragua_database::Database;
use fragua_database::testing::TestDatabase;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Bench, assert_invalid, assert_missing};
use crate::webhooks::{NewWebhook, WebhookUpdate, new_secret_key};
use crate::{NewVersion, Settings, Tag, Webhook, WebhookEvent, WebhookSettings, WebhookStatus};

const KEY: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";

fn settings() -> Settings {
    Settings {
        secret_key: Some(Secret::new(KEY)),
        webhooks: WebhookSettings {
            allowed_schemes: vec!["http".to_owned()],
            allow_private_addresses: true,
            retry_delay: Duration::ZERO,
            ..WebhookSettings::default()
        },
        ..Settings::default()
    }
}

fn hook(name: &str, url: &str, events: &[WebhookEvent]) -> NewWebhook {
    NewWebhook {
        name: name.to_owned(),
        url: url.to_owned(),
        events: events.to_vec(),
        ..NewWebhook::default()
    }
}

async fn webhooks_are_kept(database: Database) {
    let bench = Bench::open_with(database, settings()).await;
    let tracking = &bench.tracking;
    let events = [
        WebhookEvent::VersionCreated,
        WebhookEvent::AliasCreated,
        WebhookEvent::VersionCreated,
    ];
    let new = NewWebhook {
        description: Some("tells the forge".to_owned()),
        secret: Some(Secret::new("hammer")),
        ..hook("first", "http://127.0.0.1:1/hook", &events)
    };
    let first = tracking.create_webhook(new).await.unwrap();
    assert_eq!(first.events, events[..2]);
    let found = tracking.webhook(&first.id).await.unwrap();
    // Events come back by their names.
    let by_name = [WebhookEvent::VersionCreated, WebhookEvent::AliasCreated];
    assert_eq!(
        found,
        Webhook {
            events: by_name.to_vec(),
            ..first.clone()
        }
    );
    bench.clock.advance(Duration::from_secs(1));
    let second = hook("second", "http://127.0.0.1:1/", &[WebhookEvent::ModelCreated]);
    let second = tracking.create_webhook(second).await.unwrap();

    let page = tracking.webhooks(Some(1), None).await.unwrap();
    assert_eq!(page.items[0].name, "second");
    let page = tracking.webhooks(Some(1), page.next.as_deref()).await.unwrap();
    assert_eq!((page.items[0].name.as_str(), page.next), ("first", None));
    for limit in [0, 1_001] {
        assert_invalid(tracking.webhooks(Some(limit), None).await);
    }

    bench.clock.advance(Duration::from_secs(1));
    let change = WebhookUpdate {
        name: Some("renamed".to_owned()),
        events: Some(vec![WebhookEvent::ModelCreated]),
        status: Some(WebhookStatus::Disabled),
        ..WebhookUpdate::default()
    };
    let changed = tracking.update_webhook(&first.id, change).await.unwrap();
    let expected = Webhook {
        name: "renamed".to_owned(),
        events: vec![WebhookEvent::ModelCreated],
        status: WebhookStatus::Disabled,
        updated_at: Timestamp::from_millis(3_000),
        ..first.clone()
    };
    assert_eq!(changed, expected);
    assert_eq!(tracking.webhook(&first.id).await.unwrap(), expected);

    tracking.delete_webhook(&second.id).await.unwrap();
    assert_missing(tracking.webhook(&second.id).await);
    assert_missing(tracking.delete_webhook(&second.id).await);
    assert_missing(
        tracking
            .update_webhook(&second.id, WebhookUpdate::default())
            .await,
    );
    assert_missing(tracking.test_webhook(&second.id, None).await);
    assert_eq!(tracking.webhooks(None, None).await.unwrap().items.len(), 1);

    let long = "x".repeat(64);
    for name in ["", "-a", "a-", "a b", "ñ", &long] {
        assert_invalid(
            tracking
                .create_webhook(hook(name, "http://127.0.0.1/", &events))
                .await,
        );
    }
    for url in ["", "https://127.0.0.1/", "file:///etc/passwd", "nowhere"] {
        assert_invalid(tracking.create_webhook(hook("a", url, &events)).await);
    }
    assert_invalid(tracking.create_webhook(hook("a", "http://127.0.0.1/", &[])).await);
    let long_secret = NewWebhook {
        secret: Some(Secret::new("x".repeat(501))),
        ..hook("a", "http://127.0.0.1/", &events)
    };
    assert_invalid(tracking.create_webhook(long_secret).await);
}

fragua_database::each_engine!(webhooks: webhooks_are_kept);

/// A receiver of webhooks: it answers each request with the next of the statuses it is given, then with 200.
struct Receiver {
    url: String,
    requests: mpsc::UnboundedReceiver<(HeaderMap, String)>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Script {
    statuses: Arc<Mutex<Vec<u16>>>,
    requests: mpsc::UnboundedSender<(HeaderMap, String)>,
}

impl Receiver {
    async fn start(mut statuses: Vec<u16>) -> Self {
        statuses.reverse();
        let (sender, requests) = mpsc::unbounded_channel();
        let script = Script {
            statuses: Arc::new(Mutex::new(statuses)),
            requests: sender,
        };
        let router = Router::new().route("/hook", post(receive)).with_state(script);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            requests,
            server,
        }
    }

    async fn next(&mut self) -> (HeaderMap, Value) {
        let (headers, body) = self.requests.recv().await.unwrap();
        (headers, serde_json::from_str(&body).unwrap())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(State(script): State<Script>, headers: HeaderMap, body: String) -> Response {
    script.requests.send((headers, body)).unwrap();
    let status = script.statuses.lock().unwrap().pop().unwrap_or(200);
    let status = StatusCode::from_u16(status).unwrap();
    (status, [(header::LOCATION, "/elsewhere")], "thanks").into_response()
}

/// Delivers until it is stopped.
struct Delivery {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Delivery {
    fn start(bench: &Bench) -> Self {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(bench.tracking.deliver_webhooks(shutdown.clone()));
        Self { shutdown, task }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

async fn bench() -> (Bench, TestDatabase) {
    let database = TestDatabase::sqlite().await;
    let bench = Bench::open_with(database.database.clone(), settings()).await;
    (bench, database)
}

fn is_signed_with(secret: &str, headers: &HeaderMap, body: &str) -> bool {
    let text = |name: &str| headers[name].to_str().unwrap();
    let (id, seconds) = (text("x-mlflow-delivery-id"), text("x-mlflow-timestamp"));
    let Some(signature) = text("x-mlflow-signature").strip_prefix("v1,") else {
        return false;
    };
    let mac: Hmac<Sha256> = Mac::new_from_slice(secret.as_bytes()).unwrap();
    mac.chain_update(format!("{id}.{seconds}.{body}"))
        .verify_slice(&STANDARD.decode(signature).unwrap())
        .is_ok()
}

#[tokio::test]
async fn every_event_of_a_model_is_told() {
    let (bench, _database) = bench().await;
    let tracking = &bench.tracking;
    let mut receiver = Receiver::start(Vec::new()).await;
    let events = [
        WebhookEvent::ModelCreated,
        WebhookEvent::VersionCreated,
        WebhookEvent::VersionTagSet,
        WebhookEvent::VersionTagDeleted,
        WebhookEvent::AliasCreated,
        WebhookEvent::AliasDeleted,
    ];
    tracking
        .create_webhook(hook("all", &receiver.url, &events))
        .await
        .unwrap();
    let delivery = Delivery::start(&bench);
    tracking
        .create_model("cover", None, vec![Tag::new("team", "forest")])
        .await
        .unwrap();
    let told = |entity: &str, action: &str, data: Value| json!({"entity": entity, "action": action, "timestamp": "1970-01-01T00:00:01+00:00", "data": data});
    let (headers, body) = receiver.next().await;
    let data = json!({"name": "cover", "tags": {"team": "forest"}, "description": ""});
    assert_eq!(body, told("registered_model", "created", data));
    assert_eq!(headers[header::CONTENT_TYPE], "application/json");
    assert_eq!(headers["x-mlflow-timestamp"], "1");
    assert!(!headers.contains_key("x-mlflow-signature"), "there is no secret");

    let new = NewVersion {
        name: "cover".to_owned(),
        source: "s3://bucket/model".to_owned(),
        tags: vec![Tag::new("from", "run")],
        ..NewVersion::default()
    };
    tracking.create_version(new).await.unwrap();
    let data = json!({
        "name": "cover", "version": "1", "source": "s3://bucket/model", "run_id": null,
        "tags": {"from": "run"}, "description": null,
    });
    assert_eq!(receiver.next().await.1, told("model_version", "created", data));
    let tag = Tag::new("checked", "yes");
    tracking.set_version_tag("cover", 1, tag).await.unwrap();
    let data = json!({"name": "cover", "version": "1", "key": "checked", "value": "yes"});
    assert_eq!(receiver.next().await.1, told("model_version_tag", "set", data));
    tracking.delete_version_tag("cover", 1, "checked").await.unwrap();
    let data = json!({"name": "cover", "version": "1", "key": "checked"});
    assert_eq!(
        receiver.next().await.1,
        told("model_version_tag", "deleted", data)
    );
    tracking.set_alias("cover", "champion", 1).await.unwrap();
    let data = json!({"name": "cover", "alias": "champion", "version": "1"});
    assert_eq!(
        receiver.next().await.1,
        told("model_version_alias", "created", data)
    );
    // Nothing happens when an alias that is not there is removed, and for a model's own tags there is no event.
    tracking.delete_alias("cover", "nobody").await.unwrap();
    tracking.set_model_tag("cover", Tag::new("a", "b")).await.unwrap();
    tracking.delete_alias("cover", "champion").await.unwrap();
    let data = json!({"name": "cover", "alias": "champion"});
    assert_eq!(
        receiver.next().await.1,
        told("model_version_alias", "deleted", data)
    );
    delivery.stop().await;
}

#[tokio::test]
async fn what_happens_to_a_prompt_is_an_event_of_its_own() {
    let (bench, _database) = bench().await;
    let tracking = &bench.tracking;
    let mut receiver = Receiver::start(Vec::new()).await;
    let events = [
        WebhookEvent::ModelCreated,
        WebhookEvent::VersionCreated,
        WebhookEvent::PromptCreated,
        WebhookEvent::PromptVersionCreated,
        WebhookEvent::PromptTagSet,
        WebhookEvent::PromptTagDeleted,
    ];
    tracking
        .create_webhook(hook("prompts", &receiver.url, &events))
        .await
        .unwrap();
    let delivery = Delivery::start(&bench);
    let tags = vec![Tag::new("mlflow.prompt.is_prompt", "true"), Tag::new("team", "a")];
    tracking.create_model("hello", None, tags).await.unwrap();
    let told = receiver.next().await.1;
    assert_eq!(
        (&told["entity"], &told["action"]),
        (&json!("prompt"), &json!("created"))
    );
    assert_eq!(told["data"]["tags"], json!({"team": "a"}));
    tracking
        .set_model_tag("hello", Tag::new("team", "b"))
        .await
        .unwrap();
    let told = receiver.next().await.1;
    assert_eq!(
        (&told["entity"], &told["action"]),
        (&json!("prompt_tag"), &json!("set"))
    );
    let version = |source: &str| NewVersion {
        name: "hello".to_owned(),
        source: source.to_owned(),
        tags: vec![
            Tag::new("mlflow.prompt.is_prompt", "true"),
            Tag::new("mlflow.prompt.text", "Hello {{name}}!"),
        ],
        ..NewVersion::default()
    };
    assert_invalid(tracking.create_version(version("s3://bucket/prompt")).await);
    tracking.create_version(version("prompt-template")).await.unwrap();
    let told = receiver.next().await.1;
    assert_eq!(
        (&told["entity"], &told["action"]),
        (&json!("prompt_version"), &json!("created"))
    );
    let data = json!({
        "name": "hello", "version": "1", "template": "Hello {{name}}!", "tags": {}, "description": null,
    });
    assert_eq!(told["data"], data);
    tracking.delete_model_tag("hello", "team").await.unwrap();
    let told = receiver.next().await.1;
    assert_eq!(told["data"], json!({"name": "hello", "key": "team"}));
    delivery.stop().await;
}

#[tokio::test]
async fn a_request_is_signed_and_the_same_at_each_try() {
    let (bench, _database) = bench().await;
    let mut receiver = Receiver::start(vec![503, 429, 500, 200]).await;
    let new = NewWebhook {
        secret: Some(Secret::new("hammer and tongs")),
        ..hook("signed", &receiver.url, &[WebhookEvent::ModelCreated])
    };
    bench.tracking.create_webhook(new).await.unwrap();
    let delivery = Delivery::start(&bench);
    bench
        .tracking
        .create_model("cover", None, Vec::new())
        .await
        .unwrap();
    let (headers, body) = receiver.requests.recv().await.unwrap();
    assert!(is_signed_with("hammer and tongs", &headers, &body));
    assert!(!is_signed_with("other", &headers, &body));
    for _ in 0..3 {
        let (again, same) = receiver.requests.recv().await.unwrap();
        let id = "x-mlflow-delivery-id";
        assert_eq!((&again[id], &same), (&headers[id], &body));
        assert!(is_signed_with("hammer and tongs", &again, &same));
    }
    delivery.stop().await;
    assert!(
        receiver.requests.try_recv().is_err(),
        "it was taken at the fourth try"
    );
}

#[tokio::test]
async fn a_refusal_for_good_is_not_tried_again() {
    let (bench, _database) = bench().await;
    // A redirect is an answer and is not followed.
    let mut receiver = Receiver::start(vec![400, 302, 500, 500, 500, 500]).await;
    let new = hook("refused", &receiver.url, &[WebhookEvent::ModelCreated]);
    bench.tracking.create_webhook(new).await.unwrap();
    let disabled = NewWebhook {
        status: WebhookStatus::Disabled,
        ..hook("disabled", &receiver.url, &[WebhookEvent::ModelCreated])
    };
    bench.tracking.create_webhook(disabled).await.unwrap();
    let delivery = Delivery::start(&bench);
    // The third one is given up after its last try.
    for (name, tries) in [("one", 1), ("two", 1), ("three", 4)] {
        bench.tracking.create_model(name, None, Vec::new()).await.unwrap();
        for _ in 0..tries {
            assert_eq!(receiver.next().await.1["data"]["name"], json!(name));
        }
    }
    delivery.stop().await;
    assert!(receiver.requests.try_recv().is_err());
}

#[tokio::test]
async fn stopping_waits_for_no_retry() {
    let database = TestDatabase::sqlite().await;
    let mut settings = settings();
    settings.webhooks.retry_delay = Duration::from_secs(3_600);
    let bench = Bench::open_with(database.database.clone(), settings).await;
    let mut receiver = Receiver::start(vec![503]).await;
    let new = hook("slow", &receiver.url, &[WebhookEvent::ModelCreated]);
    bench.tracking.create_webhook(new).await.unwrap();
    let delivery = Delivery::start(&bench);
    bench
        .tracking
        .create_model("cover", None, Vec::new())
        .await
        .unwrap();
    receiver.next().await;
    delivery.stop().await;
}

#[tokio::test]
async fn a_test_tells_what_the_receiver_answered() {
    let (bench, _database) = bench().await;
    let mut receiver = Receiver::start(vec![200, 503]).await;
    let new = hook("test", &receiver.url, &[WebhookEvent::AliasCreated]);
    let webhook = bench.tracking.create_webhook(new).await.unwrap();
    let reply = bench
        .tracking
        .test_webhook(&webhook.id, None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (reply.is_success(), reply.status, reply.body.as_str()),
        (true, 200, "thanks")
    );
    let told = receiver.next().await.1;
    let data = json!({"name": "example_model", "alias": "example_alias", "version": "1"});
    assert_eq!(
        (&told["entity"], &told["data"]),
        (&json!("model_version_alias"), &data)
    );
    // One try: what is answered now is what was asked for.
    let event = Some(WebhookEvent::PromptTagSet);
    let reply = bench
        .tracking
        .test_webhook(&webhook.id, event)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((reply.is_success(), reply.status), (false, 503));
    assert_eq!(receiver.next().await.1["entity"], json!("prompt_tag"));
    assert!(receiver.requests.try_recv().is_err());

    // Bound and never listened to by anybody.
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", unused.local_addr().unwrap());
    drop(unused);
    let change = WebhookUpdate {
        url: Some(url),
        ..WebhookUpdate::default()
    };
    bench.tracking.update_webhook(&webhook.id, change).await.unwrap();
    let failure = bench
        .tracking
        .test_webhook(&webhook.id, None)
        .await
        .unwrap()
        .unwrap_err();
    assert!(failure.to_string().contains("refused"), "{failure}");
}

#[tokio::test]
async fn a_secret_is_read_after_a_restart_and_with_its_key_only() {
    let database = TestDatabase::sqlite().await;
    let bench = Bench::open_with(database.database.clone(), settings()).await;
    let mut receiver = Receiver::start(Vec::new()).await;
    let new = NewWebhook {
        secret: Some(Secret::new("hammer")),
        ..hook("kept", &receiver.url, &[WebhookEvent::ModelCreated])
    };
    let webhook = bench.tracking.create_webhook(new).await.unwrap();
    drop(bench);

    let bench = Bench::open_with(database.database.clone(), settings()).await;
    bench
        .tracking
        .test_webhook(&webhook.id, None)
        .await
        .unwrap()
        .unwrap();
    let (headers, body) = receiver.requests.recv().await.unwrap();
    assert!(is_signed_with("hammer", &headers, &body));
    drop(bench);

    let other = Settings {
        secret_key: Some(new_secret_key()),
        ..settings()
    };
    let bench = Bench::open_with(database.database.clone(), other).await;
    assert_eq!(bench.tracking.webhook(&webhook.id).await.unwrap().name, "kept");
    let failure = bench
        .tracking
        .test_webhook(&webhook.id, None)
        .await
        .unwrap()
        .unwrap_err();
    assert!(
        failure
            .to_string()
            .contains("MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"),
        "{failure}"
    );
    // A secret that is set again can be read again, and one that is taken away needs no reading.
    for (secret, signed) in [("tongs", true), ("", false)] {
        let change = WebhookUpdate {
            secret: Some(Secret::new(secret)),
            ..WebhookUpdate::default()
        };
        bench.tracking.update_webhook(&webhook.id, change).await.unwrap();
        bench
            .tracking
            .test_webhook(&webhook.id, None)
            .await
            .unwrap()
            .unwrap();
        let (headers, body) = receiver.requests.recv().await.unwrap();
        assert_eq!(headers.contains_key("x-mlflow-signature"), signed);
        assert!(!signed || is_signed_with("tongs", &headers, &body));
    }
}

/// What was allowed when the webhook was made may not be allowed any more.
#[tokio::test]
async fn an_address_is_checked_again_when_it_is_connected_to() {
    let database = TestDatabase::sqlite().await;
    let bench = Bench::open_with(database.database.clone(), settings()).await;
    let mut receiver = Receiver::start(Vec::new()).await;
    let by_name = receiver.url.replace("127.0.0.1", "localhost");
    let mut ids = Vec::new();
    for url in [receiver.url.as_str(), by_name.as_str()] {
        let new = hook("local", url, &[WebhookEvent::ModelCreated]);
        ids.push(bench.tracking.create_webhook(new).await.unwrap().id);
    }
    let mut guarded = settings();
    guarded.webhooks.allow_private_addresses = false;
    let bench = Bench::open_with(database.database.clone(), guarded).await;
    for id in &ids {
        let failure = bench.tracking.test_webhook(id, None).await.unwrap().unwrap_err();
        let failure = failure.to_string();
        assert!(
            failure.contains("must not resolve to a non-public IP address"),
            "{failure}"
        );
    }
    let refused = hook("new", &by_name, &[WebhookEvent::ModelCreated]);
    assert_invalid(bench.tracking.create_webhook(refused).await);
    assert!(receiver.requests.try_recv().is_err());
}
