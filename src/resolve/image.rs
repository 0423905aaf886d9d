//! [`ResolvedImage`]: an image of the workspace whose parent, files and provenance are known. All
//! its paths are absolute or relative to the workspace. It does not contain data that needs the
//! network, such as the digest of the base.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::image_test::ImageTest;
use super::lifecycle::LifecycleRules;
pub use super::location::SpecLocation;
use crate::config_files::channel::ChannelSpec;
pub use crate::config_files::config::{Invocation, Protocol};
pub use crate::config_files::values::{EnvValue, Family};
use crate::oci::Content;
pub use crate::oci::config::Healthcheck;
use crate::platform::Platform;
use crate::reference::{Digest, Reference, RepositoryPath, Tag};
use crate::tags::{TagRules, Variant, Withdrawn};

/// An image of the workspace with all its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedImage {
    /// The repository path below the registry's namespace.
    pub name: RepositoryPath,
    /// The path of its `image.toml`, relative to the workspace, separated by `/`.
    pub source: PathBuf,
    /// The values of its matrix row, by axis; empty if there is no matrix.
    pub row: BTreeMap<String, String>,
    /// The version in the spec.
    pub version: semver::Version,
    /// The suffix of its tags, such as `alpine` in `1.2.0-alpine`.
    pub variant: Option<Variant>,
    /// One line about the image; it fills the description label.
    pub description: Option<String>,
    /// The base image, or `scratch`.
    pub base: Base,
    /// The family of the base's distribution: package manager and trust store.
    pub family: Family,
    /// The source that the family is known from.
    pub family_source: FamilySource,
    /// The name of the Dockerfile template.
    pub template: String,
    /// True if the spec names the template. Otherwise the family determines it.
    pub template_written: bool,
    /// The platforms to build for; empty means the engine's own.
    pub platforms: Vec<Platform>,
    /// All labels except those from [`Provenance`], `base.digest` and `dev.golden.inputs`.
    pub labels: BTreeMap<String, String>,
    /// The standard labels that the spec drops with `KEY = false`.
    pub suppressed_labels: BTreeSet<String>,
    /// The environment in the order of the spec, defaults first.
    pub env: Vec<(String, EnvValue)>,
    /// The runtime config of the containers.
    pub config: Config,
    /// The certificates to trust, sorted by file and position in the file.
    pub certificates: Vec<Certificate>,
    /// The programs with a trust store of their own that also get the certificates.
    pub trust: TrustOptions,
    /// The packages to install and to remove.
    pub packages: Packages,
    /// The files, expanded: one entry for each file, directory and symbolic link. They keep the
    /// order of the spec and are sorted within one `[[files]]` entry.
    pub files: Vec<FileEntry>,
    /// The steps to run, in order.
    pub run: Vec<RunStep>,
    /// The rules for its tags. They withdraw the versions that any spec of the image withdraws.
    pub tags: TagRules,
    /// The versions that its own spec withdraws.
    pub own_withdrawn: Vec<Withdrawn>,
    /// The conditions that must hold before a tag moves; not part of the image's identity.
    pub tests: Vec<ResolvedTest>,
    /// The end of life, and the revoked versions.
    pub lifecycle: LifecycleRules,
    /// The channels, by their tags without the suffix of the variant.
    pub channels: BTreeMap<Tag, ChannelSpec>,
    /// The origin and time of the inputs; not part of the image's identity.
    pub provenance: Provenance,
    /// The locations of parts of its spec, for messages; not part of the image's identity.
    pub locations: SpecLocations,
}

/// A test whose certificates are read.
pub type ResolvedTest = ImageTest<Vec<Certificate>>;

/// The locations of parts of an image's spec. A part that is not written has none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SpecLocations {
    /// The location of `base`.
    pub base: Option<SpecLocation>,
    /// The location of `[packages]`.
    pub packages: Option<SpecLocation>,
    /// The location of `[certs]`.
    pub certificates: Option<SpecLocation>,
    /// The location of `[[files]]`.
    pub files: Option<SpecLocation>,
}

