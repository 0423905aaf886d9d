//! Requires that trusted keys signed the external bases, or that a trusted program accepts them: the
//! rule `base.signed_by`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::error::Error;
use super::session::Session;
use super::signatures::{TrustedKeys, TrustedProgram};
use crate::config_files::policy::RuleLevel;
use crate::reference::{Digest, Reference, Repository};
use crate::registry::Registries;
use crate::render::PinnedBase;
use crate::signing::verifier::Verifier;
use crate::trust::PublicKey;
use crate::verify;

const RULE: &str = "base.signed_by";

/// The number of bases that are verified concurrently.
const CONCURRENT: usize = 8;

/// A base and the place that has its signatures. Bases with the same name may have different digests.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// The use of the programs that `[[trust]]` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Programs {
    /// They run, in a command that also builds or records bases.
    Run,
    /// They do not run: a command that only reads a workspace starts nothing that it names.
    Skip,
}

/// The result of verifying one base.
enum Verdict {
    /// A key or a program of this `[[trust]]` table accepts it.
    SignedBy(String),
    /// Only the programs of these tables could accept it, and they do not run.
    Skipped(String),
    /// The rule is violated. The text is the end of a sentence about the base.
    Violated(String),
}

/// The variable with the time limit for a program that verifies bases, in seconds.
const TIMEOUT: &str = "GOLDEN_VERIFY_TIMEOUT";
/// The default time limit.
const SECONDS: u64 = 60;

/// Verifies the signatures of bases, each name and digest once. Returns the name of the signer of each
/// base that has one. Fails if a base has no signature by a key that the policy names, and no program
/// accepts it, unless the rule is off or only warns.
pub async fn require(
    session: &Session,
    registries: &Registries,
    bases: impl IntoIterator<Item = CheckedBase>,
    programs: Programs,
) -> Result<BTreeMap<String, String>, Error> {
    let spec = &session.workspace.spec;
    let (signers, level) = (&spec.policy.base.signed_by, spec.policy.severity.get(RULE));
    let mut signed_by = BTreeMap::new();
    if signers.is_empty() || level == Some(&RuleLevel::Off) {
        return Ok(signed_by);
    }
    let checker = SignatureChecker {
        session,
        registries,
        trusted: TrustedKeys::of(&session.workspace.root, spec)?,
        signers,
        programs,
    };
    let bases: BTreeSet<CheckedBase> = bases.into_iter().collect();
    let checker = &checker;
    let verdicts = stream::iter(bases).map(|CheckedBase { name, place }| async move {
        let verdict = match &place {
            None => Verdict::Violated("is not in a registry, so it has no signature".to_owned()),
            Some((repository, digest)) => checker.verdict(repository, digest).await?,
        };
        Ok::<_, Error>((name, verdict))
    });
    let verdicts: Vec<(String, Verdict)> = verdicts.buffered(CONCURRENT).try_collect().await?;
    let mut violations = Vec::new();
    for (name, verdict) in verdicts {
        match verdict {
            Verdict::SignedBy(signer) => drop(signed_by.insert(name, signer)),
            Verdict::Skipped(tables) => session.settings.events.note(
                None,
                format!("base {name} is not verified: this command runs no program of [[trust]] {tables}"),
            ),
            Verdict::Violated(because) => violations.push(format!("base {name} {because}")),
        }
    }
    if violations.is_empty() {
        return Ok(signed_by);
    }
    if level == Some(&RuleLevel::Warn) {
        for violation in violations {
            let text = format!("{RULE}: {violation}");
            session.settings.events.warn(None, text);
        }
        return Ok(signed_by);
    }
    Err(Error::Policy {
        message: format!("{RULE}: {}", violations.join("; ")),
        hints: vec![format!("`golden check --explain {RULE}` explains the rule")],
    })
}

/// Verifies bases with the keys and programs of the tables that the policy names.
struct SignatureChecker<'a> {
    session: &'a Session,
    registries: &'a Registries,
    trusted: TrustedKeys,
    signers: &'a [String],
    programs: Programs,
}

impl SignatureChecker<'_> {
    /// Verifies a base with all keys, and then with the programs.
    async fn verdict(&self, repository: &Repository, digest: &Digest) -> Result<Verdict, Error> {
        let is_named = |name: &String| self.signers.contains(name);
        let mut keys = self.trusted.for_repository(repository);
        keys.retain(|key| is_named(&key.name));
        let programs = self.trusted.programs(repository);
        let programs: Vec<&TrustedProgram> = programs.filter(|it| is_named(&it.name)).collect();
        if keys.is_empty() && programs.is_empty() {
            let names = self.signers.join(", ");
            return Ok(Verdict::Violated(format!(
                "cannot be verified: no [[trust]] table of {names} has a glob for {repository}"
            )));
        }
        let mut reasons = Vec::new();
        if !keys.is_empty() {
            let public: Vec<PublicKey> = keys.iter().map(|key| key.key.clone()).collect();
            let repo = self.registries.repo(repository);
            match verify::signature(&repo, digest, &public).await? {
                Ok(position) => return Ok(Verdict::SignedBy(keys[position].name.clone())),
                Err(why) => reasons.push(why.to_string()),
            }
        }
        if self.programs == Programs::Skip && !programs.is_empty() {
            let names: Vec<&str> = programs.iter().map(|it| it.name.as_str()).collect();
            return Ok(Verdict::Skipped(names.join(", ")));
        }
        let image = repository.digest(digest);
        for program in programs {
            match self.run(program, &image).await {
                Ok(()) => return Ok(Verdict::SignedBy(program.name.clone())),
                Err(why) => reasons.push(format!("is not verified: {why}")),
            }
        }
        Ok(Verdict::Violated(format!(
            "at {digest} {}",
            reasons.join(", and ")
        )))
    }

    async fn run(&self, program: &TrustedProgram, image: &Reference) -> Result<(), String> {
        let settings = &self.session.settings;
        let seconds = settings.var(TIMEOUT).and_then(|text| text.parse().ok());
        let verifier = Verifier {
            command: &program.command,
            directory: &self.session.workspace.root,
            environment: &settings.environment(),
            limit: Duration::from_secs(seconds.unwrap_or(SECONDS)),
        };
        verifier.verify(image).await
    }
}
