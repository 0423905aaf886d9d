//! Applies the policy of the workspace to published images: single images, repositories, and all
//! repositories of a namespace.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, stream};
use serde::Serialize;

use super::audit_attest::{AttestedSummary, SummaryWriter};
use super::audit_bases::AuditedBases;
use super::base_lifecycle::{LifecycleProblem, LifecycleReader, severity};
use super::destinations::{Destinations, registries as known_registries};
use super::error::Error;
use super::names::WorkspaceNames;
use super::pipeline::Failed;
use super::published::Requirements;
use super::registries;
use super::scan::{self, ScanProblem, ScannedImage};
use super::scope::CommandScope;
use super::settings::Settings;
use crate::assemble::{BaseImage, Layer, LayerSource};
use crate::config_files::policy::Policy;
use crate::diagnostic::{Diagnostics, Severity};
use crate::engine::Embedded;
use crate::event::Events;
use crate::glob::Glob;
use crate::image::{Described, DescribedImage, LabelledBase, describe};
use crate::observe::Absent;
use crate::oci::{Descriptor, packed_size};
use crate::policy::{
    FinishedImage, ImageSizes, SizedImage, UsedBase, UsedBasePolicy, check_built, check_sizes,
    named_user,
};
use crate::reference::{Digest, Host, Reference, Repository, Tag};
use crate::registry::Registries;
use crate::resolve::Destination;
use crate::resolve::image::Base;
use crate::signing::Signer;
use crate::workspace::Workspace;
use crate::workspace::state::StateDirectory;

/// Maximum number of images that are checked concurrently.
const CONCURRENCY: usize = 16;

/// An image and its findings.
#[derive(Debug, Clone, Serialize)]
pub struct AuditedImage {
    /// The reference: by its most specific tag in a survey of a repository.
    pub reference: Reference,
    /// The digest of the index or of the image.
    pub digest: Digest,
    /// The tags that were checked and point to it.
    pub tags: Vec<Tag>,
    /// The platforms of the image.
    pub platforms: Vec<String>,
    /// True if no finding is an error.
    pub compliant: bool,
    /// The number of errors.
    pub errors: usize,
    /// The number of warnings.
    pub warnings: usize,
    /// The codes of the violated rules, each once.
    pub rules: Vec<String>,
    /// The findings.
    #[serde(skip)]
    pub found: Diagnostics,
}

/// The result of an audit.
#[derive(Debug, Default)]
pub struct Audited {
    /// The images, sorted by repository in a survey.
    pub images: Vec<AuditedImage>,
    /// The images that cannot be read, in addition to `problems`.
    pub failures: Vec<Error>,
    /// The repositories and images of a survey that cannot be read.
    pub problems: Vec<ScanProblem>,
    /// The number of repositories that were read as a whole.
    pub repositories: usize,
    /// True if a whole repository was requested.
    pub is_survey: bool,
    /// The verification summaries of the images that comply, if they were requested.
    pub attested: Vec<AttestedSummary>,
}

impl Audited {
    /// True if no finding is an error.
    #[must_use]
    pub fn complies(&self) -> bool {
        self.images.iter().all(|image| image.compliant)
    }
}

/// The images that an argument selects.
enum AuditTarget {
    /// One image.
    Image(Reference),
    /// Every tag of a repository.
    Repository(Repository),
    /// Every repository of a registry whose name matches.
    Matching(Host, Glob),
}

