//! The page that puts runs side by side.

use axum::Router;
use serde_json::json;

use super::browser::{assert_pages, get};
use super::chromium::Chromium;
use super::house::House;

fn pages(house: &House) -> Router {
    fragua_web::tracking_pages(house.tracking.clone(), house.site())
}

#[tokio::test]
async fn runs_are_compared_by_figures_curves_and_places() {
    let house = House::open().await;
    let weak = house.run("weak", 0.6, None).await;
    let strong = house.run("strong", 0.9, None).await;
    let pages = pages(&house);
    let address = format!("/compare?run={weak}&run={strong}");
    let table = get(&pages, &address).await;
    table.has(&["Compare 2 runs", "is-best", ">weak<", "hidden"]);
    table.lacks(&["&#60;forest&#62;"]);
    get(&pages, &format!("{address}&rows=all"))
        .await
        .has(&["&#60;forest&#62;"]);
    let curves = get(&pages, &format!("{address}&tab=curves")).await;
    assert_eq!(curves.body.matches("class=\"series ").count(), 2);
    let smooth = get(
        &pages,
        &format!("{address}&tab=curves&log=1&smooth=0.6&from=1&to=3&x=step"),
    )
    .await;
    smooth.has(&["data-log", "data-x-min=\"1\"", "All steps"]);
    let parallel = get(
        &pages,
        &format!("{address}&tab=parallel&axis=params.model&axis=metrics.accuracy"),
    )
    .await;
    parallel.has(&[
        "data-axis=\"metrics.accuracy\"",
        "data-words",
        "shade-0",
        "shade-9",
    ]);
    let scatter = get(
        &pages,
        &format!("{address}&tab=scatter&x=metrics.loss&y=metrics.accuracy"),
    )
    .await;
    assert_eq!(scatter.body.matches("<circle").count(), 2);
    get(&pages, &format!("/compare?run={weak}&run=ghost"))
        .await
        .has(&["Nothing to compare", "1 of the runs does not exist"]);
    let all: Vec<String> = ["", "&tab=curves", "&tab=parallel", "&tab=scatter", "&rows=all"]
        .iter()
        .map(|rest| format!("{address}{rest}"))
        .collect();
    let mut all: Vec<&str> = all.iter().map(String::as_str).collect();
    all.push("/compare");
    assert_pages(&pages, &all).await;
}

#[tokio::test]
async fn axes_skip_what_is_constant_and_what_most_runs_lack() {
    let house = House::open().await;
    let runs = house.grid_search().await.join("&run=");
    let pages = pages(&house);
    let parallel = get(&pages, &format!("/compare?tab=parallel&run={runs}")).await;
    parallel.has(&[
        "data-axis=\"params.max_depth\"",
        "data-axis=\"metrics.mean_test_score\"",
        "data-axis=\"metrics.rank_test_score\"",
    ]);
    parallel.lacks(&[
        "data-axis=\"params.criterion\"",
        "data-axis=\"params.cv\"",
        "data-axis=\"metrics.test_accuracy\"",
    ]);
    get(&pages, &format!("/compare?tab=scatter&run={runs}"))
        .await
        .has(&[
            "<option value=\"params.max_depth\" selected>",
            "<option value=\"metrics.mean_test_score\" selected>",
        ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn charts_answer_the_pointer_and_the_keyboard() {
    let house = House::open().await;
    let mut query = String::new();
    for place in 0..6 {
        let run_id = house
            .run(&format!("run {place}"), 0.5 + f64::from(place) / 20.0, None)
            .await;
        query.push_str(&format!("&run={run_id}"));
    }
    let chromium = Chromium::at(pages(&house)).await;
    chromium.open(&format!("/compare?tab=curves{query}")).await;
    chromium
        .run(
            "const plot = document.querySelector('.curve-plot'); const box = plot.getBoundingClientRect();
             plot.dispatchEvent(new PointerEvent('pointermove', { bubbles: true, clientX: box.left + box.width / 2, clientY: box.top + 20 }))",
        )
        .await;
    chromium
        .until("document.querySelector('.tip strong').textContent.endsWith(' 2')")
        .await;
    chromium.picture("compare-curves").await;
    chromium
        .open(&format!(
            "/compare?tab=parallel&axis=metrics.accuracy&axis=metrics.loss{query}"
        ))
        .await;
    let passing = "return document.querySelectorAll('#parallel [data-places]:not(.is-out)').length";
    assert_eq!(chromium.run(passing).await, json!(6));
    // Nine steps up leave the upper runs.
    chromium
        .keys("[data-axis='metrics.accuracy']", &"\u{e013}".repeat(9))
        .await;
    chromium
        .until("document.querySelectorAll('#parallel .is-out').length > 0")
        .await;
    assert!(chromium.address().await.contains("brush="));
    chromium.picture("compare-parallel").await;
    let kept = chromium.run(passing).await;
    chromium.open(&chromium.address().await).await;
    assert_eq!(chromium.run(passing).await, kept);
    chromium.click("#brush-clear").await;
    assert_eq!(chromium.run(passing).await, json!(6));
    chromium.assert_quiet().await;
    for tab in ["table", "curves", "parallel", "scatter"] {
        for theme in ["light", "dark"] {
            chromium
                .open(&format!("/compare?tab={tab}&theme={theme}{query}"))
                .await;
            chromium.picture(&format!("compare-{tab}-{theme}")).await;
            chromium.assert_quiet().await;
        }
    }
    chromium.phone(true).await;
    for tab in ["table", "curves", "parallel", "scatter"] {
        chromium.open(&format!("/compare?tab={tab}&lang=es{query}")).await;
        chromium.picture(&format!("compare-{tab}-narrow")).await;
        chromium.assert_quiet().await;
    }
    for (name, address) in [("list", "/"), ("runs", "/experiments/0")] {
        chromium.open(address).await;
        chromium.picture(&format!("{name}-narrow")).await;
        chromium.assert_quiet().await;
    }
    chromium.close().await;
}
