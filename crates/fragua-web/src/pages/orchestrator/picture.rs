//! The graph of a DAG with the state of each task.

use fragua_orchestrator::Task;

use crate::format;
use crate::graph::{self, Edge};
use crate::page::Page;
use crate::state::StateView;

/// What the template draws.
pub(super) struct GraphView {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) nodes: Vec<NodeView>,
    pub(super) edges: Vec<Edge>,
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
}

/// How a task looks and where a click on it leads.
pub(super) struct Look {
    pub(super) view: StateView,
    pub(super) note: String,
    pub(super) address: String,
    pub(super) is_selected: bool,
}

pub(super) fn draw(page: &Page, tasks: &[Task], look: impl Fn(&Task) -> Look) -> GraphView {
    let ids: Vec<String> = tasks.iter().map(|task| task.task_id.clone()).collect();
    let edges: Vec<(String, String)> = tasks
        .iter()
        .flat_map(|task| task.needs.iter().map(|need| (need.clone(), task.task_id.clone())))
        .collect();
    let picture = graph::draw(&ids, &edges);
    let nodes = picture
        .nodes
        .iter()
        .zip(tasks)
        .map(|(node, task)| {
            let look = look(task);
            let word = page.t(look.view.text_key());
            NodeView {
                x: node.x,
                y: node.y,
                width: node.width,
                height: node.height,
                label: format::shorten(&task.task_id, graph::MAX_LABEL),
                title: format!("{}: {word}", task.task_id),
                note: look.note,
                address: look.address,
                view: look.view,
                is_selected: look.is_selected,
            }
        })
        .collect();
    GraphView {
        width: picture.width,
        height: picture.height,
        nodes,
        edges: picture.edges,
        description: describe(page, tasks),
    }
}

fn describe(page: &Page, tasks: &[Task]) -> String {
    let needing = tasks.iter().filter(|task| !task.needs.is_empty());
    let sentences: Vec<String> = needing
        .map(|task| {
            let needs = task.needs.join(", ");
            page.text_with("graph-needs", &[("task", &task.task_id), ("needs", &needs)])
        })
        .collect();
    let count = page.tn("count-tasks", &(tasks.len() as u64));
    format!("{count}. {}", sentences.join(" "))
}
