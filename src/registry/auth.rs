//! Credentials on requests: Basic, and Bearer tokens per scope, cached until shortly before they
//! expire.
//!
//! Sources: RFC 7235, and the token and OAuth 2 specifications of the distribution project.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Url;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

use super::bearer::{Bearer, basic_header};
use super::credentials::{Credential, Credentials, Login, Lookup, NoLogin};
use super::error::{Error, FailureKind};
use super::http::Http;
use super::token::{self, Token};
use crate::reference::{Host, RepositoryPath};
use crate::secret::Secret;

/// The permissions that a call needs. `key` is the cache key of its tokens: the repository, or a
/// name of its own.
#[derive(Debug, Clone, Default)]
pub(super) struct AuthScope {
    key: String,
    repository: Option<RepositoryPath>,
    /// Scopes that are requested in addition to those of the challenge.
    scopes: BTreeSet<String>,
}

impl AuthScope {
    /// Actions on a repository, such as `pull,push`.
    pub(super) fn repository(path: &RepositoryPath, actions: &str) -> Self {
        let scopes = BTreeSet::from([format!("repository:{path}:{actions}")]);
        Self {
            key: path.to_string(),
            repository: Some(path.clone()),
            scopes,
        }
    }

    /// Adds read access to another repository, to mount from it.
    pub(super) fn and_pull(mut self, path: &RepositoryPath) -> Self {
        self.scopes.insert(format!("repository:{path}:pull"));
        self
    }

    /// Access to the list of repositories.
    pub(super) fn catalog() -> Self {
        let scopes = BTreeSet::from(["registry:catalog:*".to_owned()]);
        Self {
            key: " catalog".to_owned(),
            repository: None,
            scopes,
        }
    }
}

/// The credentials of one registry.
pub(super) struct Auth {
    host: Host,
    credentials: Arc<Credentials>,
    state: Mutex<AuthState>,
    /// Held during a request whose outcome others wait for: the first request with a password, and
    /// every request at a registry whose tokens are valid for a single request.
    turn: Arc<Mutex<()>>,
    single_use: AtomicBool,
}

#[derive(Default)]
struct AuthState {
    /// Authorization headers for Basic, and tokens from the configuration, by key.
    fixed: BTreeMap<String, Secret<String>>,
    tokens: BTreeMap<String, HeldToken>,
    /// Logins that the registry has accepted.
    proven: Vec<Credential>,
    /// Logins that were rejected on their first use. They are not sent again, because repeated
    /// failures lock accounts.
    rejected: Vec<(Credential, Error)>,
}

/// A token, and the parameters to request the next one.
struct HeldToken {
    token: Token,
    bearer: Bearer,
    scopes: BTreeSet<String>,
}

/// The source of an Authorization header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The cache, which other calls use too.
    Shared,
    /// The cache, after another call renewed the token during this one.
    Renewed,
    /// A token requested for this call and then cached.
    Fresh,
    /// A token requested for this call alone; the number counts such requests.
    Private(u8),
}

impl Origin {
    /// The source of the next token, after a request with a token of this source was refused, or a
    /// request without one. A token that is insufficient counts as the last one.
    const fn after(refused: Option<Self>, insufficient: bool) -> Self {
        match refused {
            None | Some(Self::Shared | Self::Renewed) => Self::Fresh,
            Some(_) if insufficient => Self::Private(MAX_PRIVATE + 1),
            // If tokens are valid for a single request, another call may have used this one.
            Some(Self::Fresh) => Self::Private(1),
            Some(Self::Private(count)) => Self::Private(count + 1),
        }
    }
}

/// The Authorization header of the next request.
pub(super) struct Sending {
    header: Option<String>,
    origin: Origin,
    /// The login in the header, until the registry has accepted it.
    unproven: Option<Credential>,
    turn: Option<OwnedMutexGuard<()>>,
}

impl Sending {
    /// A request without a credential.
    pub(super) const fn anonymous() -> Self {
        Self {
            header: None,
            origin: Origin::Shared,
            unproven: None,
            turn: None,
        }
    }

    pub(super) fn header(&self) -> Option<&str> {
        self.header.as_deref()
    }

    fn of(header: String, origin: Origin) -> Self {
        Self {
            header: Some(header),
            origin,
            ..Self::anonymous()
        }
    }
}

