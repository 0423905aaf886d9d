//! Determines the family of each image whose packages or certificates depend on it. The spec
//! decides; otherwise golden reads the base. The table of repository names is used only if the base
//! cannot be read or shows no family.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};

use crate::assemble::Traits;
use crate::engine::embedded::{Embedded, Error as Unreadable};
use crate::event::Events;
use crate::platform::Platform;
use crate::resolve::image::{Base, Family, FamilySource, ResolvedImage};

use crate::resolve::pin::{self, ParentIndex, PinnedBase};
use crate::resolve::{package_sources, packages};
use crate::snapshot::Observed;

/// The number of bases that are read in parallel. Each can have layers with large indexes.
const AT_ONCE: usize = 2;

/// The reason why the family of an image cannot be determined, or does not fit the image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither the spec nor the base shows the family.
    #[error("{image}: the family of its base {base} is unknown: {because}")]
    Unknown {
        /// Display name of the image.
        image: String,
        /// The reference of the base.
        base: String,
        /// The distribution of the base, or the reason why it cannot be read.
        because: String,
    },
    /// The spec has packages, but the base has no package manager.
    #[error("{image}: its base {base} has no package manager")]
    NoPackageManager {
        /// Display name of the image.
        image: String,
        /// The reference of the base.
        base: String,
    },
    /// The spec adds certificates to Java keystores, but the base has no shell to run keytool in.
    #[error("{image}: [certs] java = true: its base {base} has no shell to run keytool in")]
    NoKeytool {
        /// Display name of the image.
        image: String,
        /// The reference of the base.
        base: String,
    },
    /// A tool has to run, but the base has no shell.
    #[error(
        "{image}: {what} needs the tools of the family {}, but its base {base} has no /bin/sh to run them",
        .family.as_str()
    )]
    NoShell {
        /// Display name of the image.
        image: String,
        /// The reference of the base.
        base: String,
        /// The section of the spec: `[certs]` or `[packages]`.
        what: &'static str,
        /// The family that the spec names.
        family: Family,
    },
    /// The family of the base does not accept the name of a package.
    #[error("{image}: [packages]: {refusal}")]
    Package {
        /// Display name of the image.
        image: String,
        /// The problem of the name.
        refusal: packages::PackageError,
    },
    /// The family of the base does not support a key of `[packages]` or of its repositories.
    #[error("{image}: [packages]: {key}: {message}")]
    PackageSource {
        /// Display name of the image.
        image: String,
        /// The key that the family does not support.
        key: &'static str,
        /// The problem.
        message: String,
    },
    /// The base cannot be resolved.
    #[error(transparent)]
    Pin(#[from] pin::Error),
}

impl Error {
    /// Hints for the user, one line each.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Unknown { .. } => {
                vec!["set family = \"debian\", \"alpine\", \"rhel\" or \"static\" in [image]".to_owned()]
            }
            Self::NoPackageManager { .. } => {
                vec!["use another base, or set `family` in [image]".to_owned()]
            }
            Self::NoShell { what: "[certs]", .. } => vec![
                "set family = \"static\" in [image]: golden then appends the certificates to the bundle of the base"
                    .to_owned(),
            ],
            Self::NoKeytool { .. } => vec![
                "remove `java` from [certs], or use a base with a shell and a JDK".to_owned(),
            ],
            Self::NoShell { .. } => vec!["use a base with a shell and a package manager".to_owned()],
            Self::Package { refusal, .. } => refusal.help().into_iter().collect(),
            Self::PackageSource { .. } | Self::Pin(_) => Vec::new(),
        }
    }
}

/// The warnings to report when an image is built, by position of the image.
pub type Warnings = BTreeMap<usize, Vec<String>>;

/// Sets the family of each image to the family of its base. `images` lists parents before their
/// children. Fails if a family is unknown, or if packages or certificates are not possible on the
/// base.
pub async fn settle(
    images: &mut [ResolvedImage],
    observed: &Observed,
    embedded: &Embedded,
    events: &Events,
) -> Result<Warnings, Error> {
    let roots = roots(images);
    let mut bases: Vec<FamilyProbe> = Vec::new();
    let mut of_image: BTreeMap<usize, usize> = BTreeMap::new();
    for (position, image) in images
        .iter()
        .enumerate()
        .filter(|(_, image)| image.needs_family())
    {
        let root = &images[roots[position]];
        if matches!(root.base, Base::Scratch | Base::Workspace { .. }) {
            check_static(image, "scratch")?;
            continue;
        }
        let (base, platform) = (
            pin::pin(root, observed, None)?,
            image.platforms.first().cloned(),
        );
        let found = bases
            .iter()
            .position(|other| other.base == base && other.platform == platform);
        of_image.insert(position, found.unwrap_or(bases.len()));
        if found.is_none() {
            bases.push(FamilyProbe {
                base,
                platform,
                image: image.display(),
            });
        }
    }
    let read = bases.iter().map(|subject| subject.read(embedded, events));
    let read: Vec<_> = stream::iter(read).buffered(AT_ONCE).collect().await;
    let mut warnings = Warnings::new();
    for (position, base) in of_image {
        let name = bases[base].base.name().unwrap_or_default();
        let found = match &read[base] {
            Ok(traits) => decide(&mut images[position], &name, traits)?,
            Err(error) => decide_unread(&images[position], &name, error)?,
        };
        warnings.insert(position, found);
    }
    Ok(warnings)
}

