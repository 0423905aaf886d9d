//! Converts an image.toml to a [`ParsedImage`], with the checks that serde cannot express. Each
//! error has its location.

mod conditions;
mod config;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::image::{
    Base, EnvValue, Family, FamilySource, FileOwner, PackageRepository, Packages, RunStep,
    SpecLocation, SpecLocations, TrustOptions,
};
use super::labels::{INPUTS, SPEC_INPUTS, labels};
use super::lifecycle::{LifecycleRules, RevokedVersions};
use super::matrix::MatrixRow;
use super::parsed::{
    FileContent, FileRequest, IncompleteImage, KeyRequest, LayoutRequest, ParsedBase, ParsedImage,
    SpecRequests, TrustRequest,
};
use super::{claims, family, package_sources, packages, target};
use crate::config_files::ImageSpec;
use crate::config_files::base::BaseSpec;
use crate::config_files::channel::ChannelSpec;
use crate::config_files::document::{SourceFiles, SpecTable, entry};
use crate::config_files::image::{
    CertsTable, FileTable, ImageTable, PackageRepositoryTable, PackagesTable, TagsTable,
};
use crate::config_files::lifecycle::LifecycleTable;
use crate::config_files::values::{OrDropped, OwnerSpec};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::reference::{Reference, Tag};
use crate::tags::{ExtraError, Level, TagRules, check_extra};

/// The default of `[lifecycle] warn_before`, in days.
const DEFAULT_NOTICE: u32 = 90;

/// Converts a spec. Fails if the name, the version or the base is missing or invalid.
pub(super) fn parse(
    spec: ImageSpec,
    table: &SpecTable<'_>,
    row: &MatrixRow,
    files: &SourceFiles,
    found: &mut Diagnostics,
) -> Result<ParsedImage, Box<IncompleteImage>> {
    let mut parser = SpecParser {
        table,
        files,
        found,
    };
    parser.required(&spec);
    let image = spec.image.unwrap_or_default();
    parser.image(&image);
    for key in [INPUTS, SPEC_INPUTS]
        .into_iter()
        .filter(|key| spec.labels.contains_key(*key))
    {
        parser.error(
            &["labels", key],
            "labels.inputs",
            format!("only golden sets `{key}`"),
        );
    }
    let config = parser.config(spec.config);
    let family = known_family(&image);
    let packages = parser.packages(spec.packages, family.map(|(family, _)| family));
    let trust = parser.trust_options(&spec.certs, &spec.env, family);
    let requests = parser.requests(image.template, spec.files, spec.certs.trust);
    let run = parser.run(spec.run);
    let extra_locations: Vec<SpecLocation> = (0..spec.tags.extra.len())
        .map(|n| parser.location(&["tags", "extra", &n.to_string()]))
        .collect();
    let tags = rules(spec.tags);
    let tests = parser.tests(spec.test);
    let lifecycle = parser.lifecycle(spec.lifecycle);
    let channels = parser.channels(spec.channels, &tags);
    let variant = image.variant.and_then(|variant| variant.0);
    let base = image
        .base
        .map(|base| parsed_base(base, || parser.directory(&["image", "base"])));
    let (name, version, base) = match (image.name, image.version, base) {
        (Some(name), Some(version), Some(base)) => (name, version.0, base),
        (name, _, base) => {
            claims::extras(&tags, &extra_locations, variant.as_ref(), &[], parser.found);
            return Err(Box::new(IncompleteImage {
                name,
                base,
                requests,
            }));
        }
    };
    let (labels, suppressed_labels) = labels(
        &spec.labels,
        name.as_str(),
        &version.to_string(),
        image.description.as_deref(),
    );
    let mut platforms = image.platforms.unwrap_or_default();
    let mut seen = BTreeSet::new();
    platforms.retain(|platform| seen.insert(platform.clone()));
    Ok(ParsedImage {
        name,
        row: row.clone(),
        version,
        variant,
        description: image.description,
        base_written: match &base {
            Base::Reference(_) | Base::Requirement { .. } => written_base(table),
            Base::Scratch | Base::Layout(_) | Base::Workspace { .. } => None,
        },
        base,
        family,
        platforms,
        labels,
        suppressed_labels,
        env: environment(spec.env),
        config,
        trust,
        packages,
        run,
        tags,
        tests,
        lifecycle,
        channels,
        extra_locations,
        locations: parser.locations(),
        requests,
    })
}

