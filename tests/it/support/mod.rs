//! Shared test support.

pub(crate) mod assembling;
pub(crate) mod buildkit;
pub(crate) mod built;
pub(crate) mod content;
pub(crate) mod curl;
pub(crate) mod engines;
pub(crate) mod images;
pub(crate) mod layout;
pub(crate) mod logins;
pub(crate) mod private_engine;
pub(crate) mod proxy;
pub(crate) mod publisher;
pub(crate) mod registry;
pub(crate) mod served;
pub(crate) mod server;
pub(crate) mod services;
pub(crate) mod snapshot;
pub(crate) mod tls;
pub(crate) mod tunnel;
pub(crate) mod workspace;
