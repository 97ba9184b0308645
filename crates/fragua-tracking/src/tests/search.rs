use fragua_base::{ErrorKind, Timestamp};
use fragua_database::Database;

use super::{Bench, assert_invalid, metric};
use crate::runs::{Dataset, DatasetInput, NewRun, RunStatus, RunUpdate, Tag};
use crate::{ExperimentId, KnownKeys, Query, ViewType};

/// Runs named a to g with what the rows below look for.
async fn filled(database: Database) -> (Bench, ExperimentId) {
    let bench = Bench::open(database).await;
    let experiment = bench.experiment("searched").await;
    for (name, score, params, tags) in [
        (
            "a",
            Some(1.0),
            &[("side", "left"), ("size", "10")][..],
            &[("team", "Red"), ("x.y z", "1")][..],
        ),
        ("b", Some(2.0), &[("side", "right")], &[("team", "red")]),
        ("c", Some(-0.5), &[("side", "left")], &[]),
        ("d", Some(f64::NAN), &[("side", "100%")], &[("team", "blue")]),
        ("e", None, &[], &[("team", "Red team")]),
        ("f", Some(2.0), &[("Side", "left")], &[]),
    ] {
        let run = bench.run(experiment, name).await;
        let metrics: Vec<_> = score
            .map(|score| metric("score", score, 0, 0))
            .into_iter()
            .collect();
        bench.log(&run, &metrics, params, tags).await;
        if name == "b" {
            let update = RunUpdate {
                status: Some(RunStatus::Failed),
                ..RunUpdate::default()
            };
            bench.tracking.update_run(&run.info.run_id, update).await.unwrap();
        }
        if name == "c" {
            let dataset = Dataset {
                name: "rows".to_owned(),
                digest: "d1".to_owned(),
                source_type: "sql".to_owned(),
                source: "{}".to_owned(),
                schema: None,
                profile: None,
            };
            let inputs = vec![DatasetInput {
                dataset,
                tags: vec![Tag::new("mlflow.data.context", "training")],
            }];
            bench
                .tracking
                .log_inputs(&run.info.run_id, inputs, Vec::new())
                .await
                .unwrap();
        }
    }
    let deleted = bench.run(experiment, "g").await;
    bench.tracking.delete_run(&deleted.info.run_id).await.unwrap();
    (bench, experiment)
}

fn query(filter: &str, order: &[&str]) -> Query {
    let order_by = order.iter().map(|term| (*term).to_owned()).collect();
    Query {
        filter: filter.to_owned(),
        order_by,
        ..Query::default()
    }
}