/// The family from the spec, or from the table of repository names. None if neither has it.
fn known_family(image: &ImageTable) -> Option<(Family, FamilySource)> {
    let by_name = |reference: &Reference| Some((family::of(reference)?, FamilySource::Name));
    if let Some(written) = image.family {
        return Some((written, FamilySource::Spec));
    }
    match image.base.as_ref()? {
        BaseSpec::Scratch => Some((Family::Static, FamilySource::Spec)),
        BaseSpec::Layout(layout) => {
            let named = layout
                .name
                .as_ref()
                .and_then(|name| by_name(&name.parse().ok()?));
            named.or(Some((Family::Static, FamilySource::Name)))
        }
        BaseSpec::Reference(reference) => by_name(reference),
        BaseSpec::Requirement { repository, .. } => by_name(&repository.clone().into()),
        BaseSpec::Workspace { .. } => None,
    }
}

/// Converts a base. `directory` returns the directory of the spec that contains it.
fn parsed_base(spec: BaseSpec, directory: impl FnOnce() -> PathBuf) -> ParsedBase {
    match spec {
        BaseSpec::Scratch => Base::Scratch,
        BaseSpec::Layout(layout) => Base::Layout(LayoutRequest {
            directory: directory(),
            layout,
        }),
        BaseSpec::Reference(reference) => Base::Reference(reference),
        BaseSpec::Requirement {
            repository,
            version,
        } => Base::Requirement {
            repository,
            requirement: version.0,
        },
        BaseSpec::Workspace {
            image,
            version,
            variant,
        } => Base::Workspace {
            name: image,
            requirement: version.map(|version| version.0),
            variant,
        },
    }
}

/// The reference of a registry base as it is written in the spec.
fn written_base(table: &SpecTable<'_>) -> Option<String> {
    let string = |path: &[&str]| match entry(table, path)?.1.get_ref() {
        toml::de::DeValue::String(text) => Some(text.clone().into_owned()),
        _ => None,
    };
    string(&["image", "base"]).or_else(|| string(&["image", "base", "ref"]))
}

fn environment(spec: indexmap::IndexMap<String, OrDropped<EnvValue>>) -> Vec<(String, EnvValue)> {
    let kept = |(key, value)| match value {
        OrDropped::Value(value) => Some((key, value)),
        OrDropped::Dropped => None,
    };
    spec.into_iter().filter_map(kept).collect()
}

fn rules(spec: TagsTable) -> TagRules {
    let default = TagRules::default();
    let mut fan_out = spec
        .fan_out
        .map_or(default.fan_out, |levels| levels.into_iter().collect());
    fan_out.insert(Level::Full);
    TagRules {
        latest: spec.latest.unwrap_or(default.latest),
        zero_major: spec.zero_major.unwrap_or(default.zero_major),
        fan_out,
        immutable: spec.immutable.unwrap_or(default.immutable),
        extra: spec.extra,
        rebuild: spec.rebuild.unwrap_or(default.rebuild),
        withdrawn: spec
            .withdrawn
            .into_iter()
            .map(|version| version.0.into())
            .collect(),
    }
}

struct SpecParser<'a, 't> {
    table: &'a SpecTable<'t>,
    files: &'a SourceFiles,
    found: &'a mut Diagnostics,
}

impl SpecParser<'_, '_> {
    /// The location of `path`, or of the nearest table that contains it if `path` is not written.
    fn span(&self, path: &[&str]) -> Range<usize> {
        (1..=path.len())
            .rev()
            .find_map(|length| entry(self.table, &path[..length]))
            .map_or(0..0, |(key, value)| {
                if value.span().is_empty() {
                    key
                } else {
                    value.span()
                }
            })
    }

    fn location(&self, path: &[&str]) -> SpecLocation {
        let span = self.span(path);
        SpecLocation {
            file: self.files.file(&span).to_owned(),
            span: SourceFiles::local(&span),
        }
    }

    /// The location of `path`; `None` if it is not written.
    fn written(&self, path: &[&str]) -> Option<SpecLocation> {
        entry(self.table, path).map(|_| self.location(path))
    }

    fn locations(&self) -> SpecLocations {
        SpecLocations {
            base: self.written(&["image", "base"]),
            packages: self.written(&["packages"]),
            certificates: self.written(&["certs"]),
            files: self.written(&["files"]),
        }
    }

    fn report(&mut self, path: &[&str], diagnostic: Diagnostic) {
        let span = self.span(path);
        let diagnostic = self.files.at(diagnostic, &span, "");
        self.found.push(diagnostic);
    }

