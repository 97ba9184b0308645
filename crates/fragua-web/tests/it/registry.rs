//! Registered models and their versions.

use axum::Router;
use axum::http::StatusCode;

use fragua_tracking::NewVersion;

use super::browser::{assert_pages, get, post};
use super::house::House;

const MODEL: &str = "/models/cover_type_class";

fn pages(house: &House) -> Router {
    fragua_web::tracking_pages(house.tracking.clone(), house.site())
}

#[tokio::test]
async fn an_alias_says_what_moves_before_it_moves() {
    let house = House::open().await;
    house.champion().await;
    let run_id = house.champion().await;
    let pages = pages(&house);
    get(&pages, MODEL).await.has(&[
        "champion → v2",
        &format!("/runs/{run_id}"),
        "http://127.0.0.1:8086/",
        "0.875",
    ]);
    let first = format!("{MODEL}/versions/1");
    get(&pages, &first).await.has(&["Move from v2 to v1"]);
    let asked = post(&pages, &first, "do=alias&value=champion").await;
    assert_eq!(asked.status, StatusCode::OK);
    asked.has(&[
        "champion moves from version 2 to version 1.",
        "name=\"confirmed\"",
    ]);
    get(&pages, MODEL).await.has(&["champion → v2"]);
    let moved = post(&pages, &first, "do=alias&value=champion&confirmed=1").await;
    assert_eq!(
        (moved.status, moved.header("location")),
        (StatusCode::SEE_OTHER, first.as_str())
    );
    get(&pages, MODEL).await.has(&["champion → v1"]);
    get(&pages, "/models").await.has(&["champion → v1", ">v2<"]);
    // A new alias moves nothing, so nobody is asked.
    let set = post(&pages, &first, "do=alias&value=shadow").await;
    assert_eq!(set.status, StatusCode::SEE_OTHER);
    for wrong in ["", "v1", "latest"] {
        let refused = post(&pages, &first, &format!("do=alias&value={wrong}")).await;
        assert_eq!(refused.status, StatusCode::OK, "{wrong}");
        refused.has(&["id=\"alias-error\""]);
    }
    post(&pages, &first, "do=delete-alias&value=champion").await;
    get(&pages, MODEL).await.lacks(&["champion → "]);
}

#[tokio::test]
async fn only_the_version_that_is_served_leads_to_where_it_answers() {
    let house = House::open().await;
    let run_id = house.champion().await;
    house.champion().await;
    let source = house.tracking.run_info(&run_id).await.unwrap().artifact_uri;
    house
        .tracking
        .create_model("iris", None, Vec::new())
        .await
        .unwrap();
    for _ in 0..2 {
        let new = NewVersion {
            name: "iris".to_owned(),
            source: source.clone(),
            run_id: Some(run_id.clone()),
            ..NewVersion::default()
        };
        house.tracking.create_version(new).await.unwrap();
    }
    house.tracking.set_alias("iris", "champion", 2).await.unwrap();
    house
        .tracking
        .set_alias("cover_type_class", "shadow", 1)
        .await
        .unwrap();
    let pages = pages(&house);
    // The bar of every page leads to both roles.
    for (address, is_served) in [
        (MODEL, true),
        ("/models/cover_type_class/versions/2", true),
        ("/models/cover_type_class/versions/1", false),
        ("/models/iris", false),
        ("/models/iris/versions/2", false),
    ] {
        let page = get(&pages, address).await;
        for role in ["http://127.0.0.1:8085/docs", "http://127.0.0.1:8086/"] {
            let links = page.body.matches(&format!("href=\"{role}")).count();
            assert_eq!(links, 1 + usize::from(is_served), "{address} {role}");
        }
    }
    let note = "The inference API changes to this version at once";
    let asked = post(&pages, &format!("{MODEL}/versions/1"), "do=alias&value=champion").await;
    asked.has(&[note]);
    let asked = post(&pages, "/models/iris/versions/1", "do=alias&value=champion").await;
    asked.has(&["Whatever loads the model by this alias"]);
    asked.lacks(&[note]);
    for (address, uri) in [
        ("/models/iris/versions/2", "models:/iris@champion"),
        ("/models/iris/versions/1", "models:/iris/1"),
    ] {
        get(&pages, address)
            .await
            .has(&[&format!("mlflow.pyfunc.load_model(&#34;{uri}&#34;)</pre>")]);
    }
}