async fn filters_row_by_row(database: Database) {
    let (bench, experiment) = filled(database).await;
    for (filter, expected) in [
        ("", "abcdef"),
        ("metrics.score > 1", "bf"),
        ("metric.score >= 1", "abf"),
        ("metrics.score < 0", "c"),
        ("metrics.score <= 1 ", "ac"),
        ("metrics.score = 2", "bf"),
        // Only "not equal" is true of NaN; what lacks the metric never matches.
        ("metrics.score != 2", "acd"),
        ("metrics.score = 0", ""),
        ("metrics.score >= 0", "abf"),
        ("metrics.score <= 0", "c"),
        ("metrics.score != 0", "abcdf"),
        ("metrics.score=-5E-1", "c"),
        ("metrics.score > -1e0", "abcf"),
        ("metrics.`score` < .5", "c"),
        ("\t metrics.score\n>\r\n1 and\tparams.side  !=  'x' ", "b"),
        ("metrics.score > -1 AND metrics.score < 2", "ac"),
        ("params.side = 'left'", "ac"),
        ("params.Side = 'left'", "f"),
        ("params.side != 'left'", "bd"),
        ("params.side = 'Left'", ""),
        ("params.side LIKE 'l%'", "ac"),
        ("params.side LIKE 'L%'", ""),
        ("params.side ILIKE 'L%'", "ac"),
        ("parameters.side LIKE '_eft'", "ac"),
        ("params.side IS NULL", "ef"),
        ("params.side IS NOT NULL", "abcd"),
        ("params.size = '10'", "a"),
        ("params.size = \"10\"", "a"),
        ("params.side = '100%'", "d"),
        ("params.side LIKE '100\\%'", ""),
        ("params.side LIKE '%\\'", ""),
        ("params.nothing != 'left'", ""),
        ("tags.team IS NULL", "cf"),
        ("tag.team is  not null", "abde"),
        ("tags.team LIKE 'red%'", "b"),
        ("tags.team != 'purple'", "abde"),
        ("tags.team = 'Red'", "a"),
        ("tags.team ILIKE 'red%'", "abe"),
        ("tags.team != 'Red'", "bde"),
        ("tag.`x.y z` = '1'", "a"),
        ("tags.\"x.y z\" = \"1\"", "a"),
        ("tags.mlflow.runName = 'b'", "b"),
        ("run_name = 'b'", "b"),
        ("attributes.`Run name` LIKE '%'", "abcdef"),
        ("status = 'FAILED'", "b"),
        ("attr.status != 'FAILED'", "acdef"),
        ("status ILIKE 'fail%'", "b"),
        ("run.user_id = 'ana' and status = 'RUNNING'", "acdef"),
        ("user_id = 'Ana'", ""),
        ("start_time > 3000", "cdef"),
        ("created <= 2000", "a"),
        ("Created > 3000 AND created <= 5000", "cd"),
        ("start_time = 2e3", "a"),
        ("start_time != 2000", "bcdef"),
        ("`run name` = 'b'", "b"),
        ("attribute.`Run Name` != 'b'", "acdef"),
        ("artifact_uri LIKE 'mlflow-artifacts:/%'", "abcdef"),
        ("end_time > 0", ""),
        ("datasets.name = 'rows'", "c"),
        ("dataset.digest IN ('d0', 'd1')", "c"),
        ("datasets.context = 'training' AND datasets.name LIKE 'r%'", "c"),
        ("datasets.context = 'testing'", ""),
        ("datasets.name NOT IN ('rows', 'x')", ""),
        ("datasets.context ILIKE 'TRAIN%' AND dataset.digest != 'd0'", "c"),
        ("datasets.context IN ('training',)", "c"),
        (
            "params.side = 'left' AND tags.team = 'Red' AND metrics.score = 1 AND",
            "a",
        ),
        ("params.side = 'x'' OR 1=1 --'", ""),
    ] {
        let found = bench
            .tracking
            .search_runs(&[experiment], &query(filter, &["start_time"]))
            .await;
        let names = match found {
            Ok(page) => page
                .items
                .into_iter()
                .map(|run| run.info.run_name)
                .collect::<String>(),
            Err(error) if error.kind() == ErrorKind::InvalidInput => "error".to_owned(),
            Err(error) => panic!("{filter}: {error}"),
        };
        assert_eq!(names, expected, "{filter}");
    }
}

async fn what_is_not_offered_is_refused(database: Database) {
    let (bench, experiment) = filled(database).await;
    for filter in [
        "metrics.score > '1'",
        "metrics.score LIKE '1'",
        "metrics.score IN (1)",
        "metrics.score IS NULL",
        "params.side > 'a'",
        "params.side = left",
        "params.side = 1",
        "params.side IN ('left')",
        "status > 'RUNNING'",
        "status IN ('RUNNING')",
        "status IS NULL",
        "datasets.name IS NULL",
        "metrics.score BETWEEN 1 AND 2",
        "tags.team NOT LIKE 'a'",
        "params.side = upper('a')",
        "lower(params.side) = 'a'",
        "NOT params.side = 'a'",
        "params.side = 'a' AND AND params.side = 'b'",
        "params.side = 'a', params.side = 'b'",
        "params.side = 'a';",
        "metrics.score > NaN",
        "metrics.score > 1e999",
        "start_time = '5'",
        "lifecycle_stage = 'active'",
        "experiment_id = '1'",
        "nothing.side = 'x'",
        "datasets.size = 'x'",
        "params.a = 'b' OR params.c = 'd'",
        "(params.a = 'b')",
        "params.a",
        "= 'b'",
        &"params.a = 'b' AND ".repeat(51),
    ] {
        assert_invalid(
            bench
                .tracking
                .search_runs(&[experiment], &query(filter, &[]))
                .await,
        );
    }
    for order in [
        &["nothing"][..],
        &["metrics.score", "metrics.score DESC"],
        &["start_time", "attributes.Created DESC"],
        &["run_name", "tags.mlflow.runName"],
        &["lifecycle_stage"],
        &["datasets.name"],
        &["a b"],
    ] {
        assert_invalid(bench.tracking.search_runs(&[experiment], &query("", order)).await);
    }
    // What the filter is wrong about is refused also where there is nothing to search.
    assert_invalid(bench.tracking.search_runs(&[], &query("x", &[])).await);
    assert!(
        bench
            .tracking
            .search_runs(&[], &query("", &[]))
            .await
            .unwrap()
            .items
            .is_empty()
    );
}

