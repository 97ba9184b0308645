//! The pages of runs and models as Chromium shows them: what moves, what is pressed, and a silent console.

use axum::Router;
use fragua_tracking::{Batch, Metric, NewRun, Param, RunStatus, RunUpdate, Tag};

use super::chromium::Chromium;
use super::house::{House, now};

fn pages(house: &House) -> Router {
    fragua_web::tracking_pages(house.tracking.clone(), house.site())
}

/// Opens a page wide and narrow, light and dark, in both languages, and asserts that it is quiet each time.
async fn look(chromium: &Chromium, address: &str, name: &str) {
    let joint = if address.contains('?') { '&' } else { '?' };
    for (is_phone, theme, language) in [
        (false, "light", "en"),
        (false, "dark", "es"),
        (true, "light", "es"),
        (true, "dark", "en"),
    ] {
        chromium.phone(is_phone).await;
        chromium
            .open(&format!("{address}{joint}theme={theme}&lang={language}"))
            .await;
        chromium
            .until("document.documentElement.classList.contains('has-script')")
            .await;
        let width = if is_phone { "phone" } else { "window" };
        chromium.picture(&format!("{name}-{width}-{theme}")).await;
        chromium.assert_quiet().await;
    }
    chromium.phone(false).await;
    chromium.open("/models?theme=light&lang=en").await;
}

/// Logs a run that is at work, with noisy curves.
async fn running(house: &House) -> String {
    let new = NewRun {
        run_name: Some("boosting, depth 8".to_owned()),
        user_id: Some("ana".to_owned()),
        tags: vec![
            Tag::new("team", "forest"),
            Tag::new("mlflow.source.name", "train.py"),
            Tag::new("mlflow.source.git.commit", "0123456789abcdef"),
            Tag::new(
                "mlflow.note.content",
                "# Why\n\nDeeper trees *with* less learning:\n\n- `depth` 8\n- `rate` 0.05",
            ),
        ],
        start_time: Some(now()),
        ..NewRun::default()
    };
    let run_id = house.tracking.create_run(new).await.unwrap().info.run_id;
    log(house, &run_id, 0..200).await;
    let params = [("depth", "8"), ("learning_rate", "0.05"), ("model", "boosting")];
    let batch = Batch {
        params: params.map(|(key, value)| Param::new(key, value)).to_vec(),
        ..Batch::default()
    };
    house.tracking.log_batch(&run_id, batch).await.unwrap();
    run_id
}

