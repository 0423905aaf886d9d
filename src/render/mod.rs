//! Rendering: a [`ResolvedImage`] becomes a Dockerfile and a build context. Pure, offline and stable: the same
//! image gives the same bytes everywhere.

pub mod context;
mod files;
mod fingerprint;
mod instruction;
mod labels;
mod sections;
mod templates;

pub use self::fingerprint::{fingerprint, spec_fingerprint};
pub use self::labels::{INPUTS, SPEC_INPUTS, late_labels};
pub use self::templates::Templates;

use std::collections::BTreeMap;

use crate::oci::tar::Entry;
use crate::reference::Digest;
pub use crate::resolve::PinnedBase;
use crate::resolve::ResolvedImage;
use crate::resolve::image::{Base, Family, Packages};

/// What the first line of a rendered Dockerfile ends with, unless a template of the workspace leaves it away.
pub const MARK: &str = "Rendered by golden: change its image.toml instead.";

/// What rendering makes; needs no network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The Dockerfile.
    pub dockerfile: String,
    /// The entries of the build context, sorted by path, without the Dockerfile.
    pub context: Vec<Entry>,
    /// Build arguments: the line breaks, which the Dockerfile cannot hold.
    pub build_args: BTreeMap<String, String>,
    /// Labels whose key a Dockerfile cannot hold; they travel as the API's `labels` parameter.
    pub api_labels: BTreeMap<String, String>,
}

/// All that an engine needs to build an image, and the fingerprint of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// The image.
    pub image: ResolvedImage,
    /// Its base.
    pub base: PinnedBase,
    /// Its Dockerfile and context.
    pub rendered: Rendered,
    /// `dev.golden.inputs`: the digest of all that went into the image (7-rules 1).
    pub inputs: Digest,
    /// `dev.golden.inputs.spec`: the same without the version of the base and the packages.
    pub spec_inputs: Digest,
}

/// Why an image cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No template has this name.
    #[error("{image}: there is no template {template:?}")]
    NoTemplate {
        /// The image.
        image: String,
        /// The name that it asks for.
        template: String,
        /// All names that there are.
        known: Vec<String>,
    },
    /// A template is not right.
    #[error("{image}: the template {template:?} cannot be rendered: {source}")]
    Template {
        /// The image.
        image: String,
        /// The template.
        template: String,
        /// What minijinja says, with the line.
        #[source]
        source: minijinja::Error,
    },
    /// `prepend` or `append` for a variable that a Dockerfile cannot refer to.
    #[error(
        "{image}: env.{key} cannot be extended: a Dockerfile refers only to names of letters, digits and _"
    )]
    Extend {
        /// The image.
        image: String,
        /// The variable.
        key: String,
    },
}

/// Renders an image: its Dockerfile and build context.
pub fn render(image: &ResolvedImage, templates: &Templates) -> Result<Rendered, Error> {
    Renderer::new(templates).render(image)
}

/// Renders many images with the same templates, which are compiled once.
#[derive(Debug)]
pub struct Renderer<'t> {
    templates: templates::Compiled<'t>,
}

impl<'t> Renderer<'t> {
    /// A renderer with these templates.
    #[must_use]
    pub const fn new(templates: &'t Templates) -> Self {
        Self { templates: templates::Compiled::new(templates) }
    }

    /// Renders an image.
    pub fn render(&self, image: &ResolvedImage) -> Result<Rendered, Error> {
        let placed = files::Placed::of(image);
        let (sections, beside) = sections::Sections::of(image, &placed, None)?;
        Ok(Rendered {
            dockerfile: self.fill(image, &sections)?,
            context: placed.context(image),
            build_args: beside.build_args,
            api_labels: beside.api_labels,
        })
    }

    /// The digest of what an image is made from, without its packages and the version of its base. `rendered` is the
    /// whole image.
    pub fn spec_inputs(&self, image: &ResolvedImage, rendered: &Rendered) -> Result<Digest, Error> {
        if image.packages == Packages::default() {
            return Ok(spec_fingerprint(image, rendered));
        }
        let bare = ResolvedImage { packages: Packages::default(), ..image.clone() };
        Ok(spec_fingerprint(&bare, &self.render(&bare)?))
    }

    /// The Dockerfile for people: it names the base by `base`, the reference as it is written or locked (7-rules 12). A
    /// build passes the base as an argument, so that how it is written is no part of what is built.
    pub fn dockerfile(&self, image: &ResolvedImage, base: Option<&str>) -> Result<String, Error> {
        let (sections, _) = sections::Sections::of(image, &files::Placed::of(image), base)?;
        self.fill(image, &sections)
    }

    fn fill(&self, image: &ResolvedImage, sections: &sections::Sections) -> Result<String, Error> {
        let template = image.template.clone();
        match self.templates.render(&template, sections) {
            Some(Ok(dockerfile)) => Ok(dockerfile),
            Some(Err(source)) => Err(Error::Template { image: image.display(), template, source }),
            None => {
                let known = self.templates.names();
                Err(Error::NoTemplate { image: image.display(), template, known })
            }
        }
    }
}

impl Error {
    /// What to do next.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NoTemplate { template, known, .. } => {
                let near = crate::suggest::closest(template, known.iter().map(String::as_str));
                vec![match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the templates are {}", known.join(", ")),
                }]
            }
            Self::Template { .. } => {
                vec!["the comment at the top of each built-in template lists the names it may use".to_owned()]
            }
            Self::Extend { .. } => vec!["write its whole value".to_owned()],
        }
    }
}

/// Why no Docker Engine can build an image, if so: certificates on a base without a shell can only be placed by
/// the embedded engine, which reads the base's trust store (7-rules 16).
#[must_use]
pub fn needs_embedded(image: &ResolvedImage) -> Option<String> {
    let foreign = !matches!(image.base, Base::Scratch);
    (image.family == Family::Static && foreign && !image.certificates.is_empty())
        .then(|| "[certs] on a base of the family \"static\"".to_owned())
}

#[cfg(test)]
mod tests;