/// The display name of an image: name, version and variant.
pub(super) fn display(
    name: &RepositoryPath,
    version: &semver::Version,
    variant: Option<&Variant>,
) -> String {
    match variant {
        Some(variant) => format!("{name}:{version}-{variant}"),
        None => format!("{name}:{version}"),
    }
}

impl ResolvedImage {
    /// The display name: name, version and variant, such as `dotnet/aspnet:3.0.1-alpine`.
    #[must_use]
    pub fn display(&self) -> String {
        display(&self.name, &self.version, self.variant.as_ref())
    }

    /// The key of its packages in golden.lock: the name, and its matrix row or its variant. The
    /// version is not a part of it.
    #[must_use]
    pub fn lock_key(&self) -> String {
        let row = self.row.iter();
        let mut words: Vec<String> = row.map(|(axis, value)| format!("{axis}={value}")).collect();
        if words.is_empty() {
            words.extend(self.variant.as_ref().map(ToString::to_string));
        }
        words.insert(0, self.name.to_string());
        words.join(" ")
    }

    /// The next step for a user who must give the image another version.
    #[must_use]
    pub fn version_hint(&self, next: &semver::Version) -> String {
        format!(
            "set version = \"{next}\" in {} (or `golden bump {} {next}`)",
            self.source.display(),
            self.name
        )
    }

    /// True if the result depends on the family: it has packages or certificates.
    #[must_use]
    pub fn needs_family(&self) -> bool {
        !self.certificates.is_empty() || self.has_packages()
    }

    /// True if the spec installs or removes packages.
    #[must_use]
    pub const fn has_packages(&self) -> bool {
        !self.packages.is_empty()
    }

    /// Sets the family detected in the base, and its template unless the spec names one.
    pub fn set_family(&mut self, family: Family) {
        self.family = family;
        self.family_source = FamilySource::Base;
        if !self.template_written {
            family.as_str().clone_into(&mut self.template);
        }
    }

    /// True if the build runs commands in containers, so that it needs an engine.
    #[must_use]
    pub fn needs_execution(&self) -> bool {
        self.has_packages() || !self.run.is_empty() || self.adds_to_keystores()
    }

    /// The secrets that the steps require, and the ssh agent.
    pub fn step_needs(&self) -> impl Iterator<Item = StepNeed> {
        self.run.iter().flat_map(|step| {
            let secrets = step.secrets.iter().cloned().map(StepNeed::Secret);
            secrets.chain(step.ssh.then_some(StepNeed::Ssh))
        })
    }

    /// True if the keystores of the JDKs in the image get certificates.
    #[must_use]
    pub fn adds_to_keystores(&self) -> bool {
        self.trust.java && !self.certificates.is_empty()
    }

    /// The environment of the image: that of the spec, and the variables that lead programs to the
    /// bundle with the certificates.
    #[must_use]
    pub fn environment(&self) -> Cow<'_, [(String, EnvValue)]> {
        if self.certificates.is_empty() || self.trust.variables.is_empty() {
            return Cow::Borrowed(&self.env);
        }
        let bundle = EnvValue::Set(self.family.bundle().to_owned());
        let variables = self.trust.variables.iter();
        let to_bundle = variables.map(|name| ((*name).to_owned(), bundle.clone()));
        Cow::Owned(self.env.iter().cloned().chain(to_bundle).collect())
    }
}

