//! The relatives of an image: the images that it is built on, and those that are built on it.

use std::collections::BTreeSet;

use super::data::{ImageKey, SiteImage, SiteLineage};
use crate::app::graph::{Edge, Graph, NodeKind, NodeState};

/// The largest number of images that are shown as built on an image.
const MOST_DEPENDANTS: usize = 12;

/// The part of a graph around the image at `own`. `pages` are the images of the graph that have a
/// page.
pub(super) fn around(graph: &Graph, own: usize, pages: &[Option<ImageKey>]) -> SiteLineage {
    let base_of = |at: usize| {
        let mut edges = graph.edges.iter();
        edges.find(|edge| edge.to == at).map(|edge| edge.from)
    };
    let mut chain = vec![own];
    while let Some(base) = chain.last().and_then(|at| base_of(*at)) {
        chain.push(base);
    }
    chain.reverse();
    let built = graph.edges.iter().filter(|edge| edge.from == own);
    let dependants: Vec<usize> = built.map(|edge| edge.to).collect();
    let own = chain.len() - 1;
    let shown = dependants.iter().copied().take(MOST_DEPENDANTS);
    let ancestors = (1..chain.len()).map(|to| Edge { from: to - 1, to });
    let below = (0..dependants.len().min(MOST_DEPENDANTS)).map(|n| Edge {
        from: own,
        to: own + 1 + n,
    });
    let edges = ancestors.chain(below).collect();
    let nodes: Vec<usize> = chain.iter().copied().chain(shown).collect();
    let page = |at: &usize| pages.get(*at)?.as_ref().map(ImageKey::page);
    SiteLineage {
        pages: nodes.iter().map(page).collect(),
        hidden: dependants.len().saturating_sub(MOST_DEPENDANTS),
        graph: Graph {
            nodes: nodes.iter().map(|at| graph.nodes[*at].clone()).collect(),
            edges,
        },
        own,
    }
}

/// Marks the images whose newest version is built on a stale base, and the stale bases. The graph of
/// the workspace knows only the bases that moved since they were locked.
pub(super) fn mark_stale(images: &mut [SiteImage]) {
    let stale = images.iter().filter(|one| one.base.freshness.is_stale());
    let stale: BTreeSet<String> = stale.map(|one| one.key.page()).collect();
    for image in images {
        let SiteLineage {
            graph, own, pages, ..
        } = &mut image.lineage;
        for (node, page) in graph.nodes.iter_mut().zip(pages) {
            if page.as_ref().is_some_and(|page| stale.contains(page)) {
                node.state = NodeState::Stale;
            }
        }
        let below = own.checked_sub(1).map(|below| &mut graph.nodes[below]);
        if let Some(base) = below
            && base.kind == NodeKind::Base
            && image.base.freshness.is_stale()
        {
            base.state = NodeState::Stale;
        }
    }
}
