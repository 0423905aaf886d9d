//! Writes events to a file, each as a line of JSON.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Map, Value, json};

use super::Reporter;
use crate::event::{BlobTransfer, Event, Step};
use crate::oci::rfc3339;
use crate::reference::Tag;
use crate::report::out::Out;
use crate::report::text::escaped_json;

/// A file that receives the events of a run.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    /// `None` after a failed write.
    file: Option<File>,
    out: Out,
    since: Instant,
}

/// The facts of a run that its first event contains.
#[derive(Debug, Clone, Copy)]
pub struct LoggedRun {
    /// The name of the command, such as `build`.
    pub command: &'static str,
    /// The start in seconds since 1970-01-01 UTC.
    pub start: i64,
}

impl EventLog {
    /// Writes the first line to `file`, whose name in messages is `path`. A failed write is reported
    /// once on `out`; it does not end the run, because the run may already have moved tags.
    #[must_use]
    pub fn new(path: PathBuf, file: File, out: Out, run: LoggedRun) -> Self {
        let file = Some(file);
        let since = Instant::now();
        let mut log = Self {
            path,
            file,
            out,
            since,
        };
        log.write(
            "run",
            json!({
                "schema": 1,
                "golden": env!("CARGO_PKG_VERSION"),
                "command": run.command,
                "time": rfc3339(run.start),
            }),
        );
        log
    }

    /// Writes the last line: the exit code, and the error that ended the run.
    pub(super) fn end(&mut self, exit: u8, error: Option<&str>) {
        let mut fields = json!({ "exit": exit });
        if let Some(error) = error {
            fields["error"] = error.into();
        }
        self.write("ended", fields);
    }

