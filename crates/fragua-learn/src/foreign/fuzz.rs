//! Mutated model files: reading them gives a model or an error, and a model answers or says why not. Nothing panics,
//! overflows or takes memory that the file does not justify.

use super::{ForeignModel, ModelFormat};
use crate::random::Random;
use crate::table::{Cell, Table, TableBuilder};
use crate::{Error, FeatureKind};
use std::borrow::Cow;
use std::time::{Duration, Instant};

/// Files that the libraries wrote.
fn corpus(format: ModelFormat) -> Vec<Vec<u8>> {
    let endings: &[&str] = match format {
        ModelFormat::Onnx => &["onnx"],
        ModelFormat::LightGbm => &["lgb"],
        ModelFormat::XgBoost => &["json", "ubj"],
    };
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/foreign/corpus");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.retain(|path| {
        endings
            .iter()
            .any(|ending| path.extension().is_some_and(|own| own == *ending))
    });
    paths.sort();
    assert!(paths.len() >= 4, "{paths:?}");
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Some rows for a model: numbers of any kind, gaps, and texts that it may know.
fn rows(model: &ForeignModel, count: usize) -> Table {
    let numbers = [0.0, 1.0, -1.5, 3.0, 1e9, f64::NAN];
    let kinds = model
        .features()
        .iter()
        .map(|feature| (feature.name.clone(), feature.column_kind()));
    let mut builder = TableBuilder::typed(kinds);
    for row in 0..count {
        let cells = model.features().iter().enumerate().map(|(column, feature)| {
            let at = row * 7 + column;
            match feature.kind {
                FeatureKind::Integer => Cell::Number((at % 3) as f64),
                FeatureKind::Number => Cell::Number(numbers[at % numbers.len()]),
                FeatureKind::Category => {
                    let known = feature.categories.get(at % 5).map_or("x", String::as_str);
                    Cell::Text(Cow::Owned(known.to_owned()))
                }
            }
        });
        builder.push_row(cells).unwrap();
    }
    builder.finish().unwrap()
}

/// Reads a file and predicts with it; returns whether it could be read.
fn check(format: ModelFormat, bytes: &[u8]) -> bool {
    let columns: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
    for columns in [&columns[..0], &columns[..2], &columns] {
        match ForeignModel::load(format, bytes, columns) {
            Ok(model) => {
                let table = rows(&model, 11);
                if let Ok(predictions) = model.predict(&table) {
                    assert_eq!(predictions.labels.len(), 11);
                    assert_eq!(predictions.probabilities.len(), 11 * model.labels().len());
                }
                return true;
            }
            Err(Error::ModelFile { message, .. }) => {
                assert!(!message.is_empty() && message.len() < 1_000, "{message}")
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    false
}

/// Changes, leaves out, doubles and mixes parts of the corpus.
fn mutated(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    const INTERESTING: [u8; 12] = [0, 1, 2, 7, 8, 0x7f, 0x80, 0xff, b'-', b'9', b' ', b'\n'];
    let mut bytes = corpus[random.below(corpus.len())].clone();
    for _ in 0..1 + random.below(4) {
        let from = random.below(bytes.len() + 1);
        let to = (from + random.below(9)).min(bytes.len());
        match random.below(7) {
            0 => drop(bytes.drain(from..to)),
            1 => {
                let part = bytes[from..to].to_vec();
                bytes.splice(from..from, part);
            }
            2 => {
                let other = &corpus[random.below(corpus.len())];
                let begin = random.below(other.len() + 1);
                let end = (begin + random.below(40)).min(other.len());
                bytes.splice(from..to, other[begin..end].iter().copied());
            }
            3 => bytes.insert(from, random.next_u64() as u8),
            4 if from < bytes.len() => bytes[from] ^= 1 << random.below(8),
            5 if from < bytes.len() => bytes[from] = random.next_u64() as u8,
            _ if from < bytes.len() => bytes[from] = INTERESTING[random.below(INTERESTING.len())],
            _ => {}
        }
    }
    bytes
}

/// Tries files until the time is over; the file that breaks it is written beside the corpus' folder of the system.
fn try_for(format: ModelFormat, duration: Duration, seed: u64) {
    let corpus = corpus(format);
    let mut random = Random::derive(seed, &[]);
    let last = std::env::temp_dir().join(format!("fragua-fuzz-{}-{}", format.name(), std::process::id()));
    let end = Instant::now() + duration;
    let (mut tried, mut read, mut slowest) = (0_u64, 0_u64, Duration::ZERO);
    while Instant::now() < end {
        let bytes = mutated(&mut random, &corpus);
        std::fs::write(&last, &bytes).unwrap();
        let begin = Instant::now();
        read += u64::from(check(format, &bytes));
        slowest = slowest.max(begin.elapsed());
        tried += 1;
    }
    std::fs::remove_file(&last).unwrap();
    println!("{tried} files tried, {read} read, the slowest took {slowest:?}");
}

#[test]
fn the_corpus_is_read() {
    for format in [ModelFormat::Onnx, ModelFormat::LightGbm, ModelFormat::XgBoost] {
        for (position, bytes) in corpus(format).iter().enumerate() {
            assert!(check(format, bytes), "{} {position}", format.name());
        }
    }
}

#[test]
fn a_file_that_is_cut_off_is_no_model_of_another_kind() {
    for format in [ModelFormat::Onnx, ModelFormat::LightGbm, ModelFormat::XgBoost] {
        for bytes in corpus(format) {
            for end in (0..bytes.len()).step_by(bytes.len() / 40 + 1) {
                check(format, &bytes[..end]);
            }
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]
    #[test]
    fn mutated_files_hold(seed: u64) {
        let mut random = Random::derive(seed, &[1]);
        for format in [ModelFormat::Onnx, ModelFormat::LightGbm, ModelFormat::XgBoost] {
            check(format, &mutated(&mut random, &corpus(format)));
        }
    }
}

fn seconds() -> Duration {
    let seconds = std::env::var("FRAGUA_FUZZ_SECONDS").map_or(1, |seconds| seconds.parse().unwrap());
    Duration::from_secs(seconds)
}

/// A new seed for each run.
fn seed() -> u64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    now.as_nanos() as u64
}

/// `cargo xtask fuzz onnx --seconds N` runs it. A file that breaks it belongs into the corpus.
#[test]
#[ignore = "runs as long as it is told"]
fn random_onnx_files_hold() {
    try_for(ModelFormat::Onnx, seconds(), seed());
}

/// `cargo xtask fuzz lightgbm --seconds N` runs it. A file that breaks it belongs into the corpus.
#[test]
#[ignore = "runs as long as it is told"]
fn random_lightgbm_files_hold() {
    try_for(ModelFormat::LightGbm, seconds(), seed());
}

/// `cargo xtask fuzz xgboost --seconds N` runs it. A file that breaks it belongs into the corpus.
#[test]
#[ignore = "runs as long as it is told"]
fn random_xgboost_files_hold() {
    try_for(ModelFormat::XgBoost, seconds(), seed());
}
