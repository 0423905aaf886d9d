//! The specs golden.toml and image.toml, parsed into checked types.
//!
//! [`document`] parses a file into a tree of values with spans. Defaults, the matrix and templates
//! work on trees (`resolve`). Then [`typed`] converts a tree into the types of [`image`] and
//! [`workspace`], and reports every mistake with its location. The JSON Schema is generated from
//! the same types.

pub mod base;
pub mod byte_size;
pub mod channel;
pub mod config;
pub mod document;
pub mod edit;
pub mod engine_address;
mod fault;
pub mod format;
pub mod gate_table;
pub mod growth;
pub mod image;
pub mod key_source;
pub mod keyed;
pub mod lifecycle;
pub mod matrix;
mod node;
pub mod notify_table;
pub mod package_requirement;
pub mod policy;
pub mod quoted;
pub(crate) mod regular_expression;
pub mod schema;
pub mod source_keys;
pub mod structure;
mod table;
pub mod test_table;
pub mod typed;
mod unquoted;
pub mod values;
pub mod workspace;

pub use image::ImageSpec;
pub use key_source::KeySource;
pub use workspace::{SbomFormat, SignatureFormat, WorkspaceSpec};

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::document::{SourceFiles, SourceKind, parse};
    use super::typed::typed;
    use super::{ImageSpec, WorkspaceSpec};
    use crate::diagnostic::Diagnostics;

    fn read(text: &str) -> Diagnostics {
        let files = SourceFiles {
            workspace: "golden.toml".into(),
            image: "image.toml".into(),
        };
        let mut found = Diagnostics::new();
        if let Some(table) = parse(Path::new("image.toml"), SourceKind::Image, text, &mut found) {
            drop::<ImageSpec>(typed(table, &files, &mut found));
        }
        if let Some(table) = parse(
            Path::new("golden.toml"),
            SourceKind::Workspace,
            text,
            &mut found,
        ) {
            drop::<WorkspaceSpec>(typed(table, &files, &mut found));
        }
        found
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".*") {
            drop(read(&text));
        }

        #[test]
        fn no_value_at_any_key_makes_the_parser_panic(
            table in "image|labels|env|config|certs|packages|tags|matrix|registry|signing|trust|policy|defaults|workspace|test|x",
            key in "name|version|base|key|keys|formats|expose|entrypoint|healthcheck|trust|install|extra|host|file|port|config|max|type|matches|a|\"\"",
            value in "0|-1|1e400|true|\"\"|\"x\"|\\[\\]|\\[1, \"a\"\\]|\\{\\}|\\{ image = 1 \\}|1979-05-27|nan",
            list in proptest::bool::ANY,
        ) {
            let header = if list { format!("[[{table}]]") } else { format!("[{table}]") };
            drop(read(&format!("{header}\n{key} = {value}\n")));
        }
    }
}