/// Applies the policy to references, repositories and workspace images. An image that cannot be read
/// does not stop the others. With a signer, a verification summary is attached to each image that
/// complies. Fails if an argument is invalid, or a registry has no catalog.
pub async fn audit(
    arguments: &[String],
    workspace: &Workspace,
    scope: &CommandScope,
    signer: Option<&Signer>,
) -> Result<Audited, Error> {
    let CommandScope {
        settings,
        destinations,
        names,
        ..
    } = scope;
    let mut targets = Vec::new();
    for argument in arguments {
        targets.extend(targets_of(argument, names)?);
    }
    let hosts = names.with_host(arguments);
    let hosts: Vec<String> = hosts.iter().map(|text| without_glob(text)).collect();
    let registries = registries::open(settings, destinations, &hosts)?;
    let audit = Audit::of(workspace, settings, destinations, &registries).await?;
    let requirements = audit.requirements.as_ref();
    let writer = signer.map(|signer| {
        SummaryWriter::of(workspace, requirements, signer, &registries, settings.now)
    });
    let writer = writer.transpose()?;
    let mut audited = Audited::default();
    let mut images = audit.survey(&targets, settings, &mut audited).await?;
    for target in &targets {
        if let AuditTarget::Image(reference) = target {
            match audit.read(reference).await {
                Ok(image) => images.push((reference.clone(), image)),
                Err(error) => audited.failures.push(error),
            }
        }
    }
    let checks = stream::iter(&images).map(|(name, image)| audit.check(name, image));
    let checks: Vec<_> = checks.buffered(CONCURRENCY).collect().await;
    let mut complying = Vec::new();
    for (check, image) in checks.into_iter().zip(&images) {
        match check {
            Ok(checked) => {
                complying.extend(checked.compliant.then_some(image));
                audited.images.push(checked);
            }
            Err(error) => audited.failures.push(error),
        }
    }
    if let Some(writer) = &writer {
        for (reference, image) in complying {
            let known_as = audit.known_as(&image.repository);
            match writer.attest(reference, image, &known_as).await {
                Ok(attested) => audited.attested.push(attested),
                Err(error) => audited.failures.push(error),
            }
        }
    }
    Ok(audited)
}

/// The images of an argument: a reference, a repository without tag and digest, or a repository
/// with `*` or `**`.
fn targets_of(argument: &str, names: &WorkspaceNames) -> Result<Vec<AuditTarget>, Error> {
    if argument.contains('*') {
        let invalid = || {
            Error::invalid(format!("`{argument}` is not a glob over repositories"))
                .hint("write HOST/** for a whole registry, or HOST/NAMESPACE/** for a namespace")
        };
        let (host, glob) = argument.split_once('/').ok_or_else(invalid)?;
        let is_host = host.contains(['.', ':']) || host == "localhost";
        if !is_host {
            return Err(invalid());
        }
        let host: Host = host.parse().map_err(|_| invalid())?;
        let glob = Glob::new(glob).map_err(|_| invalid())?;
        return Ok(vec![AuditTarget::Matching(host, glob)]);
    }
    let references = names.references(argument)?.into_iter();
    let target = |reference: Reference| match reference {
        Reference {
            repository,
            tag: None,
            digest: None,
        } => AuditTarget::Repository(repository),
        image => AuditTarget::Image(image),
    };
    Ok(references.map(target).collect())
}

/// The part of an argument before its glob, by which its host is known.
fn without_glob(argument: &str) -> String {
    let end = argument.find('*').unwrap_or(argument.len());
    argument[..end].trim_end_matches('/').to_owned()
}

/// The policy, and the handles that read images.
pub(super) struct Audit<'a> {
    registries: Registries,
    embedded: Embedded,
    policy: &'a Policy,
    /// The rules about bases, which announcements about an image violate.
    used: UsedBasePolicy<'a>,
    events: &'a Events,
    /// The registries of the workspace.
    known: Vec<Destination>,
    /// The images of the workspace.
    names: WorkspaceNames,
    /// The current time, in seconds since 1970.
    now: i64,
    /// The artifacts that published images must have.
    requirements: Option<Requirements>,
    /// Reads the announcements about images.
    lifecycle: LifecycleReader<'a>,
    bases: AuditedBases,
}

/// An image with the tags that were checked.
type NamedImage = (Reference, ScannedImage);

impl<'a> Audit<'a> {
    /// The policy of a workspace. Fails if a key cannot be read.
    pub(super) async fn of(
        workspace: &'a Workspace,
        settings: &'a Settings,
        destinations: &Destinations,
        registries: &'a Registries,
    ) -> Result<Self, Error> {
        let cache = StateDirectory::of(&workspace.root).path("cache");
        Ok(Self {
            embedded: Embedded::new(registries.clone(), cache),
            registries: registries.clone(),
            policy: &workspace.spec.policy,
            used: UsedBasePolicy::new(&workspace.spec.policy),
            events: &settings.events,
            known: known_registries(&workspace.root, &workspace.spec),
            names: WorkspaceNames::of_workspace(settings, destinations).await?,
            now: settings.now,
            requirements: Requirements::of(workspace)?,
            lifecycle: LifecycleReader::of(Some(workspace), registries, settings.now)?,
            bases: AuditedBases::default(),
        })
    }
}

