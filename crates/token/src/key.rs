//! The keys that sign tokens.

use crate::{base64url, mac};
use ed25519_dalek::{Signature, Signer};
use serde_json::{Value, json};
use std::fmt;

/// This is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a key: 32 bytes in base64url are wanted")]
pub struct NotAKey;

/// Signs tokens. Its `Debug` shows only its id.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key that is made of these random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The key whose seed this is, in base64url.
    ///
    /// # Errors
    /// [`NotAKey`].
    pub fn parse(seed: &str) -> Result<Self, NotAKey> {
        base64url::decode_array(seed.trim()).map(|seed| Self::from_seed(&seed)).ok_or(NotAKey)
    }

    /// What its signatures are verified with.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, text: &str) -> [u8; 64] {
        self.0.sign(text.as_bytes()).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public().kid())
    }
}

/// Verifies tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

impl PublicKey {
    /// The key with this text.
    ///
    /// # Errors
    /// [`NotAKey`]; a weak point of the curve, under which anything can be made to fit, is none.
    pub fn parse(text: &str) -> Result<Self, NotAKey> {
        let bytes = base64url::decode_array(text).ok_or(NotAKey)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes).map_err(|_| NotAKey)?;
        if key.is_weak() { Err(NotAKey) } else { Ok(Self(key)) }
    }

    /// Its id: the thumbprint of its JWK (RFC 7638).
    pub fn kid(&self) -> String {
        let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{self}"}}"#);
        base64url::encode(&mac::sha256(jwk.as_bytes()))
    }

    /// As a JSON Web Key (RFC 8037, section 2).
    pub fn jwk(&self) -> Value {
        json!({
            "kty": "OKP", "crv": "Ed25519", "x": self.to_string(), "kid": self.kid(), "alg": "EdDSA", "use": "sig",
        })
    }

    /// Whether the key made this signature of the text; strictly: there is one signature of each text.
    pub(crate) fn verify(&self, text: &str, signature: &[u8; 64]) -> bool {
        self.0.verify_strict(text.as_bytes(), &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(self.0.as_bytes()))
    }
}
