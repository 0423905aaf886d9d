//! The one integration test binary: one module a promise.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod support;
mod docker;
mod equality;
mod escaping;
mod images;
mod render;
mod auth;
mod logins;
mod embedded;
mod reproducible;
mod cli;
mod interrupt;
mod delete;
mod promote;
mod registry;
mod check;
mod fleet;
mod spec;
mod layers;
mod lock;
mod policy;
mod audit;
mod services;
mod publish;
mod acceptance;
mod faults;
mod races;
mod tags;
mod rollback;
mod revise;
mod fleet_end_to_end;
mod readme;
mod waves;
