//! The start of most commands: finds and reads the workspace, shows findings, and selects images.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::changed;
use super::context::Context;
use super::destinations;
use super::error::Failure;
use super::exit::Exit;
use crate::config_files::places::Parsed;
use crate::diagnostic::{Class, Diagnostic, Diagnostics, SourceMap};
use crate::engine::Embedded;
use crate::policy::{self, SpecFacts};
use crate::process::Environment;
use crate::registry::Registries;
use crate::report::{self, OutputFormat};
use crate::resolve::draft::Draft;
use crate::resolve::image::Base;
use crate::resolve::{Destination, ResolvedImage, select};
use crate::workspace::load::{self, Loaded, Surroundings};
use crate::workspace::state::StateDirectory;
use crate::workspace::{Workspace, assets::Assets, git, lock::Lock};

/// The options of every command on images.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SessionOptions {
    /// Images to select, by name or glob [default: all].
    pub images: Vec<String>,
    /// Select only images that changed since this commit.
    #[arg(long, value_name = "SINCE", help_heading = "Selection options")]
    pub changed: Option<String>,
    /// Also select the images that are built on the selected ones.
    #[arg(long, help_heading = "Selection options")]
    pub with_dependants: bool,
    /// Trust this `[[engine]]` of golden.toml: send logins and secrets to it.
    #[arg(long, value_name = "NAME", help_heading = "Build options")]
    pub trust_engine: Vec<String>,
    /// Override a variable of the workspace.
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Selection options")]
    pub set: Vec<String>,
}

/// A valid workspace and the selected images.
#[derive(Debug)]
pub struct Session {
    /// golden.toml and golden.lock.
    pub workspace: Workspace,
    /// The state that golden keeps in `.golden`.
    pub state: StateDirectory,
    /// The selected images and the workspace images that they are built on, parents first.
    pub images: Vec<ResolvedImage>,
    /// For each of these images, the reference of its base as written in the spec.
    pub bases: Vec<Option<String>>,
    /// The positions of the selected images. The others are base images of these.
    pub selected: BTreeSet<usize>,
    /// The destinations by --registry, --all-registries, `GOLDEN_REGISTRY` or golden.toml; empty if
    /// there are none.
    pub destinations: Vec<Destination>,
    /// All `[[registry]]` tables of golden.toml.
    pub registries: Vec<Destination>,
    /// The templates of the workspace, by name. They take precedence over the built-in ones.
    pub templates: BTreeMap<String, String>,
    /// The texts of the spec files, for messages.
    pub sources: SourceMap,
}

/// A session and its findings, which are not shown yet.
#[derive(Debug)]
pub struct CheckedSession {
    /// The session; `None` if a spec is invalid.
    pub session: Option<Session>,
    /// The findings about specs and policy, sorted.
    pub found: Diagnostics,
    /// The texts of the files that the findings refer to.
    pub sources: SourceMap,
}

impl Session {
    /// Opens the workspace of `context` and shows the findings. Fails with exit 2 or 3 if a finding
    /// is an error.
    pub async fn open(context: &Context, options: &SessionOptions) -> Result<Self, Failure> {
        let checked = check(context, options).await?;
        show(context, &checked.found, &checked.sources)?;
        checked.session.ok_or(Failure::shown(Exit::Usage))
    }

    /// The embedded engine, with the caches of the workspace and of the user.
    pub(crate) fn embedded(&self, registries: Registries) -> Embedded {
        let engine = Embedded::new(registries, self.state.path("cache"));
        engine.with_indexes(self.state.user_cache().clone())
    }
}

