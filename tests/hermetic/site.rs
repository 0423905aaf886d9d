//! `golden report`: a site about the images of the workspace, from a registry.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::registry::{Behaviour, FakeRegistry, refuse};
use crate::support::workspace::Golden;

const POLICY: &str =
    "[policy]\nrequired_labels = [\"vendor\"]\n[policy.severity]\nrequired_labels = \"warn\"\n";
const HOSTILE: &str = "<script>alert(1)</script>";

/// The versions of both images, with their packages.
const VERSIONS: [(&str, &[(&str, &str)]); 2] = [
    ("1.0.0", &[("openssl", "3.0.1"), ("gone", "1")]),
    ("1.1.0", &[("openssl", "3.0.2"), ("new", "1")]),
];

/// The spec of an image with a package database.
fn image(name: &str, version: &str, base: &str, packages: &[(&str, &str)], more: &str) -> String {
    let status: String = packages
        .iter()
        .map(|(name, version)| {
            format!("Package: {name}\\nStatus: install ok installed\\nVersion: {version}\\n\\n")
        })
        .collect();
    format!(
        "[image]\nname = \"{name}\"\nversion = \"{version}\"\nbase = {base}\nplatforms = [\"linux/amd64\"]\n\
         [labels]\nnote = \"{HOSTILE}\"\n\
         [[files]]\ncontent = \"{status}\"\ntarget = \"/var/lib/dpkg/status\"\n{more}"
    )
}

/// A workspace with two images, each published in two versions.
fn fleet(registry: &FakeRegistry) -> Golden {
    let host = registry.host();
    let golden = Golden::new()
        .workspace(&format!(
            "{POLICY}[[registry]]\nname = \"r\"\nhost = \"{host}\"\nnamespace = \"golden\"\n"
        ))
        .env("SOURCE_DATE_EPOCH", "1795219200");
    let tests =
        "[[test]]\npackage = \"openssl\"\nversion = \">=3.0.2\"\n[[test]]\nfile = \"/etc/none\"\n";
    let write = |version: &str, packages: &[(&str, &str)], tests: &str| {
        let app = image("team/app", version, "{ image = \"base\" }", packages, tests);
        golden.write(
            "base/image.toml",
            image("base", version, "\"scratch\"", packages, ""),
        );
        golden.write("app/image.toml", app);
    };
    for (version, packages) in VERSIONS {
        write(version, packages, "");
        golden.run(&["build", "--push"]).exit(0);
    }
    // A test that fails prevents the publication, so it is added afterwards.
    write(VERSIONS[1].0, VERSIONS[1].1, tests);
    golden
}

/// The files of a directory, by their paths.
fn files(directory: &Path) -> BTreeMap<String, String> {
    let entries = walkdir::WalkDir::new(directory)
        .into_iter()
        .map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().is_file());
    files
        .map(|entry| {
            let path = entry.path().strip_prefix(directory).unwrap();
            let text = std::fs::read_to_string(entry.path()).unwrap();
            (path.display().to_string(), text)
        })
        .collect()
}

#[test]
fn the_site_shows_what_the_registry_has() {
    let registry = FakeRegistry::start(Behaviour::default());
    let golden = fleet(&registry);
    let run = golden.run(&["report", "--out", "site"]).exit(0);
    assert!(
        run.stderr
            .ends_with("site/index.html: 2 images (3 files written, 0 unchanged, 0 removed)\n"),
        "{}",
        run.stderr
    );
    let first = files(&golden.path().join("site"));
    let names: Vec<&String> = first.keys().collect();
    assert_eq!(
        names,
        ["images/base.html", "images/team~app.html", "index.html"]
    );
    let index = &first["index.html"];
    let app = first["images/team~app.html"].replace("&#x2f;", "/");
    for words in [
        "images/team~app.html",
        "1 of 2 failed",
        "1 test failed",
        "1.1.0",
    ] {
        assert!(index.contains(words), "{words}: {index}");
    }
    let host = registry.host();
    for words in [
        // The changes, the tests, the tags, the packages, the base and the label.
        "1.0.0 → 1.1.0: 1 changed, 1 added, 1 removed",
        "package openssl</th><td><span class=\"badge good\">passed",
        "file /etc/none</th><td><span class=\"badge bad\">failed",
        "<span class=\"tag\">latest</span>",
        "<th scope=\"row\">new</th><td>1</td><td>deb</td>",
        "<code class=\"reference\">base</code>",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "required_labels",
        "is built on base:1.1.0",
        // The layer of the base, and that of the image.
        "</td><td>base</td>",
        "</td><td>image</td>",
        "app/image.toml",
        &format!("{host}/golden/team/app"),
    ] {
        assert!(app.contains(words), "{words}: {app}");
    }
    assert!(!app.contains(HOSTILE));
    assert!(
        app.contains("<span class=\"badge good\">current</span>"),
        "{app}"
    );
    // The same input gives the same bytes.
    let run = golden.run(&["report", "--out", "site"]).exit(0);
    assert!(
        run.stderr
            .contains("(0 files written, 3 unchanged, 0 removed)"),
        "{}",
        run.stderr
    );
    golden.run(&["report", "--out", "other"]).exit(0);
    assert_eq!(files(&golden.path().join("other")), first);
}

