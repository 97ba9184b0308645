//! Groups of tasks that are shown as one: which, and the addresses that fold and unfold them.

use std::collections::BTreeSet;

use fragua_orchestrator::{Dag, TaskGroup};

use crate::page::Page;

/// The groups that the present address folds.
pub(super) struct Folds<'a> {
    page: &'a Page,
    dag: &'a Dag,
    folded: BTreeSet<&'a str>,
}

/// A group with the address that folds it, or unfolds it.
pub(super) struct GroupLink {
    pub(super) label: String,
    pub(super) address: String,
    pub(super) is_folded: bool,
}

impl<'a> Folds<'a> {
    pub(super) fn of(page: &'a Page, dag: &'a Dag) -> Self {
        Self {
            page,
            dag,
            folded: page.parameters("fold").collect(),
        }
    }

    /// Returns the groups around a task or group, the outermost first.
    pub(super) fn around<'i>(&self, id: &'i str) -> impl Iterator<Item = &'a TaskGroup> + use<'a, 'i> {
        let dag = self.dag;
        dag.groups.iter().filter(move |group| {
            id.strip_prefix(group.group_id.as_str())
                .is_some_and(|rest| rest.starts_with('.'))
        })
    }

    pub(super) fn is_folded(&self, group_id: &str) -> bool {
        self.folded.contains(group_id)
    }

    /// Returns what stands for a task or group: the outermost folded group around it, or itself.
    pub(super) fn shown(&self, id: &'a str) -> &'a str {
        let folded = self.around(id).find(|group| self.is_folded(&group.group_id));
        folded.map_or(id, |group| group.group_id.as_str())
    }

    /// Returns the present address with a group folded that is not, or the other way round.
    pub(super) fn toggle(&self, group_id: &str) -> String {
        let mut folded = self.folded.clone();
        if !folded.remove(group_id) {
            folded.insert(group_id);
        }
        let others = self.page.all_parameters().filter(|(name, _)| *name != "fold");
        let pairs: Vec<(&str, &str)> = others
            .chain(folded.iter().map(|group| ("fold", *group)))
            .collect();
        self.page.at(&pairs)
    }

    /// Returns the groups that are not within a folded one.
    pub(super) fn links(&self) -> Vec<GroupLink> {
        let groups = self.dag.groups.iter();
        groups
            .filter(|group| self.shown(&group.group_id) == group.group_id)
            .map(|group| GroupLink {
                label: group.group_id.clone(),
                address: self.toggle(&group.group_id),
                is_folded: self.is_folded(&group.group_id),
            })
            .collect()
    }
}
