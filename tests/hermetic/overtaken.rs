//! Another publisher writes while golden publishes: between the plan and the decision, and between
//! the decision and the last check of the tags.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::server::{Answer, Seen};
use crate::support::workspace::{Golden, Run};

/// A registry and a workspace with the image `app`.
struct App {
    registry: Arc<FakeRegistry>,
    golden: Golden,
    /// True once `hook` is called.
    is_armed: Arc<AtomicBool>,
    before: usize,
}

impl App {
    /// A registry that calls `hook` before it answers a request, once it is armed.
    fn hooked(
        hook: impl Fn(&FakeRegistry, &Seen) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let registry: Arc<OnceLock<Weak<FakeRegistry>>> = Arc::default();
        let is_armed = Arc::new(AtomicBool::new(false));
        let (found, armed) = (registry.clone(), is_armed.clone());
        let started = Arc::new(FakeRegistry::start(Behaviour {
            instead: Some(Arc::new(move |seen: &Seen| {
                let registry = found.get().and_then(Weak::upgrade)?;
                armed
                    .load(Ordering::SeqCst)
                    .then(|| hook(&registry, seen))?
            })),
            ..Behaviour::default()
        }));
        registry.set(Arc::downgrade(&started)).unwrap();
        let table = format!(
            "[[registry]]\nname = \"t\"\nhost = \"{}\"\n",
            started.host()
        );
        Self {
            registry: started,
            golden: Golden::new()
                .workspace(&table)
                .env("SOURCE_DATE_EPOCH", "0"),
            is_armed,
            before: 0,
        }
    }

    /// Calls `event` once, when the request `line` (`METHOD route`) arrives.
    fn interrupted(line: &str, event: impl Fn(&FakeRegistry) + Send + Sync + 'static) -> Self {
        let (line, count) = (line.to_owned(), AtomicUsize::new(0));
        Self::hooked(move |registry, seen| {
            let is_it = format!("{} {}", seen.method, seen.route()) == line;
            if is_it && count.fetch_add(1, Ordering::SeqCst) == 0 {
                event(registry);
            }
            None
        })
    }

    fn set_version(&self, version: &str) {
        let spec = format!(
            "[image]\nname = \"app\"\nversion = \"{version}\"\nbase = \"scratch\"\n\
             platforms = [\"linux/amd64\", \"linux/arm64\"]\n"
        );
        self.golden.write("app/image.toml", spec);
    }

    #[track_caller]
    fn publish(&self, version: &str) {
        self.set_version(version);
        self.golden.run(&["build", "--push"]).exit(0);
    }

    /// Publishes while the hook is armed.
    fn publish_hooked(&mut self, version: &str) -> Run {
        self.set_version(version);
        self.before = self.registry.requests().len();
        self.is_armed.store(true, Ordering::SeqCst);
        let run = self.golden.run(&["build", "--push"]);
        self.is_armed.store(false, Ordering::SeqCst);
        run
    }

    fn tags(&self) -> BTreeMap<String, String> {
        self.registry.tags("app")
    }

    /// The requests for `app` while the hook was armed, as `METHOD target`.
    fn requests(&self) -> Vec<String> {
        let requests = self.registry.requests().split_off(self.before);
        let lines = requests.iter().map(|line| line.replace("/v2/app/", ""));
        lines
            .map(|line| line.split('?').next().unwrap().to_owned())
            .collect()
    }

    /// The tags that were put while the hook was armed.
    fn written(&self) -> Vec<String> {
        let requests = self.requests().into_iter();
        let tags = requests.filter_map(|line| {
            let tag = line.strip_prefix("PUT manifests/")?;
            (!tag.contains(':')).then(|| tag.to_owned())
        });
        tags.collect()
    }
}

/// The other publisher is faster before the tags are decided, or after the version tag was put.
#[test]
fn a_version_of_the_same_inputs_by_another_publisher_is_the_result() {
    for (line, theirs, written) in [
        (
            "POST /v2/app/blobs/uploads/",
            &["1.2.4", "1.2", "1", "latest"][..],
            &[][..],
        ),
        (
            "PUT /v2/app/manifests/1.2",
            &["1.2.4"],
            &["1.2.4", "1.2", "1", "latest", "1.2", "1", "latest"],
        ),
    ] {
        let inputs: Arc<OnceLock<String>> = Arc::default();
        let digest: Arc<OnceLock<String>> = Arc::default();
        let (found, put) = (inputs.clone(), digest.clone());
        let mut app = App::interrupted(line, move |registry| {
            let labels = json!({ "dev.golden.inputs": found.get().unwrap() });
            let theirs = registry.labelled("app", "theirs", &labels, theirs);
            put.set(theirs).unwrap();
        });
        app.publish("1.2.3");
        app.set_version("1.2.4");
        let plan = app.golden.run(&["plan", "--format", "json"]).exit(0);
        let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
        let of_plan = plan["images"][0]["inputs"].as_str().unwrap();
        inputs.set(of_plan.to_owned()).unwrap();
        app.publish_hooked("1.2.4").exit(0);
        let tags = app.tags();
        for tag in ["1.2.4", "1.2", "1", "latest"] {
            assert_eq!(tags[tag], *digest.get().unwrap(), "{line}: {tag}");
        }
        assert_eq!(app.written(), written, "{line}");
    }
}

