//! The registries of a command that needs no images: with the settings of the workspace, if there is one.

use super::context::Context;
use super::error::Failure;
use crate::reference::Host;
use crate::registry::{Endpoint, Registries, RegistryEnv};
use crate::resolve::Destination;

/// Makes the registries of a run. `written` are hosts that the command line names as the place to work on: they are
/// destinations too, so that the GOLDEN_ variables reach them.
pub(crate) fn open(context: &Context, destinations: &[Destination], written: &[&Host]) -> Registries {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for Destination { host, ca, http, .. } in destinations {
        let endpoint = Endpoint { host: host.clone(), ca: ca.clone(), http: *http, destination: true };
        match endpoints.iter_mut().find(|known| known.host == *host) {
            // One host may stand in several tables; what one of them says of it holds.
            Some(known) => {
                known.ca = known.ca.take().or(endpoint.ca);
                known.http |= endpoint.http;
            }
            None => endpoints.push(endpoint),
        }
    }
    for host in written {
        if !endpoints.iter().any(|endpoint| endpoint.host == **host) {
            endpoints.push(Endpoint { destination: true, ..Endpoint::of((*host).clone()) });
        }
    }
    Registries::new(endpoints, RegistryEnv::from_vars(&context.env))
}

/// The destinations that the command line or `GOLDEN_REGISTRY` names.
pub(crate) async fn destinations(context: &Context) -> Result<Vec<Destination>, Failure> {
    let named = context.globals.registry.iter().map(String::as_str);
    let fallback = context.var("GOLDEN_REGISTRY").filter(|_| context.globals.registry.is_empty());
    named.chain(fallback).map(|text| text.parse().map_err(Failure::usage)).collect()
}
