//! What runs read and made, in the database.

use std::borrow::Cow;
use std::collections::HashMap;

use fragua_base::random_hex;
use fragua_database::dialect::{insert_if_absent, upsert};
use fragua_database::{Row, Statements};
use sea_orm::sea_query::{Expr, ExprTrait as _, Order, Query};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ConnectionTrait, DbErr, FromQueryResult, QueryOrder, QuerySelect, QueryTrait, Select,
    entity::prelude::*,
};

use super::entities::inputs::{dataset, input, input_tag};
use super::{Family, KEYS_PER_QUERY, text};
use crate::experiments::{DatasetSummary, ExperimentId};
use crate::runs::{Dataset, DatasetInput, ModelOutput, RunInfo, Tag};
use crate::validation::limits;

/// The tag of an input that holds the role of a data set.
const CONTEXT_TAG: &str = "mlflow.data.context";
const INPUT_KEY: &[&str] = &["source_type", "source_id", "destination_type", "destination_id"];

/// What a run read and made.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    pub(super) datasets: Vec<DatasetInput>,
    pub(super) models: Vec<String>,
    pub(super) outputs: Vec<ModelOutput>,
}

/// A data set that a run read.
struct Link {
    input_uuid: String,
    source_id: String,
    destination_id: String,
}

fn model_link(source: (&str, &str), model: (&str, &str), step: i64) -> input::ActiveModel {
    input::ActiveModel {
        input_uuid: Set(random_hex(16)),
        source_type: Set(source.0.to_owned()),
        source_id: Set(source.1.to_owned()),
        destination_type: Set(model.0.to_owned()),
        destination_id: Set(model.1.to_owned()),
        step: Set(step),
    }
}

/// Records data sets and that the run read them. One that the experiment knows by name and digest is not written
/// again; neither is a link that exists.
pub(crate) async fn insert_datasets(
    connection: &impl Statements,
    run: &RunInfo,
    inputs: &[DatasetInput],
) -> Result<(), DbErr> {
    for one in inputs {
        let row = dataset::ActiveModel {
            dataset_uuid: Set(random_hex(16)),
            experiment_id: Set(run.experiment_id.0),
            name: Set(one.dataset.name.clone()),
            digest: Set(one.dataset.digest.clone()),
            dataset_source_type: Set(one.dataset.source_type.clone()),
            dataset_source: Set(one.dataset.source.clone()),
            dataset_schema: Set(one.dataset.schema.clone()),
            dataset_profile: Set(one.dataset.profile.clone()),
        };
        let insert =
            dataset::Entity::insert(row).on_conflict(insert_if_absent(&["experiment_id", "name", "digest"]));
        connection.execute(&insert.into_query()).await?;
        let key = (
            run.experiment_id.0,
            one.dataset.name.clone(),
            one.dataset.digest.clone(),
        );
        let kept = dataset::Entity::find_by_id(key);
        let Some(dataset_uuid) = id(connection, kept, dataset::Column::DatasetUuid).await? else {
            continue;
        };
        let link = input::ActiveModel {
            input_uuid: Set(random_hex(16)),
            source_type: Set("DATASET".to_owned()),
            source_id: Set(dataset_uuid.clone()),
            destination_type: Set("RUN".to_owned()),
            destination_id: Set(run.run_id.clone()),
            step: NotSet,
        };
        let insert = input::Entity::insert(link).on_conflict(insert_if_absent(INPUT_KEY));
        connection.execute(&insert.into_query()).await?;
        let key = (
            "DATASET".to_owned(),
            dataset_uuid,
            "RUN".to_owned(),
            run.run_id.clone(),
        );
        let linked = input::Entity::find_by_id(key);
        let Some(input_uuid) = id(connection, linked, input::Column::InputUuid).await? else {
            continue;
        };
        let tags = super::last_of_each(&one.tags, |tag| &tag.key);
        if tags.is_empty() {
            continue;
        }
        let rows = tags.into_iter().map(|tag| input_tag::ActiveModel {
            input_uuid: Set(input_uuid.clone()),
            name: Set(tag.key.clone()),
            value: Set(tag.value.clone()),
        });
        let insert =
            input_tag::Entity::insert_many(rows).on_conflict(upsert(&["input_uuid", "name"], &["value"]));
        connection.execute(&insert.into_query()).await?;
    }
    Ok(())
}

