//! The globs by which a table of golden.toml selects images.

use crate::glob::Glob;

/// The globs of a table; `None` selects all images.
#[derive(Debug)]
pub(super) struct ImageGlobs(Option<Vec<Glob>>);

impl ImageGlobs {
    /// Compiles globs, which `golden check` has checked. An invalid glob selects all images.
    #[must_use]
    pub(super) fn new(globs: Option<&Vec<String>>) -> Self {
        let compiled = |glob: &String| Glob::new(glob).ok();
        Self(globs.and_then(|globs| globs.iter().map(compiled).collect()))
    }

    /// True if a glob matches one of the names of an image.
    pub(super) fn select<N: AsRef<str>>(&self, names: &[N]) -> bool {
        let Some(globs) = &self.0 else {
            return true;
        };
        names
            .iter()
            .any(|name| globs.iter().any(|glob| glob.is_match(name.as_ref())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_select_images_and_an_invalid_one_selects_all() {
        let table: [(Option<&[&str]>, bool); 8] = [
            (None, true),
            (Some(&["team/*"]), true),
            (Some(&["*"]), false),
            (Some(&["**"]), true),
            (Some(&["other/*", "team/a*"]), true),
            (Some(&[]), false),
            // A gate is never skipped because of a mistake in its globs.
            (Some(&["team/[app"]), true),
            (Some(&["other/*", "team/[app"]), true),
        ];
        for (globs, expected) in table {
            let globs = globs.map(|globs| globs.iter().copied().map(str::to_owned).collect());
            let selected = ImageGlobs::new(globs.as_ref()).select(&["team/app"]);
            assert_eq!(selected, expected, "{globs:?}");
        }
    }
}
