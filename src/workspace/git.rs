//! What git knows, by asking the `git` program (7-rules 3). Where there is no git, nothing is known and that is fine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::resolve::image::Provenance;

/// What is known of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// The remote, without anything secret.
    pub source: Option<String>,
    /// Whether older commits are missing.
    pub shallow: bool,
    /// The commit that is checked out; none without git or without a commit.
    pub head: Option<String>,
    /// The last commit of each list of paths that was asked about, and whether they differ from it.
    pub touched: Vec<Touched>,
}

/// The last commit that touched some paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// The commit and its time in seconds since 1970.
    pub commit: Option<(String, i64)>,
    /// Whether something of it is changed or new.
    pub dirty: bool,
}

fn git(root: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    // A repository's own configuration must not make git run programs, nor another locale change its words.
    command.args([
        "-c",
        "core.fsmonitor=false",
        "-c",
        "core.quotePath=false",
        "-c",
        "log.showSignature=false",
    ]);
    command.args(args).current_dir(root).env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C");
    command.stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

async fn ask(root: &Path, args: &[&str]) -> Option<String> {
    answer(git(root, args)).await
}

async fn answer(mut command: Command) -> Option<String> {
    let output = command.output().await.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `git.sha`, `.short`, `.branch` and `.tag` for templates; those that there are.
pub async fn names(root: &Path) -> BTreeMap<String, String> {
    let Some(answer) = ask(root, &["log", "-1", "--format=%H%n%h%n%D", "--decorate=full"]).await else {
        return BTreeMap::new();
    };
    let mut lines = answer.lines();
    let mut names = BTreeMap::new();
    if let (Some(sha), Some(abbreviated)) = (lines.next(), lines.next()) {
        names.insert("short".to_owned(), with_a_letter(sha, abbreviated).to_owned());
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
    let letter = sha.find(|c: char| c.is_ascii_alphabetic()).map_or(sha.len(), |at| at + 1);
    sha.get(..abbreviated.len().max(letter)).unwrap_or(sha)
}

/// The history of lists of paths, each relative to `root`.
pub async fn history(root: &Path, paths: &[Vec<PathBuf>]) -> History {
    let Some(facts) = ask(root, &["rev-parse", "--is-shallow-repository", "--show-prefix", "HEAD"]).await
    else {
        return History::default();
    };
    let mut lines = facts.lines();
    let shallow = lines.next() == Some("true");
    let prefix = lines.next().unwrap_or_default().to_owned();
    let head = lines.next().map(str::to_owned);
    let owners = Owners::of(paths);
    let (source, changed, commits) =
        tokio::join!(remote(root), changed(root, &prefix), last_commits(root, &prefix, &owners, paths.len()));
    let dirty: BTreeSet<usize> = changed.iter().flat_map(|file| owners.find(file)).collect();
    let touched = commits.into_iter().enumerate();
    let touched = touched.map(|(n, commit)| Touched { commit, dirty: dirty.contains(&n) }).collect();
    History { source, shallow, head, touched }
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
        file.ancestors().filter_map(|path| self.0.get(path)).flatten().copied().collect()
    }
}

async fn remote(root: &Path) -> Option<String> {
    if let Some(url) = ask(root, &["config", "--get", "remote.origin.url"]).await {
        return sanitised(url.trim_end());
    }
    let names = ask(root, &["remote"]).await?;
    let key = format!("remote.{}.url", names.lines().next()?);
    sanitised(ask(root, &["config", "--get", &key]).await?.trim_end())
}

/// A remote that may be shown: without user information, query and fragment; `git@host:path` as `https://host/path`;
/// none for a local path.
#[must_use]
pub fn sanitised(remote: &str) -> Option<String> {
    if let Some(url) = url::Url::parse(remote).ok().filter(|_| remote.contains("://")) {
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
    let path = path.split(['?', '#']).next().unwrap_or(path).trim_start_matches('/');
    Some(format!("https://{host}/{path}"))
}

/// Files that differ from HEAD or are new, relative to the workspace.
async fn changed(root: &Path, prefix: &str) -> Vec<PathBuf> {
    let args = ["status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", "--", "."];
    let answer = ask(root, &args).await.unwrap_or_default();
    let paths = answer.split('\0').filter_map(|entry| entry.get(3..));
    paths.map(|path| PathBuf::from(path.strip_prefix(prefix).unwrap_or(path))).collect()
}

/// The last commit of each list of paths. One walk through the history serves all, and ends when all are found.
async fn last_commits(
    root: &Path,
    prefix: &str,
    owners: &Owners<'_>,
    count: usize,
) -> Vec<Option<(String, i64)>> {
    let mut found = vec![None; count];
    let mut left = count;
    let args = ["log", "--format=%x01%H %ct", "--name-only", "--no-renames", "--", "."];
    let Ok(mut child) = git(root, &args).spawn() else { return found };
    let Some(stdout) = child.stdout.take() else { return found };
    let mut lines = BufReader::new(stdout).lines();
    let mut commit: Option<(String, i64)> = None;
    while left > 0 {
        let Ok(Some(line)) = lines.next_line().await else { break };
        if let Some(header) = line.strip_prefix('\u{1}') {
            commit =
                header.split_once(' ').and_then(|(sha, time)| Some((sha.to_owned(), time.parse().ok()?)));
        } else if !line.is_empty() {
            let file = Path::new(line.strip_prefix(prefix).unwrap_or(&line));
            for slot in owners.find(file) {
                if found[slot].is_none() {
                    found[slot].clone_from(&commit);
                    left -= 1;
                }
            }
        }
    }
    found
}

/// Files below the workspace, and below `folders` as far as they lie in the same repository, that differ between
/// `since` and the working tree: changed, new or gone. All paths are absolute and without symbolic links. None when
/// git does not know `since`.
pub async fn changed_since(root: &Path, since: &str, folders: &[PathBuf]) -> Option<Vec<PathBuf>> {
    let commit = format!("{since}^{{commit}}");
    ask(root, &["rev-parse", "--verify", "--quiet", "--end-of-options", &commit]).await?;
    let top = PathBuf::from(ask(root, &["rev-parse", "--show-toplevel"]).await?.trim_end_matches('\n'));
    let beside = folders.iter().filter(|folder| folder.starts_with(&top) && !folder.starts_with(root));
    // Names of folders are not patterns.
    let literal = |folder: &PathBuf| Some(format!(":(literal){}", folder.to_str()?));
    let beside: Vec<String> = beside.filter_map(literal).collect();
    let below = |args: &[&str]| {
        let args: Vec<&str> =
            args.iter().copied().chain(["--", "."]).chain(beside.iter().map(String::as_str)).collect();
        let command = git(root, &args);
        async { answer(command).await }
    };
    let differing = below(&["diff", "--name-only", "-z", "--no-renames", "--end-of-options", since]).await?;
    let new = below(&["ls-files", "--others", "--exclude-standard", "--full-name", "-z"]).await?;
    let paths = differing.split('\0').chain(new.split('\0')).filter(|path| !path.is_empty());
    Some(paths.map(|path| top.join(path)).collect())
}

/// The text of a file of the workspace as it was at a commit; none when there was none.
pub async fn file_at(root: &Path, commit: &str, file: &str) -> Option<String> {
    ask(root, &["show", "--end-of-options", &format!("{commit}:./{file}")]).await
}

/// Provenance of an image (7-rules 3). `epoch` is `SOURCE_DATE_EPOCH`.
#[must_use]
pub fn provenance(history: &History, touched: &Touched, epoch: Option<i64>) -> Provenance {
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

    #[tokio::test]
    async fn commits_belong_to_the_paths_that_they_touched() {
        let folder = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(folder.path()).unwrap();
        let run = async |args: &[&str], time: &str| {
            let mut command = git(&root, &["-c", "user.name=t", "-c", "user.email=t@example.com"]);
            let status = command.args(args).env("GIT_COMMITTER_DATE", time).status().await.unwrap();
            assert!(status.success(), "{args:?}");
        };
        let write =
            |path: &str, text: &str| super::super::fs::write_atomic(&root.join(path), text.as_bytes());
        let paths = ["a", "b", "new", ""].map(|path| vec![PathBuf::from(path)]);
        assert_eq!(history(&root, &paths).await, History::default());
        run(&["init", "-q"], "").await;
        write("a/x", "1").unwrap();
        write("b/x", "1").unwrap();
        run(&["add", "-A"], "").await;
        run(&["commit", "-qm", "one"], "2026-01-01T00:00:00Z").await;
        write("b/x", "2").unwrap();
        run(&["commit", "-qam", "two"], "2026-01-02T00:00:00Z").await;
        run(&["remote", "add", "origin", "https://user:secret@example.com/a.git"], "").await;
        write("a/y z", "untracked").unwrap();
        write("new/x", "untracked").unwrap();
        let history = history(&root, &paths).await;
        assert_eq!(history.source.as_deref(), Some("https://example.com/a.git"));
        let seen: Vec<_> =
            history.touched.iter().map(|t| (t.commit.as_ref().map(|(_, time)| *time), t.dirty)).collect();
        let (one, two) = (1_767_225_600, 1_767_312_000);
        assert_eq!(seen, [(Some(one), true), (Some(two), false), (None, true), (Some(two), true)]);
        let origin = provenance(&history, &history.touched[2], None);
        assert_eq!(
            (origin.created, origin.revision),
            (0, history.head.as_ref().map(|sha| format!("{sha}-dirty")))
        );
        assert_eq!(provenance(&history, &history.touched[0], Some(5)).created, 5);
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
            ("https://user:token@example.com/team/images.git", Some("https://example.com/team/images.git")),
            ("https://example.com/a?token=x#y", Some("https://example.com/a")),
            ("git@example.com:team/images.git", Some("https://example.com/team/images.git")),
            ("example.com:team/images", Some("https://example.com/team/images")),
            ("ssh://git@example.com:2222/team/images.git", Some("https://example.com/team/images.git")),
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
