//! The requests that publish a version into a repository that has an earlier one, and the events
//! between the plan and the first write that they detect.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use golden::reference::Digest;
use regex::Regex;
use serde_json::json;

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::server::{Answer, Seen};
use crate::support::workspace::Golden;

/// The layers of the base.
const LAYERS: [&str; 3] = ["bottom", "middle", "top"];

/// A registry with a base, and an image of which the version 1.2.3 is published.
struct App {
    registry: Arc<FakeRegistry>,
    golden: Golden,
    /// The number of requests of the setup.
    before: usize,
}

impl App {
    fn new() -> Self {
        Self::with(Behaviour::default())
    }

    fn with(behaviour: Behaviour) -> Self {
        Self::of(Arc::new(FakeRegistry::start(behaviour)))
    }

    /// A registry that calls `event` once, when the request `line` (`METHOD route`) arrives after
    /// the first version was published.
    fn interrupted(line: &str, event: impl Fn(&FakeRegistry) + Send + Sync + 'static) -> Self {
        let registry: Arc<OnceLock<Weak<FakeRegistry>>> = Arc::default();
        let (found, line, count) = (registry.clone(), line.to_owned(), AtomicUsize::new(0));
        let started = Arc::new(FakeRegistry::start(Behaviour {
            instead: Some(Arc::new(move |seen: &Seen| {
                if format!("{} {}", seen.method, seen.route()) == line
                    && let Some(registry) = found.get().and_then(Weak::upgrade)
                    && count.fetch_add(1, Ordering::SeqCst) == 0
                {
                    event(&registry);
                }
                None
            })),
            ..Behaviour::default()
        }));
        let app = Self::of(started);
        registry.set(Arc::downgrade(&app.registry)).unwrap();
        app
    }

    fn of(registry: Arc<FakeRegistry>) -> Self {
        let labels = json!({});
        registry.layered("base", "amd64", &LAYERS, &labels, &["1"]);
        let host = registry.host();
        let golden =
            Golden::new().workspace(&format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n"));
        let mut app = Self {
            registry,
            golden,
            before: 0,
        };
        app.set_version("1.2.3");
        app.golden.run(&["build", "--push"]).exit(0);
        app.before = app.registry.requests().len();
        app
    }

    fn set_version(&self, version: &str) {
        let base = format!("{}/base:1", self.registry.host());
        let spec = format!(
            "[image]\nname = \"app\"\nversion = \"{version}\"\nbase = \"{base}\"\n\
             platforms = [\"linux/amd64\"]\n"
        );
        self.golden.write("app/image.toml", spec);
    }

    /// The requests for the image since the first version, as `METHOD target`.
    fn requests(&self) -> Vec<String> {
        let requests = self.registry.requests().split_off(self.before);
        requests.iter().filter_map(|line| short(line)).collect()
    }

    /// The tags that were put since the first version.
    fn written(&self) -> Vec<String> {
        let requests = self.requests().into_iter();
        let tags = requests.filter_map(|line| {
            let tag = line.strip_prefix("PUT manifests/")?;
            (tag != "DIGEST").then(|| tag.to_owned())
        });
        tags.collect()
    }
}

/// A request for the image, without random parts; `None` for a request for its base.
fn short(line: &str) -> Option<String> {
    let (method, path) = line.split_once(' ').unwrap();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let target = path.strip_prefix("/v2/app/")?;
    let upload = Regex::new("^blobs/uploads/.*$").unwrap();
    let digest = Regex::new("sha256:[0-9a-f]{64}").unwrap();
    let target = upload.replace(target, "blobs/uploads").into_owned();
    let target = digest.replace_all(&target, "DIGEST");
    let mount = if query.contains("mount=") {
        "?mount"
    } else {
        ""
    };
    Some(format!("{method} {target}{mount}"))
}

/// Sorts consecutive requests of one method, which are sent at the same time.
fn ordered(
    requests: Vec<String>,
    is_together: impl Fn(&str) -> Option<&'static str>,
) -> Vec<String> {
    let mut groups: Vec<(Option<&str>, Vec<String>)> = Vec::new();
    for request in requests {
        let group = is_together(&request);
        match groups.last_mut() {
            Some((last, lines)) if group.is_some() && *last == group => lines.push(request),
            _ => groups.push((group, vec![request])),
        }
    }
    for (_, lines) in &mut groups {
        lines.sort();
    }
    groups.into_iter().flat_map(|(_, lines)| lines).collect()
}

/// Requests of these groups are sent at the same time.
fn together(request: &str) -> Option<&'static str> {
    [
        "HEAD manifests/",
        "POST blobs/",
        "PUT blobs/",
        "HEAD blobs/",
        "GET ",
    ]
    .into_iter()
    .find(|group| request.starts_with(group))
    .map(|group| {
        if group.contains("blobs") {
            "blobs"
        } else {
            group
        }
    })
}

