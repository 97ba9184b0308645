//! What can be asked of the lists besides runs, and what is refused.

use fragua_database::Database;

use super::{Bench, assert_invalid, metric};
use crate::logged_models::{LoggedModelOrder, LoggedModelQuery, NewLoggedModel};
use crate::runs::{Batch, Param, Tag};
use crate::{ExperimentId, Metric, NewExperiment, NewVersion, Query};

const DEFAULT: ExperimentId = ExperimentId(0);

fn query(filter: &str, order: &[&str]) -> Query {
    Query {
        filter: filter.to_owned(),
        order_by: order.iter().map(|term| (*term).to_owned()).collect(),
        ..Query::default()
    }
}

async fn experiments(database: Database) {
    let bench = Bench::open(database).await;
    for name in ["ash", "Birch", "cedar"] {
        let new = NewExperiment {
            name: name.to_owned(),
            tags: vec![Tag::new("k.l", name)],
            ..NewExperiment::default()
        };
        bench.tracking.create_experiment(new).await.unwrap();
    }
    for (filter, order, expected) in [
        // All were made in one instant: the first made comes first.
        ("", &[][..], "Default ash Birch cedar"),
        ("", &["creation_time"], "cedar Birch ash Default"),
        ("", &["experiment_id DESC"], "cedar Birch ash Default"),
        ("name != 'ash'", &["name"], "Birch Default cedar"),
        ("name LIKE 'b%'", &[], ""),
        ("name ilike 'b%'", &[], "Birch"),
        ("tags.k.l = 'ash'", &[], "ash"),
        ("tag.`k.l` IS NOT NULL AND name != 'ash'", &[], "Birch cedar"),
        (
            "creation_time = 1000 AND last_update_time >= 1e3",
            &["name"],
            "Birch Default ash cedar",
        ),
        ("experiment_id IN ('1', '3')", &[], "ash cedar"),
        ("attribute.experiment_id NOT IN ('1', '3')", &[], "Default Birch"),
        ("experiment_id = 2", &[], "Birch"),
    ] {
        let page = bench
            .tracking
            .search_experiments(&query(filter, order))
            .await
            .unwrap();
        let names: Vec<_> = page.items.into_iter().map(|found| found.name).collect();
        assert_eq!(names.join(" "), expected, "{filter} {order:?}");
    }
    for filter in [
        "name IN ('ash')",
        "name > 'a'",
        "name IS NULL",
        "experiment_id > '1'",
        "experiment_id LIKE '1'",
        "experiment_id = 'one'",
        "experiment_id IN ('one')",
        "creation_time LIKE '1'",
        "creation_time = '1000'",
        "lifecycle_stage = 'active'",
        "metrics.x > 1",
        "params.x = '1'",
    ] {
        assert_invalid(bench.tracking.search_experiments(&query(filter, &[])).await);
    }
    for order in [&["tags.k"][..], &["name", "name DESC"], &["lifecycle_stage"]] {
        assert_invalid(bench.tracking.search_experiments(&query("", order)).await);
    }
}

