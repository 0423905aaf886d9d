//! `golden` builds, tags and publishes golden images.
//!
//! Data flows in one direction. Each stage has one type, which adds information to that of the
//! stage before:
//!
//! ```text
//! text ─config_files─▶ Sources + ImageSpec ─resolve─▶ ParsedImage ─workspace(I/O)─▶ ResolvedImage
//!      ─observe(I/O)─▶ Observed ─pin─▶ PinnedBase
//!      ─render─▶ Recipe{dockerfile, context, inputs} ─plan─▶ Plan ─engine(I/O)─▶ BuiltImage
//!      ─publish(I/O)─▶ Receipt ─verify(I/O)─▶ Verdict
//!      every stage ─▶ Event / Diagnostic ─report─▶ terminal · json · github · sarif
//! ```
//!
//! The modules are in strict order: a module uses only modules above it in this table, which
//! `tests/hermetic/layers.rs` checks. Levels 0 to 2 are pure: they use no files, no clock, no environment
//! and no network, and print nothing.
//!
//! | level | modules, in order |
//! |---|---|
//! | 0: basic types, without I/O | `secret` `pem` `reference` `platform` `diagnostic` `event` `suggest` `glob` |
//! | 1: the user's files, and the data that registries and engines exchange | `oci` `tags` `config_files` `dockerfile` |
//! | 2: pure functions on them | `snapshot` `resolve` `policy` `render` `assemble` `plan` `inventory` `checks` `trust` `import` `consumers` |
//! | 3: I/O, async; handles are arguments | `process` `workspace` `registry` `image` `signing` `store` `engine` `observe` `gates` `notify` `publish` `verify` `schedule` `serve` |
//! | 3½: the application | `app` |
//! | 4: the user interface | `help` `report` `cli` |

pub mod app;
pub mod assemble;
pub mod checks;
pub mod cli;
pub mod config_files;
pub mod consumers;
pub mod diagnostic;
pub mod dockerfile;
pub mod engine;
pub mod event;
pub mod gates;
pub mod glob;
pub mod help;
pub mod image;
pub mod import;
pub mod inventory;
pub mod notify;
pub mod observe;
pub mod oci;
pub(crate) mod pem;
pub mod plan;
pub mod platform;
pub mod policy;
pub mod process;
pub mod publish;
pub mod reference;
pub mod registry;
pub mod render;
pub mod report;
pub mod resolve;
pub mod schedule;
pub mod secret;
pub mod serve;
pub mod signing;
pub mod snapshot;
pub mod store;
pub mod suggest;
pub mod tags;
pub mod trust;
pub mod verify;
pub mod workspace;
