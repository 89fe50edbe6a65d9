//! Sessions: signing in, and going on without doing it again.

use crate::{
    domain::{self, Account, Desk, Refresh, Refusal, Session},
    keys::{Keys, LIFE, Office},
    password::Password,
    store::{self, DeskKey},
    throttle,
};
use ::http::{HeaderMap, StatusCode};
use contracts::ids::{MemberId, SessionId};
use kernel::{Error, Failure, Trace, http::Problem};
use serde::Serialize;
use token::{AUDIENCE, Claims, ISSUER, base64url, mac};
use uuid::Uuid;

/// What whoever signs in gets (RFC 6749, section 5.1).
#[derive(Serialize)]
pub struct Grant {
    session_id: SessionId,
    member_id: MemberId,
    access_token: String,
    token_type: &'static str,
    /// In s.
    expires_in: i64,
    refresh_token: String,
}

/// Whether somebody knows the password of the account with this e-mail. It takes as long where there is none.
///
/// # Errors
/// 401 if not; 429 if too much was tried.
pub async fn authenticate(
    office: &Office,
    keys: &Keys,
    headers: &HeaderMap,
    email: &str,
    password: &str,
) -> Result<Account, Problem> {
    let (kernel, hash) = (&*office.kernel, keys.secrets.email_hash(email));
    throttle::admit(kernel, headers).await?;
    throttle::guess(kernel, &hash).await?;
    let account = match store::holder(kernel, &hash).await? {
        Some(member_id) => account(office, &member_id).await?,
        None => None,
    };
    if !verified(account.as_ref().map(|account| &account.password), password, keys)? {
        let detail = "There is no account with this e-mail and this password.";
        return Err(Problem::unauthenticated(detail, None));
    }
    throttle::knew(kernel, &hash).await?;
    account.ok_or_else(|| Refusal::Unknown.into())
}

/// Whether a member knows their own password, who has to say it again.
///
/// # Errors
/// 403 if not; 429 if too much was tried.
pub async fn confirm(
    office: &Office,
    keys: &Keys,
    headers: &HeaderMap,
    account: &Account,
    password: &str,
) -> Result<(), Problem> {
    throttle::admit(&office.kernel, headers).await?;
    throttle::guess(&office.kernel, &account.email_hash).await?;
    if !verified(Some(&account.password), password, keys)? {
        return Err(Problem::invalid_field("current_password", "is not the password of the account"));
    }
    throttle::knew(&office.kernel, &account.email_hash).await?;
    Ok(())
}

fn verified(kept: Option<&Password>, password: &str, keys: &Keys) -> Result<bool, Problem> {
    Password::verify(kept, password, &keys.secrets).map_err(|error| {
        Problem::unavailable("busy", "Nobody can be signed in at the moment. Try again.", 1).caused_by(error)
    })
}

/// An open account.
///
/// # Errors
/// When the database cannot be used.
pub async fn account(office: &Office, member_id: &MemberId) -> Result<Option<Account>, Error> {
    Ok(office.kernel.find::<domain::Person>(member_id).await?.and_then(|person| person.value.account))
}

/// Signs somebody in who was found to be who they say they are.
///
/// # Errors
/// Those of a command.
pub async fn begin(office: &Office, keys: &Keys, member_id: &MemberId, trace: &Trace) -> Result<Grant, Problem> {
    let now = office.now();
    let seq = office.kernel.catch_up().await?;
    #[expect(clippy::disallowed_methods, reason = "the session begins here")]
    let session_id = SessionId::from(Uuid::now_v7());
    let session = Session {
        session_id: session_id.clone(),
        member_id: member_id.clone(),
        generation: 1,
        refreshed_at: now,
        created_at: now,
    };
    let key = DeskKey::with_session(member_id, &session_id);
    let executed = office.kernel.conclude(&key, trace, None, |desk| domain::sign_in(desk, &session)).await?;
    grant(keys, executed.state.value.account()?, &session, seq, now)
}

