//! Credentials on requests: Basic, and Bearer tokens by scope, kept until shortly before they expire.
//!
//! Sources: RFC 7235, and the token and OAuth 2 pages of the distribution project.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use tokio::sync::Mutex;

use super::credentials::{Credential, Credentials, Login};
use super::error::{Error, Kind};
use super::http::Http;
use super::token::{self, Token};
use crate::reference::{Host, RepositoryPath};
use crate::secret::Secret;

/// What a call wants to be allowed. `key` is what tokens are kept under: the repository, or a name of its own.
#[derive(Debug, Clone, Default)]
pub(super) struct Need {
    key: String,
    repository: Option<RepositoryPath>,
    /// Scopes beyond those that a challenge names.
    scopes: BTreeSet<String>,
}

impl Need {
    /// Something in a repository.
    pub(super) fn repository(path: &RepositoryPath, actions: &str) -> Self {
        let scopes = BTreeSet::from([format!("repository:{path}:{actions}")]);
        Self { key: path.to_string(), repository: Some(path.clone()), scopes }
    }

    /// As well: reading another repository, to mount from it.
    pub(super) fn and_pull(mut self, path: &RepositoryPath) -> Self {
        self.scopes.insert(format!("repository:{path}:pull"));
        self
    }

    /// The list of repositories.
    pub(super) fn catalog() -> Self {
        let scopes = BTreeSet::from(["registry:catalog:*".to_owned()]);
        Self { key: " catalog".to_owned(), repository: None, scopes }
    }
}

/// The credentials of one registry.
pub(super) struct Auth {
    host: Host,
    destination: bool,
    credentials: Arc<Credentials>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Authorization headers for Basic, and ready tokens, by key.
    fixed: BTreeMap<String, Secret<String>>,
    tokens: BTreeMap<String, Held>,
}

/// A token with what is needed to get the next one.
struct Held {
    token: Token,
    bearer: Bearer,
    scopes: BTreeSet<String>,
}

/// A Bearer challenge.
#[derive(Debug, Clone)]
pub(super) struct Bearer {
    pub(super) realm: Url,
    pub(super) service: Option<String>,
    scopes: BTreeSet<String>,
}

/// What answers a challenge.
pub(super) struct Reply {
    /// The Authorization header.
    pub(super) header: String,
    /// Whether it is fresh from its source, and not a token that another call got meanwhile.
    pub(super) is_fresh: bool,
}

enum Challenge {
    Basic,
    Bearer(Bearer),
}

impl Auth {
    pub(super) fn new(host: Host, destination: bool, credentials: Arc<Credentials>) -> Self {
        Self { host, destination, credentials, state: Mutex::default() }
    }

    /// The Authorization header that can be sent without being asked; a token close to its end is renewed first.
    pub(super) async fn held(&self, http: &Http, need: &Need) -> Result<Option<String>, Error> {
        let mut state = self.state.lock().await;
        if let Some(header) = state.fixed.get(&need.key) {
            return Ok(Some(header.expose().clone()));
        }
        let Some(held) = state.tokens.get(&need.key) else { return Ok(None) };
        if held.token.is_fresh() && covers(&held.scopes, &need.scopes) {
            return Ok(Some(held.token.header()));
        }
        let scopes = merge(held.scopes.iter().chain(&need.scopes));
        let bearer = held.bearer.clone();
        self.exchange(http, need, &mut state, bearer, scopes).await.map(Some)
    }

    /// What answers a challenge. `sent` is the header that was refused; the token that another call got meanwhile will do
    /// if `may_share` says so.
    pub(super) async fn challenged(
        &self,
        http: &Http,
        need: &Need,
        headers: &HeaderMap,
        sent: Option<&str>,
        may_share: bool,
        refused: Error,
    ) -> Result<Reply, Error> {
        let fresh = |header| Reply { header, is_fresh: true };
        let mut state = self.state.lock().await;
        let challenge = match read_challenges(headers) {
            Ok(challenge) => challenge,
            Err(why) => return Err(Error { message: format!("{} ({why})", refused.message), ..refused }),
        };
        let bearer = match challenge {
            Challenge::Basic => return self.basic(need, &mut state, sent, refused).await.map(fresh),
            Challenge::Bearer(bearer) => bearer,
        };
        let mut scopes = bearer.scopes.clone();
        if let Some(held) = state.tokens.get(&need.key) {
            // Somebody else renewed it while this call was on its way.
            let is_another = sent.is_some_and(|sent| sent != held.token.header());
            if may_share && is_another && covers(&held.scopes, &bearer.scopes) {
                return Ok(Reply { header: held.token.header(), is_fresh: false });
            }
            scopes.extend(held.scopes.iter().cloned());
        }
        let scopes = merge(scopes.iter().chain(&need.scopes));
        self.exchange(http, need, &mut state, bearer, scopes).await.map(fresh)
    }

