//! Checks out a commit into a directory of its own, from the local repository or from its URL.

use std::path::{Path, PathBuf};

use tokio::process::Command;
use url::Url;

use super::repository::{self, GitError, GitRepository};
use super::sanitised;
use crate::process::{Environment, Program};
use crate::workspace::fs;

/// The keys of `http` that describe proxies and connections, and send no login to a server.
const OF_CONNECTIONS: &[&str] = &[
    "followredirects",
    "proxy",
    "proxyauthmethod",
    "proxysslcainfo",
    "proxysslcert",
    "proxysslcertpasswordprotected",
    "proxysslkey",
    "schannelcheckrevoke",
    "schannelusesslcainfo",
    "sslbackend",
    "sslcainfo",
    "sslcapath",
    "sslverify",
    "sslversion",
    "version",
];

/// A commit that is checked out into a temporary directory. The directory is removed with it.
#[derive(Debug)]
pub struct Checkout {
    directory: tempfile::TempDir,
}

/// The reason why a commit cannot be checked out.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// The text is not the id of a commit.
    #[error("`{0}` is not the id of a commit")]
    NoId(String),
    /// The local repository does not have the commit, and no URL is known.
    #[error("the commit {0} is not in the repository of this directory, and its URL is unknown")]
    Absent(String),
    /// The URL cannot be cloned over HTTP.
    #[error("{0} is not a URL of the form https://HOST/PATH")]
    Url(String),
    /// Git failed.
    #[error("the commit {commit} cannot be checked out: {because}")]
    Git {
        /// The commit.
        commit: String,
        /// The reason in the words of git.
        because: String,
    },
}

impl Checkout {
    /// The directory with the files.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// True if `revision` is the commit that is checked out, or a commit before it.
    pub async fn contains(&self, revision: &str, environment: &Environment) -> bool {
        let arguments = ["merge-base", "--is-ancestor", revision, "HEAD"];
        is_id(revision) && self.git(environment, &arguments).await.is_ok()
    }

    /// Checks out `commit` from the repository that contains `local`, if that has it, else from a
    /// clone of `url`. The user's logins for git are used only if `url` is a remote of that
    /// repository. No program of a configuration runs, such as a filter or a hook. Fails if the commit
    /// is in neither of them.
    pub async fn new(
        commit: &str,
        url: Option<&str>,
        local: &Path,
        environment: &Environment,
    ) -> Result<Self, CheckoutError> {
        if !is_id(commit) {
            return Err(CheckoutError::NoId(commit.to_owned()));
        }
        let failed = |because: String| CheckoutError::Git {
            commit: commit.to_owned(),
            because,
        };
        let directory = fs::temporary_directory().map_err(|error| failed(error.to_string()))?;
        let checkout = Self { directory };
        let repository = GitRepository::open(local, environment).await;
        let repository = repository.ok().flatten();
        let is_local = match &repository {
            Some(repository) => checkout.refer(commit, url, repository, environment).await,
            None => Ok(false),
        };
        if !is_local.map_err(|error| failed(error.to_string()))? {
            let url = url.ok_or_else(|| CheckoutError::Absent(commit.to_owned()))?;
            if !url.starts_with("https://") && !url.starts_with("http://") {
                return Err(CheckoutError::Url(url.to_owned()));
            }
            let is_known = repository.is_some_and(|repository| repository.has_remote(url));
            let cloned = checkout.clone_from(url, is_known, environment).await;
            cloned.map_err(|error| failed(error.to_string()))?;
        }
        let arguments = ["checkout", "-q", "--detach", commit];
        let out = checkout.git(environment, &arguments).await;
        out.map_err(|error| failed(error.to_string()))?;
        Ok(checkout)
    }

    /// Makes an empty repository that uses the objects of a local one. Returns false if the local
    /// repository does not have the commit.
    async fn refer(
        &self,
        commit: &str,
        url: Option<&str>,
        repository: &GitRepository,
        environment: &Environment,
    ) -> Result<bool, GitError> {
        let object = format!("{commit}^{{commit}}");
        if repository.ask(&["cat-file", "-e", &object]).await.is_err() {
            return Ok(false);
        }
        let format = if commit.len() == 40 { "sha1" } else { "sha256" };
        let format = format!("--object-format={format}");
        self.git(environment, &["init", "-q", "--template=", &format])
            .await?;
        let write = |file: &str, bytes: &[u8]| {
            let path = self.path().join(".git").join(file);
            let written = fs::write_cached(&path, bytes);
            written.map_err(|error| GitError::of(&path, &error.source))
        };
        let objects = repository.objects()?;
        let alternates = [objects.as_os_str().as_encoded_bytes(), b"\n"].concat();
        write("objects/info/alternates", &alternates)?;
        if let Some(shallow) = repository.shallow()? {
            write("shallow", &shallow)?;
        }
        if let Some(url) = url {
            self.git(environment, &["remote", "add", "origin", url])
                .await?;
        }
        Ok(true)
    }

    /// Clones a repository without its files. The configuration of the user decides about proxies
    /// and the certificates of servers, and about logins if the user knows the URL. Git never asks
    /// for a login.
    async fn clone_from(
        &self,
        url: &str,
        is_known: bool,
        environment: &Environment,
    ) -> Result<(), GitError> {
        let home = fs::temporary_directory();
        let home = home
            .map_err(|error| GitError(format!("cannot create a temporary directory: {error}")))?;
        let mut command = if is_known {
            repository::bare(environment, Program::GitOfUser)
        } else {
            without_logins(home.path(), environment).await?
        };
        command.env("GIT_ALLOW_PROTOCOL", "https:http");
        command.args(["clone", "-q", "--no-checkout", "--template=", "--", url]);
        command.arg(self.path());
        repository::answer(command, &[]).await.map(drop)
    }

