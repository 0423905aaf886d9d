//! Builds a published image again from its provenance statement, and compares the result.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::build_facts::{self, GOLDEN};
use super::destinations::Destinations;
use super::diff::{self, ComparedImages};
use super::error::Error;
use super::located::{Finder, manifest_of};
use super::names::WorkspaceNames;
use super::pipeline::Goal;
use super::prepare::{Prepared, RunRequest, prepare};
use super::scope::CommandScope;
use super::session::{self, Session};
use super::settings::{Selection, Settings};
use super::signatures::statement_keys;
use super::work::{SessionImage, Work};
use crate::assemble::{Assembled, can_assemble};
use crate::config_files::policy::{LifecyclePolicy, Policy, RuleLevel};
use crate::config_files::workspace::SigningTable;
use crate::diagnostic::Severity;
use crate::engine::{BuildOptions, BuildOutput, EngineKind};
use crate::image::{self, children};
use crate::oci::RawManifest;
use crate::platform::Platform;
use crate::reference::{Digest, Reference, RepositoryPath};
use crate::registry::Repo;
use crate::resolve::ResolvedImage;
use crate::resolve::image::Base;
use crate::signing::{self, FoundStatement};
use crate::trust::provenance::{RecordedBuild, Resource};
use crate::trust::{PublicKey, statement};
use crate::workspace::discover::stays_inside;
use crate::workspace::git::Checkout;
use crate::workspace::lock::{LockedBase, key};

/// The name of the new build in messages.
const REBUILT: &str = "the new build";
/// The label with the commit of an image.
const REVISION: &str = "org.opencontainers.image.revision";

/// The image to build again.
#[derive(Debug, Clone, Copy)]
pub struct ReproduceRequest<'a> {
    /// The reference, or the name of a workspace image.
    pub image: &'a str,
    /// A file with the public key that must have signed the provenance statement.
    pub key: Option<&'a Path>,
}

/// The verification of a provenance statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProvenanceCheck {
    /// True if a trusted key signed the statement.
    pub verified: bool,
    /// The name of the `[[trust]]` table, or the location of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// The reason why the statement is not verified, as the end of a sentence about the statement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The result of building an image again.
#[derive(Debug, Serialize)]
pub struct Reproduction {
    /// The reference of the published image.
    pub reference: Reference,
    /// The digest of the published image.
    pub digest: Digest,
    /// The commit that it was built from.
    pub commit: String,
    /// The git repository of the commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The verification of the provenance statement.
    pub provenance: ProvenanceCheck,
    /// The result.
    #[serde(flatten)]
    pub outcome: ReproduceOutcome,
}

/// The comparison of a published image with its source.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum ReproduceOutcome {
    /// The new build has the same digest.
    Same,
    /// The new build has another digest.
    Different {
        /// The digest of the new build.
        rebuilt: Digest,
        /// The possible reasons, one sentence each.
        because: Vec<String>,
        /// The difference of the images.
        #[serde(serialize_with = "difference")]
        diff: Box<ComparedImages>,
    },
    /// An engine built the image, so only the inputs were compared. They are the same.
    SameInputs {
        /// The engine that built the image.
        engine: String,
    },
    /// The commit has other inputs than the image, and the image was not built.
    OtherInputs {
        /// The inputs digest of the commit.
        inputs: Digest,
        /// The differences, one sentence each.
        because: Vec<String>,
    },
}

fn difference<S: serde::Serializer>(diff: &ComparedImages, to: S) -> Result<S::Ok, S::Error> {
    diff.difference.serialize(to)
}

impl Reproduction {
    /// True if the image is what its provenance says, as far as that can be compared.
    #[must_use]
    pub const fn is_confirmed(&self) -> bool {
        matches!(
            self.outcome,
            ReproduceOutcome::Same | ReproduceOutcome::SameInputs { .. }
        )
    }
}

/// A published image, and the build that its provenance describes.
struct PublishedBuild {
    reference: Reference,
    repo: Repo,
    raw: RawManifest,
    recorded: RecordedBuild,
    provenance: ProvenanceCheck,
}

