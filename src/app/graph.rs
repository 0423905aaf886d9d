//! The images of a workspace, each with the image that it is built on.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Session;
use super::bases::{self, LockedBaseChange, UnavailableBase};
use crate::resolve::image::Base;
use crate::resolve::select;
use crate::workspace::lock::key;

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

/// An edge from a base to an image that is built on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// The index of the base in `nodes`.
    pub from: usize,
    /// The index of the image in `nodes`.
    pub to: usize,
}

/// The locked bases, each with `true` if it has moved. Bases that are not locked are not checked.
/// If a registry does not answer, its bases stay unknown and the graph is still shown.
async fn moved(session: &Session) -> BTreeMap<String, bool> {
    let external = bases::external(session);
    let locked: Vec<String> = external
        .keys()
        .filter(|key| session.workspace.lock.bases.contains_key(*key))
        .cloned()
        .collect();
    let mut moved = BTreeMap::new();
    if locked.is_empty() {
        return moved;
    }
    match bases::compare(session, &locked).await {
        Ok((compared, lost)) => {
            moved.extend(
                compared
                    .into_iter()
                    .map(|base| (base.base, base.change != LockedBaseChange::Unchanged)),
            );
            for UnavailableBase { base, error, .. } in lost {
                let warning = format!("cannot determine whether {base} moved: {error}");
                session.settings.events.warn(None, warning);
            }
        }
        Err(error) => {
            let warning = format!("cannot determine which bases moved: {error}");
            session.settings.events.warn(None, warning);
        }
    }
    moved
}

/// The images of a session with their bases. A base that cannot be compared with its registry is
/// reported as a warning.
pub async fn graph(session: &Session) -> Graph {
    of(session, &moved(session).await)
}

/// The images of a session with their bases. `moved` are the bases whose state is known, each with
/// `true` if it has moved.
pub(super) fn of(session: &Session, moved: &BTreeMap<String, bool>) -> Graph {
    let mut graph = Graph::default();
    let bases = add_bases(&mut graph, session, moved);
    add_images(&mut graph, session, &bases);
    graph
}

/// Adds the external bases. Returns the index of each one.
fn add_bases(
    graph: &mut Graph,
    session: &Session,
    moved: &BTreeMap<String, bool>,
) -> BTreeMap<String, usize> {
    let mut bases = BTreeMap::new();
    let names: BTreeSet<String> = session
        .resolved()
        .filter_map(|image| base_name(&image.base))
        .collect();
    for name in names {
        let state = match (name.contains('@'), moved.get(&name)) {
            (true, _) | (_, Some(false)) => NodeState::Current,
            (_, Some(true)) => NodeState::Stale,
            (_, None) => NodeState::Unknown,
        };
        bases.insert(name.clone(), graph.nodes.len());
        graph.nodes.push(GraphNode {
            name,
            kind: NodeKind::Base,
            state,
        });
    }
    bases
}

/// Adds the images, and the edges to them.
fn add_images(graph: &mut Graph, session: &Session, bases: &BTreeMap<String, usize>) {
    let first = graph.nodes.len();
    let parents = select::parents(session.resolved());
    for (n, image) in session.resolved().enumerate() {
        let base = parents[n]
            .map(|parent| first + parent)
            .or_else(|| bases.get(&base_name(&image.base)?).copied());
        let state = base.map_or(NodeState::Current, |base| graph.nodes[base].state);
        if let Some(from) = base {
            graph.edges.push(Edge {
                from,
                to: first + n,
            });
        }
        graph.nodes.push(GraphNode {
            name: image.display(),
            kind: NodeKind::Image,
            state,
        });
    }
}

/// The name of an external base. A base with a digest cannot move.
fn base_name(base: &Base) -> Option<String> {
    match base {
        Base::Reference(reference) => Some(reference.to_string()),
        Base::Layout(layout) => Some(layout.written.clone()),
        other => key(other),
    }
}
