use fragua_database::Database;

use super::{Bench, assert_invalid, assert_missing, assert_taken};
use crate::{Change, ExperimentId, ModelAlias, NewLoggedModel, NewVersion, Query, Stage, Tag};

const DEFAULT: ExperimentId = ExperimentId(0);

async fn version(bench: &Bench, name: &str) -> crate::ModelVersion {
    let model = bench
        .tracking
        .create_logged_model(NewLoggedModel::default())
        .await
        .unwrap();
    let source = format!("models:/{}", model.model_id);
    bench
        .tracking
        .create_version(NewVersion {
            name: name.to_owned(),
            source,
            ..NewVersion::default()
        })
        .await
        .unwrap()
}

async fn numbers_are_never_given_twice(database: Database) {
    let bench = Bench::open(database).await;
    let tracking = &bench.tracking;
    tracking
        .create_model(
            "cover",
            Some("trees".to_owned()),
            vec![Tag::new("team", "forest")],
        )
        .await
        .unwrap();
    assert_taken(tracking.create_model("cover", None, Vec::new()).await);
    for expected in 1..=3 {
        assert_eq!(version(&bench, "cover").await.version, expected);
    }
    tracking.delete_version("cover", 3).await.unwrap();
    assert_missing(tracking.version("cover", 3).await);
    assert_missing(tracking.delete_version("cover", 3).await);
    assert_eq!(version(&bench, "cover").await.version, 4);
    let missing = NewVersion {
        name: "nobody".to_owned(),
        source: "s3://a/b".to_owned(),
        ..NewVersion::default()
    };
    assert_missing(tracking.create_version(missing).await);
    for bad in ["", " ", "a/b", "a:b", "..", &"x".repeat(257)] {
        assert_invalid(tracking.create_model(bad, None, Vec::new()).await);
    }
    tracking.delete_model("cover").await.unwrap();
    assert_missing(tracking.model("cover").await);
    assert_missing(tracking.delete_model("cover").await);
    tracking.create_model("cover", None, Vec::new()).await.unwrap();
    assert_eq!(version(&bench, "cover").await.version, 1);
}

async fn aliases_move_and_are_told(database: Database) {
    let bench = Bench::open(database).await;
    let tracking = &bench.tracking;
    tracking.create_model("cover", None, Vec::new()).await.unwrap();
    for _ in 0..2 {
        version(&bench, "cover").await;
    }
    let mut changes = tracking.changes();
    let told = |name: &str, version| Change::Alias {
        name: name.to_owned(),
        alias: "champion".to_owned(),
        version,
    };
    tracking.set_alias("cover", "champion", 1).await.unwrap();
    assert_eq!(changes.recv().await.unwrap(), told("cover", Some(1)));
    tracking.set_alias("cover", "champion", 2).await.unwrap();
    assert_eq!(changes.recv().await.unwrap(), told("cover", Some(2)));
    assert_eq!(
        tracking
            .version_by_alias("cover", "champion")
            .await
            .unwrap()
            .version,
        2
    );
    assert_eq!(
        tracking
            .version_by_alias("cover", "latest")
            .await
            .unwrap()
            .version,
        2
    );
    assert_invalid(tracking.version_by_alias("cover", "Champion").await);
    assert_missing(tracking.version_by_alias("nobody", "champion").await);
    assert_missing(tracking.set_alias("cover", "champion", 9).await);
    assert_missing(tracking.set_alias("nobody", "champion", 1).await);
    assert_invalid(tracking.set_alias("cover", "v2", 1).await);
    let model = tracking.model("cover").await.unwrap();
    assert_eq!(
        model.aliases,
        [ModelAlias {
            alias: "champion".to_owned(),
            version: 2
        }]
    );
    assert_eq!(model.latest_versions[0].aliases, ["champion"]);

    tracking.rename_model("cover", "forest").await.unwrap();
    assert_eq!(changes.recv().await.unwrap(), told("cover", None));
    assert_eq!(changes.recv().await.unwrap(), told("forest", Some(2)));
    changes.recv().await.unwrap();
    changes.recv().await.unwrap();
    tracking.delete_version("forest", 2).await.unwrap();
    assert_eq!(changes.recv().await.unwrap(), told("forest", None));
    assert_invalid(tracking.version_by_alias("forest", "champion").await);
    tracking.delete_alias("forest", "champion").await.unwrap();
}

