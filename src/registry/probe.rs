//! Asks a registry what it supports. Nothing is changed.

use std::time::SystemTime;

use reqwest::Method;
use reqwest::header::{ACCEPT, DATE};
use serde::Serialize;

use super::auth::AuthScope;
use super::credentials::{Credential, Lookup};
use super::exchange::Call;
use super::{Error, FailureKind, Registries, Registry, Repo, referrers};
use crate::oci::media;
use crate::reference::{Digest, Host};

/// The largest list of referrers of a digest that does not exist, in bytes.
const MAX_LIST: usize = 64 << 10;

/// The login for a registry, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "login")]
pub enum LoginFacts {
    /// golden sends this login.
    Known {
        /// The user name; `None` for a token.
        user: Option<String>,
        /// The variable, file or helper that the login comes from.
        source: String,
    },
    /// golden sends no login.
    Absent {
        /// The reason why golden sends no login.
        reason: String,
    },
}

/// The answer to the question if a registry supports something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Support {
    /// Supported.
    Yes,
    /// Not supported.
    No,
    /// The registry does not report it.
    Unknown,
}

impl Registries {
    /// The login that golden sends to a registry that asks for one. Fails if a file with logins or
    /// a credential helper cannot be read.
    pub async fn login(&self, host: &Host) -> Result<LoginFacts, Error> {
        Ok(match self.find_login(host).await? {
            Lookup::Found(login) => LoginFacts::Known {
                user: match login.credential {
                    Credential::Password { user, .. } => Some(user),
                    Credential::IdentityToken(_) | Credential::RegistryToken(_) => None,
                },
                source: login.from,
            },
            Lookup::Absent(absent) => LoginFacts::Absent { reason: absent.why },
        })
    }
}

impl Registry {
    /// Checks that the host is a registry and accepts the login (`GET /v2/`, OCI distribution spec,
    /// end-1). Returns the time on the clock of the registry, if it sends one.
    pub async fn ping(&self) -> Result<Option<SystemTime>, Error> {
        let call = Call::new(Method::GET, self.url("/v2/")?, AuthScope::default());
        let response = self.call(&call).await?;
        if !response.status().is_success() {
            return Err(call.refuse(response).await);
        }
        let date = response.headers().get(DATE);
        Ok(date.and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok()))
    }
}

impl Repo {
    /// Asks if the registry deletes manifests. A login without this permission gives
    /// [`Support::Unknown`]. Fails if the registry cannot be reached.
    pub async fn supports_deletion(&self) -> Result<Support, Error> {
        match self.probe_deletion().await {
            Ok(()) => Ok(Support::Yes),
            Err(error) => match error.kind {
                FailureKind::DeletionDisabled => Ok(Support::No),
                _ if error.status.is_some() => Ok(Support::Unknown),
                _ => Err(error),
            },
        }
    }

    /// Asks if the registry lists referrers (OCI distribution spec 1.1, end-12a). Without it, golden
    /// keeps the lists under tags. Fails if the registry cannot be reached.
    pub async fn supports_referrers(&self) -> Result<Support, Error> {
        let nothing = Digest::of(b"golden asks whether referrers are listed");
        let url = self.url(&format!("referrers/{nothing}"))?;
        let call = Call::new(Method::GET, url, self.scope("pull")).header(ACCEPT, media::OCI_INDEX);
        let response = self.registry.call(&call).await?;
        if response.status().is_success() {
            let body = self.registry.read_all(&call, response, MAX_LIST).await?;
            let is_list = referrers::is_list(&body);
            return Ok(if is_list { Support::Yes } else { Support::No });
        }
        let error = call.refuse(response).await;
        Ok(match error.status {
            // A registry with the API may say so of a repository that does not exist.
            Some(404) if error.says_unknown() => Support::Unknown,
            Some(400 | 404 | 405 | 406) => Support::No,
            _ => Support::Unknown,
        })
    }
}
