//! Scoring of files.

use axum::http::StatusCode;
use fragua_learn::{Column, Format, ReadOptions, read_bytes};
use fragua_storage::{BucketName, ObjectKey, PutOptions, Storage};
use serde_json::json;

use super::support::{Role, record};
use crate::Objects;

const ROWS: &str = "id,Elevation,Slope,Area\n007,1900,3.5,Rawah\n008,2990,1,Neota\n";

#[tokio::test]
async fn a_csv_file_is_scored_and_keeps_its_columns() {
    let role = Role::ready().await;
    let answered = role.post("/batch", "text/csv", ROWS).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text);
    assert_eq!(answered.headers["x-rows"], "2");
    assert_eq!(answered.headers["x-model-version"], "3");
    let lines: Vec<&str> = answered.text.lines().collect();
    assert_eq!(lines[0], "id,Elevation,Slope,Area,label,proba_1,proba_2,proba_7");
    assert!(lines[1].starts_with("007,1900,3.5,Rawah,1,"), "{}", lines[1]);
    assert!(lines[2].starts_with("008,2990,1,Neota,7,"), "{}", lines[2]);
    let rows = "{\"Elevation\":1900,\"Slope\":3.5,\"Area\":\"Rawah\"}\n";
    let answered = role
        .post("/batch?model=forest/3", "application/x-ndjson", rows)
        .await;
    assert!(answered.text.contains("1900,3.5,Rawah,1,"), "{}", answered.text);
    let page = role.get("/metrics").await.text;
    assert!(page.contains("fragua_serving_rows_total{model=\"forest\",version=\"3\",route=\"batch\"} 3\n"));
}

