//! A repository that golden reads through git: git runs on a directory that golden creates, with a
//! configuration that golden writes.
//!
//! Git's configuration can name programs: filters, hooks, monitors, transports, helpers. The author
//! of the checkout may also have written `.git/config`, so git must not read it. The directory that
//! git works in refers to the objects, references and index of the repository. Its configuration
//! contains only keys that cannot run a program.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use crate::process::{self, Environment, Limits, Program};
use crate::workspace::fs;

/// Limits of one call of git. The log of a large repository takes a minute.
pub(super) const LIMITS: Limits = Limits {
    time: Duration::from_mins(5),
    output: 256 << 20,
};
/// The longest file of a repository that golden reads itself, in bytes: configuration and
/// references.
const MAX_FILE: u64 = 1 << 20;

/// Keys that golden keeps from the repository's own configuration. They describe its format and
/// name no program and no file.
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
/// Keys that golden keeps from the user's configuration.
const OF_USER: &[&str] = &[
    "core.attributesfile",
    "core.autocrlf",
    "core.eol",
    "core.excludesfile",
];

/// The reason why a repository cannot be read, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct GitError(pub(super) String);

impl GitError {
    pub(super) fn of(path: &Path, error: &dyn std::fmt::Display) -> Self {
        Self(format!("{} cannot be read: {error}", path.display()))
    }
}

/// The paths of the parts of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RepositoryPaths {
    /// The directory of the checkout.
    top: PathBuf,
    /// Its `.git`: a directory, or a file that names one.
    dot_git: PathBuf,
    /// The directory of HEAD and index.
    directory: PathBuf,
    /// The directory of objects, references and configuration. It differs from `directory` only in
    /// additional worktrees.
    common: PathBuf,
}

/// A repository that git commands can run on.
#[derive(Debug)]
pub(super) struct GitRepository {
    environment: Environment,
    /// The directory of the checkout.
    pub(super) top: PathBuf,
    /// The working directory of git commands.
    root: PathBuf,
    index: PathBuf,
    /// The names and URLs of the remotes, in the order of the configuration.
    pub(super) remotes: Vec<(String, String)>,
    directory: tempfile::TempDir,
}