    fn error(&mut self, path: &[&str], rule: &'static str, message: impl Into<String>) {
        self.report(path, Diagnostic::error(rule, message));
    }

    /// The directory of the file that contains `path`, relative to the workspace.
    fn directory(&self, path: &[&str]) -> PathBuf {
        let span = self.span(path);
        self.files
            .file(&span)
            .parent()
            .unwrap_or(Path::new(""))
            .to_owned()
    }

    fn required(&mut self, spec: &ImageSpec) {
        let has_key = |path: &[&str]| entry(self.table, path).is_some();
        let mut missing = Vec::new();
        if !has_key(&["image"]) {
            missing.push((
                &["image"][..],
                "the table [image] is missing",
                "it needs name, version and base",
            ));
        } else if spec.image.is_some() {
            for (key, message, help) in [
                (
                    &["image", "name"],
                    "`name` is missing in [image]",
                    "write name = \"…\", the repository path",
                ),
                (
                    &["image", "version"],
                    "`version` is missing in [image]",
                    "write version = \"1.0.0\"",
                ),
                (
                    &["image", "base"],
                    "`base` is missing in [image]",
                    "write base = \"scratch\", or a reference",
                ),
            ] {
                if !has_key(key) {
                    missing.push((&key[..], message, help));
                }
            }
        }
        for (path, message, help) in missing {
            self.report(path, Diagnostic::error("spec.missing", message).help(help));
        }
    }

    fn image(&mut self, image: &ImageTable) {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if let Some(template) = &image.template
            && (template.is_empty() || template.starts_with('.') || !template.chars().all(plain))
        {
            self.error(
                &["image", "template"],
                "spec.value",
                format!("`{template}` is not a valid template name"),
            );
        }
    }

    /// Checks the names of packages. The family is None if only the base can show it.
    fn packages(
        &mut self,
        packages: PackagesTable,
        family: Option<Family>,
    ) -> Packages<KeyRequest> {
        let PackagesTable {
            install,
            remove,
            upgrade,
            snapshot,
            repository,
        } = packages;
        for (key, list, check) in [
            (
                "install",
                &install,
                packages::check_install as fn(&str, Option<Family>) -> _,
            ),
            ("remove", &remove, packages::check_remove),
        ] {
            for (n, entry) in list.iter().enumerate() {
                let Err(refusal) = check(entry, family) else {
                    continue;
                };
                let diagnostic = Diagnostic::error("spec.value", refusal.to_string());
                let diagnostic = refusal
                    .help()
                    .into_iter()
                    .fold(diagnostic, Diagnostic::help);
                self.report(&["packages", key, &n.to_string()], diagnostic);
            }
        }
        for (n, removed) in remove.iter().enumerate() {
            let same = |installed: &String| packages::are_same(installed, removed, family);
            if let Some(m) = install.iter().position(same) {
                self.contradiction(&install[m], m, n);
            }
        }
        let snapshot = snapshot.map(|date| date.0);
        if let (Some(_), Some(family)) = (&snapshot, family.filter(|it| *it != Family::Debian)) {
            let message = format!("the family `{}` has no snapshot archives", family.as_str());
            self.error(&["packages", "snapshot"], "spec.value", message);
        }
        let repositories = repository.into_iter().enumerate();
        let repositories = repositories
            .filter_map(|(n, table)| self.repository(n, table, family))
            .collect();
        Packages {
            install,
            remove,
            upgrade,
            snapshot,
            repositories,
            locked: std::collections::BTreeMap::new(),
        }
    }

    /// Reports channels whose name is not a tag, or that of another tag.
    fn channels(
        &mut self,
        table: BTreeMap<String, ChannelSpec>,
        rules: &TagRules,
    ) -> BTreeMap<Tag, ChannelSpec> {
        let mut channels = BTreeMap::new();
        for (name, spec) in table {
            let channel = match check_extra(&name, None, []) {
                Err(error) => Err(error.of_channel()),
                Ok(()) if rules.extra.contains(&name) => {
                    Err(format!("the channel `{name}` is also an extra tag"))
                }
                Ok(()) => name
                    .parse::<Tag>()
                    .map_err(|error| ExtraError::Grammar(error).of_channel()),
            };
            match channel {
                Ok(tag) => drop(channels.insert(tag, spec)),
                Err(problem) => self.error(&["channels", &name], "spec.value", problem),
            }
        }
        channels
    }

