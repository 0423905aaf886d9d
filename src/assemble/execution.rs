//! The parts of an image that must be executed, so that an engine with containers is needed.

use crate::resolve::ResolvedImage;
use crate::resolve::image::Family;

/// A part of an image that must be executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("only the docker engine can build this image: {step}")]
pub struct NeedsExecution {
    /// The step as it is written, such as `[packages] install = ["tini"]`, or the name of a
    /// `[[run]]` step.
    pub step: String,
}

impl NeedsExecution {
    /// Returns hints for the user.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        vec!["build it with `--engine docker`".to_owned()]
    }
}

/// The reason why golden cannot reproduce the output of Red Hat's trust tool.
pub(super) const UPDATE_CA_TRUST: &str = "the output of update-ca-trust cannot be predicted, because it depends on p11-kit's memory \
     and contains the current time (in /etc/pki/ca-trust/extracted/java/cacerts)";

/// Checks that the embedded engine can build the image, as far as the spec shows it. Certificates
/// may still need execution after the base is read, if the base does not contain the tools of its
/// family.
pub fn can_assemble(image: &ResolvedImage) -> Result<(), NeedsExecution> {
    let quoted = |names: &[String]| {
        names
            .iter()
            .map(|name| format!("{name:?}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let packages = &image.packages;
    let step = if !packages.install.is_empty() {
        format!("[packages] install = [{}]", quoted(&packages.install))
    } else if !packages.remove.is_empty() {
        format!("[packages] remove = [{}]", quoted(&packages.remove))
    } else if let Some((position, step)) = image.run.iter().enumerate().next() {
        match &step.name {
            Some(name) => format!("step `{name}`"),
            None => format!("step {} ({})", position + 1, first_line(&step.script)),
        }
    } else if image.adds_to_keystores() {
        "[certs] java = true: keytool of the image adds the certificates to its keystores"
            .to_owned()
    } else if image.family == Family::Rhel && !image.certificates.is_empty() {
        format!("[certs] trust: {UPDATE_CA_TRUST}")
    } else {
        return Ok(());
    };
    Err(NeedsExecution { step })
}

/// The first line of a script that is not blank, shortened.
fn first_line(script: &str) -> String {
    let line = script
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    if line.chars().count() > 40 {
        line.chars().take(39).chain(['…']).collect()
    } else {
        line.to_owned()
    }
}
