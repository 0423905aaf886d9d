//! `golden` builds, tags and publishes golden images.
//!
//! Data flows one way; each stage has one type and only adds knowledge:
//!
//! ```text
//! text ─spec─▶ Sources + ImageSpec ─resolve─▶ ResolvedImage ─observe(I/O)─▶ Observed ─pin─▶ PinnedBase
//!      ─render─▶ Recipe{dockerfile, context, inputs} ─plan─▶ Plan ─engine(I/O)─▶ BuiltImage
//!      ─publish(I/O)─▶ Receipt ─verify(I/O)─▶ Verdict
//!      every stage ─▶ Event / Diagnostic ─report─▶ terminal · json · github · sarif
//! ```
//!
//! The rooms below stand in strict order: a module uses only modules above it in this list, and
//! `tests/it/layers.rs` holds them to it. Levels 0 to 2 are pure: no files, no clock, no environment, no
//! network, nothing printed.

// Level 0: vocabulary. Values, no I/O.
pub mod diagnostic;
pub mod event;
pub mod platform;
pub mod reference;
pub mod secret;
pub mod suggest;

// Level 1: what the user wrote, and the data that registries and engines exchange.
pub mod oci;
pub mod spec;
pub mod tags;

// Level 2: what it means. Pure.
pub mod assemble;
pub mod plan;
pub mod policy;
pub mod render;
pub mod resolve;
pub mod snapshot;

// Level 3: the world. Async; everything takes its handles as arguments.
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

// Level 4: the face.
pub mod cli;
pub mod help;
pub mod report;
