//! Rendering: a [`ResolvedImage`] becomes a Dockerfile and a build context. Pure, offline and stable: the same
//! image gives the same bytes everywhere.

pub mod bake;
pub mod context;
mod files;
mod fingerprint;
mod form;
mod instruction;
mod labels;
mod sections;
mod templates;

pub use self::fingerprint::{fingerprint, spec_fingerprint};
pub use self::form::{BaseTraits, ContextFiles, Standalone};
pub use self::labels::{INPUTS, SPEC_INPUTS, late_labels, late_labels_without_base};
pub use self::templates::Templates;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::form::Form;
use self::instruction::healthcheck_test as test_of;
use crate::oci::tar::Entry;
use crate::reference::Digest;
pub use crate::resolve::PinnedBase;
use crate::resolve::ResolvedImage;
use crate::resolve::image::{Base, Family, Healthcheck, Packages};

/// What the first line of a rendered Dockerfile ends with, unless a template of the workspace leaves it away.
pub const MARK: &str = "Rendered by golden: change its image.toml instead.";

/// What rendering makes; needs no network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The Dockerfile.
    pub dockerfile: String,
    /// The entries of the build context, sorted by path, without the Dockerfile; files only once the base is known.
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
    /// `dev.golden.inputs`: the digest of everything that goes into the image.
    pub inputs: Digest,
    /// `dev.golden.inputs.spec`: the same without the version of the base and the packages.
    pub spec_inputs: Digest,
    /// The templates of the workspace, for the form that the Dockerfile has on this base.
    pub templates: Arc<Templates>,
}

impl Recipe {
    /// The recipe as an engine needs it: with the Dockerfile for a base of these traits, and the files at their places
    /// on that base. The inputs stay those of the form that no base has changed.
    pub fn on_base(&self, traits: &BaseTraits, files: &[Entry]) -> Result<Self, Error> {
        let form = Form {
            traits: Some(traits),
            files: ContextFiles::OnBase(files),
            ..Form::default()
        };
        let rendered = Renderer::new(&self.templates).form(&self.image, &form)?;
        Ok(Self {
            rendered,
            ..self.clone()
        })
    }
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
    templates: templates::CompiledTemplate<'t>,
}

impl<'t> Renderer<'t> {
    /// A renderer with these templates.
    #[must_use]
    pub const fn new(templates: &'t Templates) -> Self {
        Self {
            templates: templates::CompiledTemplate::new(templates),
        }
    }

    /// Renders an image in the form that its inputs are taken from, whatever its base is.
    pub fn render(&self, image: &ResolvedImage) -> Result<Rendered, Error> {
        self.form(image, &Form::default())
    }

    /// Renders an image for people, who build it without golden.
    pub fn standalone(
        &self,
        image: &ResolvedImage,
        how: &Standalone<'_>,
    ) -> Result<Rendered, Error> {
        self.form(image, &how.form())
    }

    fn form(&self, image: &ResolvedImage, form: &Form<'_>) -> Result<Rendered, Error> {
        let placed = files::PlacedFiles::of(image, form);
        let (sections, beside) = sections::Sections::of(image, &placed, form)?;
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
        let bare = ResolvedImage {
            packages: Packages::default(),
            ..image.clone()
        };
        Ok(spec_fingerprint(&bare, &self.render(&bare)?))
    }

    fn fill(&self, image: &ResolvedImage, sections: &sections::Sections) -> Result<String, Error> {
        let template = image.template.clone();
        match self.templates.render(&template, sections) {
            Some(Ok(dockerfile)) => Ok(dockerfile),
            Some(Err(source)) => Err(Error::Template {
                image: image.display(),
                template,
                source,
            }),
            None => {
                let known = self.templates.names();
                Err(Error::NoTemplate {
                    image: image.display(),
                    template,
                    known,
                })
            }
        }
    }
}

impl Error {
    /// What to do next.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NoTemplate {
                template, known, ..
            } => {
                let near = crate::suggest::closest(template, known.iter().map(String::as_str));
                vec![match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the templates are {}", known.join(", ")),
                }]
            }
            Self::Template { .. } => {
                vec![
                    "the comment at the top of each built-in template lists the names it may use"
                        .to_owned(),
                ]
            }
            Self::Extend { .. } => vec!["write its whole value".to_owned()],
        }
    }
}

/// The shell of an image whose base names none.
#[must_use]
pub fn default_shell() -> Vec<String> {
    vec!["/bin/sh".to_owned(), "-c".to_owned()]
}

/// The test of a health check as every engine writes it into a config, on a base with this shell.
#[must_use]
pub fn healthcheck_test(check: &Healthcheck, shell: &[String]) -> Vec<String> {
    test_of(check, shell)
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