/// Reads the workspace without its images, for commands that need only golden.toml. `None` if there
/// is no workspace. Fails if golden.toml is invalid.
pub async fn workspace(context: &Context) -> Result<Option<Workspace>, Failure> {
    let mut loaded = match load::spec(&surroundings(context, &[])?).await {
        Ok(loaded) => loaded,
        Err(crate::workspace::discover::Error::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    loaded
        .sources
        .set_prefix(prefix(&context.cwd, &loaded.root));
    show(context, &loaded.found, &loaded.sources)?;
    let lock = Lock::read(&loaded.root)?;
    Ok(Some(Workspace {
        root: loaded.root,
        spec: loaded.spec,
        lock,
    }))
}

/// The path from the current directory to the workspace, so that the user can open the paths in
/// messages.
fn prefix(from: &Path, root: &Path) -> PathBuf {
    match (root.strip_prefix(from), from.strip_prefix(root)) {
        (Ok(below), _) => below.to_owned(),
        (_, Ok(above)) => above.components().map(|_| "..").collect(),
        _ => root.to_owned(),
    }
}

/// Shows findings as text. Fails if a finding is an error.
pub fn show(context: &Context, found: &Diagnostics, sources: &SourceMap) -> Result<(), Failure> {
    if !found.is_empty() {
        report::diagnostics(&context.out, OutputFormat::Text, found, sources);
    }
    exit_of(found).map_or(Ok(()), |exit| Err(Failure::shown(exit)))
}

/// The exit code for findings; `None` if none is an error.
#[must_use]
pub fn exit_of(found: &Diagnostics) -> Option<Exit> {
    found.worst().map(|class| match class {
        Class::Spec => Exit::Usage,
        Class::Policy => Exit::Policy,
    })
}

/// The input of loading a workspace: directory, variables, time and environment. Fails if an
/// assignment of `--set` or `SOURCE_DATE_EPOCH` is invalid.
pub fn surroundings(context: &Context, set: &[String]) -> Result<Surroundings, Failure> {
    let mut variables = BTreeMap::new();
    for assignment in set {
        match assignment.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                variables.insert(name.to_owned(), value.to_owned());
            }
            _ => {
                return Err(Failure::usage(format!(
                    "--set takes NAME=VALUE, not `{assignment}`"
                )));
            }
        }
    }
    let seconds = epoch(context)?.unwrap_or(context.now);
    let now = time::OffsetDateTime::from_unix_timestamp(seconds)
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let now = now
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap_or_default();
    let named = context.globals.workspace.clone();
    let environment = context.environment();
    Ok(Surroundings {
        start: context.cwd.clone(),
        named,
        set: variables,
        now,
        environment,
    })
}

/// Fails if `--set` names a variable that `[vars]` does not define.
fn known_variables(loaded: &Loaded, set: &[String]) -> Result<(), Failure> {
    let names: Vec<&str> = loaded.spec.vars.keys().map(String::as_str).collect();
    let assigned = set
        .iter()
        .filter_map(|assignment| Some(assignment.split_once('=')?.0));
    let Some(unknown) = assigned.into_iter().find(|name| !names.contains(name)) else {
        return Ok(());
    };
    let hint = match crate::suggest::closest(unknown, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => format!(
            "add it to {}: [vars] {unknown} = \"…\"",
            loaded.file.display()
        ),
        None => format!(
            "[vars] of {} has: {}",
            loaded.file.display(),
            names.join(", ")
        ),
    };
    Err(Failure::usage(format!("unknown variable `{unknown}`")).hint(hint))
}

fn epoch(context: &Context) -> Result<Option<i64>, Failure> {
    let Some(text) = context.var("SOURCE_DATE_EPOCH") else {
        return Ok(None);
    };
    let seconds = text
        .parse::<i64>()
        .ok()
        .filter(|seconds| (0..=253_402_300_799).contains(seconds));
    let invalid = || {
        Failure::usage(format!(
            "SOURCE_DATE_EPOCH is `{text}`, not a number of seconds since 1970"
        ))
    };
    seconds.map(Some).ok_or_else(invalid)
}