/// Builds an image again and compares it. Fails if it has no provenance statement of golden, if no
/// trusted key signed the statement although there is one for the image, or if its commit cannot be
/// checked out or built.
pub async fn reproduce(
    request: ReproduceRequest<'_>,
    scope: &CommandScope,
) -> Result<Reproduction, Error> {
    let CommandScope {
        settings,
        destinations,
        ..
    } = scope;
    let published = find(request, scope).await?;
    let PublishedBuild {
        reference,
        raw,
        recorded,
        provenance,
        ..
    } = &published;
    let missing = || Error::failed(format!("the provenance of {reference} names no commit"));
    let (commit, is_dirty) = recorded.commit().ok_or_else(missing)?;
    let source = recorded.external.spec.uri.as_deref();
    let url = source.map(|uri| uri.strip_prefix("git+").unwrap_or(uri));
    let environment = settings.environment();
    let local = local(settings);
    let checkout = Checkout::new(commit, url, &local, &environment).await?;
    let mut session = open(&published, checkout.path(), settings).await?;
    restrict(&mut session, destinations);
    // A shallow clone takes a later commit for the last one that changed the image.
    let config = image::first_config(&published.repo, raw).await?;
    let label = config.as_ref().and_then(|config| config.label(REVISION));
    if let Some(revision) = label
        && checkout.contains(revision, &environment).await
    {
        let mut images = session.images.iter_mut();
        let selected = images.find(|image| image.selected);
        if let Some(selected) = selected {
            selected.image.provenance.revision = Some(revision.to_owned());
        }
    }
    let image = selected(&session)?.image.clone();
    let prepared = prepared(session, &published, &image).await?;
    let work = work_of(&prepared, &image)?;
    let mut because = differences(&prepared, work, recorded)?;
    if is_dirty {
        because.insert(
            0,
            "the image was built from a checkout with changes that were not committed".to_owned(),
        );
    }
    let engine = recorded.internal.engine.as_deref();
    let is_embedded = engine.map_or_else(
        || can_assemble(&image).is_ok(),
        |engine| engine == EngineKind::Embedded.as_str(),
    );
    let outcome = match is_embedded {
        true => rebuilt(&published, &prepared, work, because, settings, destinations).await?,
        false if recorded.internal.inputs == work.recipe.inputs => ReproduceOutcome::SameInputs {
            engine: engine.unwrap_or("docker").to_owned(),
        },
        false => ReproduceOutcome::OtherInputs {
            inputs: work.recipe.inputs.clone(),
            because,
        },
    };
    Ok(Reproduction {
        reference: reference.clone(),
        digest: raw.digest.clone(),
        commit: commit.to_owned(),
        source: source.map(str::to_owned),
        provenance: provenance.clone(),
        outcome,
    })
}

/// The directory whose repository may have the commit: the workspace, or the current directory.
fn local(settings: &Settings) -> PathBuf {
    let directory = match &settings.workspace {
        Some(workspace) => settings.cwd.join(workspace),
        None => settings.cwd.clone(),
    };
    directory.canonicalize().unwrap_or(directory)
}

