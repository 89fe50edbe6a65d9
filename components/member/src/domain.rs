//! Accounts and sessions, and what may become of them. Pure: what is secret comes in hashed or sealed.
//!
//! Unlike its siblings' decisions these give the state as well as the events: an event has ids and no more, for the log is
//! for ever and for everybody.

use crate::password::Password;
use contracts::{
    Event, MemberClosed, MemberRegistered, RolesChanged, SessionsRevoked,
    ids::{MemberId, SellerId, SessionId},
};
use serde::{Deserialize, Serialize};
use token::Role;

/// How many sessions a member has at most; the oldest ends.
const MOST_SESSIONS: usize = 20;
/// For how long a session is good that nobody uses, and at most, in ms.
pub const IDLE_MS: i64 = 30 * 24 * 3_600_000;
pub const LONGEST_MS: i64 = 90 * 24 * 3_600_000;
/// For how long a refresh token that was used is answered with the same successor again: whoever asked may not have got it.
pub const GRACE_MS: i64 = 10_000;

/// A member's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub member_id: MemberId,
    /// By what it is found: the hash of its e-mail.
    pub email_hash: String,
    /// Sealed.
    pub email: String,
    /// Sealed.
    pub name: String,
    pub password: Password,
    pub roles: Vec<Role>,
    /// For whom they sell, if they do.
    pub seller_id: Option<SellerId>,
    /// Those that are not over, the oldest first.
    pub sessions: Vec<SessionId>,
    pub created_at: String,
    pub updated_at: String,
}

/// An e-mail, as the hash that it is found by. It is whose account this is, or nobody's any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    pub hash: String,
    pub member_id: Option<MemberId>,
}

/// What is left of an account, or the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub member_id: MemberId,
    /// None: it was closed, and nothing is known of whoever it was.
    pub account: Option<Account>,
}

/// Somebody signed in somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub session_id: SessionId,
    pub member_id: MemberId,
    /// Which of its refresh tokens is the newest: they are counted, and none is kept.
    pub generation: u64,
    /// When that was made, and the first one (Unix time, ms).
    pub refreshed_at: i64,
    pub created_at: i64,
}

/// What a decision is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desk {
    pub person: Option<Person>,
    /// The addresses in question.
    pub addresses: Vec<Address>,
    pub session: Option<Session>,
    pub ring: Option<crate::keys::Ring>,
    pub service: Option<Service>,
}

/// A program outside the shop that has a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    pub service_id: MemberId,
    pub name: String,
    pub scopes: Vec<String>,
    pub session_id: SessionId,
    /// Until when its token is good (Unix time, s).
    pub expires_at: i64,
    pub created_at: String,
    pub revoked: bool,
}

/// Why something is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there is no such member")]
    Unknown,
    #[error("there is no such session")]
    NoSession,
    #[error("there is no such service")]
    NoService,
    /// Somebody has an account with this e-mail.
    #[error("there is an account with this e-mail")]
    EmailTaken,
    #[error("the refresh token is not taken")]
    NotRefreshed,
    /// Somebody used the code before.
    #[error("the shop has had its first operator")]
    CodeUsed,
}

/// What comes of a decision.
pub type Decided = Result<(Desk, Vec<Event>), Refusal>;

impl Desk {
    /// The account, if it is open.
    pub fn account(&self) -> Result<&Account, Refusal> {
        self.person.as_ref().and_then(|person| person.account.as_ref()).ok_or(Refusal::Unknown)
    }

    fn with(&self, account: Account) -> Self {
        let member_id = account.member_id.clone();
        Self { person: Some(Person { member_id, account: Some(account) }), ..self.clone() }
    }

    fn is_taken(&self, hash: &str) -> bool {
        self.addresses.iter().any(|address| address.hash == hash && address.member_id.is_some())
    }

    fn give(&mut self, hash: &str, member_id: Option<MemberId>) {
        self.addresses.retain(|address| address.hash != hash);
        self.addresses.push(Address { hash: hash.to_owned(), member_id });
        self.addresses.sort_by(|one, other| one.hash.cmp(&other.hash));
    }
}

/// Somebody signs up. Whoever does so as the first operator of the shop is that once.
pub fn sign_up(desk: &Desk, account: &Account) -> Decided {
    if desk.is_taken(&account.email_hash) {
        return Err(Refusal::EmailTaken);
    }
    let member_id = account.member_id.clone();
    let mut next = desk.with(account.clone());
    next.give(&account.email_hash, Some(member_id.clone()));
    if account.roles.contains(&Role::Operator) {
        let ring = next.ring.as_mut().filter(|ring| ring.first_operator.is_none()).ok_or(Refusal::CodeUsed)?;
        ring.first_operator = Some(member_id.clone());
    }
    let mut events = vec![MemberRegistered { member_id }.into()];
    if account.roles != [Role::Member] {
        events.push(roles_changed(account));
    }
    Ok((next, events))
}

/// Somebody signs in.
pub fn sign_in(desk: &Desk, session: &Session) -> Decided {
    let mut account = desk.account()?.clone();
    account.sessions.push(session.session_id.clone());
    let over = account.sessions.len().saturating_sub(MOST_SESSIONS);
    let ended: Vec<SessionId> = account.sessions.drain(..over).collect();
    let events = revoked(&account.member_id, ended);
    Ok((Desk { session: Some(session.clone()), ..desk.with(account) }, events))
}

/// What a refresh token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// For the next one, with this number.
    Next(u64),
    /// It was used a moment ago, and is good for the same again.
    Again(u64),
    /// It was used before, so somebody else has it: the session ends.
    Stolen,
}

