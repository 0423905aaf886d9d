//! `golden graph`: show which image is built on which.

use std::collections::{BTreeMap, BTreeSet};

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::session::show;
use crate::app::Session;
use crate::app::bases::{self, Change, UnavailableBase};
use crate::app::session::check;
use crate::report::OutputFormat;
use crate::report::graph::{Edge, Graph, GraphNode, NodeKind, NodeState, dot, mermaid, svg};
use crate::resolve::select;
use crate::workspace::lock::key;

/// Show which image is built on which.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The images to show; their base images are shown as well.
    #[command(flatten)]
    pub selection: SelectionArgs,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let checked = check(args.selection.settings(context)?).await?;
    let Some(session) = checked.session else {
        show(context, &checked.found, &checked.sources)?;
        return Ok(Exit::Usage);
    };
    let moved = moved(context, &session).await;
    let graph = graph(&session, &moved);
    match context.format {
        OutputFormat::Json => context.out.json(&graph),
        OutputFormat::Dot => context.out.data(&dot(&graph)),
        OutputFormat::Svg => context.out.data(&svg(&graph)),
        _ => context.out.data(&mermaid(&graph)),
    }
    Ok(Exit::Done)
}

/// Returns whether each locked base has moved. Bases that are not locked are not checked. If a
/// registry does not answer, its bases stay unknown and the graph is still shown.
async fn moved(context: &Context, session: &Session) -> BTreeMap<String, bool> {
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
                    .map(|base| (base.base, base.change != Change::Unchanged)),
            );
            for UnavailableBase { base, error, .. } in lost {
                context
                    .events
                    .warn(None, format!("cannot tell whether {base} moved: {error}"));
            }
        }
        Err(error) => {
            context
                .events
                .warn(None, format!("cannot tell which bases moved: {error}"));
        }
    }
    moved
}

fn graph(session: &Session, moved: &BTreeMap<String, bool>) -> Graph {
    let mut graph = Graph::default();
    let mut bases: BTreeMap<String, usize> = BTreeMap::new();
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
    graph
}

/// The name of an external base. A base with a digest cannot move.
fn base_name(base: &crate::resolve::image::Base) -> Option<String> {
    use crate::resolve::image::Base;
    match base {
        Base::Reference(reference) => Some(reference.to_string()),
        Base::Layout(layout) => Some(layout.written.clone()),
        other => key(other),
    }
}
