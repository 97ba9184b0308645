//! LightGBM's text file: lines of `name=value`, first about the model, then about each tree.

use super::boosted::{Boosted, Link, Scorer};
use super::columns::{self, Codes, MAX_COLUMNS};
use super::trees::{MAX_WORDS, Part, Test, Trees};
use super::{Kind, Loaded, output_names};
use crate::{Feature, FeatureKind, Label};
use std::collections::HashMap;
use std::str::FromStr;

const CATEGORICAL: u8 = 1;
const DEFAULT_LEFT: u8 = 2;

/// Lines of `name=value`, up to an empty line.
struct Section<'a>(HashMap<&'a str, &'a str>);

impl<'a> Section<'a> {
    fn read(lines: &mut impl Iterator<Item = &'a str>) -> Self {
        let lines = lines.map(str::trim).take_while(|line| !line.is_empty());
        Self(
            lines
                .map(|line| line.split_once('=').unwrap_or((line, "")))
                .collect(),
        )
    }

    fn text(&self, name: &str) -> Result<&'a str, String> {
        let found = self.0.get(name).copied();
        found.ok_or_else(|| format!("it has no line `{name}`"))
    }

    fn number<T: FromStr>(&self, name: &str) -> Result<T, String> {
        let text = self.text(name)?;
        text.trim()
            .parse()
            .map_err(|_| format!("`{name}` is {text:?}, which is no number"))
    }

    /// Numbers, `count` of them; a line that is missing has none.
    fn numbers<T: FromStr>(&self, name: &str, count: usize) -> Result<Vec<T>, String> {
        let numbers = self.all_numbers(name)?;
        if numbers.len() != count {
            return Err(format!("`{name}` has {} numbers of {count}", numbers.len()));
        }
        Ok(numbers)
    }

    fn all_numbers<T: FromStr>(&self, name: &str) -> Result<Vec<T>, String> {
        let text = self.0.get(name).copied().unwrap_or_default();
        let numbers = text.split_ascii_whitespace().map(|number| {
            let refuse = |_| format!("`{name}` has {number:?}, which is no number");
            number.parse().map_err(refuse)
        });
        numbers.collect()
    }
}

pub(super) fn load(bytes: &[u8], columns: &[String]) -> Result<Loaded, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8 text")?;
    let mut lines = text.lines();
    if lines.next().map(str::trim) != Some("tree") {
        return Err("its first line is not `tree`, so it is no model of Booster.save_model".to_owned());
    }
    let header = Section::read(&mut lines);
    let feature_count = header
        .number::<usize>("max_feature_idx")?
        .checked_add(1)
        .filter(|count| *count <= MAX_COLUMNS)
        .ok_or("it has too many features")?;
    let outputs: usize = header.number("num_tree_per_iteration")?;
    if !(1..=10_000).contains(&outputs) {
        return Err(format!("it has {outputs} trees an iteration"));
    }
    let link = link(header.0.get("objective").copied(), outputs)?;

    let mut trees = Trees::new(outputs);
    while let Some(line) = lines.next() {
        match line.trim() {
            "" => {}
            "end of trees" => break,
            line if line.starts_with("Tree=") => {
                let tree = trees.count();
                let section = Section::read(&mut lines);
                add_tree(&mut trees, &section, (tree % outputs) as u32)
                    .map_err(|error| format!("tree {tree}: {error}"))?;
            }
            line => {
                return Err(format!(
                    "{:?} is where a tree belongs",
                    crate::table::shorten(line)
                ));
            }
        }
    }
    if !trees.count().is_multiple_of(outputs) {
        return Err(format!(
            "it has {} trees, which is no multiple of {outputs}",
            trees.count()
        ));
    }
    if trees.width() > feature_count {
        return Err(format!(
            "a tree asks feature {} of {feature_count}",
            trees.width() - 1
        ));
    }
    let rounds = (trees.count() / outputs).max(1) as f64;
    let (features, codes) = features(&header, lines, feature_count, columns)?;
    let labels: Vec<Label> = (0..link.class_count(outputs) as i64)
        .map(Label::Integer)
        .collect();
    Ok(Loaded {
        features,
        outputs: output_names(&labels),
        labels,
        kind: Kind::Boosted(Box::new(Boosted {
            scorer: Scorer::Double(trees.packed()),
            base: vec![0.0; outputs],
            factor: if header.0.contains_key("average_output") {
                1.0 / rounds
            } else {
                1.0
            },
            link,
            codes,
        })),
    })
}

