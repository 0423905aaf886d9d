//! A repository as golden reads it: git runs on a directory that golden makes, whose configuration golden writes.
//!
//! Git's configuration can name programs: filters, hooks, monitors, transports, helpers. Whoever wrote the checkout
//! may have written `.git/config` too, so git must not read it. The directory that git works in refers to the objects,
//! the references and the index of the repository; of the configuration it has what cannot run anything.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use crate::process::{self, Environment, Limits, Program};
use crate::workspace::fs;

/// Bounds of one call of git. The log of a large repository takes a minute.
pub(super) const LIMITS: Limits = Limits {
    time: Duration::from_mins(5),
    output: 256 << 20,
};
/// The longest file of a repository that is read here: configuration and references.
const MAX_FILE: u64 = 1 << 20;

/// Keys of the repository's own configuration that golden keeps: they say how to read it, and name no program and no
/// file.
const OF_REPOSITORY: &[&str] = &[
    "core.autocrlf",
    "core.checkstat",
    "core.eol",
    "core.filemode",
    "core.ignorecase",
    "core.precomposeunicode",
    "core.repositoryformatversion",
    "core.sparsecheckout",
    "core.sparsecheckoutcone",
    "core.symlinks",
    "core.trustctime",
    "extensions.objectformat",
    "extensions.refstorage",
    "index.sparse",
];
/// Keys of the user's configuration that golden keeps.
const OF_USER: &[&str] = &[
    "core.attributesfile",
    "core.autocrlf",
    "core.eol",
    "core.excludesfile",
];

/// Why a repository cannot be read, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct GitError(pub(super) String);

impl GitError {
    fn of(path: &Path, error: &dyn std::fmt::Display) -> Self {
        Self(format!("{} cannot be read: {error}", path.display()))
    }
}

/// Where the parts of a repository are.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    /// The directory of the checkout.
    top: PathBuf,
    /// Its `.git`: a directory, or a file that names one.
    dot_git: PathBuf,
    /// HEAD and index.
    directory: PathBuf,
    /// Objects, references and configuration. Another directory only for additional worktrees.
    common: PathBuf,
}

/// A repository that git can be asked about.
#[derive(Debug)]
pub(super) struct GitRepository {
    environment: Environment,
    /// The directory of the checkout.
    pub(super) top: PathBuf,
    /// Where git runs.
    root: PathBuf,
    index: PathBuf,
    /// The addresses of the remotes, by name, in the order of the configuration.
    pub(super) remotes: Vec<(String, String)>,
    directory: tempfile::TempDir,
}

impl GitRepository {
    /// The repository that has the directory `root`, which is canonical; none if it is in no checkout.
    pub(super) async fn open(
        root: &Path,
        environment: &Environment,
    ) -> Result<Option<Self>, GitError> {
        let Some(parts) = find(root)? else {
            return Ok(None);
        };
        let directory = fs::temporary_directory();
        let unwritable = |error| GitError(format!("a temporary directory cannot be made: {error}"));
        let directory = directory.map_err(unwritable)?;
        if !is_owned_as(directory.path(), &parts) {
            allowed(root, environment).await?;
        }
        refer(&parts, directory.path())?;
        let mut repository = Self {
            environment: environment.clone(),
            index: parts.directory.join("index"),
            root: root.to_owned(),
            top: parts.top,
            remotes: Vec::new(),
            directory,
        };
        repository.configure(&parts.common).await?;
        Ok(Some(repository))
    }

    /// A command of git on the repository, with the configuration that golden wrote and no other.
    pub(super) fn git(&self, args: &[&str]) -> Command {
        let mut command = bare(&self.environment, Program::Git);
        command
            .env("GIT_CONFIG_GLOBAL", null())
            .env("GIT_CONFIG_NOSYSTEM", "1");
        command
            .env("GIT_DIR", self.directory.path())
            .env("GIT_WORK_TREE", &self.top);
        command.env("GIT_INDEX_FILE", &self.index);
        command.args(args).current_dir(&self.root);
        command
    }

    /// What git prints, if it succeeds.
    pub(super) async fn ask(&self, args: &[&str]) -> Result<String, GitError> {
        answer(self.git(args), &[]).await
    }

