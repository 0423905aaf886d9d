//! The graph as a Mermaid diagram, which GitHub and GitLab draw in Markdown.

use std::fmt::Write as _;

use super::{color, word};
use crate::app::graph::{Graph, NodeKind, NodeState};

/// Draws a flowchart from left to right.
#[must_use]
pub fn mermaid(graph: &Graph) -> String {
    let mut text = String::from("flowchart LR\n");
    for (n, node) in graph.nodes.iter().enumerate() {
        let name = escaped(&node.name);
        let class = word(node.state);
        // Writing into a String cannot fail.
        let _ = match node.kind {
            NodeKind::Image => writeln!(text, "  n{n}[\"{name}\"]:::{class}"),
            NodeKind::Base => writeln!(text, "  n{n}([\"{name}\"]):::{class}"),
        };
    }
    for edge in &graph.edges {
        let _ = writeln!(text, "  n{} --> n{}", edge.from, edge.to);
    }
    for state in [NodeState::Current, NodeState::Stale, NodeState::Unknown] {
        let _ = writeln!(
            text,
            "  classDef {} fill:{},stroke:#495057,color:#212529",
            word(state),
            color(state)
        );
    }
    text
}

/// Escapes special characters as Mermaid entities: `#`, a number, and `;`.
fn escaped(name: &str) -> String {
    name.chars()
        .map(|c| {
            if matches!(c, '"' | '<' | '>' | '&' | '#') {
                format!("#{};", u32::from(c))
            } else {
                c.to_string()
            }
        })
        .collect()
}
