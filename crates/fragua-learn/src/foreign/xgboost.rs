//! XGBoost's model file.

use super::boosted::{Boosted, Link, Scorer};
use super::columns::{self, Codes, MAX_COLUMNS};
use super::trees::{MAX_WORDS, Part, Test, Trees};
use super::value::Value;
use super::{Kind, Loaded, output_names};
use crate::{Feature, FeatureKind, Label};

pub(super) fn load(bytes: &[u8], columns: &[String]) -> Result<Loaded, String> {
    let file = Value::read(bytes)?;
    let learner = file
        .at("learner")
        .map_err(|_| "it has no `learner`, so it is no model of XGBoost's save_model")?;
    let feature_count = learner.count("learner_model_param.num_feature")?;
    if feature_count == 0 || feature_count > MAX_COLUMNS {
        return Err(format!("it has {feature_count} features"));
    }
    let targets = learner.count("learner_model_param.num_target").unwrap_or(1);
    if targets > 1 {
        return Err(format!(
            "it predicts {targets} numbers a row; train one model for each"
        ));
    }
    let outputs = learner.count("learner_model_param.num_class")?.max(1);
    if outputs > 10_000 {
        return Err(format!("it has {outputs} classes"));
    }
    let (link, margin) = link(learner.text("objective.name")?, outputs)?;
    let base = base_scores(learner.text("learner_model_param.base_score")?, outputs, margin)?;
    let booster = learner.at("gradient_booster")?;
    let (booster, dropped) = match booster.text("name")? {
        "gbtree" => (booster, None),
        "dart" => (booster.at("gbtree")?, Some(booster.numbers("weight_drop")?)),
        "gblinear" => {
            let weights = booster.numbers("model.weights")?;
            if weights.len() != (feature_count + 1) * outputs {
                return Err(format!("it has {} weights", weights.len()));
            }
            let (weights, biases) = weights.split_at(feature_count * outputs);
            // The first base score is for all classes here.
            let base = biases.iter().map(|bias| base[0] + bias).collect();
            let weights = weights.iter().map(|&weight| weight as f32).collect();
            return finish(
                learner,
                Value::Null,
                Scorer::Linear(weights),
                base,
                link,
                feature_count,
                columns,
            );
        }
        name => return Err(format!("its booster {name} is not known")),
    };
    let model = booster.at("model")?;
    let trees = trees(learner, model, dropped, outputs)?;
    if trees.width() > feature_count {
        return Err(format!(
            "a tree asks feature {} of {feature_count}",
            trees.width() - 1
        ));
    }
    let cats = model.get("cats").cloned().unwrap_or(Value::Null);
    finish(
        learner,
        cats,
        Scorer::Single(trees),
        base,
        link,
        feature_count,
        columns,
    )
}

fn finish(
    learner: &Value,
    cats: Value,
    scorer: Scorer,
    base: Vec<f64>,
    link: Link,
    feature_count: usize,
    columns: &[String],
) -> Result<Loaded, String> {
    let (features, codes) = features(learner, &cats, feature_count, columns)?;
    let labels: Vec<Label> = (0..link.class_count(base.len()) as i64)
        .map(Label::Integer)
        .collect();
    Ok(Loaded {
        features,
        outputs: output_names(&labels),
        labels,
        kind: Kind::Boosted(Box::new(Boosted {
            scorer,
            base,
            factor: 1.0,
            link,
            codes,
        })),
    })
}

/// From a base score to one of the scores.
type Margin = fn(f64) -> f64;

/// Returns how scores become answers, and how base scores become scores.
fn link(objective: &str, outputs: usize) -> Result<(Link, Margin), String> {
    let itself: Margin = |base| base;
    let log_odds: Margin = |base| (base / (1.0 - base)).ln();
    let (link, margin) = match objective {
        "binary:logistic" => (Link::Odds(1.0), log_odds),
        "binary:hinge" => (Link::Sign, itself),
        "multi:softprob" | "multi:softmax" => (Link::Softmax, itself),
        "reg:logistic" => (Link::Logistic, log_odds),
        "reg:squarederror"
        | "reg:linear"
        | "reg:squaredlogerror"
        | "reg:pseudohubererror"
        | "reg:absoluteerror"
        | "reg:quantileerror" => (Link::Identity, itself),
        "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => {
            (Link::Exponential, f64::ln as Margin)
        }
        "binary:logitraw" => {
            return Err(
                "its objective binary:logitraw answers scores; train it with binary:logistic".to_owned(),
            );
        }
        name if name.starts_with("rank:") => {
            return Err(format!(
                "its objective is {name}: scores that rank are no predictions"
            ));
        }
        name => return Err(format!("its objective {name} is not known")),
    };
    if (link == Link::Softmax) != (outputs > 1) {
        return Err(format!(
            "its objective {objective} does not go with {outputs} classes"
        ));
    }
    Ok((link, margin))
}