/// The plan reads the list, the moving tags, and the tag of the version that they belong to. The
/// earlier image shows that the repository has the layers. Then the new config is sent, and the list
/// and the version tag are read again for the decision. At the end, everything is verified.
#[test]
fn a_new_version_sends_no_request_for_layers_that_the_earlier_one_lists() {
    let app = App::new();
    app.set_version("1.2.4");
    app.golden.run(&["build", "--push"]).exit(0);
    let expected = [
        "GET tags/list",
        "HEAD manifests/1",
        "HEAD manifests/1.2",
        "HEAD manifests/1.2.3",
        "HEAD manifests/1.2.4",
        "HEAD manifests/latest",
        "GET manifests/DIGEST",
        "POST blobs/uploads",
        "PUT blobs/uploads",
        "GET tags/list",
        "HEAD manifests/1.2.4",
        "PUT manifests/1.2.4",
        "HEAD manifests/1",
        "HEAD manifests/1.2",
        "HEAD manifests/latest",
        // The registry does not accept several tags at once.
        "PUT manifests/DIGEST",
        "PUT manifests/1.2",
        "PUT manifests/1",
        "PUT manifests/latest",
        "GET manifests/1",
        "GET manifests/1.2",
        "GET manifests/1.2.4",
        "GET manifests/latest",
        "GET tags/list",
    ];
    assert_eq!(ordered(app.requests(), together), expected);
}

#[test]
fn an_unchanged_image_costs_one_list_and_one_request_for_each_tag() {
    let app = App::new();
    let run = app.golden.run(&["build", "--push"]).exit(0);
    assert!(run.stdout.contains("unchanged"), "{}", run.stdout);
    let expected = [
        "GET tags/list",
        "HEAD manifests/1",
        "HEAD manifests/1.2",
        "HEAD manifests/1.2.3",
        "HEAD manifests/latest",
    ];
    assert_eq!(ordered(app.requests(), together), expected);
}

/// The second list is the only request that shows the first version of another publisher.
#[test]
fn the_first_version_reads_the_list_of_tags_again_before_the_first_write() {
    let registry = FakeRegistry::start(Behaviour::default());
    let image = "[image]\nname = \"app\"\nversion = \"1.2.3\"\nbase = \"scratch\"\n";
    let golden = Golden::new()
        .workspace(&format!(
            "[[registry]]\nname = \"t\"\nhost = \"{}\"\n",
            registry.host()
        ))
        .image("app", image);
    golden.run(&["build", "--push"]).exit(0);
    let requests = registry.requests();
    let requests = requests.iter().filter_map(|line| short(line)).collect();
    let expected = [
        "GET tags/list",
        "HEAD manifests/1",
        "HEAD manifests/1.2",
        "HEAD manifests/1.2.3",
        "HEAD manifests/latest",
        "POST blobs/uploads",
        "PUT blobs/uploads",
        "GET tags/list",
        "HEAD manifests/1.2.3",
        "PUT manifests/1.2.3",
        "PUT manifests/DIGEST",
        "PUT manifests/1.2",
        "PUT manifests/1",
        "PUT manifests/latest",
        "GET manifests/1",
        "GET manifests/1.2",
        "GET manifests/1.2.3",
        "GET manifests/latest",
        "GET tags/list",
    ];
    assert_eq!(ordered(requests, together), expected);
}

/// Another publisher may be faster until the list is read again: tags of a higher version then never
/// move to our version, not even for a moment. If it is faster after that, they are corrected.
#[test]
fn tags_of_a_higher_version_that_was_published_after_the_plan_do_not_move() {
    for (version, other, tags, moved) in [
        (
            "1.2.4",
            "2.0.0",
            &["2.0.0", "2.0", "2", "latest"][..],
            &["1.2", "1"][..],
        ),
        ("1.2.4", "1.3.0", &["1.3.0", "1.3", "1", "latest"], &["1.2"]),
        ("1.2.4", "1.2.5", &["1.2.5", "1.2", "1", "latest"], &[]),
        // The tag 1.3 did not exist when the plan was made.
        ("1.3.0", "1.3.1", &["1.3.1", "1.3", "1", "latest"], &[]),
        ("2.0.0", "2.0.1", &["2.0.1", "2.0", "2", "latest"], &[]),
        // Its moving tags have not moved yet; golden moves `latest` to it.
        ("1.2.4", "2.0.0", &["2.0.0"], &["1.2", "1", "latest"]),
    ] {
        for (line, is_before_the_list) in [
            ("POST /v2/app/blobs/uploads/", true),
            (&*format!("PUT /v2/app/manifests/{version}"), false),
        ] {
            let app = App::interrupted(line, move |registry| {
                drop(registry.image("app", other, tags));
            });
            app.set_version(version);
            let run = app.golden.run(&["build", "--push"]).exit(0);
            let what = format!("{version} after {other} at {line}");
            let found = app.registry.tags("app");
            for tag in tags.iter().chain([&"latest"]) {
                assert_eq!(found[*tag], found[other], "{what}: {found:?}");
            }
            if is_before_the_list {
                let expected = [&[version], moved].concat();
                assert_eq!(app.written(), expected, "{what}: {:#?}", app.requests());
            } else {
                let note = format!(
                    "moved latest to {}: a higher version was published concurrently",
                    &found["latest"][..19]
                );
                assert!(run.stderr.contains(&note), "{what}: {}", run.stderr);
            }
        }
    }
}

