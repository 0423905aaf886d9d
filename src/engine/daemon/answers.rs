//! Answers BuildKit's requests over the session of a build: logins and secrets, from memory.
//!
//! bollard's own implementation does not support secrets from memory and fetches registry tokens
//! itself. This one leaves the tokens to the engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use bollard::health::health_check_response::ServingStatus;
use bollard::health::health_server::{Health, HealthServer};
use bollard::health::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
};
use bollard::moby::buildkit::secrets::v1::secrets_server::{Secrets, SecretsServer};
use bollard::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use bollard::moby::filesync::v1::auth_server::{Auth, AuthServer};
use bollard::moby::filesync::v1::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse,
    GetTokenAuthorityRequest, GetTokenAuthorityResponse, VerifyTokenAuthorityRequest,
    VerifyTokenAuthorityResponse,
};
use tonic::transport::server::Router;
use tonic::{Response, Status};

use super::super::BuildOptions;
use super::ssh::{self, AgentForwarding};
use crate::reference::Host;
use crate::registry::Credential;
use crate::secret::Secret;

/// The gRPC methods that every session offers to the engine.
pub(in crate::engine) const METHODS: [&str; 4] = [
    "/moby.filesync.v1.Auth/Credentials",
    "/moby.buildkit.secrets.v1.Secrets/GetSecret",
    ssh::METHODS[0],
    ssh::METHODS[1],
];

/// The gRPC services of a session that every build needs.
pub(in crate::engine) fn services(options: &BuildOptions) -> Router {
    let answers = Arc::new(Answers {
        secrets: options.secrets.clone(),
        logins: options.logins.clone(),
    });
    tonic::transport::Server::builder()
        .add_service(HealthServer::new(Healthy))
        .add_service(AuthServer::from_arc(Arc::clone(&answers)))
        .add_service(SecretsServer::from_arc(answers))
        .add_service(AgentForwarding::service(options.ssh.clone()))
}

/// A random ID for a new session.
pub(in crate::engine) fn session_id() -> String {
    std::iter::repeat_with(|| fastrand::char('a'..='z'))
        .take(25)
        .collect()
}

/// The secrets and logins that a session offers.
#[derive(Debug)]
struct Answers {
    secrets: BTreeMap<String, Secret<Vec<u8>>>,
    logins: BTreeMap<Host, Credential>,
}

impl Answers {
    /// User and secret for a host. BuildKit interprets an empty user as: the secret is a refresh
    /// token.
    fn login(&self, host: &str) -> (String, String) {
        let host = if host == "https://index.docker.io/v1/" {
            Host::HUB
        } else {
            host
        };
        match host
            .parse::<Host>()
            .ok()
            .and_then(|host| self.logins.get(&host))
        {
            Some(Credential::Password { user, password }) => {
                (user.clone(), password.expose().clone())
            }
            Some(Credential::IdentityToken(token)) => (String::new(), token.expose().clone()),
            Some(Credential::RegistryToken(_)) | None => (String::new(), String::new()),
        }
    }
}

#[tonic::async_trait]
impl Secrets for Answers {
    async fn get_secret(
        &self,
        request: tonic::Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        let id = request.into_inner().id;
        let secret = self
            .secrets
            .get(&id)
            .ok_or_else(|| Status::not_found(format!("the secret `{id}` was not passed")))?;
        Ok(Response::new(GetSecretResponse {
            data: secret.expose().clone(),
        }))
    }
}

#[tonic::async_trait]
impl Auth for Answers {
    async fn credentials(
        &self,
        request: tonic::Request<CredentialsRequest>,
    ) -> Result<Response<CredentialsResponse>, Status> {
        let (username, secret) = self.login(&request.into_inner().host);
        Ok(Response::new(CredentialsResponse { username, secret }))
    }

    // The engine fetches tokens itself, with the login from `credentials`, because these methods
    // are unimplemented.
    async fn fetch_token(
        &self,
        _: tonic::Request<FetchTokenRequest>,
    ) -> Result<Response<FetchTokenResponse>, Status> {
        Err(Status::unimplemented("the engine fetches tokens itself"))
    }

    async fn get_token_authority(
        &self,
        _: tonic::Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("the engine fetches tokens itself"))
    }

    async fn verify_token_authority(
        &self,
        _: tonic::Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("the engine fetches tokens itself"))
    }
}

/// The health check. The engine uses it to detect that a session has ended.
#[derive(Debug)]
struct Healthy;

#[tonic::async_trait]
impl Health for Healthy {
    type WatchStream = futures_util::stream::Empty<Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        _: tonic::Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse {
            status: ServingStatus::Serving.into(),
        }))
    }

    async fn list(
        &self,
        _: tonic::Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        Err(Status::unimplemented("listing is not supported"))
    }

    async fn watch(
        &self,
        _: tonic::Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented(
            "watching is not supported; call Check again",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_found_by_the_names_that_engines_use() {
        let password = |user: &str| Credential::Password {
            user: user.into(),
            password: Secret::new("p@ss>word".into()),
        };
        let host = |host: &str| host.parse::<Host>().unwrap();
        let logins = BTreeMap::from([
            (Host::hub(), password("hub")),
            (host("localhost:5000"), password("local")),
            (
                host("token.example.com"),
                Credential::IdentityToken(Secret::new("refresh".into())),
            ),
        ]);
        let answers = Answers {
            secrets: BTreeMap::new(),
            logins,
        };
        for (requested, user, secret) in [
            ("https://index.docker.io/v1/", "hub", "p@ss>word"),
            ("registry-1.docker.io", "hub", "p@ss>word"),
            ("localhost:5000", "local", "p@ss>word"),
            ("token.example.com", "", "refresh"),
            ("elsewhere.example.com", "", ""),
        ] {
            assert_eq!(
                answers.login(requested),
                (user.to_owned(), secret.to_owned()),
                "{requested}"
            );
        }
    }
}
