//! Converts the progress messages of a build to events, and keeps the last output to explain a
//! failure.

use std::collections::{BTreeMap, VecDeque};

use bollard::moby::buildkit::v1::{StatusResponse, Vertex};
use bollard::models::{BuildInfo, BuildInfoAux, ProgressDetail};

use super::super::error::{BuildStep, Error, StepCause, StepOutput};
use super::steps::{BuildSteps, Heading};
use crate::event::{Event, Events, Step};
use crate::reference::Digest;

/// The number of output lines that are shown for a failed step.
const TAIL: usize = 20;
/// The number of characters of a step's text that are shown. A step can be a long script.
const STEP: usize = 200;

/// The progress of one build.
#[derive(Debug)]
pub(in crate::engine) struct Progress<'a> {
    image: &'a str,
    events: &'a Events,
    names: BuildSteps<'a>,
    /// The steps by their BuildKit digest. The classic builder runs one step at a time, under the
    /// empty key.
    steps: BTreeMap<String, StepState>,
    /// The key of the step that BuildKit reports as failed.
    failed: Option<String>,
    /// The ID of the built image.
    id: Option<Digest>,
}

/// Output without a line break is split into lines of about this many bytes.
const LONGEST_LINE: usize = 64 << 10;

/// The maximum number of steps with separate output. The output of all further steps is combined.
const STEPS: usize = 10_000;

/// A step of the build.
#[derive(Debug, Default)]
struct StepState {
    /// The step; `None` if the builder has not named it.
    step: Option<BuildStep>,
    /// True once the event for the step was sent.
    announced: bool,
    /// The output after the last line break.
    rest: String,
    tail: VecDeque<String>,
}

impl StepState {
    /// Adds output and returns the lines that are now complete. A carriage return starts the line
    /// again.
    fn lines(&mut self, output: &str) -> Vec<String> {
        self.rest.push_str(output);
        if self.rest.len() > LONGEST_LINE && !self.rest.contains('\n') {
            self.rest.push('\n');
        }
        let mut lines = Vec::new();
        while let Some(end) = self.rest.find('\n') {
            let line: String = self.rest.drain(..=end).collect();
            let line = without_escapes(line.trim_end_matches(['\n', '\r']));
            let line = line.rsplit('\r').next().unwrap_or_default().to_owned();
            if !is_status_message(&line) {
                self.keep(line.clone());
                lines.push(line);
            }
        }
        lines
    }

    fn keep(&mut self, line: String) {
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }
}

impl<'a> Progress<'a> {
    /// The progress of a new build of `image`.
    pub(in crate::engine) const fn new(
        image: &'a str,
        events: &'a Events,
        names: BuildSteps<'a>,
    ) -> Self {
        Self {
            image,
            events,
            names,
            steps: BTreeMap::new(),
            failed: None,
            id: None,
        }
    }

    /// The ID of the built image, if the engine has reported it.
    pub(in crate::engine) fn image_id(&self) -> Option<&Digest> {
        self.id.as_ref()
    }

    /// Processes one message of the Docker Engine.
    pub(in crate::engine) fn take(&mut self, info: BuildInfo) {
        match info.aux {
            Some(BuildInfoAux::BuildKit(status)) => self.take_status(status),
            Some(BuildInfoAux::Default(image)) => {
                self.id = image.id.and_then(|id| id.parse().ok()).or(self.id.take());
            }
            None => {}
        }
        if let Some(text) = info.stream {
            self.take_stream(&text);
        }
        if let (Some(what), Some(detail)) = (info.id, info.progress_detail) {
            bytes(self.events, self.image, what, &detail);
        }
    }

    /// Processes a message of the classic builder: the start of a step, its own status messages, or
    /// output of a step.
    fn take_stream(&mut self, text: &str) {
        if let Some(heading) = Heading::of_stream(text) {
            self.finish_lines();
            let step = self.names.step(&heading);
            self.announce(&heading, &step, "");
            self.steps.insert(
                String::new(),
                StepState {
                    step: Some(step),
                    announced: true,
                    ..StepState::default()
                },
            );
            return;
        }
        // A status message arrives as one message. The output before it may lack a line break.
        let message = without_escapes(text.trim_end());
        if !message.is_empty() && is_status_message(&message) {
            self.finish_lines();
            return;
        }
        let lines = self.steps.entry(String::new()).or_default().lines(text);
        self.log(lines);
    }

    /// Processes a message of BuildKit: steps that started or ended, and output.
    pub(in crate::engine) fn take_status(&mut self, status: StatusResponse) {
        for vertex in status.vertexes {
            self.take_vertex(vertex);
        }
        for item in status.statuses {
            let count = |n: i64| u64::try_from(n).unwrap_or_default();
            if item.total > 0 {
                self.events.send(Event::Bytes {
                    image: self.image.to_owned(),
                    what: item.id,
                    done: count(item.current),
                    total: Some(count(item.total)),
                });
            }
        }
        for log in status.logs {
            let text = String::from_utf8_lossy(&log.msg);
            let lines = self.step(log.vertex).lines(&text);
            self.log(lines);
        }
    }

