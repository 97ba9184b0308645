//! Keys in front of the routes, on every engine.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use fragua_auth::{Auth, KeyScope, NewServingKey};
use fragua_database::Database;
use serde_json::{Value, json};

use super::support::{Answered, Role, forest, record, settings};
use crate::RequestId;

/// A role that asks for keys, and keys: for its model, for another one, for all.
struct Guarded {
    role: Role,
    auth: Auth,
    own: String,
    foreign: String,
    all: String,
}

impl Guarded {
    async fn new(database: Database) -> Self {
        let role = Role::with_database(settings(), database.clone()).await;
        role.registry.put("3", forest());
        role.registry.point(Some("3"));
        role.serving.follow_alias().await;
        let auth = Auth::open(database, role.clock.clone()).await.unwrap();
        let key = async |scope| {
            let new = NewServingKey {
                name: "orders".to_owned(),
                scope,
                lifetime: None,
            };
            let (_, key) = auth.create_serving_key(new).await.unwrap();
            key.expose().to_owned()
        };
        let only = |name: &str| KeyScope::Models([name.to_owned()].into());
        Self {
            own: key(only("forest")).await,
            foreign: key(only("birch")).await,
            all: key(KeyScope::AllModels).await,
            role: role.requiring_keys(auth.clone()),
            auth,
        }
    }

    async fn ask(&self, asked: &Asked, key: Option<&str>) -> Answered {
        let authorization = key.map(|key| (header::AUTHORIZATION.as_str(), format!("Bearer {key}")));
        self.ask_with(asked, authorization).await
    }

    async fn ask_with(&self, asked: &Asked, header: Option<(&str, String)>) -> Answered {
        let mut request = Request::builder()
            .method(asked.method)
            .uri(&asked.path)
            .header("content-type", asked.content_type);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        self.role
            .send(request.body(Body::from(asked.body.clone())).unwrap())
            .await
    }
}

struct Asked {
    method: &'static str,
    path: String,
    content_type: &'static str,
    body: String,
}

fn post(path: &str, body: &Value) -> Asked {
    Asked {
        method: "POST",
        path: path.to_owned(),
        content_type: "application/json",
        body: body.to_string(),
    }
}

fn get(path: &str) -> Asked {
    Asked {
        method: "GET",
        body: String::new(),
        ..post(path, &Value::Null)
    }
}

fn batch(path: &str) -> Asked {
    Asked {
        content_type: "text/csv",
        body: "Elevation,Slope,Area\n1900,3.5,Rawah\n".to_owned(),
        ..post(path, &Value::Null)
    }
}

/// Each protocol, with the place of the words in its errors.
fn every_protocol() -> Vec<(Asked, &'static str)> {
    let frame = json!({ "dataframe_records": [record()] });
    let tensors = json!({ "inputs": [
        { "name": "Elevation", "shape": [1], "datatype": "INT64", "data": [1900] },
        { "name": "Slope", "shape": [1], "datatype": "FP64", "data": [3.5] },
        { "name": "Area", "shape": [1], "datatype": "BYTES", "data": ["Rawah"] },
    ] });
    let nothing = json!({});
    vec![
        (post("/predict", &record()), "/detail"),
        (post("/models/forest/predict", &record()), "/detail"),
        (post("/models/forest@champion/predict", &record()), "/detail"),
        (post("/models/forest%40champion/predict", &record()), "/detail"),
        (post("/models/f%6Frest/versions/3/predict", &record()), "/detail"),
        (post("/invocations", &frame), "/message"),
        (post("/models/forest/invocations", &frame), "/message"),
        (
            post("/models/forest/versions/latest/invocations", &frame),
            "/message",
        ),
        (post("/v2/models/forest/infer", &tensors), "/error"),
        (post("/v2/models/forest/versions/3/infer", &tensors), "/error"),
        (get("/v2/models/forest"), "/error"),
        (get("/v2/models/forest@champion/ready"), "/error"),
        (post("/v2/repository/models/forest/load", &nothing), "/error"),
        (batch("/batch"), "/detail"),
        (batch("/batch?model=forest/3"), "/detail"),
        (
            batch("/batch?model=birch&model=models:/forest@champion"),
            "/detail",
        ),
        (get("/models/forest"), "/detail"),
        (get("/models/forest/deployment"), "/detail"),
        (get("/predictions?model=forest"), "/detail"),
    ]
}

