//! Policy: rules for specs, for built images and for published images.
//!
//! Each rule is one file under `rules`: its id, its default severity, its explanation, and a
//! function from a [`PolicySubject`] to findings. A subject describes an image by its spec or by
//! its image config, so that each rule works for both.

mod apply;
mod audited;
mod compile;
mod compiled;
mod expired;
mod finding;
pub mod rules;
pub mod sizes;
mod subject;

use crate::config_files::policy::Policy;
use crate::diagnostic::{Diagnostic, Diagnostics, KeyFinder};
use crate::oci::ImageConfig;
use crate::resolve::ResolvedImage;
use crate::resolve::image::Base;

pub use audited::audited;
pub use compiled::CompiledPolicy;
pub use rules::config_deny_root::named_user;
pub use rules::{RULES, Rule, rule};
pub use sizes::ImageSizes;
pub use subject::PolicySubject;

/// True if a variable looks like a secret, by its name or by its value.
#[must_use]
pub fn looks_like_a_secret(name: &str, value: &str) -> bool {
    rules::env_deny_secrets::looks_like_a_secret(name, value)
}

/// The data that the rules need in addition to the specs.
pub struct SpecFacts<'a> {
    /// Finds the spans of keys.
    pub places: &'a dyn KeyFinder,
    /// The current time, in seconds since 1970.
    pub now: i64,
    /// Returns true if golden.lock has a digest for a base.
    pub is_locked: &'a dyn Fn(&Base) -> bool,
}

/// An image whose config is checked: golden has built it, or a registry has it.
#[derive(Debug, Clone, Copy)]
pub struct FinishedImage<'a> {
    /// The name in reports: a display name or a reference.
    pub name: &'a str,
    /// The names by which an exception may select the image: its name in the workspace, or its
    /// repository.
    pub known_as: &'a [String],
    /// The current time, in seconds since 1970.
    pub now: i64,
    /// A text for each required artifact that the published image lacks, such as `is not signed`.
    pub lacking: &'a [String],
    /// The image config to check.
    pub config: &'a ImageConfig,
    /// The uid of its user, if the config has a user name that the image's /etc/passwd contains.
    pub user_id: Option<u32>,
    /// The spec, if golden built the image now. It distinguishes its labels from those of the base.
    pub image: Option<&'a ResolvedImage>,
    /// True if the image is not one of the workspace, so that its publisher must correct it.
    pub is_foreign: bool,
}

/// An image and its sizes.
#[derive(Debug, Clone, Copy)]
pub struct SizedImage<'a> {
    /// The name in reports: a display name or a reference.
    pub name: &'a str,
    /// The names by which an exception may select the image: its name in the workspace, or its
    /// repository.
    pub known_as: &'a [String],
    /// The current time, in seconds since 1970.
    pub now: i64,
    /// The sizes of the image.
    pub sizes: &'a ImageSizes,
}

/// A base that a file of another program names.
#[derive(Debug, Clone, Copy)]
pub struct UsedBase<'a> {
    /// The base to check.
    pub base: &'a Base,
    /// The names by which an exception may select it: the file, or the repository.
    pub known_as: &'a [String],
    /// The current time, in seconds since 1970.
    pub now: i64,
}

/// The policy for bases that files of other programs name, compiled once for all of them.
#[derive(Debug)]
pub struct UsedBasePolicy<'p> {
    compiled: CompiledPolicy<'p>,
}

impl<'p> UsedBasePolicy<'p> {
    /// Compiles a policy. Does not report mistakes in it, which `check_specs` reports.
    #[must_use]
    pub fn new(policy: &'p Policy) -> Self {
        let (compiled, _) = CompiledPolicy::new(policy, &crate::diagnostic::NoKeys);
        Self { compiled }
    }

    /// Applies the rules about bases to a base that a file names. Its digest in golden.lock does
    /// not count, because the file does not use it.
    #[must_use]
    pub fn check(&self, used: &UsedBase<'_>) -> Diagnostics {
        let subject = PolicySubject::of_used(used);
        let rules = RULES.iter().filter(|rule| rule.id.starts_with("base."));
        apply::apply_each(rules, &self.compiled, &subject, None)
    }

    /// The finding of a rule that needs a registry, about a base that a file names; `None` if the
    /// rule is off, or an exception counts.
    #[must_use]
    pub fn finding(
        &self,
        used: &UsedBase<'_>,
        id: &'static str,
        message: String,
        help: Option<String>,
    ) -> Option<Diagnostic> {
        let severity = apply::severity(&self.compiled, rule(id)?)?;
        if self.compiled.excepts(id, &PolicySubject::of_used(used)) {
            return None;
        }
        let mut diagnostic = Diagnostic::error(id, message).of_policy();
        diagnostic.severity = severity;
        diagnostic.help = help;
        Some(diagnostic)
    }
}

/// True if an exception from a rule counts today for an image with one of these names.
#[must_use]
pub fn is_excepted(policy: &Policy, rule: &str, known_as: &[String], now: i64) -> bool {
    let (compiled, _) = CompiledPolicy::new(policy, &crate::diagnostic::NoKeys);
    compiled.excepts(rule, &PolicySubject::empty(known_as, now))
}

/// Applies the policy to specs. Also reports mistakes in the policy itself, as errors of the spec.
#[must_use]
pub fn check_specs<'a>(
    policy: &Policy,
    images: impl IntoIterator<Item = &'a ResolvedImage>,
    facts: &SpecFacts<'_>,
) -> Diagnostics {
    let (compiled, mut found) = CompiledPolicy::new(policy, facts.places);
    found.extend(expired::expired(policy, facts.now, facts.places));
    let images: Vec<&ResolvedImage> = images.into_iter().collect();
    let fleet = subject::ImageSet::of(&images);
    for image in images {
        let subject = PolicySubject::of_spec(image, &fleet, facts);
        found.extend(apply::apply_rules(&compiled, &subject, Some(facts.places)));
    }
    found.sorted()
}

/// Applies the policy to the config of an image: its labels, user, ports and environment. Does not
/// report mistakes in the policy itself, which `check_specs` reports.
#[must_use]
pub fn check_built(policy: &Policy, built: &FinishedImage<'_>) -> Diagnostics {
    let (compiled, _) = CompiledPolicy::new(policy, &crate::diagnostic::NoKeys);
    apply::apply_rules(&compiled, &PolicySubject::of_config(built), None).sorted()
}

/// Applies the rules about sizes to an image. Does not report mistakes in the policy itself, which
/// `check_specs` reports.
#[must_use]
pub fn check_sizes(policy: &Policy, image: &SizedImage<'_>) -> Diagnostics {
    let (compiled, _) = CompiledPolicy::new(policy, &crate::diagnostic::NoKeys);
    let subject = PolicySubject::of_sizes(image);
    let rules = RULES.iter().filter(|rule| rule.id.starts_with("size."));
    apply::apply_each(rules, &compiled, &subject, None).sorted()
}

#[cfg(test)]
mod tests;
