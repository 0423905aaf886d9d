//! The picture of the relatives of an image: its bases on the left, and the images that are built on
//! it on the right.

use serde::Serialize;

use crate::app::graph::{NodeKind, NodeState};
use crate::app::site::data::SiteLineage;

const ROW: usize = 54;
const BOX: usize = 42;
const GAP: usize = 44;
const MARGIN: usize = 2;
/// The width of a character, in tenths of a pixel.
const CHARACTER: usize = 75;
/// The longest name that is shown in full, in characters.
const LONGEST: usize = 40;

#[derive(Debug, Serialize)]
pub(super) struct LineageView {
    width: usize,
    height: usize,
    nodes: Vec<NodeView>,
    edges: Vec<EdgeView>,
    description: String,
    hidden: usize,
}

#[derive(Debug, Serialize)]
struct NodeView {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
    round: usize,
    middle: usize,
    name: String,
    full: String,
    note: String,
    kind: &'static str,
    page: Option<String>,
}

#[derive(Debug, Serialize)]
struct EdgeView {
    x1: usize,
    y1: usize,
    x2: usize,
    y2: usize,
    middle: usize,
}

/// The picture of a lineage.
pub(super) fn view(lineage: &SiteLineage) -> LineageView {
    let SiteLineage { graph, own, .. } = lineage;
    let dependants = graph.nodes.len().saturating_sub(own + 1);
    let rows = dependants.max(1);
    let height = rows * ROW - (ROW - BOX) + 2 * MARGIN;
    let middle_y = (height - BOX) / 2;
    let width_of = |at: usize| {
        let name = short(&graph.nodes[at].name).chars().count();
        name.max(note(lineage, at).chars().count()) * CHARACTER / 10 + 24
    };
    let last = (own + 1..graph.nodes.len())
        .map(width_of)
        .max()
        .unwrap_or(0);
    let mut nodes = Vec::new();
    let mut x = MARGIN;
    for (at, node) in graph.nodes.iter().enumerate() {
        let is_below = at > *own;
        let width = if is_below { last } else { width_of(at) };
        let y = if is_below {
            MARGIN + (at - own - 1) * ROW
        } else {
            middle_y
        };
        nodes.push(NodeView {
            x,
            y,
            width,
            height: BOX,
            round: match node.kind {
                NodeKind::Image => 4,
                NodeKind::Base => BOX / 2,
            },
            middle: x + width / 2,
            name: short(&node.name),
            full: node.name.clone(),
            note: note(lineage, at),
            kind: match node.state {
                _ if at == *own => "this",
                NodeState::Stale => "stale",
                NodeState::Current | NodeState::Unknown => "other",
            },
            page: lineage
                .pages
                .get(at)
                .cloned()
                .flatten()
                .filter(|_| at != *own),
        });
        if !is_below {
            x += width + GAP;
        }
    }
    let edges = graph.edges.iter().map(|edge| {
        let (from, to) = (&nodes[edge.from], &nodes[edge.to]);
        let (x1, x2) = (from.x + from.width, to.x);
        EdgeView {
            x1,
            y1: from.y + BOX / 2,
            x2,
            y2: to.y + BOX / 2,
            middle: usize::midpoint(x1, x2),
        }
    });
    let edges = edges.collect();
    let right = nodes.iter().map(|node| node.x + node.width).max();
    LineageView {
        width: right.unwrap_or(0) + MARGIN,
        height,
        edges,
        description: description(lineage),
        hidden: lineage.hidden,
        nodes,
    }
}

/// The second line of a node.
fn note(lineage: &SiteLineage, at: usize) -> String {
    let node = &lineage.graph.nodes[at];
    let kind = match node.kind {
        NodeKind::Base => "base",
        NodeKind::Image if at == lineage.own => "this image",
        NodeKind::Image => "image",
    };
    match node.state {
        NodeState::Current => kind.to_owned(),
        NodeState::Stale if node.kind == NodeKind::Base => format!("{kind}, a newer one exists"),
        NodeState::Stale => format!("{kind}, on a stale base"),
        NodeState::Unknown => format!("{kind}, not compared"),
    }
}

/// The picture as a sentence.
fn description(lineage: &SiteLineage) -> String {
    let SiteLineage {
        graph, own, hidden, ..
    } = lineage;
    let names = |at: std::ops::Range<usize>| {
        let names = graph.nodes[at].iter().map(|node| node.name.as_str());
        names.collect::<Vec<_>>()
    };
    let Some(node) = graph.nodes.get(*own) else {
        return String::new();
    };
    let bases = names(0..*own);
    let bases = if bases.is_empty() {
        "has no base in a registry or in the workspace".to_owned()
    } else {
        let nearest: Vec<&str> = bases.into_iter().rev().collect();
        format!("is built on {}", nearest.join(", which is built on "))
    };
    let below = names(own + 1..graph.nodes.len());
    let more = match hidden {
        0 => String::new(),
        number => format!(" and {number} more"),
    };
    let below = if below.is_empty() {
        "no image of the workspace is built on it".to_owned()
    } else {
        format!("built on it: {}{more}", below.join(", "))
    };
    format!("{} {bases}; {below}", node.name)
}

/// A name without its middle, if it is long.
fn short(name: &str) -> String {
    let length = name.chars().count();
    if length <= LONGEST {
        return name.to_owned();
    }
    let start: String = name.chars().take(12).collect();
    let end: String = name.chars().skip(length - (LONGEST - 13)).collect();
    format!("{start}…{end}")
}
