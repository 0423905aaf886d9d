//! The graph as a Graphviz diagram.

use std::fmt::Write as _;

use super::color;
use crate::app::graph::{Graph, NodeKind};

/// Draws a directed graph from left to right.
#[must_use]
pub fn dot(graph: &Graph) -> String {
    let mut text = String::from(
        "digraph golden {\n  rankdir=LR;\n  node [style=\"filled,rounded\", shape=box];\n",
    );
    for (n, node) in graph.nodes.iter().enumerate() {
        let name = node.name.replace('\\', "\\\\").replace('"', "\\\"");
        let shape = match node.kind {
            NodeKind::Image => "box",
            NodeKind::Base => "ellipse",
        };
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "  n{n} [label=\"{name}\", shape={shape}, fillcolor=\"{}\"];",
            color(node.state)
        );
    }
    for edge in &graph.edges {
        let _ = writeln!(text, "  n{} -> n{};", edge.from, edge.to);
    }
    text.push_str("}\n");
    text
}
