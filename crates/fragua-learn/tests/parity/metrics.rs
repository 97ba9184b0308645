//! The figures are scikit-learn's on the same predictions.

use crate::python;
use fragua_learn::metrics::{NumberOutcome, Outcome};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Predictions with classes of very different size, ties among the probabilities, and classes never predicted.
struct Case {
    truth: Vec<u16>,
    predicted: Vec<u16>,
    probabilities: Vec<f32>,
    class_count: usize,
    weights: Vec<f64>,
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
        weights: Vec::new(),
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
        case.weights
            .push((random() * 4.0).floor() + f64::from(u8::from(row < class_count)));
    }
    case
}

/// Figures by name, without and with weights, and the confusion matrix.
type Theirs = (BTreeMap<String, f64>, BTreeMap<String, f64>, Vec<Vec<u64>>);

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
        weights: vec![1.0, 0.5, 2.0],
    });
    let folder = tempfile::tempdir().unwrap();
    let written: Vec<Value> = cases
        .iter()
        .map(|case| {
            let rows: Vec<&[f32]> = case.probabilities.chunks(case.class_count).collect();
            json!({
                "truth": case.truth, "predicted": case.predicted, "probabilities": rows, "weights": case.weights,
            })
        })
        .collect();
    std::fs::write(
        folder.path().join("cases.json"),
        serde_json::to_vec(&written).unwrap(),
    )
    .unwrap();
    let theirs: Vec<Theirs> = python::run("metrics.py", folder.path());
    assert_eq!(theirs.len(), cases.len());
    for (position, (case, (theirs, weighted, confusion))) in cases.iter().zip(theirs).enumerate() {
        let outcome = Outcome::new(
            &case.truth,
            &case.predicted,
            &case.probabilities,
            case.class_count,
        )
        .unwrap();
        equal(&outcome.metrics(), &theirs, &format!("case {position}"));
        let ours = outcome.weighted(&case.weights).unwrap().metrics();
        equal(&ours, &weighted, &format!("case {position} with weights"));
        assert_eq!(outcome.confusion(), confusion, "case {position}");
    }
}

fn equal(ours: &BTreeMap<String, f64>, theirs: &BTreeMap<String, f64>, what: &str) {
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (name, value) in theirs {
        let difference = (ours[name] - value).abs();
        assert!(
            difference <= 1e-9 * value.abs().max(1.0),
            "{what}: {name} is {}, not {value}",
            ours[name]
        );
    }
}

#[test]
fn figures_of_numbers_equal_those_of_scikit_learn() {
    let mut state = 1u64;
    let mut random = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / (1u64 << 31) as f64
    };
    let mut case = |rows: usize, scale: f64, offset: f64| -> [Vec<f64>; 3] {
        let truth: Vec<f64> = (0..rows).map(|_| (random() - 0.5) * scale + offset).collect();
        let predicted = truth.iter().map(|truth| truth + (random() - 0.3) * scale / 2.0);
        let predicted: Vec<f64> = predicted.collect();
        let weights = (0..rows).map(|_| (random() * 4.0).floor() + 1.0).collect();
        [truth, predicted, weights]
    };
    let cases = [
        case(501, 1.0, 0.0),
        case(40, 1e6, 3e6),
        case(7, 0.01, 100.0),
        // Nothing varies, and the truth is 0.
        [vec![0.0; 3], vec![0.0, 1.0, 2.0], vec![1.0; 3]],
        [vec![2.0; 3], vec![2.0; 3], vec![1.0; 3]],
    ];
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("cases.json"),
        serde_json::to_vec(&cases).unwrap(),
    )
    .unwrap();
    let theirs: Vec<[BTreeMap<String, f64>; 2]> = python::run("number_metrics.py", folder.path());
    for (position, ([truth, predicted, weights], [plain, weighted])) in cases.iter().zip(theirs).enumerate() {
        let outcome = NumberOutcome::new(truth, predicted).unwrap();
        equal(&outcome.metrics(), &plain, &format!("case {position}"));
        let ours = outcome.weighted(weights).unwrap().metrics();
        equal(&ours, &weighted, &format!("case {position} with weights"));
    }
}
