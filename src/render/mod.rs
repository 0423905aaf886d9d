//! Renders a [`ResolvedImage`] to a Dockerfile and a build context. Rendering is pure and works
//! offline; the same image always gives the same bytes.

pub mod bake;
pub mod context;
mod copies;
mod files;
mod fingerprint;
mod form;
pub(crate) mod heredoc;
mod instruction;
mod labels;
mod sections;
pub mod steps;
mod templates;

pub use self::fingerprint::{fingerprint, spec_fingerprint};
pub use self::form::{BaseTraits, ContextFiles, FilesOnBase, Standalone, Syntax};
pub use self::labels::{INPUTS, SPEC_INPUTS, late_labels, late_labels_without_base};
pub use self::templates::Templates;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::form::DockerfileForm;
use self::instruction::ScriptForm;
use self::instruction::healthcheck_test as test_of;
use crate::oci::tar::Entry;
use crate::reference::Digest;
pub use crate::resolve::PinnedBase;
use crate::resolve::ResolvedImage;
use crate::resolve::image::{Base, Family, Healthcheck, Packages};

/// A part of the first line of a rendered Dockerfile; a template of the workspace may omit it.
pub const MARK: &str = "rendered by golden";

/// The result of rendering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The text of the Dockerfile.
    pub dockerfile: String,
    /// The entries of the build context, sorted by path, without the Dockerfile. Files are included
    /// only if the base is known.
    pub context: Vec<Entry>,
    /// Build arguments, such as the line breaks that the Dockerfile cannot hold.
    pub build_args: BTreeMap<String, String>,
    /// Labels whose key a Dockerfile cannot hold; the build API receives them in `labels`.
    pub api_labels: BTreeMap<String, String>,
}

/// Everything that an engine needs to build an image, and its inputs digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// The image to build.
    pub image: ResolvedImage,
    /// The base, pinned by digest or id.
    pub base: PinnedBase,
    /// The Dockerfile and the build context.
    pub rendered: Rendered,
    /// `dev.golden.inputs`: the digest of everything that goes into the image.
    pub inputs: Digest,
    /// `dev.golden.inputs.spec`: the same digest without the packages and the version of the base.
    pub spec_inputs: Digest,
    /// The templates of the workspace, to render the Dockerfile for this base.
    pub templates: Arc<Templates>,
}

impl Recipe {
    /// The recipe for an engine: the Dockerfile fits a base with these traits and a builder with
    /// this syntax, and the files have their final paths on that base. The inputs digests stay the
    /// same. Fails if the template cannot be rendered.
    pub fn on_base(
        &self,
        traits: &BaseTraits,
        files: &FilesOnBase,
        syntax: Syntax,
    ) -> Result<Self, Error> {
        let form = DockerfileForm {
            traits: Some(traits),
            files: ContextFiles::OnBase(files),
            syntax,
            ..DockerfileForm::default()
        };
        let rendered = Renderer::new(&self.templates).form(&self.image, &form)?;
        Ok(Self {
            rendered,
            ..self.clone()
        })
    }
}

/// The reason why an image cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No template has this name.
    #[error("{image}: template {template:?} does not exist")]
    NoTemplate {
        /// The image, as shown to users.
        image: String,
        /// The name in the spec.
        template: String,
        /// The names of all templates.
        known: Vec<String>,
    },
    /// A template has an error.
    #[error("{image}: cannot render template {template:?}: {source}")]
    Template {
        /// The image, as shown to users.
        image: String,
        /// The name of the template.
        template: String,
        /// The error of minijinja, with the line.
        #[source]
        source: minijinja::Error,
    },
    /// `prepend` or `append` for a variable that a Dockerfile cannot refer to.
    #[error(
        "{image}: env.{key} cannot be extended: a Dockerfile can refer only to names of letters, digits and `_`"
    )]
    Extend {
        /// The image, as shown to users.
        image: String,
        /// The name of the variable.
        key: String,
    },
}

/// Renders the Dockerfile and the build context of an image. Fails if the template does not exist
/// or has an error, or if a Dockerfile cannot refer to an extended variable.
pub fn render(image: &ResolvedImage, templates: &Templates) -> Result<Rendered, Error> {
    Renderer::new(templates).render(image)
}

/// Renders many images with the same templates, which are compiled once.
#[derive(Debug)]
pub struct Renderer<'t> {
    templates: templates::CompiledTemplates<'t>,
}

impl<'t> Renderer<'t> {
    /// Creates a renderer; templates are compiled at the first use.
    #[must_use]
    pub const fn new(templates: &'t Templates) -> Self {
        Self {
            templates: templates::CompiledTemplates::new(templates),
        }
    }

    /// Renders an image in the form for its inputs digest, which does not depend on the base. Fails
    /// as [`render`] does.
    pub fn render(&self, image: &ResolvedImage) -> Result<Rendered, Error> {
        self.form(image, &DockerfileForm::default())
    }

    /// Renders an image for a build without golden. Fails as [`render`] does.
    pub fn standalone(
        &self,
        image: &ResolvedImage,
        how: &Standalone<'_>,
    ) -> Result<Rendered, Error> {
        self.form(image, &how.form())
    }

    fn form(&self, image: &ResolvedImage, form: &DockerfileForm<'_>) -> Result<Rendered, Error> {
        let placed = files::PlacedFiles::of(image, form);
        let (sections, options) = sections::Sections::of(image, &placed, form)?;
        Ok(Rendered {
            dockerfile: self.fill(image, &sections, form.scripts())?,
            context: placed.context(),
            build_args: options.build_args,
            api_labels: options.api_labels,
        })
    }

    /// The inputs digest without the packages and the version of the base. `rendered` is the
    /// complete image. Fails as [`render`] does.
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

    fn fill(
        &self,
        image: &ResolvedImage,
        sections: &sections::Sections,
        scripts: ScriptForm,
    ) -> Result<String, Error> {
        let template = image.template.clone();
        match self.templates.render(&template, sections, scripts) {
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
    /// Hints for the user: what to change.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NoTemplate {
                template, known, ..
            } => {
                let similar = crate::suggest::closest(template, known.iter().map(String::as_str));
                vec![match similar {
                    Some(similar) => format!("did you mean `{similar}`?"),
                    None => format!("the templates are {}", known.join(", ")),
                }]
            }
            Self::Template { .. } => {
                vec![
                    "the comment at the top of each built-in template lists the available variables"
                        .to_owned(),
                ]
            }
            Self::Extend { .. } => vec!["write the complete value as a string".to_owned()],
        }
    }
}

/// The shell of an image whose base has no `Shell` in its config.
#[must_use]
pub fn default_shell() -> Vec<String> {
    vec!["/bin/sh".to_owned(), "-c".to_owned()]
}

/// The test of a health check that every engine writes into the image config, on a base with this
/// shell.
#[must_use]
pub fn healthcheck_test(check: &Healthcheck, shell: &[String]) -> Vec<String> {
    test_of(check, shell)
}

/// The reason why only the embedded engine can build an image, if there is one. On a base without a
/// shell, only the embedded engine can add certificates, because it reads the trust store of the
/// base.
#[must_use]
pub fn needs_embedded(image: &ResolvedImage) -> Option<String> {
    let has_base = !matches!(image.base, Base::Scratch);
    (image.family == Family::Static && has_base && !image.certificates.is_empty())
        .then(|| "[certs] on a base of the family \"static\"".to_owned())
}

#[cfg(test)]
mod tests;
