//! Reads the history of the workspace with the `git` program. Without git, golden continues and
//! omits the history.

mod checkout;
mod repository;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

pub use self::checkout::{Checkout, CheckoutError};
use self::repository::GitRepository;
use crate::process::{Environment, Program};
use crate::resolve::image::Provenance;

/// The git history of a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitHistory {
    /// The URL of the remote, without credentials, query and fragment.
    pub source: Option<String>,
    /// True if the clone is shallow, so that older commits are missing.
    pub shallow: bool,
    /// The directory of the workspace in the repository, with a slash at the end; empty for its top.
    pub directory: String,
    /// The commit that is checked out. None without git or without a commit.
    pub head: Option<String>,
    /// The last commit of each requested list of paths, and their differences from it.
    pub touched: Vec<LastChange>,
    /// True if files of `.golden` are committed to the repository.
    pub tracks_state: bool,
    /// The reason why part of the history is missing although a repository exists.
    pub problem: Option<String>,
}

/// The last change of some paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastChange {
    /// The id of the commit and its time in seconds since 1970.
    pub commit: Option<(String, i64)>,
    /// True if one of the paths is changed or new in the working tree.
    pub dirty: bool,
}

/// The longest line of a log that is read, in bytes. A line is a path, which git keeps far shorter.
const MAX_LINE: u64 = 64 << 10;

/// Opens the repository of `root`. None if there is none or it cannot be read.
async fn repository(root: &Path, environment: &Environment) -> Option<GitRepository> {
    GitRepository::open(root, environment).await.ok().flatten()
}

/// The reason in git's own words why git cannot read the checkout that contains `root`. None if git
/// can read it, or if `root` is not in a checkout.
pub async fn refusal(root: &Path, environment: &Environment) -> Option<String> {
    match GitRepository::open(root, environment).await {
        Ok(None) => None,
        Ok(Some(repository)) => repository
            .ask(&["rev-parse", "--git-dir"])
            .await
            .err()
            .map(|refusal| refusal.to_string()),
        Err(refusal) => Some(refusal.to_string()),
    }
}

/// The version of the program `git`, such as `git version 2.39.5`. The error is the reason why it
/// cannot be started.
pub async fn program_version(environment: &Environment) -> Result<String, String> {
    let mut command = environment.command(Program::Git, "git");
    command.arg("--version");
    let answer = repository::answer(command, b"").await;
    answer
        .map(|version| version.trim().to_owned())
        .map_err(|error| error.to_string())
}

/// The values of `git.sha`, `.short`, `.branch` and `.tag` for templates, as far as they exist.
pub async fn names(root: &Path, environment: &Environment) -> BTreeMap<String, String> {
    let Some(repository) = repository(root, environment).await else {
        return BTreeMap::new();
    };
    let args = ["log", "-1", "--format=%H%n%h%n%D", "--decorate=full"];
    let Ok(answer) = repository.ask(&args).await else {
        return BTreeMap::new();
    };
    let mut lines = answer.lines();
    let mut names = BTreeMap::new();
    if let (Some(sha), Some(abbreviated)) = (lines.next(), lines.next()) {
        names.insert(
            "short".to_owned(),
            with_a_letter(sha, abbreviated).to_owned(),
        );
        names.insert("sha".to_owned(), sha.to_owned());
    }
    for decoration in lines.next().unwrap_or_default().split(", ") {
        if let Some(branch) = decoration.strip_prefix("HEAD -> refs/heads/") {
            names.insert("branch".to_owned(), branch.to_owned());
        }
        if let Some(tag) = decoration.strip_prefix("tag: refs/tags/") {
            let highest = names.get("tag").is_none_or(|known| known.as_str() < tag);
            if highest {
                names.insert("tag".to_owned(), tag.to_owned());
            }
        }
    }
    names
}