async fn log(house: &House, run_id: &str, steps: std::ops::Range<i32>) {
    let mut metrics = Vec::new();
    for step in steps {
        let at = now().plus(std::time::Duration::from_secs(step.unsigned_abs().into()));
        let noise = f64::from((step * 7_919) % 97) / 970.0;
        let loss = 2.0 * (-f64::from(step) / 60.0).exp() + noise;
        metrics.push(Metric::new("loss", loss, at, step.into()));
        metrics.push(Metric::new("accuracy", 1.0 - loss / 2.5, at, step.into()));
        metrics.push(Metric::new(
            "learning_rate",
            0.1 / f64::from(step + 1),
            at,
            step.into(),
        ));
    }
    let batch = Batch {
        metrics,
        ..Batch::default()
    };
    house.tracking.log_batch(run_id, batch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn new_points_appear_while_a_run_logs_and_are_read_out() {
    let house = House::open().await;
    let run_id = running(&house).await;
    let chromium = Chromium::at(pages(&house)).await;
    chromium
        .open(&format!("/runs/{run_id}?tab=metrics&only=loss"))
        .await;
    let last = "JSON.parse(document.querySelector('[data-plot]').dataset.plot).last";
    chromium.until(&format!("{last} === 199")).await;
    chromium
        .run("document.querySelector('[data-plot]').focus()")
        .await;
    // WebDriver's code of the right arrow.
    chromium.keys("[data-plot]", "\u{e014}").await;
    chromium
        .until("document.querySelector('.is-read .plot-place')?.textContent === '0'")
        .await;
    log(&house, &run_id, 200..300).await;
    chromium.until(&format!("{last} === 299")).await;
    let ended = RunUpdate {
        status: Some(RunStatus::Finished),
        ..RunUpdate::default()
    };
    house.tracking.update_run(&run_id, ended).await.unwrap();
    chromium
        .until("document.querySelector('#run-head .state-success') !== null")
        .await;
    chromium.assert_quiet().await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_chosen_about_curves_is_in_the_address() {
    let house = House::open().await;
    let run_id = running(&house).await;
    let chromium = Chromium::at(pages(&house)).await;
    chromium.open(&format!("/runs/{run_id}")).await;
    chromium.click("#run-body .tabs a:nth-child(2)").await;
    chromium
        .until("document.querySelectorAll('.curve-line').length === 3")
        .await;
    chromium.click("[name=together]").await;
    chromium
        .until("document.querySelectorAll('.curve-legend li').length === 3")
        .await;
    chromium.click("[name=log]").await;
    chromium.until("location.search.includes('log=1')").await;
    assert!(chromium.address().await.contains("together=1"));
    chromium.run("history.back()").await;
    chromium
        .until("!location.search.includes('log=1') && !document.querySelector('[name=log]').checked")
        .await;
    chromium.assert_quiet().await;
    for (query, name) in [
        ("", "run"),
        ("?tab=metrics", "curves"),
        ("?tab=metrics&together=1&smooth=0.9", "curves-together"),
        ("?edit=description", "run-edit"),
    ] {
        look(&chromium, &format!("/runs/{run_id}{query}"), name).await;
    }
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_edited_in_place() {
    let house = House::open().await;
    let run_id = running(&house).await;
    let chromium = Chromium::at(pages(&house)).await;
    chromium.open(&format!("/runs/{run_id}")).await;
    chromium.click("a[href$='edit=rename']").await;
    chromium.until("document.querySelector('#rename') !== null").await;
    chromium.run("document.querySelector('#rename').value = ''").await;
    chromium.keys("#rename", "better\n").await;
    chromium
        .until("document.querySelector('h1')?.textContent === 'better'")
        .await;
    chromium.keys("#tag-key", "stage").await;
    chromium.keys("#tag-value", "final\n").await;
    chromium
        .until("[...document.querySelectorAll('#tags th')].some(cell => cell.textContent === 'stage')")
        .await;
    chromium.click("[popovertarget=delete-tag-1]").await;
    chromium
        .until("document.querySelector('#delete-tag-1:popover-open') !== null")
        .await;
    chromium.click("#delete-tag-1 .is-final").await;
    chromium
        .until("![...document.querySelectorAll('#tags th')].some(cell => cell.textContent === 'stage')")
        .await;
    chromium.keys("#find", "rate").await;
    chromium
        .until("location.search === '?find=rate' && document.querySelector('#run-overview .number strong').textContent === '0.0005'")
        .await;
    chromium.assert_quiet().await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn previews_are_shown_and_a_document_stays_in_its_sandbox() {
    let house = House::open().await;
    let run_id = running(&house).await;
    let report = "<h1 id=title>Report</h1><script>document.getElementById('title').textContent = 'drawn';\
                  let reached = 'no'; try { reached = parent.document.title } catch { reached = 'refused' }\
                  parent.postMessage(['drawn', reached, origin], '*')</script>";
    let csv = (0..300).fold("Elevation,Slope,Area\n".to_owned(), |text, row| {
        format!("{text}{},{},Rawah\n", 1800 + row, row % 7)
    });
    for (path, bytes) in [
        ("report.html", report.as_bytes()),
        ("data/rows.csv", csv.as_bytes()),
        ("data/config.json", br#"{"model": {"depth": 8, "names": ["a", "b"]}, "seed": 1, "fast": true}"#),
        ("README.md", b"# Read me\n\nSome *text* with a table:\n\n| a | b |\n|---|---|\n| 1 | 2 |"),
        ("matrix.svg", b"<svg xmlns='http://www.w3.org/2000/svg' width='300' height='200'><rect width='300' height='200' fill='teal'/></svg>"),
    ] {
        house.artifact(&run_id, path, bytes.to_vec()).await;
    }
    let chromium = Chromium::at(pages(&house)).await;
    let tab = format!("/runs/{run_id}?tab=artifacts");
    chromium.open(&tab).await;
    chromium
        .run("addEventListener('message', event => { window.heard = event.data })")
        .await;
    chromium.click(".tree a[href*='report.html']").await;
    chromium.until("window.heard").await;
    assert_eq!(
        chromium.run("return window.heard").await,
        serde_json::json!(["drawn", "refused", "null"])
    );
    for (path, name) in [
        ("data%2Frows.csv", "table"),
        ("data%2Fconfig.json", "json"),
        ("README.md", "markdown"),
        ("matrix.svg", "picture"),
        ("report.html", "document"),
    ] {
        look(
            &chromium,
            &format!("{tab}&path={path}"),
            &format!("preview-{name}"),
        )
        .await;
    }
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_moves_by_a_click_and_a_confirmation() {
    let house = House::open().await;
    house.champion().await;
    house.champion().await;
    let chromium = Chromium::at(pages(&house)).await;
    let version = "/models/cover_type_class/versions/1";
    chromium.open(version).await;
    chromium.click(".alias-rows form .button-small").await;
    chromium
        .until("document.querySelector('.alias-move') !== null")
        .await;
    chromium.picture("alias-move").await;
    chromium.click(".alias-move .button-primary").await;
    chromium
        .until("document.querySelector('#version-head .alias')?.textContent === 'champion'")
        .await;
    let holder = house
        .tracking
        .version_by_alias("cover_type_class", "champion")
        .await
        .unwrap();
    assert_eq!(holder.version, 1);
    chromium.assert_quiet().await;
    for (address, name) in [
        (version, "version"),
        ("/models", "models"),
        ("/models/cover_type_class", "model"),
        ("/models/cover_type_class?edit=delete", "model-delete"),
        ("/models/cover_type_class/compare?v=1&v=2", "versions-compare"),
        ("/experiments/0/logged-models", "logged-models"),
    ] {
        look(&chromium, address, name).await;
    }
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_long_or_wide_keeps_to_its_place() {
    let house = House::open().await;
    let run_id = house.champion().await;
    house.grid_search().await;
    let batch = Batch {
        metrics: Vec::new(),
        params: vec![Param::new("estimator", "Pipeline(steps=[], ".repeat(310))],
        tags: Vec::new(),
    };
    house.tracking.log_batch(&run_id, batch).await.unwrap();
    let chromium = Chromium::at(pages(&house)).await;
    chromium.open(&format!("/runs/{run_id}")).await;
    let height = "return document.querySelector('.value-box').clientHeight";
    assert!(chromium.run(height).await.as_f64().unwrap() < 250.0);
    let text = "return document.querySelector('.value-box').textContent.length";
    assert_eq!(chromium.run(text).await, 5890);
    look(&chromium, &format!("/runs/{run_id}"), "long-value").await;
    look(
        &chromium,
        "/models/cover_type_class/versions/1",
        "version-loading",
    )
    .await;
    look(&chromium, "/experiments/0?filter=oh", "filter-error").await;
    look(&chromium, "/experiments/0?runs=all", "grid-search").await;
    chromium.phone(true).await;
    chromium.open("/models").await;
    chromium.picture("models-narrow").await;
    let fits =
        "const wrap = document.querySelector('.table-wrap'); return wrap.scrollWidth <= wrap.clientWidth";
    assert_eq!(chromium.run(fits).await, true);
    chromium.open("/experiments/0?runs=all").await;
    chromium
        .until(
            "getComputedStyle(document.getElementById('run-table')).maskImage.startsWith('linear-gradient')",
        )
        .await;
    chromium
        .run("document.getElementById('run-table').scrollTo({ left: 9999, behavior: 'instant' })")
        .await;
    chromium
        .until("getComputedStyle(document.getElementById('run-table')).maskImage === 'none'")
        .await;
    chromium.close().await;
}
