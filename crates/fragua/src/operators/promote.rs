//! `promote`: moves an alias to a new version if it is better on the rows nobody trained on.

use std::fmt;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use fragua_learn::config::Scoring;
use fragua_learn::{Pipeline, Table, mlflow_model};
use fragua_orchestrator::{ArgumentError, Operator, Outcome, TaskContext, TaskError, parse_arguments};
use fragua_tracking::Tag;
use fragua_tracking::client::MlflowClient;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{held_out, tracking};

/// The largest pipeline file and the largest file of held-out rows that are read.
const MAXIMUM_FILE_BYTES: usize = 1 << 30;

/// Compares a candidate with the champion on the candidate's held-out rows.
pub(super) struct Promote;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// The task that trained the candidate; it must be upstream.
    candidate: String,
    /// The registered model.
    model: String,
    /// The alias to move.
    #[serde(default = "champion")]
    alias: String,
    /// The figure that decides: by default `f1_macro` for classes and `r2` for numbers.
    #[serde(default)]
    metric: Option<Scoring>,
}

fn champion() -> String {
    "champion".to_owned()
}

/// What the `train` task handed on.
#[derive(Debug, Deserialize)]
struct Candidate {
    run_id: String,
    model: Option<String>,
    version: Option<i32>,
}

/// What was decided and why, as it is logged and shown.
#[derive(Debug, PartialEq)]
enum Decision {
    First,
    /// A retry finds the alias where the lost attempt had moved it.
    Already,
    Better {
        metric: &'static str,
        candidate: f64,
        champion: f64,
        rows: usize,
    },
    NotBetter {
        metric: &'static str,
        candidate: f64,
        champion: f64,
        rows: usize,
    },
}

impl Decision {
    fn compare(metric: &'static str, candidate: f64, champion: f64, rows: usize) -> Self {
        // A figure that is not a number is never better.
        if candidate > champion {
            Self::Better {
                metric,
                candidate,
                champion,
                rows,
            }
        } else {
            Self::NotBetter {
                metric,
                candidate,
                champion,
                rows,
            }
        }
    }

    fn promotes(&self) -> bool {
        !matches!(self, Self::NotBetter { .. })
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => formatter.write_str("promoted: there was no champion"),
            Self::Already => formatter.write_str("promoted already"),
            Self::Better {
                metric,
                candidate,
                champion,
                rows,
            } => {
                write!(
                    formatter,
                    "promoted: {metric} {candidate:.4} is better than the champion's {champion:.4} on {rows} held-out rows"
                )
            }
            Self::NotBetter {
                metric,
                candidate,
                champion,
                rows,
            } => {
                write!(
                    formatter,
                    "not promoted: {metric} {candidate:.4} is not better than the champion's {champion:.4} on {rows} held-out rows"
                )
            }
        }
    }
}

#[async_trait]
impl Operator for Promote {
    fn name(&self) -> &'static str {
        "promote"
    }

    fn schema(&self) -> Schema {
        schemars::schema_for!(Arguments)
    }

    fn check(&self, arguments: &Value) -> Result<(), ArgumentError> {
        parse_arguments::<Arguments>(arguments).map(drop)
    }

    fn reads(&self, arguments: &Value) -> Vec<String> {
        let candidate = arguments.get("candidate").and_then(Value::as_str);
        candidate.map(str::to_owned).into_iter().collect()
    }

    async fn run(&self, context: &TaskContext, arguments: Value) -> Result<Outcome, TaskError> {
        let arguments: Arguments = parse_arguments(&arguments)?;
        promote(context, &arguments)
            .await
            .map_err(|error| TaskError::failed(format!("{error:#}")))
    }
}