/// One number, or since version 3.1 a list of them as a text.
fn base_scores(text: &str, outputs: usize, margin: Margin) -> Result<Vec<f64>, String> {
    let refuse = || format!("its base score is {:?}", crate::table::shorten(text));
    let numbers = text
        .trim()
        .trim_start_matches('[')
        .trim_end_matches(']')
        .split(',');
    let numbers: Vec<f64> = numbers
        .map(|number| number.trim().parse::<f32>().map(f64::from).map_err(|_| refuse()))
        .collect::<Result<_, _>>()?;
    let bases: Vec<f64> = match numbers.as_slice() {
        [one] => vec![margin(*one); outputs],
        many if many.len() == outputs => many.iter().map(|&base| margin(base)).collect(),
        _ => return Err(refuse()),
    };
    if bases.iter().all(|base| base.is_finite()) {
        Ok(bases)
    } else {
        Err(refuse())
    }
}

fn trees(
    learner: &Value,
    model: &Value,
    dropped: Option<&[f64]>,
    outputs: usize,
) -> Result<Trees<f32>, String> {
    let list = model.list("trees")?;
    let groups = model.numbers("tree_info")?;
    if groups.len() != list.len() || dropped.is_some_and(|dropped| dropped.len() != list.len()) {
        return Err("its lists of trees differ in length".to_owned());
    }
    let mut trees = Trees::new(outputs);
    for (tree, (value, &group)) in list
        .iter()
        .zip(groups)
        .take(used(learner, model, outputs)?)
        .enumerate()
    {
        let weight = dropped.map_or(1.0, |dropped| dropped[tree] as f32);
        let parts = parts(value, group as u32, weight).map_err(|error| format!("tree {tree}: {error}"))?;
        trees
            .add(0, &parts)
            .map_err(|error| format!("tree {tree}: {error}"))?;
    }
    Ok(trees.packed())
}

/// Number of trees that predict: scikit-learn's classes stop at the best round, a booster never does.
fn used(learner: &Value, model: &Value, outputs: usize) -> Result<usize, String> {
    let attributes = learner.get("attributes");
    let best = attributes
        .filter(|attributes| attributes.get("scikit_learn").is_some())
        .and_then(|attributes| attributes.count("best_iteration").ok());
    let Some(best) = best else {
        return Ok(usize::MAX);
    };
    // Older files do not say where rounds begin; all are of one size there.
    let Ok(rounds) = model.numbers("iteration_indptr") else {
        let parallel = model.count("gbtree_model_param.num_parallel_tree")?.max(1);
        return Ok((best.saturating_add(1))
            .saturating_mul(parallel)
            .saturating_mul(outputs));
    };
    let end = rounds.get(best.saturating_add(1));
    end.map(|&end| end as usize)
        .ok_or_else(|| format!("its best round {best} is not there"))
}

fn parts(tree: &Value, group: u32, weight: f32) -> Result<Vec<Part<f32>>, String> {
    if tree.count("tree_param.size_leaf_vector").unwrap_or(1) > 1 {
        return Err(
            "its leaves hold several numbers; train it with multi_strategy=one_output_per_tree".to_owned(),
        );
    }
    let left = tree.numbers("left_children")?;
    let count = left.len();
    let of_nodes = |name: &str| {
        let numbers = tree.numbers(name)?;
        if numbers.len() == count {
            Ok(numbers)
        } else {
            Err(format!("`{name}` has {} numbers of {count}", numbers.len()))
        }
    };
    let right = of_nodes("right_children")?;
    let features = of_nodes("split_indices")?;
    let conditions = of_nodes("split_conditions")?;
    let defaults = match tree.at("default_left")? {
        Value::List(flags) => flags.iter().map(|flag| *flag == Value::Flag(true)).collect(),
        _ => of_nodes("default_left")?
            .iter()
            .map(|&flag| flag != 0.0)
            .collect::<Vec<bool>>(),
    };
    if defaults.len() != count {
        return Err("`default_left` has another length".to_owned());
    }
    let sets = sets(tree, count)?;
    let mut parts = Vec::with_capacity(count);
    for node in 0..count {
        if left[node] < 0.0 {
            parts.push(Part::Leaf(vec![(group, conditions[node] as f32 * weight)]));
            continue;
        }
        let is_left = defaults[node];
        let (left, right) = (index(left[node])?, index(right[node])?);
        let feature = index(features[node])?;
        parts.push(match &sets[node] {
            // Categories of the set go right.
            Some(words) => Part::Branch {
                feature,
                test: Test::InSet(words.clone()),
                missing: !is_left,
                when_true: right,
                when_false: left,
            },
            None => Part::Branch {
                feature,
                test: Test::Below(conditions[node] as f32),
                missing: is_left,
                when_true: left,
                when_false: right,
            },
        });
    }
    Ok(parts)
}

