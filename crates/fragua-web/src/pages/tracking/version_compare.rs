//! Two versions of a model side by side: figures, parameters, what they take and give.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use fragua_tracking::Tracking;

use super::mlmodel::{ModelCard, SignatureColumn};
use super::models::address as model_address;
use super::versions;
use crate::error::{Error, render};
use crate::headline;
use crate::page::Page;
use crate::view::Crumb;

#[derive(Template)]
#[template(path = "tracking/version_compare.html")]
struct ComparePage<'a> {
    page: &'a Page,
    name: String,
    title: String,
    crumbs: Vec<Crumb>,
    sides: [Side; 2],
    /// Rows that are alike are left out.
    only_different: bool,
    /// The key of each heading, and its rows.
    groups: Vec<(&'static str, Vec<Row>)>,
}

struct Side {
    version: i32,
    address: String,
    aliases: Vec<String>,
}

#[derive(Debug, PartialEq)]
struct Row {
    key: String,
    values: [String; 2],
    is_different: bool,
}

/// What is compared of one version.
#[derive(Default)]
struct Figures {
    metrics: Vec<(String, String)>,
    params: Vec<(String, String)>,
    inputs: Vec<(String, String)>,
    outputs: Vec<(String, String)>,
}

pub(super) async fn show(
    State(tracking): State<Tracking>,
    page: Page,
    Path(name): Path<String>,
) -> Result<Response, Error> {
    let chosen: Vec<&str> = page.parameters("v").collect();
    let [one, other] = chosen[..] else {
        return Err(Error::Invalid(page.t("compare-choose-two")));
    };
    let (one, other) = (versions::number(&page, one)?, versions::number(&page, other)?);
    // The older stands on the left.
    let numbers = [one.min(other), one.max(other)];
    let mut sides = Vec::new();
    let mut figures = Vec::new();
    for number in numbers {
        let version = tracking.version(&name, number).await?;
        let run = versions::run_of(&tracking, &version).await?;
        let card = versions::card_of(&tracking, &name, number).await?;
        let logged = versions::logged_of(&tracking, &version).await?;
        let (metrics, params) = versions::figures(run.as_ref(), logged.as_ref());
        let card = card.unwrap_or_default();
        figures.push(Figures {
            metrics,
            params,
            inputs: columns(&card, |card| &card.inputs),
            outputs: columns(&card, |card| &card.outputs),
        });
        sides.push(Side {
            version: number,
            address: versions::address(&name, number),
            aliases: version.aliases,
        });
    }
    let [left, right] = [&figures[0], &figures[1]];
    let only_different = page.has_chosen("different");
    let groups = [
        ("metrics", rows(&left.metrics, &right.metrics)),
        ("params", rows(&left.params, &right.params)),
        ("inputs", rows(&left.inputs, &right.inputs)),
        ("outputs", rows(&left.outputs, &right.outputs)),
    ];
    let sides: [Side; 2] = sides
        .try_into()
        .unwrap_or_else(|_| unreachable!("one side for each of two numbers"));
    render(&ComparePage {
        page: &page,
        crumbs: vec![
            Crumb::link(page.t("models-title"), "/models"),
            Crumb::link(&name, model_address(&name)),
            Crumb::here(format!("v{} – v{}", numbers[0], numbers[1])),
        ],
        title: page.text_with(
            "compare-title",
            &[("from", &numbers[0].to_string()), ("to", &numbers[1].to_string())],
        ),
        name,
        sides,
        only_different,
        groups: groups
            .into_iter()
            .map(|(key, mut rows)| {
                rows.retain(|row| row.is_different || !only_different);
                (key, rows)
            })
            .collect(),
    })
}

fn columns(card: &ModelCard, part: fn(&ModelCard) -> &Vec<SignatureColumn>) -> Vec<(String, String)> {
    let columns = part(card).iter();
    columns
        .map(|column| (column.name.clone(), column.kind.clone()))
        .collect()
}

/// Puts the values of two lists beside each other by key.
fn rows(left: &[(String, String)], right: &[(String, String)]) -> Vec<Row> {
    let mut by_key: BTreeMap<(usize, &str), [Option<&str>; 2]> = BTreeMap::new();
    for (side, list) in [left, right].into_iter().enumerate() {
        for (key, value) in list {
            by_key.entry((headline::rank(key), key)).or_default()[side] = Some(value);
        }
    }
    by_key
        .into_iter()
        .map(|((_, key), values)| Row {
            key: key.to_owned(),
            is_different: values[0] != values[1],
            values: values.map(|value| value.unwrap_or("–").to_owned()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_beside_each_other_by_key() {
        let list = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        let rows = rows(
            &list(&[("depth", "6"), ("accuracy", "0.5")]),
            &list(&[("depth", "6"), ("trees", "9"), ("accuracy", "0.75")]),
        );
        let seen: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    row.key.as_str(),
                    row.values[0].as_str(),
                    row.values[1].as_str(),
                    row.is_different,
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("accuracy", "0.5", "0.75", true),
                ("depth", "6", "6", false),
                ("trees", "–", "9", true)
            ]
        );
    }
}