async fn orders_keep_none_and_missing_last(database: Database) {
    let (bench, experiment) = filled(database).await;
    for (order, expected) in [
        (&[][..], "fedcba"),
        (&["start_time ASC"], "abcdef"),
        (&["metrics.score"], "cafbde"),
        (&["metrics.score ASC"], "cafbde"),
        (&["metrics.score DESC"], "fbacde"),
        (&["metrics.score", "start_time"], "cabfde"),
        (&["params.side"], "dcabfe"),
        (&["params.side DESC"], "bcadfe"),
        (&["tags.team"], "aedbfc"),
        (&["attributes.run_name DESC"], "fedcba"),
        (&["status", "run_name"], "bacdef"),
        (&["end_time", "Created"], "abcdef"),
    ] {
        let page = bench
            .tracking
            .search_runs(&[experiment], &query("", order))
            .await
            .unwrap();
        let names: String = page.items.into_iter().map(|run| run.info.run_name).collect();
        assert_eq!(names, expected, "{order:?}");
    }
}

async fn pages_cover_every_run_once(database: Database) {
    let (bench, experiment) = filled(database).await;
    for (view, expected) in [
        (ViewType::ActiveOnly, "fedcba"),
        (ViewType::DeletedOnly, "g"),
        (ViewType::All, "gfedcba"),
    ] {
        let mut names = String::new();
        let mut query = Query {
            view,
            max_results: Some(2),
            ..Query::default()
        };
        loop {
            let page = bench.tracking.search_runs(&[experiment], &query).await.unwrap();
            assert!(page.items.len() <= 2);
            names.extend(page.items.into_iter().map(|run| run.info.run_name));
            match page.next {
                Some(token) => query.page_token = Some(token),
                None => break,
            }
        }
        assert_eq!(names, expected);
    }
    let bad = Query {
        page_token: Some("bad".to_owned()),
        ..Query::default()
    };
    assert_invalid(bench.tracking.search_runs(&[experiment], &bad).await);
}

async fn ids_are_looked_up_in_lists(database: Database) {
    let bench = Bench::open(database).await;
    let experiment = bench.experiment("searched").await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(bench.run(experiment, name).await.info.run_id);
    }
    for (filter, expected) in [
        (format!("run_id = '{}'", ids[1]), "b"),
        (format!("run_id != '{}'", ids[1]), "ac"),
        (format!("run_id IN ('{}', \"{}\")", ids[0], ids[2]), "ac"),
        (format!("attributes.run_id not  in ('{}')", ids[0]), "bc"),
        (format!("run_id LIKE '{}%'", &ids[2][..20]), "c"),
        (format!("run_id ILIKE '{}'", ids[2].to_uppercase()), "c"),
        (format!("run_id = '{}'", ids[2].to_uppercase()), ""),
        (format!("run_id IN ('{}')", ids[2].to_uppercase()), ""),
    ] {
        let query = query(&filter, &["start_time"]);
        let page = bench.tracking.search_runs(&[experiment], &query).await.unwrap();
        let names: String = page.items.into_iter().map(|run| run.info.run_name).collect();
        assert_eq!(names, expected, "{filter}");
    }
}

