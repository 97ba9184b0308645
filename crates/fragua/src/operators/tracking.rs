//! How the operators speak to tracking: over MLflow's protocol, like any other client, so that `MLFLOW_TRACKING_URI`
//! can name any MLflow server.

use anyhow::Context as _;
use fragua_base::{Clock as _, Secret, SystemClock};
use fragua_orchestrator::TaskContext;
use fragua_tracking::client::{ClientError, MlflowClient};
use fragua_tracking::{ExperimentId, Param, Query, RunStatus, RunUpdate, Tag};
use serde_json::Value;

const DAG_RUN_TAG: &str = "fragua.dag_run_id";
const TASK_TAG: &str = "fragua.task_id";
const DAG_TAG: &str = "fragua.dag_id";

/// Connects to the server that the task's environment names.
pub(super) fn connect(context: &TaskContext) -> anyhow::Result<MlflowClient> {
    let address = context
        .variable("MLFLOW_TRACKING_URI")
        .context("MLFLOW_TRACKING_URI is not set; the program sets it for its tasks")?;
    let token = context.variable("MLFLOW_TRACKING_TOKEN").map(Secret::new);
    Ok(MlflowClient::new(&address, token)?)
}

/// Returns the tags that lead from a run to the attempt that made it.
pub(super) fn describe(context: &TaskContext) -> Vec<Tag> {
    vec![
        Tag::new(DAG_TAG, &context.dag_id),
        Tag::new(DAG_RUN_TAG, &context.dag_run_id),
        Tag::new(TASK_TAG, &context.task_id),
        Tag::new("fragua.try_number", context.try_number.to_string()),
        Tag::new(
            "mlflow.source.name",
            format!("{}.{}", context.dag_id, context.task_id),
        ),
        Tag::new("mlflow.source.type", "JOB"),
        Tag::new("mlflow.user", "fragua"),
    ]
}

/// Ends the runs of earlier attempts of this task instance that were killed before they could end theirs.
pub(super) async fn end_runs_of_lost_attempts(
    client: &MlflowClient,
    experiment: ExperimentId,
    context: &TaskContext,
) -> anyhow::Result<()> {
    let quoted = |text: &str| text.replace('\'', "");
    let filter = format!(
        "attributes.status = 'RUNNING' AND tags.`{DAG_TAG}` = '{}' AND tags.`{DAG_RUN_TAG}` = '{}' AND tags.`{TASK_TAG}` = '{}'",
        quoted(&context.dag_id),
        quoted(&context.dag_run_id),
        quoted(&context.task_id),
    );
    let query = Query {
        filter,
        ..Query::default()
    };
    for run in client.search_runs(&[experiment], &query).await?.items {
        end_run(client, &run.info.run_id, RunStatus::Killed).await?;
    }
    Ok(())
}

/// Ends a run now.
pub(super) async fn end_run(
    client: &MlflowClient,
    run_id: &str,
    status: RunStatus,
) -> Result<(), ClientError> {
    let ended = RunUpdate {
        status: Some(status),
        end_time: Some(SystemClock.now()),
        ..RunUpdate::default()
    };
    client.update_run(run_id, ended).await
}

/// Flattens a configuration into parameters: `search.n_iter`, `split.test_size`, …; a list is one parameter.
pub(super) fn params(config: &Value, leave_out: &[&str]) -> Vec<Param> {
    let mut params = Vec::new();
    flatten("", config, leave_out, &mut params);
    params
}

fn flatten(prefix: &str, value: &Value, leave_out: &[&str], params: &mut Vec<Param>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let path = if prefix.is_empty() {
                    name.clone()
                } else {
                    format!("{prefix}.{name}")
                };
                if !leave_out.contains(&path.as_str()) {
                    flatten(&path, field, leave_out, params);
                }
            }
        }
        Value::Null => params.push(Param::new(prefix, "None")),
        Value::String(text) => params.push(Param::new(prefix, text)),
        other => params.push(Param::new(prefix, other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_configuration_becomes_dotted_parameters() {
        let config = json!({
            "target": "Cover_Type", "split": { "test_size": 0.3 }, "features": null, "exclude": ["id"],
            "candidates": [{ "model": "random_forest" }],
        });
        let params: Vec<_> = params(&config, &["candidates"])
            .into_iter()
            .map(|param| (param.key, param.value))
            .collect();
        let expected = [
            ("target", "Cover_Type"),
            ("split.test_size", "0.3"),
            ("features", "None"),
            ("exclude", "[\"id\"]"),
        ];
        assert_eq!(
            params,
            expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
    }
}
