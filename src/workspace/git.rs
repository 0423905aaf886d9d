//! What git knows of the workspace, by asking the `git` program. Without git nothing is known, and golden goes on.

mod repository;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use self::repository::GitRepository;
use crate::process::Environment;
use crate::resolve::image::Provenance;

/// What is known of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitHistory {
    /// The remote, without anything secret.
    pub source: Option<String>,
    /// Whether older commits are missing.
    pub shallow: bool,
    /// The commit that is checked out; none without git or without a commit.
    pub head: Option<String>,
    /// The last commit of each list of paths that was asked about, and whether they differ from it.
    pub touched: Vec<Touched>,
    /// Whether files of `.golden` are in the repository.
    pub tracks_state: bool,
    /// Why something of this is missing although there is a repository.
    pub problem: Option<String>,
}

/// The last commit that touched some paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// The commit and its time in seconds since 1970.
    pub commit: Option<(String, i64)>,
    /// Whether something of it is changed or new.
    pub dirty: bool,
}

/// The longest line of a log that is read: a path, which git itself keeps far shorter.
const MAX_LINE: u64 = 64 << 10;

/// The repository of `root`, if there is one that can be read.
async fn repository(root: &Path, environment: &Environment) -> Option<GitRepository> {
    GitRepository::open(root, environment).await.ok().flatten()
}

/// Why git does not read the checkout that `root` is in, in git's own words. None if git reads it, or if `root` is in
/// no checkout.
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

/// `git.sha`, `.short`, `.branch` and `.tag` for templates; those that exist.
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

/// `abbreviated`, or a longer beginning of `sha` when it has only digits. As a tag such a commit (one in thirty) would look
/// like a major version, which no extra tag may (7-rules 24).
fn with_a_letter<'s>(sha: &'s str, abbreviated: &str) -> &'s str {
    let letter = sha
        .find(|c: char| c.is_ascii_alphabetic())
        .map_or(sha.len(), |at| at + 1);
    sha.get(..abbreviated.len().max(letter)).unwrap_or(sha)
}

/// The history of lists of paths, each relative to `root`.
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
        .map(|(n, commit)| Touched {
            commit,
            dirty: dirty.contains(&n),
        })
        .collect();
    let tracks_state = tracked.is_ok_and(|files| !files.is_empty());
    GitHistory {
        source: source(&repository),
        shallow,
        head,
        touched,
        tracks_state,
        problem,
    }
}

/// Which lists have a path, so that a file finds its lists without a look at all of them.
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

    /// The numbers of the lists that have `file` or a folder above it.
    fn find(&self, file: &Path) -> Vec<usize> {
        file.ancestors()
            .filter_map(|path| self.0.get(path))
            .flatten()
            .copied()
            .collect()
    }
}

/// The address of `origin`, else of the first remote, as far as it may be shown.
fn source(repository: &GitRepository) -> Option<String> {
    let remotes = &repository.remotes;
    let (_, address) = remotes
        .iter()
        .find(|(name, _)| name == "origin")
        .or(remotes.first())?;
    sanitised(address.trim_end())
}

/// A remote that may be shown: without user information, query and fragment; `git@host:path` as `https://host/path`;
/// none for a local path.
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
    // scp's form: [user@]host:path. A single letter before the colon is a Windows drive.
    let (place, path) = remote.split_once(':')?;
    let host = place.rsplit('@').next()?;
    // `helper::address` is told by a program of the user's own what to do.
    if host.len() < 2 || host.contains('/') || path.is_empty() || path.starts_with(':') {
        return None;
    }
    // `user:token@host:path` is no form of git's, but people write it; what stands before the second `@` is secret.
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

/// Files that differ from HEAD or are new, relative to the workspace.
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

/// Of a submodule its commit counts. Git would start another git in it, with the submodule's own configuration.
const NO_SUBMODULES: &str = "--ignore-submodules=dirty";

/// The last commit of a list of paths.
type Commit = Option<(String, i64)>;

/// The last commit of each list of paths, and why some are missing. One walk through the history serves all, and ends
/// when all are found.
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
            let missing = "`git log` failed; golden fetches nothing that a partial clone lacks";
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

/// Files below the workspace, and below `directories` as far as they lie in the same repository, that differ between
/// `since` and the working tree: changed, new or gone. All paths are absolute and without symbolic links. None when
/// git does not know `since`.
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
    let elsewhere = directories
        .iter()
        .filter(|path| path.starts_with(top) && !path.starts_with(root));
    // Names of directories are not patterns.
    let literal = |directory: &PathBuf| Some(format!(":(literal){}", directory.to_str()?));
    let elsewhere: Vec<String> = elsewhere.filter_map(literal).collect();
    let below = async |args: &[&str]| {
        let paths = ["--", "."]
            .into_iter()
            .chain(elsewhere.iter().map(String::as_str));
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

/// The text of a file of the workspace as it was at a commit; none when there was none.
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

/// Provenance of an image (7-rules 3). `epoch` is `SOURCE_DATE_EPOCH`.
#[must_use]
pub fn provenance(history: &GitHistory, touched: &Touched, epoch: Option<i64>) -> Provenance {
    let commit = touched.commit.as_ref();
    let revision = commit.map(|(sha, _)| sha).or(history.head.as_ref());
    let dirty = if touched.dirty { "-dirty" } else { "" };
    Provenance {
        created: epoch.or(commit.map(|(_, time)| *time)).unwrap_or(0),
        revision: revision.map(|sha| format!("{sha}{dirty}")),
        source: history.source.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Program;

    #[tokio::test]
    async fn commits_belong_to_the_paths_that_they_touched() {
        let folder = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(folder.path()).unwrap();
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
    fn remotes_lose_what_is_secret() {
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
