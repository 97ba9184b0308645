//! What needs a browser: completion, the choice of columns, selection, tables longer than the page.

use axum::Router;
use serde_json::json;

use super::chromium::Chromium;
use super::house::House;

const DOWN: &str = "\u{e015}";
const END: &str = "\u{e010}";
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

fn pages(house: &House) -> Router {
    fragua_web::tracking_pages(house.tracking.clone(), house.site())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_is_completed_with_the_keyboard() {
    let house = House::open().await;
    house.run("weak", 0.6, None).await;
    house.run("strong", 0.9, None).await;
    let chromium = Chromium::at(pages(&house)).await;
    chromium.open("/experiments/0").await;
    let choices = "document.querySelectorAll('#filter-choices [role=option]')";
    chromium.keys("#filter", "acc").await;
    chromium
        .until(&format!("{choices}[0]?.textContent === 'metrics.accuracy'"))
        .await;
    chromium.picture("filter-completion").await;
    chromium.keys("#filter", &format!("{DOWN}{ENTER}")).await;
    chromium
        .until(&format!(
            "[...{choices}].some((choice) => choice.textContent === '>=')"
        ))
        .await;
    let expanded = "return document.getElementById('filter').getAttribute('aria-expanded')";
    assert_eq!(chromium.run(expanded).await, json!("true"));
    chromium.keys("#filter", "> 0.8 ").await;
    chromium
        .until(&format!("{choices}[0]?.textContent === 'AND'"))
        .await;
    chromium.keys("#filter", ESCAPE).await;
    assert_eq!(chromium.run(expanded).await, json!("false"));
    chromium.keys("#filter", ENTER).await;
    chromium
        .until("document.querySelectorAll('input[name=run]').length === 1")
        .await;
    assert!(
        chromium
            .address()
            .await
            .contains("filter=metrics.accuracy+%3E+0.8")
    );
    assert!(!chromium.address().await.contains("column="));
    // A filter that cannot be read says so at its field and keeps what was typed.
    chromium.keys("#filter", " and >").await;
    chromium.keys("#filter", &format!("{ESCAPE}{ENTER}")).await;
    chromium.until("document.getElementById('filter-error')").await;
    chromium.picture("filter-error").await;
    chromium.assert_quiet().await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_chosen_and_stay_in_the_address() {
    let house = House::open().await;
    house.run("one", 0.6, None).await;
    let chromium = Chromium::at(pages(&house)).await;
    chromium.open("/experiments/0").await;
    chromium.click("[popovertarget=columns]").await;
    chromium
        .until("document.activeElement.id === 'columns-search'")
        .await;
    chromium
        .until("document.querySelector(\"#columns [value='tags.fragua.dag_id']\")")
        .await;
    chromium.picture("columns").await;
    chromium.keys("#columns-search", "dag_id").await;
    chromium
        .until("document.querySelector(\"#columns [value='metrics.loss']\").closest('label').hidden")
        .await;
    chromium.click("#columns [value='tags.fragua.dag_id']").await;
    chromium.click("#columns .button-primary").await;
    chromium
        .until("document.getElementById('sort-tags.fragua.dag_id')")
        .await;
    assert!(chromium.address().await.contains("column=tags.fragua.dag_id"));
    chromium.assert_quiet().await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_table_keeps_the_page_small_and_the_selection_whole() {
    let house = House::open().await;
    for place in 0..320 {
        house
            .run(&format!("run-{place:04}"), f64::from(place), None)
            .await;
    }
    let chromium = Chromium::at(pages(&house)).await;
    chromium.open("/experiments/0?sort=metrics.accuracy").await;
    chromium
        .until("document.querySelectorAll('tbody[data-chunk]').length === 4")
        .await;
    let width = "document.querySelector('#run-table table').offsetWidth";
    let before = chromium.run(&format!("return {width}")).await;
    // Select the first three with the shift key held for the third.
    chromium.click("tbody tr:nth-child(1) input[name=run]").await;
    chromium
        .run(
            "document.querySelector('tbody tr:nth-child(3) input[name=run]')
               .dispatchEvent(new MouseEvent('click', { bubbles: true, shiftKey: true }))",
        )
        .await;
    chromium
        .until("document.getElementById('selection-count').textContent === '3 selected'")
        .await;
    let rows = "document.querySelectorAll('input[name=run]').length";
    chromium
        .run("const pane = document.getElementById('run-table'); pane.scrollTop = pane.scrollHeight")
        .await;
    chromium.until("document.querySelector('[title=run-0319]')").await;
    chromium.until(&format!("{rows} < 250")).await;
    chromium.picture("run-table-end").await;
    assert_eq!(
        chromium.run(&format!("return {width}")).await,
        before,
        "columns move"
    );
    // What is far above is selected still, and goes along with what is selected here.
    chromium.click("tr:has([title=run-0319]) input[name=run]").await;
    chromium
        .until("document.getElementById('selection-count').textContent === '4 selected'")
        .await;
    chromium
        .run("document.querySelector('[popovertarget=tag-runs]').click()")
        .await;
    chromium.keys("#runs-tag-key", "team").await;
    chromium.keys("#runs-tag-value", &format!("north{ENTER}")).await;
    chromium
        .until("document.getElementById('selection-count').textContent.startsWith('Select')")
        .await;
    chromium.open("/experiments/0?filter=tags.team = 'north'").await;
    chromium.until(&format!("{rows} === 4")).await;
    chromium.assert_quiet().await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_is_refused_keeps_the_selection_and_what_was_typed() {
    let house = House::open().await;
    for place in 0..3 {
        house.run(&format!("run-{place}"), f64::from(place), None).await;
    }
    let chromium = Chromium::at(pages(&house)).await;
    chromium.open("/experiments/0").await;
    for row in [1, 2] {
        chromium
            .click(&format!("tbody tr:nth-child({row}) input[name=run]"))
            .await;
    }
    chromium.click("[popovertarget=tag-runs]").await;
    chromium.keys("#runs-tag-value", &format!("north{ENTER}")).await;
    chromium.until("document.getElementById('tag-runs-error')").await;
    chromium
        .until("document.getElementById('selection-count').textContent === '2 selected'")
        .await;
    chromium.picture("tag-refused").await;
    chromium.assert_quiet().await;
    chromium.keys("#runs-tag-key", &format!("team{ENTER}")).await;
    chromium.until("!document.getElementById('tag-runs-error')").await;
    chromium.open("/experiments/0?filter=tags.team = 'north'").await;
    chromium
        .until("document.querySelectorAll('input[name=run]').length === 2")
        .await;
    chromium.assert_quiet().await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_experiment_is_made_and_edited_in_place() {
    let house = House::open().await;
    let chromium = Chromium::at(pages(&house)).await;
    chromium.open("/").await;
    chromium.click(".page-title .button-primary").await;
    chromium.until("document.activeElement.id === 'new-name'").await;
    chromium.keys("#new-name", "Default").await;
    chromium.keys("#new-note", "**why**").await;
    chromium.click("#create-experiment .button-primary").await;
    chromium
        .until("document.getElementById('create-name-error')")
        .await;
    chromium.picture("experiment-refused").await;
    chromium.assert_quiet().await;
    chromium.keys("#new-name", &format!("{END} forest")).await;
    chromium.click("#create-experiment .button-primary").await;
    chromium
        .until("document.querySelector('h1')?.textContent === 'Default forest'")
        .await;
    chromium.until("document.querySelector('.prose strong')").await;
    chromium.click("[href*='edit=rename']").await;
    chromium.until("document.activeElement.id === 'rename'").await;
    chromium.keys("#rename", &format!("s{ENTER}")).await;
    chromium
        .until("document.querySelector('h1')?.textContent === 'Default forests'")
        .await;
    chromium.click("[href*='edit=tag']").await;
    chromium.until("document.activeElement.id === 'tag-key'").await;
    chromium.keys("#tag-key", "team").await;
    chromium.keys("#tag-value", &format!("north{ENTER}")).await;
    chromium
        .until("document.querySelector('#tags td')?.textContent === 'north'")
        .await;
    chromium.picture("experiment-tags").await;
    chromium.click(".head-note > .edit-link").await;
    chromium.until("!document.getElementById('tags')").await;
    for address in [
        "/?edit=create&lang=es",
        "/experiments/1?edit=tag",
        "/experiments/1?edit=description",
    ] {
        for is_phone in [true, false] {
            chromium.phone(is_phone).await;
            chromium.open(&format!("{address}&theme=dark")).await;
            chromium.assert_quiet().await;
        }
    }
    chromium.close().await;
}
