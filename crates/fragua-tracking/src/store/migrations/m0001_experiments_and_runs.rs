//! Experiments, runs, and what is logged to them.

use fragua_database::dialect::{create_index, create_table};
use sea_orm::sea_query::{Check, ColumnDef, ForeignKeyAction, Index, Table};
use sea_orm::{DbErr, DeriveMigrationName};
use sea_orm_migration::{MigrationTrait, SchemaManager};

use super::{
    STAGES, foreign, index_on, integer, medium_text, number, one_of, primary, required_number, required_text,
    text, workspace,
};
use crate::store::revision;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if revision::find(manager).await?.is_some() {
            return Ok(());
        }
        experiments(manager).await?;
        runs(manager).await?;
        metrics(manager).await?;
        params_and_tags(manager).await?;
        inputs(manager).await
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}

async fn experiments(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let experiments = Table::create()
        .table("experiments")
        .col(
            ColumnDef::new("experiment_id")
                .integer()
                .not_null()
                .auto_increment()
                .primary_key(),
        )
        .col(required_text("name", 256))
        .col(text("artifact_location", 256))
        .col(text("lifecycle_stage", 32))
        .col(number("creation_time"))
        .col(number("last_update_time"))
        .col(workspace())
        .index(
            Index::create()
                .name("uq_experiments_workspace_name")
                .unique()
                .col("workspace")
                .col("name"),
        )
        .check(Check::named(
            "experiments_lifecycle_stage",
            one_of("lifecycle_stage", STAGES),
        ))
        .take();
    let tags = Table::create()
        .table("experiment_tags")
        .col(required_text("key", 250))
        .col(medium_text(manager, "value"))
        .col(integer("experiment_id"))
        .primary_key(&mut primary("experiment_tag_pk", &["key", "experiment_id"]))
        .foreign_key(&mut foreign(
            "fk_experiment_tags_experiment_id",
            ("experiment_tags", &["experiment_id"]),
            ("experiments", &["experiment_id"]),
        ))
        .take();
    create_table(manager, experiments).await?;
    create_table(manager, tags).await?;
    for (name, columns) in [
        ("idx_experiments_workspace", &["workspace"][..]),
        (
            "idx_experiments_workspace_creation_time",
            &["workspace", "creation_time"],
        ),
    ] {
        create_index(manager, "experiments", name, index_on(columns)).await?;
    }
    Ok(())
}

async fn runs(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    const SOURCES: &[&str] = &["NOTEBOOK", "JOB", "LOCAL", "UNKNOWN", "PROJECT"];
    const STATUSES: &[&str] = &["SCHEDULED", "FAILED", "FINISHED", "RUNNING", "KILLED"];
    let runs = Table::create()
        .table("runs")
        .col(required_text("run_uuid", 32))
        .col(text("name", 250))
        .col(text("source_type", 20))
        .col(text("source_name", 500))
        .col(text("entry_point_name", 50))
        .col(text("user_id", 256))
        .col(text("status", 9))
        .col(number("start_time"))
        .col(number("end_time"))
        .col(text("source_version", 50))
        .col(text("lifecycle_stage", 20))
        .col(text("artifact_uri", 200))
        .col(ColumnDef::new("experiment_id").integer())
        .col(number("deleted_time"))
        .primary_key(&mut primary("run_pk", &["run_uuid"]))
        .check(Check::named(
            "runs_lifecycle_stage",
            one_of("lifecycle_stage", STAGES),
        ))
        .check(Check::named("source_type", one_of("source_type", SOURCES)))
        .check(one_of("status", STATUSES))
        .foreign_key(&mut foreign(
            "fk_runs_experiment_id",
            ("runs", &["experiment_id"]),
            ("experiments", &["experiment_id"]),
        ))
        .take();
    create_table(manager, runs).await
}

