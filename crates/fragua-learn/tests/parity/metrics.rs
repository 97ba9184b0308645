//! The figures are scikit-learn's on the same predictions.

use crate::python;
use fragua_learn::metrics::Outcome;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Predictions with classes of very different size, ties among the probabilities, and classes never predicted.
struct Case {
    truth: Vec<u16>,
    predicted: Vec<u16>,
    probabilities: Vec<f32>,
    class_count: usize,
}

fn case(seed: u64, rows: usize, class_count: usize, predictable: usize, coarse: bool) -> Case {
    let mut state = seed;
    let mut random = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / (1u64 << 31) as f64
    };
    let mut case = Case {
        truth: Vec::new(),
        predicted: Vec::new(),
        probabilities: Vec::new(),
        class_count,
    };
    for row in 0..rows {
        let truth = if row < class_count {
            row
        } else {
            (random() * random() * class_count as f64) as usize
        };
        let mut shares: Vec<f64> = (0..class_count).map(|_| random() + 0.01).collect();
        shares[truth] += random();
        if coarse {
            shares.iter_mut().for_each(|share| *share = (*share * 3.0).ceil());
        }
        let sum: f64 = shares.iter().sum();
        let shares: Vec<f32> = shares.iter().map(|share| (share / sum) as f32).collect();
        let best = (0..predictable).fold(
            0,
            |best, class| if shares[class] > shares[best] { class } else { best },
        );
        case.truth.push(truth as u16);
        case.predicted.push(best as u16);
        case.probabilities.extend(shares);
    }
    case
}

/// Figures by name, and the confusion matrix.
type Theirs = (BTreeMap<String, f64>, Vec<Vec<u64>>);

#[test]
fn figures_equal_those_of_scikit_learn() {
    let mut cases: Vec<Case> = Vec::new();
    for seed in 0..4 {
        cases.push(case(seed, 500, 7, 7, false));
        cases.push(case(seed, 200, 4, 3, true));
        cases.push(case(seed, 90, 2, 2, true));
        cases.push(case(seed, 60, 12, 2, false));
    }
    // Certain and wrong: the loss is clipped.
    cases.push(Case {
        truth: vec![0, 1, 1],
        predicted: vec![0, 0, 1],
        probabilities: vec![1.0, 0.0, 1.0, 0.0, 0.25, 0.75],
        class_count: 2,
    });
    let folder = tempfile::tempdir().unwrap();
    let written: Vec<Value> = cases
        .iter()
        .map(|case| {
            let rows: Vec<&[f32]> = case.probabilities.chunks(case.class_count).collect();
            json!({ "truth": case.truth, "predicted": case.predicted, "probabilities": rows })
        })
        .collect();
    std::fs::write(
        folder.path().join("cases.json"),
        serde_json::to_vec(&written).unwrap(),
    )
    .unwrap();
    let theirs: Vec<Theirs> = python::run("metrics.py", folder.path());
    assert_eq!(theirs.len(), cases.len());
    for (position, (case, (theirs, confusion))) in cases.iter().zip(theirs).enumerate() {
        let outcome = Outcome::new(
            &case.truth,
            &case.predicted,
            &case.probabilities,
            case.class_count,
        )
        .unwrap();
        let ours = outcome.metrics().to_map();
        assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
        for (name, value) in &theirs {
            assert!(
                (ours[name] - value).abs() < 1e-9,
                "case {position}: {name} is {}, not {value}",
                ours[name]
            );
        }
        assert_eq!(outcome.confusion(), confusion, "case {position}");
    }
}