/// Returns one column of the one row that is selected.
async fn id<E: EntityTrait>(
    connection: &impl Statements,
    select: Select<E>,
    column: E::Column,
) -> Result<Option<String>, DbErr> {
    let select = select.select_only().column(column).into_query();
    Ok(connection.rows(&select, |row| text(row, 0)).await?.pop())
}

/// Records that a run read a model; the connection comes from [`Family::on`].
pub(crate) async fn insert_model_input(
    connection: &impl Statements,
    run_id: &str,
    model_id: &str,
) -> Result<(), DbErr> {
    let link = model_link(("RUN_INPUT", run_id), ("MODEL_INPUT", model_id), 0);
    let insert = input::Entity::insert(link).on_conflict(insert_if_absent(INPUT_KEY));
    connection.execute(&insert.into_query()).await?;
    Ok(())
}

/// Records models that a run made; the connection comes from [`Family::on`].
pub(crate) async fn insert_outputs(
    connection: &impl Statements,
    run_id: &str,
    outputs: &[ModelOutput],
) -> Result<(), DbErr> {
    for output in outputs {
        let model = ("MODEL_OUTPUT", output.model_id.as_str());
        let link = model_link(("RUN_OUTPUT", run_id), model, output.step);
        let insert = input::Entity::insert(link).on_conflict(upsert(INPUT_KEY, &["step"]));
        connection.execute(&insert.into_query()).await?;
    }
    Ok(())
}

/// Returns the data sets of some experiments with the roles in which they were read.
pub(crate) async fn datasets(
    connection: &impl ConnectionTrait,
    experiments: &[ExperimentId],
) -> Result<Vec<DatasetSummary>, DbErr> {
    #[derive(FromQueryResult)]
    struct Row {
        experiment_id: i32,
        name: String,
        digest: String,
        context: Option<String>,
    }

    let of_role = Expr::col(("input_tags", "input_uuid"))
        .equals(("inputs", "input_uuid"))
        .and(Expr::col(("input_tags", "name")).eq(CONTEXT_TAG));
    let select = Query::select()
        .distinct()
        .columns([
            ("datasets", "experiment_id"),
            ("datasets", "name"),
            ("datasets", "digest"),
        ])
        .expr_as(Expr::col(("input_tags", "value")), "context")
        .from("datasets")
        .inner_join(
            "inputs",
            Expr::col(("inputs", "source_id"))
                .equals(("datasets", "dataset_uuid"))
                .and(Expr::col(("inputs", "source_type")).eq("DATASET")),
        )
        .left_join("input_tags", of_role)
        .and_where(Expr::col(("datasets", "experiment_id")).is_in(experiments.iter().map(|id| id.0)))
        .order_by(("datasets", "experiment_id"), Order::Asc)
        .order_by(("datasets", "name"), Order::Asc)
        .order_by(("datasets", "digest"), Order::Asc)
        .order_by("context", Order::Asc)
        .limit(limits::DATASETS_PER_ANSWER)
        .take();
    let rows = connection.query_all(&select).await?;
    rows.iter()
        .map(|row| {
            let row = Row::from_query_result(row, "")?;
            Ok(DatasetSummary {
                experiment_id: ExperimentId(row.experiment_id),
                name: row.name,
                digest: row.digest,
                context: row.context,
            })
        })
        .collect()
}