    /// Converts the lifecycle, and reports tables without versions or without a reason.
    fn lifecycle(&mut self, table: LifecycleTable) -> LifecycleRules {
        let mut revoked = Vec::new();
        for (number, table) in table.revoked.into_iter().enumerate() {
            let number = number.to_string();
            let at = ["lifecycle", "revoked", number.as_str()];
            let key = |key: &'static str| ["lifecycle", "revoked", number.as_str(), key];
            let reason = table.reason.filter(|reason| !reason.trim().is_empty());
            for (name, is_absent) in [
                ("versions", table.versions.is_none()),
                ("reason", reason.is_none()),
            ] {
                if is_absent && entry(self.table, &key(name)).is_none() {
                    let message = format!("`{name}` is missing in [[lifecycle.revoked]]");
                    self.error(&at, "spec.missing", message);
                }
            }
            if let (Some(versions), Some(reason)) = (table.versions, reason) {
                let replacement = table.replacement.map(|version| version.0);
                if replacement
                    .as_ref()
                    .is_some_and(|one| versions.0.matches(one))
                {
                    let message = "the replacement is revoked by the same table";
                    self.error(&key("replacement"), "spec.value", message);
                }
                revoked.push(RevokedVersions {
                    versions: versions.0,
                    reason,
                    replacement,
                    from: table.from,
                });
            }
        }
        LifecycleRules {
            end_of_life: table.eol,
            warn_before: table.warn_before.map_or(DEFAULT_NOTICE, |days| days.0),
            revoked,
        }
    }

    /// Checks a repository of packages. None if a key of its table is missing.
    fn repository(
        &mut self,
        number: usize,
        table: PackageRepositoryTable,
        family: Option<Family>,
    ) -> Option<PackageRepository<KeyRequest>> {
        let number = number.to_string();
        let at = ["packages", "repository", number.as_str()];
        let key = |key: &'static str| ["packages", "repository", number.as_str(), key];
        for (name, value) in [("url", &table.url), ("key", &table.key)] {
            if value.is_none() && entry(self.table, &key(name)).is_none() {
                let message = format!("`{name}` is missing in [[packages.repository]]");
                self.error(&at, "spec.missing", message);
            }
        }
        let (url, path) = (table.url?, table.key?);
        let repository = PackageRepository {
            url,
            suite: table.suite,
            components: table.components,
            key: KeyRequest {
                directory: self.directory(&key("key")),
                location: self.location(&key("key")),
                path,
            },
        };
        if let Err((name, message)) = package_sources::check(&repository, family) {
            self.error(&key(name), "spec.value", message);
        }
        Some(repository)
    }

    /// Reports a package that is in both `install` and `remove`, with both locations.
    fn contradiction(&mut self, entry: &str, installed: usize, removed: usize) {
        let message = format!(
            "`{}` is in both `install` and `remove`",
            packages::name(entry)
        );
        let entries = [("remove", removed), ("install", installed)];
        let spans = entries.map(|(key, n)| self.span(&["packages", key, &n.to_string()]));
        let [remove, install] = spans;
        let diagnostic = self.files.at(
            Diagnostic::error("spec.packages", message),
            &remove,
            "removed here",
        );
        let diagnostic = self.files.at(diagnostic, &install, "installed here");
        self.found
            .push(diagnostic.help("delete one of the two entries"));
    }

    /// The files that the spec names.
    fn requests(
        &mut self,
        template: Option<String>,
        files: Vec<FileTable>,
        trust: Vec<String>,
    ) -> SpecRequests {
        let files = files.into_iter().enumerate();
        let trust = trust.into_iter().enumerate();
        SpecRequests {
            source: self.files.image.clone(),
            template,
            files: files.filter_map(|(n, file)| self.file(n, file)).collect(),
            trust: trust.map(|(n, pattern)| self.trust(n, pattern)).collect(),
            location: self.location(&["image", "name"]),
            base_location: self.location(&["image", "base"]),
        }
    }

    /// The options of `[certs]`. A variable that the spec sets or removes keeps its value.
    fn trust_options(
        &mut self,
        certs: &CertsTable,
        env: &indexmap::IndexMap<String, OrDropped<EnvValue>>,
        family: Option<(Family, FamilySource)>,
    ) -> TrustOptions {
        if certs.java && family == Some((Family::Static, FamilySource::Spec)) {
            let message = "the family `static` has no shell to run keytool in";
            self.error(&["certs", "java"], "spec.value", message);
        }
        let variables = if certs.env {
            let mut variables = TrustOptions::VARIABLES.to_vec();
            variables.retain(|name| !env.contains_key(*name));
            variables
        } else {
            Vec::new()
        };
        TrustOptions {
            java: certs.java,
            variables,
        }
    }

