//! Page tokens, in MLflow's form: base64 of `{"offset": N}`; those of logged models also name the search they belong to.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::logged_models::LoggedModelQuery;

#[derive(Serialize, Deserialize)]
struct Token {
    offset: u64,
}

/// Returns the token of the page that begins at `offset`.
pub(crate) fn encode(offset: u64) -> String {
    STANDARD.encode(format!("{{\"offset\": {offset}}}"))
}

/// Returns where the page of a token begins; 0 without one.
pub(crate) fn offset(token: Option<&str>) -> Result<u64, Error> {
    let Some(token) = given(token) else {
        return Ok(0);
    };
    let token: Token = decode(token)?;
    checked(token.offset)
}

/// The token of a page of logged models.
#[derive(Serialize, Deserialize)]
struct LoggedModelToken {
    experiment_ids: Vec<String>,
    filter_string: Option<String>,
    order_by: Option<Vec<OrderField>>,
    #[serde(default)]
    offset: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct OrderField {
    field_name: String,
    #[serde(default = "ascending")]
    ascending: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_digest: Option<String>,
}

const fn ascending() -> bool {
    true
}

impl LoggedModelToken {
    fn of(query: &LoggedModelQuery, offset: u64) -> Self {
        let order_by = query.order_by.iter().map(|order| OrderField {
            field_name: order.field_name.clone(),
            ascending: order.ascending,
            dataset_name: order.dataset_name.clone(),
            dataset_digest: order.dataset_digest.clone(),
        });
        Self {
            experiment_ids: query.experiment_ids.iter().map(ToString::to_string).collect(),
            filter_string: Some(query.filter.clone()).filter(|filter| !filter.is_empty()),
            order_by: Some(order_by.collect()).filter(|order: &Vec<_>| !order.is_empty()),
            offset,
        }
    }
}

/// Returns the token of the page of a search of logged models that begins at `offset`.
pub(crate) fn encode_logged_models(query: &LoggedModelQuery, offset: u64) -> Result<String, Error> {
    serde_json::to_vec(&LoggedModelToken::of(query, offset))
        .map(|json| STANDARD.encode(json))
        .map_err(|error| Error::invalid(format!("The search has no page token: {error}")))
}

/// Returns where the page of a search of logged models begins. Its token belongs to a search with the same
/// experiments, filter and order.
pub(crate) fn logged_models_offset(query: &LoggedModelQuery) -> Result<u64, Error> {
    let Some(token) = given(query.page_token.as_deref()) else {
        return Ok(0);
    };
    let found: LoggedModelToken = decode(token)?;
    let wanted = LoggedModelToken::of(query, found.offset);
    if found.experiment_ids != wanted.experiment_ids {
        return Err(Error::invalid(format!(
            "Experiment IDs in the page token do not match the requested experiment IDs. Expected: {:?}. Found: {:?}",
            wanted.experiment_ids, found.experiment_ids
        )));
    }
    if found.filter_string.unwrap_or_default() != query.filter {
        return Err(Error::invalid(
            "Filter string in the page token does not match the requested filter string.",
        ));
    }
    if found.order_by.unwrap_or_default() != wanted.order_by.unwrap_or_default() {
        return Err(Error::invalid(
            "Order by in the page token does not match the requested order by.",
        ));
    }
    checked(found.offset)
}

fn given(token: Option<&str>) -> Option<&str> {
    token.filter(|token| !token.is_empty())
}

fn invalid() -> Error {
    Error::invalid("Invalid page token: use the next_page_token of the page before")
}

fn decode<T: DeserializeOwned>(token: &str) -> Result<T, Error> {
    let bytes = STANDARD
        .decode(token)
        .or_else(|_| URL_SAFE.decode(token))
        .map_err(|_| invalid())?;
    serde_json::from_slice(&bytes).map_err(|_| invalid())
}

/// The offset is bound as a signed number.
fn checked(offset: u64) -> Result<u64, Error> {
    i64::try_from(offset).map_err(|_| invalid())?;
    Ok(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_those_of_mlflow() {
        assert_eq!(encode(10), "eyJvZmZzZXQiOiAxMH0=");
        for (text, expected) in [
            (None, Some(0)),
            (Some(""), Some(0)),
            (Some("eyJvZmZzZXQiOiAxMH0="), Some(10)),
            (Some("eyJvZmZzZXQiOiAtMX0="), None),
            (Some("not base64!"), None),
            (Some("e30="), None),
        ] {
            assert_eq!(offset(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn tokens_of_logged_models_belong_to_their_search() {
        use crate::logged_models::LoggedModelOrder;

        let query = LoggedModelQuery {
            experiment_ids: vec![crate::ExperimentId(3)],
            filter: "name = 'a'".to_owned(),
            order_by: vec![LoggedModelOrder {
                field_name: "metrics.x".to_owned(),
                ascending: true,
                ..LoggedModelOrder::default()
            }],
            ..LoggedModelQuery::default()
        };
        let begins = |token: String, query: &LoggedModelQuery| {
            logged_models_offset(&LoggedModelQuery {
                page_token: Some(token),
                ..query.clone()
            })
        };
        let token = encode_logged_models(&query, 7).unwrap();
        assert_eq!(begins(token.clone(), &query).unwrap(), 7);
        // As MLflow writes it, with what is not given left out or null.
        let written = |json: &str| STANDARD.encode(json);
        let mlflow = "{\"experiment_ids\": [\"3\"], \"filter_string\": \"name = 'a'\", \"order_by\": [{\"field_name\": \
                      \"metrics.x\"}], \"offset\": 7}";
        assert_eq!(begins(written(mlflow), &query).unwrap(), 7);
        let all = LoggedModelQuery {
            experiment_ids: query.experiment_ids.clone(),
            ..LoggedModelQuery::default()
        };
        let bare =
            "{\"experiment_ids\": [\"3\"], \"filter_string\": null, \"order_by\": null, \"offset\": 2}";
        assert_eq!(begins(written(bare), &all).unwrap(), 2);
        for (other, message) in [
            (
                LoggedModelQuery {
                    experiment_ids: vec![crate::ExperimentId(4)],
                    ..query.clone()
                },
                "Experiment IDs in the page token do not match",
            ),
            (
                LoggedModelQuery {
                    filter: "name = 'b'".to_owned(),
                    ..query.clone()
                },
                "Filter string in the page token does not match",
            ),
            (
                LoggedModelQuery {
                    order_by: Vec::new(),
                    ..query.clone()
                },
                "Order by in the page token does not match",
            ),
        ] {
            let error = begins(token.clone(), &other).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
        assert!(begins(encode(7), &query).is_err());
    }
}
