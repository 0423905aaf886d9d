//! The line `#:schema` at the top of a spec, by which editors find the JSON Schema of the file.

use std::path::Path;

use crate::config_files::schema;
use crate::workspace::state::Error;
use crate::workspace::state::{DIRECTORY, StateDirectory};

/// The schemas in the state directory.
const IMAGE: &str = "schema/image.json";
const WORKSPACE: &str = "schema/golden.json";

/// Writes the schemas of both files into the state directory.
pub fn write(state: &StateDirectory) -> Result<(), Error> {
    for (file, schema) in [(IMAGE, schema::image()), (WORKSPACE, schema::workspace())] {
        state.write(file, format!("{schema:#}\n").as_bytes())?;
    }
    Ok(())
}

/// The text of a spec file below the line that names its schema. `file` is relative to the
/// workspace.
#[must_use]
pub fn above(file: &Path, text: &str) -> String {
    let depth = file.components().count().saturating_sub(1);
    let up = if depth == 0 {
        "./".to_owned()
    } else {
        "../".repeat(depth)
    };
    let is_workspace = file.file_name().is_some_and(|name| name == "golden.toml");
    let schema = if is_workspace { WORKSPACE } else { IMAGE };
    format!("#:schema {up}{DIRECTORY}/{schema}\n{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_leads_to_the_schema() {
        for (file, expected) in [
            ("golden.toml", "#:schema ./.golden/schema/golden.json\nx"),
            ("a/image.toml", "#:schema ../.golden/schema/image.json\nx"),
            (
                "a/b/image.toml",
                "#:schema ../../.golden/schema/image.json\nx",
            ),
        ] {
            assert_eq!(above(Path::new(file), "x"), expected);
        }
    }
}
