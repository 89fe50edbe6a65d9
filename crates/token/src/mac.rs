//! What whoever knows a secret can make, and nobody else: HMAC-SHA256 (RFC 2104).

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::{Digest, Sha256};

/// The code of these parts under a key. Each part counts with its length, so that no other parts have the same code.
pub fn of(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    coded(key, parts).finalize().into_bytes().into()
}

/// Whether this is the code of these parts under the key. How long it takes does not tell how much of it is right.
pub fn verify(key: &[u8], parts: &[&[u8]], code: &[u8]) -> bool {
    coded(key, parts).verify_slice(code).is_ok()
}

fn coded(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    // A longer key than a block is hashed, as the RFC has it, so that no key is too long.
    let mut block = [0_u8; 64];
    let hashed = sha256(key);
    let key = if key.len() > block.len() { &hashed[..] } else { key };
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut code = Hmac::<Sha256>::new(&block.into());
    for part in parts {
        code.update(&(part.len() as u64).to_be_bytes());
        code.update(part);
    }
    code
}

/// The SHA-256 of these bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