/// The next action after a 401.
pub(super) enum Next {
    /// Repeat the request.
    Send(Sending),
    /// A token that was requested for this call was rejected. The response to HEAD has no body with
    /// the reason, so the caller decides what to request instead.
    Refused(Error),
}

enum Challenge {
    Basic,
    Bearer(Bearer),
}

/// The maximum number of tokens that are requested for one call alone.
const MAX_PRIVATE: u8 = 2;

impl Auth {
    pub(super) fn new(host: Host, credentials: Arc<Credentials>) -> Self {
        let (state, turn) = (Mutex::default(), Arc::default());
        Self {
            host,
            credentials,
            state,
            turn,
            single_use: AtomicBool::new(false),
        }
    }

    /// The Authorization header that can be sent before a challenge. A token that expires soon is
    /// renewed first.
    pub(super) async fn cached(&self, http: &Http, scope: &AuthScope) -> Result<Sending, Error> {
        let turn = if self.single_use.load(Ordering::Relaxed) {
            Some(self.take_turn().await)
        } else {
            None
        };
        let mut state = self.state.lock().await;
        if state.fixed.contains_key(&scope.key) {
            drop(state);
            return self.fixed(http, scope).await;
        }
        let Some(held) = state.tokens.get(&scope.key) else {
            return Ok(Sending::anonymous());
        };
        if turn.is_none()
            && held.token.is_fresh(Instant::now())
            && covers(&held.scopes, &scope.scopes)
        {
            return Ok(Sending::of(held.token.header(), Origin::Shared));
        }
        let scopes = merge(held.scopes.iter().chain(&scope.scopes));
        let bearer = held.bearer.clone();
        let share = turn.is_none();
        let header = self
            .exchange(http, scope, &mut state, bearer, scopes, share)
            .await?;
        Ok(Sending {
            turn,
            ..Sending::of(header, Origin::Shared)
        })
    }

    /// The cached header for Basic. Until the registry has accepted the password, only one request
    /// at a time sends it.
    async fn fixed(&self, http: &Http, scope: &AuthScope) -> Result<Sending, Error> {
        let Lookup::Found(login) = self.login(http, http.own()?, scope).await? else {
            return Ok(Sending::anonymous());
        };
        let mut turn = Some(self.take_turn().await);
        let state = self.state.lock().await;
        if let Some(rejected) = state.rejection(&login.credential) {
            return Err(rejected);
        }
        let Some(header) = state.fixed.get(&scope.key) else {
            return Ok(Sending::anonymous());
        };
        let is_valid = state.proven.contains(&login.credential);
        if is_valid {
            turn = None;
        }
        let unproven = (!is_valid).then_some(login.credential);
        Ok(Sending {
            header: Some(header.expose().clone()),
            origin: Origin::Fresh,
            unproven,
            turn,
        })
    }

    async fn take_turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// Records a response other than 401.
    pub(super) async fn accepted(&self, sent: Sending, status: u16) {
        if matches!(sent.origin, Origin::Private(_)) {
            self.single_use.store(true, Ordering::Relaxed);
        }
        // These statuses do not show whether the login is valid.
        if let Some(credential) = sent.unproven
            && !matches!(status, 408 | 429 | 500..)
        {
            self.state.lock().await.proven.push(credential);
        }
    }

    /// Handles a 401: returns the header for the next attempt, or the error that ends the call.
    pub(super) async fn challenged(
        &self,
        http: &Http,
        scope: &AuthScope,
        headers: &HeaderMap,
        sent: Sending,
        refused: Error,
    ) -> Result<Next, Error> {
        let challenge = match read_challenges(headers) {
            Ok(challenge) => challenge,
            Err(why) => {
                return Err(Error {
                    message: refused.message_with(why),
                    ..refused
                });
            }
        };
        match challenge {
            Challenge::Basic => self
                .answer_basic(http, scope, sent, refused)
                .await
                .map(Next::Send),
            Challenge::Bearer(bearer) => {
                self.answer_bearer(http, scope, bearer, sent, refused).await
            }
        }
    }