fn link(objective: Option<&str>, outputs: usize) -> Result<Link, String> {
    let Some(objective) = objective else {
        return match outputs {
            1 => Ok(Link::Identity),
            _ => Err("it has no objective, so what its scores mean is not known".to_owned()),
        };
    };
    let mut words = objective.split_ascii_whitespace();
    let name = words.next().unwrap_or_default();
    let settings: HashMap<&str, &str> = words
        .map(|word| word.split_once(':').unwrap_or((word, "")))
        .collect();
    let sigmoid = || {
        let text = settings.get("sigmoid").copied().unwrap_or("1");
        let factor: Option<f64> = text.parse().ok();
        factor
            .filter(|factor| factor.is_finite())
            .ok_or_else(|| format!("its objective has sigmoid:{text}"))
    };
    let link = match name {
        "binary" => Link::Odds(sigmoid()?),
        "multiclass" => Link::Softmax,
        "multiclassova" => Link::OddsOfEach(sigmoid()?),
        "regression" | "regression_l2" if settings.contains_key("sqrt") => Link::SignedSquare,
        "regression" | "regression_l2" | "regression_l1" | "huber" | "fair" | "quantile" | "mape" => {
            Link::Identity
        }
        "poisson" | "gamma" | "tweedie" => Link::Exponential,
        "cross_entropy" | "xentropy" => Link::Logistic,
        "cross_entropy_lambda" | "xentlambda" => Link::SoftPlus,
        "lambdarank" | "rank_xendcg" => {
            return Err(format!(
                "its objective is {name}: scores that rank are no predictions"
            ));
        }
        _ => return Err(format!("its objective {name} is not known")),
    };
    let is_of_many = matches!(link, Link::Softmax | Link::OddsOfEach(_));
    if is_of_many != (outputs > 1) {
        return Err(format!(
            "its objective {name} does not go with {outputs} trees an iteration"
        ));
    }
    Ok(link)
}

fn add_tree(trees: &mut Trees<f64>, section: &Section<'_>, output: u32) -> Result<(), String> {
    if section.0.get("is_linear").is_some_and(|flag| flag.trim() == "1") {
        return Err("its leaves hold linear models (linear_tree), which are not supported".to_owned());
    }
    let leaf_count: usize = section.number("num_leaves")?;
    let leaves: Vec<f64> = section.numbers("leaf_value", leaf_count)?;
    let count = leaf_count.checked_sub(1).ok_or("it has no leaves")?;
    let features: Vec<usize> = section.numbers("split_feature", count)?;
    let thresholds: Vec<f64> = section.numbers("threshold", count)?;
    let decisions: Vec<u8> = section.numbers("decision_type", count)?;
    let left: Vec<i64> = section.numbers("left_child", count)?;
    let right: Vec<i64> = section.numbers("right_child", count)?;
    let boundaries: Vec<usize> = section.all_numbers("cat_boundaries")?;
    let words: Vec<u32> = section.all_numbers("cat_threshold")?;

    // Splits come first, then leaves, which children name by the complement of their positions.
    let position = |child: i64| match child {
        0.. => Some(child as usize).filter(|&child| child < count),
        _ => Some(!child as usize)
            .filter(|&leaf| leaf < leaf_count)
            .map(|leaf| count + leaf),
    };
    let child = |child: i64| position(child).ok_or_else(|| format!("a split leads to node {child}"));
    let mut parts = Vec::with_capacity(count + leaf_count);
    // Splits may share a set, and each has a copy.
    let mut words_left = MAX_WORDS;
    for split in 0..count {
        let (threshold, decision) = (thresholds[split], decisions[split]);
        let (test, missing) = if decision & CATEGORICAL != 0 {
            let set = usize_of(threshold)
                .and_then(|set| Some((*boundaries.get(set)?, *boundaries.get(set + 1)?)))
                .and_then(|(begin, end)| words.get(begin..end))
                .ok_or_else(|| format!("split {split} has no categories"))?;
            words_left = words_left
                .checked_sub(set.len())
                .ok_or("its sets of categories are too large")?;
            (Test::InSet(set.to_vec()), false)
        } else {
            let is_left = decision & DEFAULT_LEFT != 0;
            match decision >> 2 & 3 {
                // Missing values are zeros.
                0 => (Test::AtMost(threshold), 0.0 <= threshold),
                // Zeros and missing values go the same way.
                1 => (Test::AtMostOrZero(threshold), is_left),
                2 => (Test::AtMost(threshold), is_left),
                kind => return Err(format!("split {split} has missing values of type {kind}")),
            }
        };
        parts.push(Part::Branch {
            feature: features[split],
            test,
            missing,
            when_true: child(left[split])?,
            when_false: child(right[split])?,
        });
    }
    parts.extend(leaves.into_iter().map(|value| Part::Leaf(vec![(output, value)])));
    trees.add(0, &parts)
}

