//! Examines what golden depends on: engines, registries, git, disk and clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::{join, join_all};
use serde::Serialize;

use super::destinations::Destinations;
use super::error::Error;
use super::prepare::fleet_engines;
use super::settings::Settings;
use super::{registries, trust};
use crate::engine::{self, Docker, DockerEnv, EngineFacts, EngineTrust, FleetEngine};
use crate::reference::{Host, RepositoryPath};
use crate::registry::{self, LoginFacts, Registries, Support};
use crate::resolve::Destination;
use crate::workspace::{Workspace, fs, git};

/// The free space below which a build is likely to fail, in bytes.
const LITTLE_SPACE: u64 = 1 << 30;
/// The largest difference between two clocks that is not reported. Tokens and certificates tolerate
/// about a minute.
const LARGE_DIFFERENCE: Duration = Duration::from_mins(1);

/// The subject of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckSubject {
    /// An engine that executes Dockerfiles.
    Engine,
    /// A selected registry, or one of golden.toml.
    Registry,
    /// The program git, and the checkout of the workspace.
    Git,
    /// The free space of a file system.
    Disk,
    /// The clock of this machine.
    Clock,
}

impl CheckSubject {
    /// The word for messages and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Registry => "registry",
            Self::Git => "git",
            Self::Disk => "disk",
            Self::Clock => "clock",
        }
    }
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It works.
    Ok,
    /// Some commands may fail, or their results differ.
    Warning,
    /// Commands that need it fail.
    Error,
}

impl Health {
    /// The word for messages and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// The login for a registry, and the features of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegistryFacts {
    /// The login that golden sends.
    #[serde(flatten)]
    pub login: LoginFacts,
    /// The deletion of manifests.
    pub deletion: Support,
    /// The registry's own list of referrers.
    pub referrers: Support,
}

/// The details of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum CheckDetails {
    /// About an engine.
    Engine(EngineFacts),
    /// About a registry.
    Registry(RegistryFacts),
    /// Free space in bytes.
    Disk {
        /// The free bytes.
        free: u64,
    },
    /// The clock of this machine minus that of a registry, in seconds.
    Clock {
        /// The seconds.
        ahead: i64,
    },
}

/// One check and its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The part of the environment that was checked.
    pub subject: CheckSubject,
    /// The name of the engine, the registry or the directory.
    pub name: String,
    /// The result.
    pub health: Health,
    /// The result in one sentence.
    pub message: String,
    /// The next steps for the user, one line each.
    pub help: Vec<String>,
    /// The details.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<CheckDetails>,
}

impl Check {
    fn new(subject: CheckSubject, name: &str, health: Health, message: impl Into<String>) -> Self {
        Self {
            subject,
            name: name.to_owned(),
            health,
            message: message.into(),
            help: Vec::new(),
            facts: None,
        }
    }

    fn help(mut self, help: impl IntoIterator<Item = String>) -> Self {
        self.help.extend(help);
        self
    }

    fn facts(self, facts: CheckDetails) -> Self {
        Self {
            facts: Some(facts),
            ..self
        }
    }
}

/// Examines everything. `workspace` is `None` outside of a workspace. A failed check is a result,
/// not an error. Fails if a setting is invalid.
pub async fn examine(
    settings: &Settings,
    workspace: Option<&Workspace>,
) -> Result<Vec<Check>, Error> {
    let environment = DockerEnv::from_vars(&settings.env);
    let members = match workspace {
        Some(workspace) => fleet_engines(workspace, &environment, &trust::engines(settings)?)?,
        None => Vec::new(),
    };
    let destinations = Destinations::of(settings, workspace)?;
    let all = all(&destinations);
    let opened = registries::open(settings, &destinations, &[])?;
    let engines = async {
        let own = own_engine(&environment, !members.is_empty()).await;
        let members = join_all(members.iter().map(member)).await;
        std::iter::once(own).chain(members).collect::<Vec<_>>()
    };
    let found = join_all(all.iter().map(|to| registry(&opened, to, settings.now)));
    let (engines, found) = join(engines, found).await;
    let mut checks = engines;
    let mut clock = None;
    for (check, of_registry) in found {
        checks.push(check);
        clock = clock.or(of_registry);
    }
    if all.is_empty() {
        checks.push(no_registry());
    }
    checks.push(git_of(settings, workspace).await);
    checks.push(disk(settings, workspace));
    checks.extend(clock);
    Ok(checks)
}

/// The selected registries and those of golden.toml, each host once.
fn all(destinations: &Destinations) -> Vec<Destination> {
    let mut all: Vec<Destination> = Vec::new();
    for to in destinations.chosen.iter().chain(&destinations.registries) {
        if !all.iter().any(|known| known.host == to.host) {
            all.push(to.clone());
        }
    }
    all
}