async fn renaming_takes_everything_along(database: Database) {
    let bench = Bench::open(database).await;
    let tracking = &bench.tracking;
    tracking
        .create_model("old", None, vec![Tag::new("team", "forest")])
        .await
        .unwrap();
    tracking.create_model("taken", None, Vec::new()).await.unwrap();
    version(&bench, "old").await;
    tracking
        .set_version_tag("old", 1, Tag::new("checked", "yes"))
        .await
        .unwrap();
    tracking.set_alias("old", "champion", 1).await.unwrap();
    assert_taken(tracking.rename_model("old", "taken").await);
    let renamed = tracking.rename_model("old", "new").await.unwrap();
    assert_eq!(renamed.tags, [Tag::new("team", "forest")]);
    let found = tracking.version_by_alias("new", "champion").await.unwrap();
    assert_eq!((found.name.as_str(), found.tag("checked")), ("new", Some("yes")));
    assert_missing(tracking.model("old").await);
    tracking.rename_model("new", "new").await.unwrap();
}

async fn stages_archive_what_was_there(database: Database) {
    let bench = Bench::open(database).await;
    let tracking = &bench.tracking;
    tracking.create_model("cover", None, Vec::new()).await.unwrap();
    for _ in 0..4 {
        version(&bench, "cover").await;
    }
    tracking
        .move_to_stage("cover", 1, Stage::Production, false)
        .await
        .unwrap();
    tracking
        .move_to_stage("cover", 2, Stage::Production, true)
        .await
        .unwrap();
    tracking
        .move_to_stage("cover", 3, Stage::Staging, false)
        .await
        .unwrap();
    assert_invalid(tracking.move_to_stage("cover", 3, Stage::Archived, true).await);
    let latest = async |stages: &[Stage]| {
        let versions = tracking.latest_versions("cover", stages).await.unwrap();
        versions
            .into_iter()
            .map(|version| (version.version, version.stage))
            .collect::<Vec<_>>()
    };
    let all = [
        (1, Stage::Archived),
        (2, Stage::Production),
        (3, Stage::Staging),
        (4, Stage::None),
    ];
    assert_eq!(latest(&[]).await, all);
    assert_eq!(
        latest(&[Stage::Production, Stage::None]).await,
        [(2, Stage::Production), (4, Stage::None)]
    );
    let found = tracking.resolve_model("models:/cover/Staging").await.unwrap();
    assert_eq!(found.version, Some(3));
    assert_eq!(
        tracking
            .resolve_model("models:/cover/latest")
            .await
            .unwrap()
            .version,
        Some(4)
    );
}

async fn sources_stay_on_this_server(database: Database) {
    let bench = Bench::open(database).await;
    let tracking = &bench.tracking;
    tracking.create_model("cover", None, Vec::new()).await.unwrap();
    let (run, other) = (bench.run(DEFAULT, "one").await, bench.run(DEFAULT, "two").await);
    let (id, other) = (run.info.run_id.as_str(), other.info.run_id.as_str());
    let make = async |source: &str, run_id: Option<&str>| {
        let new = NewVersion {
            name: "cover".to_owned(),
            source: source.to_owned(),
            run_id: run_id.map(str::to_owned),
            ..NewVersion::default()
        };
        tracking.create_version(new).await
    };
    let uri = format!("{}/model", run.info.artifact_uri);
    for (source, run_id, location) in [
        (uri.as_str(), Some(id), uri.as_str()),
        (&format!("runs:/{id}/model"), Some(id), &uri),
        (&format!("runs:/{id}/model"), None, &uri),
        ("models:/cover/1", None, &uri),
        ("s3://bucket/model", Some(id), "s3://bucket/model"),
    ] {
        let made = make(source, run_id).await.unwrap();
        assert_eq!(made.download_uri(), location, "{source}");
        assert_eq!(made.run_id.as_deref(), Some(id), "{source}");
    }
    let by_place = make(&uri, None).await.unwrap();
    assert_eq!((by_place.download_uri(), &by_place.run_id), (uri.as_str(), &None));
    for (source, run_id) in [
        ("file:///etc/passwd", Some(id)),
        ("/etc/passwd", Some(id)),
        ("relative", Some(id)),
        ("http://169.254.169.254/latest", Some(id)),
        ("https://example.org/model", None),
        (uri.as_str(), Some(other)),
        ("mlflow-artifacts:/0", Some(id)),
        ("mlflow-artifacts://host/0/x", Some(id)),
        (&format!("{uri}/../../x"), Some(id)),
        (&format!("{uri}/../../x"), None),
        (&format!("{uri}/%2e%2e/x"), Some(id)),
        (&format!("runs:/{id}/../x"), Some(id)),
        (&format!("runs:/{id}/model"), Some(other)),
        ("s3://bucket/../x", None),
        ("s3://bucket/x?versionId=1", None),
        ("models:/cover", None),
    ] {
        assert_invalid(make(source, run_id).await);
    }
    assert_missing(make("models:/m-0", None).await);
    assert_missing(make("models:/nobody/1", None).await);
}