async fn every_protocol_asks_for_a_key_of_its_model(database: Database) {
    let guarded = Guarded::new(database).await;
    let said = |answered: &Answered, place: &str| -> String {
        let words = answered.json().pointer(place).cloned();
        words
            .and_then(|words| words.as_str().map(str::to_owned))
            .unwrap_or_else(|| panic!("{place} is not in {}", answered.text))
    };
    for (asked, place) in every_protocol() {
        let path = &asked.path;
        let refused = guarded.ask(&asked, None).await;
        assert_eq!(
            refused.status,
            StatusCode::UNAUTHORIZED,
            "{path}: {}",
            refused.text
        );
        assert!(refused.header(header::WWW_AUTHENTICATE).starts_with("Bearer"));
        assert!(
            said(&refused, place).contains("Authorization: Bearer frk_"),
            "{path}"
        );

        let cut = &guarded.own[..guarded.own.len() - 1];
        let refused = guarded.ask(&asked, Some(cut)).await;
        assert_eq!(
            refused.status,
            StatusCode::UNAUTHORIZED,
            "{path}: {}",
            refused.text
        );
        assert!(said(&refused, place).contains("not known here"), "{path}");

        let refused = guarded.ask(&asked, Some(&guarded.foreign)).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}: {}", refused.text);
        let words = said(&refused, place);
        assert!(
            words.contains("is not for the model \"forest\""),
            "{path}: {words}"
        );
        assert!(!words.contains(&guarded.foreign), "{path}: {words}");

        for key in [&guarded.own, &guarded.all] {
            let answered = guarded.ask(&asked, Some(key)).await;
            assert_eq!(answered.status, StatusCode::OK, "{path}: {}", answered.text);
        }
        let answered = guarded
            .ask_with(&asked, Some(("x-api-key", guarded.own.clone())))
            .await;
        assert_eq!(answered.status, StatusCode::OK, "{path}: {}", answered.text);
    }
    let mlflow = guarded.ask(&post("/invocations", &json!({})), None).await;
    assert_eq!(mlflow.json()["error_code"], "UNAUTHENTICATED");
    let mlflow = guarded
        .ask(&post("/invocations", &json!({})), Some(&guarded.foreign))
        .await;
    assert_eq!(mlflow.json()["error_code"], "PERMISSION_DENIED");
    // Whether a model outside of the scope is there is not told.
    let absent = guarded
        .ask(&post("/models/oak/predict", &record()), Some(&guarded.own))
        .await;
    assert_eq!(absent.status, StatusCode::FORBIDDEN);
    let absent = guarded
        .ask(&post("/models/Forest/predict", &record()), Some(&guarded.own))
        .await;
    assert_eq!(absent.status, StatusCode::FORBIDDEN);
}

async fn refusals_are_counted(database: Database) {
    let guarded = Guarded::new(database).await;
    for asked in [
        post("/predict", &record()),
        get("/models/forest"),
        batch("/batch"),
    ] {
        guarded.ask(&asked, None).await;
        guarded.ask(&asked, Some(&guarded.foreign)).await;
        guarded.ask(&asked, Some(&guarded.own)).await;
    }
    let page = guarded.ask(&get("/metrics"), None).await.text;
    for (status, refused) in [(401, 3), (403, 3), (503, 0)] {
        let sample = format!("fragua_serving_key_refusals_total{{status=\"{status}\"}} {refused}\n");
        assert!(page.contains(&sample), "{sample} is not in {page}");
    }
}

async fn what_tells_of_all_models_tells_of_those_of_the_key(database: Database) {
    let guarded = Guarded::new(database).await;
    let log = guarded.role.serving.log().unwrap();
    let answered = guarded
        .ask(&post("/predict", &record()), Some(&guarded.own))
        .await;
    let id = answered.headers["x-request-id"].to_str().unwrap().to_owned();
    log.flush().await;
    let index = post("/v2/repository/index", &json!({}));
    for (key, names, logged) in [
        (&guarded.own, vec!["forest"], 1),
        (&guarded.foreign, vec![], 0),
        (&guarded.all, vec!["forest"], 1),
    ] {
        let listed = guarded.ask(&get("/models"), Some(key)).await.json();
        let uris = listed["models"].as_array().unwrap().iter();
        let uris: Vec<&str> = uris.map(|model| model["model_uri"].as_str().unwrap()).collect();
        let expected: Vec<String> = names
            .iter()
            .map(|name| format!("models:/{name}@champion"))
            .collect();
        assert_eq!(uris, expected);
        let index = guarded.ask(&index, Some(key)).await.json();
        let found: Vec<&str> = index
            .as_array()
            .unwrap()
            .iter()
            .map(|model| model["name"].as_str().unwrap())
            .collect();
        assert_eq!(found, names);
        let kept = guarded.ask(&get("/predictions"), Some(key)).await.json();
        assert_eq!(kept["predictions"].as_array().unwrap().len(), logged, "{kept}");
    }
    let feedback = json!({ "request_id": id, "label": 2 });
    for asked in [
        get(&format!("/predictions/{id}")),
        get(&format!("/predictions/{id}/lineage")),
        post("/feedback", &feedback),
    ] {
        for (key, status) in [
            (None, StatusCode::UNAUTHORIZED),
            (Some(&guarded.foreign), StatusCode::FORBIDDEN),
        ] {
            let refused = guarded.ask(&asked, key.map(String::as_str)).await;
            assert_eq!(refused.status, status, "{}: {}", asked.path, refused.text);
        }
    }
    let told = async || {
        let rows = log.prediction(&RequestId::parse(&id).unwrap()).await.unwrap();
        rows[0].feedback.clone()
    };
    assert_eq!(told().await, None, "the other key told nothing");
    let answered = guarded
        .ask(&post("/feedback", &feedback), Some(&guarded.own))
        .await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text);
    assert_eq!(told().await.unwrap().label, json!(2));
}

