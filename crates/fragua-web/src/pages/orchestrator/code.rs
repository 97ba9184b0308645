//! The text of a DAG's file: as it is, as it was, and what changed between two versions.

use fragua_base::Timestamp;
use fragua_orchestrator::{DagSummary, DagVersion, Orchestrator};
use similar::{ChangeTag, TextDiff};

use crate::error::Error;
use crate::format;
use crate::page::Page;
use crate::view::SelectOption;

/// How many lines around a change are shown.
const AROUND: usize = 3;

pub(super) struct Code {
    pub(super) path: String,
    pub(super) text: String,
    pub(super) seen_at: Option<Timestamp>,
    pub(super) versions: Vec<SelectOption>,
    pub(super) others: Vec<SelectOption>,
    pub(super) diff: Option<Diff>,
}

pub(super) struct Diff {
    pub(super) groups: Vec<Vec<DiffLine>>,
    pub(super) added: u64,
    pub(super) removed: u64,
}

pub(super) struct DiffLine {
    pub(super) old: String,
    pub(super) new: String,
    pub(super) sign: &'static str,
    pub(super) class: &'static str,
    pub(super) text: String,
}

pub(super) async fn code(
    orchestrator: &Orchestrator,
    page: &Page,
    summary: &DagSummary,
) -> Result<Code, Error> {
    let dag_id = &summary.dag.dag_id;
    let versions = orchestrator.dag_versions(dag_id).await?;
    let named = |name: &str| {
        let wanted = page.parameter(name).filter(|wanted| !wanted.is_empty())?;
        versions.iter().find(|version| version.version == wanted)
    };
    let shown =
        named("version").or_else(|| versions.iter().find(|version| version.version == summary.version));
    let against = named("against");
    let text = match shown {
        Some(shown) => orchestrator.dag_version_source(dag_id, &shown.version).await?,
        None => None,
    };
    let text = text.unwrap_or_default();
    let diff = match against {
        Some(against) => {
            let old = orchestrator.dag_version_source(dag_id, &against.version).await?;
            Some(diff(&old.unwrap_or_default(), &text))
        }
        None => None,
    };
    let option = |version: &DagVersion, chosen: Option<&DagVersion>| {
        let mut label = format!(
            "{} · {}",
            format::shorten(&version.version, 9),
            format::instant(version.created_at)
        );
        if version.version == summary.version {
            label.push_str(&format!(" · {}", page.t("code-current")));
        }
        SelectOption::new(label, &version.version, chosen == Some(version))
    };
    let nothing = SelectOption::new(page.t("code-against-none"), "", against.is_none());
    let others = versions.iter().filter(|version| Some(*version) != shown);
    Ok(Code {
        path: summary.path.display().to_string(),
        seen_at: shown.map(|shown| shown.created_at),
        others: [nothing]
            .into_iter()
            .chain(others.map(|version| option(version, against)))
            .collect(),
        versions: versions.iter().map(|version| option(version, shown)).collect(),
        text,
        diff,
    })
}

/// Compares two texts line by line.
fn diff(old: &str, new: &str) -> Diff {
    let diff = TextDiff::from_lines(old, new);
    let (mut added, mut removed) = (0, 0);
    let number = |index: Option<usize>| index.map_or_else(String::new, |index| (index + 1).to_string());
    let mut groups = Vec::new();
    for operations in diff.grouped_ops(AROUND) {
        let mut lines = Vec::new();
        for change in operations
            .iter()
            .flat_map(|operation| diff.iter_changes(operation))
        {
            let (sign, class) = match change.tag() {
                ChangeTag::Insert => ("+", "is-added"),
                ChangeTag::Delete => ("−", "is-removed"),
                ChangeTag::Equal => (" ", ""),
            };
            added += u64::from(change.tag() == ChangeTag::Insert);
            removed += u64::from(change.tag() == ChangeTag::Delete);
            lines.push(DiffLine {
                old: number(change.old_index()),
                new: number(change.new_index()),
                sign,
                class,
                text: change.value().trim_end_matches(['\n', '\r']).to_owned(),
            });
        }
        groups.push(lines);
    }
    Diff {
        groups,
        added,
        removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_line_is_one_taken_away_and_one_added() {
        let found = diff("a\nb\nc\n", "a\nB\nc\nd\n");
        assert_eq!((found.added, found.removed, found.groups.len()), (2, 1, 1));
        let lines: Vec<String> = found.groups[0]
            .iter()
            .map(|line| format!("{}|{}|{}{}", line.old, line.new, line.sign, line.text))
            .collect();
        assert_eq!(lines, ["1|1| a", "2||−b", "|2|+B", "3|3| c", "|4|+d"]);
        assert!(diff("same\n", "same\n").groups.is_empty());
    }
}