#[test]
fn a_child_of_an_older_version_is_stale_and_a_revoked_version_is_marked() {
    let registry = FakeRegistry::start(Behaviour::default());
    let golden = fleet(&registry);
    golden.write(
        "base/image.toml",
        image("base", "1.2.0", "\"scratch\"", &[], ""),
    );
    golden.run(&["build", "--push", "base"]).exit(0);
    let revoke = ["revoke", "base:1.0.0", "--reason", "CVE-2026-1", "--yes"];
    golden.run(&revoke).exit(0);
    golden.run(&["report", "--out", "site"]).exit(0);
    let files = files(&golden.path().join("site"));
    assert!(files["images/base.html"].contains("<span class=\"badge bad\">revoked: CVE-2026-1"));
    assert!(files["index.html"].contains("stale base"));
    let app = &files["images/team~app.html"];
    assert!(app.contains("1.2.0 is newer"));
    // The picture says so, on both pages.
    assert!(files["images/base.html"].contains("image, on a stale base"));
    assert!(app.contains("this image, on a stale base"));
}

#[test]
fn a_revocation_in_the_spec_is_shown_before_it_is_announced() {
    let registry = FakeRegistry::start(Behaviour::default());
    let golden = fleet(&registry);
    let (version, packages) = VERSIONS[1];
    let revoked = "[[lifecycle.revoked]]\nversions = \"1.0.0\"\nreason = \"bad\"\n";
    golden.write(
        "base/image.toml",
        image("base", version, "\"scratch\"", packages, revoked),
    );
    let page = || {
        golden.run(&["report", "--out", "site"]).exit(0);
        files(&golden.path().join("site"))["images/base.html"].clone()
    };
    let badge = "<span class=\"badge bad\">revoked: bad";
    let declared = format!("{badge} (declared in the spec, not announced)</span>");
    let before = page();
    assert!(before.contains(&declared), "{before}");
    golden.run(&["lifecycle", "apply", "base"]).exit(0);
    let after = page();
    assert!(after.contains(&format!("{badge}</span>")), "{after}");
}

#[test]
fn an_image_without_versions_has_one_row_for_each_digest() {
    let registry = FakeRegistry::start(Behaviour::default());
    let host = registry.host();
    let none = json!({});
    registry.layered("app", "amd64", &["x"], &none, &["alpha", "gamma"]);
    registry.layered("app", "amd64", &["y"], &none, &["beta"]);
    let golden = Golden::new()
        .workspace(&format!("[[registry]]\nname = \"r\"\nhost = \"{host}\"\n"))
        .image("app", &image("app", "1.0.0", "\"scratch\"", &[], ""));
    // The layers of the images are no archives, so that the packages are unknown.
    golden.run(&["report", "--out", "site"]).exit(1);
    let page = &files(&golden.path().join("site"))["images/app.html"];
    let row = |tag: &str| page.contains(&format!("<tr><th scope=\"row\">{tag}</th>"));
    let shown = ["alpha", "beta", "gamma"].map(row);
    assert_eq!(shown, [true, true, false], "{page}");
}

