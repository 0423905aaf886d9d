//! Writes the repositories of packages in the format of each package manager.
//!
//! Sources: sources.list(5), dnf.conf(5), apk-repositories(5).

use super::image::{Family, PackageRepository};

/// A file that configures a package manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The absolute path in the image.
    pub path: String,
    /// The content of the file.
    pub text: String,
}

/// The configuration for one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageSource {
    /// The absolute path of the key in the image.
    pub key: String,
    /// The file that names the repository. `None` for apk, which has one file for all.
    pub file: Option<SourceFile>,
    /// The line of /etc/apk/repositories.
    pub line: Option<String>,
}

/// Checks a repository. Fails with the key of the table and the problem. The family is `None` if
/// only the base can show it.
pub fn check<K>(
    repository: &PackageRepository<K>,
    family: Option<Family>,
) -> Result<(), (&'static str, String)> {
    let url = &repository.url;
    let is_plain = |text: &str| {
        !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
    };
    let parsed = url::Url::parse(url).ok();
    let Some(parsed) = parsed.filter(|parsed| {
        is_plain(url) && parsed.has_host() && ["http", "https"].contains(&parsed.scheme())
    }) else {
        let message = format!(
            "`{}` is not an http or https URL",
            crate::secret::redact_userinfo(url)
        );
        return Err(("url", message));
    };
    if !parsed.username().is_empty() || parsed.password().is_some() {
        let message = "the URL contains a login, which would remain in the image".to_owned();
        return Err(("url", message));
    }
    for (key, texts) in [
        ("suite", repository.suite.as_slice()),
        ("components", &repository.components),
    ] {
        if let Some(text) = texts.iter().find(|text| !is_plain(text)) {
            return Err((key, format!("`{text}` is not a word")));
        }
    }
    match (family, &repository.suite) {
        (Some(Family::Debian), None) => Err(("url", "apt also needs `suite`".to_owned())),
        (Some(Family::Debian), Some(suite)) => {
            match (suite.ends_with('/'), repository.components.is_empty()) {
                (false, true) => Err(("suite", "apt also needs `components`".to_owned())),
                (true, false) => {
                    let message = "a suite that ends in `/` has no components".to_owned();
                    Err(("components", message))
                }
                _ => Ok(()),
            }
        }
        (Some(other @ (Family::Alpine | Family::Rhel)), Some(_)) => {
            let message = format!(
                "only apt has suites, but the family is `{}`",
                other.as_str()
            );
            Err(("suite", message))
        }
        (Some(other @ (Family::Alpine | Family::Rhel)), None)
            if !repository.components.is_empty() =>
        {
            let message = format!(
                "only apt has components, but the family is `{}`",
                other.as_str()
            );
            Err(("components", message))
        }
        _ => Ok(()),
    }
}

/// The configuration for a repository; `None` for a family without a package manager.
#[must_use]
pub fn of(repository: &PackageRepository, family: Family) -> Option<PackageSource> {
    let name = name(repository);
    let file = |path: String, text: String| Some(SourceFile { path, text });
    match family {
        Family::Debian => {
            // apt reads the format of a key from the extension of its file.
            let is_text = std::path::Path::new(&repository.key.file)
                .extension()
                .is_some_and(|extension| extension == "asc");
            let extension = if is_text { "asc" } else { "gpg" };
            let key = format!("/etc/apt/keyrings/{name}.{extension}");
            let suite = repository.suite.as_deref().unwrap_or("./");
            let components = repository.components.join(" ");
            let components =
                (!components.is_empty()).then(|| format!("Components: {components}\n"));
            let text = format!(
                "Types: deb\nURIs: {}\nSuites: {suite}\n{}Signed-By: {key}\n",
                repository.url,
                components.unwrap_or_default()
            );
            Some(PackageSource {
                file: file(format!("/etc/apt/sources.list.d/{name}.sources"), text),
                key,
                line: None,
            })
        }
        Family::Rhel => {
            let key = format!("/etc/pki/rpm-gpg/RPM-GPG-KEY-{name}");
            let text = format!(
                "[{name}]\nname={name}\nbaseurl={}\nenabled=1\ngpgcheck=1\ngpgkey=file://{key}\n",
                repository.url
            );
            Some(PackageSource {
                file: file(format!("/etc/yum.repos.d/{name}.repo"), text),
                key,
                line: None,
            })
        }
        Family::Alpine => Some(PackageSource {
            key: format!("/etc/apk/keys/{}", repository.key.file),
            file: None,
            line: Some(repository.url.clone()),
        }),
        Family::Static => None,
    }
}

