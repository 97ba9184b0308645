//! What tasks hand on, and what they are made several instances of.

use fragua_database::Database;
use serde_json::json;

use super::{RETRY, success};
use crate::decide::{Ending, Success};
use crate::scheduler::attempts;
use crate::testing::Bench;
use crate::{Clearing, DagRunState, InstanceId, RETURN_VALUE};

async fn tasks_hand_on_values(database: Database) {
    let mut bench = Bench::new(database).await;
    let dag = RETRY.replace(
        "[first], bash: echo",
        "[first], bash: 'echo {{ xcom.first.rows }}'",
    );
    bench.write("retry.yaml", &dag).await;
    let run_id = bench.trigger("retry").await;
    let lease = bench.claim_one("first").await;
    bench
        .end(
            &lease,
            Ending::Success(Success {
                xcoms: [(RETURN_VALUE.to_owned(), json!({ "rows": 5 }))].into(),
                ..Success::default()
            }),
        )
        .await;
    let lease = bench.claim_one("second").await;
    let (_, run) = attempts::assignment(&bench.core, &lease).await.unwrap();
    let context = bench
        .core
        .task_context(bench.core.database.reader(), &run, &lease.key, &lease.token)
        .await
        .unwrap();
    assert_eq!(context.xcom["first"], json!({ "rows": 5 }));
    let instance = bench
        .orchestrator()
        .task_instance("retry", &run_id, "first")
        .await
        .unwrap();
    let handed_on = bench.orchestrator().xcoms(&instance).await.unwrap();
    assert_eq!(handed_on.len(), 1);
    assert_eq!(
        (handed_on[0].key.as_str(), &handed_on[0].value),
        (RETURN_VALUE, &json!({ "rows": 5 }))
    );
}

