//! The pages of experiments, runs and models.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use sea_orm::ConnectionTrait as _;
use tower::ServiceExt as _;

use super::browser::{assert_page, assert_pages, get, post};
use super::house::House;

fn pages(house: &House) -> Router {
    fragua_web::tracking_pages(house.tracking.clone(), house.site())
}

#[tokio::test]
async fn the_pages_merge_with_the_protocol() {
    let house = House::open().await;
    let both = fragua_tracking::mlflow::router(house.tracking.clone()).merge(pages(&house));
    let health = get(&both, "/health").await;
    assert_eq!(health.status, StatusCode::OK);
    get(&both, "/").await.has(&["Experiments"]);
    let api = get(&both, "/api/2.0/mlflow/no-such-thing").await;
    assert_eq!(api.status, StatusCode::NOT_FOUND);
    api.lacks(&["<html"]);
    get(&both, "/nowhere").await.has(&["class=\"error-page\""]);
}

#[tokio::test]
async fn an_empty_registry_has_pages() {
    let house = House::open().await;
    let pages = pages(&house);
    let all = [
        "/",
        "/experiments",
        "/experiments/0",
        "/models",
        "/dag-runs?dag=a&run=b",
    ];
    assert_pages(&pages, &all).await;
    get(&pages, "/experiments/0")
        .await
        .has(&["No runs yet", "http://127.0.0.1:8084"]);
    get(&pages, "/models").await.has(&["No registered model"]);
    get(&pages, "/?search=nothing").await.has(&["No experiment"]);
}

#[tokio::test]
async fn a_run_shows_what_it_logged_and_where_it_came_from() {
    let house = House::open().await;
    let run_id = house.run("parent", 0.9, None).await;
    let child_id = house.run("candidate 0", 0.7, Some(&run_id)).await;
    let pages = pages(&house);
    let address = format!("/runs/{run_id}");
    let run = get(&pages, &address).await;
    run.has(&[
        "Success",
        &run_id,
        ">accuracy<",
        "http://127.0.0.1:8080/dags/model_training_dag/runs/manual__1",
        "candidate 0",
        "1 m 35 s",
    ]);
    get(&pages, &format!("/runs/{child_id}"))
        .await
        .has(&[&address, "Parent run"]);
    let curves = get(&pages, &format!("{address}?tab=metrics")).await;
    curves.has(&["class=\"curve-line\"", ">loss</title>", "Show as a table"]);
    assert_eq!(curves.body.matches("class=\"curve-line\"").count(), 1);
    assert_pages(
        &pages,
        &[
            &address,
            &format!("{address}?tab=metrics"),
            &format!("{address}?tab=artifacts"),
        ],
    )
    .await;
    let straight = get(&pages, "/dag-runs?dag=model_training_dag&run=manual__1").await;
    assert_eq!(
        (straight.status, straight.header("location")),
        (StatusCode::SEE_OTHER, address.as_str())
    );
}

#[tokio::test]
async fn artifacts_are_shown_and_never_run() {
    let house = House::open().await;
    let run_id = house.run("files", 0.9, None).await;
    house
        .artifact(&run_id, "plots/matrix.svg", b"<svg onload='alert(1)'/>".to_vec())
        .await;
    house
        .artifact(&run_id, "report.html", b"<script>alert(1)</script>".to_vec())
        .await;
    house
        .artifact(&run_id, "params.json", b"{\"a\":1}".to_vec())
        .await;
    house.artifact(&run_id, "model.bin", vec![0, 159, 146, 150]).await;
    let pages = pages(&house);
    let tab = format!("/runs/{run_id}?tab=artifacts");
    get(&pages, &tab)
        .await
        .has(&["plots", "report.html", "params.json", "Choose a file"]);
    let picture = get(&pages, &format!("{tab}&path=plots%2Fmatrix.svg")).await;
    picture.has(&["<img src=\"", "matrix.svg"]);
    picture.lacks(&["onload"]);
    let document = get(&pages, &format!("{tab}&path=report.html")).await;
    document.lacks(&["alert(1)"]);
    get(&pages, &format!("{tab}&path=model.bin"))
        .await
        .has(&["No preview of this file"]);
    let raw = get(&pages, &format!("/runs/{run_id}/artifact?path=report.html")).await;
    assert_eq!(raw.header("content-type"), "application/octet-stream");
    assert!(raw.header("content-disposition").starts_with("attachment"));
    let outside = get(&pages, &format!("/runs/{run_id}/artifact?path=..%2F..%2Fx")).await;
    assert_eq!(outside.status, StatusCode::BAD_REQUEST);
    assert_pages(&pages, &[&format!("{tab}&path=params.json")]).await;
}