async fn runs_of_one_instant_come_by_id(database: Database) {
    let bench = Bench::open(database).await;
    let experiment = bench.experiment("searched").await;
    let mut ids = Vec::new();
    for start in [5, 5, 5, 9] {
        let new = NewRun {
            experiment_id: Some(experiment),
            start_time: Some(Timestamp::from_millis(start)),
            ..NewRun::default()
        };
        ids.push(bench.tracking.create_run(new).await.unwrap().info.run_id);
    }
    let latest = ids.pop().unwrap();
    ids.sort_unstable();
    for order in [
        &[][..],
        &["status"],
        &["metrics.nothing DESC"],
        &["params.x", "tags.y"],
    ] {
        let page = bench
            .tracking
            .search_runs(&[experiment], &query("", order))
            .await
            .unwrap();
        let found: Vec<_> = page.items.into_iter().map(|run| run.info.run_id).collect();
        assert_eq!(found[0], latest, "{order:?}");
        assert_eq!(found[1..], ids, "{order:?}");
    }
}

async fn a_page_carries_exactly_what_was_logged(database: Database) {
    let bench = Bench::open(database).await;
    let experiment = bench.experiment("searched").await;
    let values = [
        0.1,
        1.0 / 3.0,
        -4.074_678_561_620_339e-307,
        f64::MAX,
        f64::MIN_POSITIVE,
        -0.5,
    ];
    let texts = [
        "",
        " a ",
        "it's \"x\" `y`",
        "C:\\new\\u0041",
        "line\r\n\tnext\u{1}",
        "año €🦀",
        "{\"a\": [1]}",
        "null",
    ];
    let mut runs = Vec::new();
    for name in ["one", "two"] {
        let run = bench.run(experiment, name).await;
        let metrics = values
            .iter()
            .enumerate()
            .map(|(at, value)| metric(&format!("m{at}"), *value, 5, 7));
        let metrics: Vec<_> = metrics.chain([metric("none", f64::NAN, 0, -1)]).collect();
        let keys: Vec<_> = (0..texts.len()).map(|at| format!("k{at} .é")).collect();
        let pairs: Vec<_> = keys.iter().map(String::as_str).zip(texts).collect();
        bench.log(&run, &metrics, &pairs, &pairs).await;
        runs.push((run.info.run_id, metrics));
    }
    let page = bench
        .tracking
        .search_runs(&[experiment], &query("", &["start_time"]))
        .await
        .unwrap();
    assert_eq!(page.items.len(), 2);
    for (found, (run_id, metrics)) in page.items.into_iter().zip(runs) {
        assert_eq!(found.info.run_id, run_id);
        assert_eq!(found.metrics.len(), metrics.len());
        for (found, logged) in found.metrics.iter().zip(&metrics) {
            assert_eq!(found.key, logged.key);
            assert_eq!((found.timestamp, found.step), (logged.timestamp, logged.step));
            let same = found.value == logged.value || found.value.is_nan() && logged.value.is_nan();
            assert!(same, "{found:?} {logged:?}");
        }
        let params: Vec<_> = found.params.iter().map(|param| param.value.as_str()).collect();
        assert_eq!(params, texts);
        let tags: Vec<_> = found.tags.iter().map(|tag| tag.value.as_str()).collect();
        assert_eq!(tags[..texts.len()], texts);
    }
}

async fn keys_in_use_are_those_of_the_runs_of_an_experiment(database: Database) {
    let (bench, experiment) = filled(database).await;
    let other = bench.experiment("other").await;
    let run = bench.run(other, "h").await;
    bench
        .log(&run, &[metric("loss", 1.0, 0, 0)], &[("depth", "3")], &[])
        .await;
    let keys = bench.tracking.known_keys(&[experiment]).await.unwrap();
    assert_eq!(keys.metrics, ["score"]);
    assert_eq!(keys.params, ["Side", "side", "size"]);
    assert_eq!(keys.tags, ["mlflow.runName", "team", "x.y z"]);
    let keys = bench.tracking.known_keys(&[experiment, other]).await.unwrap();
    assert_eq!(keys.metrics, ["loss", "score"]);
    let none = bench.tracking.known_keys(&[]).await.unwrap();
    assert_eq!(none, KnownKeys::default());
}

fragua_database::each_engine!(
    searches: ids_are_looked_up_in_lists,
    runs_of_one_instant_come_by_id,
    a_page_carries_exactly_what_was_logged,
    keys_in_use_are_those_of_the_runs_of_an_experiment,
    filters_row_by_row,
    what_is_not_offered_is_refused,
    orders_keep_none_and_missing_last,
    pages_cover_every_run_once,
);