    async fn answer_basic(
        &self,
        http: &Http,
        scope: &AuthScope,
        sent: Sending,
        refused: Error,
    ) -> Result<Sending, Error> {
        if sent.header.is_some() {
            let error = self.explain(http, scope, refused).await;
            if let Some(credential) = sent.unproven {
                self.state
                    .lock()
                    .await
                    .rejected
                    .push((credential, error.clone()));
            }
            return Err(error);
        }
        drop(sent);
        let header = match self.login(http, http.own()?, scope).await? {
            Lookup::Found(Login {
                credential: Credential::Password { user, password },
                ..
            }) => basic_header(&user, &password),
            Lookup::Found(Login {
                credential: Credential::RegistryToken(token),
                ..
            }) => {
                format!("Bearer {}", token.expose())
            }
            Lookup::Found(Login {
                credential: Credential::IdentityToken(_),
                ..
            }) => {
                let message = "the registry requires a user and a password, and only an identity token is known";
                return Err(Error {
                    message: message.to_owned(),
                    ..refused
                });
            }
            Lookup::Absent(_) => return Err(self.explain(http, scope, refused).await),
        };
        self.state
            .lock()
            .await
            .fixed
            .insert(scope.key.clone(), Secret::new(header));
        self.fixed(http, scope).await
    }

    async fn answer_bearer(
        &self,
        http: &Http,
        scope: &AuthScope,
        bearer: Bearer,
        sent: Sending,
        refused: Error,
    ) -> Result<Next, Error> {
        let refused_origin = sent.header.is_some().then_some(sent.origin);
        let next = Origin::after(refused_origin, bearer.insufficient);
        let (header, origin) = (sent.header, sent.origin);
        let turn = match next {
            Origin::Private(count) if count > MAX_PRIVATE => {
                return Ok(Next::Refused(self.explain(http, scope, refused).await));
            }
            Origin::Private(_) => match sent.turn {
                Some(turn) => Some(turn),
                None => Some(self.take_turn().await),
            },
            _ => sent.turn,
        };
        let mut state = self.state.lock().await;
        let mut scopes = bearer.scopes.clone();
        if let Some(held) = state.tokens.get(&scope.key) {
            // Another call renewed the token during this one.
            let is_another = header
                .as_ref()
                .is_some_and(|sent| *sent != held.token.header());
            if origin == Origin::Shared && is_another && covers(&held.scopes, &bearer.scopes) {
                return Ok(Next::Send(Sending::of(
                    held.token.header(),
                    Origin::Renewed,
                )));
            }
            scopes.extend(held.scopes.iter().cloned());
        }
        let scopes = merge(scopes.iter().chain(&scope.scopes));
        let share = !matches!(next, Origin::Private(_));
        let header = self
            .exchange(http, scope, &mut state, bearer, scopes, share)
            .await?;
        Ok(Next::Send(Sending {
            turn,
            ..Sending::of(header, next)
        }))
    }

    /// The login for a call. `to` is the server that receives it: the registry, or its token
    /// server.
    async fn login(&self, http: &Http, to: Url, scope: &AuthScope) -> Result<Lookup, Error> {
        let found = self
            .credentials
            .find(&self.host, scope.repository.as_ref())
            .await?;
        if matches!(found, Lookup::Found(_)) && !http.may_carry_login(&to) {
            let host = &self.host;
            return Ok(Lookup::Absent(NoLogin {
                why: format!("the login for {host} was not used: it is not sent in clear text"),
                hint: Some(format!(
                    "use https, or add `--insecure-registry {host}` to send the login in clear text"
                )),
            }));
        }
        Ok(found)
    }

    /// Adds to an error which login was rejected, or why none was sent.
    async fn explain(&self, http: &Http, scope: &AuthScope, refused: Error) -> Error {
        if refused.kind != FailureKind::Unauthorized {
            return refused;
        }
        let own = match http.own() {
            Ok(own) => own,
            Err(error) => return error,
        };
        let (why, hint) = match self.login(http, own, scope).await {
            Ok(Lookup::Found(login)) => (
                login.rejected_by(&self.host),
                self.credentials.hint(&login, &self.host),
            ),
            Ok(Lookup::Absent(absent)) => (absent.why, absent.hint),
            Err(error) => (error.to_string(), None),
        };
        let message = refused.message_with(why);
        let hint = hint.or(refused.hint);
        Error {
            message,
            hint,
            registry: Some(self.host.to_string()),
            ..refused
        }
    }

