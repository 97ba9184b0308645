//! The pages of DAGs in a browser: every state, wide and narrow, light and dark; the keyboard in the grid; forms that
//! show what they would do.

use std::fmt::Write as _;

use serde_json::json;

use super::chromium::Chromium;
use super::orchestrator::Forge;

const ENTER: &str = "\u{e007}";
const LEFT: &str = "\u{e012}";
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
    bash: { command: \"true\" }
";

async fn forge() -> (Forge, String) {
    let broken = "dag: broken\nshedule: \"@daily\"\ntasks: []\n";
    let forge = Forge::open(&[("load.yaml", LOAD), ("broken.yaml", broken)]).await;
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
