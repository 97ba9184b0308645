use fragua_database::Database;

use super::{Bench, assert_invalid, assert_missing, metric};
use crate::{
    Batch, ExperimentId, LoggedModelOrder, LoggedModelQuery, LoggedModelStatus, Metric, NewLoggedModel,
    Param, Tag,
};

const DEFAULT: ExperimentId = ExperimentId(0);

fn named(name: &str) -> NewLoggedModel {
    NewLoggedModel {
        name: Some(name.to_owned()),
        ..NewLoggedModel::default()
    }
}

async fn a_model_waits_for_its_files_and_is_told_ready(database: Database) {
    let bench = Bench::open(database).await;
    let tracking = &bench.tracking;
    let new = NewLoggedModel {
        params: vec![Param::new("depth", "3")],
        ..named("model")
    };
    let model = tracking.create_logged_model(new).await.unwrap();
    assert_eq!(model.status, LoggedModelStatus::Pending);
    assert_eq!(
        model.artifact_uri,
        format!("mlflow-artifacts:/0/models/{}/artifacts", model.model_id)
    );
    let id = &model.model_id;
    let ready = tracking
        .finalize_logged_model(id, LoggedModelStatus::Ready)
        .await
        .unwrap();
    assert_eq!(
        (ready.status, ready.params),
        (LoggedModelStatus::Ready, vec![Param::new("depth", "3")])
    );
    tracking
        .log_logged_model_params(id, vec![Param::new("width", "4")])
        .await
        .unwrap();
    assert_invalid(
        tracking
            .log_logged_model_params(id, vec![Param::new("width", "5")])
            .await,
    );
    tracking
        .set_logged_model_tags(id, vec![Tag::new("k", "1"), Tag::new("l", "2")])
        .await
        .unwrap();
    tracking.delete_logged_model_tag(id, "l").await.unwrap();
    assert_missing(tracking.delete_logged_model_tag(id, "l").await);
    assert_eq!(
        tracking.logged_model(id).await.unwrap().tags,
        [Tag::new("k", "1")]
    );
    tracking.delete_logged_model(id).await.unwrap();
    assert_missing(tracking.logged_model(id).await);
    assert_missing(tracking.finalize_logged_model(id, LoggedModelStatus::Ready).await);
    for bad in ["a/b", "a:b", "a.b", "a%b", "a'b"] {
        assert_invalid(tracking.create_logged_model(named(bad)).await);
    }
}

async fn models_are_searched_by_what_was_measured_on_them(database: Database) {
    let bench = Bench::open(database).await;
    let tracking = &bench.tracking;
    let run = bench.run(DEFAULT, "one").await;
    let id = run.info.run_id.as_str();
    for (name, values) in [
        ("a", &[("rows", 0.5, 1), ("other", 0.9, 1)][..]),
        ("b", &[("rows", 0.7, 1), ("rows", 0.6, 2)]),
        ("c", &[]),
        ("d", &[("rows", f64::NAN, 1)]),
    ] {
        bench.clock.advance(std::time::Duration::from_secs(1));
        let source_run_id = (name != "c").then(|| id.to_owned());
        let new = NewLoggedModel {
            source_run_id,
            params: vec![Param::new("side", name)],
            ..named(name)
        };
        let model = tracking.create_logged_model(new).await.unwrap();
        let metrics = values.iter().map(|(dataset, value, step)| Metric {
            model_id: Some(model.model_id.clone()),
            dataset_name: Some((*dataset).to_owned()),
            dataset_digest: Some("d1".to_owned()),
            // Another time for each data set: the key of the table has no data set in it.
            ..metric("score", *value, dataset.len() as i64, *step)
        });
        let metrics = metrics.collect();
        tracking
            .log_batch(
                id,
                Batch {
                    metrics,
                    ..Batch::default()
                },
            )
            .await
            .unwrap();
    }
    let found = async |filter: &str, dataset: Option<&str>, order: &[LoggedModelOrder]| {
        let query = LoggedModelQuery {
            experiment_ids: vec![DEFAULT],
            filter: filter.to_owned(),
            datasets: dataset.map(|name| (name.to_owned(), None)).into_iter().collect(),
            order_by: order.to_vec(),
            ..LoggedModelQuery::default()
        };
        let page = tracking.search_logged_models(&query).await.unwrap();
        page.items.into_iter().map(|model| model.name).collect::<String>()
    };
    for (filter, dataset, expected) in [
        ("", None, "dcba"),
        ("metrics.score > 0.65", None, "ba"),
        ("metrics.score > 0.65", Some("rows"), "b"),
        ("params.side = 'c'", None, "c"),
        (&format!("source_run_id = '{id}'"), None, "dba"),
        ("name IN ('a', 'b') AND status = 'PENDING'", None, "ba"),
        ("status = 'READY'", None, ""),
        ("creation_timestamp > 4500", None, "dc"),
    ] {
        assert_eq!(
            found(filter, dataset, &[]).await,
            expected,
            "{filter} {dataset:?}"
        );
    }
    let by = |field: &str, ascending, dataset: Option<&str>| LoggedModelOrder {
        field_name: field.to_owned(),
        ascending,
        dataset_name: dataset.map(str::to_owned),
        dataset_digest: None,
    };
    // The newest value of each counts: 0.5 for a, 0.6 for b.
    assert_eq!(
        found("", None, &[by("metrics.score", false, Some("rows"))]).await,
        "badc"
    );
    assert_eq!(
        found("", None, &[by("metrics.score", true, Some("rows"))]).await,
        "abdc"
    );
    assert_eq!(found("", None, &[by("name", true, None)]).await, "abcd");
    let bad = LoggedModelQuery {
        order_by: vec![by("nothing", true, None)],
        ..LoggedModelQuery::default()
    };
    assert_invalid(tracking.search_logged_models(&bad).await);
    let model = tracking
        .search_logged_models(&LoggedModelQuery {
            experiment_ids: vec![DEFAULT],
            filter: "name = 'b'".to_owned(),
            ..LoggedModelQuery::default()
        })
        .await
        .unwrap();
    let values: Vec<_> = model.items[0].metrics.iter().map(|metric| metric.value).collect();
    assert_eq!(values, [0.7, 0.6]);
}

fragua_database::each_engine!(
    logged_models: a_model_waits_for_its_files_and_is_told_ready,
    models_are_searched_by_what_was_measured_on_them,
);