    async fn exchange(
        &self,
        http: &Http,
        scope: &AuthScope,
        state: &mut AuthState,
        bearer: Bearer,
        scopes: BTreeSet<String>,
        share: bool,
    ) -> Result<String, Error> {
        let credential = match self.login(http, bearer.realm.clone(), scope).await? {
            Lookup::Found(login) => Some(login.credential),
            Lookup::Absent(_) => None,
        };
        if let Some(Credential::RegistryToken(token)) = &credential {
            let header = format!("Bearer {}", token.expose());
            state
                .fixed
                .insert(scope.key.clone(), Secret::new(header.clone()));
            return Ok(header);
        }
        if let Some(rejected) = credential
            .as_ref()
            .and_then(|credential| state.rejection(credential))
        {
            return Err(rejected);
        }
        http.check_realm(&bearer.realm)?;
        let token = match token::fetch(http, &bearer, &scopes, credential.as_ref()).await {
            Ok(token) => token,
            Err(error) => {
                let error = self.explain(http, scope, error).await;
                if let Some(credential) = credential.filter(|known| !state.proven.contains(known))
                    && error.kind == FailureKind::Unauthorized
                {
                    state.rejected.push((credential, error.clone()));
                }
                return Err(error);
            }
        };
        if let Some(credential) = credential.filter(|known| !state.proven.contains(known)) {
            state.proven.push(credential);
        }
        let header = token.header();
        if share {
            state.tokens.insert(
                scope.key.clone(),
                HeldToken {
                    token,
                    bearer,
                    scopes,
                },
            );
        }
        Ok(header)
    }
}

impl AuthState {
    fn rejection(&self, credential: &Credential) -> Option<Error> {
        let found = self
            .rejected
            .iter()
            .find(|(rejected, _)| rejected == credential);
        found.map(|(_, error)| error.clone())
    }
}

/// Selects the challenge to answer among all headers and schemes: Bearer is preferred to Basic.
fn read_challenges(headers: &HeaderMap) -> Result<Challenge, String> {
    let mut basic = false;
    let mut seen = Vec::new();
    for header in headers.get_all(WWW_AUTHENTICATE) {
        let text = header
            .to_str()
            .map_err(|_| "the WWW-Authenticate header is not text".to_owned())?;
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
        (false, true) => Err("the registry sent no WWW-Authenticate header".to_owned()),
        (false, false) => Err(format!(
            "the registry requires {}, which is not supported",
            seen.join(", ")
        )),
    }
}

fn read_bearer(challenge: &http_auth::ChallengeRef<'_>) -> Result<Bearer, String> {
    let parameter = |name: &str| {
        let found = challenge
            .params
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_unescaped())
    };
    let realm = parameter("realm").ok_or("a Bearer challenge without a realm")?;
    let realm = Url::parse(&realm)
        .map_err(|error| format!("a Bearer challenge with an invalid realm: {error}"))?;
    let scopes = parameter("scope").unwrap_or_default();
    let scopes = scopes.split_whitespace().map(str::to_owned).collect();
    let insufficient = parameter("error").is_some_and(|error| error == "insufficient_scope");
    Ok(Bearer {
        realm,
        service: parameter("service"),
        scopes,
        insufficient,
    })
}

/// Splits `type:name:actions`. The name may contain colons (`host:port/path`).
fn split_scope(scope: &str) -> Option<(&str, BTreeSet<&str>)> {
    let (resource, actions) = scope.rsplit_once(':')?;
    resource
        .contains(':')
        .then(|| (resource, actions.split(',').collect()))
}

/// Merges scopes: one per resource, with all its actions.
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
        format!(
            "{resource}:{}",
            actions.into_iter().collect::<Vec<_>>().join(",")
        )
    });
    merged.chain(odd).collect()
}

