//! Routes -> decisions and queries.

use crate::{
    Members,
    domain::{self, Account, Change, Refusal, Service},
    keys::{Keys, Office},
    password::{Password, is_common},
    sign_in,
    store::{self, DeskKey},
    throttle,
};
use ::http::{HeaderMap, StatusCode};
use axum::extract::{Path, State};
use contracts::ids::{MemberId, SellerId, SessionId};
use kernel::{
    Attempt, Error, Failure, Kernel, Trace, Versioned,
    actor::{Member, Role},
    http::{Access, Answer, Body, Checks, FieldError, Key, Page, Problem, Query, Routes, integer, patched},
    platform::{timestamp, timestamp_of},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use token::{AUDIENCE, Claims, ISSUER, mac};
use uuid::Uuid;

/// What a service may be allowed to do.
const SCOPES: [&str; 5] = ["events", "metrics", "catch-up", "dead-letters", "rebuild"];

pub fn routes(kernel: Arc<Kernel<Members>>) -> Routes {
    const OPERATOR: Access = Access::Roles(&[Role::Operator]);
    const RECENT: Access = Access::Recent(&[Role::Operator]);
    Routes::new()
        .post("/members", Access::Everybody, sign_up)
        .get("/members", OPERATOR, find)
        .get("/members/me", Access::SignedIn, me)
        .patch("/members/me", Access::SignedIn, change)
        .delete("/members/me", Access::SignedIn, close)
        .get("/members/{id}", OPERATOR, show)
        .put("/members/{id}/roles", RECENT, assign)
        .post("/sessions", Access::Everybody, begin)
        .get("/sessions", Access::SignedIn, sessions)
        .post("/sessions/refresh", Access::Everybody, refresh)
        .delete("/sessions/{id}", Access::SignedIn, end)
        .post("/services", RECENT, hire)
        .get("/services", OPERATOR, services)
        .delete("/services/{id}", RECENT, dismiss)
        .post("/signing-keys", RECENT, rotate)
        .get("/.well-known/jwks.json", Access::Everybody, jwks)
        .with_state(Office::new(kernel))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignUp {
    email: String,
    password: String,
    name: String,
    /// The code that the deployment gives its first operator.
    first_operator: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    email: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refresh {
    refresh_token: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    #[serde(default, deserialize_with = "patched")]
    name: Option<String>,
    #[serde(default, deserialize_with = "patched")]
    email: Option<String>,
    #[serde(default, deserialize_with = "patched")]
    password: Option<String>,
    #[serde(default, deserialize_with = "patched")]
    current_password: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Closing {
    current_password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Roles {
    roles: Vec<String>,
    seller_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hiring {
    name: String,
    scopes: Vec<String>,
    #[serde(default = "ninety", deserialize_with = "integer")]
    days: i64,
}

fn ninety() -> i64 {
    90
}

/// A member as they and operators see them.
#[derive(Serialize)]
struct View<'a> {
    id: &'a MemberId,
    email: String,
    name: String,
    roles: &'a [Role],
    seller_id: Option<&'a SellerId>,
    created_at: &'a str,
    updated_at: &'a str,
}

/// A session as its member sees it.
#[derive(Serialize)]
struct SessionView<'a> {
    id: &'a SessionId,
    created_at: String,
    refreshed_at: String,
    /// Whether it is the one that asks.
    current: bool,
}

/// A service as operators see it.
#[derive(Serialize)]
struct ServiceView<'a> {
    id: &'a MemberId,
    name: &'a str,
    scopes: &'a [String],
    expires_at: String,
    revoked: bool,
    created_at: &'a str,
}

async fn sign_up(
    State(office): State<Arc<Office>>,
    trace: Trace,
    headers: HeaderMap,
    Key(key): Key,
    Body(request): Body<SignUp>,
) -> Result<Answer, Problem> {
    let mut checks = Checks::default();
    check_email(&mut checks, &request.email);
    check_password(&mut checks, "password", &request.password);
    checks.text("name", &request.name, 1..=100);
    checks.done()?;
    let keys = office.keys().await?;
    let is_operator = match &request.first_operator {
        None => false,
        Some(code) => is_first_operator(&office, &keys, code).await.then_some(true).ok_or_else(|| {
            Problem::forbidden("`first_operator` is not the code that the deployment has for its first operator.")
        })?,
    };
    throttle::admit(&office.kernel, &headers).await?;
    let hash = keys.secrets.email_hash(&request.email);
    #[expect(clippy::disallowed_methods, reason = "the member begins here")]
    let member_id = MemberId::from(Uuid::now_v7());
    let time = timestamp(office.kernel.platform().now());
    let roles = if is_operator { vec![Role::Member, Role::Operator] } else { vec![Role::Member] };
    let account = Account {
        member_id: member_id.clone(),
        email_hash: hash.clone(),
        email: seal(&keys, request.email.trim())?,
        name: seal(&keys, &request.name)?,
        password: hashed(&request.password, &keys)?,
        roles,
        seller_id: None,
        sessions: vec![],
        created_at: time.clone(),
        updated_at: time,
    };
    // It had a password in it, so what is kept of it is a code that nobody without the secret can guess at.
    let parts = [request.email.as_bytes(), request.password.as_bytes(), request.name.as_bytes()];
    let fingerprint = keys.secrets.fingerprint(&parts);
    let attempt = key.map(|key| Attempt::new(&trace, &key, &fingerprint, member_id.as_str())).transpose()?;
    let desk = DeskKey::with_addresses(&member_id, vec![hash]).and_ring(is_operator);
    let trace = trace.by(kernel::actor::Actor::Anonymous);
    let done = office.kernel.conclude(&desk, &trace, attempt.as_ref(), |desk| domain::sign_up(desk, &account)).await;
    let done = match (done, &attempt) {
        (Err(failure @ (Failure::KeyTaken | Failure::Refused(_))), Some(attempt)) => {
            let Some(id) = office.kernel.made_before(attempt).await? else { return Err(failure.into()) };
            let earlier = find_open(&office, &MemberId::new(id)).await?;
            return created(&keys, &earlier);
        }
        (done, _) => done?,
    };
    created(&keys, done.state.value.account()?)
}

fn created(keys: &Keys, account: &Account) -> Result<Answer, Problem> {
    let location = format!("/members/{}", account.member_id);
    Ok(Answer::json(StatusCode::CREATED, View::of(account, keys)?).location(location))
}

/// Whether this is the code that the deployment gives its first operator.
async fn is_first_operator(office: &Office, keys: &Keys, code: &str) -> bool {
    let wanted = office.kernel.platform().variable("first_operator").await.filter(|wanted| !wanted.is_empty());
    let key = keys.secrets.pepper();
    wanted.is_some_and(|wanted| mac::verify(&key, &[code.as_bytes()], &mac::of(&key, &[wanted.as_bytes()])))
}

async fn begin(
    State(office): State<Arc<Office>>,
    trace: Trace,
    headers: HeaderMap,
    Body(Credentials { email, password }): Body<Credentials>,
) -> Result<Answer, Problem> {
    let keys = office.keys().await?;
    let account = sign_in::authenticate(&office, &keys, &headers, &email, &password).await?;
    let grant = sign_in::begin(&office, &keys, &account.member_id, &trace).await?;
    Ok(Answer::json(StatusCode::CREATED, grant))
}

async fn refresh(
    State(office): State<Arc<Office>>,
    trace: Trace,
    Body(Refresh { refresh_token }): Body<Refresh>,
) -> Result<Answer, Problem> {
    let keys = office.keys().await?;
    Ok(Answer::ok(sign_in::go_on(&office, &keys, &refresh_token, &trace).await?))
}

async fn sessions(State(office): State<Arc<Office>>, member: Member) -> Result<Answer, Problem> {
    let account = find_open(&office, &member.id).await?;
    let mut found = Vec::new();
    for id in account.sessions.iter().rev() {
        found.extend(office.kernel.find::<domain::Session>(id).await?.map(|session| session.value));
    }
    let view = |session: &domain::Session| {
        json!(SessionView {
            id: &session.session_id,
            created_at: timestamp_of(session.created_at),
            refreshed_at: timestamp_of(session.refreshed_at),
            current: session.session_id == member.session,
        })
    };
    Ok(Answer::ok(json!({"items": found.iter().map(view).collect::<Vec<_>>(), "next": null})))
}

async fn end(
    State(office): State<Arc<Office>>,
    trace: Trace,
    member: Member,
    Path(id): Path<SessionId>,
) -> Result<Answer, Problem> {
    let decide = |desk: &domain::Desk| {
        let is_there = desk.account()?.sessions.contains(&id);
        if is_there { domain::end(desk, vec![id.clone()]) } else { Err(Refusal::NoSession) }
    };
    office.kernel.conclude(&DeskKey::of(&member.id), &trace, None, decide).await?;
    Ok(Answer::done())
}

async fn me(State(office): State<Arc<Office>>, member: Member) -> Result<Answer, Problem> {
    shown(&office, &member.id).await
}

async fn show(State(office): State<Arc<Office>>, Path(id): Path<MemberId>) -> Result<Answer, Problem> {
    shown(&office, &id).await
}

/// `GET /members?email=`: the one whose e-mail it is.
async fn find(State(office): State<Arc<Office>>, query: Query) -> Result<Answer, Problem> {
    let listing = query.listing(&["email"])?;
    let Some(email) = listing.filter("email") else {
        let errors = vec![FieldError { field: "email".into(), message: "say whose account you look for".into() }];
        return Err(Problem::malformed("`email` is missing.").with_errors(errors));
    };
    let keys = office.keys().await?;
    let holder = store::holder(&office.kernel, &keys.secrets.email_hash(email)).await?;
    let found = match &holder {
        Some(id) => sign_in::account(&office, id).await?,
        None => None,
    };
    let views = found.iter().map(|account| View::of(account, &keys)).collect::<Result<Vec<_>, _>>()?;
    Ok(Answer::ok(Page::new(views, &listing, |view| view.id.to_string())))
}

async fn change(
    State(office): State<Arc<Office>>,
    trace: Trace,
    headers: HeaderMap,
    member: Member,
    Body(patch): Body<Patch>,
) -> Result<Answer, Problem> {
    let mut checks = Checks::default();
    if let Some(name) = &patch.name {
        checks.text("name", name, 1..=100);
    }
    if let Some(email) = &patch.email {
        check_email(&mut checks, email);
    }
    if let Some(password) = &patch.password {
        check_password(&mut checks, "password", password);
    }
    let needs_password = patch.email.is_some() || patch.password.is_some();
    let is_said = !needs_password || patch.current_password.is_some();
    checks.rule("current_password", is_said, "is needed for another e-mail or password");
    checks.done()?;
    let keys = office.keys().await?;
    let account = find_open(&office, &member.id).await?;
    if needs_password && let Some(current) = &patch.current_password {
        sign_in::confirm(&office, &keys, &headers, &account, current).await?;
    }
    let email = match &patch.email {
        Some(email) => Some((keys.secrets.email_hash(email), seal(&keys, email.trim())?)),
        None => None,
    };
    let change = Change {
        name: patch.name.as_deref().map(|name| seal(&keys, name)).transpose()?,
        password: patch.password.as_deref().map(|password| hashed(password, &keys)).transpose()?,
        here: Some(member.session.clone()),
        time: timestamp(office.kernel.platform().now()),
        email,
    };
    let mut addresses = vec![account.email_hash.clone()];
    addresses.extend(change.email.as_ref().map(|(hash, _)| hash.clone()).filter(|hash| *hash != account.email_hash));
    let desk = DeskKey::with_addresses(&member.id, addresses);
    let done = office.kernel.conclude(&desk, &trace, None, |desk| domain::change(desk, &change)).await?;
    let Versioned { version, value } = done.state;
    Ok(Answer::ok(View::of(value.account()?, &keys)?).version(version))
}

async fn close(
    State(office): State<Arc<Office>>,
    trace: Trace,
    headers: HeaderMap,
    member: Member,
    Body(Closing { current_password }): Body<Closing>,
) -> Result<Answer, Problem> {
    let keys = office.keys().await?;
    let account = find_open(&office, &member.id).await?;
    sign_in::confirm(&office, &keys, &headers, &account, &current_password).await?;
    let open = open_orders(&office, &member.id).await?;
    if !open.is_empty() {
        let detail = "Some orders are still on their way. Wait for them, or cancel them; see `orders`.";
        return Err(Problem::conflict("open-orders", detail).with("orders", open));
    }
    let desk = DeskKey::with_addresses(&member.id, vec![account.email_hash.clone()]);
    office.kernel.conclude(&desk, &trace, None, domain::close).await?;
    Ok(Answer::done())
}

/// The orders of a member that something may still become of: order is asked.
async fn open_orders(office: &Office, member_id: &MemberId) -> Result<Vec<String>, Problem> {
    let platform = office.kernel.platform();
    let url = platform.variable("order_url").await.unwrap_or_else(|| "http://order.spin.internal".into());
    let unavailable = |cause: String| {
        Problem::unavailable("orders-unavailable", "It is not known whether there are open orders. Try again.", 2)
            .caused_by(cause)
    };
    let path = contracts::open_orders::PATH;
    let request = ::http::Request::get(format!("{url}{path}?member_id={member_id}"))
        .body(axum::body::Bytes::new())
        .map_err(|error| unavailable(error.to_string()))?;
    let answer = office.kernel.keys().send(request).await.map_err(unavailable)?;
    if !answer.status().is_success() {
        return Err(unavailable(format!("order said {}", answer.status())));
    }
    serde_json::from_slice(answer.body()).map_err(|error| unavailable(error.to_string()))
}

async fn assign(
    State(office): State<Arc<Office>>,
    trace: Trace,
    Path(id): Path<MemberId>,
    Body(Roles { roles, seller_id }): Body<Roles>,
) -> Result<Answer, Problem> {
    let parsed: Vec<Role> = roles.iter().filter_map(|role| Role::parse(role)).collect();
    let mut checks = Checks::default();
    checks.rule("roles", parsed.len() == roles.len(), "must be some of member, seller, courier, operator");
    if let Some(seller_id) = &seller_id {
        checks.id("seller_id", seller_id);
        checks.rule("seller_id", parsed.contains(&Role::Seller), "is for those with the role seller");
    }
    checks.done()?;
    let (seller_id, keys) = (seller_id.map(SellerId::new), office.keys().await?);
    let time = timestamp(office.kernel.platform().now());
    let decide = |desk: &domain::Desk| domain::assign(desk, &parsed, seller_id.as_ref(), &time);
    let done = office.kernel.conclude(&DeskKey::of(&id), &trace, None, decide).await?;
    let Versioned { version, value } = done.state;
    Ok(Answer::ok(View::of(value.account()?, &keys)?).version(version))
}

async fn hire(
    State(office): State<Arc<Office>>,
    trace: Trace,
    Body(Hiring { name, mut scopes, days }): Body<Hiring>,
) -> Result<Answer, Problem> {
    let mut checks = Checks::default();
    checks.text("name", &name, 1..=100);
    checks.range("days", days, 1..=365);
    let known = !scopes.is_empty() && scopes.iter().all(|scope| SCOPES.contains(&scope.as_str()));
    checks.rule("scopes", known, format!("must be some of {}", SCOPES.join(", ")));
    checks.done()?;
    scopes.sort();
    scopes.dedup();
    let keys = office.keys().await?;
    let seq = office.kernel.catch_up().await?;
    let now = office.now() / 1_000;
    #[expect(clippy::disallowed_methods, reason = "the service begins here")]
    let (service_id, session_id) = (MemberId::from(Uuid::now_v7()), SessionId::from(Uuid::now_v7()));
    let service = Service {
        service_id: service_id.clone(),
        name,
        session_id: session_id.clone(),
        expires_at: now.saturating_add(days.saturating_mul(24 * 3_600)),
        created_at: timestamp(office.kernel.platform().now()),
        revoked: false,
        scopes,
    };
    let claims = Claims {
        iss: ISSUER.into(),
        aud: AUDIENCE.into(),
        sub: service_id.to_string(),
        sid: session_id.to_string(),
        jti: session_id.to_string(),
        iat: now,
        exp: service.expires_at,
        auth_time: now,
        seq,
        roles: vec![],
        seller_id: None,
        scope: Some(service.scopes.join(" ")),
    };
    office.outlive(&keys.signing.public().kid(), service.expires_at, &trace).await?;
    let key = DeskKey::service(&service_id);
    let hired = |desk: &domain::Desk| Ok((domain::Desk { service: Some(service.clone()), ..desk.clone() }, vec![]));
    office.kernel.conclude(&key, &trace, None, hired).await?;
    let mut body = json!(ServiceView::of(&service));
    if let Some(body) = body.as_object_mut() {
        let token = token::sign(&keys.signing, &claims).map_err(Error::from)?;
        body.insert("token".into(), token.into());
    }
    Ok(Answer::json(StatusCode::CREATED, body))
}

async fn services(State(office): State<Arc<Office>>, query: Query) -> Result<Answer, Problem> {
    let listing = query.listing(&[])?;
    let services = store::services(&office.kernel, &listing).await?;
    let views = services.iter().map(|service| ServiceView::of(&service.value)).collect();
    Ok(Answer::ok(Page::new(views, &listing, |view: &ServiceView<'_>| view.id.to_string())))
}

async fn dismiss(State(office): State<Arc<Office>>, trace: Trace, Path(id): Path<MemberId>) -> Result<Answer, Problem> {
    office.kernel.conclude(&DeskKey::service(&id), &trace, None, domain::dismiss).await?;
    Ok(Answer::done())
}

async fn rotate(State(office): State<Arc<Office>>, trace: Trace) -> Result<Answer, Problem> {
    let keys = office.rotate(&trace).await?;
    Ok(Answer::json(StatusCode::CREATED, keys.signing.public().jwk()))
}

/// RFC 7517. The contexts need it not: they read the log.
async fn jwks(State(office): State<Arc<Office>>) -> Result<Answer, Problem> {
    let keys = office.public().await?;
    Ok(Answer::ok(json!({"keys": keys.iter().map(token::PublicKey::jwk).collect::<Vec<_>>()})).public())
}

async fn find_open(office: &Office, id: &MemberId) -> Result<Account, Problem> {
    Ok(sign_in::account(office, id).await?.ok_or(Refusal::Unknown)?)
}

async fn shown(office: &Office, id: &MemberId) -> Result<Answer, Problem> {
    let keys = office.keys().await?;
    let person = office.kernel.find::<domain::Person>(id).await?.ok_or(Refusal::Unknown)?;
    let account = person.value.account.ok_or(Refusal::Unknown)?;
    Ok(Answer::ok(View::of(&account, &keys)?).version(person.version))
}

impl<'a> View<'a> {
    fn of(account: &'a Account, keys: &Keys) -> Result<Self, Problem> {
        let open = |sealed: &str| keys.secrets.open(sealed).ok_or(Error::Missing("the secret that it was sealed with"));
        Ok(Self {
            id: &account.member_id,
            email: open(&account.email)?,
            name: open(&account.name)?,
            roles: &account.roles,
            seller_id: account.seller_id.as_ref(),
            created_at: &account.created_at,
            updated_at: &account.updated_at,
        })
    }
}

impl<'a> ServiceView<'a> {
    fn of(service: &'a Service) -> Self {
        Self {
            id: &service.service_id,
            name: &service.name,
            scopes: &service.scopes,
            expires_at: timestamp_of(service.expires_at.saturating_mul(1_000)),
            revoked: service.revoked,
            created_at: &service.created_at,
        }
    }
}

fn seal(keys: &Keys, text: &str) -> Result<String, Problem> {
    keys.secrets.seal(text).map_err(|error| {
        Problem::unavailable("no-randomness", "Nothing can be kept safe at the moment. Try again.", 5).caused_by(error)
    })
}

fn hashed(password: &str, keys: &Keys) -> Result<Password, Problem> {
    Password::hash(password, &keys.secrets).map_err(|error| {
        Problem::unavailable("busy", "No password can be kept at the moment. Try again.", 1).caused_by(error)
    })
}

fn check_email(checks: &mut Checks, email: &str) {
    let email = email.trim();
    let parts = email.rsplit_once('@').filter(|(name, host)| !name.is_empty() && !host.is_empty());
    let is_text = email.chars().all(|c| !c.is_control() && !c.is_whitespace());
    let fits = email.len() <= 254 && is_text && parts.is_some();
    checks.rule("email", fits, "must be an e-mail address of at most 254 bytes");
}

fn check_password(checks: &mut Checks, field: &str, password: &str) {
    let length = password.chars().count();
    checks.rule(field, (8..=128).contains(&length), "must have 8 to 128 characters");
    checks.rule(field, !is_common(password), "is one of those that are guessed first");
}