/// Reads the provenance statement of an image. Fails if golden attached none, or if no trusted key
/// signed it although there is one for the image.
async fn find(
    request: ReproduceRequest<'_>,
    scope: &CommandScope,
) -> Result<PublishedBuild, Error> {
    let (repo, reference) = scope.repo(request.image)?;
    let workspace = scope.workspace.as_ref();
    let trusted = statement_keys(&scope.settings, workspace, request.key, repo.name())?;
    let keys: Vec<PublicKey> = trusted.iter().map(|one| one.key.clone()).collect();
    let raw = manifest_of(&repo, &reference).await?;
    let found = signing::statements(&repo, &raw.digest, statement::PROVENANCE, &keys).await?;
    let (mut refused, mut unusable) = (None, None);
    for statement in &found {
        let provenance = match (&statement.verdict, trusted.is_empty()) {
            (Some(Ok(signer)), _) => ProvenanceCheck {
                verified: true,
                signed_by: trusted.get(*signer).map(|key| key.name.clone()),
                problem: None,
            },
            (verdict, true) => ProvenanceCheck {
                verified: false,
                signed_by: None,
                problem: Some(match verdict {
                    None => "is not signed".to_owned(),
                    Some(_) => format!(
                        "is not verified, because no [[trust]] table has a key for {}",
                        repo.name()
                    ),
                }),
            },
            (_, false) => {
                refused = refused.or(Some(statement));
                continue;
            }
        };
        match RecordedBuild::parse(&statement.text) {
            Ok(recorded) => {
                return Ok(PublishedBuild {
                    reference,
                    repo,
                    raw,
                    recorded,
                    provenance,
                });
            }
            Err(error) => unusable = Some(error),
        }
    }
    Err(match (unusable, refused) {
        (Some(error), _) => Error::failed(format!(
            "the provenance statement of {reference} cannot be used: {error}"
        )),
        (None, Some(statement)) => unverified(&reference, statement),
        (None, None) => Error::failed(format!("{reference} has no provenance statement"))
            .hint("add [provenance] to golden.toml, and run `golden build --push`"),
    })
}

/// The error for a statement that no trusted key signed.
fn unverified(reference: &Reference, statement: &FoundStatement) -> Error {
    let because = match &statement.verdict {
        Some(Err(refusal)) => format!("its signature {refusal}"),
        _ => "it is not signed".to_owned(),
    };
    let digest = &statement.digest;
    let repository = &reference.repository;
    Error::Unverified {
        message: format!(
            "the provenance statement {digest} of {reference} cannot be trusted: {because}"
        ),
        hints: vec![format!(
            "if you trust its publisher, add the public key to a [[trust]] table for {repository}, or use --key FILE"
        )],
    }
}

/// Opens the workspace of the checkout, with the image as the only selected one.
async fn open(
    published: &PublishedBuild,
    top: &Path,
    settings: &Settings,
) -> Result<Session, Error> {
    let PublishedBuild {
        reference,
        recorded,
        ..
    } = published;
    let invalid = |what: String| Error::failed(format!("the provenance of {reference}: {what}"));
    let external = &recorded.external;
    let workspace = Path::new(&external.spec.workspace);
    if !stays_inside(workspace) {
        return Err(invalid(format!(
            "`{}` is not a directory of the repository",
            external.spec.workspace
        )));
    }
    let created = time::OffsetDateTime::parse(
        &recorded.internal.created,
        &time::format_description::well_known::Rfc3339,
    );
    let created =
        created.map_err(|_| invalid(format!("`{}` is not a time", recorded.internal.created)))?;
    let mut env = settings.env.clone();
    let epoch = created.unix_timestamp().to_string();
    env.insert("SOURCE_DATE_EPOCH".to_owned(), epoch);
    let checked = session::check_with_any_lock(Settings {
        cwd: top.join(workspace),
        workspace: Some(top.join(workspace)),
        env,
        registries: Vec::new(),
        registry_variable: false,
        all_registries: false,
        selection: Selection {
            images: vec![external.image.clone()],
            ..Selection::default()
        },
        set: external.set.clone().into_iter().collect(),
        ..settings.clone()
    })
    .await?;
    let Some(mut session) = checked.session else {
        let first = checked
            .found
            .iter()
            .find(|it| it.severity == Severity::Error);
        let message = first.map_or("a file is not valid", |it| it.message.as_str());
        return Err(invalid(format!("the workspace cannot be used: {message}")));
    };
    for image in &mut session.images {
        image.selected = image.selected && is_recorded(&image.image, recorded);
    }
    Ok(session)
}

/// Replaces the settings of the checkout that could run a program, contact an engine or choose how a
/// registry is contacted. The statement names the repository and the commit, so anyone who may push
/// the image may have written them.
fn restrict(session: &mut Session, destinations: &Destinations) {
    // A base is fixed by its digest, and the policy judged the image when it was published: a base
    // that was revoked later does not prevent a comparison.
    let spec = &mut session.workspace.spec;
    spec.policy = Policy {
        lifecycle: LifecyclePolicy {
            revoked: RuleLevel::Off,
            eol: RuleLevel::Off,
            unknown: RuleLevel::Off,
        },
        ..Policy::default()
    };
    spec.trust = Vec::new();
    spec.signing = SigningTable::default();
    spec.engine = Vec::new();
    session.destinations.clone_from(&destinations.chosen);
    session.registries.clone_from(&destinations.registries);
}