async fn registry(database: Database) {
    let bench = Bench::open(database).await;
    let tracking = &bench.tracking;
    let mark = |value: &str| vec![Tag::new("mlflow.prompt.is_prompt", value)];
    for (name, tags) in [
        ("ash", vec![Tag::new("kind", "Tree"), Tag::new("size", "1")]),
        ("Birch", vec![Tag::new("kind", "tree")]),
        ("notes", mark("false")),
        ("prompt", mark("true")),
    ] {
        bench.clock.advance(std::time::Duration::from_secs(1));
        tracking.create_model(name, None, tags.clone()).await.unwrap();
        let new = NewVersion {
            name: name.to_owned(),
            source: if name == "prompt" {
                "prompt-template"
            } else {
                "s3://bucket/x"
            }
            .to_owned(),
            tags,
            ..NewVersion::default()
        };
        tracking.create_version(new).await.unwrap();
    }
    for (filter, expected) in [
        ("", "Birch ash notes"),
        ("tags.kind != 'tree'", "ash"),
        ("tags.kind ILIKE 'TREE' AND tags.size = '1'", "ash"),
        ("tags.kind LIKE 'tr%'", "Birch"),
        ("name IN ('ash', 'birch')", "ash"),
        ("attribute.name NOT IN ('ash')", "Birch notes"),
        // The mark of a prompt: what lacks it is none, and what is one shows only when asked for.
        ("tag.`mlflow.prompt.is_prompt` != 'true'", "Birch ash notes"),
        ("tags.mlflow.prompt.is_prompt = 'false'", "Birch ash notes"),
        ("tags.`mlflow.prompt.is_prompt` = 'true'", "prompt"),
        ("tags.`mlflow.prompt.is_prompt` != 'false'", "prompt"),
        ("name = 'prompt'", ""),
    ] {
        let models = tracking.search_models(&query(filter, &[])).await.unwrap();
        let models: Vec<_> = models.items.into_iter().map(|found| found.name).collect();
        assert_eq!(models.join(" "), expected, "models: {filter}");
        let versions = tracking.search_versions(&query(filter, &[])).await.unwrap();
        let versions: Vec<_> = versions.items.into_iter().map(|found| found.name).collect();
        assert_eq!(versions.join(" "), expected, "versions: {filter}");
    }
    for (filter, expected) in [
        ("version_number = 1 AND version_number >= '1'", "Birch ash notes"),
        ("version_number != 1", ""),
        ("run_id IN ('x', 'y')", ""),
        ("source_path ILIKE 'S3:%x'", "Birch ash notes"),
    ] {
        let versions = tracking.search_versions(&query(filter, &[])).await.unwrap();
        let versions: Vec<_> = versions.items.into_iter().map(|found| found.name).collect();
        assert_eq!(versions.join(" "), expected, "versions: {filter}");
    }
    for filter in [
        "tags.kind IS NULL",
        "tags.kind IN ('tree')",
        "tags.kind > 'a'",
        "name > 'a'",
        "name IS NOT NULL",
        "version = 1",
        "version_number = 'one'",
        "version_number IN ('1')",
        "version_number LIKE '1'",
        "source_path IN ('x')",
        "creation_timestamp > 1",
        "metrics.x > 1",
    ] {
        assert_invalid(tracking.search_models(&query(filter, &[])).await);
        assert_invalid(tracking.search_versions(&query(filter, &[])).await);
    }
    for (order, expected) in [
        (&["timestamp DESC"][..], "notes Birch ash"),
        (&["last_updated_timestamp"], "ash Birch notes"),
        (&["name DESC"], "notes ash Birch"),
    ] {
        let found = tracking.search_models(&query("", order)).await.unwrap();
        let names: Vec<_> = found.items.into_iter().map(|found| found.name).collect();
        assert_eq!(names.join(" "), expected, "{order:?}");
    }
    for order in [
        &["timestamp", "last_updated_timestamp DESC"][..],
        &["tags.kind"],
        &["description"],
    ] {
        assert_invalid(tracking.search_models(&query("", order)).await);
    }
    let found = tracking
        .search_versions(&query("", &["version_number DESC", "name DESC"]))
        .await
        .unwrap();
    assert_eq!(found.items[0].name, "notes");
    for most in [0, 1_001] {
        let query = Query {
            max_results: Some(most),
            ..Query::default()
        };
        assert_invalid(tracking.search_models(&query).await);
    }
    let query = Query {
        max_results: Some(200_001),
        ..Query::default()
    };
    assert_invalid(tracking.search_versions(&query).await);
}

