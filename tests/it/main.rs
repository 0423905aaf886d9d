//! The tests against real engines and registries, which `tests/services` starts. `tests/run` runs
//! them.
#![expect(clippy::unwrap_used, reason = "a failed step must fail the test")]
#![expect(
    clippy::disallowed_methods,
    reason = "tests read and write their own files and environment"
)]
#![expect(clippy::format_collect, reason = "the texts of tests are short")]

mod acceptance;
mod attacks;
mod audit;
mod auth;
mod bad_answers;
mod bad_bases;
mod build_cache;
mod commands;
mod completions;
mod compression;
mod credentials;
mod damage;
mod destinations;
mod docker;
mod embedded;
mod engine_bounds;
mod equality;
mod escaping;
mod faults;
mod fleet_end_to_end;
mod guide;
mod hostile;
mod images;
mod import;
mod keystores;
mod layer_bounds;
mod layouts;
mod lifecycle;
mod lint;
mod lock;
mod pages;
mod platforms;
mod promote;
mod publish;
mod races;
mod reach;
mod registry;
mod repositories;
mod reproducible;
mod restarts;
mod revise;
mod rollback;
mod sbom;
mod services;
mod several;
mod signing;
mod silence;
mod standalone;
mod structure;
#[allow(dead_code, reason = "the hermetic tests use the rest")]
mod support;
mod trust;
mod untag;
mod uploads;
mod waves;
