//! A fleet of 47 images, four levels deep, on both engines: build, edit, a moved base, update,
//! rebuild.

use std::collections::BTreeMap;

use crate::support::curl::{digest, labels, tags};
use crate::support::services;
use crate::support::workspace::Golden;

const LANGUAGES: [&str; 4] = ["java", "node", "python", "ruby"];
const LINES: [&str; 3] = ["1", "2", "3"];
const KINDS: [&str; 2] = ["api", "worker"];
/// The tags of a first version.
const FIRST: [&str; 4] = ["1", "1.0", "1.0.0", "latest"];

/// The workspace of the fleet, which is published below `namespace`.
pub(crate) fn workspace(namespace: &str) -> Golden {
    let registry = services::registry();
    Golden::new()
        .env("DOCKER_HOST", services::docker_host())
        .workspace(&format!(
            "[[registry]]\nname = \"team\"\nhost = \"{registry}\"\nnamespace = \"{namespace}\"\n\
             [defaults.labels]\nowner = \"golden-images@example.com\"\n[defaults.tags]\nrebuild = \"revise\"\n"
        ))
        .image("platform/busybox", &image("platform/busybox", &format!("\"{registry}/{namespace}/upstream:1\""), "[env]\nPLATFORM = \"busybox\"\n"))
        .image("platform/static", &image("platform/static", "\"scratch\"", "[[files]]\ncontent = \"static\"\ntarget = \"/etc/platform\"\n"))
        .image(
            "platform/tools",
            &image("platform/tools", "{ image = \"platform/busybox\" }", "[[run]]\nname = \"tools\"\nscript = \"echo tools > /etc/tools\"\n"),
        )
        .image(
            "runtime",
            &image(
                "runtime/{{ matrix.language }}{{ matrix.line }}",
                "{ image = \"platform/busybox\" }",
                "[env]\nRUNTIME = \"{{ matrix.language }} {{ matrix.line }}\"\n[matrix]\nlanguage = [\"java\", \"node\", \"python\", \"ruby\"]\nline = [\"1\", \"2\", \"3\"]\n",
            ),
        )
        .image(
            "builder",
            &image(
                "builder/{{ matrix.language }}",
                "{ image = \"platform/tools\" }",
                "[[run]]\nname = \"builder\"\nscript = \"echo {{ matrix.language }} >> /etc/tools\"\n[matrix]\nlanguage = [\"java\", \"node\", \"python\", \"ruby\"]\n",
            ),
        )
        .image("service", &service("1.0.0"))
        .image(
            "site",
            &image("site/{{ matrix.language }}", "{ image = \"platform/static\" }", "[matrix]\nlanguage = [\"java\", \"node\", \"python\", \"ruby\"]\n"),
        )
}

fn image(name: &str, base: &str, rest: &str) -> String {
    format!(
        "[image]\nname = \"{name}\"\nversion = \"1.0.0\"\ndescription = \"An image of the fleet\"\nbase = {base}\n{rest}"
    )
}

/// The spec of the services, whose version the tests edit.
pub(crate) fn service(version: &str) -> String {
    image(
        "service/{{ matrix.language }}{{ matrix.line }}-{{ matrix.kind }}",
        "{ image = \"runtime/{{ matrix.language }}{{ matrix.line }}\" }",
        "[config]\nexpose = [8080]\n[matrix]\nlanguage = [\"java\", \"node\", \"python\", \"ruby\"]\nline = [\"1\", \"2\", \"3\"]\nkind = [\"api\", \"worker\"]\n",
    )
    .replace("version = \"1.0.0\"", &format!("version = \"{version}\""))
}

/// A new namespace, with the fleet's upstream base in it.
pub(crate) fn namespace() -> String {
    let namespace = format!(
        "fleet/{}",
        std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos()
    );
    copy(
        services::base_busybox(),
        &format!("{}/{namespace}/upstream:1", services::registry()),
    );
    namespace
}

