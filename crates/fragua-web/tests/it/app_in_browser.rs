//! The app in a browser: sliders, the table, feedback in place, and every page in both widths, languages and themes.

use serde_json::json;

use super::app::Kept;
use super::chromium::Chromium;
use super::house::House;

const ENTER: &str = "\u{e007}";
const DOWN: &str = "\u{e015}";

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_asked_about_explained_and_judged_in_place() {
    let house = House::open().await;
    house.champion().await;
    let kept = Kept::open(&house).await;
    let chromium = Chromium::at(kept.pages.clone()).await;
    chromium.open("/").await;
    chromium.picture("app-form").await;
    // A slider and its field follow each other, and the mark follows both.
    chromium
        .run(
            "const slider = document.querySelector('[data-moves=field-0]');
             slider.value = slider.max;
             slider.dispatchEvent(new Event('input', { bubbles: true }))",
        )
        .await;
    let ends =
        "document.getElementById('field-0').value === document.querySelector('[data-moves=field-0]').max";
    chromium.until(ends).await;
    let mark = "document.querySelector('.histogram-here').getAttribute('x1')";
    chromium.until(&format!("{mark} === '100'")).await;
    chromium
        .run("document.getElementById('field-0').value = ''")
        .await;
    chromium.keys("#field-0", "1900").await;
    chromium.until(&format!("Number({mark}) < 30")).await;
    chromium
        .until("document.querySelector('[data-moves=field-0]').value === '1900'")
        .await;
    chromium.click("#predict-button").await;
    chromium.until("document.getElementById('why')").await;
    assert_eq!(chromium.address().await, "/");
    chromium.picture("app-answer").await;
    chromium
        .run("document.getElementById('opinion-label').value = '2'")
        .await;
    chromium.click("#opinion-wrong").await;
    chromium
        .until("document.querySelector('#opinion .badge')?.textContent === 'It was 2'")
        .await;
    // The answer and the form are still there.
    chromium.until("document.getElementById('predicted-class')").await;
    assert_eq!(chromium.address().await, "/");
    assert_eq!(
        chromium
            .run("return document.getElementById('kept-link').pathname.length")
            .await,
        json!(45)
    );
    chromium.assert_quiet().await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_is_filled_in_with_the_keyboard_and_by_pasting() {
    let house = House::open().await;
    house.champion().await;
    let kept = Kept::open(&house).await;
    let chromium = Chromium::at(kept.pages.clone()).await;
    chromium.open("/table").await;
    chromium.keys("#cell-0-0", DOWN).await;
    chromium.until("document.activeElement.id === 'cell-1-0'").await;
    chromium.keys("#cell-2-0", ENTER).await;
    chromium.until("document.activeElement.id === 'cell-3-0'").await;
    chromium
        .run(
            "const data = new DataTransfer();
             data.setData('text/plain', '2900\\t2.5\\tRawah\\n2000\\t3.5\\tNeota\\nhigh\\t1\\tCache');
             document.getElementById('cell-1-0').dispatchEvent(
               new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }))",
        )
        .await;
    chromium
        .until("document.getElementById('cell-2-1').value === '3.5'")
        .await;
    chromium.click("#predict-all").await;
    chromium.until("document.getElementById('cell-3-0-note')").await;
    assert_eq!(
        chromium
            .run("return document.querySelectorAll('td.sheet-answer strong').length")
            .await,
        json!(3)
    );
    chromium.picture("app-table").await;
    chromium.click("#delete-4").await;
    chromium.until("!document.getElementById('cell-3-0')").await;
    chromium.assert_quiet().await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_scored_in_place() {
    let house = House::open().await;
    house.champion().await;
    let kept = Kept::open(&house).await;
    let chromium = Chromium::at(kept.pages.clone()).await;
    chromium.open("/batch").await;
    chromium
        .run(
            "const files = new DataTransfer();
             files.items.add(new File(['Elevation,Slope,Area\\n1900,1.5,Cache\\nhigh,1,Cache\\n'], 'new.csv'));
             document.getElementById('batch-file').files = files.files",
        )
        .await;
    chromium.click("#batch-go").await;
    chromium
        .until("document.getElementById('batch-download')?.textContent === 'new-scored.csv'")
        .await;
    chromium
        .until("!document.getElementById('batch-go').disabled")
        .await;
    chromium.picture("app-batch").await;
    chromium.assert_quiet().await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_is_found_and_chosen() {
    let house = House::open().await;
    house.champion().await;
    house.champion().await;
    let kept = Kept::open(&house).await;
    let chromium = Chromium::at(kept.pages.clone()).await;
    chromium.open("/table").await;
    chromium.click(".picker-open").await;
    chromium.keys("#model-picker-search", "nothing").await;
    chromium
        .until("document.querySelector('.picker-list section').hidden")
        .await;
    chromium
        .keys(
            "#model-picker-search",
            "\u{e003}\u{e003}\u{e003}\u{e003}\u{e003}\u{e003}\u{e003}",
        )
        .await;
    chromium
        .until("!document.querySelector('.picker-list section').hidden")
        .await;
    chromium.picture("app-picker").await;
    chromium.click(".picker-list [href$='%2F1']").await;
    chromium
        .until("document.querySelector('.picker-open .chip')?.textContent === 'v1'")
        .await;
    assert_eq!(chromium.address().await, "/table?model=cover_type_class%2F1");
    chromium.assert_quiet().await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_fits_both_widths_languages_and_themes() {
    let house = House::open().await;
    house.champion().await;
    let kept = Kept::open(&house).await;
    let mut ids = Vec::new();
    for place in 0..24 {
        let area = ["Cache", "Neota", "Rawah"][place % 3];
        let form = format!(
            "Elevation={}&Slope={}.5&Area={area}",
            1900 + place * 30,
            place % 5
        );
        ids.push(kept.predict(&form).await);
    }
    for (place, id) in ids.iter().enumerate().take(12) {
        let verdict = if place % 4 == 0 {
            "do=wrong&label=1"
        } else {
            "do=right"
        };
        super::browser::post(
            &kept.pages,
            &format!("/predictions/{id}/feedback"),
            &format!("row=0&{verdict}"),
        )
        .await;
    }
    let chromium = Chromium::at(kept.pages.clone()).await;
    let prediction = format!("/predictions/{}", ids[0]);
    let pages = [
        ("form", "/"),
        ("answer", "/?Elevation=2150&Slope=1.5&Area=Cache"),
        ("wrong", "/?Elevation=high&Slope=1.5&Area=Mars"),
        ("table", "/table"),
        ("batch", "/batch"),
        ("history", "/history"),
        ("prediction", &prediction),
        ("monitoring", "/monitoring"),
    ];
    for (name, address) in pages {
        for is_phone in [false, true] {
            chromium.phone(is_phone).await;
            for (language, theme) in [("en", "light"), ("es", "dark")] {
                let joint = if address.contains('?') { '&' } else { '?' };
                chromium
                    .open(&format!("{address}{joint}lang={language}&theme={theme}"))
                    .await;
                chromium.assert_quiet().await;
                let width = if is_phone { "phone" } else { "wide" };
                chromium
                    .long_picture(&format!("app-{name}-{width}-{theme}"))
                    .await;
            }
        }
    }
    chromium.close().await;
}
