//! Who holds a token. Nobody is asked for it: the keys that tokens are signed with, what members may do, and which sessions
//! are over, all that stands in the log.

use crate::{
    actor::{Actor, Member, Role, Service},
    call::Keys,
    error::Error,
    log,
    platform::{Platform, Row, Value, unix_ms},
};
use axum::body::Bytes;
use contracts::{
    Event, EventType, MemberClosed, RolesChanged, SessionsRevoked, SigningKeyPublished, SigningKeyRetired,
    ids::{MemberId, SellerId, SessionId},
};
use http::request::Parts;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use token::{Claims, Invalid, PublicKey, Unverified};

/// How many verified tokens an instance remembers at most.
const REMEMBERED: usize = 1_024;

/// What says whether a key is good.
const OF_KEYS: [EventType; 2] = [SigningKeyPublished::TYPE, SigningKeyRetired::TYPE];
/// What says what has become of a member since a token was issued.
const OF_MEMBERS: [EventType; 3] = [SessionsRevoked::TYPE, RolesChanged::TYPE, MemberClosed::TYPE];

/// Why somebody is not taken for who they say they are.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("the token is not taken: {0}")]
    Token(&'static str),
    #[error("the call is not taken: {0}")]
    Call(&'static str),
    /// The shop signed it, at another time than it is here.
    #[error("the call is from another time")]
    Clock,
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<Invalid> for Refused {
    fn from(invalid: Invalid) -> Self {
        Self::Token(match invalid {
            Invalid::Malformed => "it is malformed",
            Invalid::Algorithm => "it is not signed as access tokens are here",
            Invalid::Issuer => "it is from another issuer",
            Invalid::Audience => "it is for somebody else",
            Invalid::Signature => "its signature does not fit",
            Invalid::Expired => "it has expired",
        })
    }
}

/// Finds out who asks, for one instance of a component.
pub struct Identity {
    platform: Arc<dyn Platform>,
    /// Tokens whose signature was found good. Whether they are still taken is asked of the log each time.
    verified: Mutex<BTreeMap<String, Verified>>,
    statement: String,
    keys: Arc<Keys>,
}

/// A token whose signature was found good.
#[derive(Clone)]
struct Verified {
    kid: String,
    claims: Claims,
}

/// What the log says about a token.
#[derive(Default)]
struct Said {
    key: Option<PublicKey>,
    retired: bool,
    closed: bool,
    revoked: Vec<SessionId>,
    roles: Option<(Vec<Role>, Option<SellerId>)>,
}

impl Identity {
    pub fn new(platform: Arc<dyn Platform>, keys: Arc<Keys>) -> Arc<Self> {
        let about = |types: &[EventType], which: &str| {
            format!(
                "SELECT type, version, data, seq FROM event INDEXED BY event_subject WHERE {which} AND type IN ({})",
                log::types(types.iter().copied())
            )
        };
        let statement = format!(
            "{} UNION ALL {} ORDER BY seq",
            about(&OF_KEYS, "subject = ?1"),
            about(&OF_MEMBERS, "subject = ?2 AND seq > ?3")
        );
        Arc::new(Self { platform, verified: Mutex::default(), statement, keys })
    }

    /// Now (Unix time, s).
    pub(crate) fn now(&self) -> i64 {
        unix_ms(self.platform.now()) / 1_000
    }

    /// Who holds this token.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn holder(&self, token: &str) -> Result<Actor, Refused> {
        let now = self.now();
        if let Some(Verified { kid, claims }) = self.remembered(token) {
            if claims.exp <= now {
                return Err(Invalid::Expired.into());
            }
            return self.ask(&kid, &claims.sub, claims.seq).await?.judge(claims);
        }
        let unverified = Unverified::parse(token)?;
        let said = self.ask(unverified.kid(), unverified.sub(), unverified.seq()).await?;
        let key = said.key.as_ref().ok_or(Refused::from(Invalid::Signature))?;
        let kid = unverified.kid().to_owned();
        let claims = unverified.verify(key, now)?;
        self.remember(token, Verified { kid, claims: claims.clone() }, now);
        said.judge(claims)
    }

    /// Which context makes this call.
    ///
    /// # Errors
    /// [`Refused`].
    pub(crate) async fn caller(&self, parts: &Parts, body: &Bytes) -> Result<Actor, Refused> {
        self.keys.caller(&parts.method, &parts.uri, &parts.headers, body).await.map(Actor::Context)
    }

    async fn ask(&self, kid: &str, subject: &str, seq: i64) -> Result<Said, Refused> {
        let parameters = vec![kid.into(), subject.into(), seq.into()];
        let rows = log::ask(&*self.platform, &self.statement, parameters).await?;
        let mut said = Said::default();
        for row in &rows {
            said.hear(event(row)?);
        }
        Ok(said)
    }

    fn remembered(&self, token: &str) -> Option<Verified> {
        self.verified.lock().ok()?.get(token).cloned()
    }

    fn remember(&self, token: &str, good: Verified, now: i64) {
        if let Ok(mut verified) = self.verified.lock() {
            if verified.len() >= REMEMBERED {
                verified.retain(|_, it| it.claims.exp > now);
            }
            if verified.len() < REMEMBERED {
                verified.insert(token.to_owned(), good);
            }
        }
    }
}

fn event(row: &Row) -> Result<Event, Error> {
    let [Value::Text(name), Value::Integer(version), Value::Text(data), ..] = row.as_slice() else {
        return Err(Error::Missing("a column"));
    };
    let types = [OF_KEYS.as_slice(), &OF_MEMBERS].concat();
    let event_type = EventType::find(&types, name).ok_or(Error::Missing("the type of an event"))?;
    Ok(event_type.read(u32::try_from(*version).unwrap_or(u32::MAX), data)?)
}

impl Said {
    fn hear(&mut self, event: Event) {
        match event {
            Event::SigningKeyPublished(e) => self.key = PublicKey::parse(&e.public_key).ok(),
            Event::SigningKeyRetired(_) => self.retired = true,
            Event::SessionsRevoked(e) => self.revoked.extend(e.sessions),
            Event::RolesChanged(e) => {
                self.roles = Some((e.roles.iter().filter_map(|role| Role::parse(role)).collect(), e.seller_id));
            }
            Event::MemberClosed(_) => self.closed = true,
            _ => {}
        }
    }

    /// Who the token is for, as it is by now.
    fn judge(self, claims: Claims) -> Result<Actor, Refused> {
        let Claims { sub, sid, roles, seller_id, scope, auth_time, .. } = claims;
        let session = SessionId::new(sid);
        if self.retired {
            return Err(Refused::Token("the key that signed it was retired"));
        }
        if self.closed || self.revoked.contains(&session) {
            return Err(Refused::Token("its session is over"));
        }
        let id = MemberId::new(sub);
        if let Some(scope) = scope {
            return Ok(Actor::Service(Service { id, scopes: scope.split(' ').map(str::to_owned).collect() }));
        }
        let (roles, seller) = self.roles.unwrap_or((roles, seller_id.map(SellerId::new)));
        Ok(Actor::Member(Member { id, session, roles, seller, signed_in_at: auth_time }))
    }
}
