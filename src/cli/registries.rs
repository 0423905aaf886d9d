//! The registries of a command, with the settings that the workspace has for them, if there is one.

use super::context::Context;
use super::destinations::Destinations;
use crate::reference::Host;
use crate::registry::{Endpoint, Registries, RegistryEnv};

/// Makes the registries of a run. The GOLDEN_ variables reach those that are chosen as destinations, and the hosts in
/// `written`, which the command line names as the place to work on.
pub(crate) fn open(context: &Context, destinations: &Destinations, written: &[&Host]) -> Registries {
    let Destinations { chosen, registries } = destinations;
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for destination in chosen.iter().chain(registries) {
        let host = &destination.host;
        let is_destination = written.contains(&host) || chosen.iter().any(|chosen| chosen.host == *host);
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
                destination: is_destination,
            }),
        }
    }
    for host in written {
        if !endpoints.iter().any(|endpoint| endpoint.host == **host) {
            endpoints.push(Endpoint { destination: true, ..Endpoint::of((*host).clone()) });
        }
    }
    Registries::new(endpoints, RegistryEnv::from_vars(&context.env))
}