#[cfg(test)]
impl ResolvedImage {
    /// An image without content, for tests.
    pub(crate) fn empty(family: Family, base: Base) -> Self {
        let unnamed = |error| unreachable!("the name is valid: {error:?}");
        Self {
            name: "team/app".parse().unwrap_or_else(unnamed),
            source: "app/image.toml".into(),
            row: BTreeMap::new(),
            version: semver::Version::new(1, 2, 3),
            variant: None,
            description: None,
            base,
            family,
            family_source: FamilySource::Spec,
            template: family.as_str().to_owned(),
            template_written: false,
            platforms: Vec::new(),
            labels: BTreeMap::new(),
            suppressed_labels: BTreeSet::new(),
            env: Vec::new(),
            config: Config::default(),
            certificates: Vec::new(),
            trust: TrustOptions::default(),
            packages: Packages::default(),
            files: Vec::new(),
            run: Vec::new(),
            tags: TagRules::default(),
            own_withdrawn: Vec::new(),
            tests: Vec::new(),
            lifecycle: LifecycleRules::default(),
            channels: BTreeMap::new(),
            provenance: Provenance::default(),
            locations: SpecLocations::default(),
        }
    }
}

/// The base that an image is built on. `L` and `V` are what is known of a layout and of the variant
/// of a parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base<L = Layout, V = Option<Variant>> {
    /// The empty base, `scratch`.
    Scratch,
    /// An image of a registry, or of the engine if the registry does not have it.
    Reference(Reference),
    /// An image of an OCI layout in the workspace.
    Layout(L),
    /// The highest tag of a repository that matches a requirement. golden.lock or the registry
    /// determines it.
    Requirement {
        /// The repository, without tag and digest.
        repository: crate::reference::Repository,
        /// A version requirement in Cargo's syntax, as written.
        requirement: crate::tags::Requirement,
    },
    /// Another image of this workspace, which is built first.
    Workspace {
        /// The name of the parent.
        name: RepositoryPath,
        /// The requirement on the parent's version, if the spec has one.
        requirement: Option<crate::tags::Requirement>,
        /// The variant of the parent; None for a parent without a variant.
        variant: V,
    },
}

impl<L, V> Base<L, V> {
    /// Converts what is known of a layout and of a variant. Fails if `layout` fails.
    pub fn map<M, W, E>(
        self,
        layout: impl FnOnce(L) -> Result<M, E>,
        variant: impl FnOnce(V) -> W,
    ) -> Result<Base<M, W>, E> {
        Ok(match self {
            Self::Scratch => Base::Scratch,
            Self::Reference(reference) => Base::Reference(reference),
            Self::Layout(known) => Base::Layout(layout(known)?),
            Self::Requirement {
                repository,
                requirement,
            } => Base::Requirement {
                repository,
                requirement,
            },
            Self::Workspace {
                name,
                requirement,
                variant: known,
            } => Base::Workspace {
                name,
                requirement,
                variant: variant(known),
            },
        })
    }
}

/// An image that was found in an OCI layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The base as it is written in the spec.
    pub written: String,
    /// The image's name in the layout, if the spec names one.
    pub name: Option<String>,
    /// The layout's absolute path.
    pub directory: PathBuf,
    /// The media type of the manifest or index that `digest` identifies.
    pub media_type: String,
    /// The digest of the manifest or index.
    pub digest: Digest,
    /// True if the spec contains the digest.
    pub pinned: bool,
    /// The digest of each platform's manifest, once the base is pinned; empty for a single image.
    pub platforms: BTreeMap<Platform, Digest>,
}

impl Layout {
    /// The image's name in a Docker Engine, which can build only on images in its own store.
    #[must_use]
    pub fn local_name(&self) -> String {
        format!("localhost/golden/base:{}", self.digest.hex())
    }
}

/// The source that the family of an image is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FamilySource {
    /// The spec of the image or of its parent, or the base `scratch`.
    #[default]
    Spec,
    /// The table of repository names. The content of the base confirms or corrects it.
    Name,
    /// The content of the base.
    Base,
    /// None yet: only the content of the base can show the family.
    Unknown,
}