impl Audit<'_> {
    /// Reads the repositories of the targets. Fails if a registry has no catalog.
    async fn survey(
        &self,
        targets: &[AuditTarget],
        settings: &Settings,
        audited: &mut Audited,
    ) -> Result<Vec<NamedImage>, Error> {
        let mut repositories: Vec<Repository> = Vec::new();
        for target in targets {
            match target {
                AuditTarget::Image(_) => {}
                AuditTarget::Repository(repository) => repositories.push(repository.clone()),
                AuditTarget::Matching(host, glob) => {
                    let Some(all) = scan::catalog(&self.registries, host).await? else {
                        let message = format!("{host} has no list of its repositories");
                        return Err(Error::failed(message)
                            .hint(format!("name the repositories: golden audit {host}/REPO…")));
                    };
                    let matching = all
                        .into_iter()
                        .filter(|one| glob.is_match(one.path.as_str()));
                    let before = repositories.len();
                    repositories.extend(matching);
                    if repositories.len() == before {
                        let pattern = glob.pattern();
                        let message = format!("no repository of {host} matches `{pattern}`");
                        return Err(Error::failed(message)
                            .hint(format!("`golden ls {host}` lists the repositories")));
                    }
                }
            }
        }
        audited.is_survey = !repositories.is_empty();
        repositories.sort();
        repositories.dedup();
        audited.repositories = repositories.len();
        let cache = settings.user_cache();
        let scan = scan::scan(&self.registries, repositories, &cache).await;
        audited.problems = scan.problems;
        for target in targets {
            if let AuditTarget::Repository(repository) = target
                && scan.empty.contains(repository)
            {
                let repo = self.registries.repo(repository);
                let reference = repository.clone().into();
                let absent = Absent::find(&repo, &reference).await;
                audited.failures.push(Box::new(absent).into());
            }
        }
        let images = scan.images.into_iter();
        Ok(images.map(|image| (image.reference(), image)).collect())
    }

    /// Reads the image that a reference points to. Fails if it is not an image.
    async fn read(&self, reference: &Reference) -> Result<ScannedImage, Error> {
        let repo = self.registries.repo(&reference.repository);
        let described = describe(&repo, reference.target()).await?;
        let Some(described) = described else {
            return Err(Box::new(Absent::find(&repo, reference).await).into());
        };
        if described.images.is_empty() {
            let message = format!("{reference} is not an image: it has no image config to check");
            return Err(Error::failed(message));
        }
        Ok(ScannedImage {
            repository: reference.repository.clone(),
            tags: reference.tag.iter().cloned().collect(),
            described,
        })
    }

    /// Checks one image, or the images of an index.
    pub(super) async fn check(
        &self,
        name: &Reference,
        image: &ScannedImage,
    ) -> Result<AuditedImage, Error> {
        let repo = self.registries.repo(&image.repository);
        let Described { raw, images, .. } = &image.described;
        let known_as = self.known_as(&image.repository);
        let mut found = Diagnostics::new();
        let digests: Vec<&Digest> = images.iter().map(|image| &image.digest).collect();
        let lacking = match &self.requirements {
            Some(required) => required.lacking(&repo, &raw.digest, &digests).await?,
            None => vec![Vec::new(); digests.len()],
        };
        for (platform, lacking) in images.iter().zip(&lacking) {
            let shown = if images.len() > 1 {
                format!("{name} ({})", platform.platform)
            } else {
                name.to_string()
            };
            let user_id = self.user_id(name, platform).await?;
            let built = FinishedImage {
                name: &shown,
                known_as: &known_as,
                now: self.now,
                lacking,
                config: &platform.config,
                user_id,
                image: None,
                is_foreign: !self.names.publishes(&image.repository),
            };
            found.extend(check_built(self.policy, &built));
            found.extend(self.sizes(&built, platform));
        }
        found.extend(self.lifecycle(name, image, &known_as).await);
        let count = |severity| found.iter().filter(|one| one.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let mut rules: Vec<String> = found.iter().map(|one| one.rule.to_string()).collect();
        rules.sort();
        rules.dedup();
        Ok(AuditedImage {
            reference: name.clone(),
            digest: raw.digest.clone(),
            tags: image.tags.clone(),
            platforms: images.iter().map(|one| one.platform.to_string()).collect(),
            compliant: errors == 0,
            errors,
            warnings,
            rules,
            found,
        })
    }

    /// The findings about the size of the compressed layers. The layers themselves are not read.
    fn sizes(&self, built: &FinishedImage<'_>, image: &DescribedImage) -> Diagnostics {
        if self.policy.size.packed.is_none() {
            return Diagnostics::new();
        }
        let sizes = ImageSizes {
            packed: packed_size(&image.manifest.layers),
            ..ImageSizes::default()
        };
        let sized = SizedImage {
            name: built.name,
            known_as: built.known_as,
            now: built.now,
            sizes: &sizes,
        };
        check_sizes(self.policy, &sized)
    }

    /// The findings about the announcements of the publishers of an image and of its bases.
    async fn lifecycle(
        &self,
        name: &Reference,
        image: &ScannedImage,
        known_as: &[String],
    ) -> Diagnostics {
        let digest = &image.described.raw.digest;
        let own = self.lifecycle.problems(&image.repository, digest).await;
        let mut problems: Vec<(Reference, String, LifecycleProblem)> = Vec::new();
        let mut seen = BTreeSet::new();
        for (one, base) in self.labelled_bases(image) {
            let of_base = self
                .bases
                .problems(one, &base, &self.lifecycle, &self.registries);
            let short = Reference {
                digest: None,
                ..base.clone()
            };
            for problem in of_base.await {
                // An image that is revoked because of its base has the same reason.
                let is_same = |own: &LifecycleProblem| {
                    let more = own.text.strip_prefix(&problem.text);
                    let is_inherited =
                        |more: &str| more.is_empty() || more.starts_with(" (because of ");
                    own.rule == problem.rule && more.is_some_and(is_inherited)
                };
                let is_new = seen.insert((base.clone(), problem.text.clone()));
                if is_new && !own.iter().any(is_same) {
                    problems.push((base.clone(), format!("the base {short}"), problem));
                }
            }
        }
        let own = own.into_iter();
        let own = own.map(|problem| (name.clone(), "the image".to_owned(), problem));
        let mut found = Diagnostics::new();
        for (reference, subject, problem) in own.chain(problems) {
            let base = Base::Reference(reference);
            let used = UsedBase {
                base: &base,
                known_as,
                now: self.now,
            };
            let message = format!("{subject} {}", problem.text);
            let finding = self
                .used
                .finding(&used, problem.rule, message, problem.help);
            if let Some(mut finding) = finding {
                finding.severity = severity(problem.level);
                found.push(finding.about(name.to_string()));
            }
        }
        found
    }

    /// The bases that the labels of an image name by digest, if they are in the registry of the
    /// image or in one of the workspace: a label must not make golden contact another host.
    fn labelled_bases<'i>(&self, image: &'i ScannedImage) -> Vec<(&'i DescribedImage, Reference)> {
        let is_known = |base: &Reference| {
            let host = &base.repository.host;
            *host == image.repository.host || self.known.iter().any(|one| one.host == *host)
        };
        let images = image.described.images.iter();
        let named = images.filter_map(|one| {
            let LabelledBase { name, digest } = LabelledBase::of(&one.config);
            let digest = Some(digest?);
            Some((one, Reference { digest, ..name? }))
        });
        named.filter(|(_, base)| is_known(base)).collect()
    }

    /// The names of a published image: its repository with and without the host, and without the
    /// namespace of a registry of the workspace.
    fn known_as(&self, repository: &Repository) -> Vec<String> {
        let short = self.known.iter().filter_map(|one| one.image_in(repository));
        [repository.to_string(), repository.path.to_string()]
            .into_iter()
            .chain(short.map(str::to_owned))
            .collect()
    }

    /// The user ID of an image, if the policy needs it and only /etc/passwd of the image contains
    /// it.
    async fn user_id(
        &self,
        reference: &Reference,
        image: &DescribedImage,
    ) -> Result<Option<u32>, Error> {
        let is_needed = self.policy.config.deny_root;
        let Some(user) = named_user(image.config.user()).filter(|_| is_needed) else {
            return Ok(None);
        };
        let layer = |descriptor: &Descriptor| Layer {
            descriptor: descriptor.clone(),
            source: LayerSource::Registry(reference.repository.clone()),
        };
        let layers = image.manifest.layers.iter().map(layer).collect();
        let base = BaseImage {
            config: image.config.clone(),
            layers,
            docker: false,
        };
        let name = reference.to_string();
        let found = Box::pin(self.embedded.user_id(&base, user, &name, self.events)).await;
        Ok(found.map_err(|error| Failed::Engine(error.into()))?)
    }
}