/// Returns `abbreviated`, or a longer prefix of `sha` if `abbreviated` has only digits. As a tag,
/// such a commit id (one in thirty) would look like a major version, which an extra tag must not.
fn with_a_letter<'s>(sha: &'s str, abbreviated: &str) -> &'s str {
    let letter = sha
        .find(|c: char| c.is_ascii_alphabetic())
        .map_or(sha.len(), |at| at + 1);
    sha.get(..abbreviated.len().max(letter)).unwrap_or(sha)
}

/// The history of several lists of paths, each path relative to `root`.
pub async fn history(root: &Path, paths: &[Vec<PathBuf>], environment: &Environment) -> GitHistory {
    let Some(repository) = repository(root, environment).await else {
        return GitHistory::default();
    };
    let facts = [
        "rev-parse",
        "--is-shallow-repository",
        "--show-prefix",
        "HEAD",
    ];
    let Ok(facts) = repository.ask(&facts).await else {
        return GitHistory::default();
    };
    let mut lines = facts.lines();
    let shallow = lines.next() == Some("true");
    let prefix = lines.next().unwrap_or_default().to_owned();
    let head = lines.next().map(str::to_owned);
    let owners = Owners::of(paths);
    let tracked = ["ls-files", "-z", "--", super::state::DIRECTORY];
    let (tracked, changed, commits) = tokio::join!(
        repository.ask(&tracked),
        changed(&repository, &prefix),
        last_commits(&repository, &prefix, &owners, paths.len())
    );
    let mut problem = None;
    let mut known = |result: Result<_, String>| result.map_err(|error| problem = Some(error)).ok();
    let changed = known(changed).unwrap_or_default();
    let (commits, incomplete) = commits;
    problem = problem.or(incomplete);
    let dirty: BTreeSet<usize> = changed.iter().flat_map(|file| owners.find(file)).collect();
    let touched = commits.into_iter().enumerate();
    let touched = touched
        .map(|(n, commit)| LastChange {
            commit,
            dirty: dirty.contains(&n),
        })
        .collect();
    let tracks_state = tracked.is_ok_and(|files| !files.is_empty());
    GitHistory {
        source: source(&repository),
        shallow,
        directory: prefix,
        head,
        touched,
        tracks_state,
        problem,
    }
}

/// Maps each path to the lists that contain it, so that the lists of a file are found without a
/// full search.
struct Owners<'a>(BTreeMap<&'a Path, Vec<usize>>);

impl<'a> Owners<'a> {
    fn of(paths: &'a [Vec<PathBuf>]) -> Self {
        let mut owners: BTreeMap<&Path, Vec<usize>> = BTreeMap::new();
        for (n, list) in paths.iter().enumerate() {
            for path in list {
                owners.entry(path).or_default().push(n);
            }
        }
        Self(owners)
    }

    /// The positions of the lists that contain `file` or a directory above it.
    fn find(&self, file: &Path) -> Vec<usize> {
        file.ancestors()
            .filter_map(|path| self.0.get(path))
            .flatten()
            .copied()
            .collect()
    }
}

/// The URL of `origin`, or else of the first remote, without secrets.
fn source(repository: &GitRepository) -> Option<String> {
    let remotes = &repository.remotes;
    let (_, address) = remotes
        .iter()
        .find(|(name, _)| name == "origin")
        .or(remotes.first())?;
    sanitised(address.trim_end())
}

/// Removes user information, query and fragment from a remote URL. Rewrites `git@host:path` to
/// `https://host/path`. None for a local path.
#[must_use]
pub fn sanitised(remote: &str) -> Option<String> {
    if let Some(url) = url::Url::parse(remote)
        .ok()
        .filter(|_| remote.contains("://"))
    {
        let host = url.host_str()?;
        if url.scheme() == "file" || host.is_empty() {
            return None;
        }
        let mut clean = url.clone();
        clean.set_query(None);
        clean.set_fragment(None);
        clean.set_username("").ok()?;
        clean.set_password(None).ok()?;
        if matches!(url.scheme(), "ssh" | "git+ssh" | "ssh+git") {
            return Some(format!("https://{host}{}", url.path()));
        }
        return Some(clean.to_string());
    }
    if remote.contains("://") {
        return None;
    }
    // The form of scp: [user@]host:path. A single letter before the colon is a Windows drive.
    let (place, path) = remote.split_once(':')?;
    let host = place.rsplit('@').next()?;
    // `helper::address` is passed to a remote helper program; it is not a URL.
    if host.len() < 2 || host.contains('/') || path.is_empty() || path.starts_with(':') {
        return None;
    }
    // Git does not define `user:token@host:path`, but users write it. The part before the second
    // `@` is secret.
    if path.contains('@') {
        return None;
    }
    let path = path
        .split(['?', '#'])
        .next()
        .unwrap_or(path)
        .trim_start_matches('/');
    Some(format!("https://{host}/{path}"))
}

