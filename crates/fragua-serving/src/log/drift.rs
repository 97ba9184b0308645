//! How far what is asked now is from what a version was trained on, and when that is told.

use std::collections::BTreeMap;

use fragua_base::Timestamp;
use fragua_learn::drift::{Drift, Observed, drift};
use fragua_learn::profile::{ColumnProfile, ValueProfile};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::broadcast;

use super::{LogSettings, PredictionLog, unreachable};
use crate::Error;
use crate::model::ServedModel;
use crate::store::predictions as store;

/// Below this index nobody speaks of drift.
const MODERATE: f64 = 0.1;

/// How far the last rows that a version was asked for are from its training rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DriftReport {
    /// Name of the registered model.
    pub model: String,
    /// The version.
    pub version: String,
    /// Rows that were looked at.
    pub rows: u64,
    /// Fewer rows tell nothing.
    pub minimum_rows: u64,
    /// When the first of them was answered.
    pub from: Option<Timestamp>,
    /// When the last of them was answered.
    pub to: Option<Timestamp>,
    /// Each column, the one that moved most first.
    pub features: Vec<FeatureDrift>,
    /// The answers against the target of the training rows.
    pub prediction: Option<FeatureDrift>,
    /// The worst of the columns and the answers.
    pub severity: Severity,
}

/// How far one column is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeatureDrift {
    /// Its name.
    pub name: String,
    /// How bad that is.
    pub severity: Severity,
    /// The figures.
    #[serde(flatten)]
    pub drift: Drift,
}

/// How bad drift is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Fewer rows than `serving.drift_minimum_rows`: chance alone moves so few.
    TooFewRows,
    /// A population stability index below 0.1.
    None,
    /// From 0.1 on.
    Moderate,
    /// From the threshold of the settings on.
    Large,
}

/// Rows have moved far enough for somebody to do something.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DriftAlarm {
    /// Name of the registered model.
    pub model: String,
    /// The version.
    pub version: String,
    /// When it was first seen; tells this alarm from a later one of the same version.
    pub at: Timestamp,
    /// Rows that were looked at.
    pub rows: u64,
    /// The columns that moved, with their population stability index, the greatest first.
    pub features: Vec<(String, f64)>,
}

impl DriftReport {
    fn of(
        model: &ServedModel,
        rows: &[(Timestamp, Map<String, Value>, Value)],
        settings: &LogSettings,
    ) -> Option<Self> {
        let profile = model.profile.as_ref()?;
        let is_thin = (rows.len() as u64) < settings.drift_minimum_rows;
        let of = |column: &ColumnProfile, values: &mut dyn Iterator<Item = Option<&Value>>| {
            let drift = drift(column, &observed(column, values))?;
            let severity = match drift.psi {
                _ if is_thin => Severity::TooFewRows,
                psi if psi >= settings.drift_threshold => Severity::Large,
                psi if psi >= MODERATE => Severity::Moderate,
                _ => Severity::None,
            };
            Some(FeatureDrift {
                name: column.name.clone(),
                severity,
                drift,
            })
        };
        let columns = profile.features.iter().filter_map(|column| {
            let mut values = rows.iter().map(|(_, inputs, _)| inputs.get(&column.name));
            of(column, &mut values)
        });
        let mut features: Vec<FeatureDrift> = columns.collect();
        features.sort_by(|one, two| two.drift.psi.total_cmp(&one.drift.psi));
        let mut answers = rows.iter().map(|(.., label)| Some(label));
        let prediction = of(&profile.target, &mut answers);
        let all = features.iter().chain(&prediction);
        let severity = all.map(|feature| feature.severity).max().unwrap_or(if is_thin {
            Severity::TooFewRows
        } else {
            Severity::None
        });
        Some(Self {
            model: model.name.clone(),
            version: model.version.clone(),
            rows: rows.len() as u64,
            minimum_rows: settings.drift_minimum_rows,
            from: rows.iter().map(|(at, ..)| *at).min(),
            to: rows.iter().map(|(at, ..)| *at).max(),
            features,
            prediction,
            severity,
        })
    }

    /// Returns the alarm that this report is worth, where it is.
    fn alarm(&self, now: Timestamp) -> Option<DriftAlarm> {
        let moved = |feature: &&FeatureDrift| feature.severity == Severity::Large;
        let features: Vec<(String, f64)> = self
            .features
            .iter()
            .filter(moved)
            .map(|feature| (feature.name.clone(), feature.drift.psi))
            .collect();
        (!features.is_empty()).then(|| DriftAlarm {
            model: self.model.clone(),
            version: self.version.clone(),
            at: now,
            rows: self.rows,
            features,
        })
    }
}

fn observed(column: &ColumnProfile, values: &mut dyn Iterator<Item = Option<&Value>>) -> Observed {
    match &column.values {
        ValueProfile::Number(_) => Observed::Numbers(
            values
                .map(|value| value.and_then(number).unwrap_or(f64::NAN))
                .collect(),
        ),
        ValueProfile::Category(_) => {
            let (mut counts, mut missing) = (BTreeMap::new(), 0);
            for value in values {
                match value {
                    None | Some(Value::Null) => missing += 1,
                    Some(Value::String(text)) => *counts.entry(text.clone()).or_default() += 1,
                    Some(other) => *counts.entry(other.to_string()).or_default() += 1,
                }
            }
            Observed::Texts { counts, missing }
        }
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(boolean) => Some(f64::from(u8::from(*boolean))),
        other => other.as_f64(),
    }
}

impl PredictionLog {
    /// Compares the last rows that a version was asked for with its training rows. `None` where its folder does not tell
    /// what those were like.
    ///
    /// # Errors
    /// `Unreachable` when the database does not answer.
    pub async fn drift(&self, model: &ServedModel) -> Result<Option<DriftReport>, Error> {
        let settings = self.settings();
        let rows = store::last_rows(
            &self.inner.database,
            &model.name,
            &model.version,
            settings.drift_rows,
        );
        Ok(DriftReport::of(
            model,
            &rows.await.map_err(unreachable)?,
            settings,
        ))
    }

    /// Returns a receiver of alarms. An alarm comes again with each look, from every process, until its drift is over: who
    /// acts on it once knows it by model, version and instant.
    pub fn alarms(&self) -> broadcast::Receiver<DriftAlarm> {
        self.inner.alarms.subscribe()
    }

    /// Looks for drift in a version and raises the alarm for as long as there is drift. Returns it.
    ///
    /// # Errors
    /// `Unreachable` when the database does not answer.
    pub async fn watch_drift(&self, model: &ServedModel) -> Result<Option<DriftAlarm>, Error> {
        let Some(report) = self.drift(model).await? else {
            return Ok(None);
        };
        let database = &self.inner.database;
        let Some(mut alarm) = report.alarm(self.inner.clock.now()) else {
            if report.rows >= self.settings().drift_minimum_rows {
                store::end_alarm(database, &model.name, &model.version)
                    .await
                    .map_err(unreachable)?;
            }
            return Ok(None);
        };
        let (at, is_first) = store::begin_alarm(database, &alarm).await.map_err(unreachable)?;
        alarm.at = at;
        if is_first {
            tracing::warn!(model.name = alarm.model, model.version = alarm.version, features = ?alarm.features, "drift");
        }
        // Nobody may listen.
        let _ = self.inner.alarms.send(alarm.clone());
        Ok(Some(alarm))
    }
}
