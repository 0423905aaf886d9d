//! What needs a container, and so cannot be assembled.

use crate::resolve::ResolvedImage;
use crate::resolve::image::Family;

/// A part of an image that must be executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step} must be executed, which only the docker engine can do")]
pub struct NeedsExecution {
    /// The step, as its author knows it: `[packages] install = ["tini"]`, `[[run]] "create the app user"`.
    pub step: String,
}

impl NeedsExecution {
    /// What to do about it.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        vec!["build it with `--engine docker`".to_owned()]
    }
}

/// Red Hat's tool, and why only running it tells what it leaves.
pub(super) const UPDATE_CA_TRUST: &str = "update-ca-trust, which orders its bundles as p11-kit's memory has them and writes the time of its run \
     into /etc/pki/ca-trust/extracted/java/cacerts, so that nobody knows before what it will leave,";

/// Whether the embedded engine can make the image, as far as its spec tells. Certificates may still turn out to
/// need execution when the base is read: on a base without the tools of its family.
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
            Some(name) => format!("[[run]] {name:?}"),
            None => format!(
                "[[run]] number {} ({})",
                position + 1,
                first_line(&step.script)
            ),
        }
    } else if image.family == Family::Rhel && !image.certificates.is_empty() {
        format!("[certs] trust: {UPDATE_CA_TRUST}")
    } else {
        return Ok(());
    };
    Err(NeedsExecution { step })
}

/// The first line of a script that says something, shortened.
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