#[test]
fn violations_of_the_policy_are_shown_and_do_not_change_the_exit_code() {
    let registry = FakeRegistry::start(Behaviour::default());
    let host = registry.host();
    let golden = Golden::new()
        .workspace(&format!(
            "[policy]\nrequired_labels = [\"vendor\"]\n[[registry]]\nname = \"r\"\nhost = \"{host}\"\n"
        ))
        .image("app", &image("app", "1.0.0", "\"scratch\"", &[], ""));
    golden.run(&["report", "--out", "site"]).exit(0);
    let files = files(&golden.path().join("site"));
    for words in ["1 error", "not published"] {
        assert!(files["index.html"].contains(words), "{words}");
    }
    assert!(files["images/app.html"].contains("the required label `vendor` is missing"));
    // An invalid spec ends the command, because the images are unknown.
    golden.write("app/image.toml", "[image]\nname = 1\n");
    golden.run(&["report", "--out", "site"]).exit(2);
}

#[test]
fn pages_of_an_earlier_report_are_removed_and_other_files_remain() {
    let registry = FakeRegistry::start(Behaviour::default());
    let golden = fleet(&registry);
    golden.run(&["report", "--out", "site"]).exit(0);
    golden.write("site/images/mine.html", "<p>mine</p>");
    golden.write("site/CNAME", "images.example.com\n");
    let run = golden
        .run(&["report", "base", "--out", "site", "--format", "json"])
        .exit(0);
    let summary: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        (&summary["images"], &summary["removed"]),
        (&1.into(), &1.into())
    );
    let names: Vec<String> = files(&golden.path().join("site")).into_keys().collect();
    assert_eq!(
        names,
        [
            "CNAME",
            "images/base.html",
            "images/mine.html",
            "index.html"
        ]
    );
}

#[test]
fn a_directory_with_other_files_is_refused_before_anything_is_read() {
    let registry = FakeRegistry::start(Behaviour::default());
    let golden = fleet(&registry);
    let requests = registry.requests().len();
    for (file, text) in [("other/index.html", "<p>mine</p>"), ("notes/a.txt", "a")] {
        golden.write(file, text);
        let directory = file.split('/').next().unwrap();
        let run = golden.run(&["report", "--out", directory]).exit(2);
        assert!(
            run.stderr
                .contains("is not empty and has no report of golden; nothing was written")
                && run.stderr.contains("choose another directory with --out"),
            "{}",
            run.stderr
        );
        assert_eq!(files(&golden.path().join(directory)).len(), 1);
    }
    assert_eq!(registry.requests().len(), requests);
    // A checkout for pages is empty except for git's own file.
    golden.write("pages/.git", "gitdir: x\n");
    golden.run(&["report", "--out", "pages"]).exit(0);
}

#[test]
fn an_unreadable_repository_is_named_on_its_page_and_the_exit_code_is_1() {
    let registry = FakeRegistry::start(Behaviour {
        instead: Some(Arc::new(|seen| {
            let is_lost = seen.route().starts_with("/v2/golden/lost/");
            is_lost.then(|| refuse(403, "DENIED", HOSTILE))
        })),
        ..Behaviour::default()
    });
    let golden = fleet(&registry);
    golden.write(
        "lost/image.toml",
        image("lost", "1.0.0", "\"scratch\"", &[], ""),
    );
    golden.write(
        "new/image.toml",
        image("new", "1.0.0", "\"scratch\"", &[], ""),
    );
    let run = golden.run(&["report", "--out", "site"]).exit(1);
    assert!(
        run.stderr
            .contains("the report is incomplete, because facts about 1 of 4 images cannot be read"),
        "{}",
        run.stderr
    );
    let files = files(&golden.path().join("site"));
    let lost = &files["images/lost.html"];
    assert!(
        lost.contains("This page is incomplete") && lost.contains("403"),
        "{lost}"
    );
    assert!(!lost.contains(HOSTILE));
    assert!(files["index.html"].contains("registry cannot be read"));
    assert!(files["images/new.html"].contains("No version is published here."));
    assert!(files["images/team~app.html"].contains("openssl"));
}

