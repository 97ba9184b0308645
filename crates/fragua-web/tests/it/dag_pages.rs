//! What is done from the pages of DAGs: fold, compare, clear, mark, backfill, and keep pools, variables and connections.

use axum::http::StatusCode;
use fragua_orchestrator::{BackfillState, InstanceId, Marking, TaskState};

use super::browser::{assert_pages, get, post};
use super::orchestrator::Forge;

const GROUPED: &str = "\
dag: grouped
description: \"# Title\\n\\nLoads **everything**.\"
schedule: \"@daily\"
start_date: 2025-04-01
catchup: false
tasks:
  - id: begin
    bash: { command: \"echo\" }
  - group: load
    needs: [begin]
    tasks:
      - id: one
        bash: { command: \"echo {{ ds }}\" }
      - group: inner
        needs: [one]
        tasks:
          - id: two
            bash: { command: \"echo\" }
  - id: end
    needs: [load]
    bash: { command: \"echo\" }
";

#[tokio::test]
async fn an_instance_is_called_what_its_template_says() {
    let dag = "dag: mapped\ntasks:\n  - id: load\n    expand: { shop: [bilbao, lugo] }\n    map_index_template: \"shop {{ map.shop }}\"\n    bash: { command: \"echo\" }\n";
    let forge = Forge::open(&[("mapped.yaml", dag)]).await;
    let run = forge.trigger("mapped").await;
    for show in ["", "&show=gantt"] {
        get(&forge.pages, &format!("{run}?task=load%5B0%5D{show}"))
            .await
            .has(&["<span class=\"muted\">shop bilbao</span>"]);
    }
}

#[tokio::test]
async fn groups_fold_in_the_grid_and_in_the_graph() {
    let forge = Forge::open(&[("grouped.yaml", GROUPED)]).await;
    forge.trigger("grouped").await;
    let open = get(&forge.pages, "/dags/grouped").await;
    open.has(&[
        "data-task=\"load\"",
        "data-task=\"load.inner\"",
        "data-task=\"load.inner.two\"",
        "?fold=load\"",
        "data-counts=\"Not started: 2\"",
    ]);
    let folded = get(&forge.pages, "/dags/grouped?fold=load.inner").await;
    folded.has(&["data-task=\"load.one\"", "data-task=\"load.inner\"", "▸"]);
    folded.lacks(&["data-task=\"load.inner.two\""]);
    let folded = get(&forge.pages, "/dags/grouped?fold=load").await;
    folded.lacks(&["data-task=\"load.one\"", "data-task=\"load.inner\""]);
    let graph = get(&forge.pages, "/dags/grouped?tab=graph").await;
    assert_eq!(graph.body.matches("class=\"graph-edge\"").count(), 3);
    assert_eq!(graph.body.matches("class=\"graph-group\"").count(), 2);
    let graph = get(&forge.pages, "/dags/grouped?tab=graph&fold=load").await;
    assert_eq!(graph.body.matches("class=\"graph-edge\"").count(), 2);
    graph.has(&["2 tasks", " is-group\""]);
    get(&forge.pages, "/dags/grouped?tab=details")
        .await
        .has(&["<h3>Title</h3>", "<strong>everything</strong>"]);
}

#[tokio::test]
async fn versions_of_a_file_are_compared() {
    let forge = Forge::open(&[("grouped.yaml", GROUPED)]).await;
    let before = forge.orchestrator.dag_versions("grouped").await.unwrap();
    forge
        .rewrite("grouped", &GROUPED.replace("catchup: false", "catchup: true"))
        .await;
    let versions = forge.orchestrator.dag_versions("grouped").await.unwrap();
    assert_eq!((before.len(), versions.len()), (1, 2));
    let old = &before[0].version;
    let address = format!("/dags/grouped?tab=code&against={old}");
    assert_pages(&forge.pages, &[&address]).await;
    get(&forge.pages, &address).await.has(&[
        "+1</strong>",
        "−1</strong>",
        "class=\"is-removed\"",
        "catchup: false",
        "catchup: true",
    ]);
    let address = format!("/dags/grouped?tab=code&version={old}");
    get(&forge.pages, &address).await.lacks(&["catchup: true"]);
}

#[tokio::test]
async fn what_is_cleared_or_marked_is_shown_first() {
    let forge = Forge::open(&[("grouped.yaml", GROUPED)]).await;
    let run = forge.trigger("grouped").await;
    let clear = format!("{run}/clear?task=load.one");
    let mark = format!("{run}/mark?task=begin");
    assert_pages(
        &forge.pages,
        &[&clear, &mark, &format!("{run}/clear"), &format!("{run}/mark")],
    )
    .await;
    // What comes after is meant unless somebody says otherwise.
    get(&forge.pages, &clear)
        .await
        .has(&["Clear · 3 tasks", ">load.inner.two<", ">end<"]);
    let alone = get(&forge.pages, &format!("{clear}&form=1")).await;
    alone.has(&["Clear · 1 task<", ">load.one<"]);
    alone.lacks(&[">end<"]);
    get(&forge.pages, &format!("{clear}&form=1&upstream=1"))
        .await
        .has(&["Clear · 2 tasks", ">begin<"]);
    get(&forge.pages, &format!("{clear}&form=1&only_failed=1"))
        .await
        .has(&["None. Choose more above.", "disabled"]);
    get(&forge.pages, &mark).await.has(&["Mark · 1 task<"]);

    let marked = post(
        &forge.pages,
        &format!("{run}/mark"),
        "form=1&task=begin&state=failed",
    )
    .await;
    assert_eq!(marked.status, StatusCode::SEE_OTHER, "{}", marked.body);
    let page = get(&forge.pages, marked.header("location")).await;
    page.has(&["state-failed", "was marked by hand", "state-upstream_failed"]);
    let details = format!("{run}?task=begin&view=details");
    get(&forge.pages, &details)
        .await
        .has(&["all_success", "was marked by hand"]);
    let cleared = post(
        &forge.pages,
        &format!("{run}/clear"),
        "form=1&task=begin&downstream=1",
    )
    .await;
    assert_eq!(cleared.status, StatusCode::SEE_OTHER);
    get(&forge.pages, &run).await.has(&["0 of 4 done"]);
    let ended = post(&forge.pages, &format!("{run}/mark"), "form=1&state=success").await;
    assert_eq!(ended.status, StatusCode::SEE_OTHER);
    get(&forge.pages, &run).await.has(&["4 of 4 done"]);
}

#[tokio::test]
async fn a_task_is_shown_from_each_side() {
    let forge = Forge::open(&[("grouped.yaml", GROUPED)]).await;
    let run = forge.trigger("grouped").await;
    let views: Vec<String> = [
        "",
        "&view=attempts",
        "&view=rendered",
        "&view=xcom",
        "&view=details",
    ]
    .iter()
    .map(|view| format!("{run}?task=load.one{view}"))
    .collect();
    let shows = ["gantt", "graph"].map(|show| format!("{run}?show={show}"));
    let all: Vec<&str> = views.iter().chain(&shows).map(String::as_str).collect();
    assert_pages(&forge.pages, &all).await;
    get(&forge.pages, &views[0]).await.has(&[
        "Waits for begin (queued)",
        "?task=begin\"",
        "This task has no log yet",
    ]);
    get(&forge.pages, &views[1]).await.has(&["No attempt yet"]);
    get(&forge.pages, &views[2]).await.has(&["command", "echo 20"]);
    get(&forge.pages, &views[3]).await.has(&["Nothing handed on"]);
    get(&forge.pages, &views[4]).await.has(&["default_pool × 1"]);
    let noted = post(&forge.pages, &format!("{run}/note"), "note=looks+odd").await;
    assert_eq!(noted.status, StatusCode::SEE_OTHER);
    get(&forge.pages, &run).await.has(&["looks odd"]);
    get(&forge.pages, &format!("{run}?edit=note"))
        .await
        .has(&["value=\"looks odd\""]);
    get(&forge.pages, "/runs")
        .await
        .has(&["looks odd", "href=\"/dags/grouped\""]);
    get(&forge.pages, "/runs?state=failed")
        .await
        .has(&["Nothing found."]);
}

#[tokio::test]
async fn a_backfill_says_what_it_would_do_before_it_does() {
    let forge = Forge::open(&[("grouped.yaml", GROUPED)]).await;
    let form = "dag=grouped&from=2025-03-01&to=2025-03-03&max_active_runs=1&again=none";
    let preview = format!("/backfills/new?{form}");
    assert_pages(&forge.pages, &["/backfills", "/backfills/new", &preview]).await;
    get(&forge.pages, &preview)
        .await
        .has(&["new: 3, again: 0, left alone: 0", "1 March 2025", "New run"]);
    assert!(forge.orchestrator.backfills(None).await.unwrap().is_empty());
    for (wrong, expected) in [
        ("dag=grouped&from=soon&to=2025-03-03", "Enter a date"),
        (
            "dag=grouped&from=2025-03-03&to=2025-03-01",
            "must not be after to_date",
        ),
    ] {
        get(&forge.pages, &format!("/backfills/new?{wrong}"))
            .await
            .has(&[expected, "role=\"alert\""]);
    }
    let made = post(&forge.pages, "/backfills/new", form).await;
    assert_eq!(made.header("location"), "/backfills", "{}", made.body);
    let id = forge.orchestrator.backfills(None).await.unwrap()[0].id.clone();
    get(&forge.pages, "/backfills")
        .await
        .has(&["2025-03-01 – 2025-03-03", "3 runs", "0 %"]);
    let state = async || forge.orchestrator.find_backfill(&id).await.unwrap().state;
    for (what, expected) in [
        ("pause", BackfillState::Paused),
        ("resume", BackfillState::Running),
        ("cancel", BackfillState::Cancelled),
    ] {
        let done = post(&forge.pages, "/backfills", &format!("id={id}&do={what}")).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{what}: {}", done.body);
        assert_eq!(state().await, expected);
    }
    get(&forge.pages, "/backfills").await.has(&["Cancelled", "100 %"]);
}

#[tokio::test]
async fn a_backfill_asks_for_the_parameters_of_its_dag() {
    let dag = "\
dag: asks
schedule: \"@daily\"
start_date: 2025-04-01
catchup: false
params:
  from: { type: integer, default: 5, minimum: 1, description: How many }
tasks:
  - id: work
    bash: { command: \"echo {{ params.from }}\" }
";
    let forge = Forge::open(&[("asks.yaml", dag)]).await;
    let chosen = "/backfills/new?dag=asks";
    assert_pages(&forge.pages, &[chosen]).await;
    // A parameter may be named as a field of the form is.
    get(&forge.pages, chosen)
        .await
        .has(&["name=\"param.from\" value=\"5\"", "How many"]);
    let form = "dag=asks&from=2025-03-01&to=2025-03-02&params_of=asks&param.from=";
    let refused = get(&forge.pages, &format!("/backfills/new?{form}x")).await;
    refused.has(&["Enter a whole number"]);
    refused.lacks(&["New run"]);
    let refused = get(&forge.pages, &format!("/backfills/new?{form}0")).await;
    refused.has(&["role=\"alert\""]);
    get(&forge.pages, &format!("/backfills/new?{form}7"))
        .await
        .has(&["new: 2, again: 0", "name=\"param.from\" value=\"7\""]);
    let made = post(&forge.pages, "/backfills/new", &format!("{form}7")).await;
    assert_eq!(made.header("location"), "/backfills", "{}", made.body);
    let backfill = forge.orchestrator.backfills(None).await.unwrap().remove(0);
    assert_eq!(backfill.params["from"], 7);
    get(&forge.pages, "/backfills").await.has(&["from = 7"]);
}

#[tokio::test]
async fn assets_show_who_updates_them_and_what_they_started() {
    let load = "dag: load\ntasks:\n  - { id: rows, outlets: ['table://house/sales'], bash: echo }\n";
    let report = "dag: report\nschedule: { assets: ['table://house/sales', 'table://house/shops'] }\ntasks:\n  - { id: t, bash: echo }\n";
    let forge = Forge::open(&[("load.yaml", load), ("report.yaml", report)]).await;
    forge.orchestrator.set_paused("report", false).await.unwrap();
    let sales = "/asset?name=table%3A%2F%2Fhouse%2Fsales";
    assert_pages(&forge.pages, &["/assets", sales, "/dags/report"]).await;
    get(&forge.pages, "/assets").await.has(&[
        "table://house/sales",
        "load · rows",
        "href=\"/dags/report\"",
        "never",
        "2 assets",
    ]);
    let found = get(&forge.pages, "/assets?search=SHOPS").await;
    found.has(&["1 asset<", "table://house/shops"]);
    found.lacks(&["table://house/sales"]);
    get(&forge.pages, "/")
        .await
        .has(&["When updated: table://house/sales &#38; table://house/shops"]);

    let refused = post(&forge.pages, "/asset", "name=table%3A%2F%2Fhouse%2Fsales&extra=5").await;
    refused.has(&["Enter a JSON object", "value=\"5\""]);
    let done = post(
        &forge.pages,
        "/asset",
        "name=table%3A%2F%2Fhouse%2Fsales&extra=%7B%22rows%22%3A5%7D",
    )
    .await;
    assert_eq!(done.header("location"), sales, "{}", done.body);
    get(&forge.pages, sales).await.has(&["from outside", "rows: 5"]);
    // One of two is there.
    get(&forge.pages, "/dags/report")
        .await
        .has(&[">updated<", ">not yet updated<"]);
    post(&forge.pages, "/asset", "name=table%3A%2F%2Fhouse%2Fshops").await;
    let runs = forge.orchestrator.dag_runs(Default::default()).await.unwrap();
    assert_eq!(runs.len(), 1, "{runs:?}");
    let run = get(
        &forge.pages,
        &format!("/dags/report/runs/{}", runs[0].run_id.replace(':', "%3A")),
    )
    .await;
    run.has(&["Started by", "href=\"/asset?name=table%3A%2F%2Fhouse%2Fshops\""]);
    get(&forge.pages, sales)
        .await
        .has(&["href=\"/dags/report/runs/asset_triggered__", "report · "]);
    let missing = get(&forge.pages, "/asset?name=nothing").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn pools_are_kept_and_say_who_waits() {
    let forge = Forge::open(&[("grouped.yaml", GROUPED)]).await;
    forge.trigger("grouped").await;
    assert_pages(
        &forge.pages,
        &[
            "/pools",
            "/pools?edit=",
            "/pools?edit=default_pool",
            "/pools/default_pool",
        ],
    )
    .await;
    get(&forge.pages, "/pools/default_pool").await.has(&[
        ">begin<",
        "grouped · manual__",
        "Nobody: every slot is free.",
    ]);
    let made = post(
        &forge.pages,
        "/pools",
        "do=put&new=1&name=gpu&slots=2&description=cards",
    )
    .await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.body);
    get(&forge.pages, "/pools").await.has(&["gpu", "cards"]);
    for (wrong, expected) in [
        ("do=put&new=1&name=gpu&slots=1", "There is gpu already"),
        ("do=put&new=1&name=a/b&slots=1", "cannot be a name"),
        ("do=put&new=1&name=x&slots=many", "Enter a whole number"),
    ] {
        let refused = post(&forge.pages, "/pools", wrong).await;
        assert_eq!(refused.status, StatusCode::OK);
        refused.has(&[expected]);
    }
    let gone = post(&forge.pages, "/pools", "do=delete&name=gpu").await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER);
    get(&forge.pages, "/pools").await.lacks(&["gpu"]);
    let missing = get(&forge.pages, "/pools/gpu").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn secrets_go_in_and_never_come_out() {
    let forge = Forge::open(&[]).await;
    assert_pages(
        &forge.pages,
        &["/variables", "/connections", "/connections?edit="],
    )
    .await;
    let put = async |address: &str, form: &str| {
        let done = post(&forge.pages, address, form).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    };
    put("/variables", "do=put&new=1&name=region&value=eu-west").await;
    put("/variables", "do=put&new=1&name=api_token&value=hunter2").await;
    let list = get(&forge.pages, "/variables").await;
    list.has(&["eu-west", "api_token", "***"]);
    list.lacks(&["hunter2"]);
    put("/variables", "do=put&name=api_token&value=***&description=kept").await;
    let kept = forge.orchestrator.variables().await.unwrap();
    assert_eq!(
        (kept[0].value.expose(), kept[0].description.as_str()),
        ("hunter2", "kept")
    );

    let address = "postgres%3A%2F%2Fada%3Ahunter2%40127.0.0.1%3A1%2Fdb";
    put(
        "/connections",
        &format!("do=put&new=1&name=house&value={address}"),
    )
    .await;
    for page in ["/connections", "/connections?edit=house"] {
        let page = get(&forge.pages, page).await;
        page.has(&["postgres://ada:***@127.0.0.1:1/db"]);
        page.lacks(&["hunter2"]);
    }
    let changed = "postgres%3A%2F%2Fada%3A***%40127.0.0.1%3A1%2Fother";
    put("/connections", &format!("do=put&name=house&value={changed}")).await;
    let kept = forge.orchestrator.connections().await.unwrap();
    assert_eq!(
        kept[0].connection.url.expose(),
        "postgres://ada:hunter2@127.0.0.1:1/other"
    );
    let tried = post(&forge.pages, "/connections", "do=test&name=house").await;
    tried.has(&["class=\"probe is-bad\""]);
    tried.lacks(&["hunter2"]);
    let refused = post(&forge.pages, "/connections", "do=put&new=1&name=x&value=nothing").await;
    refused.has(&["must be an address"]);
    let unknown = post(
        &forge.pages,
        "/connections",
        "do=put&new=1&name=x&value=http%3A%2F%2Fa%3A***%40b",
    )
    .await;
    unknown.has(&["There is no password that *** could stand for"]);
    let gone = post(&forge.pages, "/connections", "do=delete&name=house").await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER);
    get(&forge.pages, "/connections")
        .await
        .has(&["No connection yet"]);
}

#[tokio::test]
async fn errors_workers_and_changes_are_listed() {
    let files = [
        ("grouped.yaml", GROUPED),
        ("broken.yaml", "dag: broken\nshedule: \"@daily\"\ntasks: []\n"),
    ];
    let forge = Forge::open(&files).await;
    assert_pages(&forge.pages, &["/import-errors", "/workers", "/audit", "/runs"]).await;
    get(&forge.pages, "/import-errors").await.has(&[
        "broken.yaml:2:1",
        "class=\"is-here\"",
        "shedule: &#34;@daily&#34;",
    ]);
    get(&forge.pages, "/workers").await.has(&["No worker runs"]);
    forge.trigger("grouped").await;
    let runs = forge.orchestrator.dag_runs(Default::default()).await.unwrap();
    let marking = Marking::one(&InstanceId::of("begin"), TaskState::Skipped);
    forge
        .orchestrator
        .acting_as("ada")
        .mark("grouped", &runs[0].run_id, &marking)
        .await
        .unwrap();
    let log = get(&forge.pages, "/audit").await;
    log.has(&["trigger_dag_run", ">ada<", "href=\"/dags/grouped\""]);
    let of_ada = get(&forge.pages, "/audit?owner=ada").await;
    of_ada.has(&[">ada<"]);
    of_ada.lacks(&["trigger_dag_run"]);
    get(&forge.pages, "/audit?event=trigger").await.lacks(&[">ada<"]);
    get(&forge.pages, "/audit?dag=nowhere")
        .await
        .has(&["Nothing found."]);
}
