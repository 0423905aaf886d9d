//! Requires that trusted keys signed the external bases: the rule `base.signed_by`.

use std::collections::BTreeMap;

use super::error::Error;
use super::session::Session;
use super::signatures::TrustedKeys;
use crate::config_files::policy::RuleLevel;
use crate::reference::{Digest, Repository};
use crate::registry::Registries;
use crate::render::PinnedBase;
use crate::trust::PublicKey;
use crate::verify;

/// The rule.
const RULE: &str = "base.signed_by";

/// A base and the place that has its signatures.
#[derive(Debug)]
pub struct CheckedBase {
    /// The name of the base in messages.
    pub name: String,
    /// Its repository and its digest; `None` if it is not in a registry.
    pub place: Option<(Repository, Digest)>,
}

impl CheckedBase {
    /// The base of an image; `None` for scratch and for images of the workspace.
    #[must_use]
    pub fn of(base: &PinnedBase) -> Option<Self> {
        let place = match base {
            PinnedBase::Scratch | PinnedBase::Workspace { .. } => return None,
            PinnedBase::Registry {
                reference, digest, ..
            } => Some((reference.repository.clone(), digest.clone())),
            PinnedBase::Layout(_) | PinnedBase::Local { .. } => None,
        };
        let name = base.name()?;
        Some(Self { name, place })
    }
}

/// Verifies the signatures of bases, each one once. Fails if a base has no signature by a key that
/// the policy names, unless the rule is off or only warns.
pub async fn require(
    session: &Session,
    registries: &Registries,
    bases: impl IntoIterator<Item = CheckedBase>,
) -> Result<(), Error> {
    let spec = &session.workspace.spec;
    let (signers, level) = (&spec.policy.base.signed_by, spec.policy.severity.get(RULE));
    if signers.is_empty() || level == Some(&RuleLevel::Off) {
        return Ok(());
    }
    let trusted = TrustedKeys::of(&session.workspace.root, spec)?;
    let bases: BTreeMap<String, CheckedBase> = bases
        .into_iter()
        .map(|base| (base.name.clone(), base))
        .collect();
    let mut violations = Vec::new();
    for CheckedBase { name, place } in bases.into_values() {
        let because = match &place {
            None => Some("is not in a registry, so it has no signature".to_owned()),
            Some((repository, digest)) => {
                unsigned(registries, &trusted, signers, repository, digest).await?
            }
        };
        violations.extend(because.map(|because| format!("base {name} {because}")));
    }
    if violations.is_empty() {
        return Ok(());
    }
    if level == Some(&RuleLevel::Warn) {
        for violation in violations {
            let text = format!("{RULE}: {violation}");
            session.settings.events.warn(None, text);
        }
        return Ok(());
    }
    Err(Error::Policy {
        message: format!("{RULE}: {}", violations.join("; ")),
        hints: vec![format!("`golden check --explain {RULE}` explains the rule")],
    })
}

/// The reason why a base violates the rule, as a predicate; `None` if a key signed it.
async fn unsigned(
    registries: &Registries,
    trusted: &TrustedKeys,
    signers: &[String],
    repository: &Repository,
    digest: &Digest,
) -> Result<Option<String>, Error> {
    let keys: Vec<PublicKey> = trusted
        .for_repository(repository)
        .into_iter()
        .filter(|key| signers.contains(&key.name))
        .map(|key| key.key)
        .collect();
    if keys.is_empty() {
        let names = signers.join(", ");
        return Ok(Some(format!(
            "cannot be verified: no [[trust]] table of {names} has a glob for {repository}"
        )));
    }
    let repo = registries.repo(repository);
    let verdict = verify::signature(&repo, digest, &keys).await?;
    Ok(verdict.err().map(|why| format!("at {digest} {why}")))
}
