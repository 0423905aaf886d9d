//! A graph as a tree of text.

use super::word;
use crate::app::graph::{Graph, NodeState};
use crate::report::branches::branches;
use crate::report::text::one_line;

/// The graph as text: each image is below the one that it is built on. A node that is not current is
/// marked with its state.
#[must_use]
pub fn tree(graph: &Graph) -> String {
    let mut text = String::new();
    let is_root = |node: &usize| graph.edges.iter().all(|edge| edge.to != *node);
    for root in (0..graph.nodes.len()).filter(is_root) {
        let mut below = Vec::new();
        collect(graph, root, 0, &mut below);
        let depths: Vec<usize> = below.iter().map(|(depth, _)| *depth).collect();
        text.push_str(&line(graph, "", root));
        for ((_, node), branch) in below.iter().zip(branches(&depths)) {
            text.push_str(&line(graph, &branch, *node));
        }
    }
    text
}

/// Adds the nodes below a node with their depths.
fn collect(graph: &Graph, node: usize, depth: usize, below: &mut Vec<(usize, usize)>) {
    for edge in graph.edges.iter().filter(|edge| edge.from == node) {
        below.push((depth, edge.to));
        collect(graph, edge.to, depth + 1, below);
    }
}

fn line(graph: &Graph, branch: &str, node: usize) -> String {
    let node = &graph.nodes[node];
    let state = match node.state {
        NodeState::Current => String::new(),
        state @ (NodeState::Stale | NodeState::Unknown) => format!("  ({})", word(state)),
    };
    format!("{branch}{}{state}\n", one_line(&node.name))
}
