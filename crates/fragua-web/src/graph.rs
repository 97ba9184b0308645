//! Where the boxes and lines of a DAG's picture go. Pure: names in, coordinates out.

use std::collections::HashMap;
use std::fmt::Write;

use rust_sugiyama::configure::Config;
use rust_sugiyama::from_vertices_and_edges;

const NODE_HEIGHT: f64 = 44.0;
const GAP_BETWEEN_LAYERS: f64 = 48.0;
/// Leaves place for the frame of a group and its name.
const GAP_IN_LAYER: f64 = 30.0;
const MARGIN: f64 = 12.0;

/// A box of the picture.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// A line from the right side of one box to the left side of another.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Edge {
    pub(crate) from: String,
    pub(crate) to: String,
    /// The `d` of an SVG path.
    pub(crate) path: String,
}

/// A picture that reads from left to right, in pixels.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Picture {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<Edge>,
}

/// Draws a graph. Edges that name an unknown node, and edges that would close a circle, are left out.
pub(crate) fn draw(ids: &[String], edges: &[(String, String)]) -> Picture {
    if ids.is_empty() {
        return Picture::default();
    }
    let index: HashMap<&str, usize> = ids.iter().enumerate().map(|(i, id)| (id.as_str(), i)).collect();
    let mut pairs: Vec<(usize, usize)> = edges
        .iter()
        .filter_map(|(from, to)| Some((*index.get(from.as_str())?, *index.get(to.as_str())?)))
        .filter(|(from, to)| from != to)
        .collect();
    pairs.sort_unstable();
    pairs.dedup();
    let (layer_of, pairs) = layers(ids.len(), &pairs);
    let columns = Columns::new(ids, &layer_of);

    // An edge over several layers becomes a chain of points, so that it bends around the boxes between.
    let mut vertices: Vec<(u32, (f64, f64))> = (0..ids.len())
        .map(|i| (vertex(i), (NODE_HEIGHT, NODE_HEIGHT)))
        .collect();
    let mut layer: Vec<usize> = layer_of;
    let mut short_edges = Vec::new();
    let mut chains = Vec::new();
    for &(from, to) in &pairs {
        let mut chain = vec![from];
        for between in layer[from] + 1..layer[to] {
            let point = vertices.len();
            vertices.push((vertex(point), (GAP_IN_LAYER, NODE_HEIGHT)));
            layer.push(between);
            chain.push(point);
        }
        chain.push(to);
        short_edges.extend(chain.windows(2).map(|pair| (vertex(pair[0]), vertex(pair[1]))));
        chains.push(chain);
    }

    let across = positions_across(&vertices, &short_edges);
    let nodes: Vec<Node> = ids
        .iter()
        .enumerate()
        .map(|(i, id)| Node {
            id: id.clone(),
            x: columns.left[layer[i]],
            y: round(across[i] - NODE_HEIGHT / 2.0),
            width: columns.width[layer[i]],
            height: NODE_HEIGHT,
        })
        .collect();
    let edges = chains
        .iter()
        .map(|chain| Edge {
            from: ids[chain[0]].clone(),
            to: ids[chain[chain.len() - 1]].clone(),
            path: path(chain, &layer, &columns, &across),
        })
        .collect();
    let bottom = across.iter().copied().fold(0.0, f64::max) + NODE_HEIGHT / 2.0;
    Picture {
        width: columns.right + MARGIN,
        height: round(bottom + MARGIN),
        nodes,
        edges,
    }
}

/// Where each layer stands: as wide as its longest name asks for.
struct Columns {
    left: Vec<f64>,
    width: Vec<f64>,
    right: f64,
}

impl Columns {
    fn new(ids: &[String], layer_of: &[usize]) -> Self {
        let count = layer_of.iter().max().map_or(0, |last| last + 1);
        let mut width = vec![0.0_f64; count];
        for (id, &layer) in ids.iter().zip(layer_of) {
            width[layer] = width[layer].max(round(node_width(id)));
        }
        let mut left = Vec::with_capacity(count);
        let mut next = MARGIN;
        for width in &width {
            left.push(round(next));
            next += width + GAP_BETWEEN_LAYERS;
        }
        Self {
            left,
            width,
            right: round(next - GAP_BETWEEN_LAYERS),
        }
    }
}

fn vertex(index: usize) -> u32 {
    u32::try_from(index).expect("a DAG has fewer than four thousand million tasks")
}

fn node_width(id: &str) -> f64 {
    (id.chars().count().min(MAX_LABEL) as f64 * 8.0 + 54.0).clamp(112.0, 300.0)
}

/// The longest label that fits the widest box.
pub(crate) const MAX_LABEL: usize = 30;

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Returns the longest distance of each node from a start, and the edges without those that close a circle.
fn layers(count: usize, pairs: &[(usize, usize)]) -> (Vec<usize>, Vec<(usize, usize)>) {
    let mut waiting_for = vec![0_usize; count];
    for &(_, to) in pairs {
        waiting_for[to] += 1;
    }
    let mut layer = vec![0_usize; count];
    let mut ready: Vec<usize> = (0..count).filter(|&i| waiting_for[i] == 0).collect();
    let mut is_placed = vec![false; count];
    while let Some(node) = ready.pop() {
        is_placed[node] = true;
        for &(_, to) in pairs.iter().filter(|(from, _)| *from == node) {
            layer[to] = layer[to].max(layer[node] + 1);
            waiting_for[to] -= 1;
            if waiting_for[to] == 0 {
                ready.push(to);
            }
        }
    }
    let kept = pairs
        .iter()
        .copied()
        .filter(|&(from, to)| is_placed[from] && is_placed[to])
        .collect();
    (layer, kept)
}

