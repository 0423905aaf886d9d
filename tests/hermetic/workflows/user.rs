//! A user at a terminal, who knows only the screen, README and `golden --help`.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use crate::pseudo_terminal::script;
use crate::support::curl::{Answer, curl_with};
use crate::support::served::Served;
use crate::support::workspace::{Golden, Run};

const COLUMNS: u16 = 80;
const ROWS: u16 = 24;
const README: &str = include_str!("../../../README.md");

/// The state that the work of a user starts in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    /// A directory without a workspace.
    Empty,
    /// The workspace of `golden init` with a registry.
    Workspace,
    /// The same, with the image published.
    Published,
    /// The same as `Workspace`, but the registry requires a login.
    WithLogin,
}

pub(super) struct User {
    pub(super) golden: Golden,
    registry: Served,
    login: bool,
    screen: vt100::Parser,
    /// `golden --help` and the examples of the commands.
    help: String,
}

impl User {
    pub(super) fn new(home: Home) -> Self {
        let login = home == Home::WithLogin;
        let hash = bcrypt::hash("secret", 4).unwrap();
        let served = Golden::new().file("users", format!("ann:{hash}\n"));
        let options: &[&str] = if login { &["--htpasswd", "users"] } else { &[] };
        let registry = Served::of(served, options);
        // No Docker Engine of the machine takes part.
        let golden = Golden::new()
            .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
            .env("SOURCE_DATE_EPOCH", "0");
        let mut help = golden.run(&["--help"]).exit(0).stdout;
        help += &golden.run(&["bump", "--help"]).exit(0).stdout;
        let mut user = Self {
            golden,
            registry,
            login,
            screen: vt100::Parser::new(ROWS.try_into().unwrap(), COLUMNS.try_into().unwrap(), 0),
            help,
        };
        if home != Home::Empty {
            user.types("golden init", &[]);
            for line in ["[[registry]]", "name = \"team\"", "host = "] {
                user.uncomments("golden.toml", line);
            }
            let host = user.host();
            user.changes("golden.toml", "registry.example.com:5000", &host);
        }
        if home == Home::Published {
            user.types("golden build --push", &[]);
            user.has_tags("example", &["0.1", "0.1.0", "latest"]);
        }
        user
    }

    pub(super) fn host(&self) -> String {
        self.registry.host().to_owned()
    }

    /// The lines on the screen, with a blank between words.
    fn screen(&self) -> String {
        words(&self.screen.screen().contents())
    }

    /// Fails if the text is neither on the screen nor in README or the help.
    #[track_caller]
    fn is_suggested(&self, text: &str) {
        let screen = self.screen();
        let known = [screen.as_str(), &words(README), &words(&self.help)];
        let wanted = words(text);
        assert!(
            known.iter().any(|known| known.contains(&wanted)),
            "nothing suggests `{text}`:\n{}",
            self.screen.screen().contents()
        );
    }

    /// Types a command that is suggested, with its placeholders filled in.
    #[track_caller]
    pub(super) fn types(&mut self, suggested: &str, fill: &[(&str, &str)]) {
        self.is_suggested(suggested);
        self.run(&filled(suggested, fill), None, 0);
    }

    /// Types a suggested command, and confirms it.
    #[track_caller]
    pub(super) fn confirms(&mut self, suggested: &str, fill: &[(&str, &str)]) {
        self.is_suggested(suggested);
        self.run(&filled(suggested, fill), Some("y"), 0);
    }

    /// Types a command whose words are known, and answers its question.
    #[track_caller]
    pub(super) fn answers(&mut self, command: &str, answer: &str, code: i32) {
        for word in command.split(' ') {
            self.is_suggested(word);
        }
        self.run(command, Some(answer), code);
    }

    /// Types a command that fails. The next step follows from its message.
    #[track_caller]
    pub(super) fn fails(&mut self, command: &str, code: i32) {
        self.run(command, None, code);
    }

    /// Types a command again with a correction that the screen suggests.
    #[track_caller]
    pub(super) fn corrects(&mut self, command: &str, from: &str, to: &str) {
        self.shows(to);
        self.run(&command.replace(from, to), None, 0);
    }

    /// Types a command that only shows something, and scrolls.
    #[track_caller]
    pub(super) fn sees(&mut self, command: &str, text: &str) {
        let all = self.run(command, None, 0);
        let all = console::strip_ansi_codes(&all);
        assert!(words(&all).contains(&words(text)), "{all}");
    }

    #[track_caller]
    pub(super) fn shows(&self, text: &str) {
        let screen = self.screen();
        assert!(screen.contains(&words(text)), "{screen}");
    }

    /// Uses a line that the file has as a comment.
    #[track_caller]
    pub(super) fn uncomments(&self, file: &str, line: &str) {
        self.changes(file, &format!("# {line}"), line);
    }

    /// Edits a file as the screen suggests.
    #[track_caller]
    pub(super) fn edits(&self, file: &str, from: &str, to: &str) {
        self.shows(to);
        self.changes(file, from, to);
    }

