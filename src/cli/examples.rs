//! The end of the help of each command: examples, and the environment variables that it reads.
//! `golden man` prints the same.

use std::fmt::Write as _;

/// The examples of a command: a command line and what it does.
fn examples(command: &str) -> &'static [(&'static str, &'static str)] {
    match command {
        "init" => &[(
            "golden init first",
            "Create a workspace in the directory `first`",
        )],
        "new" => &[
            (
                "golden new tool --base docker.io/library/debian:12",
                "Create the image `tool`",
            ),
            (
                "golden new app --from ../app/Dockerfile",
                "Import a Dockerfile with the files that it copies",
            ),
            (
                "golden new app --from registry.example.com/team/app:1",
                "Create an image on an existing one, with its config",
            ),
            (
                "golden new --from docker-bake.hcl",
                "Create an image for each target of a bake file",
            ),
        ],
        "check" => &[
            ("golden check", "Check all images of the workspace"),
            (
                "golden check app --format sarif",
                "Print the findings for a code scanner",
            ),
            ("golden check --explain env.deny_secrets", "Explain a rule"),
        ],
        "render" => &[
            ("golden render app", "Print the Dockerfile of one image"),
            (
                "golden render --out rendered",
                "Write a build context for every image",
            ),
            (
                "golden render --out rendered --check",
                "Exit with 5 if a written file is stale",
            ),
        ],
        "plan" => &[
            ("golden plan", "Show what a publication would change"),
            (
                "golden plan app --diff",
                "Compare the next image with the published one",
            ),
            (
                "golden plan app --registry localhost:5000/team",
                "Plan for another registry",
            ),
        ],
        "build" => &[
            ("golden build app", "Build one image and tag it locally"),
            (
                "golden build --push",
                "Build and publish all images that changed",
            ),
            (
                "golden build app --to oci:out",
                "Write an OCI layout; needs no engine and no registry",
            ),
            (
                "golden build --push --changed origin/main",
                "Publish what a branch changed",
            ),
        ],
        "push" => &[(
            "golden push app",
            "Publish exactly the image of the last build",
        )],
        "test" => &[
            ("golden test app", "Build an image and run its tests"),
            (
                "golden test HOST/team/app:1.2.3 --junit tests.xml",
                "Test a published image, and write a report for CI",
            ),
        ],
        "tags" => &[
            ("golden tags 1.2.3", "Show the tags of a version"),
            (
                "golden tags 1.2.4 --existing tags.txt",
                "Show which tags may move, given a list",
            ),
        ],
        "verify" => &[
            (
                "golden verify",
                "Compare every tag of the workspace with the registry",
            ),
            (
                "golden verify HOST/team/app:1.2 --deep",
                "Read every layer of one image",
            ),
        ],
        "audit" => &[
            (
                "golden audit HOST/team/app:1.2.3",
                "Apply the policy to a published image",
            ),
            (
                "golden audit HOST/team/**",
                "Check every tag of all repositories of a namespace",
            ),
            (
                "golden audit HOST/team/** --format html >audit.html",
                "Write a page for a browser that shows which images comply",
            ),
            (
                "golden audit HOST/team/app:1.2.3 --attest",
                "Attach a signed statement that the image complies",
            ),
            (
                "golden audit --dockerfile services/**/Dockerfile --fix",
                "Correct outdated bases of Dockerfiles",
            ),
        ],
        "impact" => &[
            (
                "golden impact HOST/golden/base:1.2.3",
                "List the images that are built on one version",
            ),
            (
                "golden impact --package 'openssl<3.0.15' --registry localhost:5000",
                "List the images with an old package, by their bills of materials",
            ),
        ],
        "report" => &[
            (
                "golden report --out site",
                "Write pages about all images; open site/index.html",
            ),
            (
                "golden report 'team/*' --out site --all-registries",
                "Report on some images, in every registry of the workspace",
            ),
        ],
        "ls" => &[
            (
                "golden ls localhost:5000",
                "List the repositories of a registry",
            ),
            (
                "golden ls localhost:5000/golden/app",
                "List the tags of a repository",
            ),
        ],
        "inspect" => &[
            (
                "golden inspect localhost:5000/golden/app:1.2.3",
                "Show an image of a registry",
            ),
            ("golden inspect oci:out", "Show an image of an OCI layout"),
        ],
        "diff" => &[
            (
                "golden diff app:1.2.3 app:1.2.4",
                "Show the difference between two versions of an image",
            ),
            (
                "golden diff HOST/team/app:1.2.3 oci:out --format markdown",
                "Write release notes before a publication",
            ),
        ],
        "sbom" => &[
            (
                "golden sbom localhost:5000/golden/app:1.2.3",
                "Print the packages and files of an image as CycloneDX",
            ),
            (
                "golden sbom oci:out --format spdx",
                "Print those of an image of an OCI layout as SPDX",
            ),
        ],
        "reproduce" => &[
            (
                "golden reproduce app:1.2.3",
                "Check that an image is built from the commit that it names",
            ),
            (
                "golden reproduce HOST/team/app@sha256:DIGEST --format json",
                "Print the result for another program",
            ),
        ],
        "delete" => &[
            (
                "golden delete HOST/team/app:1.2.3 --all-tags",
                "Delete a digest and all its tags",
            ),
            ("golden delete HOST/team/app:old --untag", "Remove one tag"),
        ],
        "promote" => &[
            (
                "golden promote SRC/app:1.2.3 DST/app:1.2.3 --tags",
                "Copy an image and its fan-out",
            ),
            (
                "golden promote SRC/app:1.2.3 DST/app:1.2.3",
                "Copy its signatures too",
            ),
        ],
        "revoke" => &[
            (
                "golden revoke app:1.2.3 --reason CVE-2026-1234 --replacement 1.2.4",
                "Revoke a version of a workspace image",
            ),
            (
                "golden revoke HOST/golden/base:1.2.3 --reason CVE-2026-1234 --descendants --dry-run",
                "Show the images that would be revoked with their base",
            ),
        ],
        "channels" => &[
            ("golden channels app", "Show the channels of an image"),
            (
                "golden channels app --history",
                "Show when its channels changed in git",
            ),
        ],
        "lifecycle" => &[(
            "golden lifecycle apply",
            "Announce [lifecycle] of every image.toml",
        )],
        "rollback" => &[
            (
                "golden rollback app --to 1.2.2",
                "Withdraw newer versions and move the tags back",
            ),
            (
                "golden rollback app --to 1.2.2 --dry-run",
                "Show what would change",
            ),
        ],
        "outdated" => &[
            ("golden outdated", "Exit with 5 if a base changed"),
            (
                "golden outdated --packages",
                "Exit with 5 if a package of a published image has an update",
            ),
        ],
        "update" => &[
            ("golden update", "Lock every base at its present digest"),
            (
                "golden update --packages --bump patch",
                "Record package updates, and set new versions",
            ),
        ],
        "graph" => &[(
            "golden graph --format dot | dot -Tsvg",
            "Draw the images and their bases",
        )],
        "matrix" => &[(
            "golden matrix --format gitlab",
            "Print a child pipeline for GitLab",
        )],
        "prune" => &[
            ("golden prune app --keep 5", "Keep the five newest versions"),
            (
                "golden prune app --older-than 90d --dry-run",
                "Show what would be deleted",
            ),
        ],
        "serve" => &[
            (
                "golden serve registry",
                "Serve the directory on 127.0.0.1:5000",
            ),
            (
                "golden serve registry --read-only --addr 127.0.0.1:5001",
                "Serve pulls only",
            ),
        ],
        "schema" => &[("golden schema image", "Print the schema for an editor")],
        "completions" => &[(
            "golden completions bash > golden.bash",
            "Write the completions",
        )],
        "man" => &[("golden man build | man -l -", "Show the page of a command")],
        "referrers" => &[(
            "golden referrers HOST/team/app:1.2.3",
            "Show its signatures and bills of materials",
        )],
        "key" => &[("golden key new --out team", "Create team.key and team.pub")],
        "sign" => &[
            (
                "golden sign HOST/team/app:1.2.3 --key team.key",
                "Sign an image of any publisher",
            ),
            (
                "golden sign app:1.2.3",
                "Sign an image of the workspace with the key of golden.toml",
            ),
        ],
        "attest" => &[(
            "golden attest app:1.2.3 --type https://cosign.sigstore.dev/attestation/vuln/v1 --predicate scan.json",
            "Attach the result of a scan",
        )],
        "attach" => &[(
            "golden attach HOST/team/app:1.2.3 app.sigstore.json",
            "Attach a bundle that cosign made",
        )],
        "fmt" => &[
            ("golden fmt", "Format all files of the workspace"),
            (
                "golden fmt --check",
                "Show the differences, and exit 5 if there are any",
            ),
        ],
        "bump" => &[
            (
                "golden bump app patch",
                "Change 1.2.3 to 1.2.4 in app/image.toml",
            ),
            (
                "golden bump --stale patch",
                "Change every image whose published content differs",
            ),
        ],
        "doctor" => &[(
            "golden doctor --format json",
            "Report versions, logins and problems as JSON",
        )],
        "help" => &[("golden help tags", "Show a chapter of the guide")],
        _ => &[],
    }
}

