//! The graph of images, and its output in several formats.

mod dot;
mod mermaid;
mod svg;

use serde::Serialize;

pub use dot::dot;
pub use mermaid::mermaid;
pub use svg::svg;

/// Images and their bases.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Graph {
    /// Images and external bases. A base comes before the images that are built on it.
    pub nodes: Vec<GraphNode>,
    /// The edges from bases to the images that are built on them.
    pub edges: Vec<Edge>,
}

/// An image or an external base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GraphNode {
    /// The display name, such as `app:1.2.3`.
    pub name: String,
    /// Decides the shape.
    pub kind: NodeKind,
    /// Decides the colour.
    pub state: NodeState,
}

/// The kind of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// An image of this workspace.
    Image,
    /// An external base in a registry.
    Base,
}

/// The state of a node compared with the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// All of its bases are unchanged in the registry.
    Current,
    /// One of its bases moved since golden.lock was written.
    Stale,
    /// Unknown, because a base is not locked or its registry did not answer.
    Unknown,
}

impl NodeState {
    /// The fill colour, as `#rrggbb`.
    #[must_use]
    pub const fn color(self) -> &'static str {
        match self {
            Self::Current => "#d3f9d8",
            Self::Stale => "#ffe3e3",
            Self::Unknown => "#f1f3f5",
        }
    }

    /// The name of the state in diagrams.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Stale => "stale",
            Self::Unknown => "unknown",
        }
    }
}

/// An edge from a base to an image that is built on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// The index of the base in `nodes`.
    pub from: usize,
    /// The index of the image in `nodes`.
    pub to: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