    /// Writes the configuration: what the repository and the user say of the keys that golden keeps.
    async fn configure(&mut self, common: &Path) -> Result<(), GitError> {
        let path = common.join("config");
        let text = read(&path)?.unwrap_or_default();
        let mut of_file = bare(&self.environment, Program::Git);
        of_file
            .env("GIT_CONFIG_GLOBAL", null())
            .env("GIT_CONFIG_NOSYSTEM", "1");
        of_file.args(["config", "--file", "-", "--no-includes", "--null", "--list"]);
        let mut of_user = bare(&self.environment, Program::GitOfUser);
        of_user.args(["config", "--includes", "--null", "--list"]);
        for command in [&mut of_file, &mut of_user] {
            command
                .env("GIT_DIR", self.directory.path())
                .current_dir(self.directory.path());
        }
        let (own, user) = tokio::join!(answer(of_file, &text), answer(of_user, &[]));
        let own = entries(&own?);
        let mut kept: BTreeMap<&str, &str> = BTreeMap::new();
        let user = entries(&user?);
        kept.extend(
            user.iter()
                .filter(|(key, _)| OF_USER.contains(&key.as_str()))
                .map(borrowed),
        );
        kept.extend(
            own.iter()
                .filter(|(key, _)| OF_REPOSITORY.contains(&key.as_str()))
                .map(borrowed),
        );
        let lines: String = kept.iter().map(|(key, value)| line(key, value)).collect();
        let config = self.directory.path().join("config");
        fs::write_cached(&config, lines.as_bytes())
            .map_err(|error| GitError::of(&config, &error.source))?;
        self.remotes = own.iter().filter_map(remote).collect();
        Ok(())
    }
}

fn borrowed((key, value): &(String, String)) -> (&str, &str) {
    (key, value)
}

/// The name and the address of a remote, of an entry that has them.
fn remote((key, value): &(String, String)) -> Option<(String, String)> {
    let name = key.strip_prefix("remote.")?.strip_suffix(".url")?;
    Some((name.to_owned(), value.clone()))
}

/// The entries of `git config --null --list`. A key without a value is true.
fn entries(listed: &str) -> Vec<(String, String)> {
    let entries = listed.split('\0').filter(|entry| !entry.is_empty());
    let pair = |entry: &str| {
        let (key, value) = entry.split_once('\n').unwrap_or((entry, "true"));
        (key.to_owned(), value.to_owned())
    };
    entries.map(pair).collect()
}

/// An entry as git's configuration has it. The keys have one dot.
fn line(key: &str, value: &str) -> String {
    let (section, name) = key.split_once('.').unwrap_or((key, ""));
    let value = value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
        .replace('\t', "\\t");
    format!("[{section}]\n\t{name} = \"{value}\"\n")
}

const fn null() -> &'static str {
    if cfg!(windows) { "NUL" } else { "/dev/null" }
}

/// git without a repository. It neither fetches, nor asks, nor writes, and its words are in English.
fn bare(environment: &Environment, program: Program) -> Command {
    let mut command = environment.command(program, "git");
    command
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_OPTIONAL_LOCKS", "0");
    command.env("GIT_ALLOW_PROTOCOL", "none").env("LC_ALL", "C");
    command.args([
        "--no-pager",
        "-c",
        "safe.bareRepository=explicit",
        "-c",
        "core.quotePath=false",
    ]);
    command.args([
        "-c",
        "core.fsmonitor=false",
        "-c",
        "log.showSignature=false",
    ]);
    command
}

/// What a command prints, if it succeeds; else its words.
pub(super) async fn answer(command: Command, input: &[u8]) -> Result<String, GitError> {
    match process::output(command, input, LIMITS).await {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(output) => Err(GitError(one_line(&String::from_utf8_lossy(&output.stderr)))),
        Err(error) if error.is_missing() => {
            Err(GitError("the program `git` is not in PATH".to_owned()))
        }
        Err(process::Error::Io(error)) => Err(GitError(format!(
            "the program `git` does not start: {error}"
        ))),
        Err(error) => Err(GitError(format!(
            "the program `git` gives no answer: {error}"
        ))),
    }
}

/// The words of a message, in one line and without control characters.
fn one_line(message: &str) -> String {
    let words = message
        .split_whitespace()
        .map(|word| word.replace(char::is_control, ""));
    words.collect::<Vec<_>>().join(" ")
}

