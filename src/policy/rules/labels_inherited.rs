//! `labels.inherited`.

use super::Rule;
use crate::diagnostic::Severity;
use crate::policy::compile::CompiledPolicy;
use crate::policy::finding::Finding;
use crate::policy::subject::PolicySubject;

pub(super) static RULE: Rule = Rule {
    id: "labels.inherited",
    severity: Severity::Warning,
    fixed: false,
    summary: "no label of the base describes the wrong image",
    docs: "\
Labels are inherited, and Docker cannot delete one. Labels that say what an image is (title, description, version,
revision, source, created, url, documentation, authors, vendor, maintainer, name, release, summary,
vcs-ref, vcs-type, vcs-url, build-date, com.redhat.*, io.openshift.*, io.k8s.*) and that came from the base would describe the base as if it were this image. golden
overwrites those that it fills in; this rule reports the rest, on the image that was built.

Set the label in [labels], or overwrite it with the empty string: KEY = \"\".
",
    check: Some(check),
};

/// Names of identity labels, bare or after one of [`PREFIXES`].
const IDENTITY: [&str; 18] = [
    "title",
    "description",
    "version",
    "revision",
    "source",
    "created",
    "url",
    "documentation",
    "authors",
    "vendor",
    "maintainer",
    "name",
    "release",
    "summary",
    // What build systems such as Red Hat's record of the source and the build.
    "vcs-ref",
    "vcs-type",
    "vcs-url",
    "build-date",
];

/// Names that the OCI defines in addition, and that mean something only after its prefix.
const OCI: [&str; 4] = ["licenses", "ref.name", "base.name", "base.digest"];

/// What identity labels may begin with.
const PREFIXES: [&str; 2] = ["org.opencontainers.image.", "org.label-schema."];

/// Namespaces of which every label says what an image is.
const NAMESPACES: [&str; 3] = ["com.redhat.", "io.openshift.", "io.k8s."];

fn check(_: &CompiledPolicy<'_>, subject: &PolicySubject<'_>, found: &mut Vec<Finding>) {
    for (key, value) in &subject.inherited {
        if value.is_empty() || !is_identity(key) {
            continue;
        }
        found.push(
            Finding::new(format!(
                "label `{key}` is inherited from the base and describes that: `{value}`"
            ))
            .key(&["labels", key], "")
            .help(format!(
                "set it in [labels], or overwrite it with {} = \"\"",
                super::toml_key(key)
            )),
        );
    }
}

/// Whether a label says what an image is.
fn is_identity(key: &str) -> bool {
    if NAMESPACES
        .iter()
        .any(|namespace| key.starts_with(namespace))
    {
        return true;
    }
    let prefix = PREFIXES.iter().find(|prefix| key.starts_with(**prefix));
    let name = prefix.map_or(key, |prefix| &key[prefix.len()..]);
    IDENTITY.contains(&name) || (prefix.is_some() && OCI.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_told_from_the_rest() {
        for key in [
            "maintainer",
            "version",
            "org.opencontainers.image.url",
            "io.k8s.display-name",
            "com.redhat.component",
            "vcs-ref",
            "build-date",
            "org.label-schema.vcs-ref",
            "org.label-schema.name",
        ] {
            assert!(is_identity(key), "{key}");
        }
        for key in [
            "framework",
            "licenses",
            "org.example.version",
            "io.k8sx.name",
            "org.opencontainers.image.extra",
        ] {
            assert!(!is_identity(key), "{key}");
        }
    }
}