async fn logged_models(database: Database) {
    let bench = Bench::open(database).await;
    let tracking = &bench.tracking;
    let run = bench.run(DEFAULT, "one").await;
    for (name, score) in [
        ("a", Some(0.5)),
        ("b", Some(f64::NAN)),
        ("c", None),
        ("d", Some(2.0)),
    ] {
        bench.clock.advance(std::time::Duration::from_secs(1));
        let new = NewLoggedModel {
            name: Some(name.to_owned()),
            model_type: Some("Forest".to_owned()),
            params: vec![Param::new("rate", "0.01")],
            tags: vec![Tag::new("owner", name)],
            ..NewLoggedModel::default()
        };
        let model = tracking.create_logged_model(new).await.unwrap();
        let metrics = score.map(|score| Metric {
            model_id: Some(model.model_id),
            dataset_name: Some("rows".to_owned()),
            dataset_digest: Some(format!("digest of {name}")),
            ..metric("score", score, 1, 1)
        });
        let batch = Batch {
            metrics: metrics.into_iter().collect(),
            ..Batch::default()
        };
        tracking.log_batch(&run.info.run_id, batch).await.unwrap();
    }
    let search = async |filter: &str, datasets: &[(&str, Option<&str>)], order: &[LoggedModelOrder]| {
        let query = LoggedModelQuery {
            experiment_ids: vec![DEFAULT],
            filter: filter.to_owned(),
            datasets: datasets
                .iter()
                .map(|(name, digest)| ((*name).to_owned(), digest.map(str::to_owned)))
                .collect(),
            order_by: order.to_vec(),
            ..LoggedModelQuery::default()
        };
        let page = tracking.search_logged_models(&query).await?;
        Ok::<_, crate::Error>(page.items.into_iter().map(|model| model.name).collect::<String>())
    };
    for (filter, datasets, expected) in [
        ("metrics.score != 0.5", &[][..], "db"),
        ("metrics.score = 0", &[], ""),
        ("metrics.score >= 5e-1", &[], "da"),
        ("params.rate = '0.01'", &[], "dcba"),
        ("params.rate = 0.01 AND tags.owner IN ('a', 'c')", &[], "ca"),
        ("params.rate NOT IN ('0.01')", &[], ""),
        ("tags.owner like 'D'", &[], ""),
        ("attributes.model_type ILIKE 'forest' AND name != 'a'", &[], "dcb"),
        (
            "status != 'READY' AND status = 'LOGGED_MODEL_PENDING'",
            &[],
            "dcba",
        ),
        ("creation_time > 4500", &[], "dc"),
        ("last_updated_timestamp <= 3000 AND", &[], "a"),
        // Without a metric in the filter, any value measured on the data set counts.
        ("", &[("rows", None)], "dba"),
        (
            "name != 'd'",
            &[("rows", Some("digest of a")), ("rows", Some("digest of d"))],
            "a",
        ),
        ("metrics.score > 0", &[("rows", Some("digest of a"))], "a"),
        ("metrics.score > 0", &[("other", None)], ""),
    ] {
        let found = search(filter, datasets, &[]).await.unwrap();
        assert_eq!(found, expected, "{filter} {datasets:?}");
    }
    let by = |field: &str, ascending, digest: Option<&str>| LoggedModelOrder {
        field_name: field.to_owned(),
        ascending,
        dataset_name: None,
        dataset_digest: digest.map(str::to_owned),
    };
    for (order, expected) in [
        (by("metrics.score", true, None), "adbc"),
        (by("metrics.score", false, None), "dabc"),
        (by("metrics.score", false, Some("digest of a")), "adcb"),
        (by("creation_timestamp_ms", true, None), "abcd"),
        (by("attributes.name", false, None), "dcba"),
    ] {
        let found = search("", &[], std::slice::from_ref(&order)).await.unwrap();
        assert_eq!(found, expected, "{order:?}");
    }
    for order in [
        by("params.rate", true, None),
        by("nothing", true, None),
        by("name", true, Some("digest of a")),
    ] {
        assert_invalid(search("", &[], std::slice::from_ref(&order)).await);
    }
    for filter in [
        "metrics.score IS NULL",
        "tags.owner IS NOT NULL",
        "metrics.score > '1'",
        "metrics.score LIKE 1",
        "status = 'DONE'",
        "status IN ('READY')",
        "lifecycle_stage = 'active'",
        "datasets.name = 'rows'",
    ] {
        assert_invalid(search(filter, &[], &[]).await);
    }
    assert_invalid(search("", &[("", None)], &[]).await);

    let mut query = LoggedModelQuery {
        experiment_ids: vec![DEFAULT],
        filter: "name != 'c'".to_owned(),
        max_results: Some(2),
        ..LoggedModelQuery::default()
    };
    let mut names = String::new();
    loop {
        let page = tracking.search_logged_models(&query).await.unwrap();
        names.extend(page.items.into_iter().map(|model| model.name));
        query.page_token = page.next;
        if query.page_token.is_none() {
            break;
        }
    }
    assert_eq!(names, "dba");
    query.page_token = Some(crate::search::token::encode(2));
    assert_invalid(tracking.search_logged_models(&query).await);
}

fragua_database::each_engine!(search_lists: experiments, registry, logged_models);
