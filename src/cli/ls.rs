//! `golden ls`: list the repositories of a registry, or the tags of a repository.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::{destinations, names};
use crate::app::names::WorkspaceNames;
use crate::app::registries;
use crate::image::{Described, Inventory, describe};
use crate::observe::Absent;
use crate::oci::artifact::ArtifactKind;
use crate::reference::{Digest, Host, Reference, Repository, RepositoryPath, Tag};
use crate::registry::{Registry, Repo};
use crate::report::OutputFormat;
use crate::report::table::TextTable;
use crate::report::text::bytes;

/// List the repositories of a registry, or the tags of a repository.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Registry host, repository or workspace image to list [default: the default registry].
    #[arg(value_name = "HOST[/REPO]|IMAGE")]
    pub place: Option<String>,
}

/// The JSON output for a registry.
#[derive(Serialize)]
struct Repositories {
    registry: Host,
    repositories: Vec<RepositoryPath>,
}

/// The JSON output for a repository.
#[derive(Serialize)]
struct Tags {
    repository: Repository,
    tags: Vec<ListRow>,
}

/// One tag.
#[derive(Serialize)]
struct ListRow {
    tag: Tag,
    kind: Option<ArtifactKind>,
    digest: Digest,
    /// For a tag that a tool derived from a digest: that digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Digest>,
    size: Option<u64>,
    created: Option<String>,
    version: Option<String>,
}

/// The registry or repository to list.
enum ListScope {
    Registry(Host),
    Repository(Repository),
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let destinations = destinations(context).await?;
    let arguments = args.place.as_slice();
    let names = names(context, &destinations, lookups(arguments)).await?;
    let place = match &args.place {
        Some(text) => read_place(text, &names)?,
        None => match destinations.chosen.first() {
            Some(destination) => ListScope::Registry(destination.host.clone()),
            None => {
                return Err(Failure::usage("no registry is configured")
                    .hint("use `golden ls HOST[:PORT]`, or add a [[registry]] to golden.toml"));
            }
        },
    };
    let named = names.with_host(arguments);
    let registries = registries::open(&context.settings(), &destinations, &named)?;
    match place {
        ListScope::Registry(host) => show_registry(context, &registries.at(&host)).await,
        ListScope::Repository(repository) => {
            show_repository(context, &registries.repo(&repository)).await
        }
    }
}

/// The arguments that may be names of workspace images.
fn lookups(arguments: &[String]) -> &[String] {
    match arguments {
        [text] if is_host(text) => &[],
        other => other,
    }
}

/// True if a text is the host of a registry: it has no `/`, and it has a dot or a port, or is
/// `localhost`.
fn is_host(text: &str) -> bool {
    let text = text.trim_end_matches('/');
    let has_port = text
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let has_dot = text.contains('.') && !text.contains([':', '@']);
    !text.contains('/') && (has_port || has_dot || text == "localhost")
}

/// Reads a host, a repository, or the name of a workspace image.
fn read_place(text: &str, names: &WorkspaceNames) -> Result<ListScope, Failure> {
    let text = text.trim_end_matches('/');
    if is_host(text) {
        return text
            .parse()
            .map(ListScope::Registry)
            .map_err(Failure::usage);
    }
    match names.reference(text)? {
        Reference {
            repository,
            tag: None,
            digest: None,
        } => Ok(ListScope::Repository(repository)),
        _ => Err(
            Failure::usage(format!("`{text}` is an image, not a repository"))
                .hint(format!("golden inspect {text}")),
        ),
    }
}

async fn show_registry(context: &Context, registry: &Registry) -> Result<Exit, Failure> {
    let repositories = registry.catalog().await?;
    if context.format == OutputFormat::Json {
        context.out.json(&Repositories {
            registry: registry.host().clone(),
            repositories,
        });
    } else {
        for path in repositories {
            context.out.data(&format!("{}/{path}\n", registry.host()));
        }
    }
    Ok(Exit::Done)
}

async fn show_repository(context: &Context, repo: &Repo) -> Result<Exit, Failure> {
    let Some(list) = repo.find_tags().await? else {
        return Err(not_found(repo).await);
    };
    let tags = Inventory::heads(repo, list).await?;
    let digests: BTreeSet<Digest> = tags.values().map(|found| found.digest.clone()).collect();
    let described: BTreeMap<Digest, Described> = stream::iter(digests)
        .map(|digest| async move {
            match describe(repo, &digest).await {
                Ok(found) => Ok(found.map(|described| (digest, described))),
                // One damaged or very old image does not hide the others.
                Err(error) if error.is_about_content() => {
                    context.events.warn(None, error.to_string());
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        })
        .buffer_unordered(4)
        .try_filter_map(async |found| Ok(found))
        .try_collect()
        .await?;
    let rows = tags.into_iter().map(|(tag, found)| {
        let described = described.get(&found.digest);
        let of_tag = ArtifactKind::of_tag(&tag);
        ListRow {
            kind: match (&of_tag, described.map(|described| &described.kind)) {
                // cosign writes plain images under such tags. Any other kind is more precise than
                // the tag.
                (
                    Some((kind, _)),
                    None
                    | Some(ArtifactKind::Image | ArtifactKind::Index | ArtifactKind::Artifact(_)),
                ) => Some(kind.clone()),
                (_, kind) => kind.cloned(),
            },
            subject: of_tag.map(|(_, digest)| digest),
            tag,
            size: described.map(Described::size),
            created: described.and_then(Described::created).map(str::to_owned),
            version: described.and_then(Described::version).map(str::to_owned),
            digest: found.digest,
        }
    });
    let rows: Vec<ListRow> = rows.collect();
    if context.format == OutputFormat::Json {
        context.out.json(&Tags {
            repository: repo.name().clone(),
            tags: rows,
        });
        return Ok(Exit::Done);
    }
    if rows.is_empty() {
        context.out.message(&format!("{} has no tags", repo.name()));
        return Ok(Exit::Done);
    }
    context.out.data(&table(&rows).to_string());
    Ok(Exit::Done)
}

/// The table of the tags. The column KIND is shown only if an artifact is among them.
fn table(rows: &[ListRow]) -> TextTable {
    let is_image = |row: &ListRow| row.kind.as_ref().is_none_or(ArtifactKind::is_image);
    let only_images = rows.iter().all(is_image);
    let columns = |kind: String, others: [String; 5]| {
        let [tag, rest @ ..] = others;
        [tag]
            .into_iter()
            .chain((!only_images).then_some(kind))
            .chain(rest)
    };
    let headings = ["TAG", "DIGEST", "SIZE", "CREATED", "VERSION"].map(str::to_owned);
    let mut table = TextTable::new(columns("KIND".to_owned(), headings));
    for row in rows {
        let kind = row
            .kind
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let size = row.size.map(bytes).unwrap_or_default();
        let cells = [
            row.tag.to_string(),
            row.digest.short(),
            size,
            text(&row.created),
            text(&row.version),
        ];
        table.row(columns(kind, cells));
    }
    table
}

/// The error for a repository that does not exist. The hint lists similar repositories.
async fn not_found(repo: &Repo) -> Failure {
    let reference = repo.name().clone().into();
    Failure::absent(Absent::repository(repo.registry(), &reference).await)
}
