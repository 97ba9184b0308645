//! The table of runs: what its address says, what its forms do.

use axum::Router;
use axum::http::StatusCode;

use fragua_tracking::{Batch, Dataset, DatasetInput, Metric, Param};

use super::browser::{assert_pages, get, post};
use super::house::{House, now};

fn pages(house: &House) -> Router {
    fragua_web::tracking_pages(house.tracking.clone(), house.site())
}

#[tokio::test]
async fn runs_are_filtered_and_sorted() {
    let house = House::open().await;
    house.run("weak", 0.6, None).await;
    house.run("strong", 0.9, None).await;
    let pages = pages(&house);
    let table = get(&pages, "/experiments/0?sort=-metrics.accuracy").await;
    let place = |name: &str| table.body.find(name).unwrap();
    assert!(place(">strong<") < place(">weak<"));
    table.has(&[
        "aria-sort=\"descending\"",
        "is-best",
        ">0.9<",
        "&#60;forest&#62;",
        "1 m 35 s",
        "data-total=\"2\"",
    ]);
    let filtered = get(&pages, "/experiments/0?filter=metrics.accuracy+%3E+0.8").await;
    filtered.has(&[">strong<", "1 run shown"]);
    filtered.lacks(&[">weak<"]);
    let none = get(&pages, "/experiments/0?filter=metrics.accuracy+%3E+1").await;
    none.has(&["No run matches"]);
    get(&pages, "/experiments/0?status=finished&since=1h")
        .await
        .has(&[">strong<", ">weak<"]);
    get(&pages, "/experiments/0?status=failed")
        .await
        .has(&["No run matches"]);
    let chosen = get(&pages, "/experiments/0?column=params.model").await;
    chosen.has(&["id=\"sort-params.model\""]);
    chosen.lacks(&["id=\"sort-metrics.accuracy\""]);
    assert_pages(
        &pages,
        &[
            "/experiments/0",
            "/experiments/0?sort=metrics.accuracy&column=metrics.accuracy&column=tags.team",
            "/experiments/0?view=deleted",
            "/experiments/0?runs=all&since=7d",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_is_explained_at_the_field() {
    let house = House::open().await;
    house.run("one", 0.6, None).await;
    let pages = pages(&house);
    let wrong = get(
        &pages,
        "/experiments/0?filter=metrics.accuracy+%3E%3E+1&status=failed",
    )
    .await;
    assert_eq!(wrong.status, StatusCode::OK);
    wrong.has(&["id=\"filter-error\"", "aria-invalid=\"true\"", "<mark>"]);
    wrong.lacks(&["No run matches"]);
    // What the page adds to the filter is not what the reader typed.
    wrong.lacks(&["attributes.status = &#39;FAILED&#39;"]);
}

#[tokio::test]
async fn the_reason_for_refusing_a_filter_was_english_on_spanish_pages() {
    let house = House::open().await;
    let pages = pages(&house);
    for (page, query, english, spanish) in [
        (
            "/experiments/0",
            "filter=metrics.x+%3E+1+OR+metrics.y+%3E+1",
            "Join conditions with AND.",
            "Une las condiciones con AND.",
        ),
        (
            "/experiments/0",
            "filter=size+%3D+1",
            "There is no attribute size. Use &#39;run_id&#39;, ",
            "No existe el atributo size. Usa &#39;run_id&#39;, ",
        ),
        (
            "/experiments/0/logged-models",
            "filter=status+%3D+%27DONE%27",
            "No logged model has the status DONE.",
            "Ningún modelo guardado tiene el estado DONE.",
        ),
    ] {
        for (language, words) in [("en", english), ("es", spanish)] {
            let shown = get(&pages, &format!("{page}?lang={language}&{query}")).await;
            shown.has(&["id=\"filter-error\"", words, "<mark>"]);
            shown.lacks(&["Invalid", "at character"]);
        }
    }
}

#[tokio::test]
async fn the_table_comes_in_parts_of_a_hundred() {
    let house = House::open().await;
    for place in 0..105 {
        house
            .run(&format!("run-{place}"), f64::from(place) / 105.0, None)
            .await;
    }
    let pages = pages(&house);
    let first = get(&pages, "/experiments/0?sort=-metrics.accuracy").await;
    assert_eq!(first.body.matches("name=\"run\"").count(), 100);
    first.has(&["data-total=\"105\"", "rel=\"next\"", ">run-104<"]);
    let last = get(&pages, "/experiments/0?sort=-metrics.accuracy&page=2").await;
    assert_eq!(last.body.matches("name=\"run\"").count(), 5);
    last.has(&[">run-0<", "data-chunk=\"1\""]);
    let part = get(
        &pages,
        "/experiments/0/rows?sort=-metrics.accuracy&column=metrics.accuracy&page=2",
    )
    .await;
    assert_eq!(part.body.trim_start().find("<tbody data-chunk=\"1\">"), Some(0));
    part.has(&[">run-0<"]);
    part.lacks(&["<html", ">run-9<"]);
}

#[tokio::test]
async fn children_are_below_their_parent_when_it_is_open() {
    let house = House::open().await;
    let parent = house.run("parent", 0.9, None).await;
    house.run("candidate", 0.7, Some(&parent)).await;
    let pages = pages(&house);
    let closed = get(&pages, "/experiments/0").await;
    closed.has(&[">parent<", "aria-expanded=\"false\"", "1 child run"]);
    closed.lacks(&[">candidate<"]);
    let open = get(&pages, &format!("/experiments/0?open={parent}")).await;
    open.has(&[">candidate<", "aria-expanded=\"true\"", "depth-1 is-child"]);
    get(&pages, "/experiments/0?runs=all")
        .await
        .has(&[">parent<", ">candidate<"]);
    get(&pages, "/experiments/0?filter=metrics.accuracy+%3C+0.8")
        .await
        .has(&[">candidate<"]);
    house.tracking.delete_run(&parent).await.unwrap();
    get(&pages, "/experiments/0").await.has(&["Only child runs"]);
}

#[tokio::test]
async fn selected_runs_are_tagged_renamed_deleted_and_restored() {
    let house = House::open().await;
    let one = house.run("one", 0.6, None).await;
    let two = house.run("two", 0.9, None).await;
    let pages = pages(&house);
    let both = format!("run={one}&run={two}");
    let address = "/experiments/0?sort=-metrics.accuracy";
    let tagged = post(
        &pages,
        address,
        &format!("{both}&do=tag-runs&key=team&value=north"),
    )
    .await;
    assert_eq!(
        (tagged.status, tagged.header("location")),
        (StatusCode::SEE_OTHER, "/experiments/0?sort=-metrics.accuracy")
    );
    get(&pages, "/experiments/0?filter=tags.team+%3D+%27north%27")
        .await
        .has(&["data-total=\"2\""]);
    post(&pages, address, &format!("run={one}&do=rename-run&name=first")).await;
    get(&pages, "/experiments/0").await.has(&[">first<"]);
    post(&pages, address, &format!("{both}&do=delete-runs")).await;
    get(&pages, "/experiments/0").await.lacks(&[">first<", ">two<"]);
    get(&pages, "/experiments/0?view=deleted")
        .await
        .has(&[">first<", ">two<", "value=\"restore-runs\""]);
    post(
        &pages,
        "/experiments/0?view=deleted",
        &format!("run={one}&do=restore-runs"),
    )
    .await;
    get(&pages, "/experiments/0").await.has(&[">first<"]);
    let unknown = post(&pages, address, &format!("run={one}&do=explode")).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_cannot_be_done_to_runs_is_said_in_the_page_and_changes_none() {
    let house = House::open().await;
    let one = house.run("one", 0.6, None).await;
    let two = house.run("two", 0.9, None).await;
    let pages = pages(&house);
    let both = format!("run={one}&run={two}");
    let address = "/experiments/0?sort=-metrics.accuracy";
    for (form, words) in [
        ("do=delete-runs".to_owned(), "at least one run"),
        (format!("{both}&do=rename-run&name=x"), "exactly one"),
        (format!("run={one}&do=rename-run&name=+"), "Write a name"),
        (
            format!("{both}&do=tag-runs&key=&value=north"),
            "id=\"tag-runs-error\"",
        ),
        (format!("{both}&run=ghost&do=delete-runs"), "ghost"),
    ] {
        let refused = post(&pages, address, &form).await;
        assert_eq!(refused.status, StatusCode::OK, "{form}");
        refused.has(&["role=\"alert\"", words]);
        refused.lacks(&["class=\"error-page\""]);
    }
    let refused = post(
        &pages,
        address,
        &format!("{both}&run=far&do=tag-runs&key=&value=north"),
    )
    .await;
    refused.has(&[
        "id=\"tag-runs\" class=\"run-dialog\"",
        "name=\"value\" value=\"north\"",
        "<input type=\"hidden\" name=\"run\" value=\"far\">",
    ]);
    assert_eq!(refused.body.matches(" checked></td>").count(), 2);
    get(&pages, "/experiments/0")
        .await
        .has(&[">one<", ">two<", "data-total=\"2\""]);
}

#[tokio::test]
async fn runs_are_sorted_by_duration_and_show_their_data() {
    let house = House::open().await;
    let run = house.run("one", 0.6, None).await;
    let dataset = Dataset {
        name: "covertype".to_owned(),
        digest: "a1b2".to_owned(),
        source_type: "http".to_owned(),
        source: "{}".to_owned(),
        schema: None,
        profile: None,
    };
    let input = DatasetInput {
        dataset,
        tags: Vec::new(),
    };
    house
        .tracking
        .log_inputs(&run, vec![input], Vec::new())
        .await
        .unwrap();
    let pages = pages(&house);
    let table = get(
        &pages,
        "/experiments/0?sort=-attributes.duration&column=attributes.duration&column=attributes.datasets",
    )
    .await;
    table.has(&[
        "id=\"sort-attributes.duration\"",
        "aria-sort=\"descending\"",
        ">covertype (a1b2)<",
    ]);
    table.lacks(&["id=\"filter-error\""]);
}

#[tokio::test]
async fn the_first_columns_are_what_most_runs_have_and_what_varies() {
    let house = House::open().await;
    house.grid_search().await;
    let table = get(&pages(&house), "/experiments/0?runs=all").await;
    let heads = [
        "metrics.mean_test_score",
        "metrics.rank_test_score",
        "metrics.test_accuracy",
        "params.max_depth",
        "params.criterion",
        "params.cv",
        "params.error_score",
    ];
    let places = heads.map(|key| table.body.find(&format!("id=\"sort-{key}\"")).expect(key));
    assert!(places.is_sorted(), "{places:?}");
    table.lacks(&["id=\"sort-params.n_jobs\"", "id=\"sort-params.pre_dispatch\""]);
}

#[tokio::test]
async fn a_file_of_runs_holds_no_formula_and_names_what_is_not_finite() {
    let house = House::open().await;
    let run_id = house.run("=HYPERLINK(1)", 0.5, None).await;
    let metric = |key: &str, value: f64| Metric::new(key, value, now(), 0);
    let batch = Batch {
        metrics: vec![
            metric("high", f64::INFINITY),
            metric("low", f64::NEG_INFINITY),
            metric("none", f64::NAN),
        ],
        params: vec![
            Param::new("at", "@SUM(A1)"),
            Param::new("minus", "-1e-3"),
            Param::new("plus", "+1+2"),
        ],
        tags: Vec::new(),
    };
    house.tracking.log_batch(&run_id, batch).await.unwrap();
    let pages = pages(&house);
    let keys = [
        "metrics.high",
        "metrics.low",
        "metrics.none",
        "params.at",
        "params.minus",
        "params.plus",
    ];
    let columns = keys.map(|key| format!("column={key}")).join("&");
    let file = get(&pages, &format!("/experiments/0/runs.csv?{columns}")).await;
    assert_eq!(
        file.body.lines().nth(1),
        Some(format!("{run_id},'=HYPERLINK(1),FINISHED,inf,-inf,nan,'@SUM(A1),-1e-3,'+1+2").as_str())
    );
    get(&pages, &format!("/experiments/0?{columns}"))
        .await
        .has(&[">inf<", ">-inf<", ">nan<", ">@SUM(A1)<"]);
}

#[tokio::test]
async fn the_table_is_a_file_and_its_keys_are_json() {
    let house = House::open().await;
    let weak = house.run("weak, \"the first\"", 0.6, None).await;
    house.run("strong", 0.9, None).await;
    let pages = pages(&house);
    let file = get(
        &pages,
        "/experiments/0/runs.csv?sort=metrics.accuracy&column=metrics.accuracy&column=params.model",
    )
    .await;
    assert_eq!(file.header("content-type"), "text/csv; charset=utf-8");
    assert!(file.header("content-disposition").contains("Default.csv"));
    let lines: Vec<&str> = file.body.lines().collect();
    assert_eq!(
        lines[0],
        "attributes.run_id,attributes.run_name,attributes.status,metrics.accuracy,params.model"
    );
    assert_eq!(
        lines[1],
        format!("{weak},\"weak, \"\"the first\"\"\",FINISHED,0.6,<forest>")
    );
    assert_eq!(lines.len(), 3);
    let wrong = get(&pages, "/experiments/0/runs.csv?filter=oh").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    let words = get(&pages, "/experiments/0/words").await;
    words.has(&[
        "\"metrics\":[\"accuracy\",\"loss\"]",
        "\"params\":[\"model\"]",
        "\"text\":\"metrics.\"",
    ]);
    assert_eq!(
        get(&pages, "/experiments/77/words").await.status,
        StatusCode::NOT_FOUND
    );
}
