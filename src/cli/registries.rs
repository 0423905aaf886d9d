//! The registries of a command, with the settings that the workspace has for them, if there is one.
//!
//! This is the one place that decides which of them the GOLDEN_ variables belong to.

use std::collections::BTreeSet;

use super::context::Context;
use super::destinations::Destinations;
use super::session::Session;
use crate::reference::Host;
use crate::registry::{Endpoint, Registries, RegistryEnv};

/// The registries of a command that works on the images of a workspace. The GOLDEN_ variables reach the chosen
/// destinations, and no other registry, though golden.toml name it.
pub(crate) fn of_session(context: &Context, session: &Session) -> Registries {
    let Session { destinations, registries, .. } = session;
    let known = Destinations { chosen: destinations.clone(), registries: registries.clone() };
    open(context, &known, &[])
}

/// The registries of a command that names hosts itself (`named`). The GOLDEN_ variables reach the chosen
/// destinations; where nothing is chosen, the one host that is named. Of several nobody knows which is meant, and
/// Docker Hub is rarely meant by a variable for a team's own registry.
pub(crate) fn open(context: &Context, destinations: &Destinations, named: &[&Host]) -> Registries {
    let named: BTreeSet<&Host> = named.iter().copied().collect();
    let mut owners: BTreeSet<&Host> = destinations.chosen.iter().map(|chosen| &chosen.host).collect();
    if owners.is_empty() && named.len() == 1 {
        owners.extend(named.into_iter().filter(|host| !host.is_hub()));
    }
    make(context, destinations, &owners)
}

/// The registries of a command that writes to one host only, whatever else is chosen or read.
pub(crate) fn open_to(context: &Context, destinations: &Destinations, destination: &Host) -> Registries {
    make(context, destinations, &BTreeSet::from([destination]))
}

fn make(context: &Context, destinations: &Destinations, owners: &BTreeSet<&Host>) -> Registries {
    let Destinations { chosen, registries } = destinations;
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for destination in chosen.iter().chain(registries) {
        let host = &destination.host;
        // One host may stand in several tables; what one of them says of it holds.
        match endpoints.iter_mut().find(|known| known.host == *host) {
            Some(known) => {
                known.ca = known.ca.take().or_else(|| destination.ca.clone());
                known.http |= destination.http;
            }
            None => endpoints.push(Endpoint {
                host: host.clone(),
                ca: destination.ca.clone(),
                http: destination.http,
                destination: owners.contains(host),
            }),
        }
    }
    for host in owners {
        if !endpoints.iter().any(|endpoint| endpoint.host == **host) {
            endpoints.push(Endpoint { destination: true, ..Endpoint::of((*host).clone()) });
        }
    }
    Registries::new(endpoints, RegistryEnv::from_vars(&context.env))
}
