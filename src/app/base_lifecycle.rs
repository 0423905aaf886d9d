//! Refuses or warns about external bases that are revoked or reached their end of life: the rules
//! `base.revoked` and `base.eol`.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, stream};

use super::base_signatures::CheckedBase;
use super::error::Error;
use super::session::Session;
use super::signatures::TrustedKeys;
use crate::config_files::policy::{LifecyclePolicy, RuleLevel};
use crate::diagnostic::Severity;
use crate::event::Events;
use crate::oci::lifecycle::{Announcement, LifecycleState, state};
use crate::reference::{Digest, Repository};
use crate::registry::{self, Registries};
use crate::signing;
use crate::workspace::Workspace;

/// The rule about revoked bases.
pub(super) const REVOKED: &str = "base.revoked";
/// The rule about the end of life.
pub(super) const END_OF_LIFE: &str = "base.eol";

/// The number of images whose announcements are read concurrently.
const CONCURRENT: usize = 8;

/// A problem of the lifecycle of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LifecycleProblem {
    /// The ID of the policy rule.
    pub(super) rule: &'static str,
    /// The severity.
    pub(super) level: RuleLevel,
    /// The problem, as the end of a sentence about the image: `is revoked: CVE-2026-1234`.
    pub(super) text: String,
    /// The next step.
    pub(super) help: Option<String>,
}

/// Reads the announcements about images.
#[derive(Debug)]
pub(super) struct LifecycleReader<'a> {
    registries: &'a Registries,
    trusted: TrustedKeys,
    policy: LifecyclePolicy,
    now: i64,
}

impl<'a> LifecycleReader<'a> {
    /// A reader with the policy of a workspace, or with the defaults. Fails if a key cannot be read.
    pub(super) fn of(
        workspace: Option<&Workspace>,
        registries: &'a Registries,
        now: i64,
    ) -> Result<Self, Error> {
        let (trusted, policy) = match workspace {
            Some(Workspace { root, spec, .. }) => {
                (TrustedKeys::of(root, spec)?, spec.policy.lifecycle_levels())
            }
            None => (TrustedKeys::default(), LifecyclePolicy::default()),
        };
        Ok(Self {
            registries,
            trusted,
            policy,
            now,
        })
    }

    /// Reports the problems of images. Each image comes with the name that messages use. Images with
    /// the same name may have different digests. Fails if the policy refuses one of them.
    pub(super) async fn require(
        &self,
        images: impl IntoIterator<Item = (String, (Repository, Digest))>,
        events: &Events,
    ) -> Result<(), Error> {
        let images: BTreeSet<(String, (Repository, Digest))> = images.into_iter().collect();
        let checks = stream::iter(images).map(|(name, (repository, digest))| async move {
            let problems = self.problems(&repository, &digest).await;
            (name, problems)
        });
        let checked: Vec<(String, Vec<LifecycleProblem>)> =
            checks.buffered(CONCURRENT).collect().await;
        let (mut violations, mut hints) = (Vec::new(), Vec::new());
        let mut rule = None;
        for (name, problems) in checked {
            for problem in problems {
                let text = format!("{name} {}", problem.text);
                if problem.level == RuleLevel::Warn {
                    let help = problem.help.map(|help| format!("; {help}"));
                    let help = help.unwrap_or_default();
                    events.warn(None, format!("{}: {text}{help}", problem.rule));
                    continue;
                }
                violations.push(text);
                hints.extend(problem.help);
                rule.get_or_insert(problem.rule);
            }
        }
        let Some(rule) = rule else { return Ok(()) };
        hints.push(format!("`golden check --explain {rule}` explains the rule"));
        Err(Error::Policy {
            message: format!("{rule}: {}", violations.join("; ")),
            hints,
        })
    }

