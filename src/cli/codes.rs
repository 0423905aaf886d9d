//! The explanations of the findings that are not rules of the policy, for `check --explain`.

/// The explanation of a code.
#[derive(Debug)]
pub(super) struct CodeDocs {
    /// The code in brackets: `error[spec.file]`.
    pub(super) id: &'static str,
    /// The problem in one line.
    pub(super) summary: &'static str,
    /// The reason, and how to correct it.
    pub(super) docs: &'static str,
}

const fn code(id: &'static str, summary: &'static str, docs: &'static str) -> CodeDocs {
    CodeDocs { id, summary, docs }
}

/// The explanation of a code; `None` for an unknown code.
pub(super) fn docs(id: &str) -> Option<&'static CodeDocs> {
    CODES.iter().find(|code| code.id == id)
}

/// Every code, sorted.
pub(super) static CODES: &[CodeDocs] = &[
    code(
        "base.unavailable",
        "no registry and no engine has the base of an image",
        "golden asks the registry of the base first, and then the Docker Engine. The message has the \
         answer of the registry: a name or a tag that does not exist, a login that is missing, or a \
         registry that does not answer. Correct `base` in image.toml, log in with `docker login`, or \
         load the image into the engine.",
    ),
    code(
        "env.key",
        "a key of [env] is not the name of a variable",
        "A name contains neither `=` nor white space.",
    ),
    code(
        "env.literal",
        "a value of [env] seems to refer to a variable",
        "golden expands no variables: `$` is literal. Write the value itself, or use `{{ vars.NAME }}`. \
         To extend the value of the base, use `{ prepend = \"…\" }` or `{ append = \"…\" }`.",
    ),
    code(
        "env.own-name",
        "a value of [env] refers to its own variable",
        "`$` is literal, so `PATH = \"/opt/bin:$PATH\"` would set exactly this text. Write \
         `PATH = { prepend = \"/opt/bin:\" }` or `{ append = … }`, which extend the value of the base.",
    ),
    code(
        "labels.inputs",
        "the spec sets a label that only golden sets",
        "golden compares `dev.golden.inputs` to decide whether an image changed. Remove the label.",
    ),
    code(
        "matrix.exclude",
        "an entry of `exclude` or `include` has no effect",
        "It matches no row of the matrix. Correct its values or remove it.",
    ),
    code(
        "policy.expired",
        "an exception from a rule ends soon or has ended",
        "`[[policy.except]]` in golden.toml excepts images from a rule until a date. The warning appears \
         two weeks before that date. After it, the rule counts again. Correct the images and remove \
         the exception, or move `until` to a later date.",
    ),
    code(
        "spec.attributes",
        "git may change a file that an image contains",
        "The attributes of the repository convert line endings or run a filter at checkout, so that \
         the same commit gives different bytes on different machines. Add `-text` for this file to \
         .gitattributes.",
    ),
    code(
        "spec.base",
        "the base is invalid",
        "A base is `scratch`, a reference, `{ image = \"NAME\" }` for an image of this workspace, \
         `{ ref = \"REPOSITORY\", version = \"REQUIREMENT\" }`, or an OCI layout of the workspace.",
    ),
    code(
        "spec.cycle",
        "images are built on each other in a cycle",
        "Change the base of one of them.",
    ),
    code(
        "spec.empty-key",
        "a key is empty",
        "Give the entry a name, or remove it.",
    ),
    code(
        "spec.family",
        "the family does not fit the base",
        "The family decides how packages and certificates are installed. Set `family` in [image], \
         or choose another base.",
    ),
    code(
        "spec.file",
        "a file does not exist, cannot be read, or is in conflict with another one",
        "Paths are relative to the file that contains them and stay within the workspace. A glob \
         has to match a file. Two sources cannot have the same target.",
    ),
    code(
        "spec.matrix",
        "the matrix is invalid",
        "Every axis needs at least one value, and the number of combinations is limited.",
    ),
    code(
        "spec.missing",
        "a required key is missing",
        "`golden help spec` lists the keys of each table.",
    ),
    code(
        "spec.nested-table",
        "a key has dots, so that TOML reads it as a table",
        "Write the key in quotes: \"org.opencontainers.image.source\" = \"…\".",
    ),
    code(
        "spec.no-images",
        "the workspace has no images",
        "No file matches `images` under [workspace]. `golden new NAME` creates an image.",
    ),
    code(
        "spec.not-a-string",
        "a value is not a string",
        "Labels, variables and the environment are strings. Write the value in quotes. `false` removes \
         a key that comes from [defaults].",
    ),
    code(
        "spec.nul",
        "a text contains the character NUL",
        "No image can contain NUL in a label, a variable or a command. Remove it.",
    ),
    code(
        "spec.packages",
        "a package is in `install` and in `remove`",
        "Remove it from one of the lists.",
    ),
    code(
        "spec.policy",
        "the policy is invalid",
        "An entry of [policy] refers to an unknown rule, or has a pattern, a format or a range that is \
         not valid. `golden check --explain` with the name of a rule shows its settings.",
    ),
    code(
        "spec.render",
        "the Dockerfile of an image cannot be rendered",
        "The template has an error, or a Dockerfile cannot express a value. The message has the place \
         in the template.",
    ),
    code(
        "spec.run",
        "[[run]] needs a base with a shell",
        "`scratch` contains no program. Build on an image that has a shell, or place one at /bin/sh \
         with [[files]].",
    ),
    code(
        "spec.syntax",
        "the file is not valid TOML",
        "Strings need quotes, and each key is written once in its table.",
    ),
    code(
        "spec.template",
        "an expression in a string is invalid",
        "Expressions between `{{` and `}}` can use matrix, vars, image, git and now. Write \
         `{{ '{{' }}` for a literal `{{`.",
    ),
    code(
        "spec.template-name",
        "no template has this name",
        "Templates are files NAME.Dockerfile.j2 in the directories of `templates` under [workspace], \
         and the built-in ones of the families.",
    ),
    code(
        "spec.too-long",
        "a file or a text exceeds its limit",
        "The limits protect against a workspace that exhausts memory or time. Split the file, or \
         shorten the text.",
    ),
    code(
        "spec.unknown-key",
        "the table has no such key",
        "The message suggests the nearest key or lists the known ones. `golden schema image` prints \
         the schema for editors.",
    ),
    code("spec.utf8", "a file is not UTF-8 text", "Save it as UTF-8."),
    code(
        "spec.value",
        "a value is invalid",
        "The message names the accepted values.",
    ),
    code(
        "spec.volatile",
        "a value changes with every commit or every run",
        "`now` and `git.*` outside [tags] change the inputs of the image, so that it is never \
         skipped. Move them to `extra` under [tags], or remove them.",
    ),
    code(
        "tags.base",
        "an image requires a version of another image that the workspace does not have",
        "Raise the version of the base, or change the requirement.",
    ),
    code(
        "tags.collision",
        "two images publish the same tag",
        "Give one of them another name, version or variant, or restrict `fan_out` under [tags].",
    ),
    code(
        "tags.extra",
        "an extra tag is not allowed",
        "It must not look like a version, contain `latest`, or equal a variant of the repository.",
    ),
    code(
        "tags.grammar",
        "the version and the variant do not give a valid tag",
        "A tag has at most 128 letters, digits, `_`, `.` and `-`.",
    ),
    code(
        "tags.repository",
        "the name does not give a valid repository in a registry",
        "The namespace and the name together have at most 255 characters, in lower case.",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use regex::Regex;

    use super::*;
    use crate::policy::rule;

    /// The codes in the sources: string literals of the form `spec.unknown-key`, outside of tests.
    #[expect(clippy::disallowed_methods, reason = "a test reads the sources")]
    fn used(directory: &Path, codes: &mut BTreeSet<String>) {
        let literal = Regex::new(
            r#""((?:spec|env|labels|matrix|tags|certs|policy)\.[a-z0-9_-]+|base\.unavailable)""#,
        )
        .unwrap();
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                used(&path, codes);
            } else if path.extension().is_some_and(|it| it == "rs")
                && !name.contains("test")
                && name != "codes.rs"
            {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap();
                codes.extend(literal.captures_iter(code).map(|found| found[1].to_owned()));
            }
        }
    }

    #[test]
    fn every_code_of_the_sources_has_an_explanation() {
        let mut codes = BTreeSet::new();
        used(
            Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
            &mut codes,
        );
        assert!(codes.len() > 25, "{codes:?}");
        let missing: Vec<_> = codes
            .iter()
            .filter(|id| docs(id).is_none() && rule(id).is_none())
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
        let unused: Vec<_> = CODES
            .iter()
            .filter(|code| !codes.contains(code.id))
            .collect();
        assert!(unused.is_empty(), "{unused:?}");
    }

    #[test]
    fn the_codes_are_sorted_and_explained_in_sentences() {
        assert!(CODES.is_sorted_by_key(|code| code.id));
        for code in CODES {
            assert!(
                !code.summary.ends_with('.') && code.docs.ends_with('.'),
                "{}",
                code.id
            );
        }
    }
}