async fn a_value_that_is_too_large_is_refused(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("retry.yaml", RETRY).await;
    let run_id = bench.trigger("retry").await;
    let lease = bench.claim_one("first").await;
    let fifty_megabytes = json!("x".repeat(50 * 1024 * 1024));
    let ending = Ending::Success(Success {
        xcoms: [("rows".to_owned(), fifty_megabytes)].into(),
        ..Success::default()
    });
    bench.end(&lease, ending).await;
    assert_eq!(
        bench.states("retry", &run_id).await,
        ["first:failed", "second:upstream_failed"]
    );
    assert_eq!(
        bench.message("retry", &run_id, "first").await.as_deref(),
        Some(
            "the value handed on as rows has 52428802 bytes, more than 1048576: write it to a table or an object and hand on its name"
        )
    );
    assert!(
        bench
            .orchestrator()
            .xcoms_of_run("retry", &run_id)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn an_attempt_hands_on_nothing_of_the_one_before(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("retry.yaml", RETRY).await;
    let run_id = bench.trigger("retry").await;
    let lease = bench.claim_one("first").await;
    let with = |key: &str| {
        Ending::Success(Success {
            xcoms: [(key.to_owned(), json!(1))].into(),
            ..Success::default()
        })
    };
    bench.end(&lease, with("old")).await;
    let orchestrator = bench.orchestrator();
    let keys = async || {
        let values = orchestrator.xcoms_of_run("retry", &run_id).await.unwrap();
        values.into_iter().map(|value| value.key).collect::<Vec<_>>()
    };
    assert_eq!(keys().await, ["old"]);
    orchestrator.clear("retry", &run_id, &[]).await.unwrap();
    assert!(keys().await.is_empty(), "cleared with its task");
    let lease = bench.claim_one("first").await;
    bench.end(&lease, with("new")).await;
    assert_eq!(keys().await, ["new"]);
}

async fn a_task_is_made_instances_of(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("map.yaml", "dag: map\ntasks:\n  - { id: list, bash: echo }\n  - { id: each, needs: [list], expand: { row: '{{ xcom.list }}', side: [l, r] }, bash: 'echo {{ map.row }} {{ map.side }}' }\n  - { id: sum, needs: [each], bash: 'echo {{ xcom.each }}' }\n").await;
    let orchestrator = bench.orchestrator();
    let handed_on = |value: serde_json::Value| {
        Ending::Success(Success {
            xcoms: [(RETURN_VALUE.to_owned(), value)].into(),
            ..Success::default()
        })
    };
    let run_id = bench.trigger("map").await;
    let lease = bench.claim_one("list").await;
    bench.end(&lease, handed_on(json!([1, 2]))).await;
    let leases = bench.claim(9).await;
    let names: Vec<String> = leases
        .iter()
        .map(|lease| lease.key.instance_id().to_string())
        .collect();
    assert_eq!(names, ["each[0]", "each[1]", "each[2]", "each[3]"]);
    let third = orchestrator
        .task_instance("map", &run_id, InstanceId::mapped("each", 2))
        .await
        .unwrap();
    assert_eq!(third.map_values, Some(json!({ "row": 2, "side": "l" })));
    for (index, lease) in leases.iter().enumerate().rev() {
        bench.end(lease, handed_on(json!(index * 10))).await;
    }
    let lease = bench.claim_one("sum").await;
    let (_, run) = attempts::assignment(&bench.core, &lease).await.unwrap();
    let reader = bench.core.database.reader();
    let context = bench
        .core
        .task_context(reader, &run, &lease.key, &lease.token)
        .await
        .unwrap();
    assert_eq!(
        context.xcom["each"],
        json!([0, 10, 20, 30]),
        "in the order of the items"
    );
    bench.end(&lease, success()).await;

    // With another list, the instances there are stay, and those too many are removed.
    orchestrator.clear("map", &run_id, &[]).await.unwrap();
    let lease = bench.claim_one("list").await;
    bench.end(&lease, handed_on(json!([7]))).await;
    let leases = bench.claim(9).await;
    assert_eq!(
        leases.iter().map(|lease| lease.key.attempt).collect::<Vec<_>>(),
        [2, 2]
    );
    for lease in &leases {
        bench.end(lease, success()).await;
    }
    assert_eq!(bench.run_queued().await, 1);
    assert_eq!(
        bench.states("map", &run_id).await,
        [
            "list:success",
            "each:success",
            "each:success",
            "each:removed",
            "each:removed",
            "sum:success"
        ]
    );
    assert_eq!(bench.runs("map").await[0].1, DagRunState::Success);

    // One instance alone starts over.
    let one = Clearing {
        task_ids: vec!["each[1]".to_owned()],
        ..Clearing::default()
    };
    assert_eq!(
        orchestrator
            .clear_tasks("map", &run_id, &one)
            .await
            .unwrap()
            .len(),
        1
    );
    let lease = bench.claim_one("each").await;
    assert_eq!((lease.key.map_index, lease.key.attempt), (Some(1), 3));
    bench.end(&lease, success()).await;
    assert_eq!(bench.runs("map").await[0].1, DagRunState::Success);

    let empty = bench.trigger("map").await;
    let lease = bench.claim_one("list").await;
    bench.end(&lease, handed_on(json!([]))).await;
    assert_eq!(
        bench.states("map", &empty).await,
        ["list:success", "each:skipped", "sum:skipped"]
    );
    let wrong = bench.trigger("map").await;
    let lease = bench.claim_one("list").await;
    bench.end(&lease, handed_on(json!("text"))).await;
    assert_eq!(
        bench.states("map", &wrong).await,
        ["list:success", "each:failed", "sum:upstream_failed"]
    );
    assert_eq!(
        bench.message("map", &wrong, "each").await.as_deref(),
        Some("expand: row is no list")
    );
}

async fn an_instance_is_called_what_its_task_says(database: Database) {
    let mut bench = Bench::new(database).await;
    let dag = "dag: d\ntasks: [{ id: t, expand: { shop: [north, south] }, map_index_template: 'shop {{ map.shop }}', bash: echo }]\n";
    bench.write("d.yaml", dag).await;
    let run_id = bench.trigger("d").await;
    let instances = bench.orchestrator().task_instances("d", &run_id).await.unwrap();
    let labels: Vec<Option<&str>> = instances
        .iter()
        .map(|instance| instance.map_label.as_deref())
        .collect();
    assert_eq!(labels, [Some("shop north"), Some("shop south")]);
}

async fn a_task_is_given_the_values_that_it_mentions_and_no_others(database: Database) {
    let mut bench = Bench::new(database).await;
    let dag = "dag: d\ntasks:\n  - { id: a, bash: echo }\n  - { id: b, bash: echo }\n  \
         - { id: c, needs: [a, b], bash: \"echo {{ ti.xcom_pull('a', key='k') }}\" }\n  - { id: d, needs: [c], bash: 'echo {{ xcom | length }}' }\n";
    bench.write("d.yaml", dag).await;
    let run_id = bench.trigger("d").await;
    let with_key = || {
        Ending::Success(Success {
            xcoms: [("k".to_owned(), json!(1)), (RETURN_VALUE.to_owned(), json!(2))].into(),
            ..Success::default()
        })
    };
    for lease in bench.claim(2).await {
        bench.end(&lease, with_key()).await;
    }
    let run = bench.orchestrator().dag_run("d", &run_id).await.unwrap();
    let context = async |lease: &attempts::Lease| {
        let reader = bench.core.database.reader();
        bench
            .core
            .task_context(reader, &run, &lease.key, &lease.token)
            .await
            .unwrap()
    };
    let c = bench.claim_one("c").await;
    let given = context(&c).await;
    assert_eq!(given.xcom.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(given.xcom_keys["a"]["k"], json!(1));
    bench.end(&c, Ending::success()).await;
    let d = bench.claim_one("d").await;
    assert_eq!(context(&d).await.xcom.keys().collect::<Vec<_>>(), ["a", "b"]);
}

async fn a_group_is_made_instances_of(database: Database) {
    let mut bench = Bench::new(database).await;
    let dag = "dag: d\ntasks:\n  - group: shop\n    expand: { name: [north, south] }\n    tasks:\n      \
         - { id: rows, bash: 'echo {{ map.name }}' }\n      - { id: choose, needs: [rows], branch: \"{{ 'shop.' ~ xcom['shop.rows'] }}\" }\n      \
         - { id: many, needs: [choose], bash: echo }\n      - { id: few, needs: [choose], empty: {} }\n  \
         - { id: sum, needs: [shop], trigger_rule: none_failed, empty: {} }\n";
    bench.write("d.yaml", dag).await;
    let run_id = bench.trigger("d").await;
    let leases = bench.claim(2).await;
    let gives = |task: &str| {
        Ending::Success(Success {
            xcoms: [(RETURN_VALUE.to_owned(), json!(task))].into(),
            ..Success::default()
        })
    };
    bench.end(&leases[0], gives("many")).await;
    let states = async |bench: &Bench| -> Vec<String> {
        let instances = bench.orchestrator().task_instances("d", &run_id).await.unwrap();
        instances
            .iter()
            .map(|instance| format!("{}:{}", instance.instance_id(), instance.state))
            .collect()
    };
    // The north goes on while the south is not there yet.
    assert_eq!(
        states(&bench).await,
        [
            "shop.rows[0]:success",
            "shop.rows[1]:running",
            "shop.choose[0]:success",
            "shop.choose[1]:none",
            "shop.many[0]:queued",
            "shop.many[1]:none",
            "shop.few[0]:skipped",
            "shop.few[1]:none",
            "sum:none",
        ]
    );
    bench.end(&leases[1], gives("few")).await;
    bench.run_queued().await;
    assert_eq!(
        states(&bench).await[4..],
        [
            "shop.many[0]:success",
            "shop.many[1]:skipped",
            "shop.few[0]:skipped",
            "shop.few[1]:success",
            "sum:success",
        ]
    );
    assert_eq!(bench.runs("d").await, [(run_id.clone(), DagRunState::Success)]);
}

fragua_database::each_engine!(engines:
    a_group_is_made_instances_of,
    a_task_is_given_the_values_that_it_mentions_and_no_others,
    an_instance_is_called_what_its_task_says,
    tasks_hand_on_values,
    a_value_that_is_too_large_is_refused,
    an_attempt_hands_on_nothing_of_the_one_before,
    a_task_is_made_instances_of,
);
