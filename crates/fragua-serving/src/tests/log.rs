//! What is remembered of predictions, on every engine.

use std::time::Duration;

use fragua_database::Database;
use fragua_learn::profile::ValueProfile;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::support::{Role, forest, record, settings};
use crate::{Figures, LogQuery, LogSettings, RequestId, Settings, Severity};

async fn role(database: Database) -> Role {
    let mut settings = settings();
    settings.log = LogSettings {
        drift_minimum_rows: 50,
        ..LogSettings::default()
    };
    role_with(database, settings).await
}

async fn role_with(database: Database, settings: Settings) -> Role {
    let role = Role::with_database(settings, database).await;
    role.registry.put("3", forest());
    role.registry.point(Some("3"));
    role.serving.follow_alias().await;
    role
}

/// Predicts and returns the id of the request.
async fn ask(role: &Role, record: &Value) -> RequestId {
    let answered = role.post_json("/predict", record).await;
    RequestId::parse(answered.headers["x-request-id"].to_str().unwrap()).unwrap()
}

async fn a_prediction_is_kept_and_its_truth_told(database: Database) {
    let role = role(database).await;
    let log = role.serving.log().unwrap();
    let request_id = ask(&role, &record()).await;
    log.flush().await;
    let kept = log.prediction(&request_id).await.unwrap();
    let [logged] = kept.as_slice() else {
        panic!("{kept:?}")
    };
    assert_eq!(Value::Object(logged.inputs.clone()), record());
    assert_eq!(logged.prediction, json!(1));
    assert_eq!((logged.model.as_str(), logged.version.as_str()), ("forest", "3"));
    assert_eq!(
        (logged.role.as_str(), logged.source.as_str()),
        ("live", "predict")
    );
    assert_eq!(logged.run_id.as_deref(), Some("run3"));
    assert_eq!(logged.probabilities.len(), 3);
    assert_eq!(logged.feedback, None);

    let wrong = log.give_feedback(&request_id, 0, json!("pine"), None).await;
    assert!(wrong.unwrap_err().to_string().contains("like the prediction 1"));
    let absent = log.give_feedback(&request_id, 7, json!(2), None).await;
    assert!(absent.unwrap_err().to_string().contains("row 7"));
    log.give_feedback(&request_id, 0, json!(2), Some("seen from afar".to_owned()))
        .await
        .unwrap();
    let told = log.give_feedback(&request_id, 0, json!(7), None).await.unwrap();
    assert_eq!(told.feedback.unwrap().label, json!(7));
    let kept = log.prediction(&request_id).await.unwrap();
    assert_eq!(kept[0].feedback.as_ref().unwrap().label, json!(7));
    let judged = |has_feedback| LogQuery {
        has_feedback: Some(has_feedback),
        ..LogQuery::default()
    };
    assert_eq!(log.predictions(&judged(true)).await.unwrap().items, kept);
    assert_eq!(log.predictions(&judged(false)).await.unwrap().items, []);
}

async fn a_request_of_many_rows_keeps_some_and_an_id_sent_twice_counts_once(database: Database) {
    let role = role(database).await;
    let log = role.serving.log().unwrap();
    let frame = json!({ "dataframe_records": vec![record(); 200] });
    for _ in 0..2 {
        let request = axum::http::Request::post("/invocations")
            .header("content-type", "application/json")
            .header("x-request-id", "order-1")
            .body(axum::body::Body::from(frame.to_string()))
            .unwrap();
        assert_eq!(role.send(request).await.headers["x-request-id"], "order-1");
    }
    log.flush().await;
    let kept = log
        .prediction(&RequestId::parse("order-1").unwrap())
        .await
        .unwrap();
    let rows: Vec<u32> = kept.iter().map(|logged| logged.row).collect();
    assert_eq!(rows, (0..20).map(|place| place * 10).collect::<Vec<u32>>());
    let page = role.get("/metrics").await.text;
    assert!(
        page.contains("fragua_serving_log_rows_total{outcome=\"left_out\"} 360\n"),
        "{page}"
    );
}