    /// The state of the step with this digest.
    fn step(&mut self, digest: String) -> &mut StepState {
        let is_separate = self.steps.len() < STEPS || self.steps.contains_key(&digest);
        let key = if is_separate { digest } else { String::new() };
        self.steps.entry(key).or_default()
    }

    fn take_vertex(&mut self, vertex: Vertex) {
        let heading = Heading::of_buildkit(&vertex.name);
        let named = heading.as_ref().map_or_else(
            || BuildStep::instruction(shorten(&vertex.name)),
            |heading| self.names.step(heading),
        );
        let state = self.step(vertex.digest.clone());
        let is_new = is_shown(&vertex) && !state.announced;
        state.announced |= is_new;
        state.step = Some(named.clone());
        if is_new {
            let cached = if vertex.cached { "CACHED " } else { "" };
            if let Some(heading) = &heading {
                self.announce(heading, &named, cached);
            } else {
                let step = format!("{cached}{}", shorten(&vertex.name));
                self.events.step(self.image, Step::Build(step));
            }
        }
        // Steps that run in parallel to the failed one end as cancelled.
        if !vertex.error.is_empty()
            && !vertex.error.contains("context canceled")
            && self.failed.is_none()
        {
            self.failed = Some(vertex.digest);
        }
    }

    /// Sends the event for a step that began.
    fn announce(&self, heading: &Heading, step: &BuildStep, cached: &str) {
        let text = format!("{cached}[{}] {}", heading.count, step.name.brief());
        self.events.step(self.image, Step::Build(shorten(&text)));
    }

    fn log(&self, lines: Vec<String>) {
        for line in lines {
            self.events.send(Event::Log {
                image: self.image.to_owned(),
                line,
            });
        }
    }

    /// Sends the output that has no line break yet.
    fn finish_lines(&mut self) {
        for step in self.steps.values_mut().filter(|step| !step.rest.is_empty()) {
            for line in step.lines("\n") {
                self.events.send(Event::Log {
                    image: self.image.to_owned(),
                    line,
                });
            }
        }
    }

    /// The error of a build that failed with `message`.
    pub(in crate::engine) fn failure(mut self, message: String) -> Error {
        self.finish_lines();
        let failed = self.failed.as_deref().unwrap_or_default();
        let Some(state) = self.steps.remove(failed) else {
            return Error::Build { message };
        };
        match state.step {
            Some(step) => {
                let texts = state.tail.iter().map(String::as_str);
                let cause = StepCause::of(texts.chain([message.as_str()]));
                Error::Step {
                    step: step.shortened(STEP),
                    exit_code: exit_code(&message),
                    output: StepOutput {
                        message,
                        tail: state.tail.into(),
                        cause,
                    },
                }
            }
            None => Error::Build { message },
        }
    }

    /// Sends the remaining output after a successful build.
    pub(in crate::engine) fn finish(&mut self) {
        self.finish_lines();
    }
}

/// Sends the progress of a download or an upload.
pub(in crate::engine) fn bytes(
    events: &Events,
    image: &str,
    what: String,
    detail: &ProgressDetail,
) {
    let count = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok());
    if let Some(done) = count(detail.current) {
        let total = count(detail.total).filter(|total| *total > 0);
        events.send(Event::Bytes {
            image: image.to_owned(),
            what,
            done,
            total,
        });
    }
}

/// True if a step of BuildKit began, and is in the Dockerfile: BuildKit adds internal steps.
fn is_shown(vertex: &Vertex) -> bool {
    let internal = vertex.name.starts_with("[internal]") || vertex.name == "copy /context /";
    !internal && (vertex.started.is_some() || vertex.cached)
}

/// True if a line is a status message of the classic builder itself: image and container IDs.
fn is_status_message(line: &str) -> bool {
    let id = |text: &str| text.len() >= 12 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let after = |prefix: &str| {
        line.strip_prefix(prefix)
            .is_some_and(|rest| id(rest.trim()))
    };
    line.is_empty()
        || line == " ---> Using cache"
        || [
            " ---> ",
            " ---> Running in ",
            "Removing intermediate container ",
            "Successfully built ",
        ]
        .into_iter()
        .any(after)
}

/// Removes escape sequences from a line. The classic builder colours the standard error of steps,
/// and the output of a build must not control the terminal.
fn without_escapes(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        if c != '\u{1b}' {
            text.push(c);
        } else if rest.clone().next() == Some('[') {
            // A control sequence ends with its first character from @ to ~ after the bracket.
            rest.next();
            rest.find(|c| ('@'..='~').contains(c));
        }
    }
    text
}

/// The exit code in an engine's message: `… returned a non-zero code: 3`, `… exit code: 3`,
/// `… exit status 3`.
fn exit_code(message: &str) -> Option<i64> {
    let start = ["non-zero code: ", "exit code: ", "exit status "]
        .iter()
        .find_map(|prefix| message.rfind(prefix).map(|at| at + prefix.len()))?;
    let digits: String = message[start..]
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}

/// The first line of a step, shortened to [`STEP`] characters.
fn shorten(text: &str) -> String {
    super::super::error::first_line(text, STEP)
}

#[cfg(test)]
mod tests;