#[tokio::test]
async fn a_version_shows_its_way_its_signature_and_is_edited() {
    let house = House::open().await;
    let run_id = house.champion().await;
    let pages = pages(&house);
    let address = format!("{MODEL}/versions/1");
    let version = get(&pages, &address).await;
    version.has(&[
        "Where it comes from",
        &format!("/runs/{run_id}"),
        "http://127.0.0.1:8080/dags/model_training_dag/runs/manual__1",
        "http://127.0.0.1:8085/docs",
        ">Elevation</th>",
        "<code>double</code>",
        ">accuracy</th>",
        "&#60;forest&#62;",
        "Input example",
    ]);
    post(&pages, &address, "do=description&value=**best**").await;
    post(&pages, &address, "do=tag&key=reviewed&value=yes").await;
    post(&pages, &address, "do=stage&value=Production&archive=1").await;
    get(&pages, &address).await.has(&[
        "<strong>best</strong>",
        ">reviewed</th>",
        "<option selected>Production</option>",
    ]);
    get(&pages, MODEL).await.has(&["Production</span>"]);
    post(&pages, &address, "do=stage&value=Archived&archive=1").await;
    post(&pages, &address, "do=stage&value=nowhere")
        .await
        .has(&["id=\"stage-error\""]);
    post(&pages, &address, "do=delete-tag&key=reviewed").await;
    get(&pages, &address).await.lacks(&[">reviewed</th>"]);
    assert_pages(&pages, &[&address, &format!("{address}?edit=description")]).await;
    let deleted = post(&pages, &address, "do=delete").await;
    assert_eq!(deleted.header("location"), MODEL);
    assert_eq!(get(&pages, &address).await.status, StatusCode::NOT_FOUND);
    get(&pages, MODEL).await.has(&["No version"]);
    for wrong in ["x", "99999999999"] {
        let answer = get(&pages, &format!("{MODEL}/versions/{wrong}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn two_versions_stand_side_by_side() {
    let house = House::open().await;
    house.champion().await;
    house.champion().await;
    let pages = pages(&house);
    let address = format!("{MODEL}/compare?v=2&v=1");
    let compared = get(&pages, &address).await;
    compared.has(&[
        "Version 1 and version 2",
        ">accuracy</th>",
        ">Elevation</th>",
        "Only differences",
    ]);
    let different = get(&pages, &format!("{address}&different=1")).await;
    different.lacks(&[">accuracy</th>"]);
    different.has(&["Nothing to compare."]);
    for wrong in ["?v=1", "", "?v=1&v=x", "?v=1&v=2&v=3"] {
        let answer = get(&pages, &format!("{MODEL}/compare{wrong}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    assert_pages(&pages, &[&address]).await;
}

#[tokio::test]
async fn a_model_is_made_found_renamed_and_deleted_by_typing_its_name() {
    let house = House::open().await;
    house.champion().await;
    let pages = pages(&house);
    get(&pages, "/models?edit=create")
        .await
        .has(&["id=\"create-name\""]);
    let made = post(&pages, "/models", "do=create&value=Other+model").await;
    assert_eq!(made.header("location"), "/models/Other%20model");
    let taken = post(&pages, "/models", "do=create&value=Other+model").await;
    taken.has(&["id=\"create-error\"", "already exists", "value=\"Other model\""]);
    let found = get(&pages, "/models?search=COVER").await;
    found.has(&[">cover_type_class</a>"]);
    found.lacks(&[">Other model</a>"]);
    get(&pages, "/models?search=nothing")
        .await
        .has(&["Nothing found."]);
    let other = "/models/Other%20model";
    post(&pages, other, "do=rename&value=cover_type_class")
        .await
        .has(&["id=\"rename-error\""]);
    let renamed = post(&pages, other, "do=rename&value=third").await;
    assert_eq!(renamed.header("location"), "/models/third");
    post(&pages, "/models/third", "do=description&value=-+one").await;
    post(&pages, "/models/third", "do=tag&key=k&value=v").await;
    get(&pages, "/models/third")
        .await
        .has(&["<li>one</li>", ">k</th>"]);
    let mistyped = post(&pages, "/models/third", "do=delete&value=thrid").await;
    mistyped.has(&["id=\"delete-error\"", "value=\"thrid\""]);
    let deleted = post(&pages, "/models/third", "do=delete&value=third").await;
    assert_eq!(deleted.header("location"), "/models");
    assert_eq!(get(&pages, "/models/third").await.status, StatusCode::NOT_FOUND);
    assert_pages(
        &pages,
        &[
            "/models",
            "/models?edit=create",
            MODEL,
            &format!("{MODEL}?edit=delete"),
        ],
    )
    .await;
}