async fn pages_are_newest_first_and_whole(database: Database) {
    let role = role(database).await;
    let log = role.serving.log().unwrap();
    let mut asked = Vec::new();
    for _ in 0..7 {
        asked.push(ask(&role, &record()).await.to_string());
    }
    log.flush().await;
    asked.reverse();
    let mut query = LogQuery {
        model: Some("forest".to_owned()),
        limit: Some(3),
        ..LogQuery::default()
    };
    let mut found = Vec::new();
    loop {
        let page = log.predictions(&query).await.unwrap();
        found.extend(page.items.into_iter().map(|logged| logged.request_id));
        query.page_token = page.next;
        if query.page_token.is_none() {
            break;
        }
    }
    assert_eq!(found, asked);
    query.page_token = Some("first".to_owned());
    assert!(log.predictions(&query).await.is_err());
    let counted = log.rows_by_version("forest").await.unwrap();
    assert_eq!(counted, [("3".to_owned(), 7)].into());
}

async fn a_version_is_as_right_as_its_answers_were(database: Database) {
    let role = role(database).await;
    let log = role.serving.log().unwrap();
    assert_eq!(log.accuracy("forest", "3").await.unwrap(), None);
    for truth in [1, 1, 7, 1] {
        let request_id = ask(&role, &record()).await;
        log.flush().await;
        log.give_feedback(&request_id, 0, json!(truth), None)
            .await
            .unwrap();
    }
    let accuracy = log.accuracy("forest", "3").await.unwrap().unwrap();
    assert_eq!((accuracy.rows, accuracy.days.len()), (4, 1));
    let Figures::Classification {
        correct, accuracy, ..
    } = accuracy.figures
    else {
        panic!("{accuracy:?}");
    };
    assert_eq!((correct, accuracy), (3, 0.75));
}

async fn a_prediction_is_found_as_soon_as_it_is_answered(database: Database) {
    let role = role(database).await;
    let shutdown = CancellationToken::new();
    let log = role.serving.log().unwrap().clone();
    let writing = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { log.run(shutdown).await }
    });
    for _ in 0..5 {
        let request_id = ask(&role, &record()).await;
        let lineage = role.get(&format!("/predictions/{request_id}/lineage")).await;
        assert_eq!(lineage.status.as_u16(), 200, "{}", lineage.text);
        let other = ask(&role, &record()).await;
        let listed = role.get("/predictions?limit=1").await.json();
        assert_eq!(listed["predictions"][0]["request_id"], other.as_str());
    }
    shutdown.cancel();
    writing.await.unwrap();
}

async fn few_rows_are_too_few_to_tell_drift(database: Database) {
    let role = role(database).await;
    let log = role.serving.log().unwrap();
    let model = role.serving.current().unwrap();
    let odd = json!({ "Elevation": 9000, "Slope": 90.0, "Area": "Nowhere" });
    for _ in 0..49 {
        ask(&role, &odd).await;
    }
    log.flush().await;
    let report = role.get("/models/forest/drift").await.json();
    assert_eq!(
        (&report["rows"], &report["minimum_rows"], &report["severity"]),
        (&json!(49), &json!(50), &json!("too_few_rows"))
    );
    assert_eq!(report["features"][0]["severity"], "too_few_rows");
    ask(&role, &odd).await;
    log.flush().await;
    let report = log.drift(&model).await.unwrap().unwrap();
    assert_eq!(report.severity, Severity::Large);
}