    fn write(&mut self, event: &str, fields: Value) {
        let Some(file) = &mut self.file else {
            return;
        };
        // Milliseconds are exact enough, and short.
        let seconds = (self.since.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        let mut line = Map::from_iter([
            ("event".to_owned(), event.into()),
            ("seconds".to_owned(), seconds.into()),
        ]);
        if let Value::Object(fields) = fields {
            line.extend(fields);
        }
        let line = Value::Object(line).to_string();
        if let Err(error) = file.write_all(format!("{}\n", escaped_json(&line)).as_bytes()) {
            self.file = None;
            let path = self.path.display();
            self.out.message(&format!(
                "warning: cannot write the events to {path}: {error}"
            ));
        }
    }
}

impl Reporter for EventLog {
    fn consume(&mut self, event: &Event) {
        let (name, fields) = fields(event);
        self.write(name, fields);
    }
}

/// The name and the fields of an event.
fn fields(event: &Event) -> (&'static str, Value) {
    match event {
        Event::Images { total } => ("images", json!({ "total": total })),
        Event::Started { image } => ("started", json!({ "image": image })),
        Event::Step { image, step } => {
            let mut fields = json!({ "image": image, "step": null, "text": step.to_string() });
            let (kind, details) = details(step);
            fields["step"] = kind.into();
            if let (Some(fields), Value::Object(details)) = (fields.as_object_mut(), details) {
                fields.extend(details);
            }
            ("step", fields)
        }
        Event::Log { image, line } => ("log", json!({ "image": image, "line": line })),
        Event::Bytes {
            image,
            what,
            done,
            total,
        } => (
            "bytes",
            json!({ "image": image, "what": what, "done": done, "total": total }),
        ),
        Event::Note { image, text } => ("note", json!({ "image": image, "text": text })),
        Event::Warning { image, text } => ("warning", json!({ "image": image, "text": text })),
        Event::Finding(finding) => ("finding", json!(finding)),
        Event::Waiting { image, text } => ("waiting", json!({ "image": image, "text": text })),
        Event::Finished {
            image,
            text,
            ok,
            because,
        } => (
            "finished",
            json!({ "image": image, "text": text, "ok": ok, "because": because }),
        ),
    }
}

/// The kind of a step, and what it works on.
fn details(step: &Step) -> (&'static str, Value) {
    match step {
        Step::Build(_) => ("build-step", json!({})),
        Step::BuildOn { platform, engine } => (
            "build",
            json!({ "platform": platform.to_string(), "engine": engine }),
        ),
        Step::Export { platform, engine } => (
            "export",
            json!({ "platform": platform.to_string(), "engine": engine }),
        ),
        Step::ReadLayer { digest, size } => {
            ("read-base-layer", json!({ "digest": digest, "size": size }))
        }
        Step::ReadFiles { digest, size } => {
            ("read-layer", json!({ "digest": digest, "size": size }))
        }
        Step::ReadBase(digest) => ("read-base", json!({ "digest": digest })),
        Step::Pull(reference) => ("pull", json!({ "reference": reference })),
        Step::PushThroughEngine(reference) => {
            ("push-through-engine", json!({ "reference": reference }))
        }
        Step::Push(reference) => ("push", json!({ "reference": reference.to_string() })),
        Step::Attach { artifacts, image } => (
            "attach",
            json!({ "artifacts": artifacts, "reference": image.to_string() }),
        ),
        Step::Tag { repository, tags } => {
            let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
            (
                "tag",
                json!({ "repository": repository.to_string(), "tags": tags }),
            )
        }
        Step::Copied { digest, how } => {
            let how = match how {
                BlobTransfer::Present => "present",
                BlobTransfer::Mounted => "mounted",
                BlobTransfer::Sent(_) => "sent",
            };
            ("copied", json!({ "digest": digest, "how": how }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Severity;
    use crate::event::ReportedFinding;

    #[test]
    fn each_event_is_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let (out, _, stderr) = Out::memory(80);
        let run = LoggedRun {
            command: "build",
            start: 1_700_000_000,
        };
        let mut log = EventLog::new(path.clone(), File::create(&path).unwrap(), out, run);
        let image = || "app:1.2.3".to_owned();
        let host: crate::reference::Repository = "host:5000/app".parse().unwrap();
        for event in [
            Event::Images { total: 1 },
            Event::Started { image: image() },
            Event::Step {
                image: image(),
                step: Step::Tag {
                    repository: host,
                    tags: vec!["1.2".parse().unwrap(), "latest".parse().unwrap()],
                },
            },
            Event::Log {
                image: image(),
                line: "two\nlines \u{202e}".to_owned(),
            },
            Event::Bytes {
                image: image(),
                what: "layer".to_owned(),
                done: 1,
                total: None,
            },
            Event::Warning {
                image: None,
                text: "late".to_owned(),
            },
            Event::Finding(ReportedFinding {
                rule: "spec.value".to_owned(),
                severity: Severity::Error,
                file: Some("app/image.toml".to_owned()),
                line: Some(3),
                column: Some(11),
                message: "not a version".to_owned(),
                help: None,
                image: None,
            }),
            Event::Finished {
                image: image(),
                text: "failed".to_owned(),
                ok: false,
                because: Some("[1/2] RUN make: exit code 2".to_owned()),
            },
        ] {
            log.consume(&event);
        }
        log.end(1, Some("cannot connect"));
        let text = String::from_utf8(crate::workspace::fs::read(&path).unwrap()).unwrap();
        let lines = text.lines().map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            assert!(line["seconds"].as_f64().unwrap() < 10.0);
            line.as_object_mut().unwrap().shift_remove("seconds");
            format!("{line}\n")
        });
        insta::assert_snapshot!(lines.collect::<String>());
        assert!(text.contains("\\u202e"), "{text}");
        assert!(stderr.lock().unwrap().is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_reported_once() {
        let (out, _, stderr) = Out::memory(80);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let run = LoggedRun {
            command: "build",
            start: 0,
        };
        let mut log = EventLog::new("events.jsonl".into(), full, out, run);
        log.end(0, None);
        let shown = String::from_utf8(stderr.lock().unwrap().clone()).unwrap();
        assert!(
            shown.starts_with("warning: cannot write the events to events.jsonl: "),
            "{shown}"
        );
        assert_eq!(shown.lines().count(), 1, "{shown}");
    }
}