#[test]
fn other_content_of_another_publisher_keeps_the_version_and_gets_its_moving_tags() {
    let digest: Arc<OnceLock<String>> = Arc::default();
    let put = digest.clone();
    let mut app = App::interrupted("PUT /v2/app/manifests/1.2", move |registry| {
        let theirs = registry.image("app", "theirs", &["1.2.4"]);
        put.set(theirs).unwrap();
    });
    app.publish("1.2.3");
    let run = app.publish_hooked("1.2.4").exit(1);
    let expected = "another publisher published different content as this version at the same time";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
    assert_eq!(app.written()[..4], ["1.2.4", "1.2", "1", "latest"]);
    let tags = app.tags();
    for tag in ["1.2.4", "1.2", "1", "latest"] {
        assert_eq!(tags[tag], *digest.get().unwrap(), "{tag}");
    }
}

/// The plan says that only a moving tag is wrong.
#[test]
fn a_version_tag_that_is_overwritten_after_the_plan_stops_the_run() {
    let lists = AtomicUsize::new(0);
    let foreign: Arc<OnceLock<String>> = Arc::default();
    let theirs = foreign.clone();
    let mut app = App::hooked(move |registry, seen| {
        if seen.route() == "/v2/app/tags/list" && lists.fetch_add(1, Ordering::SeqCst) == 1 {
            registry.tag("app", "1.2.3", theirs.get().unwrap());
        }
        None
    });
    app.publish("1.2.3");
    let ours = app.tags()["1.2.3"].clone();
    let theirs = app.registry.image("app", "foreign", &["latest"]);
    foreign.set(theirs.clone()).unwrap();
    let run = app.publish_hooked("1.2.3").exit(1);
    let expected = format!(
        "app:1.2.3 changed since the plan was made: it pointed to {ours} and now points to {theirs}"
    );
    assert!(run.stderr.contains(&expected), "{}", run.stderr);
    assert_eq!(app.written(), Vec::<String>::new());
}

/// A registry may show a tag earlier than the version in its list.
#[test]
fn a_tag_that_is_newer_than_the_list_is_not_moved_back() {
    let list: Arc<OnceLock<String>> = Arc::default();
    let (old, is_shown) = (list.clone(), AtomicBool::new(false));
    let mut app = App::hooked(move |registry, seen| {
        let line = format!("{} {}", seen.method, seen.route());
        if line == "PUT /v2/app/manifests/1" {
            let tags = registry.tags("app");
            let tags: Vec<&String> = tags.keys().collect();
            let body = json!({ "name": "app", "tags": tags }).to_string();
            drop(registry.image("app", "higher", &["3.0.0", "3.0", "3", "latest"]));
            old.set(body).unwrap();
        }
        let body = old.get()?;
        (line == "GET /v2/app/tags/list" && !is_shown.swap(true, Ordering::SeqCst))
            .then(|| Answer::new(200, body.clone()).header("content-type", "application/json"))
    });
    app.publish("1.2.3");
    app.publish("2.0.0");
    let run = app.publish_hooked("1.2.4").exit(0);
    assert!(list.get().is_some());
    assert_eq!(app.written(), ["1.2.4", "1.2", "1"]);
    assert!(!run.stderr.contains("moved latest"), "{}", run.stderr);
    let tags = app.tags();
    assert_eq!(tags["latest"], tags["3.0.0"]);
}

#[test]
fn the_same_content_that_was_published_after_the_plan_is_not_sent_again() {
    let digest: Arc<OnceLock<String>> = Arc::default();
    let theirs = digest.clone();
    let mut app = App::interrupted("POST /v2/app/blobs/uploads/", move |registry| {
        registry.tag("app", "1.2.4", theirs.get().unwrap());
    });
    app.publish("1.2.4");
    digest.set(app.tags()["1.2.4"].clone()).unwrap();
    let all = ["1.2.4", "1.2", "1", "latest"];
    let names = all.map(|tag| format!("{}/app:{tag}", app.registry.host()));
    let names = names.iter().map(String::as_str);
    let untag: Vec<&str> = ["delete", "--untag", "--yes"]
        .into_iter()
        .chain(names)
        .collect();
    app.golden.run(&untag).exit(0);
    assert_eq!(app.tags(), BTreeMap::new());
    app.publish_hooked("1.2.4").exit(0);
    let requests = app.requests();
    let is_decision = |line: &String| line == "GET manifests/1.2.4";
    let decision = requests.iter().position(is_decision).unwrap();
    let index = format!("PUT manifests/{}", digest.get().unwrap());
    let is_content = |line: &&String| {
        line.contains("blobs/") || line.starts_with("PUT manifests/sha256:") && **line != index
    };
    let later: Vec<&String> = requests[decision..].iter().filter(is_content).collect();
    assert_eq!(later, Vec::<&String>::new(), "{requests:#?}");
    assert_eq!(app.written(), ["1.2", "1", "latest"]);
}

/// With `--atomic`, an image waits for the upload of the others.
#[test]
fn a_higher_version_that_was_published_while_an_image_waited_keeps_its_tags() {
    let mut app = App::hooked(|registry, seen| {
        if seen.method == "PUT" && seen.route() == "/v2/other/manifests/1.0.0" {
            // The other requests are answered by another thread.
            tokio::task::block_in_place(|| {
                let start = Instant::now();
                while !registry.tags("app").contains_key("1.2.4")
                    && start.elapsed() < Duration::from_secs(10)
                {
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
            drop(registry.image("app", "higher", &["2.0.0", "2.0", "2", "latest"]));
        }
        None
    });
    app.publish("1.2.3");
    let other = "[image]\nname = \"other\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n";
    app.golden.write("other/image.toml", other);
    app.set_version("1.2.4");
    app.before = app.registry.requests().len();
    app.is_armed.store(true, Ordering::SeqCst);
    app.golden.run(&["build", "--push", "--atomic"]).exit(0);
    let tags = app.tags();
    assert_eq!(tags["latest"], tags["2.0.0"]);
    let mut written = app.written();
    written.retain(|tag| !tag.contains("other"));
    assert_eq!(written, ["1.2.4", "1.2", "1"]);
}
