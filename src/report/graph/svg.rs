//! SVG, drawn here: a column for each depth, so that nothing else has to be installed.

use std::fmt::Write as _;

use super::{Graph, Kind};

const ROW: usize = 44;
const BOX: usize = 30;
const GAP: usize = 60;
const MARGIN: usize = 20;
/// The width of a character of the font, in tenths of a pixel.
const CHARACTER: usize = 72;

/// Where a node is drawn.
#[derive(Debug, Clone, Copy)]
struct Place {
    x: usize,
    y: usize,
    width: usize,
}

/// A drawing from left to right.
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
        let Place { x, y, width } = *place;
        let round = match node.kind {
            Kind::Image => 4,
            Kind::Base => BOX / 2,
        };
        let (color, name) = (node.state.color(), escaped(&node.name));
        let (center, line) = (x + width / 2, y + BOX / 2 + 4);
        let _ = writeln!(
            text,
            "  <rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{BOX}\" rx=\"{round}\" fill=\"{color}\" stroke=\"#495057\"/>\n  <text x=\"{center}\" y=\"{line}\" text-anchor=\"middle\" fill=\"#212529\">{name}</text>"
        );
    }
    text.push_str("</svg>\n");
    text
}

fn layout(graph: &Graph) -> (Vec<Place>, usize, usize) {
    let mut depths = vec![0_usize; graph.nodes.len()];
    for edge in &graph.edges {
        depths[edge.to] = depths[edge.from] + 1;
    }
    let columns = depths.iter().max().map_or(0, |deepest| deepest + 1);
    let width = |n: usize| graph.nodes[n].name.chars().count() * CHARACTER / 10 + 24;
    let widths: Vec<usize> = (0..columns)
        .map(|column| (0..depths.len()).filter(|n| depths[*n] == column).map(width).max().unwrap_or(0))
        .collect();
    let mut rows = vec![0_usize; columns];
    let mut places = Vec::new();
    for depth in &depths {
        let x = MARGIN + widths[..*depth].iter().map(|width| width + GAP).sum::<usize>();
        places.push(Place { x, y: MARGIN + rows[*depth] * ROW, width: widths[*depth] });
        rows[*depth] += 1;
    }
    let all = widths.iter().sum::<usize>() + GAP * columns.saturating_sub(1);
    (places, all + 2 * MARGIN, rows.iter().max().unwrap_or(&0) * ROW + 2 * MARGIN)
}

fn escaped(name: &str) -> String {
    name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
