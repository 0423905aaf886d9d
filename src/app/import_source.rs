//! The kinds of files and images that `golden new --from` imports.

use std::path::Path;

/// The value of `--from`, by its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportSource<'a> {
    /// A bake file or a Compose file, with one image for each target.
    BakeFile(&'a Path),
    /// A Dockerfile, or a directory with a file of that name.
    Dockerfile(&'a Path),
    /// The reference of an existing image.
    Image(&'a str),
}

impl<'a> ImportSource<'a> {
    /// The kind of a value. `exists` is true if a file or directory has this path. A value that
    /// looks like a path is a path, even if it does not exist; the error then names it.
    #[must_use]
    pub fn of(written: &'a str, exists: bool) -> Self {
        let path = Path::new(written);
        let extension = path.extension().unwrap_or_default();
        if ["hcl", "json", "yaml", "yml"]
            .iter()
            .any(|known| extension == *known)
        {
            return Self::BakeFile(path);
        }
        let last = path.file_name().unwrap_or_default().to_string_lossy();
        let is_path = exists
            || path.is_absolute()
            || path.starts_with(".")
            || path.starts_with("..")
            || ["Dockerfile", "Containerfile"]
                .iter()
                .any(|name| last.contains(name));
        if is_path {
            Self::Dockerfile(path)
        } else {
            Self::Image(written)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_source_follows_from_its_name_and_from_the_file() {
        let bake = |text| ImportSource::BakeFile(Path::new(text));
        let file = |text| ImportSource::Dockerfile(Path::new(text));
        for (written, exists, expected) in [
            ("docker-bake.hcl", true, bake("docker-bake.hcl")),
            ("compose.yaml", false, bake("compose.yaml")),
            ("app", true, file("app")),
            ("./app", false, file("./app")),
            ("../app", false, file("../app")),
            ("/srv/app", false, file("/srv/app")),
            ("Dockerfile.dev", false, file("Dockerfile.dev")),
            ("app/Containerfile", false, file("app/Containerfile")),
            ("app", false, ImportSource::Image("app")),
            ("debian:12", false, ImportSource::Image("debian:12")),
            ("oci:layout", false, ImportSource::Image("oci:layout")),
        ] {
            assert_eq!(ImportSource::of(written, exists), expected, "{written}");
        }
    }
}
