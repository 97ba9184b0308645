//! The pages of DAGs in a browser: every state, wide and narrow, light and dark; the keyboard in the grid; forms that
//! show what they would do.

use std::fmt::Write as _;

use serde_json::json;

use super::chromium::Chromium;
use super::orchestrator::Forge;

const ENTER: &str = "\u{e007}";
const LEFT: &str = "\u{e012}";
const TAB: &str = "\u{e004}";
const DOWN: &str = "\u{e015}";

const LOAD: &str = "\
dag: load
description: |
  Loads the rows of a day.

  | table | rows |
  | --- | --- |
  | cover_type | 58 000 |
schedule: \"@daily\"
start_date: 2025-04-01
catchup: false
tags: [warehouse, daily]
default_args: { owner: ada, retries: 2, retry_delay: 1m }
params:
  rows: { type: integer, default: 5, minimum: 1, description: How many rows }
tasks:
  - id: begin
    bash: { command: \"echo {{ ds }}\" }
  - group: extract
    needs: [begin]
    tasks:
      - id: list_files
        bash: { command: \"ls\" }
      - id: download
        needs: [list_files]
        bash: { command: \"echo {{ params.rows }}\" }
  - group: check
    needs: [extract]
    tasks:
      - id: schema
        bash: { command: \"true\" }
      - id: counts
        bash: { command: \"true\" }
  - id: publish
    needs: [check]
    outlets: [\"table://warehouse/cover_type\"]
    bash: { command: \"true\" }
";

const REPORT: &str = "\
dag: report
schedule: { assets: [\"table://warehouse/cover_type\", \"table://warehouse/soil\"] }
tasks:
  - id: draw
    bash: { command: \"true\" }
";

async fn forge() -> (Forge, String) {
    let broken = "dag: broken\nshedule: \"@daily\"\ntasks: []\n";
    let files = [
        ("load.yaml", LOAD),
        ("report.yaml", REPORT),
        ("broken.yaml", broken),
    ];
    let forge = Forge::open(&files).await;
    forge.orchestrator.set_paused("report", false).await.unwrap();
    for asset in ["cover_type", "soil", "cover_type"] {
        let asset = format!("table://warehouse/{asset}");
        let extra = serde_json::Map::from_iter([("rows".to_owned(), json!(58_000))]);
        forge
            .orchestrator
            .create_asset_event(&asset, extra)
            .await
            .unwrap();
    }
    let mut run = String::new();
    for state in ["success", "failed", "success", ""] {
        run = forge.trigger("load").await;
        let runs = forge.orchestrator.dag_runs(Default::default()).await.unwrap();
        let ended = fragua_orchestrator::DagRunState::parse(state);
        if let Some(ended) = ended {
            forge
                .orchestrator
                .mark_run("load", &runs[0].run_id, ended)
                .await
                .unwrap();
        }
    }
    let pool = fragua_orchestrator::Pool {
        name: "gpu".to_owned(),
        slots: 2,
        description: "The cards of the big machine".to_owned(),
        include_deferred: false,
    };
    forge.orchestrator.put_pool(pool).await.unwrap();
    for (name, url) in [
        ("warehouse", "postgres://ada:hunter2-word@127.0.0.1:1/warehouse"),
        ("source", "http://127.0.0.1:1/data"),
    ] {
        let url = fragua_base::Secret::new(url);
        forge
            .orchestrator
            .put_connection(name, &url, "Where the rows go")
            .await
            .unwrap();
    }
    let value = fragua_base::Secret::new("eu-west-1");
    forge
        .orchestrator
        .put_variable("region", &value, "Where we are")
        .await
        .unwrap();
    (forge, run)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_fits_and_is_quiet_in_each_look() {
    let (forge, run) = forge().await;
    let chromium = Chromium::at(forge.pages.clone()).await;
    let pages = [
        ("dags", "/".to_owned()),
        ("grid", "/dags/load".to_owned()),
        ("grid-folded", "/dags/load?fold=extract".to_owned()),
        ("graph", "/dags/load?tab=graph".to_owned()),
        ("graph-folded", "/dags/load?tab=graph&fold=check".to_owned()),
        ("charts", "/dags/load?tab=charts".to_owned()),
        ("calendar", "/dags/load?tab=calendar".to_owned()),
        ("dag-runs", "/dags/load?tab=runs".to_owned()),
        ("code", "/dags/load?tab=code".to_owned()),
        ("details", "/dags/load?tab=details".to_owned()),
        ("trigger", "/dags/load/trigger".to_owned()),
        ("run", run.clone()),
        ("run-task", format!("{run}?task=publish")),
        ("run-gantt", format!("{run}?show=gantt")),
        ("run-graph", format!("{run}?show=graph&task=begin&view=rendered")),
        ("run-details", format!("{run}?task=begin&view=details")),
        ("clear", format!("{run}/clear?task=begin")),
        ("mark", format!("{run}/mark?task=begin")),
        ("runs", "/runs".to_owned()),
        ("backfills", "/backfills".to_owned()),
        ("assets", "/assets".to_owned()),
        (
            "asset",
            "/asset?name=table%3A%2F%2Fwarehouse%2Fcover_type".to_owned(),
        ),
        ("waits-for-assets", "/dags/report".to_owned()),
        (
            "backfill-new",
            "/backfills/new?dag=load&from=2025-03-01&to=2025-03-09".to_owned(),
        ),
        ("pools", "/pools?edit=gpu".to_owned()),
        ("pool", "/pools/default_pool".to_owned()),
        ("variables", "/variables?edit=".to_owned()),
        ("connections", "/connections?edit=warehouse".to_owned()),
        ("workers", "/workers".to_owned()),
        ("import-errors", "/import-errors".to_owned()),
        ("audit", "/audit".to_owned()),
    ];
    for (name, address) in &pages {
        for (theme, language, is_phone) in [
            ("light", "en", false),
            ("dark", "es", false),
            ("light", "es", true),
        ] {
            chromium.phone(is_phone).await;
            let join = if address.contains('?') { '&' } else { '?' };
            chromium
                .open(&format!("{address}{join}theme={theme}&lang={language}"))
                .await;
            chromium
                .until("document.documentElement.classList.contains('has-script')")
                .await;
            let width = if is_phone { "390" } else { "1280" };
            chromium.picture(&format!("{name}-{theme}-{width}")).await;
            chromium.assert_quiet().await;
        }
    }
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grid_of_200_runs_and_50_tasks_is_walked_with_the_keyboard() {
    let mut text = "dag: big\nmax_active_runs: 2\ntasks:\n".to_owned();
    for task in 0..50 {
        let needs = match task {
            0 => String::new(),
            _ => format!("    needs: [task_{}]\n", task - 1),
        };
        let _ = write!(
            text,
            "  - id: task_{task}\n{needs}    bash: {{ command: \"true\" }}\n"
        );
    }
    let forge = Forge::open(&[("big.yaml", &text)]).await;
    for _ in 0..200 {
        forge.trigger("big").await;
    }
    let page = super::browser::get(&forge.pages, "/dags/big?span=200").await;
    assert_eq!(page.body.matches("<td").count(), 200 * 50);
    assert!(page.body.len() < 900_000, "{} bytes", page.body.len());
    let chromium = Chromium::at(forge.pages.clone()).await;
    chromium.open("/dags/big?span=200").await;
    chromium
        .until("document.getElementById('grid').dataset.begun")
        .await;
    chromium.picture("grid-200").await;
    // The newest run is in sight; the first key begins there.
    let keys = format!("{DOWN}{DOWN}{LEFT}");
    chromium.keys("#grid", &keys).await;
    let active = "document.querySelector('td.is-active')";
    chromium
        .until(&format!("{active}.parentElement.dataset.task === 'task_1'"))
        .await;
    assert_eq!(
        chromium.run(&format!("return {active}.cellIndex")).await,
        json!(199)
    );
    chromium
        .until("!document.getElementById('grid-tip').hidden")
        .await;
    chromium.picture("grid-200-tip").await;
    // Every key answers within what the eye takes for at once.
    let took = "const grid = document.getElementById('grid'); const start = performance.now();
        for (let i = 0; i < 20; i += 1) grid.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowLeft', bubbles: true }));
        return (performance.now() - start) / 20;";
    println!("a key in the grid: {} ms", chromium.run(took).await);
    chromium.keys("#grid", ENTER).await;
    chromium
        .until("location.pathname.includes('/runs/') && location.search === '?task=task_1'")
        .await;
    chromium.assert_quiet().await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_show_what_they_would_do_and_then_do_it() {
    let (forge, run) = forge().await;
    let chromium = Chromium::at(forge.pages.clone()).await;
    chromium.open(&format!("{run}/clear?task=begin")).await;
    let button = "document.querySelector('#act-form .button-primary').textContent";
    chromium.until(&format!("{button}.includes('6 tasks')")).await;
    chromium.click("#act-downstream").await;
    chromium.until(&format!("{button}.includes('1 task')")).await;
    assert!(chromium.address().await.contains("form=1"));
    chromium.click("#act-form .button-primary").await;
    chromium
        .until("location.pathname.includes('/runs/') && location.search === '?task=begin'")
        .await;
    // A connection is tried by a click, and the answer stands beside it.
    chromium.open("/connections").await;
    chromium.click("#test-2").await;
    chromium
        .until("document.querySelector('.probe.is-bad')?.textContent.length > 10")
        .await;
    chromium.picture("connection-tested").await;
    assert_eq!(chromium.address().await, "/connections");
    // The graph is zoomed and keeps its zoom.
    chromium.open("/dags/load?tab=graph").await;
    let width = "document.querySelector('#dag-graph svg').getBoundingClientRect().width";
    let before = chromium.run(&format!("return {width}")).await.as_f64().unwrap();
    chromium.click("[data-zoom=in]").await;
    chromium.until(&format!("{width} > {before} * 1.2")).await;
    chromium.keys("#dag-graph", "0").await;
    chromium.until(&format!("Math.abs({width} - {before}) < 2")).await;
    chromium.assert_quiet().await;
    chromium.close().await;
}

/// What is said of the element that has the focus: where it is and whether it shows.
const FOCUS: &str = "
    const focused = document.activeElement;
    const style = getComputedStyle(focused);
    const shows = style.outlineStyle !== 'none' || style.boxShadow !== 'none' || focused.matches('.graph-node');
    return focused === document.body || shows ? '' : focused.outerHTML.slice(0, 200);
";

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_tab_key_reaches_shows_that_it_has_the_focus() {
    let (forge, run) = forge().await;
    let chromium = Chromium::at(forge.pages.clone()).await;
    for address in [
        "/",
        "/dags/load",
        "/dags/load?tab=graph",
        "/dags/load?tab=charts",
        &run,
        "/connections",
        "/backfills/new?dag=load",
    ] {
        chromium.open(address).await;
        chromium
            .until("document.documentElement.classList.contains('has-script')")
            .await;
        for _ in 0..45 {
            chromium
                .client
                .active_element()
                .await
                .unwrap()
                .send_keys(TAB)
                .await
                .unwrap();
            assert_eq!(chromium.run(FOCUS).await, json!(""), "{address}");
        }
    }
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_while_a_page_is_open_moves_nothing_of_it() {
    let (forge, run) = forge().await;
    let chromium = Chromium::at(forge.pages.clone()).await;
    chromium.open("/dags/load").await;
    chromium
        .until("document.getElementById('grid').dataset.begun")
        .await;
    // Shifts of what stands still are noted by the browser; what a key or a click moves is no shift.
    let watch = "window.shifted = 0; window.opened = true;
        new PerformanceObserver((list) => { for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value; })
            .observe({ type: 'layout-shift' });";
    chromium.run(watch).await;
    chromium.keys("#grid", &format!("{DOWN}{DOWN}{LEFT}")).await;
    let place = "const cell = document.querySelector('td.is-active');
        return [cell.parentElement.dataset.task, document.querySelectorAll('thead a[data-run]')[cell.cellIndex - 1].dataset.run,
            document.activeElement.id, getComputedStyle(cell).outlineStyle, scrollY, document.getElementById('dag-body').getBoundingClientRect().top];";
    let before = chromium.run(place).await;
    assert_eq!((&before[2], &before[3]), (&json!("grid"), &json!("solid")));
    forge.trigger("load").await;
    chromium
        .until("document.querySelectorAll('thead a[data-run]').length === 5")
        .await;
    assert_eq!(chromium.run(place).await, before);
    assert_eq!(
        chromium.run("return window.opened").await,
        json!(true),
        "no reload"
    );
    let shifted = chromium.run("return window.shifted").await.as_f64().unwrap();
    assert!(shifted < 0.02, "{shifted}");

    // A list that somebody scrolled stays where it was, and the search keeps what is typed.
    chromium.open("/").await;
    chromium.run(watch).await;
    chromium.keys("#dags-search", "lo").await;
    chromium.until("location.search === '?search=lo'").await;
    chromium.run("window.shifted = 0").await;
    let marks = "document.querySelectorAll('.mark').length";
    let shown = chromium.run(&format!("return {marks}")).await;
    forge.trigger("load").await;
    chromium.until(&format!("{marks} > {shown}")).await;
    let typed = "return [document.activeElement.id, document.activeElement.value]";
    assert_eq!(chromium.run(typed).await, json!(["dags-search", "lo"]));
    let shifted = chromium.run("return window.shifted").await.as_f64().unwrap();
    assert!(shifted < 0.02, "{shifted}");

    // A run that is marked changes its page in place.
    chromium.open(&run).await;
    chromium.run(watch).await;
    let run_id = chromium
        .run("return document.querySelector('h1').textContent")
        .await;
    forge
        .orchestrator
        .mark_run(
            "load",
            run_id.as_str().unwrap(),
            fragua_orchestrator::DagRunState::Success,
        )
        .await
        .unwrap();
    chromium
        .until("document.querySelector('#run-head .state-success')")
        .await;
    let shifted = chromium.run("return window.shifted").await.as_f64().unwrap();
    assert!(shifted < 0.1, "{shifted}");
    chromium.assert_quiet().await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_keep_appears_and_how_a_test_went_stays() {
    let (forge, _) = forge().await;
    let chromium = Chromium::at(forge.pages.clone()).await;
    let keep = async |name: &str| {
        let url = fragua_base::Secret::new("http://127.0.0.1:1/");
        forge.orchestrator.put_connection(name, &url, "").await.unwrap();
    };
    let listed = |name: &str| format!("document.getElementById('vault-list').textContent.includes('{name}')");
    chromium.open("/connections").await;
    keep("first_of_others").await;
    chromium.until(&listed("first_of_others")).await;
    chromium.click("#test-2").await;
    chromium.until("document.querySelector('.probe')").await;
    let fetched =
        "performance.getEntriesByType('resource').filter((entry) => entry.initiatorType === 'fetch').length";
    let before = chromium.run(&format!("return {fetched}")).await;
    keep("second_of_others").await;
    chromium.until(&format!("{fetched} > {before}")).await;
    chromium.until("document.querySelector('.probe')").await;
    assert_eq!(
        chromium
            .run(&format!("return {}", listed("second_of_others")))
            .await,
        json!(false)
    );

    chromium.open("/audit?event=put_connection").await;
    let entries = "document.querySelectorAll('#audit-list tbody tr').length";
    let before = chromium.run(&format!("return {entries}")).await;
    keep("third_of_others").await;
    chromium.until(&format!("{entries} > {before}")).await;
    chromium.assert_quiet().await;
    chromium.close().await;
}