/// The runtime config. `None` keeps the value of the base.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Config {
    /// Ports in their written order, without duplicates; ranges are expanded.
    pub expose: Vec<Port>,
    /// The user as written: a name or number, with an optional group.
    pub user: Option<String>,
    /// The working directory, an absolute path.
    pub workdir: Option<String>,
    /// The entrypoint; setting it clears an inherited cmd.
    pub entrypoint: Option<Invocation>,
    /// The command.
    pub cmd: Option<Invocation>,
    /// The volumes, absolute paths.
    pub volumes: Vec<String>,
    /// The stop signal, such as `SIGTERM` or `15`.
    pub stop_signal: Option<String>,
    /// The shell for entrypoint and cmd in shell form.
    pub shell: Option<Vec<String>>,
    /// The health check.
    pub healthcheck: Option<Healthcheck>,
}

/// A port with its protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Port {
    /// A number from 1 to 65535.
    pub number: u16,
    /// The transport protocol; TCP by default.
    pub protocol: Protocol,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol.as_str())
    }
}

/// One certificate to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The path of its file, relative to the workspace, separated by `/`.
    pub file: PathBuf,
    /// The file name in the image's trust store: unique in the image, `[a-z0-9._-]+`, ending in
    /// `.crt`.
    pub name: String,
    /// Exactly one PEM block, with a newline at the end.
    pub pem: String,
    /// The decoded content of the PEM block.
    pub der: Vec<u8>,
    /// The end of its validity, in seconds since 1970.
    pub not_after: i64,
    /// Its subject, for display.
    pub subject: String,
}

impl Certificate {
    /// A file name for the trust store, derived from the name of the source file. `number` is the
    /// position of the certificate in that file, from 0.
    #[must_use]
    pub fn file_name(file: &Path, number: usize) -> String {
        let stem = file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
                c
            } else {
                '-'
            }
        };
        let stem: String = stem.chars().map(plain).collect();
        let stem = stem.trim_matches(['.', '-']);
        let stem = if stem.is_empty() { "certificate" } else { stem };
        if number == 0 {
            format!("{stem}.crt")
        } else {
            format!("{stem}-{}.crt", number + 1)
        }
    }
}

/// The programs with a trust store of their own that also get the certificates of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustOptions {
    /// True if the keystores of the JDKs in the image get the certificates.
    pub java: bool,
    /// The variables to set to the path of the bundle.
    pub variables: Vec<&'static str>,
}

impl TrustOptions {
    /// The variables in which programs look for a bundle: OpenSSL and Go, Python's requests, Node
    /// and git.
    pub const VARIABLES: [&'static str; 4] = [
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
        "GIT_SSL_CAINFO",
    ];
}

/// The packages of an image. `K` is what is known of the keys of the repositories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Packages<K = PackageKey> {
    /// The packages to install, with versions in the syntax of the package manager.
    pub install: Vec<String>,
    /// The packages to remove.
    pub remove: Vec<String>,
    /// True if the packages of the base are updated.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub upgrade: bool,
    /// The date of the snapshot archives, such as `2026-11-20`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// The additional repositories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<PackageRepository<K>>,
    /// The versions in golden.lock, by package. A new version makes a new build.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub locked: BTreeMap<String, String>,
}

/// A repository of packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageRepository<K = PackageKey> {
    /// The URL.
    pub url: String,
    /// apt: the suite.
    pub suite: Option<String>,
    /// apt: the components.
    pub components: Vec<String>,
    /// The public key that signs the repository.
    pub key: K,
}

/// The public key of a repository of packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageKey {
    /// The name of the file. apk finds the key by this name.
    pub file: String,
    /// The content of the file.
    pub content: Content,
}

impl Serialize for PackageKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.file, self.content.digest()).serialize(serializer)
    }
}

impl<K> Default for Packages<K> {
    fn default() -> Self {
        Self {
            install: Vec::new(),
            remove: Vec::new(),
            upgrade: false,
            snapshot: None,
            repositories: Vec::new(),
            locked: BTreeMap::new(),
        }
    }
}