    async fn login(&self, need: &Need) -> Result<Option<Login>, Error> {
        self.credentials.find(&self.host, need.repository.as_ref(), self.destination).await
    }

    /// Says of a refusal whose login it was: which registry's, and where it was found.
    pub(super) async fn blame(&self, need: &Need, refused: Error) -> Error {
        if refused.kind != Kind::Unauthorized {
            return refused;
        }
        let whose = match self.login(need).await {
            Ok(Some(login)) => format!("the login is from {}", login.from),
            _ => "no credential is known".to_owned(),
        };
        let message = format!("{} ({whose})", refused.message);
        Error { message, registry: Some(self.host.to_string()), ..refused }
    }

    async fn basic(
        &self,
        need: &Need,
        state: &mut State,
        sent: Option<&str>,
        refused: Error,
    ) -> Result<String, Error> {
        let login = self.login(need).await?;
        let header = match login.map(|login| login.credential) {
            Some(Credential::Password { user, password }) => basic_header(&user, &password),
            Some(Credential::RegistryToken(token)) => format!("Bearer {}", token.expose()),
            Some(Credential::IdentityToken(_)) => {
                let message = "the registry wants a user and a password, and only an identity token is known";
                return Err(Error { message: message.to_owned(), ..refused });
            }
            None => return Err(self.blame(need, refused).await),
        };
        if sent == Some(header.as_str()) {
            return Err(self.blame(need, refused).await);
        }
        state.fixed.insert(need.key.clone(), Secret::new(header.clone()));
        Ok(header)
    }

    async fn exchange(
        &self,
        http: &Http,
        need: &Need,
        state: &mut State,
        bearer: Bearer,
        scopes: BTreeSet<String>,
    ) -> Result<String, Error> {
        let credential = self.login(need).await?.map(|login| login.credential);
        if let Some(Credential::RegistryToken(token)) = &credential {
            let header = format!("Bearer {}", token.expose());
            state.fixed.insert(need.key.clone(), Secret::new(header.clone()));
            return Ok(header);
        }
        check_realm(&bearer.realm, http)?;
        let token = match token::fetch(http, &bearer, &scopes, credential.as_ref()).await {
            Ok(token) => token,
            Err(error) => return Err(self.blame(need, error).await),
        };
        let header = token.header();
        state.tokens.insert(need.key.clone(), Held { token, bearer, scopes });
        Ok(header)
    }
}

/// `Basic …` of a user and a password.
pub(super) fn basic_header(user: &str, password: &Secret<String>) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose())))
}

/// Finds the challenge to answer among all headers and schemes: Bearer before Basic.
fn read_challenges(headers: &HeaderMap) -> Result<Challenge, String> {
    let mut basic = false;
    let mut seen = Vec::new();
    for header in headers.get_all(WWW_AUTHENTICATE) {
        let text = header.to_str().map_err(|_| "a challenge that is not text".to_owned())?;
        for challenge in http_auth::ChallengeParser::new(text).map_while(Result::ok) {
            if challenge.scheme.eq_ignore_ascii_case("bearer") {
                return read_bearer(&challenge).map(Challenge::Bearer);
            }
            basic |= challenge.scheme.eq_ignore_ascii_case("basic");
            seen.push(challenge.scheme.to_owned());
        }
    }
    match (basic, seen.is_empty()) {
        (true, _) => Ok(Challenge::Basic),
        (false, true) => Err("the registry does not say how to log in".to_owned()),
        (false, false) => Err(format!("the registry wants {}, which is not supported", seen.join(", "))),
    }
}

fn read_bearer(challenge: &http_auth::ChallengeRef<'_>) -> Result<Bearer, String> {
    let parameter = |name: &str| {
        let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_unescaped())
    };
    let realm = parameter("realm").ok_or("a Bearer challenge without a realm")?;
    let realm =
        Url::parse(&realm).map_err(|error| format!("a Bearer challenge with a bad realm: {error}"))?;
    let scopes = parameter("scope").unwrap_or_default();
    let scopes = scopes.split_whitespace().map(str::to_owned).collect();
    Ok(Bearer { realm, service: parameter("service"), scopes })
}