fn copy(source: &str, target: &str) {
    let output = std::process::Command::new("skopeo")
        .args([
            "copy",
            "--quiet",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
            &format!("docker://{source}"),
            &format!("docker://{target}"),
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Upstream publishes another image under the tag of the fleet's base.
fn move_upstream(namespace: &str) {
    let registry = services::registry();
    let upstream = Golden::new()
        .env("DOCKER_HOST", services::docker_host())
        .workspace(&format!(
            "[[registry]]\nname = \"team\"\nhost = \"{registry}\"\nnamespace = \"{namespace}\"\n"
        ))
        .image(
            "next",
            &image(
                "next",
                &format!("\"{}\"", services::base_busybox()),
                "[env]\nPATCHED = \"yes\"\n",
            ),
        );
    upstream
        .run(&["build", "--push", "--engine", "embedded"])
        .exit(0);
    copy(
        &format!("{registry}/{namespace}/next:1.0.0"),
        &format!("{registry}/{namespace}/upstream:1"),
    );
}

fn services() -> Vec<String> {
    runtimes()
        .iter()
        .flat_map(|runtime| {
            KINDS.map(|kind| format!("{}-{kind}", runtime.replace("runtime", "service")))
        })
        .collect()
}

fn runtimes() -> Vec<String> {
    LANGUAGES
        .iter()
        .flat_map(|language| LINES.map(|line| format!("runtime/{language}{line}")))
        .collect()
}

fn builders() -> Vec<String> {
    LANGUAGES
        .iter()
        .map(|language| format!("builder/{language}"))
        .collect()
}

fn on_scratch() -> Vec<String> {
    LANGUAGES
        .iter()
        .map(|language| format!("site/{language}"))
        .chain(["platform/static".to_owned()])
        .collect()
}

/// Every image that is built on upstream's base.
fn on_upstream() -> Vec<String> {
    let platform = ["platform/busybox", "platform/tools"].map(str::to_owned);
    [platform.to_vec(), runtimes(), builders(), services()].concat()
}

/// Every image of the fleet.
pub(crate) fn fleet() -> Vec<String> {
    [on_upstream(), on_scratch()].concat()
}

/// Image → tag → digest, of the whole registry.
pub(crate) fn contents(namespace: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let read = |image: &String| {
        let repository = format!("{namespace}/{image}");
        let tags = tags(&repository)
            .into_iter()
            .map(|tag| (tag.clone(), digest(&repository, &tag).unwrap()))
            .collect();
        (image.clone(), tags)
    };
    fleet().iter().map(read).collect()
}

/// Asserts that an image has exactly these tags, and that all tags in `same` point to one digest.
#[track_caller]
pub(crate) fn assert_tags(
    image: &str,
    found: &BTreeMap<String, String>,
    expected: &[&str],
    same: &[&str],
) {
    assert_eq!(
        found.keys().map(String::as_str).collect::<Vec<_>>(),
        expected,
        "{image}"
    );
    for tag in same {
        assert_eq!(
            found[*tag], found[same[0]],
            "{image}:{tag} is not {image}:{}",
            same[0]
        );
    }
}

/// The action and the reason that a plan gives for each image.
fn plan(golden: &Golden) -> BTreeMap<String, (String, String)> {
    let run = golden.run(&["plan", "--format", "json"]).exit(0);
    let plan: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let because = |image: &serde_json::Value| {
        image["because"]
            .as_array()
            .unwrap()
            .iter()
            .map(text)
            .collect::<Vec<_>>()
            .join("; ")
    };
    let images = plan["images"].as_array().unwrap().iter();
    images
        .map(|image| (text(&image["name"]), (text(&image["step"]), because(image))))
        .collect()
}

/// Asserts that the plan builds exactly these images; returns their reasons.
#[track_caller]
fn assert_builds(golden: &Golden, mut expected: Vec<String>) -> BTreeMap<String, String> {
    let plan = plan(golden);
    assert_eq!(plan.len(), fleet().len());
    let mut reasons = BTreeMap::new();
    for (image, (step, because)) in plan {
        match step.as_str() {
            "build" => drop(reasons.insert(image, because)),
            step => assert_eq!(step, "skip", "{image}: {because}"),
        }
    }
    expected.sort();
    assert_eq!(reasons.keys().cloned().collect::<Vec<_>>(), expected);
    reasons
}

#[test]
fn a_fleet_is_built_edited_updated_and_rebuilt() {
    assert_eq!(fleet().len(), 47);
    let namespace = namespace();
    let golden = workspace(&namespace);

    // Every image is new.
    golden.run(&["check"]).exit(0);
    assert_builds(&golden, fleet());
    assert!(
        contents(&namespace).values().all(BTreeMap::is_empty),
        "a plan wrote to the registry"
    );
    let built = golden.run(&["build", "--push", "--format", "json"]).exit(0);
    let built: serde_json::Value = serde_json::from_str(&built.stdout).unwrap();
    let by = |engine: &str| {
        built["images"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|image| image["engine"] == engine)
            .count()
    };
    // Images that execute something need Docker; the others need no daemon.
    assert_eq!(
        (by("docker"), by("embedded")),
        (1 + LANGUAGES.len(), fleet().len() - 1 - LANGUAGES.len())
    );
    let first = contents(&namespace);
    for (image, tags) in &first {
        assert_tags(image, tags, &FIRST, &FIRST);
    }
    golden.run(&["verify"]).exit(0);

    // Nothing changed.
    golden.run(&["build", "--push"]).exit(0);
    assert_eq!(contents(&namespace), first);

    // An edit: the services get a new version, the rest stays.
    golden.write("service/image.toml", service("1.1.0"));
    for because in assert_builds(&golden, services()).values() {
        assert_eq!(because, "new version");
    }
    assert_eq!(contents(&namespace), first, "a plan wrote to the registry");
    golden.run(&["build", "--push"]).exit(0);
    let edited = contents(&namespace);
    for (image, tags) in &edited {
        if services().contains(image) {
            assert_tags(
                image,
                tags,
                &["1", "1.0", "1.0.0", "1.1", "1.1.0", "latest"],
                &["1.1.0", "1.1", "1", "latest"],
            );
            assert_eq!(
                tags["1.0.0"], first[image]["1.0.0"],
                "{image}: a version is immutable"
            );
            assert_eq!(tags["1.0"], first[image]["1.0"], "{image}");
        } else {
            assert_eq!(tags, &first[image], "{image}");
        }
    }

    // Upstream moves. The fleet does not follow until `golden update` runs.
    golden.run(&["update"]).exit(0);
    golden.run(&["outdated"]).exit(0);
    move_upstream(&namespace);
    let outdated = golden.run(&["outdated"]).exit(5);
    assert!(outdated.stdout.contains("upstream"), "{}", outdated.stdout);
    golden.run(&["build", "--push", "--locked"]).exit(0);
    assert_eq!(contents(&namespace), edited, "the lock was not kept");

    // The lock is refreshed: every image on that base is published as a revision, in one run.
    golden.run(&["update"]).exit(0);
    golden.run(&["outdated"]).exit(0);
    for (image, because) in assert_builds(&golden, on_upstream()) {
        let expected = if image == "platform/busybox" {
            "base moved sha256:"
        } else {
            "is rebuilt"
        };
        assert!(because.contains(expected), "{image}: {because}");
    }
    golden.run(&["build", "--push"]).exit(0);
    let revised = contents(&namespace);
    for (image, tags) in &revised {
        let version = if services().contains(image) {
            "1.1.0"
        } else {
            "1.0.0"
        };
        if on_scratch().contains(image) {
            assert_eq!(tags, &edited[image], "{image} is not built on upstream");
            continue;
        }
        let revision = format!("{version}_r1");
        assert_ne!(tags[&revision], edited[image][version], "{image}");
        for tag in [version, "1", "latest"] {
            assert_eq!(tags[tag], tags[&revision], "{image}:{tag}");
        }
        assert_eq!(
            tags[&format!("{version}_r0")],
            edited[image][version],
            "{image}"
        );
        assert_eq!(tags.len(), edited[image].len() + 2, "{image}: {tags:?}");
    }
    // A child is built on its parent's digest from that run.
    let child = labels(&format!("{namespace}/service/node2-api"), "latest");
    assert_eq!(
        child["org.opencontainers.image.base.digest"],
        revised["runtime/node2"]["latest"].as_str()
    );
    golden.run(&["verify"]).exit(0);

    // A further run changes nothing.
    golden.run(&["build", "--push"]).exit(0);
    assert_eq!(contents(&namespace), revised);
}