/// True if the image has the variant and the matrix row of the statement.
fn is_recorded(image: &ResolvedImage, recorded: &RecordedBuild) -> bool {
    let external = &recorded.external;
    let variant = image.variant.as_ref().map(ToString::to_string);
    image.name.as_str() == external.image
        && variant == external.variant
        && image.row == external.row
}

fn selected(session: &Session) -> Result<&SessionImage, Error> {
    let found = session.images.iter().find(|image| image.selected);
    found.ok_or_else(|| Error::failed("the commit has no such image"))
}

/// Makes all decisions about the build. A base that golden.lock does not pin gets the digest of the
/// statement.
async fn prepared(
    mut session: Session,
    published: &PublishedBuild,
    image: &ResolvedImage,
) -> Result<Prepared, Error> {
    // The other images are not built.
    let base = parent_of(image);
    session
        .images
        .retain(|one| one.image.display() == image.display() || base.is_some() && !one.selected);
    let keys: Vec<String> = session
        .resolved()
        .filter_map(|one| key(&one.base))
        .collect();
    let lock = &mut session.workspace.lock.bases;
    for key in keys {
        if !lock.contains_key(&key)
            && let Some(locked) = recorded_base(&key, &published.recorded.dependencies)
        {
            lock.insert(key, locked);
        }
    }
    let request = RunRequest {
        engine: None,
        goal: Goal::Write,
        force: false,
        locked: false,
        lock_new: true,
    };
    prepare(session, &request).await
}

/// The base with this key as the statement describes it.
fn recorded_base(key: &str, dependencies: &[Resource]) -> Option<LockedBase> {
    let repository = key.split(' ').next()?;
    let is_base = |resource: &&Resource| {
        let name = resource.name.as_deref().unwrap_or_default();
        resource
            .uri
            .as_deref()
            .is_some_and(|uri| uri.starts_with("oci://"))
            && (name == key || name.starts_with(&format!("{repository}:")))
    };
    let mut all = dependencies.iter().filter(is_base);
    let top = all.next()?;
    let platforms: BTreeMap<Platform, Digest> = all
        .filter_map(|resource| {
            let platform = resource.annotations.get("platform")?.as_str()?;
            Some((platform.parse().ok()?, resource.digest()?))
        })
        .collect();
    Some(LockedBase {
        base: key.to_owned(),
        reference: top.name.as_ref()?.parse().ok()?,
        digest: top.digest()?,
        created: None,
        signed_by: None,
        platforms,
    })
}

fn parent_of(image: &ResolvedImage) -> Option<&RepositoryPath> {
    match &image.base {
        Base::Workspace { name, .. } => Some(name),
        _ => None,
    }
}

fn work_of<'a>(prepared: &'a Prepared, image: &ResolvedImage) -> Result<&'a Work, Error> {
    let display = image.display();
    let mut work = prepared.work.iter();
    work.find(|work| work.recipe.image.display() == display)
        .ok_or_else(|| Error::failed(format!("the base of {display} is unavailable")))
}

