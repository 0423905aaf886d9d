//! The hermetic tests: they need no service, no network and no root. `cargo test` runs them.
#![expect(clippy::unwrap_used, reason = "a failed step must fail the test")]
#![expect(
    clippy::disallowed_methods,
    reason = "tests read and write their own files and environment"
)]
#![expect(clippy::format_collect, reason = "the texts of tests are short")]

mod artifacts;
mod attached;
mod audit;
mod auth;
mod base_indexes;
mod base_locks;
mod bump;
mod channels;
mod check;
mod checkouts;
mod ci;
mod cli;
mod completions;
mod consumers;
mod credentials;
mod delete;
mod dependencies;
mod diff;
mod doctor;
mod engine_trust;
mod events;
mod families;
mod files;
mod fleet;
mod fmt;
mod gates;
mod hidden;
mod impact;
mod import;
mod interrupt;
mod lag;
mod layers;
mod lifecycle;
mod lists;
mod logins;
mod messages;
mod mistakes;
mod names;
mod nested_indexes;
mod next_version;
mod notify;
mod original;
mod overtaken;
mod packages;
mod policy;
mod promote;
mod proxies;
mod pseudo_terminal;
mod readme;
mod recipes;
mod referrers;
mod render;
mod renovate;
mod repair;
mod reproduce;
mod requests;
mod retag;
mod rollback;
mod sbom;
mod serve;
mod shared_tags;
mod shipped;
mod signing;
mod site;
mod sources;
mod spec;
mod statements;
mod step_summary;
mod structure;
#[allow(dead_code, reason = "the tests with services use the rest")]
mod support;
mod tags;
mod terminal;
mod testing;
mod version;
mod words;
mod workflows;
