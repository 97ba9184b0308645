//! Random filters against the parser: it never panics, and its errors point into the text.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::conditions::conditions;
use super::{Searchable, order};
use crate::Error;

const CORPUS: &str = include_str!("corpus.txt");
const LISTS: [Searchable; 5] = [
    Searchable::Runs,
    Searchable::Experiments,
    Searchable::RegisteredModels,
    Searchable::ModelVersions,
    Searchable::LoggedModels,
];

/// Reads `filter` for each list and checks what holds for every text.
#[track_caller]
fn check(filter: &str) {
    for list in LISTS {
        match conditions(list.target(), filter) {
            Ok(read) => {
                let padded = conditions(list.target(), &format!("\t{filter}\n"));
                assert_eq!(
                    padded.ok().as_ref(),
                    Some(&read),
                    "space around it changes {filter:?}"
                );
                if !read.is_empty() && !filter.trim_end().to_ascii_uppercase().ends_with("AND") {
                    let twice = conditions(list.target(), &format!("{filter} AND {filter}"));
                    let count = twice.map(|twice| twice.len()).ok();
                    assert!(
                        count.is_none_or(|count| count == 2 * read.len()),
                        "{filter:?} twice is {count:?}"
                    );
                }
            }
            Err(Error::Filter { message, span, .. }) => {
                assert!(
                    filter.get(span.clone()).is_some(),
                    "{filter:?}: {span:?} is no part: {message}"
                );
            }
            Err(other) => panic!("{filter:?}: {other:?}"),
        }
        // Any answer will do.
        let _ = order(list.target(), &[filter.to_owned()]);
    }
}

/// Cuts, doubles, swaps in and mixes parts of the corpus, on the borders of characters.
fn mutated(random: &mut StdRng, corpus: &[&str]) -> String {
    let mut text: Vec<char> = corpus
        .choose(random)
        .map_or_else(Vec::new, |line| line.chars().collect());
    for _ in 0..random.random_range(1..6) {
        let from = random.random_range(0..=text.len());
        let to = random.random_range(from..=text.len().min(from + 8));
        let other: Vec<char> = corpus
            .choose(random)
            .map_or_else(Vec::new, |line| line.chars().collect());
        let begin = random.random_range(0..=other.len());
        let end = random.random_range(begin..=other.len());
        match random.random_range(0..5) {
            0 => drop(text.drain(from..to)),
            1 => drop(text.splice(from..to, other[begin..end].iter().copied())),
            2 => {
                let part = text[from..to].to_vec();
                drop(text.splice(from..from, part));
            }
            3 => text.insert(from, random.random()),
            _ => text.insert(
                from,
                *b"'\"`.,()=!<>- \\\0eE0".choose(random).unwrap_or(&b' ') as char,
            ),
        }
    }
    text.into_iter().collect()
}

#[test]
fn the_corpus_holds() {
    CORPUS.lines().for_each(check);
}

/// `cargo xtask fuzz filter --seconds N` runs it. A text that breaks it belongs into the corpus.
#[test]
#[ignore = "runs as long as it is told"]
fn random_filters_hold() {
    let seconds = std::env::var("FRAGUA_FUZZ_SECONDS").map_or(1, |seconds| seconds.parse().unwrap());
    let corpus: Vec<&str> = CORPUS.lines().collect();
    let mut random = StdRng::from_os_rng();
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut tried = 0_u64;
    while Instant::now() < end {
        check(&mutated(&mut random, &corpus));
        tried += 1;
    }
    println!("{tried} filters tried");
}