async fn promote(context: &TaskContext, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let Arguments { model, alias, .. } = arguments;
    let candidate = candidate(context, arguments)?;
    let version = candidate
        .version
        .context("the training registered no version; give it `register`")?;
    let client = tracking::connect(context)?;
    let champion = client
        .resolve_alias(model, alias)
        .await?
        .map(|champion| champion.version);

    let decision = match champion {
        None => Decision::First,
        Some(champion) if champion == version => Decision::Already,
        Some(champion) => {
            let run = client.run(&candidate.run_id).await?.info;
            let bytes = client
                .read_artifact(&run.artifact_uri, held_out::ARTIFACT, MAXIMUM_FILE_BYTES)
                .await?;
            let rows = held_out::unpack(&bytes)?;
            let of_candidate = load(&client, model, version).await?;
            let of_champion = load(&client, model, champion).await?;
            let by_default = || Scoring::of_task(of_candidate.1.task());
            let metric = arguments.metric.unwrap_or_else(by_default);
            Decision::compare(
                metric.name(),
                score(&of_candidate, &rows, metric)?,
                score(&of_champion, &rows, metric)?,
                rows.row_count(),
            )
        }
    };
    println!("{model} version {version}: {decision}");
    let reason = Tag::new("fragua.promotion", decision.to_string());
    client
        .set_tag(&candidate.run_id, &reason.key, &reason.value)
        .await?;
    client.set_version_tag(model, version, &reason).await?;
    if decision.promotes() {
        client.set_alias(model, alias, version).await?;
    }
    let (promoted, reason) = (decision.promotes(), reason.value);
    Ok(Outcome::with_xcom(
        json!({ "promoted": promoted, "reason": reason, "model": model, "version": version }),
    ))
}

fn candidate(context: &TaskContext, arguments: &Arguments) -> anyhow::Result<Candidate> {
    let task = &arguments.candidate;
    let handed_on = context
        .xcom
        .get(task)
        .with_context(|| format!("task {task} handed nothing on; is it upstream?"))?;
    let candidate: Candidate = serde_json::from_value(handed_on.clone())
        .with_context(|| format!("task {task} is not a `train` task"))?;
    match &candidate.model {
        Some(model) if *model != arguments.model => {
            bail!(
                "task {task} registered {model}, the alias belongs to {}",
                arguments.model
            )
        }
        _ => Ok(candidate),
    }
}

/// Returns the pipeline of a version, with a name for messages.
async fn load(client: &MlflowClient, model: &str, version: i32) -> anyhow::Result<(String, Pipeline)> {
    let folder = client.download_uri(model, version).await?;
    let bytes = client
        .read_artifact(&folder, mlflow_model::PIPELINE_FILE, MAXIMUM_FILE_BYTES)
        .await
        .with_context(|| format!("{model} version {version} cannot be compared: it was not trained here"))?;
    Ok((format!("{model} version {version}"), Pipeline::load(&bytes)?))
}

fn score((name, pipeline): &(String, Pipeline), rows: &Table, metric: Scoring) -> anyhow::Result<f64> {
    let evaluation = pipeline.evaluate(rows).with_context(|| name.clone())?;
    let figure = metric.of(&evaluation.metrics);
    figure.with_context(|| format!("{} has no meaning on these held-out rows", metric.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_that_no_template_mentions_was_not_handed_on() {
        let arguments = json!({ "candidate": "train_model", "model": "m" });
        assert_eq!(Promote.reads(&arguments), ["train_model"]);
    }

    #[test]
    fn only_a_better_figure_promotes() {
        for (candidate, champion, promotes) in [
            (0.8, 0.7, true),
            (0.7, 0.7, false),
            (0.6, 0.7, false),
            (f64::NAN, 0.7, false),
            (0.7, f64::NAN, false),
        ] {
            let decision = Decision::compare("f1_macro", candidate, champion, 100);
            assert_eq!(decision.promotes(), promotes, "{candidate} against {champion}");
        }
        assert!(Decision::First.promotes());
    }

    #[test]
    fn the_reason_has_both_figures_and_the_number_of_rows() {
        let reason = Decision::compare("f1_macro", 0.71, 0.69, 2_324).to_string();
        assert_eq!(
            reason,
            "promoted: f1_macro 0.7100 is better than the champion's 0.6900 on 2324 held-out rows"
        );
    }
}
