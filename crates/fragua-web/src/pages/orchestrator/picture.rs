//! The graph of a DAG with the state of each task. A folded group is one box; one that is open is framed where nothing
//! else lies within its frame.

use std::collections::BTreeSet;

use fragua_orchestrator::{Dag, Task};

use super::fold::{Folds, GroupLink};
use crate::format;
use crate::graph::{self, Edge, Node};
use crate::page::Page;
use crate::state::StateView;

/// How far a frame stands off what it holds.
const FRAME: f64 = 8.0;

/// What the template draws.
pub(super) struct GraphView {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) frames: Vec<Frame>,
    pub(super) nodes: Vec<NodeView>,
    pub(super) edges: Vec<Edge>,
    pub(super) groups: Vec<GroupLink>,
    /// The same in words.
    pub(super) description: String,
}

impl GraphView {
    /// Returns how far the picture may shrink before it scrolls: small text is worse than a scroll bar.
    pub(super) fn fit(&self) -> &'static str {
        match self.width {
            ..480.0 => "fits",
            480.0..900.0 => "shrinks-little",
            900.0..1600.0 => "shrinks",
            _ => "scrolls",
        }
    }
}

/// The frame of an open group.
pub(super) struct Frame {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) label: String,
}

pub(super) struct NodeView {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) label: String,
    pub(super) note: String,
    pub(super) title: String,
    pub(super) address: String,
    pub(super) view: StateView,
    pub(super) is_selected: bool,
    pub(super) is_group: bool,
}

/// How a task or folded group looks and where a click on it leads.
pub(super) struct Look {
    pub(super) view: StateView,
    pub(super) note: String,
    pub(super) address: String,
    pub(super) is_selected: bool,
}

/// Draws a DAG. `look` is asked about tasks, and about folded groups with the tasks in them.
pub(super) fn draw(page: &Page, dag: &Dag, look: impl Fn(&str, &[&Task]) -> Look) -> GraphView {
    let folds = Folds::of(page, dag);
    let mut ids: Vec<String> = Vec::new();
    for task in &dag.tasks {
        let shown = folds.shown(&task.task_id);
        if !ids.iter().any(|id| id == shown) {
            ids.push(shown.to_owned());
        }
    }
    let edges: BTreeSet<(String, String)> = dag
        .edges()
        .map(|(from, to)| (folds.shown(from).to_owned(), folds.shown(to).to_owned()))
        .collect();
    let edges: Vec<(String, String)> = edges.into_iter().collect();
    let picture = graph::draw(&ids, &edges);
    let nodes = picture
        .nodes
        .iter()
        .map(|node| node_view(page, dag, &folds, node, &look))
        .collect();
    GraphView {
        width: picture.width,
        height: picture.height,
        frames: frames(dag, &folds, &picture.nodes),
        nodes,
        edges: picture.edges,
        groups: folds.links(),
        description: describe(page, dag),
    }
}

fn node_view<'a>(
    page: &Page,
    dag: &'a Dag,
    folds: &Folds<'a>,
    node: &Node,
    look: &impl Fn(&str, &[&Task]) -> Look,
) -> NodeView {
    let task = dag.task(&node.id);
    let members: Vec<&Task> = match task {
        Some(task) => vec![task],
        None => dag
            .tasks_in(&node.id)
            .filter_map(|task_id| dag.task(task_id))
            .collect(),
    };
    let look = look(&node.id, &members);
    let word = page.t(look.view.text_key());
    let mapped = task.is_some_and(|task| task.expand.is_some());
    let label = format!("{}{}", node.id, if mapped { " [ ]" } else { "" });
    NodeView {
        x: node.x,
        y: node.y,
        width: node.width,
        height: node.height,
        label: format::shorten(&label, graph::MAX_LABEL),
        title: format!("{}: {word}", node.id),
        note: match task {
            Some(_) => look.note,
            None => page.tn("count-tasks", &(members.len() as u64)),
        },
        address: match task {
            Some(_) => look.address,
            None => folds.toggle(&node.id),
        },
        view: look.view,
        is_selected: look.is_selected,
        is_group: task.is_none(),
    }
}

fn frames(dag: &Dag, folds: &Folds<'_>, nodes: &[Node]) -> Vec<Frame> {
    let open = dag
        .groups
        .iter()
        .filter(|group| !folds.is_folded(&group.group_id) && folds.shown(&group.group_id) == group.group_id);
    open.filter_map(|group| {
        let is_inside = |node: &Node| {
            node.id
                .strip_prefix(&group.group_id)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        let (inside, outside): (Vec<&Node>, Vec<&Node>) = nodes.iter().partition(|node| is_inside(node));
        let least =
            |edge: fn(&Node) -> f64| inside.iter().map(|node| edge(node)).fold(f64::INFINITY, f64::min);
        let most = |edge: fn(&Node) -> f64| inside.iter().map(|node| edge(node)).fold(0.0, f64::max);
        let (left, top) = (least(|node| node.x) - FRAME, least(|node| node.y) - FRAME);
        let (right, bottom) = (
            most(|node| node.x + node.width) + FRAME,
            most(|node| node.y + node.height) + FRAME,
        );
        let is_apart = outside.iter().all(|node| {
            node.x > right || node.x + node.width < left || node.y > bottom || node.y + node.height < top
        });
        (is_apart && !inside.is_empty()).then(|| Frame {
            x: left,
            y: top,
            width: right - left,
            height: bottom - top,
            label: group.group_id.clone(),
        })
    })
    .collect()
}

fn describe(page: &Page, dag: &Dag) -> String {
    let needing = dag.tasks.iter().filter(|task| !task.needs.is_empty());
    let sentences: Vec<String> = needing
        .map(|task| {
            let needs = task.needs.join(", ");
            page.text_with("graph-needs", &[("task", &task.task_id), ("needs", &needs)])
        })
        .collect();
    let count = page.tn("count-tasks", &(dag.tasks.len() as u64));
    format!("{count}. {}", sentences.join(" "))
}
