//! [`ResolvedImage`]: an image of the workspace after defaults, matrix and templates. Nothing in it is a
//! template, a default or a relative path any more; what still needs the network (the base's digest) is not in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::oci::Content;
use crate::platform::Platform;
use crate::reference::{Digest, Reference, RepositoryPath};
use crate::tags::{TagRules, Variant};

/// An image to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedImage {
    /// The repository path below the registry's namespace.
    pub name: RepositoryPath,
    /// The `image.toml` it comes from, relative to the workspace, `/`-separated.
    pub source: PathBuf,
    /// The matrix row it comes from, axis by axis; empty without a matrix.
    pub row: BTreeMap<String, String>,
    /// The version.
    pub version: semver::Version,
    /// The tag suffix.
    pub variant: Option<Variant>,
    /// The description.
    pub description: Option<String>,
    /// What it is built on.
    pub base: Base,
    /// The family of the base's distribution: package manager and trust store.
    pub family: Family,
    /// The source of the family.
    pub family_source: FamilySource,
    /// The name of the Dockerfile template.
    pub template: String,
    /// Whether the spec names the template. Otherwise it is that of the family.
    pub template_written: bool,
    /// The platforms; empty means the engine's own.
    pub platforms: Vec<Platform>,
    /// Labels, own and filled in, but without those of [`Provenance`], `base.digest` and `dev.golden.inputs`.
    pub labels: BTreeMap<String, String>,
    /// Labels that are filled in as a rule and that the spec dropped with `KEY = false`.
    pub suppressed_labels: BTreeSet<String>,
    /// Environment in its order, defaults first.
    pub env: Vec<(String, EnvValue)>,
    /// The runtime config.
    pub config: Config,
    /// Certificates to trust, one an entry, sorted by file and position in it.
    pub certificates: Vec<Certificate>,
    /// Packages.
    pub packages: Packages,
    /// Files, expanded: one entry each file, folder and symbolic link, in the order of the spec, sorted within one `[[files]]`.
    pub files: Vec<FileEntry>,
    /// Steps to run, in order.
    pub run: Vec<RunStep>,
    /// Rules for tags.
    pub tags: TagRules,
    /// Where and when the spec comes from; not part of the image's identity.
    pub provenance: Provenance,
}

impl ResolvedImage {
    /// What people call it: the name, the version and the variant, `dotnet/aspnet:3.0.1-alpine`.
    #[must_use]
    pub fn display(&self) -> String {
        match &self.variant {
            Some(variant) => format!("{}:{}-{variant}", self.name, self.version),
            None => format!("{}:{}", self.name, self.version),
        }
    }

    /// Whether the family decides what is made: only packages and certificates depend on it.
    #[must_use]
    pub fn needs_family(&self) -> bool {
        !self.certificates.is_empty() || self.has_packages()
    }

    /// Whether the spec names packages.
    #[must_use]
    pub const fn has_packages(&self) -> bool {
        !self.packages.install.is_empty() || !self.packages.remove.is_empty()
    }

    /// Gives the image the family that its base shows, and the template of that family unless the spec names one.
    pub fn set_family(&mut self, family: Family) {
        self.family = family;
        self.family_source = FamilySource::Base;
        if !self.template_written {
            family.as_str().clone_into(&mut self.template);
        }
    }

    /// Whether something must be executed to make it, so that only an engine with containers can.
    #[must_use]
    pub fn needs_execution(&self) -> bool {
        self.has_packages() || !self.run.is_empty()
    }
}

#[cfg(test)]
impl ResolvedImage {
    /// An image with nothing in it, for tests.
    pub(crate) fn empty(family: Family, base: Base) -> Self {
        let unnamed = |error| unreachable!("this is a name: {error:?}");
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
            packages: Packages::default(),
            files: Vec::new(),
            run: Vec::new(),
            tags: TagRules::default(),
            provenance: Provenance::default(),
        }
    }
}

/// What an image is built on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// An image of a registry (or, when it has none, of the engine).
    Reference(Reference),
    /// An image of an OCI layout of the workspace.
    Layout(Layout),
    /// The highest tag of a repository that a requirement admits (golden.lock, or the registry, tells which).
    Requirement {
        /// The repository, without tag and digest.
        repository: crate::reference::Repository,
        /// A Cargo-style requirement, as written.
        requirement: crate::tags::Requirement,
    },
    /// Another image of this workspace, which builds first.
    Workspace {
        /// Its name.
        name: RepositoryPath,
        /// A requirement on its version.
        requirement: Option<crate::tags::Requirement>,
        /// The variant to take; the same one as the child's row or none.
        variant: Option<Variant>,
    },
}

/// An image of an OCI layout, found in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The base as it is written.
    pub written: String,
    /// The image's name in the layout, when one is written.
    pub name: Option<String>,
    /// The layout's absolute path.
    pub directory: PathBuf,
    /// What `digest` is of: a manifest's or an index's media type.
    pub media_type: String,
    /// The digest of the manifest or index.
    pub digest: Digest,
    /// Whether that digest is written.
    pub pinned: bool,
}

impl Layout {
    /// What the image is called in a Docker Engine, which can build on no other than its own.
    #[must_use]
    pub fn local_name(&self) -> String {
        format!("localhost/golden/base:{}", self.digest.hex())
    }
}

/// The family of a distribution.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// apt: Debian, Ubuntu and what is built on them.
    Debian,
    /// apk: Alpine, Wolfi.
    Alpine,
    /// dnf, microdnf, yum: Red Hat, Fedora, UBI, Rocky, Alma.
    Rhel,
    /// No package manager and no shell: scratch, distroless.
    Static,
}

