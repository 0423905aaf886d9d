//! The facts about builds that provenance statements contain.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::Error;
use super::session::Session;
use super::settings::Settings;
use crate::reference::Digest;
use crate::render::{PinnedBase, Recipe};
use crate::resolve::ResolvedImage;
use crate::resolve::image::{FileKind, StepNeed};
use crate::trust::provenance::{
    BuildFacts, ExternalParameters, LOCAL_BUILDER, Resource, SourceCheckout, SpecSource,
};
use crate::workspace::{fs, lock};

/// The version of golden.
pub(super) const GOLDEN: &str = env!("CARGO_PKG_VERSION");

/// The external base of each image, by the name of the image. For an image that is built on an image
/// of the workspace, it is the external base of that one.
pub(super) type ExternalBases = BTreeMap<String, Vec<Resource>>;

/// The external bases of images, which are listed after their parents.
pub(super) fn external_bases<'a>(recipes: impl Iterator<Item = &'a Recipe>) -> ExternalBases {
    let mut all = ExternalBases::new();
    for recipe in recipes {
        let external = match &recipe.base {
            PinnedBase::Workspace { parent, .. } => all.get(parent).cloned().unwrap_or_default(),
            pinned => base(pinned, &recipe.image),
        };
        all.insert(recipe.image.display(), external);
    }
    all
}

/// The facts about the build of `recipe`, which is published as `version`; `None` if golden.toml has
/// no `[provenance]`. Fails if golden.lock cannot be read.
pub(super) fn of(
    session: &Session,
    recipe: &Recipe,
    version: &semver::Version,
    bases: &ExternalBases,
) -> Result<Option<BuildFacts>, Error> {
    let Some(table) = &session.workspace.spec.provenance else {
        return Ok(None);
    };
    let (settings, image) = (&session.settings, &recipe.image);
    let ci = CiRun::of(settings);
    let provenance = &image.provenance;
    let uri = provenance.source.as_ref().map(|url| format!("git+{url}"));
    let builder = table.builder.clone().or(ci.builder);
    let secrets = image.step_needs().filter_map(|need| match need {
        StepNeed::Secret(name) => Some(name),
        StepNeed::Ssh => None,
    });
    let mut secrets: Vec<String> = secrets.collect();
    secrets.sort();
    secrets.dedup();
    let spec = session.sources.text(&image.source).unwrap_or_default();
    let workspace = provenance.directory.trim_end_matches('/').to_owned();
    Ok(Some(BuildFacts {
        builder: builder.unwrap_or_else(|| LOCAL_BUILDER.to_owned()),
        invocation: ci.invocation,
        external: ExternalParameters {
            image: image.name.to_string(),
            version: version.clone(),
            variant: image.variant.as_ref().map(ToString::to_string),
            row: image.row.clone(),
            platforms: image.platforms.iter().map(ToString::to_string).collect(),
            set: settings.set.iter().cloned().collect(),
            secrets,
            spec: SpecSource {
                uri: uri.clone(),
                path: format!("{}{}", provenance.directory, image.source.display()),
                sha256: Digest::of(spec.as_bytes()).hex().to_owned(),
                workspace,
            },
        },
        golden: GOLDEN.to_owned(),
        inputs: recipe.inputs.clone(),
        checkout: SourceCheckout {
            uri,
            head: provenance.head.clone(),
            revision: provenance.revision.clone(),
            created: provenance.created,
        },
        dependencies: dependencies(session, recipe, bases)?,
    }))
}

/// The URIs that a CI system shows in its variables.
#[derive(Default)]
struct CiRun {
    builder: Option<String>,
    invocation: Option<String>,
}

impl CiRun {
    fn of(settings: &Settings) -> Self {
        let var = |name| settings.var(name);
        if var("GITHUB_ACTIONS") == Some("true") {
            let server = var("GITHUB_SERVER_URL").unwrap_or("https://github.com");
            let run = var("GITHUB_REPOSITORY").zip(var("GITHUB_RUN_ID"));
            let attempt = var("GITHUB_RUN_ATTEMPT").unwrap_or("1");
            return Self {
                builder: var("GITHUB_WORKFLOW_REF").map(|workflow| format!("{server}/{workflow}")),
                invocation: run.map(|(repository, id)| {
                    format!("{server}/{repository}/actions/runs/{id}/attempts/{attempt}")
                }),
            };
        }
        if var("GITLAB_CI") == Some("true") {
            let runner = var("CI_PROJECT_URL").zip(var("CI_RUNNER_ID"));
            return Self {
                builder: runner.map(|(project, id)| format!("{project}/-/runners/{id}")),
                invocation: var("CI_JOB_URL").map(str::to_owned),
            };
        }
        Self::default()
    }
}

/// The resources of a build: its base, files, certificates, templates and configuration files.
pub(super) fn dependencies(
    session: &Session,
    recipe: &Recipe,
    bases: &ExternalBases,
) -> Result<Vec<Resource>, Error> {
    let image = &recipe.image;
    let mut all = bases.get(&image.display()).cloned().unwrap_or_default();
    let files = image.files.iter().filter_map(|file| match &file.kind {
        FileKind::File(content) => {
            let resource = Resource::named(&file.path, &content.digest());
            Some(resource.with("origin", file.origin.as_str()))
        }
        FileKind::Directory | FileKind::Symlink(_) => None,
    });
    all.extend(files);
    all.extend(image.certificates.iter().map(|certificate| {
        let digest = Digest::of(certificate.pem.as_bytes());
        let name = certificate.file.display().to_string();
        Resource::named(name, &digest).with("certificate", certificate.name.as_str())
    }));
    let template = session.templates.get_key_value(&image.template);
    all.extend(template.map(|(name, text)| {
        Resource::named(format!("template {name}"), &Digest::of(text.as_bytes()))
    }));
    let golden_toml = Path::new("golden.toml");
    if let Some(text) = session.sources.text(golden_toml) {
        all.push(Resource::named("golden.toml", &Digest::of(text.as_bytes())));
    }
    if let Some(text) = fs::read_if_exists(&session.workspace.root.join(lock::FILE))? {
        all.push(Resource::named(lock::FILE, &Digest::of(&text)));
    }
    Ok(all)
}

/// The base, and its image for each platform that the image has.
fn base(base: &PinnedBase, image: &ResolvedImage) -> Vec<Resource> {
    match base {
        PinnedBase::Registry {
            reference,
            digest,
            platforms,
        } => {
            let uri = |digest: &Digest| format!("oci://{}", reference.at(digest.clone()));
            let top = Resource::named(reference.to_string(), digest).at(uri(digest));
            let is_used =
                |platform| image.platforms.is_empty() || image.platforms.contains(platform);
            let used = platforms.iter().filter(|(platform, _)| is_used(platform));
            let of_platform = used
                .filter(|(_, own)| *own != digest)
                .map(|(platform, own)| {
                    Resource::named(reference.to_string(), own)
                        .at(uri(own))
                        .with("platform", platform.to_string())
                });
            [top].into_iter().chain(of_platform).collect()
        }
        PinnedBase::Layout(layout) => vec![Resource::named(&layout.written, &layout.digest)],
        PinnedBase::Local { reference, id } => vec![Resource::named(reference.to_string(), id)],
        PinnedBase::Scratch | PinnedBase::Workspace { .. } => Vec::new(),
    }
}
