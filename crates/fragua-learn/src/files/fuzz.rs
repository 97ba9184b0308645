//! Mutated files of tables: reading them gives a table with as many rows as the report says, or an error. Nothing panics.

use super::{Format, OnBadCell, ReadOptions, read_bytes, write_parquet};
use crate::random::Random;
use crate::table::{Categorical, Column, Table};
use std::time::{Duration, Instant};

const TEXTS: [(Format, &str); 3] = [
    (
        Format::Csv,
        "n,w\n1,\"a \"\"quoted\"\" one\"\n,x\n-3e2,NA\n1e99,é\n",
    ),
    (
        Format::JsonLines,
        "{\"n\": 1, \"w\": \"x\"}\n\n{\"w\": null, \"z\": [1]}\n{\"n\": -2.5e3}\n",
    ),
    (
        Format::JsonLines,
        "{\"a\": {\"b\": [[[]]]}, \"a\": true}\n{\"\\u0061\": 18446744073709551616}\n",
    ),
];

fn parquet(rows: usize) -> Vec<u8> {
    let numbers = (0..rows).map(|row| if row % 5 == 1 { f64::NAN } else { row as f64 / 3.0 });
    let words = (0..7).map(|word| format!("word {word}")).collect();
    let codes = (0..rows).map(|row| (row % 7) as u32).collect();
    let table = Table::new(vec![
        ("n".into(), Column::Numeric(numbers.collect())),
        (
            "w".into(),
            Column::Categorical(Categorical::new(words, codes).unwrap()),
        ),
    ]);
    let mut bytes = Vec::new();
    write_parquet(&table.unwrap(), &mut bytes).unwrap();
    bytes
}

fn check(format: Format, bytes: &[u8], on_bad_cell: OnBadCell) {
    let options = ReadOptions {
        format: Some(format),
        on_bad_cell,
        max_bytes: 1 << 24,
        ..ReadOptions::default()
    };
    if let Ok((table, report)) = read_bytes(bytes.to_vec(), &options) {
        assert_eq!(table.row_count(), report.rows, "{format:?}: {bytes:?}");
    }
}

/// Cuts, doubles, overwrites and inserts bytes.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(6) {
        let place = random.below(bytes.len().max(1));
        let byte = random.next_u64() as u8;
        match random.below(8) {
            0 => bytes.truncate(place),
            1 => bytes.insert(place.min(bytes.len()), byte),
            2 => {
                let end = (place + random.below(20)).min(bytes.len());
                let part = bytes[place.min(end)..end].to_vec();
                let at = random.below(bytes.len().max(1)).min(bytes.len());
                bytes.splice(at..at, part);
            }
            3 => {
                // The end of a Parquet file says where everything is.
                let back = random.below(bytes.len().min(600).max(1));
                if let Some(last) = bytes.len().checked_sub(1 + back) {
                    bytes[last] = byte;
                }
            }
            _ => {
                if let Some(slot) = bytes.get_mut(place) {
                    *slot = byte;
                }
            }
        }
    }
}

fn run(corpus: &[(Format, Vec<u8>)]) {
    let seconds = std::env::var("FRAGUA_FUZZ_SECONDS").ok();
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(10);
    let end = Instant::now() + Duration::from_secs(seconds);
    let policies = [OnBadCell::Refuse, OnBadCell::Null, OnBadCell::Skip];
    let mut round = 0;
    while Instant::now() < end {
        let mut random = Random::derive(round, &[]);
        let (format, bytes) = &corpus[random.below(corpus.len())];
        let mut bytes = bytes.clone();
        mutate(&mut bytes, &mut random);
        check(*format, &bytes, policies[random.below(3)]);
        round += 1;
    }
    println!("{round} files");
}

#[test]
#[ignore = "runs until its time is over: cargo xtask fuzz parquet"]
fn random_parquet_files_hold() {
    run(&[1, 50, 3_000].map(|rows| (Format::Parquet, parquet(rows))));
}

#[test]
#[ignore = "runs until its time is over: cargo xtask fuzz rows"]
fn random_rows_hold() {
    run(&TEXTS.map(|(format, text)| (format, text.as_bytes().to_vec())));
}