/// Returns the set of categories of each node that has one.
fn sets(tree: &Value, count: usize) -> Result<Vec<Option<Vec<u32>>>, String> {
    let mut sets = vec![None; count];
    let mut words_left = MAX_WORDS;
    if tree.get("categories_nodes").is_none() {
        return Ok(sets);
    }
    let categories = tree.numbers("categories")?;
    let nodes = tree.numbers("categories_nodes")?;
    let begins = tree.numbers("categories_segments")?;
    let sizes = tree.numbers("categories_sizes")?;
    if begins.len() != nodes.len() || sizes.len() != nodes.len() {
        return Err("its lists of categories differ in length".to_owned());
    }
    for ((&node, &begin), &size) in nodes.iter().zip(begins).zip(sizes) {
        let (node, begin, size) = (index(node)?, index(begin)?, index(size)?);
        let of_node = begin
            .checked_add(size)
            .and_then(|end| categories.get(begin..end))
            .ok_or_else(|| format!("the categories of node {node} are not there"))?;
        let slot = sets
            .get_mut(node)
            .ok_or_else(|| format!("node {node} has categories and is not there"))?;
        let last = of_node.iter().copied().fold(0.0, f64::max);
        words_left = words_left
            .checked_sub(index(last)? / 32 + 1)
            .ok_or("its sets of categories are too large")?;
        let mut words = Vec::new();
        for &category in of_node {
            let category = index(category)?;
            if words.len() <= category / 32 {
                words.resize(category / 32 + 1, 0);
            }
            words[category / 32] |= 1 << (category % 32);
        }
        *slot = Some(words);
    }
    Ok(sets)
}

fn index(number: f64) -> Result<usize, String> {
    if (0.0..4e9).contains(&number) && number.fract() == 0.0 {
        return Ok(number as usize);
    }
    Err(format!("{number} is no position"))
}

/// Returns the features with what the file says of them, and the numbers of their categories.
fn features(
    learner: &Value,
    cats: &Value,
    count: usize,
    columns: &[String],
) -> Result<(Vec<Feature>, Vec<Option<Codes>>), String> {
    let of_features = |path: &str| {
        let texts = learner.texts(path)?;
        if texts.is_empty() || texts.len() == count {
            Ok(texts)
        } else {
            Err(format!("`{path}` has {} entries of {count}", texts.len()))
        }
    };
    let mut own = of_features("feature_names")?;
    let types = of_features("feature_types")?;
    if own.is_empty() {
        own = (0..count).map(|position| format!("f{position}")).collect();
    }
    let names = columns::names(own, columns)?;
    let encodings = match cats.get("enc") {
        Some(_) => cats.list("enc")?,
        None => &[],
    };
    let mut features = Vec::with_capacity(count);
    let mut codes = Vec::with_capacity(count);
    for (position, name) in names.into_iter().enumerate() {
        let mut feature = columns::feature(name, FeatureKind::Number);
        let is_category = types.get(position).is_some_and(|kind| kind == "c");
        let texts = match encodings.get(position) {
            Some(encoding) if is_category => texts(encoding)
                .map_err(|error| format!("the categories of column {}: {error}", feature.name))?,
            _ => Vec::new(),
        };
        codes.push((!texts.is_empty()).then(|| {
            let numbered = texts.iter().cloned().zip(0u32..);
            numbered.map(|(text, code)| (text, f64::from(code))).collect()
        }));
        if !texts.is_empty() {
            feature.kind = FeatureKind::Category;
            feature.categories = texts;
        }
        features.push(feature);
    }
    Ok((features, codes))
}

/// Returns the texts of a column's categories, which lie behind one another.
fn texts(encoding: &Value) -> Result<Vec<String>, String> {
    if encoding.get("offsets").is_none() {
        let is_empty = encoding.numbers("values").is_ok_and(<[f64]>::is_empty);
        return if is_empty {
            Ok(Vec::new())
        } else {
            Err("they are no texts; make them texts before training".to_owned())
        };
    }
    let offsets = encoding.numbers("offsets")?;
    let bytes: Vec<u8> = encoding
        .numbers("values")?
        .iter()
        .map(|&byte| byte as i64 as u8)
        .collect();
    let text = |pair: &[f64]| {
        let range = index(pair[0])?..index(pair[1])?;
        let bytes = bytes.get(range).ok_or("a text is not there")?;
        String::from_utf8(bytes.to_vec()).map_err(|_| {
            "a text is not UTF-8: XGBoost cuts letters off that are not English; rename the categories"
                .to_owned()
        })
    };
    offsets.windows(2).map(text).collect()
}