/// The files that differ from HEAD or are new, relative to the workspace.
async fn changed(repository: &GitRepository, prefix: &str) -> Result<Vec<PathBuf>, String> {
    let args = [
        "status",
        "--porcelain",
        "-z",
        "--untracked-files=all",
        "--no-renames",
        NO_SUBMODULES,
        "--",
        ".",
    ];
    let answer = repository
        .ask(&args)
        .await
        .map_err(|refusal| refusal.to_string())?;
    let paths = answer.split('\0').filter_map(|entry| entry.get(3..));
    Ok(paths
        .map(|path| PathBuf::from(path.strip_prefix(prefix).unwrap_or(path)))
        .collect())
}

/// Only the commit of a submodule matters. Otherwise git would start a second git in the submodule,
/// with the configuration of the submodule.
const NO_SUBMODULES: &str = "--ignore-submodules=dirty";

/// The last commit of a list of paths.
type Commit = Option<(String, i64)>;

/// The last commit of each list of paths, and the reason if some are missing. One walk through the
/// history finds them all, and ends as soon as it has.
async fn last_commits(
    repository: &GitRepository,
    prefix: &str,
    owners: &Owners<'_>,
    count: usize,
) -> (Vec<Commit>, Option<String>) {
    let mut found = vec![None; count];
    let walk = walk(repository, prefix, owners, &mut found);
    let time = repository::LIMITS.time;
    let problem = match tokio::time::timeout(time, walk).await {
        Ok(result) => result.err(),
        Err(_) => Some(format!(
            "`git log` did not end within {} s and was stopped",
            time.as_secs()
        )),
    };
    (found, problem)
}

