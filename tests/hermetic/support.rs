//! The support that the hermetic tests share with the tests that need services.

#[path = "../it/support/content.rs"]
pub(crate) mod content;
#[path = "../it/support/curl.rs"]
pub(crate) mod curl;
#[path = "../it/support/layout.rs"]
pub(crate) mod layout;
#[path = "../it/support/logins.rs"]
pub(crate) mod logins;
#[path = "../it/support/proxy.rs"]
pub(crate) mod proxy;
#[path = "../it/support/registry.rs"]
pub(crate) mod registry;
#[path = "../it/support/served.rs"]
pub(crate) mod served;
#[path = "../it/support/server.rs"]
pub(crate) mod server;
#[path = "../it/support/services.rs"]
pub(crate) mod services;
#[path = "../it/support/snapshot.rs"]
pub(crate) mod snapshot;
#[path = "../it/support/tls.rs"]
pub(crate) mod tls;
#[path = "../it/support/tunnel.rs"]
pub(crate) mod tunnel;
#[path = "../it/support/workspace.rs"]
pub(crate) mod workspace;