/// The engine that the environment selects. Without it, images that execute nothing can still be
/// built.
async fn own_engine(environment: &DockerEnv, has_members: bool) -> Check {
    let facts = match Docker::connect(environment).await {
        Ok(docker) => docker.facts().await,
        Err(error) => Err(error),
    };
    let is_selected = environment.host.is_some() || environment.context.is_some();
    let absent = if is_selected {
        Health::Error
    } else if has_members {
        Health::Ok
    } else {
        Health::Warning
    };
    of_engine("default", facts, absent)
}

/// An engine of `[[engine]]`.
async fn member(member: &FleetEngine) -> Check {
    let check = of_engine(member.name(), member.facts().await, Health::Error);
    let is_trusted = member.trust() == EngineTrust::Trusted;
    if is_trusted || check.health != Health::Ok {
        return check;
    }
    let message = format!(
        "{}; it receives no login: {}",
        check.message,
        member.trust()
    );
    let trust = format!(
        "set GOLDEN_TRUST={0}, or build with --trust-engine {0}",
        member.name()
    );
    Check {
        health: Health::Warning,
        message,
        ..check
    }
    .help([trust])
}

fn of_engine(name: &str, facts: Result<EngineFacts, engine::Error>, absent: Health) -> Check {
    match facts {
        Ok(facts) => Check::new(CheckSubject::Engine, name, Health::Ok, engine_line(&facts))
            .facts(CheckDetails::Engine(facts)),
        Err(error) => {
            let help = if absent == Health::Ok {
                Vec::new()
            } else {
                error.hints()
            };
            Check::new(CheckSubject::Engine, name, absent, error.to_string()).help(help)
        }
    }
}

/// `Docker 28.5.2 at unix:///run/docker.sock (context `x`): API 1.51, BuildKit, containerd store,
/// linux/amd64`.
fn engine_line(facts: &EngineFacts) -> String {
    let version = facts.version.as_ref().map(|version| format!(" {version}"));
    let source = facts.source.as_ref().map(|source| format!(" ({source})"));
    let mut details = Vec::new();
    details.extend(facts.api.as_ref().map(|api| format!("API {api}")));
    if facts.builder != facts.program {
        details.push(facts.builder.to_owned());
    }
    details.extend(facts.store.as_ref().map(|store| format!("{store} store")));
    details.push(facts.platform.to_string());
    format!(
        "{}{} at {}{}: {}",
        facts.program,
        version.unwrap_or_default(),
        facts.address,
        source.unwrap_or_default(),
        details.join(", ")
    )
}

/// A registry, and the difference of its clock.
async fn registry(registries: &Registries, to: &Destination, now: i64) -> (Check, Option<Check>) {
    let started = Instant::now();
    match ask(registries, to).await {
        Ok((facts, date)) => {
            let clock = date.map(|date| clock(&to.host, date, now, started.elapsed()));
            (of_registry(to, facts), clock)
        }
        Err(error) => {
            let check = Check::new(
                CheckSubject::Registry,
                &name_of(to),
                Health::Error,
                error.to_string(),
            );
            (check.help(error.hints()), None)
        }
    }
}

async fn ask(
    registries: &Registries,
    to: &Destination,
) -> Result<(RegistryFacts, Option<SystemTime>), registry::Error> {
    let registry = registries.at(&to.host);
    let date = registry.ping().await?;
    let login = registries.login(&to.host).await?;
    let (deletion, referrers) = match probed(&to.namespace) {
        Some(path) => {
            let repo = registry.repo(&path);
            (
                repo.supports_deletion().await?,
                repo.supports_referrers().await?,
            )
        }
        None => (Support::Unknown, Support::Unknown),
    };
    let facts = RegistryFacts {
        login,
        deletion,
        referrers,
    };
    Ok((facts, date))
}

/// The repository that is asked about. It need not exist. `None` if the namespace is too long.
fn probed(namespace: &str) -> Option<RepositoryPath> {
    let path = format!("{namespace}/golden-doctor");
    path.trim_start_matches('/').parse().ok()
}

fn name_of(to: &Destination) -> String {
    if to.name == to.host.as_str() {
        to.name.clone()
    } else {
        format!("{} ({})", to.name, to.host)
    }
}

fn of_registry(to: &Destination, facts: RegistryFacts) -> Check {
    let login = match &facts.login {
        LoginFacts::Known {
            user: Some(user),
            source,
        } => format!("login `{user}` (from {source})"),
        LoginFacts::Known { user: None, source } => format!("a token (from {source})"),
        LoginFacts::Absent { reason } => format!("no login: {reason}"),
    };
    let deletion = match facts.deletion {
        Support::Yes => "deletion is enabled",
        Support::No => "deletion is disabled",
        Support::Unknown => "it does not report whether deletion is enabled",
    };
    let referrers = match facts.referrers {
        Support::Yes => "it lists referrers",
        Support::No => "it does not list referrers, so golden keeps them under tags",
        Support::Unknown => "it does not report whether it lists referrers",
    };
    let message = format!("{login}; {deletion}; {referrers}");
    Check::new(CheckSubject::Registry, &name_of(to), Health::Ok, message)
        .facts(CheckDetails::Registry(facts))
}