async fn walk(
    repository: &GitRepository,
    prefix: &str,
    owners: &Owners<'_>,
    found: &mut [Commit],
) -> Result<(), String> {
    let mut left = found.len();
    let args = [
        "log",
        "--format=%x01%H %ct",
        "--name-only",
        "--no-renames",
        NO_SUBMODULES,
        "--",
        ".",
    ];
    let mut command = repository.git(&args);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let unreadable = |error: std::io::Error| format!("`git log` cannot be read: {error}");
    let mut child = command.spawn().map_err(unreadable)?;
    let Some(stdout) = child.stdout.take() else {
        return Ok(());
    };
    let mut stdout = BufReader::new(stdout);
    let mut commit: Commit = None;
    let mut line = Vec::new();
    while left > 0 {
        line.clear();
        let read = (&mut stdout)
            .take(MAX_LINE)
            .read_until(b'\n', &mut line)
            .await
            .map_err(unreadable)?;
        if read == 0 {
            let is_whole = child.wait().await.map_err(unreadable)?.success();
            let missing =
                "`git log` failed; golden does not fetch objects that a partial clone omits";
            return if is_whole {
                Ok(())
            } else {
                Err(missing.to_owned())
            };
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches('\n');
        if let Some(header) = text.strip_prefix('\u{1}') {
            commit = header
                .split_once(' ')
                .and_then(|(sha, time)| Some((sha.to_owned(), time.parse().ok()?)));
        } else if !text.is_empty() {
            let file = Path::new(text.strip_prefix(prefix).unwrap_or(text));
            for slot in owners.find(file) {
                if found[slot].is_none() {
                    found[slot].clone_from(&commit);
                    left -= 1;
                }
            }
        }
    }
    Ok(())
}

/// The files that differ between `since` and the working tree: changed, new or deleted. Covers the
/// workspace, and those of `directories` that are in the same repository. All paths are absolute
/// and without symbolic links. None if git does not know `since`.
pub async fn changed_since(
    root: &Path,
    since: &str,
    directories: &[PathBuf],
    environment: &Environment,
) -> Option<Vec<PathBuf>> {
    let repository = repository(root, environment).await?;
    let commit = format!("{since}^{{commit}}");
    repository
        .ask(&[
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &commit,
        ])
        .await
        .ok()?;
    let top = &repository.top;
    let outside = directories
        .iter()
        .filter(|path| path.starts_with(top) && !path.starts_with(root));
    // The names of directories are not patterns.
    let literal = |directory: &PathBuf| Some(format!(":(literal){}", directory.to_str()?));
    let outside: Vec<String> = outside.filter_map(literal).collect();
    let below = async |args: &[&str]| {
        let paths = ["--", "."]
            .into_iter()
            .chain(outside.iter().map(String::as_str));
        let args: Vec<&str> = args.iter().copied().chain(paths).collect();
        repository.ask(&args).await.ok()
    };
    let differing = below(&[
        "diff",
        "--name-only",
        "-z",
        "--no-renames",
        "--no-ext-diff",
        NO_SUBMODULES,
        "--end-of-options",
        since,
    ])
    .await?;
    let new = below(&[
        "ls-files",
        "--others",
        "--exclude-standard",
        "--full-name",
        "-z",
    ])
    .await?;
    let paths = differing
        .split('\0')
        .chain(new.split('\0'))
        .filter(|path| !path.is_empty());
    Some(paths.map(|path| top.join(path)).collect())
}

/// The text of a workspace file at a commit. None if the file did not exist then.
pub async fn file_at(
    root: &Path,
    commit: &str,
    file: &str,
    environment: &Environment,
) -> Option<String> {
    let repository = repository(root, environment).await?;
    repository
        .ask(&[
            "show",
            "--no-textconv",
            "--end-of-options",
            &format!("{commit}:./{file}"),
        ])
        .await
        .ok()
}

/// A workspace file at a commit that changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileVersion {
    /// The id of the commit.
    pub commit: String,
    /// The time of the commit, in seconds since 1970.
    pub time: i64,
    /// The text of the file at that commit.
    pub text: String,
}

/// A workspace file in the commits that changed it, newest first; at most `most`. Empty if the
/// workspace is not in a git repository.
pub async fn versions(
    root: &Path,
    file: &str,
    most: usize,
    environment: &Environment,
) -> Vec<FileVersion> {
    let Some(repository) = repository(root, environment).await else {
        return Vec::new();
    };
    let number = format!("--max-count={most}");
    let log = ["log", "--format=%H %ct", &number, "--", file];
    let commits = repository.ask(&log).await.unwrap_or_default();
    let mut versions = Vec::new();
    for line in commits.lines() {
        let Some((commit, time)) = line.split_once(' ') else {
            continue;
        };
        let object = format!("{commit}:./{file}");
        let show = ["show", "--no-textconv", "--end-of-options", &object];
        // A commit that removed the file has no text.
        let text = repository.ask(&show).await.unwrap_or_default();
        versions.push(FileVersion {
            commit: commit.to_owned(),
            time: time.parse().unwrap_or(0),
            text,
        });
    }
    versions
}

