//! The graph as an SVG image, with a column for each depth. golden draws it itself, so that no
//! other tool is needed.

use std::fmt::Write as _;

use super::{color, word};
use crate::app::graph::{Graph, NodeKind, NodeState};

const ROW: usize = 44;
const BOX: usize = 30;
const GAP: usize = 60;
const MARGIN: usize = 20;
/// The size of a colour square in the legend, and the width of a legend entry.
const SWATCH: usize = 12;
const LEGEND: usize = 90;
/// The width of a character, in tenths of a pixel.
const CHARACTER: usize = 72;

/// The position and the width of a node.
#[derive(Debug, Clone, Copy)]
struct NodePosition {
    x: usize,
    y: usize,
    width: usize,
}

/// Draws the graph from left to right.
#[must_use]
pub fn svg(graph: &Graph) -> String {
    let (places, width, height) = layout(graph);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"monospace\" font-size=\"12\">\n"
    );
    for edge in &graph.edges {
        let (from, to) = (places[edge.from], places[edge.to]);
        let (x1, y1, x2, y2) = (from.x + from.width, from.y + BOX / 2, to.x, to.y + BOX / 2);
        let middle = usize::midpoint(x1, x2);
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "  <path d=\"M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}\" fill=\"none\" stroke=\"#868e96\"/>"
        );
    }
    for (node, place) in graph.nodes.iter().zip(&places) {
        let NodePosition { x, y, width } = *place;
        let round = match node.kind {
            NodeKind::Image => 4,
            NodeKind::Base => BOX / 2,
        };
        let (fill, name) = (color(node.state), escaped(&node.name));
        let (center, line) = (x + width / 2, y + BOX / 2 + 4);
        let _ = writeln!(
            text,
            "  <rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{BOX}\" rx=\"{round}\" fill=\"{fill}\" stroke=\"#495057\"/>\n  <text x=\"{center}\" y=\"{line}\" text-anchor=\"middle\" fill=\"#212529\">{name}</text>"
        );
    }
    legend(&mut text, height);
    text.push_str("</svg>\n");
    text
}

/// Writes the legend of the colours below the graph.
fn legend(text: &mut String, height: usize) {
    let y = height - MARGIN - SWATCH;
    for (n, state) in [NodeState::Current, NodeState::Stale, NodeState::Unknown]
        .into_iter()
        .enumerate()
    {
        let (x, line) = (MARGIN + n * LEGEND, y + SWATCH - 2);
        let _ = writeln!(
            text,
            "  <rect x=\"{x}\" y=\"{y}\" width=\"{SWATCH}\" height=\"{SWATCH}\" fill=\"{}\" stroke=\"#495057\"/>\n  <text x=\"{}\" y=\"{line}\" fill=\"#868e96\">{}</text>",
            color(state),
            x + SWATCH + 6,
            word(state)
        );
    }
}

/// Places the nodes in a column for each depth. In a column, images with the same base are next to
/// each other, in the order of their bases, so that few lines cross.
fn layout(graph: &Graph) -> (Vec<NodePosition>, usize, usize) {
    let mut depths = vec![0_usize; graph.nodes.len()];
    let mut bases: Vec<Option<usize>> = vec![None; graph.nodes.len()];
    for edge in &graph.edges {
        depths[edge.to] = depths[edge.from] + 1;
        bases[edge.to] = Some(edge.from);
    }
    let columns = depths.iter().max().map_or(0, |deepest| deepest + 1);
    let width = |n: usize| graph.nodes[n].name.chars().count() * CHARACTER / 10 + 24;
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            (0..depths.len())
                .filter(|n| depths[*n] == column)
                .map(width)
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut rows = vec![0_usize; graph.nodes.len()];
    let (mut x, mut most) = (MARGIN, 0);
    let mut places = vec![
        NodePosition {
            x,
            y: MARGIN,
            width: 0
        };
        graph.nodes.len()
    ];
    for (column, width) in widths.iter().enumerate() {
        let mut nodes: Vec<usize> = (0..depths.len()).filter(|n| depths[*n] == column).collect();
        nodes.sort_by_key(|n| bases[*n].map(|base| rows[base]));
        most = most.max(nodes.len());
        for (row, node) in nodes.into_iter().enumerate() {
            rows[node] = row;
            places[node] = NodePosition {
                x,
                y: MARGIN + row * ROW,
                width: *width,
            };
        }
        x += width + GAP;
    }
    let all = widths.iter().sum::<usize>() + GAP * columns.saturating_sub(1);
    let width = all.max(3 * LEGEND) + 2 * MARGIN;
    (places, width, most * ROW + SWATCH + 2 * MARGIN)
}

fn escaped(name: &str) -> String {
    name.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
