//! `golden ls`: list the repositories of a registry, or the tags of a repository.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use super::context::Context;
use super::destinations::destinations;
use super::error::Failure;
use super::exit::Exit;
use super::registries;
use crate::reference::{Digest, Host, Reference, Repository, RepositoryPath, Tag, Target};
use crate::registry::{Described, Inventory, Registry};
use crate::report::Format;
use crate::report::table::Table;
use crate::report::text::bytes;

/// List the repositories of a registry, or the tags of a repository.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A host, or a repository; the default registry without.
    #[arg(value_name = "HOST[/REPO]")]
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
    tags: Vec<Row>,
}

/// One tag.
#[derive(Serialize)]
struct Row {
    tag: Tag,
    digest: Digest,
    size: Option<u64>,
    created: Option<String>,
    version: Option<String>,
}

/// What is listed.
enum Place {
    Registry(Host),
    Repository(Repository),
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let destinations = destinations(context).await?;
    let place = match &args.place {
        Some(text) => read_place(text)?,
        None => match destinations.chosen.first() {
            Some(destination) => Place::Registry(destination.host.clone()),
            None => {
                return Err(Failure::usage("no registry is named")
                    .hint("golden ls HOST[:PORT], or a workspace with a [[registry]]"));
            }
        },
    };
    let host = match &place {
        Place::Registry(host) => host,
        Place::Repository(repository) => &repository.host,
    };
    let registry = registries::open(context, &destinations, args.place.as_slice())?.at(host);
    match place {
        Place::Registry(host) => show_registry(context, host, &registry).await,
        Place::Repository(repository) => show_repository(context, repository, &registry).await,
    }
}

/// A host has no `/`; a name without one is a host when it looks like one.
fn read_place(text: &str) -> Result<Place, Failure> {
    let text = text.trim_end_matches('/');
    let is_host = !text.contains('/') && (text.contains(['.', ':']) || text == "localhost");
    if is_host {
        return text.parse().map(Place::Registry).map_err(Failure::usage);
    }
    match text.parse::<Reference>().map_err(Failure::usage)? {
        Reference { repository, tag: None, digest: None } => Ok(Place::Repository(repository)),
        _ => Err(Failure::usage(format!("`{text}` is an image, not a repository"))
            .hint(format!("golden inspect {text}"))),
    }
}

async fn show_registry(context: &Context, host: Host, registry: &Registry) -> Result<Exit, Failure> {
    let repositories = registry.catalog().await?;
    if context.format == Format::Json {
        context.out.json(&Repositories { registry: host, repositories });
    } else {
        for path in repositories {
            context.out.data(&format!("{path}\n"));
        }
    }
    Ok(Exit::Done)
}

async fn show_repository(
    context: &Context,
    repository: Repository,
    registry: &Registry,
) -> Result<Exit, Failure> {
    let tags = Inventory::tags(registry, &repository.path).await?;
    let digests: BTreeSet<Digest> = tags.values().map(|found| found.digest.clone()).collect();
    let path = &repository.path;
    let described: BTreeMap<Digest, Described> = stream::iter(digests)
        .map(|digest| async move {
            match registry.describe(path, &Target::from(&digest)).await {
                Ok(found) => Ok(found.map(|described| (digest, described))),
                // One damaged or ancient image does not hide the others.
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
        Row {
            tag,
            size: described.map(Described::size),
            created: described.and_then(Described::created).map(str::to_owned),
            version: described.and_then(Described::version).map(str::to_owned),
            digest: found.digest,
        }
    });
    let rows: Vec<Row> = rows.collect();
    if context.format == Format::Json {
        context.out.json(&Tags { repository, tags: rows });
        return Ok(Exit::Done);
    }
    if rows.is_empty() {
        context.out.message(&format!("{repository} has no tags"));
        return Ok(Exit::Done);
    }
    let mut table = Table::new(["TAG", "DIGEST", "SIZE", "CREATED", "VERSION"]);
    for row in rows {
        let size = row.size.map(bytes).unwrap_or_default();
        let text = |value: Option<String>| value.unwrap_or_default();
        table.row([row.tag.to_string(), row.digest.short(), size, text(row.created), text(row.version)]);
    }
    context.out.data(&table.to_string());
    Ok(Exit::Done)
}
