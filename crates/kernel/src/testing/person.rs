//! Who asks, in tests: tokens that are signed with a key of which every [`Native`](super::Native)'s log seems to tell.

use crate::actor::{Member, Role};
use contracts::{Event, SigningKeyPublished, ids::KeyId};
use token::{AUDIENCE, Claims, ISSUER, SigningKey};

fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

/// What the log seems to say of the key.
pub(super) fn published() -> Event {
    let key = key().public();
    SigningKeyPublished { kid: KeyId::new(key.kid()), public_key: key.to_string() }.into()
}

/// A member with these roles. A seller sells for `seller-1`.
pub fn person(id: &str, roles: &[Role]) -> Member {
    let member: Member = Member {
        id: contracts::ids::MemberId::new(id),
        session: contracts::ids::SessionId::new(format!("session-of-{id}")),
        roles: roles.to_vec(),
        seller: None,
        // The test's clock says about that.
        signed_in_at: 1_767_258_000,
    };
    let seller = member.is(Role::Seller).then(|| contracts::ids::SellerId::new("seller-1"));
    Member { seller, ..member }
}

/// Whoever the samples are about, who may do everything: for tests that are not about who may do what.
pub fn everybody() -> Member {
    person("member-1", &Role::ALL)
}

/// The header with this member's token.
pub fn authorization(member: &Member) -> String {
    let claims = Claims {
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
    };
    format!("Bearer {}", token::sign(&key(), &claims).unwrap())
}