/// Looks for `.git` in `root` and above it, on the same file system, as git does. A directory that merely looks like
/// a repository, without that name, is none.
fn find(root: &Path) -> Result<Option<Parts>, GitError> {
    for top in root
        .ancestors()
        .take_while(|above| is_same_file_system(root, above))
    {
        let dot_git = top.join(".git");
        let Ok(metadata) = std::fs::metadata(&dot_git) else {
            continue;
        };
        let directory = if metadata.is_dir() {
            dot_git.clone()
        } else {
            let named = first_line(&dot_git)?
                .and_then(|line| Some(line.strip_prefix("gitdir: ")?.to_owned()));
            top.join(named.ok_or_else(|| GitError::of(&dot_git, &"it names no repository"))?)
        };
        let canonical =
            |path: &Path| std::fs::canonicalize(path).map_err(|error| GitError::of(path, &error));
        let directory = canonical(&directory)?;
        let common = match first_line(&directory.join("commondir"))? {
            Some(common) => canonical(&directory.join(common))?,
            None => directory.clone(),
        };
        // git passes over a directory of this name that is not a repository.
        if common.join("objects").is_dir() && common.join("refs").is_dir() {
            return Ok(Some(Parts {
                top: top.to_owned(),
                dot_git,
                directory,
                common,
            }));
        }
    }
    Ok(None)
}

#[cfg(unix)]
fn is_same_file_system(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let device = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.dev()).ok();
    device(one) == device(other)
}

#[cfg(not(unix))]
const fn is_same_file_system(_: &Path, _: &Path) -> bool {
    true
}

/// Whether the owner of `own`, which golden made, has the checkout and the repository too.
#[cfg(unix)]
fn is_owned_as(own: &Path, parts: &Parts) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let owner = |path: &Path| {
        std::fs::symlink_metadata(path)
            .map(|metadata| metadata.uid())
            .ok()
    };
    let me = owner(own);
    [&parts.top, &parts.dot_git, &parts.directory]
        .into_iter()
        .all(|path| owner(path) == me)
}

#[cfg(not(unix))]
const fn is_owned_as(_: &Path, _: &Parts) -> bool {
    true
}

/// Whether git itself would read a repository of somebody else: the user's `safe.directory` decides.
async fn allowed(root: &Path, environment: &Environment) -> Result<(), GitError> {
    let mut command = bare(environment, Program::GitOfUser);
    command.args(["rev-parse", "--git-dir"]).current_dir(root);
    answer(command, &[]).await.map(drop)
}

/// Makes the directory that git works in refer to the parts of the repository.
fn refer(parts: &Parts, directory: &Path) -> Result<(), GitError> {
    let head = parts.directory.join("HEAD");
    let write = |name: &OsStr, bytes: &[u8]| {
        let path = directory.join(name);
        fs::write_cached(&path, bytes).map_err(|error| GitError::of(&path, &error.source))
    };
    // `HEAD`, and what else names one commit: `FETCH_HEAD`, `ORIG_HEAD`.
    write(
        OsStr::new("HEAD"),
        &read(&head)?.ok_or_else(|| GitError::of(&head, &"it does not exist"))?,
    )?;
    for entry in listed(&parts.directory)? {
        let name = entry.file_name();
        if name.as_encoded_bytes().ends_with(b"_HEAD")
            && let Some(bytes) = read(&entry.path())?
        {
            write(&name, &bytes)?;
        }
        if name.as_encoded_bytes().starts_with(b"sharedindex.") {
            link(&entry.path(), &directory.join(&name))?;
        }
    }
    for name in ["logs", "info"] {
        link(&parts.directory.join(name), &directory.join(name))?;
    }
    if parts.common != parts.directory && !directory.join("info").exists() {
        link(&parts.common.join("info"), &directory.join("info"))?;
    }
    for name in ["objects", "refs", "packed-refs", "reftable", "shallow"] {
        link(&parts.common.join(name), &directory.join(name))?;
    }
    Ok(())
}

fn listed(directory: &Path) -> Result<Vec<std::fs::DirEntry>, GitError> {
    let entries = std::fs::read_dir(directory).map_err(|error| GitError::of(directory, &error))?;
    Ok(entries.flatten().collect())
}

/// Makes `to` a symbolic link to `from`, if that exists.
#[cfg(unix)]
fn link(from: &Path, to: &Path) -> Result<(), GitError> {
    if !from.exists() {
        return Ok(());
    }
    std::os::unix::fs::symlink(from, to).map_err(|error| GitError::of(from, &error))
}

#[cfg(not(unix))]
fn link(from: &Path, _: &Path) -> Result<(), GitError> {
    Err(GitError::of(
        from,
        &"git repositories are read on Unix alone",
    ))
}

/// A small file of the repository; none if it does not exist.
fn read(path: &Path) -> Result<Option<Vec<u8>>, GitError> {
    match fs::read_up_to(path, MAX_FILE) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(GitError::of(path, &error.source)),
    }
}

/// The first line of a small file; none if it does not exist.
fn first_line(path: &Path) -> Result<Option<String>, GitError> {
    let text = read(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(text.map(|text| {
        text.lines()
            .next()
            .unwrap_or_default()
            .trim_end()
            .to_owned()
    }))
}