/// A credential is sent to the realm, so where it points matters: https unless the registry itself is plain, and
/// no address of this machine or network that a registry elsewhere could have golden talk to.
fn check_realm(realm: &Url, http: &Http) -> Result<(), Error> {
    let registry = http.url("/v2/")?;
    let refuse = |why: &str| {
        let message = format!("the registry sends logins to {}, {why}", crate::secret::redact_url(realm));
        Err(Error::new(Kind::Malformed, "GET", &crate::secret::redact_url(&registry), message))
    };
    match realm.scheme() {
        "https" => {}
        "http" if registry.scheme() == "http" => {}
        _ => return refuse("which is not https"),
    }
    let inside = |url: &Url| match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => is_internal(IpAddr::V4(address)),
        Some(url::Host::Ipv6(address)) => is_internal(IpAddr::V6(address)),
        None => true,
    };
    if realm.host_str() != registry.host_str() && inside(realm) && !inside(&registry) {
        return refuse("an address of this machine or network");
    }
    Ok(())
}

fn is_internal(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => {
            let mapped = v6.to_ipv4_mapped().is_some_and(|v4| is_internal(IpAddr::V4(v4)));
            let (first, local) = (v6.segments()[0], v6.is_loopback() || v6.is_unspecified());
            mapped || local || (first & 0xfe00) == 0xfc00 || (first & 0xffc0) == 0xfe80
        }
    }
}

/// Splits `type:name:actions`. The name may hold colons (`host:port/path`).
fn split_scope(scope: &str) -> Option<(&str, BTreeSet<&str>)> {
    let (resource, actions) = scope.rsplit_once(':')?;
    resource.contains(':').then(|| (resource, actions.split(',').collect()))
}

/// One scope a resource, with all its actions.
fn merge<'s>(scopes: impl Iterator<Item = &'s String>) -> BTreeSet<String> {
    let mut resources: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut odd = BTreeSet::new();
    for scope in scopes {
        match split_scope(scope) {
            Some((resource, actions)) => resources.entry(resource).or_default().extend(actions),
            None => drop(odd.insert(scope.clone())),
        }
    }
    let merged = resources.into_iter().map(|(resource, actions)| {
        format!("{resource}:{}", actions.into_iter().collect::<Vec<_>>().join(","))
    });
    merged.chain(odd).collect()
}

/// Whether `held` allows all that `wanted` asks for.
fn covers(held: &BTreeSet<String>, wanted: &BTreeSet<String>) -> bool {
    merge(held.iter().chain(wanted)) == merge(held.iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(scopes: &[&str]) -> BTreeSet<String> {
        scopes.iter().map(|&scope| scope.to_owned()).collect()
    }

    #[test]
    fn scopes_of_one_resource_become_one() {
        let merged =
            merge(set(&["repository:a:pull", "repository:a:push,pull", "repository:h:5000/b:pull"]).iter());
        assert_eq!(merged, set(&["repository:a:pull,push", "repository:h:5000/b:pull"]));
        assert!(covers(&merged, &set(&["repository:a:push"])));
        assert!(!covers(&merged, &set(&["repository:a:delete"])));
    }

    #[test]
    fn bearer_is_found_among_other_schemes() {
        let mut headers = HeaderMap::new();
        headers.append(WWW_AUTHENTICATE, "Negotiate, basic realm=\"x\"".parse().unwrap());
        assert!(matches!(read_challenges(&headers), Ok(Challenge::Basic)));
        let text =
            r#"BEARER realm="https://auth/token",service="s",scope="repository:a:pull repository:b:pull""#;
        headers.append(WWW_AUTHENTICATE, text.parse().unwrap());
        let Ok(Challenge::Bearer(bearer)) = read_challenges(&headers) else { panic!("no bearer") };
        assert_eq!(bearer.service.as_deref(), Some("s"));
        assert_eq!(bearer.scopes, set(&["repository:a:pull", "repository:b:pull"]));
        assert!(read_challenges(&HeaderMap::new()).is_err());
    }

    #[test]
    fn internal_addresses_are_known() {
        for (address, internal) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("169.254.169.254", true),
            ("::1", true),
            ("fe80::1", true),
            ("fd00::1", true),
            ("::ffff:10.0.0.1", true),
            ("8.8.8.8", false),
            ("2606:4700::1", false),
        ] {
            assert_eq!(is_internal(address.parse().unwrap()), internal, "{address}");
        }
    }
}