/// The name of a repository's files: its URL and suite, as far as they are letters and digits. The
/// same repository in a base and in an image built on it has one name.
fn name(repository: &PackageRepository) -> String {
    let url = repository
        .url
        .split_once("://")
        .map_or("", |(_, rest)| rest);
    let suite = repository.suite.as_deref().unwrap_or_default();
    let words = [url, suite].join("-");
    let words = words
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '.')
        .map(|word| word.trim_matches('.'))
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::super::image::PackageKey;
    use super::*;
    use crate::oci::Content;

    fn repository(url: &str, suite: Option<&str>, components: &[&str]) -> PackageRepository {
        PackageRepository {
            url: url.to_owned(),
            suite: suite.map(str::to_owned),
            components: components.iter().map(|&it| it.to_owned()).collect(),
            key: PackageKey {
                file: "team.asc".to_owned(),
                content: Content::inline(b"key".as_slice()),
            },
        }
    }

    #[test]
    fn a_repository_is_checked_for_its_family() {
        let url = "https://p.example/debian";
        for (given, family, expected) in [
            (
                repository(url, Some("bookworm"), &["main"]),
                Some(Family::Debian),
                "ok",
            ),
            (repository(url, Some("bookworm"), &["main"]), None, "ok"),
            (repository(url, Some("./"), &[]), Some(Family::Debian), "ok"),
            (repository(url, None, &[]), Some(Family::Alpine), "ok"),
            (repository(url, None, &[]), Some(Family::Rhel), "ok"),
            (
                repository(url, None, &[]),
                Some(Family::Debian),
                "url: apt also needs `suite`",
            ),
            (
                repository(url, Some("bookworm"), &[]),
                Some(Family::Debian),
                "suite: apt also needs `components`",
            ),
            (
                repository(url, Some("./"), &["main"]),
                Some(Family::Debian),
                "components: a suite that ends in `/` has no components",
            ),
            (
                repository(url, Some("x"), &[]),
                Some(Family::Rhel),
                "suite: only apt has suites, but the family is `rhel`",
            ),
            (
                repository(url, None, &["x"]),
                Some(Family::Alpine),
                "components: only apt has components, but the family is `alpine`",
            ),
            (
                repository("file:///srv", None, &[]),
                None,
                "url: `file:///srv` is not an http or https URL",
            ),
            (
                repository("https://a b/", None, &[]),
                None,
                "url: `https://a b/` is not an http or https URL",
            ),
            (
                repository("https://ann:s3cret@p.example/", None, &[]),
                None,
                "url: the URL contains a login, which would remain in the image",
            ),
            (
                repository(url, Some("a b"), &["main"]),
                None,
                "suite: `a b` is not a word",
            ),
        ] {
            let found = match check(&given, family) {
                Ok(()) => "ok".to_owned(),
                Err((key, message)) => format!("{key}: {message}"),
            };
            assert_eq!(found, expected, "{given:?} {family:?}");
        }
    }

    #[test]
    fn a_repository_is_written_for_its_package_manager() {
        let given = repository(
            "https://p.example:8443/team/deb/",
            Some("bookworm"),
            &["main", "extra"],
        );
        let debian = of(&given, Family::Debian).unwrap();
        assert_eq!(
            debian.key,
            "/etc/apt/keyrings/p.example-8443-team-deb-bookworm.asc"
        );
        let file = debian.file.unwrap();
        assert_eq!(
            file.path,
            "/etc/apt/sources.list.d/p.example-8443-team-deb-bookworm.sources"
        );
        assert_eq!(
            file.text,
            "Types: deb\nURIs: https://p.example:8443/team/deb/\nSuites: bookworm\nComponents: main extra\n\
             Signed-By: /etc/apt/keyrings/p.example-8443-team-deb-bookworm.asc\n"
        );
        let given = repository("https://p.example/el9", None, &[]);
        let rhel = of(&given, Family::Rhel).unwrap();
        let file = rhel.file.unwrap();
        assert_eq!(file.path, "/etc/yum.repos.d/p.example-el9.repo");
        assert_eq!(
            file.text,
            "[p.example-el9]\nname=p.example-el9\nbaseurl=https://p.example/el9\nenabled=1\ngpgcheck=1\n\
             gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-p.example-el9\n"
        );
        let alpine = of(&given, Family::Alpine).unwrap();
        assert_eq!(alpine.key, "/etc/apk/keys/team.asc");
        assert_eq!(alpine.line.as_deref(), Some("https://p.example/el9"));
        assert_eq!(of(&given, Family::Static), None);
    }
}
