//! The graph of images, drawn in several languages from one value.

mod dot;
mod mermaid;
mod svg;

use serde::Serialize;

pub use dot::dot;
pub use mermaid::mermaid;
pub use svg::svg;

/// Images and what they are built on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Graph {
    /// Images and external bases; what something is built on comes before it.
    pub nodes: Vec<GraphNode>,
    /// From what is built on to what is built.
    pub edges: Vec<Edge>,
}

/// An image or an external base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GraphNode {
    /// What people call it.
    pub name: String,
    /// What it is.
    pub kind: NodeKind,
    /// Whether it is as new as it could be.
    pub state: NodeState,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// An image of this workspace.
    Image,
    /// An image of a registry.
    Base,
}

/// Whether a node is as new as it could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// Everything below it is as the registry has it.
    Current,
    /// Its base, or one below that, moved since golden.lock.
    Stale,
    /// Nobody can tell: a base is not locked, or its registry did not answer.
    Unknown,
}

impl NodeState {
    /// The colour that stands for it, as `#rrggbb`.
    #[must_use]
    pub const fn color(self) -> &'static str {
        match self {
            Self::Current => "#d3f9d8",
            Self::Stale => "#ffe3e3",
            Self::Unknown => "#f1f3f5",
        }
    }

    /// The word that stands for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Stale => "stale",
            Self::Unknown => "unknown",
        }
    }
}

/// From what is built on to what is built, by their numbers among the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// What is built on.
    pub from: usize,
    /// What is built.
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
    fn one_value_in_every_language() {
        insta::assert_snapshot!("mermaid", mermaid(&graph()));
        insta::assert_snapshot!("dot", dot(&graph()));
        insta::assert_snapshot!("svg", svg(&graph()));
    }
}