    fn trust(&self, number: usize, pattern: String) -> TrustRequest {
        let path = ["certs", "trust", &number.to_string()];
        TrustRequest {
            directory: self.directory(&path),
            location: self.location(&path),
            pattern,
        }
    }

    fn file(&mut self, number: usize, spec: FileTable) -> Option<FileRequest> {
        let number = number.to_string();
        let at = ["files", number.as_str()];
        let key = |key: &'static str| ["files", number.as_str(), key];
        let Some(written) = spec.target else {
            if entry(self.table, &key("target")).is_none() {
                self.error(&at, "spec.missing", "`target` is missing in [[files]]");
            }
            return None;
        };
        let (target, into) = match target::normalised(&written) {
            Ok(normal) => normal,
            Err(message) => {
                self.error(&key("target"), "spec.value", message);
                return None;
            }
        };
        let (content, location) = match (spec.source, spec.content) {
            (Some(_), Some(_)) => {
                self.error(
                    &at,
                    "spec.value",
                    "a [[files]] entry has either `source` or `content`, not both",
                );
                return None;
            }
            (Some(pattern), None) => {
                let directory = self.directory(&key("source"));
                (
                    FileContent::Source { directory, pattern },
                    self.location(&key("source")),
                )
            }
            (None, Some(_)) if into => {
                let message =
                    format!("`{written}` is a directory; `content` needs the path of a file");
                self.error(&key("target"), "spec.value", message);
                return None;
            }
            (None, Some(content)) => (
                FileContent::Content(content),
                self.location(&key("content")),
            ),
            (None, None) if into => (FileContent::Directory, self.location(&key("target"))),
            (None, None) => {
                let diagnostic = Diagnostic::error(
                    "spec.missing",
                    "a [[files]] entry needs `source` or `content`",
                );
                self.report(
                    &at,
                    diagnostic.help(
                        "an entry with only a `target` that ends in `/` creates an empty directory",
                    ),
                );
                return None;
            }
        };
        let owner = spec.owner.map_or(FileOwner::ROOT, owner);
        Some(FileRequest {
            content,
            target,
            into,
            mode: spec.mode.map(|mode| mode.0),
            owner,
            location,
        })
    }

    fn run(&mut self, steps: Vec<crate::config_files::image::RunTable>) -> Vec<RunStep> {
        let mut all = Vec::new();
        for (n, step) in steps.into_iter().enumerate() {
            let n = n.to_string();
            if let Some(user) = &step.user {
                self.user(&["run", &n, "user"], user);
            }
            for (m, secret) in step.secrets.iter().enumerate() {
                let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
                if secret.is_empty() || secret.starts_with('.') || !secret.bytes().all(plain) {
                    let message = format!(
                        "`{secret}` is not the name of a secret (letters, digits, `_`, `-`, `.`)"
                    );
                    self.error(
                        &["run", &n, "secrets", &m.to_string()],
                        "spec.value",
                        message,
                    );
                }
            }
            match step.script {
                Some(script) if script.trim().is_empty() => {
                    self.error(
                        &["run", &n, "script"],
                        "spec.value",
                        "a script cannot be empty",
                    );
                }
                Some(script) => {
                    all.push(RunStep {
                        name: step.name,
                        script,
                        user: step.user,
                        secrets: step.secrets,
                        ssh: step.ssh,
                        location: Some(self.location(&["run", &n])),
                    });
                }
                None if entry(self.table, &["run", &n, "script"]).is_none() => {
                    self.error(
                        &["run", &n],
                        "spec.missing",
                        "`script` is missing in [[run]]",
                    );
                }
                None => {}
            }
        }
        all
    }
}

fn owner(spec: OwnerSpec) -> FileOwner {
    let number = |text: &str| text.parse::<u32>().ok();
    match (number(&spec.user), spec.group.as_deref().map(number)) {
        (Some(uid), Some(Some(gid))) => FileOwner::Numeric { uid, gid },
        // As in Docker's --chown, one number is both the user and the group.
        (Some(uid), None) => FileOwner::Numeric { uid, gid: uid },
        _ => FileOwner::Named {
            user: spec.user,
            group: spec.group,
        },
    }
}