impl<K> Packages<K> {
    /// True if the packages of the base remain as they are, and no repository is added.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.install.is_empty()
            && self.remove.is_empty()
            && !self.upgrade
            && self.repositories.is_empty()
    }

    /// Replaces the keys. Fails if `read` fails for a key.
    pub fn with_keys<L, E>(
        self,
        mut read: impl FnMut(K) -> Result<L, E>,
    ) -> Result<Packages<L>, E> {
        let with_key = |repository: PackageRepository<K>| {
            Ok(PackageRepository {
                url: repository.url,
                suite: repository.suite,
                components: repository.components,
                key: read(repository.key)?,
            })
        };
        Ok(Packages {
            install: self.install,
            remove: self.remove,
            upgrade: self.upgrade,
            snapshot: self.snapshot,
            repositories: self
                .repositories
                .into_iter()
                .map(with_key)
                .collect::<Result<_, E>>()?,
            locked: self.locked,
        })
    }
}

/// The owner of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum FileOwner {
    /// Numeric ids.
    Numeric {
        /// The user id.
        uid: u32,
        /// The group id.
        gid: u32,
    },
    /// Names that the base resolves; one of them may be a number.
    Named {
        /// The user's name.
        user: String,
        /// The group; None means the primary group of the user.
        group: Option<String>,
    },
}

impl FileOwner {
    /// The owner 0:0.
    pub const ROOT: Self = Self::Numeric { uid: 0, gid: 0 };
}

/// A file, directory or symbolic link to place into the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// The absolute path in the image, normalised: starts with `/`, no `.`, `..`, `//`, no trailing
    /// `/`.
    pub path: String,
    /// Permission bits with set-id and sticky, such as 0o644.
    pub mode: u32,
    /// The owner, by number or by name.
    pub owner: FileOwner,
    /// The type and the content.
    pub kind: FileKind,
    /// The file name to use if `path` is a directory in the base. Set for a single file whose
    /// target does not end in `/`.
    pub name_inside: Option<String>,
    /// The source for error messages: a path of the workspace, or `content`. Not part of the
    /// identity.
    pub origin: String,
}

impl FileEntry {
    /// Makes an entry for exactly this path.
    pub fn new(
        path: impl Into<String>,
        mode: u32,
        owner: FileOwner,
        kind: FileKind,
        origin: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into(),
            mode,
            owner,
            kind,
            name_inside: None,
            origin: origin.into(),
        }
    }
}

/// The type and content of a [`FileEntry`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file with its content.
    File(Content),
    /// A directory.
    Directory,
    /// A symbolic link with its target, unchanged from disk.
    Symlink(String),
}

/// A step to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunStep {
    /// The name of the step, for display.
    pub name: Option<String>,
    /// The script, given to `/bin/sh -ec`.
    pub script: String,
    /// The user that runs it; None means root.
    pub user: Option<String>,
    /// The names of the secrets that are mounted at /run/secrets/NAME.
    pub secrets: Vec<String>,
    /// True if the ssh agent is forwarded to it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ssh: bool,
    /// The location of the step, for messages. Not part of the identity.
    #[serde(skip)]
    pub location: Option<SpecLocation>,
}

/// A possession of the user that a step requires during the build. It is not part of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepNeed {
    /// The secret with this name.
    Secret(String),
    /// The ssh agent.
    Ssh,
}

impl fmt::Display for StepNeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(name) => write!(f, "the secret `{name}`"),
            Self::Ssh => f.write_str("the ssh agent"),
        }
    }
}

/// The origin and time of an image's inputs. They become labels and are never part of the identity.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Provenance {
    /// Seconds since 1970: `SOURCE_DATE_EPOCH`, else the time of the last commit that changed the
    /// image's inputs, else 0.
    pub created: i64,
    /// The id of that commit, with `-dirty` if the inputs differ from it.
    pub revision: Option<String>,
    /// The URL of the git remote, without user information, query and fragment.
    pub source: Option<String>,
    /// The commit that is checked out.
    pub head: Option<String>,
    /// The directory of the workspace in the repository, with a slash at the end; empty for its top.
    pub directory: String,
}
