//! Chromium without a window, driven over the HTTP interface of chromedriver (W3C `WebDriver`).

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The time for one answer. Several browsers may start at the same time.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
/// The name of an element in the protocol.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// The keys of the protocol.
pub(crate) const TAB: char = '\u{e004}';
pub(crate) const ENTER: char = '\u{e007}';

/// A colour scheme of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Light,
    Dark,
}

/// A browser with a new profile. It ends when it is dropped.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    profile: TempDir,
}

impl Browser {
    /// Starts a browser. chromedriver ends if another process takes the port that it chose, so it is
    /// started again.
    pub(crate) fn start() -> Self {
        let browser = (0..5).find_map(|_| Self::started());
        browser.expect("chromedriver starts; `tests/services up` installs it")
    }

    /// A browser, unless chromedriver ends at its start.
    fn started() -> Option<Self> {
        let profile = TempDir::new().unwrap();
        let mut driver = Command::new("chromedriver");
        // Its own process group, so that no process of the browser outlives the test.
        driver.arg("--port=0").process_group(0);
        driver.stdout(Stdio::piped()).stderr(Stdio::null());
        driver.env("HOME", profile.path());
        // The browser exists before anything can fail, so that its processes end in any case.
        let mut browser = Self {
            driver: driver.spawn().unwrap(),
            port: 0,
            session: String::new(),
            profile,
        };
        browser.port = port(&mut browser.driver)?;
        let answer = browser.call("POST", "/session", &browser.capabilities());
        let session = answer["sessionId"].as_str().unwrap();
        session.clone_into(&mut browser.session);
        browser.resize(1280, 900);
        Some(browser)
    }

    fn capabilities(&self) -> Value {
        let profile = self.profile.path().join("profile");
        let profile = format!("--user-data-dir={}", profile.display());
        let args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            &profile,
        ];
        json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": args },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } })
    }

    /// Opens a file.
    pub(crate) fn open(&self, file: &Path) {
        self.go(&format!("file://{}", file.display()));
    }

    /// Opens an address.
    pub(crate) fn go(&self, url: &str) {
        self.of_session("POST", "/url", &json!({ "url": url }));
    }

    /// Runs the body of a function in the page, and returns its result.
    pub(crate) fn run(&self, script: &str) -> Value {
        let body = json!({ "script": script, "args": [] });
        self.of_session("POST", "/execute/sync", &body)
    }

    /// Presses keys, one after the other, as a user does.
    pub(crate) fn press(&self, keys: &str) {
        let press = |key: char| {
            let key = key.to_string();
            [
                json!({ "type": "keyDown", "value": key }),
                json!({ "type": "keyUp", "value": key }),
            ]
        };
        let actions: Vec<Value> = keys.chars().flat_map(press).collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.of_session("POST", "/actions", &json!({ "actions": [keyboard] }));
    }

    /// Clicks on the only visible element of a selector.
    pub(crate) fn click(&self, selector: &str) {
        let body = json!({ "using": "css selector", "value": selector });
        let element = self.of_session("POST", "/element", &body);
        let id = element[ELEMENT].as_str().unwrap();
        self.of_session("POST", &format!("/element/{id}/click"), &json!({}));
    }

    /// Sets the size of the viewport.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Sets the colour scheme of the system.
    pub(crate) fn prefer(&self, scheme: Scheme) {
        let value = match scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let feature = json!({ "name": "prefers-color-scheme", "value": value });
        let media = json!({ "features": [feature] });
        self.devtools("Emulation.setEmulatedMedia", &media);
    }

    /// Shows pages as they are printed, also if the system prefers dark colours.
    pub(crate) fn print(&self) {
        let feature = json!({ "name": "prefers-color-scheme", "value": "dark" });
        let media = json!({ "media": "print", "features": [feature] });
        self.devtools("Emulation.setEmulatedMedia", &media);
    }

    /// The viewport as an image in `WebP`.
    pub(crate) fn picture(&self) -> Vec<u8> {
        let options = json!({ "format": "webp", "quality": 70 });
        let answer = self.devtools("Page.captureScreenshot", &options);
        STANDARD.decode(answer["data"].as_str().unwrap()).unwrap()
    }

    /// The elements as a screen reader has them: role and name.
    pub(crate) fn accessible(&self) -> Vec<(String, String)> {
        let tree = self.devtools("Accessibility.getFullAXTree", &json!({}));
        let nodes = tree["nodes"].as_array().unwrap().iter();
        let nodes = nodes.filter(|node| node["ignored"] == false);
        let text = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
        nodes
            .map(|node| (text(&node["role"]), text(&node["name"])))
            .collect()
    }

    /// The messages of the console since the last call.
    pub(crate) fn console(&self) -> Vec<String> {
        let entries = self.log("browser");
        let text = |entry: &Value| entry["message"].as_str().unwrap().to_owned();
        entries.iter().map(text).collect()
    }

    /// The addresses that pages requested since the last call.
    pub(crate) fn requests(&self) -> Vec<String> {
        let mut requests = Vec::new();
        for entry in self.log("performance") {
            let event: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            let event = &event["message"];
            if event["method"] == "Network.requestWillBeSent" {
                let url = event["params"]["request"]["url"].as_str().unwrap();
                requests.push(url.to_owned());
            }
        }
        requests
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.of_session("POST", "/se/log", &json!({ "type": kind }));
        entries.as_array().unwrap().clone()
    }

    /// Runs a command of the `DevTools` protocol.
    pub(crate) fn devtools(&self, command: &str, params: &Value) -> Value {
        let body = json!({ "cmd": command, "params": params });
        self.of_session("POST", "/goog/cdp/execute", &body)
    }

    #[track_caller]
    fn of_session(&self, method: &str, path: &str, body: &Value) -> Value {
        self.call(method, &format!("/session/{}{path}", self.session), body)
    }

    /// Sends a request to chromedriver, and returns the value of its answer.
    #[track_caller]
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, text) = self.exchange(method, path, body).unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
        assert_eq!(status, "200", "{method} {path} {body}: {text}");
        answer["value"].clone()
    }

    fn exchange(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> std::io::Result<(String, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let body = body.to_string();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}",
            self.port
        )?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let status = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut length = 0;
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let lower = line.trim().to_lowercase();
            if lower.is_empty() {
                break;
            }
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut text = vec![0; length];
        reader.read_exact(&mut text)?;
        Ok((status, String::from_utf8(text).unwrap()))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let session = format!("/session/{}", self.session);
            drop(self.exchange("DELETE", &session, &json!({})));
        }
        let group = format!("-{}", self.driver.id());
        drop(Command::new("kill").args(["-9", "--", &group]).status());
        drop(self.driver.wait());
    }
}

/// The port that chromedriver chose, which it prints when it listens. `None` if it ends.
fn port(driver: &mut Child) -> Option<u16> {
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = lines.find_map(|line| {
        let line = line.unwrap();
        let port = line.strip_prefix("ChromeDriver was started successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    // The rest of its output is read, so that it never waits.
    std::thread::spawn(move || lines.for_each(drop));
    port
}
