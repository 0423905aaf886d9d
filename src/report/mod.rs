//! The only writer: events, diagnostics and results become text, JSON, GitHub annotations or SARIF.

pub mod out;

pub use out::Out;
