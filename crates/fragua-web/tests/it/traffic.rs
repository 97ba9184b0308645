//! Which versions of a registered model answer, on its page.

use axum::Router;
use axum::http::StatusCode;

use super::app::Kept;
use super::browser::{assert_pages, get, post};
use super::chromium::Chromium;
use super::house::House;

const PAGE: &str = "/models/cover_type_class";

fn pages(house: &House, kept: &Kept) -> Router {
    let site = house.site().with_traffic_of(Some(kept.serving.clone()));
    fragua_web::tracking_pages(house.tracking.clone(), site)
}

#[tokio::test]
async fn a_version_is_tried_out_promoted_and_taken_back() {
    let house = House::open().await;
    house.champion().await;
    house.champion().await;
    let kept = Kept::open(&house).await;
    let pages = pages(&house, &kept);
    assert_pages(&pages, &[PAGE]).await;
    let page = get(&pages, PAGE).await;
    page.has(&[
        "<strong>v2</strong>",
        "/?model=cover_type_class%40champion",
        "<option value=\"1\">v1</option>",
    ]);
    page.lacks(&["value=\"promote\"", "value=\"roll-back\"", "<option value=\"2\">"]);
    let set = post(
        &pages,
        PAGE,
        "do=trial&alias=champion&canary=1&percent=20&shadow=",
    )
    .await;
    assert_eq!(set.status, StatusCode::SEE_OTHER);
    let page = get(&pages, PAGE).await;
    page.has(&[
        "<strong>v2</strong> · 80 %",
        "<strong>v1</strong> · 20 %",
        "Promote version 1 to champion?",
    ]);
    get(&kept.pages, "/")
        .await
        .has(&["Canary: version 1 answers 20 %"]);
    let promoted = post(&pages, PAGE, "do=promote&alias=champion").await;
    assert_eq!(promoted.status, StatusCode::SEE_OTHER);
    let page = get(&pages, PAGE).await;
    page.has(&["champion → v1", "The alias moves back to version 2."]);
    get(&kept.pages, "/").await.has(&[">v1<"]);
    post(&pages, PAGE, "do=roll-back&alias=champion").await;
    get(&pages, PAGE).await.has(&["champion → v2"]);
}

#[tokio::test]
async fn what_cannot_be_done_is_said_in_the_box() {
    let house = House::open().await;
    house.champion().await;
    let kept = Kept::open(&house).await;
    let pages = pages(&house, &kept);
    for (form, expected) in [
        ("do=trial&alias=champion&canary=1&percent=20", "is the one that"),
        ("do=trial&alias=champion&canary=9&percent=20", "version 9"),
        (
            "do=trial&alias=champion&canary=1&percent=many",
            "Choose versions from the list",
        ),
        ("do=trial&alias=champion&canary=1&percent=0", "between 1 and 100"),
        ("do=promote&alias=champion", "no canary to promote"),
        ("do=roll-back&alias=champion", "to take back"),
    ] {
        let answer = post(&pages, PAGE, form).await;
        assert_eq!(answer.status, StatusCode::OK, "{form}");
        answer.has(&["This could not be done", expected]);
    }
    // Without serving in this process there is no box, and no way to send its forms.
    let alone = fragua_web::tracking_pages(house.tracking.clone(), house.site());
    get(&alone, PAGE).await.lacks(&["id=\"traffic\""]);
    assert_eq!(
        post(&alone, PAGE, "do=promote&alias=champion").await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_is_promoted_after_a_question() {
    let house = House::open().await;
    house.champion().await;
    house.champion().await;
    let kept = Kept::open(&house).await;
    let chromium = Chromium::at(pages(&house, &kept)).await;
    chromium.open(PAGE).await;
    chromium
        .run("document.getElementById('canary-1').value = '1'")
        .await;
    chromium.click(".traffic-form .button").await;
    chromium
        .until("document.querySelector('[popovertarget=promote-champion]')")
        .await;
    chromium.long_picture("traffic").await;
    chromium.click("[popovertarget=promote-champion]").await;
    chromium
        .until("document.querySelector('#promote-champion:popover-open')")
        .await;
    chromium.click("#promote-champion .is-final").await;
    chromium
        .until("document.querySelector('.page-title .alias')?.textContent === 'champion → v1'")
        .await;
    for is_phone in [true, false] {
        chromium.phone(is_phone).await;
        chromium.open(&format!("{PAGE}?lang=es&theme=dark")).await;
        chromium.assert_quiet().await;
        chromium.long_picture(&format!("traffic-{is_phone}")).await;
    }
    chromium.close().await;
}