/// Goes on with a session.
///
/// # Errors
/// 401 for a refresh token that is not taken; one that was used before ends its session.
pub async fn go_on(office: &Office, keys: &Keys, refresh_token: &str, trace: &Trace) -> Result<Grant, Problem> {
    let refused = || Problem::unauthenticated("The refresh token is not taken. Sign in again.", Some("invalid_grant"));
    let (session_id, generation) = read(keys, refresh_token).ok_or_else(refused)?;
    let now = office.now();
    let seq = office.kernel.catch_up().await?;
    let session = office.kernel.find::<Session>(&session_id).await?.ok_or_else(refused)?.value;
    let key = DeskKey::with_session(&session.member_id, &session_id);
    let stolen = std::sync::atomic::AtomicBool::new(false);
    let decide = |desk: &Desk| {
        let is_stolen = domain::refresh(desk, generation, now)? == Refresh::Stolen;
        stolen.store(is_stolen, std::sync::atomic::Ordering::SeqCst);
        domain::refreshed(desk, generation, now)
    };
    let executed = match office.kernel.conclude(&key, trace, None, decide).await {
        Err(Failure::Refused(Refusal::NotRefreshed)) => return Err(refused()),
        done => done?,
    };
    if stolen.into_inner() {
        return Err(refused());
    }
    let desk = executed.state.value;
    let session = desk.session.clone().ok_or_else(refused)?;
    grant(keys, desk.account()?, &session, seq, now)
}

fn grant(keys: &Keys, account: &Account, session: &Session, seq: i64, now: i64) -> Result<Grant, Problem> {
    let now = now / 1_000;
    #[expect(clippy::disallowed_methods, reason = "the token's own id")]
    let jti = Uuid::now_v7().to_string();
    let claims = Claims {
        iss: ISSUER.into(),
        aud: AUDIENCE.into(),
        sub: account.member_id.to_string(),
        sid: session.session_id.to_string(),
        jti,
        iat: now,
        exp: now.saturating_add(LIFE),
        auth_time: session.created_at / 1_000,
        seq,
        roles: account.roles.clone(),
        seller_id: account.seller_id.as_ref().map(ToString::to_string),
        scope: None,
    };
    Ok(Grant {
        session_id: session.session_id.clone(),
        member_id: account.member_id.clone(),
        access_token: token::sign(&keys.signing, &claims).map_err(Error::from)?,
        token_type: "Bearer",
        expires_in: LIFE,
        refresh_token: written(keys, &session.session_id, session.generation),
    })
}

/// A refresh token. It is its code that is secret, and that is made again whenever it is needed: so none is kept, and the
/// same one can be given twice.
fn written(keys: &Keys, session: &SessionId, generation: u64) -> String {
    format!("{session}.{generation}.{}", base64url::encode(&keys.secrets.refresh(session.as_str(), generation)))
}

fn read(keys: &Keys, text: &str) -> Option<(SessionId, u64)> {
    let mut parts = text.splitn(3, '.');
    let (session, number, code) = (parts.next()?, parts.next()?, parts.next()?);
    let generation = number.parse().ok().filter(|it: &u64| it.to_string() == number)?;
    let expected = keys.secrets.refresh(session, generation);
    let key = keys.secrets.pepper();
    let fits = mac::verify(&key, &[&base64url::decode(code)?], &mac::of(&key, &[&expected]));
    fits.then(|| (SessionId::new(session), generation))
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown => Self::not_found("There is no such member."),
            Refusal::NoSession => Self::not_found("There is no such session."),
            Refusal::NoService => Self::not_found("There is no such service."),
            Refusal::EmailTaken => Self::conflict("email-taken", "There is an account with this e-mail."),
            Refusal::NotRefreshed => {
                Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "The refresh token is not taken. Sign in again.")
            }
            Refusal::CodeUsed => Self::forbidden("The shop has had its first operator. Ask an operator for the role."),
        }
    }
}
