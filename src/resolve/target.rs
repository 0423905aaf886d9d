//! Paths in an image.

/// An absolute path without `.`, `//` and a trailing `/`, and whether it ended in `/`, which means *into*.
pub fn normalised(written: &str) -> Result<(String, bool), String> {
    if !written.starts_with('/') {
        return Err(format!("the target `{written}` is not an absolute path"));
    }
    let parts: Vec<&str> = written.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err(format!("the target `{written}` contains `..`"));
    }
    let into = written.ends_with('/') || written.ends_with("/.");
    Ok((format!("/{}", parts.join("/")), into || parts.is_empty()))
}

/// `name` below `folder`.
#[must_use]
pub fn below(folder: &str, name: &str) -> String {
    if folder == "/" { format!("/{name}") } else { format!("{folder}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised() {
        for (written, path, into) in [
            ("/etc/motd", "/etc/motd", false),
            ("/etc//./motd", "/etc/motd", false),
            ("/etc/", "/etc", true),
            ("/", "/", true),
            ("/etc/.", "/etc", true),
        ] {
            assert_eq!(normalised(written), Ok((path.to_owned(), into)));
        }
        for bad in ["", "etc", "./etc", "/a/../b", "/.."] {
            assert!(normalised(bad).is_err(), "{bad:?} was taken");
        }
    }
}