/// The source of an image's family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FamilySource {
    /// The spec, of the image or of the one that it is built on; or the base is `scratch`.
    #[default]
    Spec,
    /// The table of repository names. The base shows whether it is right.
    Name,
    /// The base.
    Base,
    /// None: only the base can show it.
    Unknown,
}

impl Family {
    /// The name as specs write it, which is also the name of the family's template.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Alpine => "alpine",
            Self::Rhel => "rhel",
            Self::Static => "static",
        }
    }
}

/// The value of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EnvValue {
    /// This value.
    Set(String),
    /// The base's value with text before and after it.
    Extend {
        /// Put before it; may be empty.
        prepend: String,
        /// Put after it; may be empty.
        append: String,
    },
}

/// The runtime config. `None` means: what the base has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Config {
    /// Ports, normalised (`80/tcp`), sorted as they were written, without duplicates; ranges are expanded.
    pub expose: Vec<Port>,
    /// User.
    pub user: Option<String>,
    /// Working directory, absolute.
    pub workdir: Option<String>,
    /// Entrypoint; setting it clears an inherited cmd.
    pub entrypoint: Option<Invocation>,
    /// Command.
    pub cmd: Option<Invocation>,
    /// Volumes, absolute paths.
    pub volumes: Vec<String>,
    /// Stop signal.
    pub stop_signal: Option<String>,
    /// Shell for shell-form entrypoint and cmd.
    pub shell: Option<Vec<String>>,
    /// Health check.
    pub healthcheck: Option<Healthcheck>,
}

/// A port with its protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Port {
    /// 1 to 65535.
    pub number: u16,
    /// The protocol.
    pub protocol: Protocol,
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol.as_str())
    }
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// As the image config writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// An entrypoint or a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Invocation {
    /// Executed as it is.
    Exec(Vec<String>),
    /// Given to the image's shell.
    Shell(String),
}

/// A health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", "…"]`.
    pub test: Vec<String>,
    /// Time between two checks.
    pub interval: Option<Duration>,
    /// Time after which a check has failed.
    pub timeout: Option<Duration>,
    /// Time in which failures do not count.
    pub start_period: Option<Duration>,
    /// Failures in a row that make the container unhealthy.
    pub retries: Option<u32>,
}

impl Healthcheck {
    /// The check on a base that has this one: intervals and retries that the spec does not set are the base's, as with
    /// the classic builder, which cannot do otherwise.
    #[must_use]
    pub fn on(&self, base: Option<&crate::oci::config::Healthcheck>) -> Self {
        let Some(base) = base.filter(|_| self.test.first().is_some_and(|kind| kind != "NONE"))
        else {
            return self.clone();
        };
        // Zero means the engine's default, as if nothing were set.
        let time = |own: Option<Duration>, base| own.filter(|time| !time.is_zero()).or(base);
        Self {
            test: self.test.clone(),
            interval: time(self.interval, base.interval),
            timeout: time(self.timeout, base.timeout),
            start_period: time(self.start_period, base.start_period),
            retries: self.retries.filter(|retries| *retries > 0).or(base.retries),
        }
    }
}

/// One certificate to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The file it comes from, relative to the workspace, `/`-separated.
    pub file: PathBuf,
    /// A file name for the image's trust store, unique in the image, `[a-z0-9._-]+`, ending in `.crt`.
    pub name: String,
    /// Exactly one PEM block, with a newline at its end.
    pub pem: String,
    /// The DER inside.
    pub der: Vec<u8>,
    /// The end of its validity, seconds since 1970.
    pub not_after: i64,
    /// Its subject, for people.
    pub subject: String,
}

/// Packages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Packages {
    /// To install, with the manager's own version syntax.
    pub install: Vec<String>,
    /// To remove.
    pub remove: Vec<String>,
}

/// The owner of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum FileOwner {
    /// Numbers.
    Numeric {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// Names that the base knows; one of them may be a number.
    Named {
        /// User.
        user: String,
        /// Group; the user's own when none was written.
        group: Option<String>,
    },
}

impl FileOwner {
    /// 0:0.
    pub const ROOT: Self = Self::Numeric { uid: 0, gid: 0 };
}

/// A file, folder or symbolic link to place into the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// The absolute path in the image, normalised: starts with `/`, no `.`, `..`, `//`, no trailing `/`.
    pub path: String,
    /// Permission bits with set-id and sticky, such as 0o644.
    pub mode: u32,
    /// The owner.
    pub owner: FileOwner,
    /// What it is.
    pub kind: FileKind,
    /// The name it gets where `path` turns out to be a directory of the base: set for a single file whose target
    /// does not end in `/`.
    pub name_inside: Option<String>,
    /// What it is made from, for error messages: a path of the workspace, or `content`. Not part of the identity.
    pub origin: String,
}

impl FileEntry {
    /// An entry for exactly this path.
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

/// What a [`FileEntry`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File(Content),
    /// A folder.
    Directory,
    /// A symbolic link to this target, as it was on disk.
    Symlink(String),
}

/// A step to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunStep {
    /// What it does, for people.
    pub name: Option<String>,
    /// The script, given to `/bin/sh -ec`.
    pub script: String,
    /// The user that runs it; root when none is written.
    pub user: Option<String>,
    /// Secrets that it sees at /run/secrets/NAME.
    pub secrets: Vec<String>,
}

/// Where and when an image's inputs come from (7-rules 3). These become labels, and never part of the identity.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Provenance {
    /// Seconds since 1970: `SOURCE_DATE_EPOCH`, else the last commit that touched the image's inputs, else 0.
    pub created: i64,
    /// That commit, with `-dirty` when the inputs differ from it.
    pub revision: Option<String>,
    /// The remote, without user information, query and fragment.
    pub source: Option<String>,
}
