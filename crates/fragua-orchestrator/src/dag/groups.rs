//! From nested lists of tasks and groups to tasks with the names and needs they have in the DAG.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::TaskGroup;
use super::parse::{Faults, check_id, did_you_mean};

/// The key that makes a group of an entry in a list of tasks.
pub(super) const GROUP: &str = "group";

const GROUP_KEYS: &[&str] = &["group", "description", "needs", "tasks"];

/// An entry of a list of tasks that is no group, with where it stands.
#[derive(Debug)]
pub(super) struct Entry<'v> {
    pub(super) pointer: String,
    pub(super) mapping: &'v Map<String, Value>,
    /// The name in the DAG: that of the groups around it comes first. Nothing where the entry has none.
    pub(super) task_id: Option<String>,
    scope: Option<String>,
}

struct GroupEntry {
    pointer: String,
    group: TaskGroup,
    needs: Vec<String>,
}

/// All entries of a DAG, flat.
#[derive(Default)]
pub(super) struct Entries<'v> {
    pub(super) tasks: Vec<Entry<'v>>,
    groups: Vec<GroupEntry>,
}

/// What a name in `needs` stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    id: String,
    is_group: bool,
}

impl<'v> Entries<'v> {
    /// Walks through a list of tasks and the lists of the groups in it.
    pub(super) fn collect(
        &mut self,
        list: &'v [Value],
        pointer: &str,
        scope: Option<&str>,
        faults: &mut Faults<'_>,
    ) {
        for (index, entry) in list.iter().enumerate() {
            let pointer = format!("{pointer}/{index}");
            let Value::Object(mapping) = entry else {
                faults.add(
                    &pointer,
                    "a task is a mapping with the keys id and one operator",
                    None,
                );
                continue;
            };
            if mapping.contains_key(GROUP) {
                self.group(mapping, pointer, scope, faults);
                continue;
            }
            let id = mapping.get("id").and_then(Value::as_str);
            self.tasks.push(Entry {
                task_id: id.map(|id| within(scope, id)),
                pointer,
                mapping,
                scope: scope.map(str::to_owned),
            });
        }
    }

    fn group(
        &mut self,
        mapping: &'v Map<String, Value>,
        pointer: String,
        scope: Option<&str>,
        faults: &mut Faults<'_>,
    ) {
        for key in mapping.keys().filter(|key| !GROUP_KEYS.contains(&key.as_str())) {
            let place = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
            let hint = did_you_mean(key, GROUP_KEYS, "the keys of a group");
            faults.add(&place, format!("unknown key {key:?}"), Some(hint));
        }
        let Some(name) = mapping.get(GROUP).and_then(Value::as_str) else {
            faults.add(
                &format!("{pointer}/group"),
                "group: the name of the group was expected",
                None,
            );
            return;
        };
        if let Err(reason) = check_id(name) {
            faults.add(&format!("{pointer}/group"), reason, None);
        } else if name.contains('.') {
            let message = format!(
                "{name:?} cannot be the name of a group: a dot stands between a group and what is in it"
            );
            faults.add(&format!("{pointer}/group"), message, None);
        }
        let needs = match mapping.get("needs") {
            None => Some(Vec::new()),
            Some(Value::Array(needs)) => needs
                .iter()
                .map(|need| need.as_str().map(str::to_owned))
                .collect(),
            Some(_) => None,
        };
        if needs.is_none() {
            faults.add(
                &format!("{pointer}/needs"),
                "needs: expected a list of names",
                None,
            );
        }
        let group_id = within(scope, name);
        let description = mapping.get("description").and_then(Value::as_str);
        self.groups.push(GroupEntry {
            group: TaskGroup {
                group_id: group_id.clone(),
                description: description.map(str::to_owned),
                parent: scope.map(str::to_owned),
            },
            needs: needs.unwrap_or_default(),
            pointer: pointer.clone(),
        });
        match mapping
            .get("tasks")
            .and_then(Value::as_array)
            .filter(|list| !list.is_empty())
        {
            Some(list) => self.collect(list, &format!("{pointer}/tasks"), Some(&group_id), faults),
            None => faults.add(
                &pointer,
                format!("group {name:?} has a list of tasks, at least one"),
                None,
            ),
        }
    }

    /// Returns the places of the tasks of each name, readable or not.
    pub(super) fn places(&self) -> BTreeMap<String, Vec<String>> {
        let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entry in &self.tasks {
            if let Some(task_id) = &entry.task_id {
                places
                    .entry(task_id.clone())
                    .or_default()
                    .push(entry.pointer.clone());
            }
        }
        for entry in &self.groups {
            let group_id = entry.group.group_id.clone();
            places.entry(group_id).or_default().push(entry.pointer.clone());
        }
        places
    }

    pub(super) fn into_groups(self) -> Vec<TaskGroup> {
        self.groups.into_iter().map(|entry| entry.group).collect()
    }