fn no_registry() -> Check {
    let message = "no registry is configured, so images are only built";
    Check::new(CheckSubject::Registry, "none", Health::Warning, message).help([
        "add a [[registry]] to golden.toml, or use --registry HOST[:PORT][/NAMESPACE]".to_owned(),
    ])
}

/// The clock of this machine, compared with that of a registry. `now` is the time at the start of
/// the command, `since` is the longest time that the answer can have taken.
fn clock(host: &Host, theirs: SystemTime, now: i64, since: Duration) -> Check {
    let theirs = theirs
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let ahead = now - i64::try_from(theirs).unwrap_or(i64::MAX);
    let least = if ahead < 0 {
        // The answer is younger than `now`.
        ahead.saturating_add_unsigned(since.as_secs()).min(0)
    } else {
        ahead
    };
    let is_large = least.unsigned_abs() > LARGE_DIFFERENCE.as_secs();
    let direction = if ahead < 0 { "behind" } else { "ahead of" };
    let (health, message, help) = if is_large {
        let seconds = least.unsigned_abs();
        let message = format!("this machine is {seconds} s {direction} {host}");
        let help = "correct the clock, because a wrong clock makes certificates and tokens invalid"
            .to_owned();
        (Health::Warning, message, Some(help))
    } else {
        (Health::Ok, format!("it agrees with {host}"), None)
    };
    Check::new(CheckSubject::Clock, "clock", health, message)
        .help(help)
        .facts(CheckDetails::Clock { ahead: least })
}

/// git, which gives images their times, revisions and sources.
async fn git_of(settings: &Settings, workspace: Option<&Workspace>) -> Check {
    let environment = settings.environment();
    let check = |health, message: String| Check::new(CheckSubject::Git, "git", health, message);
    let install = "without git, images have no time, revision and source";
    let version = match git::program_version(&environment).await {
        Ok(version) => version,
        Err(reason) => return check(Health::Warning, reason).help([install.to_owned()]),
    };
    let Some(workspace) = workspace else {
        return check(Health::Ok, version);
    };
    if let Some(refusal) = git::refusal(&workspace.root, &environment).await {
        return check(Health::Warning, format!("{version}: {refusal}")).help([install.to_owned()]);
    }
    let history = git::history(&workspace.root, &[], &environment).await;
    if history.shallow {
        let help = "fetch the whole history (`fetch-depth: 0`); in a shallow clone, an image can get the time and the revision of the oldest commit";
        return check(Health::Warning, format!("{version}: the clone is shallow"))
            .help([help.to_owned()]);
    }
    let checkout = match history.head {
        Some(_) => "the workspace is in a checkout",
        None => "the workspace has no commit, so images have no time, revision and source",
    };
    check(Health::Ok, format!("{version}; {checkout}"))
}

/// The free space where golden keeps layers.
fn disk(settings: &Settings, workspace: Option<&Workspace>) -> Check {
    let directory = workspace.map_or(&settings.cwd, |workspace| &workspace.root);
    let name = directory.display().to_string();
    let Some(free) = fs::free_bytes(directory) else {
        let message = "the system does not report the free space";
        return Check::new(CheckSubject::Disk, &name, Health::Ok, message);
    };
    let message = format!(
        "{:.1} GiB free",
        f64::from(u32::try_from(free >> 20).unwrap_or(u32::MAX)) / 1024.0
    );
    let check = if free < LITTLE_SPACE {
        Check::new(CheckSubject::Disk, &name, Health::Warning, message).help([
            "layers are written to .golden and to the temporary directory: free some space"
                .to_owned(),
        ])
    } else {
        Check::new(CheckSubject::Disk, &name, Health::Ok, message)
    };
    check.facts(CheckDetails::Disk { free })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_reported_only_if_it_differs_by_more_than_a_minute() {
        let host: Host = "r.example".parse().unwrap();
        for (now, theirs, took, expected) in [
            (1000, 1000, 0, "ok it agrees with r.example"),
            (1060, 1000, 0, "ok it agrees with r.example"),
            (
                1061,
                1000,
                0,
                "warning this machine is 61 s ahead of r.example",
            ),
            // The registry answered after 90 s of retries.
            (1000, 1090, 90, "ok it agrees with r.example"),
            (
                1000,
                1190,
                90,
                "warning this machine is 100 s behind r.example",
            ),
        ] {
            let theirs = UNIX_EPOCH + Duration::from_secs(theirs);
            let check = clock(&host, theirs, now, Duration::from_secs(took));
            let found = format!("{} {}", check.health.as_str(), check.message);
            assert_eq!(found, expected, "{now} {took}");
        }
    }

    #[test]
    fn the_repository_that_is_asked_about_is_in_the_namespace() {
        for (namespace, path) in [
            ("", "golden-doctor"),
            ("team/golden", "team/golden/golden-doctor"),
        ] {
            assert_eq!(probed(namespace).unwrap().as_str(), path);
        }
    }
}