pub(super) async fn of_runs(
    connection: &impl Statements,
    family: Family,
    run_ids: &[&str],
) -> Result<HashMap<String, Inputs>, DbErr> {
    let mut of_runs: HashMap<String, Inputs> = HashMap::new();
    if run_ids.is_empty() {
        return Ok(of_runs);
    }
    let models = input::Entity::find()
        .select_only()
        .columns([
            input::Column::SourceId,
            input::Column::SourceType,
            input::Column::DestinationId,
            input::Column::Step,
        ])
        .filter(input::Column::SourceType.is_in(["RUN_INPUT", "RUN_OUTPUT"]))
        .filter(input::Column::SourceId.is_in(run_ids.iter().copied()))
        .order_by_asc(input::Column::Step)
        .order_by_asc(input::Column::DestinationId);
    let keep_model = |row: &Row<'_>| {
        let inputs = of_runs.entry(text(row, 0)?).or_default();
        let model_id = text(row, 2)?;
        if row.text(1)?.as_deref() == Some("RUN_OUTPUT") {
            let step = row.integer(3)?.unwrap_or_default();
            inputs.outputs.push(ModelOutput { model_id, step });
        } else {
            inputs.models.push(model_id);
        }
        Ok(())
    };
    let home = family.on(connection);
    home.each_row(&models.into_query(), keep_model).await?;
    let links = input::Entity::find()
        .select_only()
        .columns([
            input::Column::InputUuid,
            input::Column::SourceId,
            input::Column::DestinationId,
        ])
        .filter(input::Column::DestinationType.eq("RUN"))
        .filter(input::Column::DestinationId.is_in(run_ids.iter().copied()))
        .filter(input::Column::SourceType.eq("DATASET"));
    let link = |row: &Row<'_>| {
        Ok(Link {
            input_uuid: text(row, 0)?,
            source_id: text(row, 1)?,
            destination_id: text(row, 2)?,
        })
    };
    let links = connection.rows(&links.into_query(), link).await?;
    if links.is_empty() {
        return Ok(of_runs);
    }
    let mut datasets: HashMap<String, Dataset> = HashMap::new();
    let mut tags: HashMap<String, Vec<Tag>> = HashMap::new();
    for some in links.chunks(KEYS_PER_QUERY) {
        let found = dataset::Entity::find()
            .select_only()
            .columns([
                dataset::Column::DatasetUuid,
                dataset::Column::Name,
                dataset::Column::Digest,
                dataset::Column::DatasetSourceType,
                dataset::Column::DatasetSource,
                dataset::Column::DatasetSchema,
                dataset::Column::DatasetProfile,
            ])
            .filter(dataset::Column::DatasetUuid.is_in(some.iter().map(|link| link.source_id.as_str())));
        let keep_dataset = |row: &Row<'_>| {
            let dataset = Dataset {
                name: text(row, 1)?,
                digest: text(row, 2)?,
                source_type: text(row, 3)?,
                source: text(row, 4)?,
                schema: row.text(5)?.map(Cow::into_owned),
                profile: row.text(6)?.map(Cow::into_owned),
            };
            datasets.insert(text(row, 0)?, dataset);
            Ok(())
        };
        connection.each_row(&found.into_query(), keep_dataset).await?;
        let found = input_tag::Entity::find()
            .select_only()
            .columns([
                input_tag::Column::InputUuid,
                input_tag::Column::Name,
                input_tag::Column::Value,
            ])
            .filter(input_tag::Column::InputUuid.is_in(some.iter().map(|link| link.input_uuid.as_str())))
            .order_by_asc(input_tag::Column::Name);
        let keep_tag = |row: &Row<'_>| {
            let tag = Tag::new(text(row, 1)?, text(row, 2)?);
            tags.entry(text(row, 0)?).or_default().push(tag);
            Ok(())
        };
        connection.each_row(&found.into_query(), keep_tag).await?;
    }
    for link in links {
        let Some(dataset) = datasets.get(&link.source_id) else {
            continue;
        };
        let tags = tags.remove(&link.input_uuid).unwrap_or_default();
        let input = DatasetInput {
            dataset: dataset.clone(),
            tags,
        };
        of_runs
            .entry(link.destination_id)
            .or_default()
            .datasets
            .push(input);
    }
    for inputs in of_runs.values_mut() {
        inputs.datasets.sort_by(|one, other| {
            (&one.dataset.name, &one.dataset.digest).cmp(&(&other.dataset.name, &other.dataset.digest))
        });
    }
    Ok(of_runs)
}