async fn a_key_that_was_revoked_opens_nothing_at_once(database: Database) {
    let guarded = Guarded::new(database).await;
    let asked = post("/predict", &record());
    assert_eq!(
        guarded.ask(&asked, Some(&guarded.own)).await.status,
        StatusCode::OK
    );
    let key = guarded.auth.check_serving_key(&guarded.own).await.unwrap();
    guarded.auth.revoke_serving_key(&key.id).await.unwrap();
    let refused = guarded.ask(&asked, Some(&guarded.own)).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let expected = format!("the API key {} was revoked at ", key.id);
    assert!(refused.text.contains(&expected), "{}", refused.text);
    // Who holds the façade, as the app does, is not asked.
    let serving = &guarded.role.serving;
    let model = serving.current().unwrap();
    let row = model.check_record(record().as_object().unwrap()).unwrap();
    let endpoint = serving.default_endpoint();
    assert!(serving.predict_for_app(endpoint, model, vec![row]).await.is_ok());
}

/// The routes of no single model; each filters by itself, as the test above shows.
const OF_ALL_MODELS: [&str; 4] = ["/models", "/predictions", "/v2/repository/index", "/feedback"];

async fn the_document_tells_which_routes_need_a_key(database: Database) {
    let guarded = Guarded::new(database).await;
    for path in [
        "/health",
        "/health/ready",
        "/ping",
        "/version",
        "/metrics",
        "/docs",
        "/docs/swagger-ui.css",
        "/openapi.json",
    ] {
        let answered = guarded.ask(&get(path), None).await;
        assert_eq!(answered.status, StatusCode::OK, "{path}");
    }
    let document = guarded.ask(&get("/openapi.json"), None).await.json();
    assert_eq!(
        document["components"]["securitySchemes"]["bearer"]["scheme"],
        "bearer"
    );
    assert_eq!(
        document["components"]["securitySchemes"]["header"]["name"],
        "X-API-Key"
    );
    assert_eq!(document["security"], json!([{ "bearer": [] }, { "header": [] }]));
    assert!(document["components"]["schemas"]["Forest"].is_object());
    for (path, operations) in document["paths"].as_object().unwrap() {
        let address = path
            .replace("{model}", "forest")
            .replace("{version}", "3")
            .replace("{request_id}", "one");
        for (method, operation) in operations.as_object().unwrap() {
            let asked = Asked {
                method: ["GET", "POST", "PUT"]
                    .into_iter()
                    .find(|name| name.eq_ignore_ascii_case(method))
                    .unwrap(),
                ..post(&address, &json!({}))
            };
            let answered = guarded.ask(&asked, None).await;
            let is_open = operation["security"] == json!([]);
            let is_refused = answered.status == StatusCode::UNAUTHORIZED;
            assert_eq!(is_refused, !is_open, "{method} {path}: {}", answered.text);
            assert_eq!(
                operation["responses"]["401"].is_object(),
                !is_open,
                "{method} {path}"
            );
            if is_open || path.contains("{request_id}") || OF_ALL_MODELS.contains(&path.as_str()) {
                continue;
            }
            let answered = guarded.ask(&asked, Some(&guarded.foreign)).await;
            let text = &answered.text;
            assert_eq!(answered.status, StatusCode::FORBIDDEN, "{method} {path}: {text}");
        }
    }
    let open = Role::ready().await.get("/openapi.json").await.json();
    assert!(open.get("security").is_none(), "no key is required there");
    assert!(open["components"].get("securitySchemes").is_none());
}

fragua_database::each_engine!(
    keys: every_protocol_asks_for_a_key_of_its_model,
    refusals_are_counted,
    what_tells_of_all_models_tells_of_those_of_the_key,
    a_key_that_was_revoked_opens_nothing_at_once,
    the_document_tells_which_routes_need_a_key,
);