    /// The state of an image. Only signed announcements count if `[[trust]]` has a key for it.
    pub(super) async fn state(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<LifecycleState, registry::Error> {
        let keys = self.trusted.public_keys(repository);
        let repo = self.registries.repo(repository);
        let found = signing::announcements(&repo, digest, &keys).await?;
        Ok(state(&found, !keys.is_empty()))
    }

    /// The problems of an image, under the policy. If the announcements cannot be read, that is a
    /// problem too.
    pub(super) async fn problems(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Vec<LifecycleProblem> {
        let LifecyclePolicy {
            revoked,
            eol,
            unknown,
        } = self.policy;
        if [revoked, eol].iter().all(|level| *level == RuleLevel::Off) {
            return Vec::new();
        }
        match self.state(repository, digest).await {
            Ok(state) => self.judge(repository, &state),
            Err(error) => vec![LifecycleProblem {
                rule: REVOKED,
                level: unknown,
                text: format!("may be revoked: its announcements cannot be read: {error}"),
                help: (unknown == RuleLevel::Error)
                    .then(|| "[policy.lifecycle] unknown = \"warn\" accepts this".to_owned()),
            }],
        }
        .into_iter()
        .filter(|problem| problem.level != RuleLevel::Off)
        .collect()
    }

    fn judge(&self, repository: &Repository, state: &LifecycleState) -> Vec<LifecycleProblem> {
        let mut problems = Vec::new();
        if let Some(one) = &state.revoked {
            let reason = one.reason.as_ref().map(|reason| format!(": {reason}"));
            let inherited = one.inherited_from.as_ref();
            let inherited = inherited.map(|base| format!(" (because of {base})"));
            let details = format!(
                "{}{}",
                reason.unwrap_or_default(),
                inherited.unwrap_or_default()
            );
            let text = if one.counts(self.now) {
                format!("is revoked{details}")
            } else {
                let from = one.from.as_deref().unwrap_or_default();
                format!("will be revoked on {from}{details}")
            };
            let level = match self.policy.revoked {
                RuleLevel::Error if !one.counts(self.now) => RuleLevel::Warn,
                level => level,
            };
            problems.push(LifecycleProblem {
                rule: REVOKED,
                level,
                text,
                help: replacement(repository, one),
            });
        }
        if let Some(one) = state
            .end_of_life
            .as_ref()
            .filter(|one| one.counts(self.now))
        {
            let date = one.from.as_deref().unwrap_or_default();
            problems.push(LifecycleProblem {
                rule: END_OF_LIFE,
                level: self.policy.eol,
                text: format!(
                    "reached its end of life on {}",
                    date.get(..10).unwrap_or(date)
                ),
                help: replacement(repository, one),
            });
        }
        problems
    }
}

/// The advice to use the replacement of an image, if the announcement names one: a version of its
/// repository, or another reference.
fn replacement(repository: &Repository, announcement: &Announcement) -> Option<String> {
    let version = announcement.replacement.as_ref()?;
    Some(if version.contains(['/', ':']) {
        format!("use {version} instead")
    } else {
        format!("use {repository}:{version} instead")
    })
}

/// The severity of a finding at a level.
pub(super) const fn severity(level: RuleLevel) -> Severity {
    match level {
        RuleLevel::Error => Severity::Error,
        RuleLevel::Warn | RuleLevel::Off => Severity::Warning,
    }
}

/// Checks the lifecycle of external bases, each name and digest once. Fails if the policy refuses one
/// of them.
pub async fn require(
    session: &Session,
    registries: &Registries,
    bases: impl IntoIterator<Item = CheckedBase>,
) -> Result<(), Error> {
    let bases = bases.into_iter().filter_map(|base| {
        let (repository, digest) = base.place?;
        Some((format!("base {}", base.name), (repository, digest)))
    });
    let workspace = Some(&session.workspace);
    let reader = LifecycleReader::of(workspace, registries, session.settings.now)?;
    reader.require(bases, &session.settings.events).await
}

/// Warns about the end of life of the selected images of the workspace.
pub fn warn_of_own(session: &Session) {
    let images = session.images.iter().filter(|one| one.selected);
    for image in images.map(|one| &one.image) {
        if let Some(warning) = image.lifecycle.warning(session.settings.now) {
            let text = format!("{} {warning}", image.display());
            session.settings.events.warn(None, text);
        }
    }
}