/// Opens the workspace and returns the findings instead of showing them. Fails if there is no
/// workspace, or if the selection matches no image.
pub async fn check(context: &Context, options: &SessionOptions) -> Result<CheckedSession, Failure> {
    let mut loaded = load::load(&surroundings(context, &options.set)?).await?;
    loaded
        .sources
        .set_prefix(prefix(&context.cwd, &loaded.root));
    if !loaded.found.has_errors() {
        known_variables(&loaded, &options.set)?;
    }
    let templates = load::templates(&mut loaded);
    check_templates(&templates, &mut loaded);
    let mut found = std::mem::take(&mut loaded.found);
    let selection = match select(&loaded, options, &context.environment()).await {
        // An error in the files may be the reason why an image does not exist.
        Err(_) if found.has_errors() => None,
        Err(failure) => return Err(failure),
        Ok(selection) => Some(selection),
    };
    let mut assets = Assets::new(&loaded.root);
    let mut drafts: Vec<Draft> = Vec::new();
    let mut selected = BTreeSet::new();
    for (n, draft) in loaded.drafts.into_iter().enumerate() {
        if selection
            .as_ref()
            .is_some_and(|selection| selection.named.contains(&n))
        {
            selected.insert(drafts.len());
        }
        if selection
            .as_ref()
            .is_none_or(|selection| selection.all.contains(&n))
        {
            drafts.push(draft);
        }
    }
    for draft in &mut drafts {
        assets.fill(draft, &mut found);
    }
    if found.worst() == Some(Class::Spec) {
        return Ok(CheckedSession {
            session: None,
            found: found.sorted(),
            sources: loaded.sources,
        });
    }
    trace(context, &loaded.root, &mut drafts).await?;
    let state = StateDirectory::of(&loaded.root).with_user_cache(context.user_cache());
    let images: Vec<ResolvedImage> = drafts.iter().map(|draft| draft.image.clone()).collect();
    let bases = drafts
        .iter()
        .map(|draft| draft.base_written.clone())
        .collect();
    let lock = Lock::read(&loaded.root)?;
    let destinations = destinations::chosen(context, &loaded.root, &loaded.spec)?;
    let registries = destinations::registries(&loaded.root, &loaded.spec);
    impossible(&drafts, &[&registries, &destinations], &mut found);
    shadowed(&drafts, &destinations, &mut found);
    let is_locked = |base: &Base| lock.get(base).is_some();
    let places = Parsed(&loaded.sources);
    let facts = SpecFacts {
        places: &places,
        now: context.now,
        is_locked: &is_locked,
    };
    found.extend(policy::check_specs(&loaded.spec.policy, &images, &facts));
    let workspace = Workspace {
        root: loaded.root,
        spec: loaded.spec,
        lock,
    };
    let session = Session {
        workspace,
        state,
        images,
        bases,
        selected,
        destinations,
        registries,
        templates,
        sources: loaded.sources.clone(),
    };
    Ok(CheckedSession {
        session: Some(session),
        found: found.sorted(),
        sources: loaded.sources,
    })
}

/// Reports templates that neither the workspace nor golden has.
fn check_templates(templates: &BTreeMap<String, String>, loaded: &mut Loaded) {
    let builtin = ["debian", "alpine", "rhel", "static"];
    for draft in &loaded.drafts {
        let Some(name) = draft.template.as_deref() else {
            continue;
        };
        let known: BTreeSet<&str> = templates
            .keys()
            .map(String::as_str)
            .chain(builtin)
            .collect();
        if known.contains(name) {
            continue;
        }
        let at = crate::diagnostic::Places::value(
            &Parsed(&loaded.sources),
            &draft.image.source,
            &["image", "template"],
        );
        let diagnostic = Diagnostic::error(
            "spec.template-name",
            format!("there is no template `{name}`"),
        )
        .at(
            &draft.image.source,
            at.unwrap_or_else(|| draft.location.span.clone()),
            "",
        );
        loaded
            .found
            .push(match crate::suggest::closest(name, known.iter().copied()) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic.help(format!(
                    "the templates are {}",
                    known.into_iter().collect::<Vec<_>>().join(", ")
                )),
            });
    }
}

/// Reports images whose name gives no valid repository in a registry.
fn impossible(drafts: &[Draft], destinations: &[&[Destination]], found: &mut Diagnostics) {
    for draft in drafts {
        let name = &draft.image.name;
        let mut all = destinations.iter().flat_map(|some| some.iter());
        let refused = all.find_map(|to| Some((to, to.repository(name).err()?)));
        let Some((destination, error)) = refused else {
            continue;
        };
        let message = format!(
            "the image has no repository in {}: {error}",
            destination.host
        );
        let diagnostic = Diagnostic::error("tags.repository", message);
        found.push(
            diagnostic
                .at(&draft.location.file, draft.location.span.clone(), "")
                .help("shorten the name, or the namespace of the registry"),
        );
    }
}