/// A base whose family is read.
struct FamilyProbe {
    base: PinnedBase,
    platform: Option<Platform>,
    /// Display name of the image for events.
    image: String,
}

impl FamilyProbe {
    async fn read(&self, embedded: &Embedded, events: &Events) -> Result<Arc<Traits>, Unreadable> {
        embedded
            .traits(&self.base, self.platform.as_ref(), &self.image, events)
            .await
    }
}

/// For each image, the position of its root: the image of this workspace whose base is external. An
/// image with an external base is its own root.
fn roots(images: &[ResolvedImage]) -> Vec<usize> {
    let parents = ParentIndex::new(images.iter());
    let mut roots: Vec<usize> = Vec::with_capacity(images.len());
    for (position, image) in images.iter().enumerate() {
        let above = parents.of(image).filter(|parent| *parent < position);
        roots.push(above.map_or(position, |parent| roots[parent]));
    }
    roots
}

/// Sets the family of an image from the traits of its base. Returns the warnings to report when the
/// image is built.
fn decide(image: &mut ResolvedImage, base: &str, traits: &Traits) -> Result<Vec<String>, Error> {
    let display = image.display();
    let mut warnings = Vec::new();
    match (image.family_source, traits.family) {
        (FamilySource::Spec, Some(seen)) if seen != image.family => {
            let (seen, written) = (describe(seen), image.family.as_str());
            warnings.push(format!(
                "its spec has the family {written}, but its base {base} looks like {seen}"
            ));
        }
        (FamilySource::Spec | FamilySource::Name, None) | (FamilySource::Spec, Some(_)) => {}
        (_, Some(seen)) => image.set_family(seen),
        (_, None) => {
            let because = traits.distribution.as_deref().map_or_else(
                || "its os-release names no distribution".to_owned(),
                |name| format!("its os-release names {name}, which golden does not know"),
            );
            return Err(Error::Unknown {
                image: display,
                base: base.to_owned(),
                because,
            });
        }
    }
    let packages = &image.packages;
    check_static(image, base)?;
    if image.family != Family::Static && !traits.shell {
        let what = if image.has_packages() {
            "[packages]"
        } else {
            "[certs]"
        };
        return Err(Error::NoShell {
            image: display,
            base: base.to_owned(),
            what,
            family: image.family,
        });
    }
    let family = Some(image.family);
    let install = packages
        .install
        .iter()
        .map(|entry| packages::check_install(entry, family));
    let remove = packages
        .remove
        .iter()
        .map(|entry| packages::check_remove(entry, family));
    for checked in install.chain(remove) {
        checked.map_err(|refusal| Error::Package {
            image: display.clone(),
            refusal,
        })?;
    }
    check_sources(image)?;
    if !image.certificates.is_empty() && !image.trust.java {
        warnings.extend(
            traits
                .key_stores
                .iter()
                .map(|path| key_store(path, image.family)),
        );
    }
    Ok(warnings)
}

/// Fails if an image of the family `static` has a part that runs in a shell.
fn check_static(image: &ResolvedImage, base: &str) -> Result<(), Error> {
    let (display, base) = (image.display(), base.to_owned());
    match image.family {
        Family::Static if image.has_packages() => Err(Error::NoPackageManager {
            image: display,
            base,
        }),
        Family::Static if image.adds_to_keystores() => Err(Error::NoKeytool {
            image: display,
            base,
        }),
        _ => Ok(()),
    }
}

/// Fails if the family does not support the snapshot or a repository of `[packages]`.
fn check_sources(image: &ResolvedImage) -> Result<(), Error> {
    let refuse = |key, message| Error::PackageSource {
        image: image.display(),
        key,
        message,
    };
    if image.packages.snapshot.is_some() && image.family != Family::Debian {
        let family = image.family.as_str();
        let message = format!("the family `{family}` has no snapshot archives");
        return Err(refuse("snapshot", message));
    }
    for repository in &image.packages.repositories {
        package_sources::check(repository, Some(image.family))
            .map_err(|(key, message)| refuse(key, message))?;
    }
    Ok(())
}

/// The family that golden found, with the reason for `static`.
fn describe(family: Family) -> String {
    match family {
        Family::Static => "static: it has neither a package manager nor a trust tool".to_owned(),
        other => other.as_str().to_owned(),
    }
}

/// The warning about a Java keystore, which has its own list of certificates.
fn key_store(path: &str, family: Family) -> String {
    let next = if family == Family::Static {
        "add a keystore that has them with [[files]]"
    } else {
        "set java = true in [certs]"
    };
    format!(
        "{path} does not get the certificates of [certs], so Java programs do not trust them; {next}"
    )
}

/// Handles a base that cannot be read: the family comes from the table of repository names.
fn decide_unread(
    image: &ResolvedImage,
    base: &str,
    error: &Unreadable,
) -> Result<Vec<String>, Error> {
    match image.family_source {
        FamilySource::Unknown => {
            let because = format!("the base cannot be read: {error}");
            Err(Error::Unknown {
                image: image.display(),
                base: base.to_owned(),
                because,
            })
        }
        FamilySource::Name => Ok(vec![format!(
            "the family {} comes from the name of its base {base}, which cannot be read: {error}",
            image.family.as_str()
        )]),
        FamilySource::Spec | FamilySource::Base => Ok(Vec::new()),
    }
}
