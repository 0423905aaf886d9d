//! Policy: rules as data, checked on the specs and on what was really built or is published (1-spec “Policy”).
//!
//! Each rule is one file under `rules`: its id, its default severity, what it means, and a function from a
//! [`Subject`] to findings. A subject is an image seen from the spec or from an image config, so that one rule
//! serves both.

mod compile;
mod finding;
pub mod rules;
mod subject;

use crate::diagnostic::{Diagnostics, Places};
use crate::oci::ImageConfig;
use crate::resolve::ResolvedImage;
use crate::resolve::image::Base;
use crate::spec::policy::Policy;

pub use compile::CompiledPolicy;
pub use rules::config_deny_root::named_user;
pub use rules::{RULES, Rule, rule};
pub use subject::PolicySubject;

/// Whether a variable looks like a secret, by its name or by its value.
#[must_use]
pub fn looks_like_a_secret(name: &str, value: &str) -> bool {
    rules::env_deny_secrets::looks_like_a_secret(name, value)
}

/// What judging specs needs beside the specs.
pub struct SpecFacts<'a> {
    /// Where keys stand in the files.
    pub places: &'a dyn Places,
    /// Seconds since 1970.
    pub now: i64,
    /// Whether golden.lock has a digest for a base.
    pub is_locked: &'a dyn Fn(&Base) -> bool,
}

/// What was built or is published.
#[derive(Debug, Clone, Copy)]
pub struct Built<'a> {
    /// What people call it: a display name or a reference.
    pub name: &'a str,
    /// Its config.
    pub config: &'a ImageConfig,
    /// The number of its user, if the config names one and the image's /etc/passwd has it.
    pub user_id: Option<u32>,
    /// The spec it was built from, when it was built here: tells its own labels from those of the base.
    pub image: Option<&'a ResolvedImage>,
}

/// Applies the policy to specs. Also reports what is wrong with the policy itself, as errors of the spec.
#[must_use]
pub fn check_specs(
    policy: &Policy,
    images: &[ResolvedImage],
    facts: &SpecFacts<'_>,
) -> Diagnostics {
    let (compiled, mut found) = CompiledPolicy::new(policy, facts.places);
    let fleet = subject::ImageSet::of(images);
    for image in images {
        let subject = PolicySubject::of_spec(image, &fleet, facts);
        found.extend(finding::judge(&compiled, &subject, Some(facts.places)));
    }
    found.sorted()
}

/// Applies the policy to what an image really is: labels, user, ports and env of its config. A broken policy is
/// `check_specs`'s to report; what cannot be compiled judges nothing here.
#[must_use]
pub fn check_built(policy: &Policy, built: &Built<'_>) -> Diagnostics {
    let (compiled, _) = CompiledPolicy::new(policy, &crate::diagnostic::Nowhere);
    finding::judge(&compiled, &PolicySubject::of_config(built), None).sorted()
}

#[cfg(test)]
mod tests;