/// The resources of the statement that the commit has with other content, one sentence each.
fn differences(
    prepared: &Prepared,
    work: &Work,
    recorded: &RecordedBuild,
) -> Result<Vec<String>, Error> {
    let key = |resource: &Resource| {
        let platform = resource
            .annotations
            .get("platform")
            .map(ToString::to_string);
        (resource.name.clone(), platform)
    };
    let recipes = prepared.work.iter().map(|work| &work.recipe);
    let bases = build_facts::external_bases(recipes);
    let now = build_facts::dependencies(&prepared.session, &work.recipe, &bases)?;
    let now: BTreeMap<_, _> = now.iter().map(|it| (key(it), &it.digest)).collect();
    let mut sentences = Vec::new();
    for resource in &recorded.dependencies {
        let (Some(name), false) = (&resource.name, resource.digest.contains_key("gitCommit"))
        else {
            continue;
        };
        match now.get(&key(resource)) {
            Some(digest) if **digest == resource.digest => {}
            Some(_) => sentences.push(format!("the commit has another content of {name}")),
            // The digest of a parent is not known before it is built.
            None if parent_of(&work.recipe.image).is_some() => {}
            None => sentences.push(format!("the commit does not have {name}")),
        }
    }
    if recorded.internal.inputs != work.recipe.inputs {
        sentences.push("the inputs digest of the commit is another one".to_owned());
    }
    if recorded.internal.golden != GOLDEN {
        sentences.push(format!(
            "golden {} built the image; this is golden {GOLDEN}",
            recorded.internal.golden
        ));
    }
    Ok(sentences)
}

/// Builds the image with the embedded engine, on its published base, and compares it.
async fn rebuilt(
    published: &PublishedBuild,
    prepared: &Prepared,
    work: &Work,
    because: Vec<String>,
    settings: &Settings,
    destinations: &Destinations,
) -> Result<ReproduceOutcome, Error> {
    let options = BuildOptions {
        published_parent: published_parent(published, work),
        childless: true,
        ..BuildOptions::default()
    };
    let engine = &prepared.engines.embedded;
    let built = engine.build(&work.recipe, &options, &settings.events);
    let built = Box::pin(built)
        .await
        .map_err(super::pipeline::Failed::from)?;
    let BuildOutput::Assembled(assembled) = &built.output else {
        return Err(Error::failed("the image was not assembled"));
    };
    let digest = &published.raw.digest;
    let mut of_platform = assembled.images.iter().map(|image| &image.manifest.digest);
    if assembled.top.digest == *digest || of_platform.any(|own| own == digest) {
        return Ok(ReproduceOutcome::Same);
    }
    let diff = compared(published, prepared, assembled, settings, destinations).await?;
    Ok(ReproduceOutcome::Different {
        rebuilt: assembled.top.digest.clone(),
        because,
        diff: Box::new(diff),
    })
}

/// The published image that an image of the workspace is built on, next to the image itself in its
/// registry.
fn published_parent(published: &PublishedBuild, work: &Work) -> Option<Reference> {
    let parent = parent_of(&work.recipe.image)?;
    let name = work.recipe.base.name()?;
    let mut recorded = published.recorded.dependencies.iter();
    let recorded = recorded.find(|it| it.name.as_deref() == Some(name.as_str()))?;
    let digest = recorded.digest()?;
    let mut repository = published.repo.name().clone();
    let path = repository.path.as_str();
    let namespace = path.strip_suffix(work.recipe.image.name.as_str())?;
    repository.path = format!("{namespace}{parent}").parse().ok()?;
    Some(repository.digest(&digest))
}

/// Compares the published image with the new build, on the first platform that differs.
async fn compared(
    published: &PublishedBuild,
    prepared: &Prepared,
    assembled: &Assembled,
    settings: &Settings,
    destinations: &Destinations,
) -> Result<ComparedImages, Error> {
    let old: BTreeSet<Digest> = children(&published.raw)
        .into_iter()
        .map(|child| child.digest)
        .collect();
    let differs = assembled
        .images
        .iter()
        .find(|image| !old.contains(&image.manifest.digest))
        .or(assembled.images.first());
    let platform = differs.map(|image| image.platform.clone());
    let finder = Finder {
        settings,
        destinations,
        names: &WorkspaceNames::default(),
        platform: platform.as_ref(),
    };
    let from = published
        .repo
        .name()
        .digest(&published.raw.digest)
        .to_string();
    let old = diff::content(&finder.find(&from).await?, settings).await?;
    let new = diff::assembled(
        assembled,
        platform.as_ref(),
        REBUILT,
        &prepared.registries,
        settings,
    );
    let new = new.await?;
    Ok(ComparedImages::new((from, old), (REBUILT.to_owned(), new)))
}