/// The provenance of an image. `epoch` is `SOURCE_DATE_EPOCH`.
#[must_use]
pub fn provenance(history: &GitHistory, touched: &LastChange, epoch: Option<i64>) -> Provenance {
    let commit = touched.commit.as_ref();
    let revision = commit.map(|(sha, _)| sha).or(history.head.as_ref());
    let dirty = if touched.dirty { "-dirty" } else { "" };
    Provenance {
        created: epoch.or(commit.map(|(_, time)| *time)).unwrap_or(0),
        revision: revision.map(|sha| format!("{sha}{dirty}")),
        source: history.source.clone(),
        head: history.head.clone(),
        directory: history.directory.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Program;

    #[tokio::test]
    async fn each_path_gets_the_last_commit_that_changed_it() {
        let directory = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(directory.path()).unwrap();
        let run = async |args: &[&str], time: &str| {
            let mut command = Environment::default().command(Program::Git, "git");
            command
                .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
                .current_dir(&root);
            let status = command
                .args(args)
                .env("GIT_COMMITTER_DATE", time)
                .status()
                .await
                .unwrap();
            assert!(status.success(), "{args:?}");
        };
        let write = |path: &str, text: &str| {
            super::super::fs::write_atomic(&root.join(path), text.as_bytes())
        };
        let paths = ["a", "b", "new", ""].map(|path| vec![PathBuf::from(path)]);
        let environment = Environment::default();
        assert_eq!(
            history(&root, &paths, &environment).await,
            GitHistory::default()
        );
        run(&["init", "-q"], "").await;
        write("a/x", "1").unwrap();
        write("b/x", "1").unwrap();
        run(&["add", "-A"], "").await;
        run(&["commit", "-qm", "one"], "2026-01-01T00:00:00Z").await;
        write("b/x", "2").unwrap();
        run(&["commit", "-qam", "two"], "2026-01-02T00:00:00Z").await;
        run(
            &[
                "remote",
                "add",
                "origin",
                "https://user:secret@example.com/a.git",
            ],
            "",
        )
        .await;
        write("a/y z", "untracked").unwrap();
        write("new/x", "untracked").unwrap();
        let history = history(&root, &paths, &environment).await;
        assert_eq!(history.source.as_deref(), Some("https://example.com/a.git"));
        let seen: Vec<_> = history
            .touched
            .iter()
            .map(|t| (t.commit.as_ref().map(|(_, time)| *time), t.dirty))
            .collect();
        let (one, two) = (1_767_225_600, 1_767_312_000);
        assert_eq!(
            seen,
            [
                (Some(one), true),
                (Some(two), false),
                (None, true),
                (Some(two), true)
            ]
        );
        let origin = provenance(&history, &history.touched[2], None);
        assert_eq!(
            (origin.created, origin.revision),
            (0, history.head.as_ref().map(|sha| format!("{sha}-dirty")))
        );
        assert_eq!(
            provenance(&history, &history.touched[0], Some(5)).created,
            5
        );
    }

    #[test]
    fn a_short_commit_does_not_look_like_a_version() {
        for (sha, abbreviated, short) in [
            ("a1b2c3d4e5f6", "a1b2c3d", "a1b2c3d"),
            ("1234567890ab", "1234567", "1234567890a"),
            ("1234567a90ab", "1234567", "1234567a"),
            ("123456789012", "1234567", "123456789012"),
        ] {
            assert_eq!(with_a_letter(sha, abbreviated), short);
        }
    }

    #[test]
    fn credentials_are_removed_from_remotes() {
        for (remote, shown) in [
            (
                "https://user:token@example.com/team/images.git",
                Some("https://example.com/team/images.git"),
            ),
            (
                "https://example.com/a?token=x#y",
                Some("https://example.com/a"),
            ),
            (
                "git@example.com:team/images.git",
                Some("https://example.com/team/images.git"),
            ),
            (
                "example.com:team/images",
                Some("https://example.com/team/images"),
            ),
            (
                "ssh://git@example.com:2222/team/images.git",
                Some("https://example.com/team/images.git"),
            ),
            ("ext::sh -c touch% /x", None),
            ("https://user:token@example.com:port/team/images.git", None),
            ("oauth2:token@example.com:team/images.git", None),
            ("file:///srv/git/images", None),
            ("/srv/git/images", None),
            ("../images", None),
            ("C:\\images", None),
            ("", None),
        ] {
            assert_eq!(sanitised(remote).as_deref(), shown, "{remote}");
        }
    }
}