#[tokio::test]
async fn what_does_not_exist_is_an_error_page() {
    let house = House::open().await;
    let pages = pages(&house);
    for address in [
        "/experiments/77",
        "/experiments/abc",
        "/runs/ghost",
        "/models/ghost",
    ] {
        let answer = get(&pages, address).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{address}");
        answer.has(&["class=\"error-page\""]);
    }
}

#[tokio::test]
async fn experiments_are_made_changed_deleted_and_restored() {
    let house = House::open().await;
    let pages = pages(&house);
    let made = post(&pages, "/experiments", "name=forest&note=%2A%2Abold%2A%2A").await;
    assert_eq!(
        (made.status, made.header("location")),
        (StatusCode::SEE_OTHER, "/experiments/1")
    );
    get(&pages, "/experiments/1")
        .await
        .has(&["<strong>bold</strong>"]);
    for form in [
        "do=rename&value=grove",
        "do=description&value=%3Cscript%3Ealert%281%29%3C%2Fscript%3E+plain",
        "do=tag&key=team&value=north",
    ] {
        assert_eq!(
            post(&pages, "/experiments/1", form).await.status,
            StatusCode::SEE_OTHER,
            "{form}"
        );
    }
    let changed = get(&pages, "/experiments/1").await;
    changed.has(&["<h1>grove</h1>", "team: north"]);
    changed.lacks(&["<script>alert"]);
    get(&pages, "/?sort=name")
        .await
        .has(&[">grove<", "team: north", "aria-sort=\"ascending\""]);
    post(&pages, "/experiments/1", "do=delete-tag&key=team").await;
    get(&pages, "/experiments/1").await.lacks(&["team: north"]);
    post(&pages, "/experiments/1", "do=delete").await;
    get(&pages, "/").await.lacks(&[">grove<"]);
    get(&pages, "/?view=deleted")
        .await
        .has(&[">grove<", "value=\"restore\""]);
    get(&pages, "/experiments/1")
        .await
        .has(&["This experiment is deleted"]);
    post(&pages, "/experiments/1", "do=restore").await;
    get(&pages, "/").await.has(&[">grove<"]);
    for (address, form, status) in [
        ("/experiments/1", "do=explode", StatusCode::BAD_REQUEST),
        ("/experiments/77", "do=delete", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(
            post(&pages, address, form).await.status,
            status,
            "{address} {form}"
        );
    }
    assert_pages(&pages, &["/?view=deleted", "/?sort=-created", "/experiments/1"]).await;
}

#[tokio::test]
async fn a_form_about_an_experiment_that_is_refused_comes_back_with_the_reason_at_the_field() {
    let house = House::open().await;
    let pages = pages(&house);
    post(&pages, "/experiments", "name=grove").await;
    for (form, error) in [
        ("name=+&note=why", "id=\"create-name-error\""),
        ("name=grove&note=why", "id=\"create-name-error\""),
        (
            "name=wood&note=why&location=file%3A%2F%2F%2Fetc",
            "id=\"create-location-error\"",
        ),
    ] {
        let refused = post(&pages, "/experiments", &format!("do=create&{form}")).await;
        assert_eq!(refused.status, StatusCode::OK, "{form}");
        refused.has(&[error, "aria-invalid=\"true\"", ">why</textarea>"]);
        refused.lacks(&["class=\"error-page\""]);
    }
    get(&pages, "/").await.lacks(&[">wood<"]);
    let address = "/experiments/1?sort=-metrics.accuracy";
    for (form, error, kept) in [
        ("do=rename&value=+", "id=\"rename-error\"", "id=\"rename\""),
        (
            "do=rename&value=Default",
            "id=\"rename-error\"",
            "value=\"Default\"",
        ),
        ("do=tag&key=&value=north", "id=\"tag-error\"", "value=\"north\""),
        (
            "do=delete-tag&key=none",
            "id=\"delete-tag-error\"",
            "value=\"none\"",
        ),
    ] {
        let refused = post(&pages, address, form).await;
        assert_eq!(refused.status, StatusCode::OK, "{form}");
        refused.has(&[error, kept, "role=\"alert\""]);
    }
    assert_pages(
        &pages,
        &[
            "/?edit=create",
            "/experiments/1?edit=tag",
            "/experiments/1?edit=description",
            "/experiments/1?edit=rename",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_description_is_a_line_of_text_in_the_list() {
    let house = House::open().await;
    let pages = pages(&house);
    post(
        &pages,
        "/experiments",
        "name=grove&note=%23+Trees%0A%0A%2A%2Atall%2A%2A+ones%0A%0A-+oak%0A-+ash",
    )
    .await;
    get(&pages, "/").await.has(&[">Trees tall ones oak ash<"]);
}

#[tokio::test]
async fn a_folder_of_artifacts_is_one_zip_file() {
    let house = House::open().await;
    let run_id = house.run("files", 0.9, None).await;
    let large: Vec<u8> = (0..3_000_000u32).flat_map(u32::to_le_bytes).collect();
    for (path, bytes) in [
        ("summary.txt", b"all".to_vec()),
        ("plots/a b/curve.svg", b"<svg/>".to_vec()),
        ("plots/weights.bin", large.clone()),
    ] {
        house.artifact(&run_id, path, bytes).await;
    }
    // An object put past the protocol, whose key would leave the folder when it is unpacked.
    let root = format!("0/{run_id}/artifacts");
    house
        .put("mlflows3", &format!("{root}/../../evil.txt"), b"evil")
        .await;
    let pages = pages(&house);
    let address = format!("/runs/{run_id}/artifact?zip=1");
    let unpacked = async |address: &str, name: &str| -> BTreeMap<String, Vec<u8>> {
        let request = Request::get(address).header("host", "127.0.0.1:8080");
        let request = request
            .header("accept-encoding", "gzip")
            .body(Body::empty())
            .unwrap();
        let answer = pages.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers().get("content-encoding"), None);
        let disposition = answer.headers()["content-disposition"].to_str().unwrap();
        assert!(disposition.ends_with(&format!("{name}.zip")), "{disposition}");
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        let mut files = BTreeMap::new();
        for place in 0..archive.len() {
            let mut file = archive.by_index(place).unwrap();
            let mut content = Vec::new();
            file.read_to_end(&mut content).unwrap();
            files.insert(file.name().unwrap().into_owned(), content);
        }
        files
    };
    let all = unpacked(&address, &run_id).await;
    let names: Vec<&str> = all.keys().map(String::as_str).collect();
    assert_eq!(names, ["plots/a b/curve.svg", "plots/weights.bin", "summary.txt"]);
    assert!(all["plots/weights.bin"] == large);
    let some = unpacked(&format!("{address}&path=plots"), "plots").await;
    assert_eq!(some.keys().collect::<Vec<_>>(), ["a b/curve.svg", "weights.bin"]);
    let none = get(&pages, &format!("{address}&path=nothing")).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    get(&pages, &format!("/runs/{run_id}?tab=artifacts&path=plots"))
        .await
        .has(&["Download the folder (zip)", "zip=1&#38;path=plots"]);
}

#[tokio::test]
async fn a_file_beyond_the_listed_entries_or_missing_was_taken_for_none_chosen() {
    let house = House::open().await;
    let run_id = house.run("many files", 0.9, None).await;
    for number in 0..502 {
        let path = format!("f{number:03}.txt");
        house.artifact(&run_id, &path, b"hello".to_vec()).await;
    }
    house.artifact(&run_id, "last/inside.txt", b"deep".to_vec()).await;
    let pages = pages(&house);
    let tab = format!("/runs/{run_id}?tab=artifacts");
    get(&pages, &tab)
        .await
        .has(&["Only the first entries", "Choose a file"]);
    let beyond = get(&pages, &format!("{tab}&path=f501.txt")).await;
    beyond.has(&["<code>f501.txt</code>", "hello"]);
    let deep = get(&pages, &format!("{tab}&path=last%2Finside.txt")).await;
    deep.has(&["<code>last/inside.txt</code>", "deep"]);
    let folder = get(&pages, &format!("{tab}&path=last")).await;
    folder.has(&["Download the folder", "path=last"]);
    for missing in ["f999.txt", "no%2Fsuch", "..%2Fx"] {
        let page = get(&pages, &format!("{tab}&path={missing}")).await;
        page.has(&["There is no such file"]);
        page.lacks(&["Choose a file"]);
    }
}

#[tokio::test]
async fn files_in_a_folder_of_mlflow_were_said_to_be_in_another_store() {
    let house = House::open().await;
    let run_id = house.run("local", 0.9, None).await;
    let uri = "file:///home/ana/mlruns/0/1234/artifacts";
    let change = format!("UPDATE runs SET artifact_uri = '{uri}' WHERE run_uuid = '{run_id}'");
    house
        .database()
        .writer()
        .execute_unprepared(&change)
        .await
        .unwrap();
    let pages = pages(&house);
    let tab = format!("/runs/{run_id}?tab=artifacts");
    let page = get(&pages, &tab).await;
    assert_page(&page, &tab);
    page.has(&[
        "The files lie in a folder that is not shown",
        uri,
        "local_artifacts = [",
        "/home/ana/mlruns",
    ]);
    page.lacks(&["another store"]);
    get(&pages, &format!("{tab}&lang=es"))
        .await
        .has(&["Los archivos están en una carpeta que no se muestra"]);
    let file = get(&pages, &format!("/runs/{run_id}/artifact?path=a.txt")).await;
    assert_eq!(file.status, StatusCode::BAD_REQUEST);
}