    /// Finds what each task needs directly: a need of a group holds for its first tasks, and whoever needs a group
    /// needs its last ones. `None` where a need is wrong, which is told.
    pub(super) fn needs(&self, faults: &mut Faults<'_>) -> Option<BTreeMap<String, Vec<String>>> {
        let mut edges: Vec<(Node, Node)> = Vec::new();
        let mut all_known = true;
        for entry in &self.tasks {
            let Some(task_id) = &entry.task_id else { continue };
            let written = entry.mapping.get("needs").and_then(Value::as_array);
            let written: Vec<&str> = written.into_iter().flatten().filter_map(Value::as_str).collect();
            let to = Node {
                id: task_id.clone(),
                is_group: false,
            };
            all_known &= self.resolve(
                &written,
                &to,
                entry.scope.as_deref(),
                &entry.pointer,
                &mut edges,
                faults,
            );
        }
        for entry in &self.groups {
            let written: Vec<&str> = entry.needs.iter().map(String::as_str).collect();
            let to = Node {
                id: entry.group.group_id.clone(),
                is_group: true,
            };
            let scope = entry.group.parent.as_deref();
            all_known &= self.resolve(&written, &to, scope, &entry.pointer, &mut edges, faults);
        }
        all_known.then(|| self.flatten(edges))
    }

    fn resolve(
        &self,
        written: &[&str],
        to: &Node,
        scope: Option<&str>,
        pointer: &str,
        edges: &mut Vec<(Node, Node)>,
        faults: &mut Faults<'_>,
    ) -> bool {
        let mut seen = BTreeSet::new();
        let mut all_known = true;
        let kind = if to.is_group { "group" } else { "task" };
        for (index, need) in written.iter().enumerate() {
            let pointer = format!("{pointer}/needs/{index}");
            let Some(from) = self.find(need, scope) else {
                let known = self.known();
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                let message = format!("{kind} {:?} needs {need:?}, which is no task of this DAG", to.id);
                faults.add(&pointer, message, Some(did_you_mean(need, &known, "the tasks")));
                all_known = false;
                continue;
            };
            if from == *to {
                faults.add(&pointer, format!("{kind} {need:?} needs itself"), None);
                all_known = false;
            } else if is_inside(&to.id, &from) || is_inside(&from.id, to) {
                let message = format!(
                    "{kind} {:?} cannot need a group that it is in, or that is in it",
                    to.id
                );
                faults.add(&pointer, message, None);
                all_known = false;
            } else if !seen.insert(from.id.clone()) {
                faults.add(&pointer, format!("{need:?} stands here twice"), None);
            } else {
                edges.push((from, to.clone()));
            }
        }
        all_known
    }

    fn known(&self) -> BTreeSet<String> {
        self.places().into_keys().collect()
    }

    /// Looks for a name in the group it is used in, then in the groups around it.
    fn find(&self, name: &str, scope: Option<&str>) -> Option<Node> {
        let mut scope = scope;
        loop {
            let id = within(scope, name);
            if self
                .tasks
                .iter()
                .any(|entry| entry.task_id.as_deref() == Some(&id))
            {
                return Some(Node { id, is_group: false });
            }
            if self.groups.iter().any(|entry| entry.group.group_id == id) {
                return Some(Node { id, is_group: true });
            }
            let around = scope?;
            scope = around.rsplit_once('.').map(|(around, _)| around);
        }
    }

    /// Inner edges come first, so that the first and last tasks of a group are known when something outside needs it.
    fn flatten(&self, mut edges: Vec<(Node, Node)>) -> BTreeMap<String, Vec<String>> {
        let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entry in &self.tasks {
            needs.extend(entry.task_id.clone().map(|task_id| (task_id, Vec::new())));
        }
        edges.sort_by_key(|(from, to)| std::cmp::Reverse(common_depth(&from.id, &to.id)));
        for (from, to) in edges {
            let (last, first) = (ends(&from, &needs, true), ends(&to, &needs, false));
            for task_id in &first {
                let Some(list) = needs.get_mut(task_id) else {
                    continue;
                };
                for need in &last {
                    if !list.contains(need) {
                        list.push(need.clone());
                    }
                }
            }
        }
        needs
    }
}

fn within(scope: Option<&str>, name: &str) -> String {
    scope.map_or_else(|| name.to_owned(), |scope| format!("{scope}.{name}"))
}

fn is_inside(id: &str, group: &Node) -> bool {
    group.is_group
        && id
            .strip_prefix(&group.id)
            .is_some_and(|rest| rest.starts_with('.'))
}

/// How many groups two names have in common.
fn common_depth(one: &str, other: &str) -> usize {
    let pairs = one.split('.').zip(other.split('.'));
    pairs.take_while(|(one, other)| one == other).count()
}

/// The last tasks of a node, which nothing else in it needs, or the first ones, which need nothing else in it.
fn ends(node: &Node, needs: &BTreeMap<String, Vec<String>>, last: bool) -> Vec<String> {
    if !node.is_group {
        return vec![node.id.clone()];
    }
    let members: Vec<&String> = needs.keys().filter(|task_id| is_inside(task_id, node)).collect();
    let needed: BTreeSet<&String> = members.iter().flat_map(|member| &needs[*member]).collect();
    let is_end = |member: &&&String| match last {
        true => !needed.contains(**member),
        false => !needs[**member].iter().any(|need| is_inside(need, node)),
    };
    members
        .iter()
        .filter(is_end)
        .map(|member| (*member).clone())
        .collect()
}
