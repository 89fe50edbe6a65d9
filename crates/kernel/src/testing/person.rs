//! Who asks, in tests: tokens that are signed with a key of which every [`Native`](super::Native)'s log seems to tell.

use crate::actor::{Member, Role};
use contracts::{
    Event, SigningKeyPublished,
    ids::{KeyId, MemberId, SellerId, SessionId},
};
use std::sync::LazyLock;
use token::{AUDIENCE, Claims, ISSUER, SigningKey};

/// With what the tests' tokens are signed.
pub static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_seed(&[7; 32]));

/// What the log seems to say of the key.
pub(super) static PUBLISHED: LazyLock<Event> = LazyLock::new(|| {
    let key = KEY.public();
    SigningKeyPublished { kid: KeyId::new(key.kid()), public_key: key.to_string() }.into()
});

/// A member with these roles. A seller sells for `seller-1`.
pub fn person(id: &str, roles: &[Role]) -> Member {
    Member {
        id: MemberId::new(id),
        session: SessionId::new(format!("session-of-{id}")),
        roles: roles.to_vec(),
        seller: roles.contains(&Role::Seller).then(|| SellerId::new("seller-1")),
        // When the tests' clock begins.
        signed_in_at: 1_767_258_000,
    }
}

/// Whoever the samples are about, who may do everything: for tests that are not about who may do what.
pub fn everybody() -> Member {
    person("member-1", &Role::ALL)
}

/// What the header `Authorization` says of this member.
pub fn authorization(member: &Member) -> String {
    bearer(&claims(member))
}

/// The same of a service with this scope.
pub fn service(id: &str, scope: &str) -> String {
    let member = person(id, &[]);
    bearer(&Claims { scope: Some(scope.to_owned()), ..claims(&member) })
}

/// The same of whoever these claims are about.
pub fn bearer(claims: &Claims) -> String {
    format!("Bearer {}", token::sign(&KEY, claims).unwrap())
}

/// What a token says of this member.
pub fn claims(member: &Member) -> Claims {
    Claims {
        iss: ISSUER.into(),
        aud: AUDIENCE.into(),
        sub: member.id.to_string(),
        sid: member.session.to_string(),
        jti: "token-1".into(),
        iat: member.signed_in_at,
        exp: 4_000_000_000,
        auth_time: member.signed_in_at,
        seq: 0,
        roles: member.roles.clone(),
        seller_id: member.seller.as_ref().map(ToString::to_string),
        scope: None,
    }
}
