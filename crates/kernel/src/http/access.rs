//! Who may use which route. Every route says so where it is made: one that does not, does not compile.
//!
//! What is checked here is who asks, and whether their role may ask that at all. Whether something is theirs is decided
//! where the decision is made, on the state that it is made on.

use super::{BODY_LIMIT, Problem, layer, only_line};
use crate::{
    actor::{Actor, Member, Role},
    call::SCHEME,
    correlation::Trace,
    identity::{Identity, Refused},
};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{FromRequestParts, Request, State},
    handler::Handler,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{self, MethodRouter},
};
use http::{HeaderMap, Method, StatusCode, header, request::Parts};
use std::{fmt, sync::Arc, time::Duration};

/// How long ago at most a member signed in who does what cannot be undone.
const RECENTLY: Duration = Duration::from_secs(15 * 60);

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody. Who they are is not asked.
    Everybody,
    /// Everybody, and who shows a good token is known.
    Anybody,
    /// Whoever is signed in.
    SignedIn,
    /// Members with one of these roles.
    Roles(&'static [Role]),
    /// The same, who signed in within the last 15 minutes.
    Recent(&'static [Role]),
    /// Services with this scope, and operators.
    Scope(&'static str),
    /// The same, of whom an operator must have signed in within the last 15 minutes.
    RecentScope(&'static str),
    /// Other contexts of the shop.
    Context,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roles = |roles: &[Role]| roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ");
        match self {
            Self::Everybody => f.write_str("everybody"),
            Self::Anybody => f.write_str("everybody, signed in or not"),
            Self::SignedIn => f.write_str("whoever is signed in"),
            Self::Roles(some) => f.write_str(&roles(some)),
            Self::Recent(some) => write!(f, "{} (signed in within 15 min)", roles(some)),
            Self::Scope(scope) => write!(f, "operator, service with `{scope}`"),
            Self::RecentScope(scope) => write!(f, "operator (signed in within 15 min), service with `{scope}`"),
            Self::Context => f.write_str("contexts"),
        }
    }
}

impl Access {
    /// Whether an actor may come in, at this time (Unix time, s).
    fn admit(self, actor: &Actor, now: i64) -> Result<(), Problem> {
        let allowed = match (self, actor) {
            (Self::Everybody | Self::Anybody, _) => true,
            (Self::Context, actor) => matches!(actor, Actor::Context(_)),
            (_, Actor::Anonymous) => return Err(Problem::unauthenticated("Sign in first: POST /sessions.", None)),
            (Self::SignedIn, actor) => actor.member().is_some(),
            (Self::Roles(roles) | Self::Recent(roles), Actor::Member(member)) => {
                roles.iter().any(|role| member.is(*role))
            }
            (Self::Scope(_) | Self::RecentScope(_), Actor::Member(member)) => member.is(Role::Operator),
            (Self::Scope(scope) | Self::RecentScope(scope), Actor::Service(service)) => {
                service.scopes.iter().any(|it| it == scope)
            }
            (_, Actor::Service(_) | Actor::Context(_) | Actor::System) => false,
        };
        if !allowed {
            return Err(Problem::forbidden(format!("This is for: {self}.")));
        }
        if let (Self::Recent(_) | Self::RecentScope(_), Actor::Member(member)) = (self, actor)
            && now.saturating_sub(member.signed_in_at).unsigned_abs() > RECENTLY.as_secs()
        {
            let detail = "For this you must have signed in within the last 15 minutes. Sign in again.";
            return Err(Problem::unauthenticated(detail, Some("insufficient_user_authentication")));
        }
        Ok(())
    }
}

/// A route as it was declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    pub method: Method,
    /// With its parameters in braces: `/orders/{id}`.
    pub path: String,
    pub access: Access,
}

/// Routes, each with who may use it.
pub struct Routes<S = ()>(Vec<(Declared, MethodRouter<S>)>);

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

macro_rules! methods {
    ($($name:ident $method:ident),*) => {$(
        /// A route for this method.
        pub fn $name<H: Handler<T, S>, T: 'static>(self, path: &str, access: Access, handler: H) -> Self {
            self.route(Method::$method, path, access, routing::$name(handler))
        }
    )*};
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    pub fn new() -> Self {
        Self(Vec::new())
    }

    methods!(get GET, post POST, put PUT, patch PATCH, delete DELETE);

    fn route(mut self, method: Method, path: &str, access: Access, route: MethodRouter<S>) -> Self {
        self.0.push((Declared { method, path: path.to_owned(), access }, route));
        self
    }

    /// With what their handlers work on.
    pub fn with_state(self, state: S) -> Routes {
        Routes(self.0.into_iter().map(|(declared, route)| (declared, route.with_state(state.clone()))).collect())
    }
}