async fn drift_is_seen_and_told_as_one_alarm(database: Database) {
    let role = role(database.clone()).await;
    let log = role.serving.log().unwrap();
    let model = role.serving.current().unwrap();
    let mut alarms = log.alarms();
    // Rows like those of the training do not drift.
    let profile = model.profile.clone().unwrap();
    for row in &profile.sample {
        let names = profile.features.iter().map(|feature| feature.name.clone());
        let record: serde_json::Map<String, Value> = names.zip(row.values.clone()).collect();
        ask(&role, &Value::Object(record)).await;
    }
    log.flush().await;
    let report = log.drift(&model).await.unwrap().unwrap();
    assert_eq!(report.rows, profile.rows);
    assert_eq!(report.features.len(), 3);
    assert!(report.severity < Severity::Large, "{report:?}");
    assert_eq!(log.watch_drift(&model).await.unwrap(), None);

    let ValueProfile::Number(slopes) = &profile.feature("Slope").unwrap().values else {
        panic!("{profile:?}");
    };
    let steep = slopes.maximum;
    for _ in 0..400 {
        ask(
            &role,
            &json!({ "Elevation": 1900, "Slope": steep, "Area": "Nowhere" }),
        )
        .await;
    }
    log.flush().await;
    let report = log.drift(&model).await.unwrap().unwrap();
    assert_eq!(report.severity, Severity::Large);
    assert!(report.prediction.is_some());
    let raised = log.watch_drift(&model).await.unwrap().unwrap();
    let moved: Vec<&str> = raised.features.iter().map(|(name, _)| name.as_str()).collect();
    assert!(moved.contains(&"Area") && moved.contains(&"Slope"), "{moved:?}");
    assert_eq!(alarms.try_recv().unwrap(), raised);
    // Later, and by another process, it is the same alarm.
    role.clock.advance(Duration::from_secs(60));
    assert_eq!(log.watch_drift(&model).await.unwrap().unwrap(), raised);
    let other = Role::over_database(role.registry.clone(), role.serving.settings().clone(), database).await;
    other.serving.follow_alias().await;
    other.clock.advance(Duration::from_secs(120));
    let model = other.serving.current().unwrap();
    let log = other.serving.log().unwrap();
    assert_eq!(log.watch_drift(&model).await.unwrap().unwrap(), raised);
}

async fn what_is_too_old_or_too_much_goes(database: Database) {
    let mut settings = settings();
    settings.log = LogSettings {
        keep: Duration::from_secs(60),
        keep_rows: 4,
        ..LogSettings::default()
    };
    let role = role_with(database, settings).await;
    let log = role.serving.log().unwrap();
    let old = ask(&role, &record()).await;
    log.flush().await;
    log.give_feedback(&old, 0, json!(1), None).await.unwrap();
    role.clock.advance(Duration::from_secs(61));
    for _ in 0..3 {
        ask(&role, &record()).await;
    }
    log.flush().await;
    log.purge().await;
    assert_eq!(log.prediction(&old).await.unwrap(), []);
    let all = LogQuery::default();
    assert_eq!(log.predictions(&all).await.unwrap().items.len(), 3);
    for _ in 0..3 {
        ask(&role, &record()).await;
    }
    log.flush().await;
    log.purge().await;
    assert_eq!(log.predictions(&all).await.unwrap().items.len(), 4);
}