/// A lower version that was published at the same time moves the same tags, and does not keep them.
#[test]
fn tags_of_a_lower_version_that_was_published_after_the_plan_move() {
    let app = App::interrupted("PUT /v2/app/manifests/1.3.0", |registry| {
        let tags = ["1.2.9", "1.2", "1", "latest"];
        drop(registry.image("app", "lower", &tags));
    });
    app.set_version("1.3.0");
    app.golden.run(&["build", "--push"]).exit(0);
    let found = app.registry.tags("app");
    for tag in ["1.3", "1", "latest"] {
        assert_eq!(found[tag], found["1.3.0"], "{tag}");
    }
    assert_eq!(found["1.2"], found["1.2.9"]);
}

#[test]
fn a_version_that_was_published_after_the_plan_is_not_overwritten() {
    for tags in [
        &["1.2.4", "1.2", "1", "latest"][..],
        &["1.2.4"],
        &["1.2.4_build.5"],
    ] {
        let app = App::interrupted("POST /v2/app/blobs/uploads/", move |registry| {
            drop(registry.image("app", "theirs", tags));
        });
        app.set_version("1.2.4");
        let run = app.golden.run(&["build", "--push"]).exit(4);
        assert!(run.stderr.contains("1.2.4"), "{tags:?}: {}", run.stderr);
        assert_eq!(app.written(), Vec::<String>::new(), "{tags:?}");
    }
}

/// The registry lists the layer in the manifest of the earlier version, but refuses a new manifest
/// with it.
#[test]
fn a_layer_that_the_registry_lost_is_sent_with_the_next_version() {
    let app = App::new();
    let lost = Digest::of(LAYERS[1].as_bytes());
    app.registry.lose("app", lost.as_str());
    app.set_version("1.2.4");
    app.golden.run(&["build", "--push"]).exit(0);
    let requests = app.requests();
    let put = |line: &&String| line.as_str() == "PUT manifests/1.2.4";
    assert_eq!(requests.iter().filter(put).count(), 3, "{requests:?}");
    assert!(
        requests.iter().any(|line| line.ends_with("?mount")),
        "{requests:?}"
    );
    let image = format!("{}/app:1.2.4", app.registry.host());
    app.golden.run(&["verify", &image, "--deep"]).exit(0);
}

/// zot refuses a manifest as invalid if it lost one of its layers.
#[test]
fn a_layer_that_the_registry_lost_is_sent_if_the_manifest_is_refused_as_invalid() {
    let lost = Digest::of(LAYERS[1].as_bytes());
    let is_mounted = AtomicUsize::new(0);
    let app = App::with(Behaviour {
        instead: Some(Arc::new(move |seen: &Seen| {
            let query = format!("mount={lost}").replace(':', "%3A");
            if seen.method == "POST"
                && (seen.path.contains(&query) || seen.path.contains(&format!("mount={lost}")))
            {
                is_mounted.fetch_add(1, Ordering::SeqCst);
            }
            let is_refused = seen.method == "PUT"
                && seen.route() == "/v2/app/manifests/1.2.4"
                && is_mounted.load(Ordering::SeqCst) < 2;
            is_refused.then(|| {
                let error =
                    r#"{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid"}]}"#;
                Answer::new(400, error)
            })
        })),
        ..Behaviour::default()
    });
    let lost = Digest::of(LAYERS[1].as_bytes());
    app.registry.lose("app", lost.as_str());
    app.set_version("1.2.4");
    app.golden.run(&["build", "--push"]).exit(0);
    let image = format!("{}/app:1.2.4", app.registry.host());
    app.golden.run(&["verify", &image, "--deep"]).exit(0);
}

/// A version that exists is built again to repair it, so each of its blobs is requested.
#[test]
fn a_version_that_is_repaired_requests_every_blob() {
    let app = App::new();
    let lost = Digest::of(LAYERS[1].as_bytes());
    app.registry.lose("app", lost.as_str());
    app.golden.run(&["build", "--push", "--force"]).exit(0);
    let requests = app.requests();
    let mounts = requests.iter().filter(|line| line.ends_with("?mount"));
    assert_eq!(mounts.count(), LAYERS.len(), "{requests:?}");
    let image = format!("{}/app:1.2.3", app.registry.host());
    app.golden.run(&["verify", &image, "--deep"]).exit(0);
}