/// What the refresh token of this generation is good for.
pub fn refresh(desk: &Desk, generation: u64, now_ms: i64) -> Result<Refresh, Refusal> {
    let session = desk.session.as_ref().ok_or(Refusal::NotRefreshed)?;
    let account = desk.account().map_err(|_| Refusal::NotRefreshed)?;
    let is_old =
        now_ms.saturating_sub(session.refreshed_at) > IDLE_MS || now_ms.saturating_sub(session.created_at) > LONGEST_MS;
    if is_old || !account.sessions.contains(&session.session_id) {
        return Err(Refusal::NotRefreshed);
    }
    match session.generation.checked_sub(generation) {
        None => Err(Refusal::NotRefreshed),
        Some(0) => Ok(Refresh::Next(generation.saturating_add(1))),
        Some(1) if now_ms.abs_diff(session.refreshed_at) <= GRACE_MS.unsigned_abs() => {
            Ok(Refresh::Again(session.generation))
        }
        Some(_) => Ok(Refresh::Stolen),
    }
}

/// The same, with what becomes of the session.
pub fn refreshed(desk: &Desk, generation: u64, now_ms: i64) -> Decided {
    match refresh(desk, generation, now_ms)? {
        Refresh::Next(generation) => {
            let session = desk.session.clone().map(|it| Session { generation, refreshed_at: now_ms, ..it });
            Ok((Desk { session, ..desk.clone() }, vec![]))
        }
        Refresh::Again(_) => Ok((desk.clone(), vec![])),
        Refresh::Stolen => {
            let session = desk.session.as_ref().map(|session| session.session_id.clone()).into_iter().collect();
            end(desk, session)
        }
    }
}

/// These sessions end, as far as they are the account's.
pub fn end(desk: &Desk, sessions: Vec<SessionId>) -> Decided {
    let mut account = desk.account()?.clone();
    let (ended, left) = account.sessions.into_iter().partition(|it| sessions.contains(it));
    account.sessions = left;
    let events = revoked(&account.member_id, ended);
    Ok((desk.with(account), events))
}

/// What a member changes of themselves. Whoever has another password, or is found by another e-mail, is signed out
/// everywhere but here.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Sealed.
    pub name: Option<String>,
    /// The hash that it is found by, and sealed.
    pub email: Option<(String, String)>,
    pub password: Option<Password>,
    /// From where it is changed.
    pub here: Option<SessionId>,
    pub time: String,
}

pub fn change(desk: &Desk, change: &Change) -> Decided {
    let mut account = desk.account()?.clone();
    let mut next = desk.clone();
    let Change { name, email, password, here, time } = change;
    if let Some((hash, sealed)) = email {
        if *hash != account.email_hash {
            if desk.is_taken(hash) {
                return Err(Refusal::EmailTaken);
            }
            next.give(&account.email_hash, None);
            next.give(hash, Some(account.member_id.clone()));
        }
        account.email_hash.clone_from(hash);
        account.email.clone_from(sealed);
    }
    if let Some(name) = name {
        account.name.clone_from(name);
    }
    let signs_out = email.is_some() || password.is_some();
    if let Some(password) = password {
        account.password = password.clone();
    }
    account.updated_at.clone_from(time);
    let mut ended = Vec::new();
    if signs_out {
        let (left, over) = account.sessions.into_iter().partition(|it| Some(it) == here.as_ref());
        (account.sessions, ended) = (left, over);
    }
    let events = revoked(&account.member_id, ended);
    Ok((next.with(account), events))
}

/// An operator says what a member may do.
pub fn assign(desk: &Desk, roles: &[Role], seller_id: Option<&SellerId>, time: &str) -> Decided {
    let mut account = desk.account()?.clone();
    let mut roles = roles.to_vec();
    roles.sort();
    roles.dedup();
    // Who sells for nobody else sells for themselves.
    let own = || SellerId::new(account.member_id.as_str());
    let seller_id = roles.contains(&Role::Seller).then(|| seller_id.cloned().unwrap_or_else(own));
    if (&account.roles, &account.seller_id) == (&roles, &seller_id) {
        return Ok((desk.clone(), vec![]));
    }
    account.roles = roles;
    account.seller_id = seller_id;
    account.updated_at = time.to_owned();
    let event = roles_changed(&account);
    Ok((desk.with(account), vec![event]))
}

/// The account is closed: of whoever it was nothing is left here.
pub fn close(desk: &Desk) -> Decided {
    let account = desk.account()?.clone();
    let member_id = account.member_id.clone();
    let mut next = desk.clone();
    next.give(&account.email_hash, None);
    next.person = Some(Person { member_id: member_id.clone(), account: None });
    let mut events = vec![MemberClosed { member_id: member_id.clone() }.into()];
    events.extend(revoked(&member_id, account.sessions));
    Ok((next, events))
}

/// A service's token is not taken any more.
pub fn dismiss(desk: &Desk) -> Decided {
    let service = desk.service.clone().ok_or(Refusal::NoService)?;
    if service.revoked {
        return Ok((desk.clone(), vec![]));
    }
    let events = revoked(&service.service_id, vec![service.session_id.clone()]);
    Ok((Desk { service: Some(Service { revoked: true, ..service }), ..desk.clone() }, events))
}

fn roles_changed(account: &Account) -> Event {
    RolesChanged {
        member_id: account.member_id.clone(),
        roles: account.roles.iter().map(Role::to_string).collect(),
        seller_id: account.seller_id.clone(),
    }
    .into()
}

fn revoked(member_id: &MemberId, sessions: Vec<SessionId>) -> Vec<Event> {
    if sessions.is_empty() {
        return vec![];
    }
    vec![SessionsRevoked { member_id: member_id.clone(), sessions }.into()]
}