impl GitRepository {
    /// Opens the repository that contains the directory `root`, which must be canonical. None if
    /// `root` is not in a checkout.
    pub(super) async fn open(
        root: &Path,
        environment: &Environment,
    ) -> Result<Option<Self>, GitError> {
        let Some(parts) = find(root)? else {
            return Ok(None);
        };
        let directory = fs::temporary_directory();
        let unwritable = |error| GitError(format!("cannot create a temporary directory: {error}"));
        let directory = directory.map_err(unwritable)?;
        if !is_owned_as(directory.path(), &parts) {
            check_safe_directory(root, environment).await?;
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

    /// A git command on the repository. It reads only the configuration that golden wrote.
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

    /// The directory that git works in. It refers to the parts of the repository.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Runs git and returns its output. Fails if git does.
    pub(super) async fn ask(&self, args: &[&str]) -> Result<String, GitError> {
        answer(self.git(args), &[]).await
    }

    /// Writes the configuration: the values that the repository and the user set for the keys that
    /// golden keeps.
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

/// The name and URL of a remote, if the entry is one.
fn remote((key, value): &(String, String)) -> Option<(String, String)> {
    let name = key.strip_prefix("remote.")?.strip_suffix(".url")?;
    Some((name.to_owned(), value.clone()))
}

/// The entries of `git config --null --list`. A key without a value means true.
pub(super) fn entries(listed: &str) -> Vec<(String, String)> {
    let entries = listed.split('\0').filter(|entry| !entry.is_empty());
    let pair = |entry: &str| {
        let (key, value) = entry.split_once('\n').unwrap_or((entry, "true"));
        (key.to_owned(), value.to_owned())
    };
    entries.map(pair).collect()
}

/// The section, the subsection and the name of a key, such as `http`, `https://example.com` and
/// `proxy`.
pub(super) fn parts(key: &str) -> (&str, Option<&str>, &str) {
    let (section, rest) = key.split_once('.').unwrap_or((key, ""));
    match rest.rsplit_once('.') {
        Some((subsection, name)) => (section, Some(subsection), name),
        None => (section, None, rest),
    }
}

/// One entry in the syntax of git's configuration.
pub(super) fn line(key: &str, value: &str) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let value = escaped(value).replace('\n', "\\n").replace('\t', "\\t");
    let (section, subsection, name) = parts(key);
    let section = match subsection {
        Some(subsection) => format!("{section} \"{}\"", escaped(subsection)),
        None => section.to_owned(),
    };
    format!("[{section}]\n\t{name} = \"{value}\"\n")
}

pub(super) const fn null() -> &'static str {
    if cfg!(windows) { "NUL" } else { "/dev/null" }
}

/// git without a repository. It does not fetch, prompt or write, and its messages are in English.
pub(super) fn bare(environment: &Environment, program: Program) -> Command {
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

/// Runs a command and returns its output, or its error message if it fails.
pub(super) async fn answer(command: Command, input: &[u8]) -> Result<String, GitError> {
    match process::output(command, input, LIMITS).await {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(output) => Err(GitError(one_line(&String::from_utf8_lossy(&output.stderr)))),
        Err(error) if error.is_missing() => Err(GitError(process::missing("git"))),
        Err(process::Error::Io(error)) => {
            Err(GitError(format!("cannot start the program `git`: {error}")))
        }
        Err(error) => Err(GitError(format!(
            "the program `git` did not finish: {error}"
        ))),
    }
}

/// The message in one line and without control characters.
fn one_line(message: &str) -> String {
    let words = message
        .split_whitespace()
        .map(|word| word.replace(char::is_control, ""));
    words.collect::<Vec<_>>().join(" ")
}

/// Searches for `.git` in `root` and above it on the same file system, as git does. A directory
/// that has the content of a repository but not this name is ignored.
fn find(root: &Path) -> Result<Option<RepositoryPaths>, GitError> {
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
            top.join(named.ok_or_else(|| GitError::of(&dot_git, &"it does not name a repository"))?)
        };
        let canonical =
            |path: &Path| std::fs::canonicalize(path).map_err(|error| GitError::of(path, &error));
        let directory = canonical(&directory)?;
        let common = match first_line(&directory.join("commondir"))? {
            Some(common) => canonical(&directory.join(common))?,
            None => directory.clone(),
        };
        // Git ignores a `.git` directory that is not a repository.
        if common.join("objects").is_dir() && common.join("refs").is_dir() {
            return Ok(Some(RepositoryPaths {
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

/// True if the checkout and the repository have the same owner as `own`, which golden created.
#[cfg(unix)]
fn is_owned_as(own: &Path, parts: &RepositoryPaths) -> bool {
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
const fn is_owned_as(_: &Path, _: &RepositoryPaths) -> bool {
    true
}

/// Checks that git itself would read a repository of another user, which the user's
/// `safe.directory` permits.
async fn check_safe_directory(root: &Path, environment: &Environment) -> Result<(), GitError> {
    let mut command = bare(environment, Program::GitOfUser);
    command.args(["rev-parse", "--git-dir"]).current_dir(root);
    answer(command, &[]).await.map(drop)
}

/// Makes the directory that git works in refer to the parts of the repository.
fn refer(parts: &RepositoryPaths, directory: &Path) -> Result<(), GitError> {
    let head = parts.directory.join("HEAD");
    let write = |name: &OsStr, bytes: &[u8]| {
        let path = directory.join(name);
        fs::write_cached(&path, bytes).map_err(|error| GitError::of(&path, &error.source))
    };
    // `HEAD` and the other files that name one commit: `FETCH_HEAD`, `ORIG_HEAD`.
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

/// Makes `to` a symbolic link to `from` if `from` exists.
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
        &"git repositories are read only on Unix",
    ))
}

/// Reads a small file of the repository. None if it does not exist.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, GitError> {
    match fs::read_up_to(path, MAX_FILE) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(GitError::of(path, &error.source)),
    }
}

/// Reads the first line of a small file. None if the file does not exist.
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
