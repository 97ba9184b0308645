//! What the templates of a task mention, so that no more than that is loaded for them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::dag::Task;
use crate::operator::OperatorCatalog;

/// What must be known of a run to render the templates of a task.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Mentions {
    /// What other tasks handed on.
    pub(crate) xcoms: XcomsMentioned,
    /// Runs before this one.
    pub(crate) previous: bool,
    /// What updated assets started the run.
    pub(crate) assets: bool,
}

/// Which tasks' values are mentioned.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum XcomsMentioned {
    /// Those of these tasks.
    Of(BTreeSet<String>),
    /// Those of a task that is only known when the template is rendered.
    Any,
}

impl Default for XcomsMentioned {
    fn default() -> Self {
        Self::Of(BTreeSet::new())
    }
}

impl Mentions {
    /// Looks at each template of a task, and at what its operator reads besides.
    pub(crate) fn of(task: &Task, catalog: &OperatorCatalog) -> Self {
        let operator = catalog.get(&task.operator);
        let reads = operator.map(|operator| operator.reads(&task.arguments));
        let mut mentions = Self {
            xcoms: XcomsMentioned::Of(reads.into_iter().flatten().collect()),
            ..Self::default()
        };
        mentions.look_at(&task.arguments);
        task.expand.iter().for_each(|expand| mentions.look_at(expand));
        if let Some(template) = &task.map_index_template {
            mentions.look_at_text(template);
        }
        mentions
    }

    fn look_at(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.look_at_text(text),
            Value::Array(items) => items.iter().for_each(|item| self.look_at(item)),
            Value::Object(mapping) => mapping.values().for_each(|item| self.look_at(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn look_at_text(&mut self, text: &str) {
        if !super::is_template(text) {
            return;
        }
        self.previous |= text.contains("prev_");
        self.assets |= text.contains("triggering_asset_events");
        let mut rest = text;
        while let Some((_, after)) = rest.split_once("xcom") {
            rest = after;
            match (named(after), &mut self.xcoms) {
                (Some(names), XcomsMentioned::Of(task_ids)) => task_ids.extend(names),
                _ => self.xcoms = XcomsMentioned::Any,
            }
        }
    }
}

/// Returns the tasks that are named behind the word `xcom`: `.TASK`, `['TASK']`, `_pull('TASK'`,
/// `_pull(task_ids=['TASK', 'TASK']`. Nothing where they are named in any other way.
fn named(after: &str) -> Option<Vec<String>> {
    if let Some(attribute) = after.strip_prefix('.') {
        let end = attribute.find(|character: char| !character.is_alphanumeric() && character != '_');
        let name = &attribute[..end.unwrap_or(attribute.len())];
        return (!name.is_empty()).then(|| vec![name.to_owned()]);
    }
    if let Some(index) = after.strip_prefix('[') {
        return Some(vec![literal(index)?.0]);
    }
    let arguments = after
        .strip_prefix("_pull")?
        .trim_start()
        .strip_prefix('(')?
        .trim_start();
    let arguments = match arguments.strip_prefix("task_ids") {
        Some(rest) => rest.trim_start().strip_prefix('=')?.trim_start(),
        None => arguments,
    };
    let Some(mut list) = arguments.strip_prefix('[') else {
        return Some(vec![literal(arguments)?.0]);
    };
    let mut names = Vec::new();
    loop {
        let (name, rest) = literal(list)?;
        names.push(name);
        let rest = rest.trim_start();
        match rest.strip_prefix(',') {
            Some(rest) => list = rest,
            None => return rest.starts_with(']').then_some(names),
        }
    }
}

/// Reads a text in quotes that nothing is added to. Returns it with what follows.
fn literal(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start();
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let (name, rest) = text[1..].split_once(quote)?;
    let ends = matches!(rest.trim_start().chars().next(), Some(',' | ']' | ')'));
    (ends && !name.contains('\\')).then(|| (name.to_owned(), rest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(text: &str) -> Mentions {
        Mentions::of(
            &Task::new("t", "bash", json!({ "command": [text] })),
            &OperatorCatalog::builtin(),
        )
    }

    #[test]
    fn the_tasks_whose_values_are_mentioned_are_found() {
        let check = |text: &str, expected: &[&str]| {
            let task_ids = expected.iter().map(|task_id| (*task_id).to_owned()).collect();
            assert_eq!(of(text).xcoms, XcomsMentioned::Of(task_ids), "{text}");
        };
        check("echo", &[]);
        check("xcom.rows without a template", &[]);
        check("{{ ds }}", &[]);
        check("{{ xcom.rows.count }}", &["rows"]);
        check("{{ xcom['load.rows'] }} {{ xcom[\"b\"].c }}", &["b", "load.rows"]);
        check("{{ ti.xcom_pull('rows') }}", &["rows"]);
        check("{{ ti.xcom_pull(task_ids = \"rows\", key='a') }}", &["rows"]);
        check(
            "{{ ti.xcom_pull(['a', 'b'], key='c')[0] }}{{ xcom.d }}",
            &["a", "b", "d"],
        );
        for any in [
            "{{ xcom[params.task] }}",
            "{{ xcom | length }}",
            "{{ ti.xcom_pull(params.task) }}",
            "{{ ti.xcom_pull(key='a', task_ids='b') }}",
            "{{ ti.xcom_pull(['a', params.b]) }}",
            "{{ xcom['a' ~ ds] }}",
            "{{ xcom['a\\'b'] }}",
            "{{ xcom.a }}{% set x = xcom %}",
        ] {
            assert_eq!(of(any).xcoms, XcomsMentioned::Any, "{any}");
        }
    }

    #[test]
    fn what_is_not_mentioned_is_not_loaded() {
        let mentions = of("{{ prev_ds }}");
        assert!(mentions.previous && !mentions.assets);
        let mentions = of("{{ triggering_asset_events | length }}");
        assert!(mentions.assets && !mentions.previous);
        let mut task = Task::new("t", "bash", json!("echo"));
        task.expand = Some(json!("{{ xcom.list }}"));
        task.map_index_template = Some("{{ xcom.names }}".to_owned());
        let task_ids = ["list", "names"].map(str::to_owned).into();
        assert_eq!(
            Mentions::of(&task, &OperatorCatalog::empty()).xcoms,
            XcomsMentioned::Of(task_ids)
        );
    }
}