    /// Runs git in the directory, without the configuration of the user.
    async fn git(&self, environment: &Environment, args: &[&str]) -> Result<(), GitError> {
        let mut command = repository::bare(environment, Program::Git);
        command
            .env("GIT_CONFIG_GLOBAL", repository::null())
            .env("GIT_CONFIG_NOSYSTEM", "1");
        command.args(args).current_dir(self.path());
        repository::answer(command, &[]).await.map(drop)
    }
}

/// A git command that can send no login of the user: not from the configuration, not from `.netrc`,
/// because `home` takes the place of the user's home directory, and not that of the session.
async fn without_logins(home: &Path, environment: &Environment) -> Result<Command, GitError> {
    let mut of_user = repository::bare(environment, Program::GitOfUser);
    of_user.args(["config", "--includes", "--null", "--list"]);
    of_user.env("GIT_DIR", home).current_dir(home);
    let listed = repository::answer(of_user, &[]).await?;
    let user_home = environment.get("HOME");
    let path = home.join("config");
    let config = settings_without_logins(&repository::entries(&listed), user_home);
    fs::write_cached(&path, config.as_bytes())
        .map_err(|error| GitError::of(&path, &error.source))?;
    let mut command = repository::bare(environment, Program::Git);
    command.env("HOME", home).env("USERPROFILE", home);
    command.env("GIT_CONFIG_GLOBAL", &path);
    command.env("GIT_CONFIG_NOSYSTEM", "1");
    // Negotiate and NTLM send the login of the user's session, without any configuration.
    command.args(["-c", "http.emptyAuth=false"]);
    command.args(["-c", "http.proactiveAuth=none"]);
    Ok(command)
}

/// The part of the user's configuration that sends no login to a server: proxies, the certificates
/// of servers, and other addresses of servers.
fn settings_without_logins(entries: &[(String, String)], home: Option<&str>) -> String {
    let is_kept = |key: &str| match repository::parts(key) {
        ("http", _, name) => OF_CONNECTIONS.contains(&name),
        ("url", Some(base), "insteadof") => Url::parse(base).is_ok_and(|base| {
            let is_web = matches!(base.scheme(), "https" | "http");
            is_web && base.username().is_empty() && base.password().is_none()
        }),
        _ => false,
    };
    let kept = entries.iter().filter(|(key, _)| is_kept(key));
    let lines = kept.map(|(key, value)| match (value.strip_prefix("~/"), home) {
        (Some(path), Some(home)) => repository::line(key, &format!("{home}/{path}")),
        _ => repository::line(key, value),
    });
    lines.collect()
}

/// True if the text is the id of a git object in SHA-1 or SHA-256.
fn is_id(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    [40, 64].contains(&text.len()) && text.bytes().all(is_digit)
}

impl GitRepository {
    /// True if a remote has this URL, which has no user name and no password.
    fn has_remote(&self, url: &str) -> bool {
        let mut remotes = self.remotes.iter();
        remotes.any(|(_, address)| sanitised(address.trim_end()).as_deref() == Some(url))
    }

    /// The directory of the objects.
    fn objects(&self) -> Result<PathBuf, GitError> {
        let path = self.directory().join("objects");
        std::fs::canonicalize(&path).map_err(|error| GitError::of(&path, &error))
    }

    /// The commits whose parents a shallow clone lacks.
    fn shallow(&self) -> Result<Option<Vec<u8>>, GitError> {
        repository::read(&self.directory().join("shallow"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "git is found in PATH")]
    async fn git_sends_no_login_of_the_session_to_an_unknown_server() {
        let home = tempfile::tempdir().unwrap();
        let config =
            "[http]\n\temptyAuth = true\n[http \"https://a.example/\"]\n\temptyAuth = true\n";
        fs::write_atomic(&home.path().join(".gitconfig"), config.as_bytes()).unwrap();
        let variables = [
            ("HOME", home.path().to_str().unwrap().to_owned()),
            ("PATH", std::env::var("PATH").unwrap()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value));
        let environment = Environment::new(variables.into());
        let other = tempfile::tempdir().unwrap();
        for (key, expected) in [("emptyAuth", "false\n"), ("proactiveAuth", "none\n")] {
            let mut command = without_logins(other.path(), &environment).await.unwrap();
            let key = format!("http.{key}");
            command.args(["config", "--get-urlmatch", &key, "https://a.example/r.git"]);
            assert_eq!(repository::answer(command, &[]).await.unwrap(), expected);
        }
    }

    #[test]
    fn proxies_and_certificates_are_kept_without_logins() {
        let listed = "http.proxy\nhttp://proxy:3128\0http.https://a.example/x.y/.sslcainfo\n~/ca \\ \"1\".pem\0\
            http.extraheader\nAuthorization: a\0http.https://a.example/.extraheader\nAuthorization: b\0\
            http.cookiefile\n/cookies\0http.sslcert\n/me.pem\0credential.helper\nstore\0\
            url.https://mirror.example/.insteadof\nhttps://a.example/\0\
            url.https://me:token@a.example/.insteadof\nhttps://a.example/\0\
            url.git@a.example:.insteadof\nhttps://a.example/\0core.askpass\n/ask\0";
        let kept = settings_without_logins(&repository::entries(listed), Some("/home/me"));
        let expected = r#"[http]
	proxy = "http://proxy:3128"
[http "https://a.example/x.y/"]
	sslcainfo = "/home/me/ca \\ \"1\".pem"
[url "https://mirror.example/"]
	insteadof = "https://a.example/"
"#;
        assert_eq!(kept, expected);
    }
}