/// Returns each vertex's centre across the reading direction; parts of the graph that are not connected lie below each other.
fn positions_across(vertices: &[(u32, (f64, f64))], edges: &[(u32, u32)]) -> Vec<f64> {
    let config = Config {
        vertex_spacing: GAP_IN_LAYER,
        dummy_vertices: false,
        ..Config::default()
    };
    let mut across = vec![0.0; vertices.len()];
    let mut top = MARGIN;
    let mut parts = from_vertices_and_edges(vertices, edges, &config);
    // The crate keeps no order between the parts: the first node decides.
    parts.sort_by_key(|(part, _, _)| part.iter().map(|(vertex, _)| *vertex).min());
    for (part, _, _) in parts {
        let lowest = part.iter().map(|(_, (x, _))| *x).fold(f64::INFINITY, f64::min);
        let highest = part
            .iter()
            .map(|(_, (x, _))| *x)
            .fold(f64::NEG_INFINITY, f64::max);
        for (vertex, (x, _)) in part {
            across[vertex] = round(top + NODE_HEIGHT / 2.0 + x - lowest);
        }
        top += highest - lowest + NODE_HEIGHT + GAP_IN_LAYER;
    }
    across
}

/// Draws a smooth line through the points of a chain.
fn path(chain: &[usize], layer: &[usize], columns: &Columns, across: &[f64]) -> String {
    let left = |vertex: usize| columns.left[layer[vertex]];
    let right = |vertex: usize| round(left(vertex) + columns.width[layer[vertex]]);
    let mut path = String::new();
    let mut start = (right(chain[0]), across[chain[0]]);
    let _ = write!(path, "M{} {}", start.0, start.1);
    for (position, &vertex) in chain.iter().enumerate().skip(1) {
        let end = (left(vertex), across[vertex]);
        let middle = round((start.0 + end.0) / 2.0);
        let _ = write!(
            path,
            " C{middle} {} {middle} {} {} {}",
            start.1, end.1, end.0, end.1
        );
        start = end;
        if position + 1 < chain.len() {
            start = (right(vertex), end.1);
            let _ = write!(path, " H{}", start.0);
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    fn lines(edges: &[(&str, &str)]) -> Vec<(String, String)> {
        edges
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    }

    fn overlaps(one: &Node, other: &Node) -> bool {
        one.x < other.x + other.width
            && other.x < one.x + one.width
            && one.y < other.y + other.height
            && other.y < one.y + one.height
    }

    #[test]
    fn an_empty_graph_is_an_empty_picture() {
        assert_eq!(draw(&[], &[]), Picture::default());
    }

    #[test]
    fn a_chain_reads_from_left_to_right_on_one_line() {
        let picture = draw(&names(&["a", "b", "c"]), &lines(&[("a", "b"), ("b", "c")]));
        let [a, b, c] = &picture.nodes[..] else {
            panic!("three nodes")
        };
        assert!(a.x < b.x && b.x < c.x);
        assert!(a.y == b.y && b.y == c.y);
        assert!(picture.width >= c.x + c.width && picture.height >= c.y + c.height);
    }

    #[test]
    fn boxes_never_overlap_and_stay_inside() {
        let ids: Vec<String> = (0..40).map(|i| format!("task_{i}")).collect();
        for salt in 1..20_usize {
            let edges: Vec<(String, String)> = (0..40)
                .flat_map(|i| [(i * 7 + salt) % 40, (i * 13 + salt * 3) % 40].map(|j| (i, j)))
                .filter(|(i, j)| i < j && (i + j) % (salt % 4 + 1) == 0)
                .map(|(i, j)| (ids[i].clone(), ids[j].clone()))
                .collect();
            let picture = draw(&ids, &edges);
            assert_eq!(picture.nodes.len(), 40);
            for (i, one) in picture.nodes.iter().enumerate() {
                assert!(one.x >= 0.0 && one.y >= 0.0);
                assert!(one.x + one.width <= picture.width && one.y + one.height <= picture.height);
                for other in &picture.nodes[i + 1..] {
                    assert!(!overlaps(one, other), "salt {salt}: {one:?} {other:?}");
                }
            }
        }
    }

    #[test]
    fn an_edge_over_several_layers_bends_around_what_lies_between() {
        let picture = draw(
            &names(&["a", "b", "c"]),
            &lines(&[("a", "b"), ("b", "c"), ("a", "c")]),
        );
        let long = picture
            .edges
            .iter()
            .find(|edge| edge.from == "a" && edge.to == "c")
            .unwrap();
        assert!(long.path.contains(" H"), "{}", long.path);
    }

    #[test]
    fn circles_and_unknown_names_are_left_out() {
        let picture = draw(
            &names(&["a", "b", "c"]),
            &lines(&[("a", "b"), ("b", "c"), ("c", "b"), ("a", "ghost"), ("a", "a")]),
        );
        assert_eq!(picture.nodes.len(), 3);
        assert!(picture.edges.iter().all(|edge| edge.to != "ghost"));
    }

    #[test]
    fn the_same_graph_gives_the_same_picture() {
        let ids = names(&["a", "b", "c", "d", "e"]);
        let edges = lines(&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("a", "d")]);
        assert_eq!(draw(&ids, &edges), draw(&ids, &edges));
    }
}
