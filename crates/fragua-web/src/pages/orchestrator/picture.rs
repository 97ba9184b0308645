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
/// The height of the name of a frame, which stands above what it holds.
const FRAME_NAME: f64 = 10.0;

/// What the template draws.
pub(super) struct GraphView {
    /// The left upper corner.
    pub(super) x: f64,
    pub(super) y: f64,
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
    pub(super) group_id: String,
    /// Its name without those of the groups around it.
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
    let frames = frames(dag, &folds, &picture.nodes);
    let nodes = picture
        .nodes
        .iter()
        .map(|node| NodeView {
            label: format::shorten(short_name(&folds, &frames, &node.id), graph::MAX_LABEL),
            ..node_view(page, dag, &folds, node, &look)
        })
        .collect();
    // A frame around what stands at the border reaches over it.
    let least = |edge: fn(&Frame) -> f64| frames.iter().map(edge).fold(0.0, f64::min);
    let most = |picture: f64, edge: fn(&Frame) -> f64| frames.iter().map(edge).fold(picture, f64::max);
    let (x, y) = (least(|frame| frame.x - 1.0), least(|frame| frame.y - 1.0));
    GraphView {
        width: most(picture.width, |frame| frame.x + frame.width + 1.0) - x,
        height: most(picture.height, |frame| frame.y + frame.height + 1.0) - y,
        x,
        y,
        frames,
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
    let is_mapped = task.is_some_and(|task| task.expand.is_some());
    NodeView {
        x: node.x,
        y: node.y,
        width: node.width,
        height: node.height,
        label: String::new(),
        title: format!("{}: {word}", node.id),
        note: match task {
            Some(_) if is_mapped => format!("{} [ ]", look.note),
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

/// Returns the name of a task or group without those of the groups whose frames are around it.
fn short_name<'i>(folds: &Folds<'_>, frames: &[Frame], id: &'i str) -> &'i str {
    let framed = folds
        .around(id)
        .filter(|group| frames.iter().any(|frame| frame.group_id == group.group_id));
    let innermost = framed.last().map_or(0, |group| group.group_id.len() + 1);
    &id[innermost..]
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
        // The frames of groups within it have their place between it and what it holds.
        let depth = |id: &str| folds.around(id).count();
        let within = inside.iter().map(|node| depth(&node.id)).max().unwrap_or(0);
        let levels = (within - depth(&group.group_id)) as f64;
        let off = FRAME * levels;
        let (left, top) = (
            least(|node| node.x) - off,
            least(|node| node.y) - off - FRAME_NAME * levels,
        );
        let (right, bottom) = (
            most(|node| node.x + node.width) + off,
            most(|node| node.y + node.height) + off,
        );
        let is_apart = outside.iter().all(|node| {
            node.x > right || node.x + node.width < left || node.y > bottom || node.y + node.height < top
        });
        (is_apart && !inside.is_empty()).then(|| Frame {
            x: left,
            y: top,
            width: right - left,
            height: bottom - top,
            label: group.group_id[folds
                .around(&group.group_id)
                .last()
                .map_or(0, |around| around.group_id.len() + 1)..]
                .to_owned(),
            group_id: group.group_id.clone(),
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