/// Reports images with a tag that is also the reference of a base: the next build would use that
/// image as its own base.
fn shadowed(drafts: &[Draft], destinations: &[Destination], found: &mut Diagnostics) {
    let mut bases: BTreeMap<String, &Draft> = BTreeMap::new();
    for draft in drafts {
        if let Base::Reference(reference) = &draft.image.base
            && reference.digest.is_none()
        {
            let tag = reference.tag.as_ref().map_or("latest", |tag| tag.as_str());
            bases.insert(format!("{}:{tag}", reference.repository), draft);
        }
    }
    for draft in drafts {
        let image = &draft.image;
        let Ok(fan_out) = crate::tags::fan_out(&image.version, image.variant.as_ref(), &image.tags)
        else {
            continue;
        };
        let mut repositories: Vec<String> = destinations
            .iter()
            .filter_map(|d| d.repository(&image.name).ok())
            .map(|r| r.to_string())
            .collect();
        if repositories.is_empty() {
            repositories.push(format!("localhost/{}", image.name));
        }
        for repository in repositories {
            for planned in &fan_out.tags {
                let name = format!("{repository}:{}", planned.tag);
                let Some(child) = bases.get(&name) else {
                    continue;
                };
                let message = format!(
                    "`{name}` is both the base of an image and a tag of `{}`",
                    image.name
                );
                let diagnostic = Diagnostic::error("tags.base", message)
                    .at(
                        &child.base_location.file,
                        child.base_location.span.clone(),
                        "the base",
                    )
                    .at(
                        &draft.location.file,
                        draft.location.span.clone(),
                        "the image that gets this tag",
                    );
                found.push(
                    diagnostic.help(format!("write base = {{ image = \"{}\" }}", image.name)),
                );
            }
        }
    }
}

/// The positions of the selected drafts.
struct Selection {
    /// The selected images.
    named: BTreeSet<usize>,
    /// The selected images and their base images.
    all: BTreeSet<usize>,
}

async fn select(
    loaded: &Loaded,
    options: &SessionOptions,
    environment: &Environment,
) -> Result<Selection, Failure> {
    let images: Vec<ResolvedImage> = loaded
        .drafts
        .iter()
        .map(|draft| draft.image.clone())
        .collect();
    let parents = select::parents(&images);
    let mut selected = select::named(&images, &options.images)?;
    if let Some(since) = &options.changed {
        let touched = changed::since(loaded, since, environment).await?;
        selected.retain(|n| touched.contains(n));
    }
    if options.with_dependants {
        select::add_dependants(&mut selected, &parents);
    }
    let mut all = selected.clone();
    select::add_ancestors(&mut all, &parents);
    Ok(Selection {
        named: selected,
        all,
    })
}

/// The warning that provenance is missing because git refuses to read the checkout.
fn unreadable_checkout(has_time: bool, words: &str) -> String {
    let missing = if has_time {
        "the labels `revision` and `source` are omitted"
    } else {
        "the labels `revision` and `source` are omitted and times are 1970-01-01"
    };
    format!("git does not read this checkout, so {missing}: {words}")
}

/// Fails if `.golden` contains a symbolic link or is tracked by git. Through a link, golden would
/// write to another place; and the author of a commit could choose the state that golden trusts.
fn untampered(root: &Path, is_tracked: bool) -> Result<(), Failure> {
    crate::workspace::fs::sweep(root);
    crate::workspace::fs::sweep(&std::env::temp_dir());
    if let Some(link) = StateDirectory::of(root).link() {
        let link = link
            .strip_prefix(root)
            .unwrap_or(&link)
            .display()
            .to_string();
        return Err(Failure::usage(format!(
            "`{link}` is a symbolic link; golden never creates links there"
        ))
        .hint(format!("remove it: rm {link}")));
    }
    if is_tracked {
        let message = "git tracks `.golden`; golden does not use state from a commit";
        return Err(Failure::usage(message).hint("git rm -r --cached .golden"));
    }
    Ok(())
}

/// Sets the provenance of the images.
async fn trace(context: &Context, root: &Path, drafts: &mut [Draft]) -> Result<(), Failure> {
    let epoch = epoch(context)?;
    let paths: Vec<Vec<PathBuf>> = drafts.iter().map(changed::inputs).collect();
    let environment = context.environment();
    let history = git::history(root, &paths, &environment).await;
    if let Some(problem) = &history.problem {
        context.events.warn(
            None,
            format!("times and revisions of images may be wrong: {problem}"),
        );
    }
    if history.head.is_none()
        && let Some(words) = git::refusal(root, &environment).await
    {
        context
            .events
            .warn(None, unreadable_checkout(epoch.is_some(), &words));
    }
    untampered(root, history.tracks_state)?;
    if history.shallow && epoch.is_none() {
        context.events.warn(
            None,
            "the clone is shallow: times and revisions of images may be those of its oldest commit",
        );
    }
    for (n, draft) in drafts.iter_mut().enumerate() {
        let touched = history.touched.get(n).cloned().unwrap_or_default();
        draft.image.provenance = git::provenance(&history, &touched, epoch);
    }
    Ok(())
}
