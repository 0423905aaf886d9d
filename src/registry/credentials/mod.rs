//! Finds logins: in the CI variables, in the files of Docker and Podman, and with credential
//! helpers.

mod file;
#[cfg(test)]
mod file_tests;
mod helper;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;

use self::file::{AuthFile, Found};
use super::env::RegistryEnv;
use super::error::Error;
use super::scope::LoginVerdict;
use crate::reference::{Host, RepositoryPath};
use crate::secret::Secret;

/// A login at a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A user and a password.
    Password {
        /// The user name.
        user: String,
        /// The password or personal access token.
        password: Secret<String>,
    },
    /// An OAuth 2 refresh token (`identitytoken` in Docker's config.json).
    IdentityToken(Secret<String>),
    /// A ready Bearer token (`registrytoken` in Docker's config.json).
    RegistryToken(Secret<String>),
}

/// A login and its source.
pub(super) struct Login {
    pub(super) credential: Credential,
    /// The variable, file or helper that it comes from, as messages name it.
    pub(super) from: String,
}

impl Login {
    /// Says which user was rejected, and which source the login comes from.
    pub(super) fn rejected_by(&self, host: &Host) -> String {
        let identity = match &self.credential {
            Credential::Password { user, .. } => format!("user `{user}`"),
            Credential::IdentityToken(_) => "the identity token".to_owned(),
            Credential::RegistryToken(_) => "the registry token".to_owned(),
        };
        format!("{host} rejected {identity} (from {})", self.from)
    }
}

/// The reason why no login is sent to a registry.
pub(super) struct NoLogin {
    pub(super) why: String,
    /// The next command to run, if it differs from the usual `docker login`.
    pub(super) hint: Option<String>,
}

/// The result of looking for a login.
pub(super) enum Lookup {
    Found(Login),
    Absent(NoLogin),
}

/// The variable for the user name; it also names the source of a login in messages.
const VARIABLE: &str = "GOLDEN_REGISTRY_USER";

/// All sources of logins of a run. They are read when the first registry requests authentication.
pub(super) struct Credentials {
    env: Arc<RegistryEnv>,
    state: Mutex<CredentialCache>,
}

#[derive(Default)]
struct CredentialCache {
    files: Option<Vec<AuthFile>>,
    helped: BTreeMap<(String, String), Option<Credential>>,
}

impl Credentials {
    pub(super) fn new(env: Arc<RegistryEnv>) -> Self {
        Self {
            env,
            state: Mutex::default(),
        }
    }

    /// Finds the login for a repository of `host`. The variables take precedence over the files.
    pub(super) async fn find(
        &self,
        host: &Host,
        repository: Option<&RepositoryPath>,
    ) -> Result<Lookup, Error> {
        let absent = match self.login_of_variables(host) {
            Lookup::Absent(absent) => absent,
            found @ Lookup::Found(_) => return Ok(found),
        };
        match self.login_of_files(host, repository).await? {
            (Some(login), _) => Ok(Lookup::Found(login)),
            (None, Some(why)) => Ok(Lookup::Absent(NoLogin { why, hint: None })),
            (None, None) => Ok(Lookup::Absent(absent)),
        }
    }

    /// The next command to run after `login` was rejected.
    pub(super) fn hint(&self, login: &Login, host: &Host) -> Option<String> {
        (login.from == VARIABLE).then(|| self.env.scope.verdict(host).hint(host))
    }

    fn login_of_variables(&self, host: &Host) -> Lookup {
        let missing = |set: &str, missing: &str| {
            let why = format!("{set} is set, {missing} is not");
            let hint = format!("set {missing}, or run `docker login {host}`");
            Lookup::Absent(NoLogin {
                why,
                hint: Some(hint),
            })
        };
        let password = "GOLDEN_REGISTRY_PASSWORD";
        match (
            &self.env.user,
            &self.env.password,
            self.env.scope.verdict(host),
        ) {
            (Some(user), Some(password), LoginVerdict::Allowed) => {
                let credential = Credential::Password {
                    user: user.clone(),
                    password: password.clone(),
                };
                Lookup::Found(Login {
                    credential,
                    from: VARIABLE.to_owned(),
                })
            }
            (Some(_), Some(_), verdict) => {
                let why = format!("{VARIABLE} was not used: {verdict}");
                Lookup::Absent(NoLogin {
                    why,
                    hint: Some(verdict.hint(host)),
                })
            }
            (Some(_), None, _) => missing(VARIABLE, password),
            (None, Some(_), _) => missing(password, VARIABLE),
            (None, None, _) => Lookup::Absent(NoLogin {
                why: "no credential is known".to_owned(),
                hint: None,
            }),
        }
    }

    /// The login from the files; else a remark on an entry that is incomplete.
    async fn login_of_files(
        &self,
        host: &Host,
        repository: Option<&RepositoryPath>,
    ) -> Result<(Option<Login>, Option<String>), Error> {
        let mut remark = None;
        let mut state = self.state.lock().await;
        if state.files.is_none() {
            state.files = Some(self.read_files().await?);
        }
        let CredentialCache { files, helped } = &mut *state;
        for file in files.iter().flatten() {
            let (helper, server) = match file.find(host, repository)? {
                Found::Credential(credential) => {
                    return Ok((
                        Some(Login {
                            credential,
                            from: file.name().to_owned(),
                        }),
                        None,
                    ));
                }
                Found::NoPassword { key, user } => {
                    let name = file.name();
                    remark = Some(format!(
                        "{name} has user `{user}` for {key}, and no password"
                    ));
                    continue;
                }
                Found::Helper { name, server } => (name, server),
                Found::Nothing => continue,
            };
            let key = (helper.clone(), server.clone());
            let credential = if let Some(known) = helped.get(&key) {
                known.clone()
            } else {
                let answer = helper::get(
                    &self.env.programs,
                    &helper,
                    &server,
                    self.env.retry_policy.stall,
                )
                .await?;
                helped.insert(key, answer.clone());
                answer
            };
            if let Some(credential) = credential {
                let from = format!("`docker-credential-{helper}`, which {} names", file.name());
                return Ok((Some(Login { credential, from }), None));
            }
        }
        Ok((None, remark))
    }

    async fn read_files(&self) -> Result<Vec<AuthFile>, Error> {
        let mut files = Vec::new();
        if let Some(text) = &self.env.docker_auth_config {
            files.push(AuthFile::parse(
                "DOCKER_AUTH_CONFIG",
                text.expose().as_bytes(),
            )?);
        }
        for path in self.paths() {
            match tokio::fs::read(&path).await {
                Ok(text) => files.push(AuthFile::parse(&path.display().to_string(), &text)?),
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                    ) => {}
                Err(error) => return Err(Error::local(format!("{}: {error}", path.display()))),
            }
        }
        Ok(files)
    }

    /// The files, in the order of lookup.
    fn paths(&self) -> Vec<PathBuf> {
        let env = &self.env;
        let in_home = |path: &str| env.home.as_ref().map(|home| home.join(path));
        let docker = env.docker_config.clone().or_else(|| in_home(".docker"));
        let config = env.xdg_config_home.clone().or_else(|| in_home(".config"));
        let candidates = [
            docker.map(|directory| directory.join("config.json")),
            env.registry_auth_file.clone(),
            env.xdg_runtime_dir
                .as_ref()
                .map(|directory| directory.join("containers/auth.json")),
            config.map(|directory| directory.join("containers/auth.json")),
        ];
        candidates.into_iter().flatten().collect()
    }
}