impl Routes {
    pub fn merge(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// What was declared of them.
    pub fn declared(&self) -> impl Iterator<Item = &Declared> {
        self.0.iter().map(|(declared, _)| declared)
    }

    /// The routes behind their guard, complete with the answers for what they do not have.
    pub fn guarded(self, identity: &Arc<Identity>) -> Router {
        let guarded = |router: Router, (declared, route): (Declared, MethodRouter)| {
            let guard = middleware::from_fn_with_state((identity.clone(), declared.access), admit);
            router.route(&declared.path, route.route_layer(guard))
        };
        layer::complete(self.0.into_iter().fold(Router::new(), guarded))
    }
}

/// Lets a request in, if whoever it comes from may do what it asks for; who that is goes with its trace.
async fn admit(State((identity, access)): State<(Arc<Identity>, Access)>, request: Request, next: Next) -> Response {
    let (mut parts, mut body) = request.into_parts();
    let actor = match access {
        Access::Everybody => Ok(Actor::Anonymous),
        Access::Context => {
            // It was collected on the way in (`serve`).
            let bytes = to_bytes(body, BODY_LIMIT).await.unwrap_or_default();
            body = Body::from(bytes.clone());
            identity.caller(&parts, &bytes).await
        }
        // Whoever asks how the shop is doing is answered also when nobody's token can be looked at.
        Access::Anybody => Ok(match bearer(&parts.headers) {
            Ok(Some(token)) => identity.holder(token).await.unwrap_or(Actor::Anonymous),
            _ => Actor::Anonymous,
        }),
        _ => match bearer(&parts.headers) {
            Ok(Some(token)) => identity.holder(token).await,
            Ok(None) => Ok(Actor::Anonymous),
            Err(problem) => return problem.into_response(),
        },
    };
    let admitted = actor.map_err(Problem::from).and_then(|actor| {
        access.admit(&actor, identity.now())?;
        Ok(actor)
    });
    match admitted {
        Ok(actor) => {
            if let Some(trace) = parts.extensions.get_mut::<Trace>() {
                trace.actor = actor;
            }
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// The token in the header (RFC 6750, section 2.1). It stands nowhere else: not in a query, which is logged, and not in a
/// cookie, which other sites' requests bring along.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = only_line(headers, &header::AUTHORIZATION)? else { return Ok(None) };
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
    });
    let malformed =
        || Problem::unauthenticated("`Authorization` must be `Bearer` and an access token.", Some("invalid_request"));
    token.filter(|token| !token.is_empty()).map(Some).ok_or_else(malformed)
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Token(why) => Self::unauthenticated(
                format!("The access token is not taken: {why}. Sign in again."),
                Some("invalid_token"),
            ),
            Refused::Call(why) => {
                let detail = format!("This is for contexts of the shop: {why}.");
                Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
                    .challenging(SCHEME.to_owned())
                    .caused_by(why)
            }
            Refused::Clock => {
                let detail = "It is more than a minute since the call was signed, or the clocks differ.";
                Self::new(StatusCode::UNAUTHORIZED, "clock", detail).challenging(SCHEME.to_owned()).caused_by(refused)
            }
            Refused::Failed(error) => error.into(),
        }
    }
}

/// The member who asks, on a route that lets nobody else in.
impl<S: Send + Sync> FromRequestParts<S> for Member {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let member = parts.extensions.get::<Trace>().and_then(|trace| trace.actor.member().cloned());
        member.ok_or_else(|| Problem::unauthenticated("Sign in first: POST /sessions.", None))
    }
}

impl Problem {
    /// 401: it is not known who asks. `error` is the code of RFC 6750, section 3.1, if there was anything wrong with what
    /// was sent.
    pub fn unauthenticated(detail: impl Into<String>, error: Option<&'static str>) -> Self {
        let challenge = error.map_or_else(String::new, |error| format!(", error=\"{error}\""));
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
            .challenging(format!("Bearer realm=\"mealkit\"{challenge}"))
    }

    /// 403: it is known who asks, and they may not.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
            .challenging("Bearer realm=\"mealkit\", error=\"insufficient_scope\"".to_owned())
    }
}