const REGISTRY: &[&str] = &[
    "GOLDEN_REGISTRY",
    "GOLDEN_REGISTRY_USER",
    "GOLDEN_REGISTRY_PASSWORD",
    "GOLDEN_REGISTRY_HOST",
    "DOCKER_CONFIG",
    "HTTPS_PROXY",
];
const ENGINE: &[&str] = &[
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_BUILDKIT",
    "GOLDEN_TRUST",
];
const SIGNING: &[&str] = &["GOLDEN_SIGNING_PASSWORD", "COSIGN_PASSWORD"];
const PLUGIN: &[&str] = &["GOLDEN_KEY_PLUGIN_TIMEOUT"];
const VERIFIER: &[&str] = &["GOLDEN_VERIFY_TIMEOUT"];
const SSH: &[&str] = &["SSH_AUTH_SOCK"];
const TIME: &[&str] = &["SOURCE_DATE_EPOCH"];

/// The environment variables that a command reads, in addition to those of every command.
fn variables(command: &str) -> Vec<&'static str> {
    let lists: &[&[&'static str]] = match command {
        "build" => &[REGISTRY, ENGINE, SSH, TIME, SIGNING, PLUGIN, VERIFIER],
        "push" => &[REGISTRY, ENGINE, TIME, SIGNING, PLUGIN, VERIFIER],
        "plan" => &[REGISTRY, ENGINE, TIME, SIGNING, PLUGIN],
        "bump" | "test" => &[REGISTRY, ENGINE, TIME],
        "sign" | "attest" | "promote" | "verify" | "revoke" | "lifecycle" => {
            &[REGISTRY, SIGNING, PLUGIN]
        }
        "key" => &[SIGNING],
        "update" => &[REGISTRY, ENGINE, VERIFIER],
        "doctor" | "outdated" | "reproduce" => &[REGISTRY, ENGINE],
        "render" => &[TIME],
        "report" => &[REGISTRY, TIME],
        "channels" | "attach" | "audit" | "impact" | "ls" | "inspect" | "referrers" | "delete"
        | "rollback" | "graph" | "prune" | "sbom" | "diff" => &[REGISTRY],
        _ => &[],
    };
    lists.concat()
}