async fn models_and_versions_are_searched(database: Database) {
    let bench = Bench::open(database).await;
    let tracking = &bench.tracking;
    let run = bench.run(DEFAULT, "one").await;
    for (name, tags) in [
        ("ash", &[("kind", "tree")][..]),
        ("Birch", &[("kind", "Tree")]),
        ("cedar", &[]),
        ("prompt", &[("mlflow.prompt.is_prompt", "true")]),
    ] {
        bench.clock.advance(std::time::Duration::from_secs(1));
        let tags = tags.iter().map(|(key, value)| Tag::new(*key, *value)).collect();
        tracking.create_model(name, None, tags).await.unwrap();
    }
    let query = |filter: &str, order: &[&str]| Query {
        filter: filter.to_owned(),
        order_by: order.iter().map(|term| (*term).to_owned()).collect(),
        ..Query::default()
    };
    for (filter, order, expected) in [
        ("name = 'ash'", &[][..], "ash"),
        ("name LIKE '%r%'", &["creation_timestamp"], "Birch cedar"),
        ("name ILIKE 'b%'", &[], "Birch"),
        ("name IN ('ash', 'cedar')", &["name DESC"], "cedar ash"),
        ("tags.kind = 'tree'", &[], "ash"),
        (
            "tag.`mlflow.prompt.is_prompt` != 'true'",
            &["timestamp"],
            "ash Birch cedar",
        ),
        (
            "name LIKE '%' AND tag.`mlflow.prompt.is_prompt` = 'true'",
            &[],
            "prompt",
        ),
    ] {
        let found = tracking.search_models(&query(filter, order)).await.unwrap();
        let names: Vec<_> = found.items.into_iter().map(|model| model.name).collect();
        assert_eq!(names.join(" "), expected, "{filter}");
    }
    assert_invalid(tracking.search_models(&query("description = 'x'", &[])).await);
    assert_invalid(tracking.search_models(&query("timestamp > 5", &[])).await);

    for name in ["ash", "ash", "cedar"] {
        version(&bench, name).await;
    }
    let new = NewVersion {
        name: "cedar".to_owned(),
        source: "s3://bucket/x".to_owned(),
        run_id: Some(run.info.run_id.clone()),
        tags: vec![Tag::new("checked", "yes")],
        ..NewVersion::default()
    };
    tracking.create_version(new).await.unwrap();
    tracking.delete_version("ash", 2).await.unwrap();
    for (filter, expected) in [
        ("", "ash/1 cedar/2 cedar/1"),
        ("name = 'cedar'", "cedar/2 cedar/1"),
        ("version_number > 1", "cedar/2"),
        ("tags.checked = 'yes'", "cedar/2"),
        ("source_path LIKE 's3:%'", "cedar/2"),
        (&format!("run_id = '{}'", run.info.run_id), "cedar/2"),
    ] {
        let found = tracking.search_versions(&query(filter, &[])).await.unwrap();
        let names: Vec<_> = found
            .items
            .into_iter()
            .map(|version| format!("{}/{}", version.name, version.version))
            .collect();
        assert_eq!(names.join(" "), expected, "{filter}");
    }
}

fragua_database::each_engine!(
    registry: numbers_are_never_given_twice,
    aliases_move_and_are_told,
    renaming_takes_everything_along,
    stages_archive_what_was_there,
    sources_stay_on_this_server,
    models_and_versions_are_searched,
);
