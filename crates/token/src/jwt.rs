//! JSON Web Signatures in their compact form (RFC 7515), and what is checked of them.

use crate::{AUDIENCE, Claims, ISSUER, PublicKey, SigningKey, base64url};
use serde::{Deserialize, Serialize};

/// A longer token than this is not even looked at, in bytes.
pub const LONGEST: usize = 4096;

const ALGORITHM: &str = "EdDSA";
const TYPE: &str = "at+jwt";

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It is no token of the form that ours have.
    #[error("it is malformed")]
    Malformed,
    #[error("it is not signed as access tokens are here")]
    Algorithm,
    #[error("it is from another issuer")]
    Issuer,
    #[error("it is for somebody else")]
    Audience,
    #[error("its signature does not fit")]
    Signature,
    #[error("it has expired")]
    Expired,
}

/// The header. A member that is not here is not understood, and `crit` least of all, so the token is not taken.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

/// The token that says this.
///
/// # Errors
/// When the claims cannot be written as JSON.
pub fn sign(key: &SigningKey, claims: &Claims) -> serde_json::Result<String> {
    let header = Header { alg: ALGORITHM.into(), typ: TYPE.into(), kid: key.public().kid() };
    let part = |json: String| base64url::encode(json.as_bytes());
    let signed = format!("{}.{}", part(serde_json::to_string(&header)?), part(serde_json::to_string(claims)?));
    let signature = base64url::encode(&key.sign(&signed));
    Ok(format!("{signed}.{signature}"))
}

/// A token that nobody has verified yet. What it says is good for finding out whom to ask, and for nothing else.
#[derive(Debug)]
pub struct Unverified<'a> {
    signed: &'a str,
    signature: [u8; 64],
    kid: String,
    claims: Claims,
}

impl<'a> Unverified<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`Invalid`], when no key could make it good.
    pub fn parse(token: &'a str) -> Result<Self, Invalid> {
        if token.len() > LONGEST {
            return Err(Invalid::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Invalid::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Invalid::Malformed)?;
        let Header { alg, typ, kid } = read(header)?;
        let is_type = typ.eq_ignore_ascii_case(TYPE) || typ.eq_ignore_ascii_case("application/at+jwt");
        if alg != ALGORITHM || !is_type {
            return Err(Invalid::Algorithm);
        }
        let signature = base64url::decode_array(signature).ok_or(Invalid::Malformed)?;
        Ok(Self { signed, signature, kid, claims: read(claims)? })
    }

    /// Which key it says to be signed with.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Whom it says to be for.
    pub fn sub(&self) -> &str {
        &self.claims.sub
    }

    /// Up to which event of the log it says to know everything.
    pub fn seq(&self) -> i64 {
        self.claims.seq
    }

    /// Until when it says to be good (Unix time, s).
    pub fn exp(&self) -> i64 {
        self.claims.exp
    }

    /// What it says, if this key signed it, it is one of ours, and good at this time (Unix time, s). It is not asked when it
    /// was issued: clocks jump.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn verify(self, key: &PublicKey, now: i64) -> Result<Claims, Invalid> {
        let Self { signed, signature, kid, claims } = self;
        if key.kid() != kid || !key.verify(signed, &signature) {
            Err(Invalid::Signature)
        } else if claims.iss != ISSUER {
            Err(Invalid::Issuer)
        } else if claims.aud != AUDIENCE {
            Err(Invalid::Audience)
        } else if claims.exp <= now {
            Err(Invalid::Expired)
        } else {
            Ok(claims)
        }
    }
}

fn read<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, Invalid> {
    let json = base64url::decode(part).ok_or(Invalid::Malformed)?;
    // By itself serde takes a struct from an array, too.
    if json.first() != Some(&b'{') {
        return Err(Invalid::Malformed);
    }
    serde_json::from_slice(&json).map_err(|_| Invalid::Malformed)
}
