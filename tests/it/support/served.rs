//! A running `golden serve`.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use super::workspace::Golden;

/// A registry of a test: `golden serve` over a directory of its workspace. It ends when it is
/// dropped.
pub(crate) struct Served {
    /// The workspace whose directory `registry` is served.
    pub(crate) golden: Golden,
    /// The address, with its scheme.
    pub(crate) url: String,
    process: Child,
}

impl Served {
    /// Serves a new directory, with these options.
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::of(Golden::new(), options)
    }

    /// Serves the directory `registry` of a test.
    pub(crate) fn of(golden: Golden, options: &[&str]) -> Self {
        let (process, url) = serve(&golden, options);
        Self {
            golden,
            url,
            process,
        }
    }

    /// A second process that serves the directory of `other`.
    pub(crate) fn same_directory(other: &Self) -> Self {
        let (process, url) = serve(&other.golden, &[]);
        Self {
            golden: Golden::new(),
            process,
            url,
        }
    }

    /// HOST:PORT.
    pub(crate) fn host(&self) -> &str {
        self.url.split_once("://").unwrap().1
    }

    /// Kills the process, as a crash does, and starts a new one at the same address.
    pub(crate) fn restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        let address = self.host().to_owned();
        let (process, url) = serve_at(&self.golden, &address, &[]);
        assert_eq!(url, self.url);
        self.process = process;
    }

    /// Ends the process at once, as a crash does, and returns its workspace.
    pub(crate) fn kill(mut self) -> Golden {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        std::mem::replace(&mut self.golden, Golden::new())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Starts the process at a free address. Returns the process and its URL.
fn serve(golden: &Golden, options: &[&str]) -> (Child, String) {
    serve_at(golden, "127.0.0.1:0", options)
}

fn serve_at(golden: &Golden, address: &str, options: &[&str]) -> (Child, String) {
    let args = [&["serve", "registry", "--addr", address], options].concat();
    let mut process = golden
        .command(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(process.stdout.take().unwrap())
        .read_line(&mut url)
        .unwrap();
    (process, url.trim().to_owned())
}