/// Adds examples and environment variables to the long help of a command.
pub(super) fn document(command: clap::Command) -> clap::Command {
    let name = command.get_name().to_owned();
    let mut text = String::new();
    if !examples(&name).is_empty() {
        text.push_str("Examples:\n");
    }
    for (line, purpose) in examples(&name) {
        let _ = writeln!(text, "  {line}\n          {purpose}");
    }
    let variables = variables(&name);
    if !variables.is_empty() {
        let _ = writeln!(text, "\nEnvironment: {}", variables.join(", "));
        let _ = writeln!(text, "  `golden help environment` explains them.");
    }
    if text.is_empty() {
        return command;
    }
    command.after_long_help(text)
}

#[cfg(test)]
mod tests {
    use super::super::{Cli, groups, parser};
    use super::*;
    use clap::FromArgMatches as _;

    #[test]
    fn every_command_has_examples_that_parse() {
        for command in parser().get_subcommands() {
            let name = command.get_name();
            assert!(!examples(name).is_empty(), "{name}");
            for (line, _) in examples(name) {
                let line = line.split(['|', '>']).next().unwrap();
                let parsed =
                    groups::grouped(parser()).try_get_matches_from(line.split_whitespace());
                let cli = parsed.and_then(|found| Cli::from_arg_matches(&found));
                assert!(cli.is_ok(), "{line}: {}", cli.unwrap_err());
            }
        }
    }

    #[test]
    fn every_variable_is_explained() {
        let chapter = crate::help::Topic::find("environment").unwrap().text();
        for command in parser().get_subcommands() {
            for name in variables(command.get_name()) {
                assert!(chapter.contains(&format!("`{name}`")), "{name}");
            }
        }
    }
}