    /// Edits a file in a way of the user's own.
    #[track_caller]
    pub(super) fn changes(&self, file: &str, from: &str, to: &str) {
        let text = self.read(file);
        assert!(text.contains(from), "{from}: {text}");
        self.golden.write(file, text.replacen(from, to, 1));
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.golden.path().join(file)).unwrap()
    }

    pub(super) fn copies(&self, from: &str, to: &str) {
        self.golden.write(to, self.read(from));
    }

    /// Creates a file in a directory that the screen names.
    #[track_caller]
    pub(super) fn creates(&self, shown: &str, file: &str, text: &str) {
        self.shows(shown);
        self.golden.write(file, text);
    }

    /// Sets a variable that the screen names.
    #[track_caller]
    pub(super) fn sets(&mut self, suggested: &str, name: &str, value: &str) {
        self.shows(suggested);
        let golden = std::mem::replace(&mut self.golden, Golden::new());
        self.golden = golden.env(name, value);
    }

    /// Runs a command in the terminal until it exits; returns its whole output. The answer is typed
    /// after the question.
    #[track_caller]
    fn run(&mut self, command: &str, answer: Option<&str>, code: i32) -> String {
        self.screen.process(format!("$ {command}\r\n").as_bytes());
        let mut script = script(&self.golden, command, COLUMNS, ROWS);
        let mut running = script
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut keyboard = running.stdin.take().unwrap();
        let mut output = running.stdout.take().unwrap();
        let (mut all, mut part, mut answer) = (Vec::new(), [0; 4096], answer);
        while let Ok(read @ 1..) = output.read(&mut part) {
            all.extend_from_slice(&part[..read]);
            self.screen.process(&part[..read]);
            if String::from_utf8_lossy(&all).contains("[y/N]")
                && let Some(answer) = answer.take()
            {
                keyboard
                    .write_all(format!("{answer}\n").as_bytes())
                    .unwrap();
            }
        }
        let all = String::from_utf8(all).unwrap();
        assert!(answer.is_none(), "`{command}` asks nothing:\n{all}");
        let status = running.wait().unwrap();
        assert_eq!(status.code(), Some(code), "{command}\n{all}");
        all
    }

    fn ask(&self, method: &str, path: &str) -> Answer {
        let login: &[&str] = if self.login {
            &["-u", "ann:secret"]
        } else {
            &[]
        };
        curl_with(login, method, &format!("{}/v2/{path}", self.registry.url))
    }

    #[track_caller]
    pub(super) fn has_tags(&self, repository: &str, expected: &[&str]) {
        let answer = self.ask("GET", &format!("{repository}/tags/list"));
        let tags = match answer.status {
            404 => Vec::new(),
            _ => serde_json::from_value(answer.json()["tags"].clone()).unwrap_or_default(),
        };
        let tags: Vec<String> = tags;
        assert_eq!(tags, expected);
    }

    /// A layer of an image has a file whose path starts with a text.
    #[track_caller]
    pub(super) fn has_file(&self, repository: &str, tag: &str, start: &str) {
        let manifest = self.ask("GET", &format!("{repository}/manifests/{tag}"));
        let manifest = manifest.json();
        let image = match manifest["manifests"][0]["digest"].as_str() {
            Some(digest) => self
                .ask("GET", &format!("{repository}/manifests/{digest}"))
                .json(),
            None => manifest,
        };
        let layers = image["layers"].as_array().unwrap().iter();
        let files: String = layers.map(|layer| self.files(repository, layer)).collect();
        assert!(files.lines().any(|file| file.starts_with(start)), "{files}");
    }

    /// The paths in a layer.
    fn files(&self, repository: &str, layer: &serde_json::Value) -> String {
        let digest = layer["digest"].as_str().unwrap();
        let archive = self.registry.golden.path().join("layer");
        let url = format!("{}/v2/{repository}/blobs/{digest}", self.registry.url);
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--fail", &url, "--output"])
            .arg(&archive);
        assert!(curl.status().unwrap().success());
        let listed = Command::new("tar")
            .arg("-tf")
            .arg(&archive)
            .output()
            .unwrap();
        Run::of(listed).exit(0).stdout
    }

    fn digest(&self, repository: &str, tag: &str) -> String {
        let answer = self.ask("HEAD", &format!("{repository}/manifests/{tag}"));
        answer.header("docker-content-digest").unwrap().to_owned()
    }

    /// A tag points to the image of a version.
    #[track_caller]
    pub(super) fn points(&self, repository: &str, tag: &str, version: &str) {
        let digests = [tag, version].map(|tag| self.digest(repository, tag));
        assert_eq!(digests[0], digests[1], "{tag} does not point to {version}");
    }
}

/// A text with one blank between its words.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn filled(suggested: &str, fill: &[(&str, &str)]) -> String {
    let fill = fill.iter();
    fill.fold(suggested.to_owned(), |text, (placeholder, value)| {
        assert!(text.contains(placeholder), "{placeholder}: {text}");
        text.replacen(placeholder, value, 1)
    })
}
