//! Parses Dockerfiles as `BuildKit` does
//! (<https://docs.docker.com/reference/dockerfile/>), for the import of existing images and for
//! audits of Dockerfiles that others own.
//!
//! [`parse`] reads a text into [`Instruction`]s, each with its position, its flags, its arguments on
//! one logical line, and its here-documents. The methods of an instruction split the arguments:
//! words, lists, pairs. [`expand`] evaluates the variables in a word, and [`stages`] resolves the
//! `FROM` lines.

pub mod expand;
mod here_document;
mod instruction;
mod json_list;
mod pairs;
mod parse;
mod scope;
mod stages;

pub use here_document::HereDocument;
pub use instruction::{Dockerfile, Flag, Instruction, Keyword};
pub use pairs::Pair;
pub use parse::{Error, ErrorKind, parse};
pub use scope::{Scope, ScopeValue, TooLarge};
pub use stages::{From, Stage, StageBase, stages};

#[cfg(test)]
mod tests;
