use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::{StatusCode, header};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::support::{Role, broken, forest, record, settings, text_forest};
use crate::source::memory::Registry;
use crate::{Followed, ProblemKind, Settings};

#[tokio::test]
async fn without_a_model_everything_says_so() {
    let role = Role::new(settings());
    let loading = role.post_json("/predict", &json!({})).await;
    assert_eq!(loading.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        loading.text,
        r#"{"detail":"models:/forest@champion is being loaded"}"#
    );

    assert_eq!(role.serving.follow_alias().await, Followed::Settled);
    role.serving.settled().await;
    let reason = "the registry has no model forest with the alias champion; train one, then set the alias";
    for path in ["/predict", "/invocations"] {
        let answered = role.post_json(path, &json!({})).await;
        assert_eq!(answered.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(answered.json(), json!({ "detail": reason }), "{path}");
        assert_eq!(answered.header(header::RETRY_AFTER), "1", "{path}");
    }
    let health = role.get("/health").await;
    assert_eq!(health.status, StatusCode::OK);
    assert_eq!(health.json()["problem"]["kind"], "not_registered");
    assert_eq!(health.json()["problem"]["message"], reason);
    let document = role.get("/openapi.json").await;
    assert_eq!(document.status, StatusCode::OK);
    assert!(
        document.json()["info"]["description"]
            .as_str()
            .unwrap()
            .contains(reason)
    );
    assert_eq!(role.get("/docs").await.status, StatusCode::OK);
    let page = role.get("/metrics").await.text;
    assert!(page.contains("fragua_serving_ready 0\n"));
    let line = "fragua_serving_requests_total{model=\"forest\",version=\"\",route=\"invocations\",status=\"503\"} 1\n";
    assert!(page.contains(line), "{page}");
}

#[tokio::test]
async fn a_served_version_tells_about_itself() {
    let role = Role::ready().await;
    let model = role.serving.current().unwrap();
    assert_eq!((model.name.as_str(), model.version.as_str()), ("forest", "3"));
    assert_eq!(model.run_id.as_deref(), Some("run3"));
    assert_eq!(model.metrics.get("of_run3"), Some(&0.5));
    let names: Vec<&str> = model
        .features
        .iter()
        .map(|feature| feature.name.as_str())
        .collect();
    assert_eq!(names, ["Elevation", "Slope", "Area"]);
    assert_eq!(model.features[2].categories, ["Cache", "Neota", "Rawah"]);
    let range = model.features[0].range.unwrap();
    assert!(range.min < range.median && range.median < range.max, "{range:?}");
    let profile = model.profile.as_ref().unwrap();
    let profiled: Vec<&str> = profile
        .features
        .iter()
        .map(|feature| feature.name.as_str())
        .collect();
    assert_eq!(profiled, names);
    let row = model.check_record(&model.example()).unwrap();
    let predictions = role.serving.predict(vec![row; 40]).await.unwrap();
    assert_eq!(predictions.labels.len(), 40);
    assert_eq!(predictions.probabilities(39).len(), model.labels.len());
    assert!(predictions.probabilities(40).is_empty());
    let page = role.serving.metrics_page();
    let line = "fragua_serving_rows_total{model=\"forest\",version=\"3\",route=\"app\"} 40\n";
    assert!(page.contains(line), "{page}");
}

#[tokio::test]
async fn a_version_that_cannot_be_served_leaves_the_old_one_and_says_so() {
    let role = Role::ready().await;
    role.registry.put("4", broken());
    role.registry.point(Some("4"));
    role.clock.advance(Duration::from_secs(60));
    assert_eq!(role.serving.follow_alias().await, Followed::Settled);
    let model = role.serving.current().unwrap();
    assert_eq!(model.version, "3");
    let problem = role.serving.state().problem.clone().unwrap();
    assert_eq!(problem.kind, ProblemKind::Unservable);
    assert_eq!(problem.version.as_deref(), Some("4"));
    assert!(
        problem
            .message
            .starts_with("version 4 of forest cannot be served: "),
        "{}",
        problem.message
    );
    assert!(
        problem.message.ends_with("; version 3 keeps serving"),
        "{}",
        problem.message
    );
    let health = role.get("/health/ready").await;
    assert_eq!(health.status, StatusCode::OK);
    assert_eq!(health.json()["problem"]["kind"], "cannot_be_served");
    assert_eq!(health.json()["problem"]["since"], "2025-04-02T00:01:00Z");

    // It is not read again, and the problem goes when the alias does.
    let reads = role.registry.reads();
    role.serving.follow_alias().await;
    assert_eq!(role.registry.reads(), reads);
    role.registry.point(Some("3"));
    role.serving.follow_alias().await;
    assert_eq!(role.serving.state().problem, None);
    assert_eq!(role.registry.reads(), reads);
}

#[tokio::test]
async fn each_fault_of_a_folder_has_its_reason() {
    let check = async |spoil: &dyn Fn(&mut crate::source::memory::Files), needle: &str| {
        let role = Role::new(settings());
        let mut files = forest();
        spoil(&mut files);
        role.registry.put("1", files);
        role.registry.point(Some("1"));
        assert_eq!(role.serving.follow_alias().await, Followed::Settled);
        let answered = role.post_json("/predict", &json!({})).await;
        assert_eq!(answered.status, StatusCode::SERVICE_UNAVAILABLE, "{needle}");
        let detail = answered.json()["detail"].as_str().unwrap().to_owned();
        assert!(
            detail.starts_with("version 1 of forest cannot be served: "),
            "{detail}"
        );
        assert!(detail.contains(needle), "{detail}");
    };
    let text = |files: &crate::source::memory::Files| String::from_utf8(files["MLmodel"].clone()).unwrap();
    check(&|files| drop(files.remove("MLmodel")), "no file MLmodel").await;
    check(
        &|files| drop(files.insert("MLmodel".to_owned(), vec![0xff])),
        "not UTF-8",
    )
    .await;
    check(
        &|files| drop(files.remove("input_example.json")),
        "no file input_example.json",
    )
    .await;
    check(
        &|files| {
            let foreign = text(files)
                .replace("\"fragua\"", "\"sklearn\"")
                .replace("\"onnx\":", "\"keras\":");
            files.insert("MLmodel".to_owned(), foreign.into_bytes());
        },
        "a pickle is never opened",
    )
    .await;
    check(
        &|files| {
            let renamed = text(files).replace("Slope", "Incline");
            files.insert("MLmodel".to_owned(), renamed.into_bytes());
        },
        "lacks columns that its pipeline takes: Slope",
    )
    .await;
    check(
        &|files| {
            let example = br#"{"columns":["Elevation"],"data":[["high"]]}"#;
            files.insert("input_example.json".to_owned(), example.to_vec());
        },
        "its example row does not fit its signature (Elevation: Input should be a valid integer",
    )
    .await;
    check(
        &|files| {
            let key = "\"example_answer\":{\"label\":";
            let other = text(files).replace(key, &format!("{key}9"));
            files.insert("MLmodel".to_owned(), other.into_bytes());
        },
        "when it was saved, or with other probabilities",
    )
    .await;
}

#[tokio::test]
async fn an_onnx_model_from_elsewhere_answers_like_the_pipeline_it_was_made_of() {
    let ours = Role::ready().await;
    let theirs = Role::new(settings());
    let mut files = forest();
    let manifest = String::from_utf8(files["MLmodel"].clone()).unwrap();
    let foreign = manifest.replace("\"fragua\"", "\"another\"");
    files.insert("MLmodel".to_owned(), foreign.into_bytes());
    files.remove("pipeline.fragua").unwrap();
    theirs.registry.put("3", files);
    theirs.registry.point(Some("3"));
    theirs.serving.follow_alias().await;
    assert_eq!(theirs.serving.state().problem, None);
    let frame =
        json!({ "dataframe_records": [record(), { "Elevation": 2500, "Slope": 1.0, "Area": "Nowhere" }] });
    let expected = ours.post_json("/invocations", &frame).await.json();
    let found = theirs.post_json("/invocations", &frame).await.json();
    for (expected, found) in [0, 1].map(|row| (&expected["predictions"][row], &found["predictions"][row])) {
        assert_eq!(expected["label"], found["label"]);
        for (name, probability) in expected.as_object().unwrap() {
            let difference = probability.as_f64().unwrap() - found[name].as_f64().unwrap();
            assert!(difference.abs() < 1e-6, "{name}: {expected} {found}");
        }
    }
    let refused = theirs.post_json("/predict?explain=1", &record()).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.text.contains("cannot be explained"), "{}", refused.text);
}

