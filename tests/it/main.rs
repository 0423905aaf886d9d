//! The integration test binary, with one module for each promise.
#![expect(clippy::unwrap_used, reason = "a failed step must fail the test")]
#![expect(
    clippy::disallowed_methods,
    reason = "tests read and write their own files and environment"
)]
#![expect(clippy::format_collect, reason = "the texts of tests are short")]

mod acceptance;
mod artifacts;
mod attached;
mod attacks;
mod audit;
mod auth;
mod bad_answers;
mod bad_bases;
mod base_indexes;
mod base_locks;
mod check;
mod checkouts;
mod cli;
mod compression;
mod credentials;
mod damage;
mod delete;
mod dependencies;
mod destinations;
mod docker;
mod embedded;
mod engine_bounds;
mod engine_trust;
mod equality;
mod escaping;
mod families;
mod faults;
mod files;
mod fleet;
mod fleet_end_to_end;
mod guide;
mod hidden;
mod hostile;
mod images;
mod interrupt;
mod lag;
mod layer_bounds;
mod layers;
mod layouts;
mod lists;
mod lock;
mod logins;
mod messages;
mod nested_indexes;
mod original;
mod packages;
mod policy;
mod promote;
mod proxies;
mod publish;
mod races;
mod reach;
mod referrers;
mod registry;
mod render;
mod repair;
mod reproducible;
mod restarts;
mod retag;
mod revise;
mod rollback;
mod serve;
mod services;
mod several;
mod silence;
mod spec;
mod standalone;
mod support;
mod tags;
mod trust;
mod untag;
mod uploads;
mod waves;