async fn metrics(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let nan = || ColumnDef::new("is_nan").boolean().not_null().take();
    let metrics = Table::create()
        .table("metrics")
        .col(required_text("key", 250))
        .col(ColumnDef::new("value").double().not_null())
        .col(required_number("timestamp"))
        .col(required_text("run_uuid", 32))
        .col(required_number("step").default(0))
        .col(nan().default(false))
        .primary_key(&mut primary(
            "metric_pk",
            &["key", "timestamp", "step", "run_uuid", "value", "is_nan"],
        ))
        .foreign_key(&mut foreign(
            "fk_metrics_run_uuid",
            ("metrics", &["run_uuid"]),
            ("runs", &["run_uuid"]),
        ))
        .take();
    let latest = Table::create()
        .table("latest_metrics")
        .col(required_text("key", 250))
        .col(ColumnDef::new("value").double().not_null())
        .col(number("timestamp"))
        .col(required_number("step"))
        .col(nan())
        .col(required_text("run_uuid", 32))
        .primary_key(&mut primary("latest_metric_pk", &["key", "run_uuid"]))
        .foreign_key(&mut foreign(
            "fk_latest_metrics_run_uuid",
            ("latest_metrics", &["run_uuid"]),
            ("runs", &["run_uuid"]),
        ))
        .take();
    create_table(manager, metrics).await?;
    create_table(manager, latest).await?;
    for (table, name, columns) in [
        ("metrics", "index_metrics_run_uuid", &["run_uuid"][..]),
        (
            "metrics",
            "index_metrics_run_uuid_key_step",
            &["run_uuid", "key", "step"],
        ),
        ("latest_metrics", "index_latest_metrics_run_uuid", &["run_uuid"]),
    ] {
        create_index(manager, table, name, index_on(columns)).await?;
    }
    Ok(())
}

async fn params_and_tags(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let params = Table::create()
        .table("params")
        .col(required_text("key", 250))
        .col(required_text("value", 8000))
        .col(required_text("run_uuid", 32))
        .primary_key(&mut primary("param_pk", &["key", "run_uuid"]))
        .foreign_key(&mut foreign(
            "fk_params_run_uuid",
            ("params", &["run_uuid"]),
            ("runs", &["run_uuid"]),
        ))
        .take();
    let tags = Table::create()
        .table("tags")
        .col(required_text("key", 250))
        .col(text("value", 8000))
        .col(required_text("run_uuid", 32))
        .primary_key(&mut primary("tag_pk", &["key", "run_uuid"]))
        .foreign_key(&mut foreign(
            "fk_tags_run_uuid",
            ("tags", &["run_uuid"]),
            ("runs", &["run_uuid"]),
        ))
        .take();
    create_table(manager, params).await?;
    create_table(manager, tags).await?;
    create_index(
        manager,
        "params",
        "index_params_run_uuid",
        index_on(&["run_uuid"]),
    )
    .await?;
    create_index(manager, "tags", "index_tags_run_uuid", index_on(&["run_uuid"])).await
}

async fn inputs(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let datasets = Table::create()
        .table("datasets")
        .col(required_text("dataset_uuid", 36))
        .col(integer("experiment_id"))
        .col(required_text("name", 500))
        .col(required_text("digest", 36))
        .col(required_text("dataset_source_type", 36))
        .col(medium_text(manager, "dataset_source").not_null())
        .col(medium_text(manager, "dataset_schema"))
        .col(medium_text(manager, "dataset_profile"))
        .primary_key(&mut primary("dataset_pk", &["experiment_id", "name", "digest"]))
        .foreign_key(
            foreign(
                "fk_datasets_experiment_id_experiments",
                ("datasets", &["experiment_id"]),
                ("experiments", &["experiment_id"]),
            )
            .on_delete(ForeignKeyAction::Cascade),
        )
        .take();
    let inputs = Table::create()
        .table("inputs")
        .col(required_text("input_uuid", 36))
        .col(required_text("source_type", 36))
        .col(required_text("source_id", 36))
        .col(required_text("destination_type", 36))
        .col(required_text("destination_id", 36))
        .col(required_number("step").default(0))
        .primary_key(&mut primary(
            "inputs_pk",
            &["source_type", "source_id", "destination_type", "destination_id"],
        ))
        .take();
    let tags = Table::create()
        .table("input_tags")
        .col(required_text("input_uuid", 36))
        .col(required_text("name", 255))
        .col(required_text("value", 500))
        .primary_key(&mut primary("input_tags_pk", &["input_uuid", "name"]))
        .take();
    create_table(manager, datasets).await?;
    create_table(manager, inputs).await?;
    create_table(manager, tags).await?;
    for (table, name, columns) in [
        ("datasets", "index_datasets_dataset_uuid", &["dataset_uuid"][..]),
        (
            "datasets",
            "index_datasets_experiment_id_dataset_source_type",
            &["experiment_id", "dataset_source_type"],
        ),
        ("inputs", "index_inputs_input_uuid", &["input_uuid"]),
        (
            "inputs",
            "index_inputs_destination_type_destination_id_source_type",
            &["destination_type", "destination_id", "source_type"],
        ),
    ] {
        create_index(manager, table, name, index_on(columns)).await?;
    }
    Ok(())
}
