//! The registries of a command, with their settings from the workspace, if there is one.
//!
//! Only this module determines which registries get the login in `GOLDEN_REGISTRY_USER` and
//! `GOLDEN_REGISTRY_PASSWORD`.

use std::collections::BTreeSet;

use super::destinations::Destinations;
use super::error::Error;
use super::session::Session;
use super::settings::Settings;
use crate::reference::{Host, Reference};
use crate::registry::{LoginScope, Registries, RegistryEndpoint, RegistryEnv};
use crate::secret::redact_userinfo;

/// Opens the registries of a command on the images of a workspace. Fails if a configured host is
/// invalid.
pub fn of_session(session: &Session) -> Result<Registries, Error> {
    open(&session.settings, &session.known_destinations(), &[])
}

/// Opens the registries of a command with these arguments, without the names of workspace images.
/// The host of a reference counts as named by the user. Fails if a configured host is invalid.
pub fn open(
    settings: &Settings,
    destinations: &Destinations,
    arguments: &[String],
) -> Result<Registries, Error> {
    let named = arguments
        .iter()
        .flat_map(|argument| hosts_of(argument))
        .collect();
    make(settings, destinations, named, None)
}

/// Opens the registries of a command that writes to a reference whose host is `target`. Only this
/// host may receive a login that is not bound to a registry. Fails if a configured host is invalid.
pub fn open_to(
    settings: &Settings,
    destinations: &Destinations,
    target: &Host,
) -> Result<Registries, Error> {
    make(
        settings,
        destinations,
        BTreeSet::from([target.clone()]),
        Some(target),
    )
}

fn make(
    settings: &Settings,
    destinations: &Destinations,
    named: BTreeSet<Host>,
    target: Option<&Host>,
) -> Result<Registries, Error> {
    let Destinations { chosen, registries } = destinations;
    let insecure = hosts("--insecure-registry", &settings.insecure_registries)?;
    let mut endpoints: Vec<RegistryEndpoint> = insecure
        .iter()
        .map(|host| RegistryEndpoint {
            http: true,
            clear_login: true,
            ..RegistryEndpoint::of(host.clone())
        })
        .collect();
    for destination in chosen.iter().chain(registries) {
        let host = &destination.host;
        // Several tables may have the same host; the settings of all of them apply.
        match endpoints.iter_mut().find(|known| known.host == *host) {
            Some(known) => {
                known.ca = known.ca.take().or_else(|| destination.ca.clone());
                known.http |= destination.http;
            }
            None => endpoints.push(RegistryEndpoint {
                ca: destination.ca.clone(),
                http: destination.http,
                ..RegistryEndpoint::of(host.clone())
            }),
        }
    }
    let scope = LoginScope {
        listed: listed(settings)?,
        selected: selected(settings, destinations)?,
        destinations: chosen
            .iter()
            .map(|destination| destination.host.clone())
            .collect(),
        named,
        target: target.cloned(),
    };
    Ok(Registries::new(
        endpoints,
        RegistryEnv {
            scope,
            ..RegistryEnv::from_vars(&settings.env)
        },
    ))
}

/// The host of an argument: `HOST[:PORT]`, or a reference. An argument without `/` may be either,
/// so both hosts are returned.
fn hosts_of(argument: &str) -> Vec<Host> {
    let host = (!argument.trim_end_matches('/').contains('/'))
        .then(|| argument.trim_end_matches('/').parse());
    let reference = argument
        .parse::<Reference>()
        .map(|reference| reference.repository.host);
    host.into_iter().flatten().chain(reference).collect()
}

/// The hosts in `GOLDEN_REGISTRY_HOST`, separated by commas or white space; `None` if it is not
/// set.
fn listed(settings: &Settings) -> Result<Option<BTreeSet<Host>>, Error> {
    const NAME: &str = "GOLDEN_REGISTRY_HOST";
    let Some(text) = settings.var(NAME) else {
        return Ok(None);
    };
    let words: Vec<&str> = text
        .split([',', ' ', '\t', '\n'])
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .collect();
    hosts(NAME, &words).map(Some)
}

/// The hosts in `--registry` or `GOLDEN_REGISTRY`; `None` if neither is given. The name of a
/// `[[registry]]` does not count as a host, because golden.toml defines its host.
fn selected(
    settings: &Settings,
    destinations: &Destinations,
) -> Result<Option<BTreeSet<Host>>, Error> {
    let texts = &settings.registries;
    if texts.is_empty() && !settings.all_registries {
        return Ok(None);
    }
    let is_name = |text: &str| {
        destinations
            .registries
            .iter()
            .any(|known| known.name == text)
    };
    let hosts = texts.iter().filter(|text| !is_name(text)).map(|text| {
        let to: crate::resolve::Destination = text.parse()?;
        Ok(to.host)
    });
    hosts.collect::<Result<_, Error>>().map(Some)
}

fn hosts<T: AsRef<str>>(source: &str, texts: &[T]) -> Result<BTreeSet<Host>, Error> {
    let host = |text: &T| {
        let text = text.as_ref();
        text.parse::<Host>().map_err(|_| {
            let message = format!("{source}: `{}` is not a host", redact_userinfo(text));
            Error::invalid(message).hint("write HOST[:PORT], for example registry.example.com:5000")
        })
    };
    texts.iter().map(host).collect()
}