/// True if `held` includes every permission of `required`.
fn covers(held: &BTreeSet<String>, required: &BTreeSet<String>) -> bool {
    merge(held.iter().chain(required)) == merge(held.iter())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::registry::{RegistryEndpoint, RegistryEnv};

    fn set(scopes: &[&str]) -> BTreeSet<String> {
        scopes.iter().map(|&scope| scope.to_owned()).collect()
    }

    proptest::proptest! {
        #[test]
        fn no_challenge_causes_a_panic(
            text in "(Bearer |Basic |realm=|service=|scope=|\"|,|=| |https?://h/t|repository:a:pull|[a-z]|[ -~]){0,20}"
        ) {
            let mut headers = HeaderMap::new();
            headers.insert(WWW_AUTHENTICATE, text.parse().unwrap());
            drop(read_challenges(&headers));
        }
    }

    #[test]
    fn scopes_of_one_resource_are_merged() {
        let merged = merge(
            set(&[
                "repository:a:pull",
                "repository:a:push,pull",
                "repository:h:5000/b:pull",
            ])
            .iter(),
        );
        assert_eq!(
            merged,
            set(&["repository:a:pull,push", "repository:h:5000/b:pull"])
        );
        assert!(covers(&merged, &set(&["repository:a:push"])));
        assert!(!covers(&merged, &set(&["repository:a:delete"])));
    }

    #[test]
    fn bearer_is_preferred_to_other_schemes() {
        let mut headers = HeaderMap::new();
        headers.append(
            WWW_AUTHENTICATE,
            "Negotiate, basic realm=\"x\"".parse().unwrap(),
        );
        assert!(matches!(read_challenges(&headers), Ok(Challenge::Basic)));
        let text = r#"BEARER realm="https://auth/token",service="s",scope="repository:a:pull repository:b:pull""#;
        headers.append(WWW_AUTHENTICATE, text.parse().unwrap());
        let Ok(Challenge::Bearer(bearer)) = read_challenges(&headers) else {
            panic!("no bearer")
        };
        assert_eq!(bearer.service.as_deref(), Some("s"));
        assert_eq!(
            bearer.scopes,
            set(&["repository:a:pull", "repository:b:pull"])
        );
    }

    /// The challenge that is answered, or the error.
    fn challenge(headers: &[&str]) -> String {
        let values = headers
            .iter()
            .map(|text| (WWW_AUTHENTICATE, text.parse().unwrap()));
        match read_challenges(&values.collect()) {
            Ok(Challenge::Basic) => "Basic".to_owned(),
            Ok(Challenge::Bearer(bearer)) => {
                let insufficient = if bearer.insufficient { " again" } else { "" };
                format!("Bearer {}{insufficient}", bearer.realm)
            }
            Err(why) => why,
        }
    }

    #[test]
    fn a_challenge_that_cannot_be_answered_is_explained() {
        for (headers, expected) in [
            (&[][..], "the registry sent no WWW-Authenticate header"),
            (&[""], "the registry sent no WWW-Authenticate header"),
            (
                &["Negotiate", "Digest realm=\"x\""],
                "the registry requires Negotiate, Digest, which is not supported",
            ),
            (&["Negotiate", "Basic realm=\"x\""], "Basic"),
            (
                &["Bearer service=\"s\""],
                "a Bearer challenge without a realm",
            ),
            (
                &["Bearer realm=\"token\""],
                "a Bearer challenge with an invalid realm: relative URL without a base",
            ),
            (
                &["Bearer realm=\"https://auth/t\",error=\"insufficient_scope\""],
                "Bearer https://auth/t again",
            ),
            (
                &["Bearer Realm=\"https://auth/t\",error=\"invalid_token\""],
                "Bearer https://auth/t",
            ),
        ] {
            assert_eq!(challenge(headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_scope_that_is_not_of_a_resource_is_kept() {
        let scopes = set(&["aws", "a:b", "repository:a:pull"]);
        assert_eq!(merge(scopes.iter()), scopes);
        assert!(covers(&scopes, &set(&["aws", "repository:a:pull"])));
        assert!(!covers(&scopes, &set(&["other"])));
        assert!(!covers(&scopes, &set(&["repository:b:pull"])));
    }

    #[test]
    fn a_call_requests_its_own_scopes() {
        let (app, base) = ("team/app".parse().unwrap(), "base".parse().unwrap());
        let scope = AuthScope::repository(&app, "pull,push").and_pull(&base);
        assert_eq!(scope.key, "team/app");
        assert_eq!(
            scope.scopes,
            set(&["repository:team/app:pull,push", "repository:base:pull"])
        );
        let catalog = AuthScope::catalog();
        assert_eq!(catalog.scopes, set(&["registry:catalog:*"]));
        // No repository has this key.
        assert!(catalog.key.parse::<RepositoryPath>().is_err());
    }

    #[test]
    fn few_tokens_are_requested_for_one_call_and_none_after_an_insufficient_one() {
        use Origin::{Fresh, Private, Renewed, Shared};
        let last = Private(MAX_PRIVATE + 1);
        for (refused, usual, insufficient) in [
            (None, Fresh, Fresh),
            (Some(Shared), Fresh, Fresh),
            (Some(Renewed), Fresh, Fresh),
            (Some(Fresh), Private(1), last),
            (Some(Private(1)), Private(2), last),
            (Some(Private(2)), Private(3), last),
        ] {
            assert_eq!(Origin::after(refused, false), usual, "{refused:?}");
            assert_eq!(Origin::after(refused, true), insufficient, "{refused:?}");
        }
        assert!(matches!(last, Private(count) if count > MAX_PRIVATE));
    }

    #[test]
    fn only_the_rejected_login_is_not_sent_again() {
        let login = |user: &str| Credential::Password {
            user: user.to_owned(),
            password: Secret::new("p".to_owned()),
        };
        let rejected = Error::local("rejected".to_owned());
        let state = AuthState {
            rejected: vec![(login("a"), rejected)],
            ..AuthState::default()
        };
        let message = |user| state.rejection(&login(user)).map(|error| error.message);
        assert_eq!(message("a").as_deref(), Some("rejected"));
        assert_eq!(message("b"), None);
    }

    /// A registry with the login `robot`, and its token server, which answers with this status and
    /// the token `fresh`.
    async fn registry(status: u16) -> (Auth, Http, Url) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let body = r#"{"token":"fresh"}"#;
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let received = stream.read(&mut [0; 4096]).await.unwrap();
                assert_ne!(received, 0);
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let auths = format!(r#"{{"auths":{{"{host}":{{"username":"robot","password":"p"}}}}}}"#);
        let auths = ("DOCKER_AUTH_CONFIG".to_owned(), auths);
        let env = Arc::new(RegistryEnv::from_vars(&BTreeMap::from([auths])));
        let realm = format!("http://{host}/token").parse().unwrap();
        let host: Host = host.parse().unwrap();
        let credentials = Arc::new(Credentials::new(Arc::clone(&env)));
        let http = Http::new(RegistryEndpoint::of(host.clone()), env);
        (Auth::new(host, credentials), http, realm)
    }

    fn pull(realm: Url) -> Bearer {
        Bearer {
            realm,
            service: None,
            scopes: set(&["repository:app:pull"]),
            insufficient: false,
        }
    }

    fn to_pull() -> AuthScope {
        AuthScope::repository(&"app".parse().unwrap(), "pull")
    }

    async fn hold(auth: &Auth, realm: &Url, seconds: u64, scope: &str) {
        let token = Token {
            value: Secret::new("held".to_owned()),
            until: Instant::now() + Duration::from_secs(seconds),
        };
        let held = HeldToken {
            token,
            bearer: pull(realm.clone()),
            scopes: set(&[scope]),
        };
        auth.state
            .lock()
            .await
            .tokens
            .insert("app".to_owned(), held);
    }

    #[tokio::test]
    async fn a_cached_token_is_sent_while_it_is_valid_for_every_request_and_covers_the_scope() {
        let (all, other) = ("repository:app:pull,push", "repository:app:push");
        for (seconds, scope, single_use, expected) in [
            (60, all, false, ("Bearer held", false)),
            (0, all, false, ("Bearer fresh", false)),
            (60, other, false, ("Bearer fresh", false)),
            (60, all, true, ("Bearer fresh", true)),
        ] {
            let (auth, http, realm) = registry(200).await;
            hold(&auth, &realm, seconds, scope).await;
            auth.single_use.store(single_use, Ordering::Relaxed);
            let sending = auth.cached(&http, &to_pull()).await.unwrap();
            let found = (sending.header().unwrap(), sending.turn.is_some());
            assert_eq!(found, expected, "{seconds} {scope} {single_use}");
        }
    }

    /// A token of the cache is replaced for all callers. A token that was requested for this call
    /// may have been used by another call, so the next ones are for this call alone, in turn.
    #[tokio::test]
    async fn each_refused_token_has_its_successor_until_the_third_token_of_a_call() {
        use Origin::{Fresh, Private, Renewed, Shared};
        let (app, other) = ("repository:app:pull", "repository:other:pull");
        let own = |origin, cached| Some(("Bearer fresh".to_owned(), origin, true, cached));
        let shared = Some(("Bearer fresh".to_owned(), Fresh, false, "Bearer fresh"));
        let renewed = Some(("Bearer held".to_owned(), Renewed, false, "Bearer held"));
        for (scope, sent, origin, expected) in [
            (app, None, Shared, shared.clone()),
            (app, Some("Bearer held"), Shared, shared.clone()),
            (app, Some("Bearer sent"), Shared, renewed),
            (other, Some("Bearer sent"), Shared, shared.clone()),
            (app, Some("Bearer sent"), Renewed, shared),
            (
                app,
                Some("Bearer sent"),
                Fresh,
                own(Private(1), "Bearer held"),
            ),
            (
                app,
                Some("Bearer sent"),
                Private(1),
                own(Private(2), "Bearer held"),
            ),
            (app, Some("Bearer sent"), Private(2), None),
        ] {
            let (auth, http, realm) = registry(200).await;
            hold(&auth, &realm, 60, scope).await;
            let request = Sending {
                header: sent.map(str::to_owned),
                origin,
                ..Sending::anonymous()
            };
            let refused = Error::answered("GET", "http://localhost:5000/v2/", 401, b"");
            let next = auth
                .answer_bearer(&http, &to_pull(), pull(realm), request, refused)
                .await;
            let cached = auth.state.lock().await.tokens["app"].token.header();
            let found = match next.unwrap() {
                Next::Send(next) => {
                    let has_turn = next.turn.is_some();
                    Some((next.header.unwrap(), next.origin, has_turn, cached.as_str()))
                }
                Next::Refused(error) => {
                    assert_eq!(error.registry, Some(auth.host.to_string()));
                    None
                }
            };
            assert_eq!(found, expected, "{scope} {sent:?} {origin:?}");
        }
    }

    /// The registry showed that these logins are valid or wrong. Other errors of the token server
    /// do not show either.
    #[tokio::test]
    async fn a_token_server_proves_or_rejects_a_login() {
        for (status, was_proven, expected) in [
            (200, false, (1, 0)),
            (200, true, (1, 0)),
            (400, false, (0, 1)),
            (401, false, (0, 1)),
            (401, true, (1, 0)),
            (403, false, (0, 0)),
        ] {
            let (auth, http, realm) = registry(status).await;
            if was_proven {
                let login = auth.login(&http, realm.clone(), &to_pull()).await;
                let Lookup::Found(login) = login.unwrap() else {
                    panic!("no login")
                };
                auth.state.lock().await.proven.push(login.credential);
            }
            let refused = Error::answered("GET", "http://localhost:5000/v2/", 401, b"");
            let next = auth
                .answer_bearer(
                    &http,
                    &to_pull(),
                    pull(realm),
                    Sending::anonymous(),
                    refused,
                )
                .await;
            assert_eq!(next.is_ok(), status == 200, "{status}");
            let state = auth.state.lock().await;
            let found = (state.proven.len(), state.rejected.len());
            assert_eq!(found, expected, "{status} {was_proven}");
        }
    }

    #[tokio::test]
    async fn a_response_proves_a_login_unless_the_server_did_not_read_it() {
        let password = Secret::new("p".to_owned());
        let user = "robot".to_owned();
        let login = Credential::Password { user, password };
        for (origin, status, expected) in [
            (Origin::Fresh, 200, (false, true)),
            (Origin::Fresh, 404, (false, true)),
            (Origin::Fresh, 408, (false, false)),
            (Origin::Fresh, 429, (false, false)),
            (Origin::Fresh, 503, (false, false)),
            (Origin::Private(1), 200, (true, true)),
        ] {
            let (auth, ..) = registry(200).await;
            let sent = Sending {
                origin,
                unproven: Some(login.clone()),
                ..Sending::anonymous()
            };
            auth.accepted(sent, status).await;
            let is_proven = auth.state.lock().await.proven.contains(&login);
            let found = (auth.single_use.load(Ordering::Relaxed), is_proven);
            assert_eq!(found, expected, "{origin:?} {status}");
        }
    }
}
