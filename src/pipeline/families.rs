//! The family of each image whose packages or certificates depend on it. The spec decides; otherwise the base is read,
//! and the table of repository names counts only where the base cannot be read or shows no family.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};

use crate::assemble::Traits;
use crate::engine::embedded::{Embedded, Error as Unreadable};
use crate::event::Events;
use crate::platform::Platform;
use crate::resolve::image::{Base, Family, FamilySource, ResolvedImage};
use crate::resolve::packages;
use crate::resolve::pin::{self, ParentIndex, PinnedBase};
use crate::snapshot::Observed;

/// How many bases are read at once. Each may have layers with large indexes.
const AT_ONCE: usize = 2;

/// Why the packages or certificates of an image cannot be settled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither the spec nor the base names the family.
    #[error("{image}: the family of its base {base} is unknown: {because}")]
    Unknown {
        /// The image.
        image: String,
        /// The base.
        base: String,
        /// What the base shows, or why it cannot be read.
        because: String,
    },
    /// Packages on a base without a package manager.
    #[error("{image}: its base {base} has no package manager")]
    NoPackageManager {
        /// The image.
        image: String,
        /// The base.
        base: String,
    },
    /// A tool has to run, and the base has no shell that could run it.
    #[error(
        "{image}: {what} needs the tools of the family {}, and its base {base} has no /bin/sh that could run them",
        .family.as_str()
    )]
    NoShell {
        /// The image.
        image: String,
        /// The base.
        base: String,
        /// `[certs]` or `[packages]`.
        what: &'static str,
        /// The family that the spec names.
        family: Family,
    },
    /// A package's name that the family of the base does not accept.
    #[error("{image}: [packages]: {refusal}")]
    Package {
        /// The image.
        image: String,
        /// Why it is refused.
        refusal: packages::PackageError,
    },
    /// A base that is not known.
    #[error(transparent)]
    Pin(#[from] pin::Error),
}

impl Error {
    /// What to do next.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Unknown { .. } => {
                vec!["write family = \"debian\", \"alpine\", \"rhel\" or \"static\" in [image]".to_owned()]
            }
            Self::NoPackageManager { .. } => {
                vec!["take another base, or write its family in [image]".to_owned()]
            }
            Self::NoShell { what: "[certs]", .. } => vec![
                "write family = \"static\" in [image]: golden then appends the certificates to the bundle of the base"
                    .to_owned(),
            ],
            Self::NoShell { .. } => vec!["take a base with a shell and a package manager".to_owned()],
            Self::Package { refusal, .. } => refusal.help().into_iter().collect(),
            Self::Pin(_) => Vec::new(),
        }
    }
}

/// What is to be reported when an image is built, by position.
pub type Warnings = BTreeMap<usize, Vec<String>>;

/// Gives images the families that their bases show. `images` has parents before their children.
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
        let told = match &read[base] {
            Ok(traits) => decide(&mut images[position], &name, traits)?,
            Err(error) => decide_unread(&images[position], &name, error)?,
        };
        warnings.insert(position, told);
    }
    Ok(warnings)
}

/// A base that is read, for an image of this name.
struct FamilyProbe {
    base: PinnedBase,
    platform: Option<Platform>,
    image: String,
}

impl FamilyProbe {
    async fn read(&self, embedded: &Embedded, events: &Events) -> Result<Arc<Traits>, Unreadable> {
        embedded
            .traits(&self.base, self.platform.as_ref(), &self.image, events)
            .await
    }
}

/// For each image, the position of the one at the bottom that it is built on: itself, or an image of this workspace.
fn roots(images: &[ResolvedImage]) -> Vec<usize> {
    let parents = ParentIndex::new(images.iter());
    let mut roots: Vec<usize> = Vec::with_capacity(images.len());
    for (position, image) in images.iter().enumerate() {
        let above = parents.of(image).filter(|parent| *parent < position);
        roots.push(above.map_or(position, |parent| roots[parent]));
    }
    roots
}

/// Gives an image the family that its base shows. Returns what is to be reported when the image is built.
fn decide(image: &mut ResolvedImage, base: &str, traits: &Traits) -> Result<Vec<String>, Error> {
    let display = image.display();
    let mut warnings = Vec::new();
    match (image.family_source, traits.family) {
        (FamilySource::Spec, Some(seen)) if seen != image.family => {
            let (seen, written) = (describe(seen), image.family.as_str());
            warnings.push(format!(
                "its spec has the family {written}, and its base {base} looks like {seen}"
            ));
        }
        (FamilySource::Spec | FamilySource::Name, None) | (FamilySource::Spec, Some(_)) => {}
        (_, Some(seen)) => image.set_family(seen),
        (_, None) => {
            let distribution = traits.distribution.as_deref().unwrap_or("no distribution");
            let because =
                format!("golden does not know {distribution}, which its os-release names");
            return Err(Error::Unknown {
                image: display,
                base: base.to_owned(),
                because,
            });
        }
    }
    let packages = &image.packages;
    if image.family == Family::Static {
        if image.has_packages() {
            return Err(Error::NoPackageManager {
                image: display,
                base: base.to_owned(),
            });
        }
    } else if !traits.shell {
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
    if !image.certificates.is_empty() {
        warnings.extend(traits.key_stores.iter().map(|path| key_store(path)));
    }
    Ok(warnings)
}

/// The family that golden saw, with what makes it that one.
fn describe(family: Family) -> String {
    match family {
        Family::Static => "static: it has neither a package manager nor a trust tool".to_owned(),
        other => other.as_str().to_owned(),
    }
}

/// The warning about a key store that keeps its own list of certificates.
fn key_store(path: &str) -> String {
    format!(
        "{path} does not get the certificates of [certs], so that Java programs do not trust them; add them in a [[run]] \
         step: keytool -importcert -noprompt -keystore {path} -storepass changeit -alias NAME -file FILE"
    )
}

/// The case in which the base cannot be read: the table of names counts.
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
