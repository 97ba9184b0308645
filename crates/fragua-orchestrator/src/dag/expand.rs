//! Task mapping: the items that a task is made instances of.
//!
//! `expand` is one of:
//! - a mapping of names to lists: one instance for each combination, the last name turning fastest;
//! - a list: one instance for each item, whose names are those of the item where it is a mapping, else `item`.
//!
//! A text with a template that gives a list may stand for any list.

use serde_json::{Map, Value, json};

/// The most instances of one task.
pub(crate) const MOST: usize = 1024;

/// The name of an item that has none.
const ITEM: &str = "item";

/// Checks what a file says, before templates are rendered.
pub(super) fn check(expand: &Value) -> Result<(), String> {
    let is_list = |value: &Value| value.is_array() || value.as_str().is_some_and(|text| text.contains("{{"));
    match expand {
        Value::Object(lists) if lists.is_empty() => Err("expand names no list".to_owned()),
        Value::Object(lists) => match lists.iter().find(|(_, list)| !is_list(list)) {
            Some((name, _)) => Err(format!(
                "expand: {name} must be a list, or a template that gives one"
            )),
            None => Ok(()),
        },
        other if is_list(other) => Ok(()),
        _ => Err("expand is a list, a mapping of names to lists, or a template that gives a list".to_owned()),
    }
}

/// Returns what `{{ map }}` is in each instance, in order, from a rendered `expand`.
pub(crate) fn items(expand: &Value) -> Result<Vec<Value>, String> {
    let items = match expand {
        Value::Array(items) => items.iter().map(named).collect(),
        Value::Object(lists) => {
            let mut items = vec![Map::new()];
            for (name, list) in lists {
                let list = list
                    .as_array()
                    .ok_or_else(|| format!("expand: {name} is no list"))?;
                if items.len().saturating_mul(list.len()) > MOST {
                    return Err(too_many(items.len() * list.len()));
                }
                items = items
                    .iter()
                    .flat_map(|item| {
                        list.iter().map(|value| {
                            let mut item = item.clone();
                            item.insert(name.clone(), value.clone());
                            item
                        })
                    })
                    .collect();
            }
            items.into_iter().map(Value::Object).collect()
        }
        _ => return Err("expand gave no list".to_owned()),
    };
    let items: Vec<Value> = items;
    if items.len() > MOST {
        return Err(too_many(items.len()));
    }
    Ok(items)
}

fn named(item: &Value) -> Value {
    match item {
        Value::Object(_) => item.clone(),
        other => json!({ ITEM: other }),
    }
}

fn too_many(count: usize) -> String {
    format!("expand gives {count} instances, more than {MOST}: let each do more of the work")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_combined() {
        let check =
            |expand: Value, expected: Value| assert_eq!(items(&expand).map(Value::from), Ok(expected));
        check(json!([1, "b"]), json!([{"item": 1}, {"item": "b"}]));
        check(json!([{"x": 1}, {"x": 2}]), json!([{"x": 1}, {"x": 2}]));
        check(json!([]), json!([]));
        check(
            json!({"x": [1, 2], "y": ["a", "b"]}),
            json!([{"x": 1, "y": "a"}, {"x": 1, "y": "b"}, {"x": 2, "y": "a"}, {"x": 2, "y": "b"}]),
        );
        check(json!({"x": [1, 2], "y": []}), json!([]));
    }

    #[test]
    fn what_cannot_be_expanded_is_refused() {
        for expand in [
            json!(5),
            json!("one"),
            json!({}),
            json!({"x": 5}),
            json!({"x": "a"}),
        ] {
            assert!(check(&expand).is_err(), "{expand}");
        }
        assert_eq!(check(&json!({"x": "{{ xcom.list }}", "y": [1]})), Ok(()));
        assert_eq!(check(&json!("{{ xcom.list }}")), Ok(()));
        assert!(items(&json!("text")).is_err());
        assert!(items(&json!({"x": 1})).is_err());
        let many = vec![0; MOST + 1];
        assert_eq!(items(&json!(many[1..])).map(|items| items.len()), Ok(MOST));
        assert!(items(&json!(many)).unwrap_err().contains("1025 instances"));
        assert!(items(&json!({"x": many, "y": many})).is_err());
    }
}
