//! Passwords: argon2id with what OWASP asks for (19 MiB, twice), a salt each, and a pepper
//! (<https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>).

use crate::secrets::{Secrets, composed, random};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use token::base64url;

/// How much memory a hash takes, in KiB, and how many times it goes over it.
const MEMORY: u32 = 19 * 1024;
const TIMES: u32 = 2;

/// A password, hashed, with how it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Password {
    memory: u32,
    times: u32,
    salt: String,
    hash: String,
}

/// It cannot be hashed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a password cannot be hashed")]
pub struct Unhashed;

impl Password {
    /// Hashes a new password. It takes some 35 ms, during which this thread does nothing else.
    ///
    /// # Errors
    /// When there is no memory, or the platform has no random bytes.
    pub fn hash(password: &str, secrets: &Secrets) -> Result<Self, Unhashed> {
        let salt = random::<16>().map_err(|_| Unhashed)?;
        let hash = hash(password, &salt, MEMORY, TIMES, secrets)?;
        Ok(Self { memory: MEMORY, times: TIMES, salt: base64url::encode(&salt), hash: base64url::encode(&hash) })
    }

    /// Whether it is this one; where there is none, the same work is done, and it is not.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn verify(kept: Option<&Self>, password: &str, secrets: &Secrets) -> Result<bool, Unhashed> {
        let (memory, times) = kept.map_or((MEMORY, TIMES), |it| (it.memory, it.times));
        let salt = kept.and_then(|it| base64url::decode(&it.salt)).unwrap_or(vec![0; 16]);
        let hash = hash(password, &salt, memory, times, secrets)?;
        // Compared as codes, which takes as long whatever is right of it.
        let expected = kept.and_then(|it| base64url::decode(&it.hash)).unwrap_or_default();
        let key = secrets.pepper();
        Ok(token::mac::verify(&key, &[&hash], &token::mac::of(&key, &[&expected])) && kept.is_some())
    }
}

fn hash(password: &str, salt: &[u8], memory: u32, times: u32, secrets: &Secrets) -> Result<[u8; 32], Unhashed> {
    let params = Params::new(memory, times, 1, None).map_err(|_| Unhashed)?;
    let pepper = secrets.pepper();
    let argon2 = Argon2::new_with_secret(&pepper, Algorithm::Argon2id, Version::V0x13, params).map_err(|_| Unhashed)?;
    let mut hash = [0; 32];
    argon2.hash_password_into(composed(password).as_bytes(), salt, &mut hash).map_err(|_| Unhashed)?;
    Ok(hash)
}

/// Passwords that are guessed first, of those that are long enough. (The rules follow NIST SP 800-63B, section 3.1.1: length
/// counts, and that nobody guesses it at once.)
const COMMON: &[&str] = &[
    "password",
    "12345678",
    "123456789",
    "1234567890",
    "qwertyuiop",
    "qwerty123",
    "password1",
    "iloveyou",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "superman",
    "trustno1",
    "11111111",
    "00000000",
    "87654321",
    "abcd1234",
    "abc12345",
    "1q2w3e4r",
    "qwer1234",
    "asdf1234",
    "1qaz2wsx",
    "zaq12wsx",
    "password123",
    "passw0rd",
    "letmein1",
    "welcome1",
    "admin123",
    "mealkit1",
    "mealkit123",
    "88888888",
    "12341234",
    "11223344",
    "asdfasdf",
    "qwerqwer",
    "asdfghjkl",
    "zxcvbnm1",
    "dragon12",
    "computer",
    "internet",
    "whatever",
    "starwars",
    "michelle",
    "jennifer",
];

/// Whether a password is guessed at once.
pub fn is_common(password: &str) -> bool {
    let folded = password.to_lowercase();
    let mut characters = folded.chars();
    let first = characters.next();
    COMMON.contains(&folded.as_str()) || characters.all(|it| Some(it) == first)
}

#[cfg(test)]
mod tests {
    use super::{Password, Unhashed, is_common};
    use crate::secrets::Secrets;

    #[test]
    fn a_password_is_known_again_by_whoever_has_the_secret_and_however_it_is_typed() -> Result<(), Unhashed> {
        let secrets = Secrets::new("a secret");
        let kept = Password::hash("caf\u{e9} crème", &secrets)?;
        assert!(Password::verify(Some(&kept), "cafe\u{301} crème", &secrets)?);
        assert!(!Password::verify(Some(&kept), "Caf\u{e9} crème", &secrets)?);
        assert!(!Password::verify(Some(&kept), "caf\u{e9} crème", &Secrets::new("another"))?);
        assert!(!Password::verify(None, "", &secrets)?, "nobody has no password");
        assert_ne!(kept, Password::hash("caf\u{e9} crème", &secrets)?, "each has a salt of its own");
        Ok(())
    }

    #[test]
    fn what_is_guessed_first_is_none() {
        assert!(is_common("PassWord") && is_common("11111111") && is_common("ㅋㅋㅋㅋㅋㅋㅋㅋ"));
        assert!(!is_common("a good password"));
    }
}
