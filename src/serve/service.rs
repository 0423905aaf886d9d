//! Handles a request: checks access, parses the path, and calls the handler of the endpoint.

use std::sync::Arc;

use hyper::header::{ALLOW, HeaderName, WWW_AUTHENTICATE};
use hyper::{Method, Request, StatusCode};
use serde_json::json;

use super::access::Users;
use super::answer::{Answer, Body, RequestRefusal, document, set};
use super::query::Query;
use super::route::{Route, RouteError, parse};
use super::store::Store;
use super::{blobs, lists, manifests, referrers, uploads};

const VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// The access rules of the registry.
#[derive(Debug, Default)]
pub struct ServeRules {
    /// The users with access; `None` if no login is required.
    pub users: Option<Users>,
    /// If true, clients can store and delete nothing.
    pub read_only: bool,
    /// If true, clients can delete nothing.
    pub no_delete: bool,
}

/// The registry: a store and the rules for it.
#[derive(Debug, Clone)]
pub struct Service {
    store: Arc<Store>,
    rules: Arc<ServeRules>,
}

impl Service {
    /// A registry that does not listen: the caller has the requests.
    #[must_use]
    pub fn new(store: Store, rules: ServeRules) -> Self {
        Self {
            store: Arc::new(store),
            rules: Arc::new(rules),
        }
    }

    /// Handles a request and returns the response.
    pub async fn answer(&self, request: Request<Body>) -> Answer {
        let mut answer = match self.admitted(request).await {
            Ok(answer) => answer,
            Err(refusal) => refusal.into_answer(),
        };
        set(&mut answer, VERSION, "registry/2.0");
        answer
    }

    async fn admitted(&self, request: Request<Body>) -> Result<Answer, RequestRefusal> {
        if self.rules.users.is_some() {
            let (rules, headers) = (self.rules.clone(), request.headers().clone());
            let has_access = move || {
                rules
                    .users
                    .as_ref()
                    .is_none_or(|users| users.authenticate(&headers))
            };
            if !tokio::task::spawn_blocking(has_access)
                .await
                .map_err(std::io::Error::other)?
            {
                let refusal = RequestRefusal::new(
                    StatusCode::UNAUTHORIZED,
                    "UNAUTHORIZED",
                    "authentication required",
                );
                return Err(refusal.header(WWW_AUTHENTICATE, "Basic realm=\"golden\""));
            }
        }
        let route = parse(request.uri().path()).map_err(wrong)?;
        self.allowed(&route, request.method())?;
        let query = Query::parse(request.uri().query().unwrap_or_default());
        self.routed(route, &query, request).await
    }

    /// Refuses a request that the rules forbid. The cancellation of an upload is not a deletion.
    fn allowed(&self, route: &Route, method: &Method) -> Result<(), RequestRefusal> {
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        if self.rules.read_only && !is_read {
            return Err(unsupported("this registry is read-only"));
        }
        let is_deletion = *method == Method::DELETE && !matches!(route, Route::Upload(..));
        if self.rules.no_delete && is_deletion {
            return Err(unsupported(
                "deletion is disabled (golden serve --no-delete)",
            ));
        }
        Ok(())
    }

    async fn routed(
        &self,
        route: Route,
        query: &Query,
        request: Request<Body>,
    ) -> Result<Answer, RequestRefusal> {
        let store = &self.store;
        let method = request.method().clone();
        match (route, &method) {
            (Route::Base, &Method::GET | &Method::HEAD) => Ok(document(&json!({}))),
            (Route::Catalog, &Method::GET | &Method::HEAD) => lists::catalog(store, query),
            (Route::Tags(name), &Method::GET | &Method::HEAD) => lists::tags(store, &name, query),
            (Route::Manifest(name, target), &Method::GET | &Method::HEAD) => {
                manifests::read(store, &name, &target, &method, request.headers())
            }
            (Route::Manifest(name, target), &Method::PUT) => {
                manifests::store(store, &name, &target, query, request).await
            }
            (Route::Manifest(name, target), &Method::DELETE) => {
                manifests::delete(store, &name, &target).await
            }
            (Route::Blob(_, digest), &Method::GET | &Method::HEAD) => {
                blobs::read(store, &digest, &method, request.headers()).await
            }
            (Route::Blob(name, digest), &Method::DELETE) => {
                blobs::delete(store, &name, &digest).await
            }
            (Route::Uploads(name), &Method::POST) => {
                uploads::begin(store, &name, query, request).await
            }
            (Route::Upload(name, id), &Method::PATCH) => {
                uploads::append(store, &name, &id, request).await
            }
            (Route::Upload(name, id), &Method::PUT) => {
                let digest = query.get("digest").unwrap_or_default();
                uploads::finish(store, &name, &id, digest, request).await
            }
            (Route::Upload(name, id), &Method::GET) => uploads::status(store, &name, &id).await,
            (Route::Upload(name, id), &Method::DELETE) => uploads::cancel(store, &name, &id).await,
            (Route::Referrers(name, digest), &Method::GET | &Method::HEAD) => {
                referrers::list(store, &name, &digest, query).await
            }
            (route, _) => {
                Err(unsupported("this path does not support the method")
                    .header(ALLOW, allow(&route)))
            }
        }
    }
}

/// The supported methods of an endpoint.
const fn allow(route: &Route) -> &'static str {
    match route {
        Route::Base | Route::Catalog | Route::Tags(_) | Route::Referrers(..) => "GET, HEAD",
        Route::Manifest(..) => "GET, HEAD, PUT, DELETE",
        Route::Blob(..) => "GET, HEAD, DELETE",
        Route::Uploads(_) => "POST",
        Route::Upload(..) => "GET, PATCH, PUT, DELETE",
    }
}

fn unsupported(message: &str) -> RequestRefusal {
    RequestRefusal::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", message)
}

fn wrong(wrong: RouteError) -> RequestRefusal {
    match wrong {
        RouteError::Path => RequestRefusal::new(
            StatusCode::NOT_FOUND,
            "UNSUPPORTED",
            "not a path of the distribution API",
        ),
        RouteError::Name => RequestRefusal::new(
            StatusCode::BAD_REQUEST,
            "NAME_INVALID",
            "invalid repository name",
        ),
        RouteError::Reference => RequestRefusal::new(
            StatusCode::BAD_REQUEST,
            "DIGEST_INVALID",
            "invalid tag or digest",
        ),
    }
}
