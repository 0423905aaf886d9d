//! `golden` builds, tags and publishes golden images.
//!
//! Data flows in one direction. Each stage has one type, which adds information to that of the
//! stage before:
//!
//! ```text
//! text ─spec─▶ Sources + ImageSpec ─resolve─▶ ResolvedImage ─observe(I/O)─▶ Observed ─pin─▶ PinnedBase
//!      ─render─▶ Recipe{dockerfile, context, inputs} ─plan─▶ Plan ─engine(I/O)─▶ BuiltImage
//!      ─publish(I/O)─▶ Receipt ─verify(I/O)─▶ Verdict
//!      every stage ─▶ Event / Diagnostic ─report─▶ terminal · json · github · sarif
//! ```
//!
//! The modules below are in strict order: a module uses only modules above it in this list, which
//! `tests/it/layers.rs` checks. Levels 0 to 2 are pure: they use no files, no clock, no environment
//! and no network, and print nothing.

// Level 0: basic types, without I/O.
pub mod diagnostic;
pub mod event;
pub mod platform;
pub mod reference;
pub mod secret;
pub mod suggest;

// Level 1: the specs of the user, and the data that registries and engines exchange.
pub mod oci;
pub mod spec;
pub mod tags;

// Level 2: pure functions on the specs.
pub mod assemble;
pub mod plan;
pub mod policy;
pub mod render;
pub mod resolve;
pub mod snapshot;

// Level 3: I/O. The code is async, and gets its handles as arguments.
pub mod engine;
pub mod observe;
pub mod pipeline;
pub mod process;
pub mod publish;
pub mod registry;
pub mod schedule;
pub mod serve;
pub mod store;
pub mod verify;
pub mod workspace;

// Level 4: the user interface.
pub mod cli;
pub mod help;
pub mod report;