#[tokio::test]
async fn a_model_over_the_limit_is_not_read() {
    let role = Role::new(Settings {
        max_model_bytes: 100,
        ..settings()
    });
    role.registry.put("1", forest());
    role.registry.point(Some("1"));
    role.serving.follow_alias().await;
    let state = role.serving.state();
    assert!(
        state.explanation().unwrap().contains("larger than 100 bytes"),
        "{state:?}"
    );
}

#[tokio::test]
async fn an_alias_that_is_removed_ends_serving() {
    let role = Role::ready().await;
    role.registry.point(None);
    role.serving.follow_alias().await;
    assert!(role.serving.current().is_none());
    assert_eq!(
        role.get("/health/ready").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test]
async fn a_registry_that_is_down_leaves_the_old_version() {
    let role = Role::ready().await;
    role.registry.set_down(true);
    assert_eq!(role.serving.follow_alias().await, Followed::TryAgain);
    assert_eq!(role.serving.current().unwrap().version, "3");
    let state = role.serving.state();
    assert!(
        state
            .explanation()
            .unwrap()
            .contains("connection refused; version 3 keeps serving"),
        "{state:?}"
    );
    role.registry.set_down(false);
    assert_eq!(role.serving.follow_alias().await, Followed::Settled);
    assert_eq!(role.serving.state().problem, None);
}

fn often() -> Settings {
    Settings {
        poll_every: Some(Duration::from_millis(5)),
        ..settings()
    }
}

#[tokio::test]
async fn a_registry_that_was_down_is_asked_again() {
    let role = Role::new(often());
    role.registry.put("3", forest());
    role.registry.point(Some("3"));
    role.registry.set_down(true);
    let shutdown = CancellationToken::new();
    let (serving, stop) = (role.serving.clone(), shutdown.clone());
    let running = tokio::spawn(async move { serving.run(stop).await });
    let mut states = role.serving.watch();
    states.wait_for(|state| state.problem.is_some()).await.unwrap();
    role.registry.set_down(false);
    states.wait_for(|state| state.model.is_some()).await.unwrap();
    shutdown.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_registry_that_announces_nothing_is_polled() {
    let role = Role::over(Registry::silent(), often());
    role.registry.put("3", forest());
    let shutdown = CancellationToken::new();
    let (serving, stop) = (role.serving.clone(), shutdown.clone());
    let running = tokio::spawn(async move { serving.run(stop).await });
    let mut states = role.serving.watch();
    states.wait_for(|state| state.problem.is_some()).await.unwrap();
    role.registry.point(Some("3"));
    states.wait_for(|state| state.model.is_some()).await.unwrap();
    shutdown.cancel();
    running.await.unwrap();
}

/// Clients ask without a pause while the alias moves to and fro: each answer is one version's, and none fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_fails_while_versions_change() {
    let role = Role::ready().await;
    role.registry.put("4", text_forest());
    role.registry.put("5", broken());
    let shutdown = CancellationToken::new();
    let (serving, stop) = (role.serving.clone(), shutdown.clone());
    let running = tokio::spawn(async move { serving.run(stop).await });
    let role = std::sync::Arc::new(role);
    let clients = (0..4).map(|_| {
        let (role, stop) = (role.clone(), shutdown.clone());
        tokio::spawn(async move {
            let mut seen = BTreeSet::new();
            let mut answers = 0_usize;
            while !stop.is_cancelled() {
                let record = json!({ "Elevation": 2990, "Slope": 3.5, "Area": "Rawah" });
                let answered = role.post_json("/predict", &record).await;
                assert_eq!(answered.status, StatusCode::OK, "{}", answered.text);
                seen.insert(answered.text);
                answers += 1;
                tokio::task::yield_now().await;
            }
            (seen, answers)
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut states = role.serving.watch();
    for _ in 0..20 {
        for version in ["4", "5", "3"] {
            role.registry.point(Some(version));
            let reached = |state: &std::sync::Arc<crate::State>| match version {
                "5" => state.problem.is_some(),
                _ => {
                    state.model.as_ref().is_some_and(|model| model.version == version)
                        && state.problem.is_none()
                }
            };
            states.wait_for(reached).await.unwrap();
        }
    }
    shutdown.cancel();
    running.await.unwrap();
    let mut seen = BTreeSet::new();
    for client in clients {
        let (answers, count) = client.await.unwrap();
        assert!(count > 0);
        seen.extend(answers);
    }
    let expected = [
        r#"{"Prediction":"\"fir\"","Model Version":4}"#,
        r#"{"Prediction":7,"Model Version":3}"#,
    ];
    assert!(
        seen.iter().all(|answer| expected.contains(&answer.as_str())),
        "{seen:?}"
    );
}
