//! What a token says.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Who issues tokens, and for whom they are: the shop.
pub const ISSUER: &str = "mealkit";
/// See [`ISSUER`].
pub const AUDIENCE: &str = "mealkit";

/// What somebody may be in the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Orders kits.
    Member,
    /// Registers kits, and prepares what is ordered.
    Seller,
    /// Brings them.
    Courier,
    /// Runs the shop.
    Operator,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Member, Self::Seller, Self::Courier, Self::Operator];

    /// The role of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Its name in tokens, events and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Seller => "seller",
            Self::Courier => "courier",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The claims of a token (RFC 9068, section 2.2). Times are in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    /// The member, or the service.
    pub sub: String,
    /// The session that it belongs to: when that is revoked, so is the token.
    pub sid: String,
    pub jti: String,
    pub iat: i64,
    pub exp: i64,
    /// When whoever it is for gave their password, or came from their identity provider.
    pub auth_time: i64,
    /// Up to which event of the log its issuer had read: only what came later can change what it says.
    pub seq: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seller_id: Option<String>,
    /// What a service may do, separated by spaces (RFC 8693, section 4.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

impl Claims {
    /// What every token says: whose it is, for which session, and from when until when. It allows nothing yet.
    pub fn new(sub: &str, sid: &str, iat: i64, exp: i64) -> Self {
        Self {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: sub.into(),
            sid: sid.into(),
            jti: sid.into(),
            iat,
            exp,
            auth_time: iat,
            seq: 0,
            roles: Vec::new(),
            seller_id: None,
            scope: None,
        }
    }
}