#[tokio::test]
async fn rows_in_json_are_told_where_they_go() {
    let role = Role::ready().await;
    for body in [json!([record()]), record()] {
        let refused = role.post_json("/batch", &body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert_eq!(
            refused.json()["detail"],
            "application/json names objects here, {\"object\": \"s3://bucket/rows.csv\", \"output\": \
             \"s3://bucket/scored.csv\"}; send rows in JSON to /invocations as {\"dataframe_records\": [{…}, …]}, or here \
             as application/x-ndjson, an object a line"
        );
    }
    let half = role
        .post_json("/batch", &json!({ "object": "s3://a/b.csv" }))
        .await;
    assert!(half.text.contains("missing field `output`"), "{}", half.text);
}

#[tokio::test]
async fn parquet_goes_in_and_comes_out() {
    let role = Role::ready().await;
    let options = ReadOptions::default();
    let (table, _) = read_bytes(ROWS.as_bytes(), &options).unwrap();
    let mut file = Vec::new();
    fragua_learn::write_parquet(&table, &mut file).unwrap();
    let request =
        axum::http::Request::post("/batch").header("content-type", "application/vnd.apache.parquet");
    let bytes = role.send_for_bytes(request.body(file.into()).unwrap()).await;
    let options = ReadOptions {
        format: Some(Format::Parquet),
        ..options
    };
    let (scored, _) = read_bytes(bytes, &options).unwrap();
    let Column::Numeric(labels) = scored.column("label").unwrap() else {
        panic!("{scored:?}")
    };
    assert_eq!(labels, &[1.0, 7.0]);
}

#[tokio::test]
async fn bad_cells_go_by_the_policy() {
    let role = Role::ready().await;
    let rows = "Elevation,Slope,Area\n1900,steep,Rawah\n2990,1,Neota\n";
    let refused = role.post("/batch", "text/csv", rows).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(
        refused.text.contains("row 1") && refused.text.contains("Slope"),
        "{}",
        refused.text
    );
    for (policy, rows_left, skipped) in [("null", "2", "0"), ("skip", "1", "1")] {
        let path = format!("/batch?on_bad_cell={policy}");
        let answered = role.post(&path, "text/csv", rows).await;
        assert_eq!(answered.status, StatusCode::OK, "{}", answered.text);
        assert_eq!(answered.headers["x-rows"], rows_left);
        assert_eq!(answered.headers["x-skipped-rows"], skipped);
        assert_eq!(answered.headers["x-bad-cells"], "1");
    }
}

#[tokio::test]
async fn what_is_no_table_for_the_model_is_refused() {
    let role = Role::ready().await;
    for (path, content_type, body, status, needle) in [
        (
            "/batch",
            "text/csv",
            "Elevation,Slope\n1,2\n",
            400,
            "lacks columns that the model takes: Area",
        ),
        ("/batch", "text/csv", "", 400, "empty"),
        ("/batch", "application/vnd.apache.parquet", "PAR1", 400, "Parquet"),
        ("/batch", "application/x-ndjson", "[1]", 400, "JSON object"),
        ("/batch", "application/zip", "", 415, "send text/csv"),
        (
            "/batch?format=xlsx",
            "text/csv",
            ROWS,
            400,
            "format: expected csv or parquet",
        ),
        (
            "/batch?on_bad_cell=ask",
            "text/csv",
            ROWS,
            400,
            "on_bad_cell: expected refuse",
        ),
        ("/batch?model=birch", "text/csv", ROWS, 404, "no model birch"),
        ("/batch?model=forest/x", "text/csv", ROWS, 400, "version"),
    ] {
        let answered = role.post(path, content_type, body).await;
        assert_eq!(
            answered.status.as_u16(),
            status,
            "{path} {body:?}: {}",
            answered.text
        );
        assert!(
            answered.text.contains(needle),
            "{path} {body:?}: {}",
            answered.text
        );
    }
    assert_eq!(
        role.post_json("/predict", &record()).await.json()["Prediction"],
        json!(1)
    );
}

#[tokio::test]
async fn an_object_of_an_open_bucket_is_scored_into_another() {
    let folder = tempfile::tempdir().unwrap();
    let test = fragua_database::testing::TestDatabase::sqlite().await;
    let role = Role::ready().await;
    let settings = fragua_storage::Settings::new(folder.path());
    let storage = Storage::open(test.database.clone(), settings, role.clock.clone())
        .await
        .unwrap();
    let [open, closed] = ["rows", "secrets"].map(|name| BucketName::parse(name).unwrap());
    for bucket in [&open, &closed] {
        storage.create_bucket(bucket).await.unwrap();
        let key = ObjectKey::parse("a b/new.csv").unwrap();
        storage
            .put_bytes(bucket, &key, PutOptions::default(), ROWS)
            .await
            .unwrap();
    }
    let body = |object: &str, output: &str| json!({ "object": object, "output": output });
    let asked = body("s3://rows/a b/new.csv", "s3://rows/scored.csv");

    let refused = role.post_json("/batch", &asked).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.text.contains("no object store"), "{}", refused.text);

    let role = role.with_objects(Objects::new(storage.clone(), [open.clone()]));
    let answered = role.post_json("/batch?model=forest/3", &asked).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text);
    let report = answered.json();
    assert_eq!((&report["rows"], &report["version"]), (&json!(2), &json!("3")));
    let key = ObjectKey::parse("scored.csv").unwrap();
    let (meta, stream) = storage.get(&open, &key, None).await.unwrap();
    assert_eq!(meta.content_type, "text/csv; charset=utf-8");
    let scored = stream.into_bytes(10_000).await.unwrap();
    let scored = String::from_utf8_lossy(&scored).into_owned();
    assert!(scored.starts_with("id,Elevation,Slope,Area,label,"), "{scored}");
    assert!(scored.contains("007,1900,3.5,Rawah,1,"), "{scored}");

    let again = body("s3://rows/scored.csv", "s3://rows/again.parquet");
    let answered = role.post_json("/batch?on_bad_cell=skip", &again).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text);

    for (object, output, status, needle) in [
        (
            "s3://secrets/a b/new.csv",
            "s3://rows/x.csv",
            403,
            "name it in serving.batch_buckets",
        ),
        (
            "s3://rows/a b/new.csv",
            "s3://secrets/x.csv",
            403,
            "output: the bucket secrets is not open",
        ),
        (
            "s3://absent/new.csv",
            "s3://rows/x.csv",
            403,
            "not open to batches",
        ),
        ("s3://rows/absent.csv", "s3://rows/x.csv", 404, "absent.csv"),
        (
            "rows/new.csv",
            "s3://rows/x.csv",
            400,
            "object: expected s3://bucket/key",
        ),
        ("s3://rows/", "s3://rows/x.csv", 400, "object: "),
        (
            "s3://rows/a b/new.csv",
            "s3://rows/x.csv.gz",
            400,
            "output: expected a name that ends in",
        ),
    ] {
        let answered = role.post_json("/batch", &body(object, output)).await;
        assert_eq!(answered.status.as_u16(), status, "{object}: {}", answered.text);
        assert!(answered.text.contains(needle), "{object}: {}", answered.text);
    }
    for broken in [
        "",
        "[]",
        "{\"object\": \"s3://rows/a\"}",
        "{\"object\": 1, \"output\": 2}",
    ] {
        let answered = role.post("/batch", "application/json", broken).await;
        assert_eq!(
            answered.status,
            StatusCode::BAD_REQUEST,
            "{broken}: {}",
            answered.text
        );
    }
}
