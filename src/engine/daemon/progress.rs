//! What a build says while it runs, as events, and what is kept of it to explain a failure.

use std::collections::{BTreeMap, VecDeque};

use bollard::moby::buildkit::v1::{StatusResponse, Vertex};
use bollard::models::{BuildInfo, BuildInfoAux, ProgressDetail};

use super::super::error::{Error, StepOutput};
use crate::event::{Event, Events};
use crate::reference::Digest;

/// How many lines of a failing step are shown.
const TAIL: usize = 20;
/// How much of a step's text is shown: a script of a hundred lines is one step.
const STEP: usize = 200;

/// The story of one build.
#[derive(Debug)]
pub(in crate::engine) struct Progress<'a> {
    image: &'a str,
    events: &'a Events,
    /// The steps by BuildKit's digest of them; the classic builder has one at a time, under the empty key.
    steps: BTreeMap<String, StepState>,
    /// The step that BuildKit says has failed.
    failed: Option<String>,
    /// The image that was made.
    id: Option<Digest>,
}

/// Output without a line break is cut into lines of about this many bytes.
const LONGEST_LINE: usize = 64 << 10;

/// A step of the build.
#[derive(Debug, Default)]
struct StepState {
    text: String,
    told: bool,
    /// What came after the last line break.
    rest: String,
    tail: VecDeque<String>,
}

impl StepState {
    /// Takes output and gives back the lines that are complete by now. A carriage return draws a line anew.
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
            if !is_remark(&line) {
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
    /// The beginning of a build of `image`.
    pub(in crate::engine) const fn new(image: &'a str, events: &'a Events) -> Self {
        Self {
            image,
            events,
            steps: BTreeMap::new(),
            failed: None,
            id: None,
        }
    }

    /// The image that the build made, if it got so far.
    pub(in crate::engine) fn image_id(&self) -> Option<&Digest> {
        self.id.as_ref()
    }

    /// Takes what the engine said next.
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

    /// A message of the classic builder: the head of a step, its own remarks, or output of a step.
    fn take_stream(&mut self, text: &str) {
        if let Some(step) = classic_step(text) {
            self.finish_lines();
            let text = shorten(&step);
            self.events.step(self.image, text.clone());
            self.steps.insert(
                String::new(),
                StepState {
                    text,
                    told: true,
                    ..StepState::default()
                },
            );
            return;
        }
        // A remark comes as one message, behind output that may lack its line break.
        let message = without_escapes(text.trim_end());
        if !message.is_empty() && is_remark(&message) {
            self.finish_lines();
            return;
        }
        let lines = self.steps.entry(String::new()).or_default().lines(text);
        self.log(lines);
    }

    /// A message of BuildKit: steps that began or ended, and output.
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
            let lines = self
                .steps
                .entry(log.vertex)
                .or_default()
                .lines(&String::from_utf8_lossy(&log.msg));
            self.log(lines);
        }
    }

    fn take_vertex(&mut self, vertex: Vertex) {
        let step = self.steps.entry(vertex.digest.clone()).or_default();
        step.text = shorten(&vertex.name);
        // BuildKit prepares things in steps of its own, of which nobody has written a line.
        let internal = vertex.name.starts_with("[internal]") || vertex.name == "copy /context /";
        if !step.told && !internal && (vertex.started.is_some() || vertex.cached) {
            step.told = true;
            let cached = if vertex.cached { "CACHED " } else { "" };
            self.events
                .step(self.image, format!("{cached}{}", step.text));
        }
        // Steps beside the one that failed end as cancelled.
        if !vertex.error.is_empty()
            && !vertex.error.contains("context canceled")
            && self.failed.is_none()
        {
            self.failed = Some(vertex.digest);
        }
    }

    fn log(&self, lines: Vec<String>) {
        for line in lines {
            self.events.send(Event::Log {
                image: self.image.to_owned(),
                line,
            });
        }
    }

    /// Tells what steps left without a line break.
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

    /// The error of a build that ended with `message`.
    pub(in crate::engine) fn failure(mut self, message: String) -> Error {
        self.finish_lines();
        let failed = self.failed.as_deref().unwrap_or_default();
        match (self.steps.remove(failed), exit_code(&message)) {
            (Some(step), exit_code) if !step.text.is_empty() => Error::Step {
                step: step.text,
                exit_code,
                output: StepOutput {
                    message,
                    tail: step.tail.into(),
                },
            },
            _ => Error::Build { message },
        }
    }

    /// Tells what is left at the end of a build that went well.
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

/// `Step 2/5 : RUN …` of the classic builder, written as BuildKit does: `[2/5] RUN …`.
fn classic_step(text: &str) -> Option<String> {
    let (count, instruction) = text.strip_prefix("Step ")?.split_once(" : ")?;
    let (at, of) = count.split_once('/')?;
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (number(at) && number(of)).then(|| format!("[{count}] {}", instruction.trim_end()))
}

/// Whether a line is the classic builder's own bookkeeping: image and container IDs.
fn is_remark(line: &str) -> bool {
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

/// A line without escape sequences: the classic builder colours what steps write to standard error, and a terminal
/// must not be steered by what a build prints.
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

/// The exit code in an engine's message: `… returned a non-zero code: 3`, `… exit code: 3`.
fn exit_code(message: &str) -> Option<i64> {
    let at = ["non-zero code: ", "exit code: "]
        .iter()
        .find_map(|words| message.rfind(words).map(|at| at + words.len()))?;
    let digits: String = message[at..]
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}

/// The first line of a step, no longer than people read.
fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(STEP) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests;