#[test]
fn each_registry_whose_announcements_cannot_be_read_is_named() {
    let is_down = Arc::new(AtomicBool::new(false));
    let start = || {
        let refused = is_down.clone();
        FakeRegistry::start(Behaviour {
            referrers: true,
            instead: Some(Arc::new(move |seen| {
                let is_refused =
                    seen.route().contains("/referrers/") && refused.load(Ordering::Relaxed);
                is_refused.then(|| refuse(403, "DENIED", "no access"))
            })),
            ..Behaviour::default()
        })
    };
    let registries = [start(), start()];
    let tables = registries.iter().zip(["a", "b"]).map(|(registry, name)| {
        let host = registry.host();
        format!("[[registry]]\nname = \"{name}\"\nhost = \"{host}\"\n")
    });
    let golden = Golden::new().workspace(&tables.collect::<String>());
    for version in ["1.0.0", "1.1.0"] {
        golden.write(
            "app/image.toml",
            image("app", version, "\"scratch\"", &[], ""),
        );
        golden.run(&["build", "--push", "--all-registries"]).exit(0);
    }
    is_down.store(true, Ordering::Relaxed);
    golden
        .run(&["report", "--out", "site", "--all-registries"])
        .exit(1);
    let app = files(&golden.path().join("site"))["images/app.html"].replace("&#x2f;", "/");
    for registry in &registries {
        let text = format!("the announcements about {}/app ", registry.host());
        assert_eq!(app.matches(&text).count(), 1, "{app}");
    }
}

#[test]
fn an_external_base_is_compared_with_its_registry_and_variants_have_their_own_pages() {
    let is_down = Arc::new(AtomicBool::new(false));
    let refused = is_down.clone();
    let registry = FakeRegistry::start(Behaviour {
        instead: Some(Arc::new(move |seen| {
            let is_base = seen.route().starts_with("/v2/base/");
            let is_refused = is_base && refused.load(Ordering::Relaxed);
            is_refused.then(|| refuse(403, "DENIED", "no access"))
        })),
        ..Behaviour::default()
    });
    let host = registry.host();
    registry.image_for("base", "amd64", "BASE=1", &["1.2.3"]);
    let spec = |variant: &str| {
        format!(
            "[image]\nname = \"app\"\nversion = \"1.0.0\"\n{variant}base = \"{host}/base:1.2.3\"\n\
             family = \"static\"\nplatforms = [\"linux/amd64\"]\n"
        )
    };
    let golden = Golden::new()
        .workspace(&format!("[[registry]]\nname = \"r\"\nhost = \"{host}\"\n"))
        .image("app", &spec(""))
        .image("slim", &spec("variant = \"slim\"\n"));
    golden.run(&["build", "--push"]).exit(0);
    let report = |code| {
        let run = golden.run(&["report", "--out", "site"]).exit(code);
        (files(&golden.path().join("site")), run.stderr)
    };
    let (pages, _) = report(0);
    let (app, slim) = (&pages["images/app.html"], &pages["images/app~~slim.html"]);
    assert!(
        app.contains("<span class=\"badge good\">current</span>"),
        "{app}"
    );
    for (page, own, other) in [
        (
            app,
            ["latest", "1.0", "1.0.0"],
            ["slim", "1.0-slim", "1.0.0-slim"],
        ),
        (
            slim,
            ["slim", "1.0-slim", "1.0.0-slim"],
            ["latest", "1.0", "1.0.0"],
        ),
    ] {
        let has = |tag: &str| page.contains(&format!("<span class=\"tag\">{tag}</span>"));
        assert!(own.iter().all(|tag| has(tag)), "{page}");
        assert!(!other.iter().any(|tag| has(tag)), "{page}");
    }
    registry.image_for("base", "amd64", "BASE=2", &["1.2.3"]);
    let (pages, _) = report(0);
    assert!(pages["images/app.html"].contains("the tag moved to sha256:"));
    assert!(pages["images/app.html"].contains("base, a newer one exists"));
    registry.image_for("base", "amd64", "BASE=3", &["1.2.4"]);
    assert!(report(0).0["index.html"].contains("1.2.4 is newer"));
    is_down.store(true, Ordering::Relaxed);
    let (pages, errors) = report(1);
    let words = format!("the base {host}/base:1.2.3 cannot be read");
    assert!(errors.contains(&words), "{errors}");
    assert!(
        pages["images/app.html"]
            .replace("&#x2f;", "/")
            .contains(&words)
    );
}
