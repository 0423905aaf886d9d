//! The output of a graph of images in several formats.

mod dot;
mod mermaid;
mod svg;
mod tree;

pub use dot::dot;
pub use mermaid::mermaid;
pub use svg::svg;
pub use tree::tree;

use crate::app::graph::NodeState;

/// The fill colour of a node, as `#rrggbb`.
const fn color(state: NodeState) -> &'static str {
    match state {
        NodeState::Current => "#d3f9d8",
        NodeState::Stale => "#ffe3e3",
        NodeState::Unknown => "#f1f3f5",
    }
}

/// The name of a state in diagrams.
const fn word(state: NodeState) -> &'static str {
    match state {
        NodeState::Current => "current",
        NodeState::Stale => "stale",
        NodeState::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::graph::{Edge, Graph, GraphNode, NodeKind};

    fn graph() -> Graph {
        let node = |name: &str, kind, state| GraphNode {
            name: name.to_owned(),
            kind,
            state,
        };
        Graph {
            nodes: vec![
                node(
                    "docker.io/library/debian ^12",
                    NodeKind::Base,
                    NodeState::Stale,
                ),
                node("debian:1.0.0", NodeKind::Image, NodeState::Stale),
                node("a<\"&>:1.0.0-slim", NodeKind::Image, NodeState::Stale),
                node("static:1.0.0", NodeKind::Image, NodeState::Current),
            ],
            edges: vec![Edge { from: 0, to: 1 }, Edge { from: 1, to: 2 }],
        }
    }

    #[test]
    fn a_graph_is_drawn_in_every_format() {
        insta::assert_snapshot!("mermaid", mermaid(&graph()));
        insta::assert_snapshot!("dot", dot(&graph()));
        insta::assert_snapshot!("svg", svg(&graph()));
        insta::assert_snapshot!("tree", tree(&graph()));
    }
}
