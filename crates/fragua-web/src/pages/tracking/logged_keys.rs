//! Which of the keys that some runs logged say most about them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use fragua_tracking::Run;

use crate::headline;

/// Returns the metrics of some runs: those that most of them have come first, and among these the figures that people
/// ask for first.
pub(super) fn metrics<'a>(runs: impl IntoIterator<Item = &'a Run>) -> Vec<String> {
    let mut holders: BTreeMap<&str, usize> = BTreeMap::new();
    let mut total = 0;
    for run in runs {
        total += 1;
        for metric in &run.metrics {
            *holders.entry(&metric.key).or_default() += 1;
        }
    }
    let mut keys: Vec<(&str, usize)> = holders.into_iter().collect();
    keys.sort_by_key(|(key, count)| (2 * count < total, headline::rank(key), Reverse(*count)));
    keys.into_iter().map(|(key, _)| key.to_owned()).collect()
}

/// Parameters of some runs; in each list those that most of the runs have come first.
#[derive(Debug, PartialEq)]
pub(super) struct Params {
    /// Those of which the runs that have them have different values.
    pub(super) varied: Vec<String>,
    pub(super) constant: Vec<String>,
}

pub(super) fn params(runs: &[Run]) -> Params {
    let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for param in runs.iter().flat_map(|run| &run.params) {
        values.entry(&param.key).or_default().push(&param.value);
    }
    let mut keys: Vec<(&str, Vec<&str>)> = values.into_iter().collect();
    keys.sort_by_key(|(_, values)| Reverse(values.len()));
    let (varied, constant): (Vec<_>, Vec<_>) = keys
        .into_iter()
        .partition(|(_, values)| values.iter().collect::<BTreeSet<_>>().len() > 1);
    let names = |keys: Vec<(&str, Vec<&str>)>| keys.into_iter().map(|(key, _)| key.to_owned()).collect();
    Params {
        varied: names(varied),
        constant: names(constant),
    }
}

#[cfg(test)]
mod tests {
    use fragua_tracking::{ExperimentId, LifecycleStage, Metric, Param, RunInfo, RunStatus};

    use super::*;

    fn run(metrics: &[&str], params: &[(&str, &str)]) -> Run {
        let at = fragua_base::Timestamp::from_millis(0);
        Run {
            info: RunInfo {
                run_id: String::new(),
                run_name: String::new(),
                experiment_id: ExperimentId(0),
                user_id: String::new(),
                status: RunStatus::Finished,
                start_time: None,
                end_time: None,
                lifecycle_stage: LifecycleStage::Active,
                artifact_uri: String::new(),
            },
            metrics: metrics.iter().map(|key| Metric::new(*key, 1.0, at, 0)).collect(),
            params: params
                .iter()
                .map(|(key, value)| Param::new(*key, *value))
                .collect(),
            tags: Vec::new(),
            dataset_inputs: Vec::new(),
            model_inputs: Vec::new(),
            model_outputs: Vec::new(),
        }
    }

    #[test]
    fn what_most_runs_have_and_what_varies_comes_first() {
        let runs = [
            run(&["accuracy", "b"], &[("cv", "5"), ("jobs", "1")]),
            run(
                &["score_a", "b", "f1"],
                &[("depth", "2"), ("split", "gini"), ("jobs", "1")],
            ),
            run(
                &["score_a", "b", "f1"],
                &[("depth", "4"), ("split", "gini"), ("jobs", "2")],
            ),
            run(&["score_a"], &[("depth", "4"), ("split", "gini"), ("jobs", "2")]),
        ];
        assert_eq!(metrics(&runs), ["f1", "b", "score_a", "accuracy"]);
        let expected = Params {
            varied: vec!["jobs".to_owned(), "depth".to_owned()],
            constant: vec!["split".to_owned(), "cv".to_owned()],
        };
        assert_eq!(params(&runs), expected);
        assert!(metrics(&[]).is_empty());
    }
}
