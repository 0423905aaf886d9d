//! The registries of a command, with the settings that the workspace has for them, if there is one.
//!
//! This is the one place that collects how the user said which registries the login of the GOLDEN_ variables is for.

use std::collections::BTreeSet;

use super::context::Context;
use super::destinations::{self, Destinations};
use super::error::Failure;
use super::session::Session;
use crate::reference::{Host, Reference};
use crate::registry::{LoginScope, Registries, RegistryEndpoint, RegistryEnv};
use crate::secret::redact_userinfo;

/// The registries of a command that works on the images of a workspace.
pub(crate) fn of_session(context: &Context, session: &Session) -> Result<Registries, Failure> {
    let Session {
        destinations,
        registries,
        ..
    } = session;
    let known = Destinations {
        chosen: destinations.clone(),
        registries: registries.clone(),
    };
    open(context, &known, &[])
}

/// The registries of a command with these arguments. The host of a reference among them is one that the user named; the
/// name of a workspace image names none.
pub(crate) fn open(
    context: &Context,
    destinations: &Destinations,
    arguments: &[String],
) -> Result<Registries, Failure> {
    let named = arguments
        .iter()
        .flat_map(|argument| hosts_of(argument))
        .collect();
    make(context, destinations, named, None)
}

/// The registries of a command that writes to a reference on the command line, which is at the host `target`.
pub(crate) fn open_to(
    context: &Context,
    destinations: &Destinations,
    target: &Host,
) -> Result<Registries, Failure> {
    make(
        context,
        destinations,
        BTreeSet::from([target.clone()]),
        Some(target),
    )
}

fn make(
    context: &Context,
    destinations: &Destinations,
    named: BTreeSet<Host>,
    target: Option<&Host>,
) -> Result<Registries, Failure> {
    let Destinations { chosen, registries } = destinations;
    let insecure = hosts("--insecure-registry", &context.globals.insecure_registry)?;
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
        // One host may be in several tables; the settings of all of them apply.
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
        listed: listed(context)?,
        selected: selected(context, destinations)?,
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
            ..RegistryEnv::from_vars(&context.env)
        },
    ))
}

/// The host of an argument: `HOST[:PORT]`, or a reference. Without a `/` it may be both.
fn hosts_of(argument: &str) -> Vec<Host> {
    let host = (!argument.trim_end_matches('/').contains('/'))
        .then(|| argument.trim_end_matches('/').parse());
    let reference = argument
        .parse::<Reference>()
        .map(|reference| reference.repository.host);
    host.into_iter().flatten().chain(reference).collect()
}

/// The hosts in `GOLDEN_REGISTRY_HOST`, separated by commas or white space; none if it is not set.
fn listed(context: &Context) -> Result<Option<BTreeSet<Host>>, Failure> {
    const NAME: &str = "GOLDEN_REGISTRY_HOST";
    let Some(text) = context.var(NAME) else {
        return Ok(None);
    };
    let words: Vec<&str> = text
        .split([',', ' ', '\t', '\n'])
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .collect();
    hosts(NAME, &words).map(Some)
}

/// The hosts that `--registry` or `GOLDEN_REGISTRY` names as hosts; none if neither is given. The name of a
/// `[[registry]]` is no host: golden.toml decides what it means.
fn selected(
    context: &Context,
    destinations: &Destinations,
) -> Result<Option<BTreeSet<Host>>, Failure> {
    let texts = destinations::selected(context);
    if texts.is_empty() && !context.globals.all_registries {
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
    hosts.collect::<Result<_, Failure>>().map(Some)
}

fn hosts<T: AsRef<str>>(source: &str, texts: &[T]) -> Result<BTreeSet<Host>, Failure> {
    let host = |text: &T| {
        let text = text.as_ref();
        text.parse::<Host>().map_err(|_| {
            let message = format!("{source}: `{}` is not a host", redact_userinfo(text));
            Failure::usage(message).hint("write HOST[:PORT], for example registry.example.com:5000")
        })
    };
    texts.iter().map(host).collect()
}
