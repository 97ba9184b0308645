//! What the terms of an order mean for a target.

use super::conditions::entity;
use super::parse;
use super::problem::{SearchError, SearchProblem};
use super::targets::{self, Entity, Target};
use super::{DatasetScope, OrderKey, Subject, listed, subject_of};
use crate::Error;
use crate::logged_models::LoggedModelOrder;
use crate::validation::limits;

/// Reads texts such as `metrics.accuracy DESC`.
pub(super) fn order(target: &'static Target, terms: &[String]) -> Result<Vec<OrderKey>, Error> {
    few_enough(terms.len())?;
    let mut keys: Vec<OrderKey> = Vec::with_capacity(terms.len());
    for term in terms {
        let key =
            key(target, term).map_err(|error| Error::invalid(error.message("order_by clause", term)))?;
        if keys.iter().any(|earlier| earlier.subject == key.subject) {
            return Err(Error::invalid(format!(
                "`order_by` contains duplicate fields: {terms:?}"
            )));
        }
        keys.push(key);
    }
    Ok(keys)
}

fn key(target: &'static Target, term: &str) -> Result<OrderKey, SearchError> {
    let (key, ascending) = parse::order(term)?;
    let subject = match entity(target, &key)? {
        Entity::Attribute => {
            let attribute = target.attribute(&key.name).filter(|found| found.orders);
            subject_of(attribute.ok_or_else(|| {
                let (name, offered) = (key.name, listed(target.order_names()));
                SearchProblem::OrderKey { name, offered }.at(key.span)
            })?)
        }
        Entity::Metric if target.orders_by_values => Subject::Metric(key.name),
        Entity::Param if target.orders_by_values => Subject::Param(key.name),
        Entity::Tag if target.orders_by_values => Subject::Tag(key.name),
        entity => {
            let entity = entity.names()[0];
            return Err(SearchProblem::OrderEntity { entity }.at(key.span));
        }
    };
    Ok(OrderKey {
        subject,
        ascending,
        dataset: DatasetScope::default(),
    })
}

/// Reads the order of logged models, which comes in fields and not in a text.
pub(crate) fn logged_model_order(terms: &[LoggedModelOrder]) -> Result<Vec<OrderKey>, Error> {
    few_enough(terms.len())?;
    terms.iter().map(logged_model_key).collect()
}

fn logged_model_key(term: &LoggedModelOrder) -> Result<OrderKey, Error> {
    let invalid = |reason: &str| {
        Err(Error::invalid(format!(
            "Invalid order by field name: {}{reason}",
            term.field_name
        )))
    };
    let dataset = DatasetScope {
        name: term.dataset_name.clone(),
        digest: term.dataset_digest.clone(),
    };
    let subject = match term.field_name.split_once('.') {
        Some(("metrics", key)) => Subject::Metric(key.trim_matches(['`', '"']).to_owned()),
        Some((entity, _)) if entity != "attributes" => return invalid(". Only metrics are supported."),
        _ if dataset != DatasetScope::default() => return invalid(". Only metrics belong to a data set."),
        attribute => {
            let name = attribute.map_or(term.field_name.as_str(), |(_, name)| name);
            match targets::LOGGED_MODELS.attribute(name) {
                Some(found) if found.orders => subject_of(found),
                _ => return invalid(""),
            }
        }
    };
    Ok(OrderKey {
        subject,
        ascending: term.ascending,
        dataset,
    })
}

fn few_enough(terms: usize) -> Result<(), Error> {
    if terms > limits::ORDER_KEYS {
        return Err(Error::invalid(format!(
            "order_by has more than {} keys",
            limits::ORDER_KEYS
        )));
    }
    Ok(())
}