fn usize_of(number: f64) -> Option<usize> {
    ((0.0..1e9).contains(&number) && number.fract() == 0.0).then_some(number as usize)
}

/// Returns the features with what the file says of them, and the numbers of their categories.
fn features<'a>(
    header: &Section<'_>,
    lines: impl Iterator<Item = &'a str>,
    count: usize,
    columns: &[String],
) -> Result<(Vec<Feature>, Vec<Option<Codes>>), String> {
    let split = |name: &str| -> Result<Vec<String>, String> {
        let parts: Vec<String> = header
            .text(name)?
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect();
        if parts.len() != count {
            return Err(format!("`{name}` has {} entries of {count}", parts.len()));
        }
        Ok(parts)
    };
    let names = columns::names(split("feature_names")?, columns)?;
    let infos = split("feature_infos")?;
    // A range is in brackets, categories are not, and a column that never varied says `none`.
    let is_categorical = |info: &String| info != "none" && !info.starts_with('[');
    let mut categories = pandas_categories(lines)?.into_iter();
    let categorical = infos.iter().filter(|info| is_categorical(info)).count();
    if categories.len() > 0 && categories.len() != categorical {
        return Err(format!(
            "it keeps the categories of {} data frame columns and splits {categorical} features by category, so which \
             belong together is not known; train it on columns whose categories vary",
            categories.len()
        ));
    }
    let mut features = Vec::with_capacity(count);
    let mut codes = Vec::with_capacity(count);
    for (name, info) in names.into_iter().zip(&infos) {
        let mut feature = columns::feature(name, FeatureKind::Number);
        let known = if is_categorical(info) {
            categories.next()
        } else {
            None
        };
        let range = info
            .strip_prefix('[')
            .and_then(|info| info.strip_suffix(']'))
            .and_then(|info| info.split_once(':'));
        if let Some((low, high)) = range {
            let finite = |text: &str| text.parse().ok().filter(|number: &f64| number.is_finite());
            (feature.minimum, feature.maximum) = (finite(low), finite(high));
        }
        codes.push(match known {
            Some(Categories::Texts(texts)) => {
                let numbered = texts.iter().cloned().zip(0u32..);
                let codes = numbered.map(|(text, code)| (text, f64::from(code))).collect();
                feature.kind = FeatureKind::Category;
                feature.categories = texts;
                Some(codes)
            }
            Some(Categories::Others) => {
                return Err(format!(
                    "the categories of column {} are no texts; make them texts before training",
                    feature.name
                ));
            }
            None => None,
        });
        features.push(feature);
    }
    Ok((features, codes))
}

/// The categories of a data frame's column, in the order of their codes.
enum Categories {
    Texts(Vec<String>),
    Others,
}

fn pandas_categories<'a>(mut lines: impl Iterator<Item = &'a str>) -> Result<Vec<Categories>, String> {
    let Some(text) = lines.find_map(|line| line.strip_prefix("pandas_categorical:")) else {
        return Ok(Vec::new());
    };
    let lists: Option<Vec<Vec<serde_json::Value>>> = serde_json::from_str(text)
        .map_err(|error| format!("`pandas_categorical` cannot be read: {error}"))?;
    let categories = |list: Vec<serde_json::Value>| {
        let texts: Option<Vec<String>> = list
            .iter()
            .map(|value| value.as_str().map(str::to_owned))
            .collect();
        texts.map_or(Categories::Others, Categories::Texts)
    };
    Ok(lists.unwrap_or_default().into_iter().map(categories).collect())
}