async fn the_log_is_read_and_feedback_given_over_http(database: Database) {
    let role = role(database).await;
    let request_id = ask(&role, &record()).await;
    role.serving.log().unwrap().flush().await;
    let shown = role.get(&format!("/predictions/{request_id}")).await.json();
    assert_eq!(shown["rows"][0]["inputs"], record());
    let listed = role
        .get("/predictions?model=forest&limit=10&has_feedback=false")
        .await
        .json();
    assert_eq!(listed["predictions"][0]["request_id"], request_id.as_str());
    assert_eq!(listed["next_page_token"], Value::Null);

    let lineage = role
        .get(&format!("/predictions/{request_id}/lineage"))
        .await
        .json();
    assert_eq!(
        (&lineage["version"], &lineage["run_id"]),
        (&json!("3"), &json!("run3"))
    );
    assert_eq!(
        lineage["dag_run"],
        json!({ "dag_id": "training", "dag_run_id": "manual__1", "task_id": "train" })
    );
    let table = &lineage["datasets"][0];
    assert_eq!(
        (&table["context"], &table["profile"]["num_rows"]),
        (&json!("training"), &json!(120))
    );
    assert_eq!(table["source"]["batches"][1]["dag_run_id"], "load__2");

    let told = json!({ "request_id": request_id.as_str(), "label": 1 });
    let told = role.post_json("/feedback", &told).await;
    assert_eq!(told.json()["feedback"]["label"], 1, "{}", told.text);
    let accuracy = role.get("/models/forest/accuracy").await.json();
    assert_eq!(
        (
            &accuracy["version"],
            &accuracy["accuracy"]["accuracy"],
            &accuracy["accuracy"]["task"]
        ),
        (&json!("3"), &json!(1.0), &json!("classification"))
    );
    let drift = role.get("/models/forest/versions/3/drift").await.json();
    assert_eq!(
        (&drift["rows"], &drift["features"][0]["test"]),
        (&json!(1), &json!("kolmogorov_smirnov"))
    );

    for (path, status) in [
        ("/predictions/absent", 404),
        ("/predictions/absent/lineage", 404),
        ("/predictions/a%20b", 400),
        ("/predictions?limit=many", 400),
        ("/predictions?has_feedback=maybe", 400),
        ("/predictions?page_token=x", 400),
        ("/models/birch/accuracy", 404),
        ("/models/forest/versions/9/drift", 404),
    ] {
        let answered = role.get(path).await;
        assert_eq!(answered.status.as_u16(), status, "{path}: {}", answered.text);
        assert!(answered.json()["detail"].is_string(), "{path}");
    }
    for (body, status) in [
        (json!({ "request_id": "absent", "label": 1 }), 404),
        (json!({ "request_id": "a b", "label": 1 }), 400),
        (json!({ "request_id": request_id.as_str(), "label": [1] }), 400),
        (json!({ "request_id": request_id.as_str() }), 422),
        (
            json!({ "request_id": request_id.as_str(), "label": 1, "rows": 2 }),
            422,
        ),
    ] {
        let answered = role.post_json("/feedback", &body).await;
        assert_eq!(answered.status.as_u16(), status, "{body}: {}", answered.text);
    }
}

/// It kept the writer at that row until the end of the process.
#[tokio::test]
async fn a_row_that_the_database_refuses_does_not_hold_up_the_others() {
    let test = fragua_database::testing::TestDatabase::sqlite().await;
    let role = role(test.database.clone()).await;
    let mut asked = Vec::new();
    for _ in 0..5 {
        asked.push(ask(&role, &record()).await);
    }
    let refused = asked.remove(2);
    let trigger = format!(
        "CREATE TRIGGER refuse BEFORE INSERT ON fragua_serving_predictions WHEN new.request_id = '{refused}'
         BEGIN SELECT RAISE(ABORT, 'refused'); END"
    );
    let transaction = test.database.begin().await.unwrap();
    transaction.execute_unprepared(&trigger).await.unwrap();
    transaction.commit().await.unwrap();
    let log = role.serving.log().unwrap();
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    log.run(shutdown).await;
    let all = log.predictions(&LogQuery::default()).await.unwrap();
    let mut kept: Vec<String> = all.items.into_iter().map(|logged| logged.request_id).collect();
    kept.reverse();
    assert_eq!(kept, asked.iter().map(RequestId::to_string).collect::<Vec<_>>());
    let page = role.get("/metrics").await.text;
    assert!(
        page.contains("fragua_serving_log_rows_total{outcome=\"failed\"} 1\n"),
        "{page}"
    );
}

fragua_database::each_engine!(
    log: a_prediction_is_kept_and_its_truth_told,
    a_request_of_many_rows_keeps_some_and_an_id_sent_twice_counts_once,
    pages_are_newest_first_and_whole,
    a_version_is_as_right_as_its_answers_were,
    a_prediction_is_found_as_soon_as_it_is_answered,
    few_rows_are_too_few_to_tell_drift,
    drift_is_seen_and_told_as_one_alarm,
    what_is_too_old_or_too_much_goes,
    the_log_is_read_and_feedback_given_over_http,
);
