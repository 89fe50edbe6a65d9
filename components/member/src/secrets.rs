//! What makes a copy of the database useless by itself: everything that is kept of a person is hashed or sealed with keys
//! that follow from one secret.

use chacha20poly1305::{KeyInit, XChaCha20Poly1305, aead::Aead};
use icu_normalizer::{ComposingNormalizer, ComposingNormalizerBorrowed};
use token::{base64url, mac};

const NFC: ComposingNormalizerBorrowed<'static> = ComposingNormalizer::new_nfc();

/// How long the number is that each seal has of its own, in bytes.
const NONCE: usize = 24;

/// A text as it was typed, whichever keyboard composed its characters or did not.
pub fn composed(text: &str) -> String {
    NFC.normalize(text).into_owned()
}

/// Random bytes, from the platform.
///
/// # Errors
/// When it has none: then nothing may go on.
pub fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// The secret that all others follow from.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    master: Vec<u8>,
}

impl Secrets {
    pub fn new(master: &str) -> Self {
        Self { master: master.as_bytes().to_vec() }
    }

    /// The key for this purpose.
    fn key(&self, purpose: &str) -> [u8; 32] {
        mac::of(&self.master, &[b"mealkit/member", purpose.as_bytes()])
    }

    /// What passwords are hashed with beside their salts.
    pub fn pepper(&self) -> [u8; 32] {
        self.key("pepper")
    }

    /// What an e-mail is found by. Case does not count: nobody tells two people apart by it.
    pub fn email_hash(&self, email: &str) -> String {
        let folded = composed(email.trim()).to_lowercase();
        base64url::encode(&mac::of(&self.key("e-mail"), &[folded.as_bytes()]))
    }

    /// The code in a refresh token.
    pub fn refresh(&self, session: &str, generation: u64) -> [u8; 32] {
        mac::of(&self.key("refresh"), &[session.as_bytes(), &generation.to_be_bytes()])
    }

    /// What a request is recognised by that had a password in it.
    pub fn fingerprint(&self, parts: &[&[u8]]) -> String {
        base64url::encode(&mac::of(&self.key("request"), parts))
    }

    /// Seals a text: each time it looks otherwise.
    ///
    /// # Errors
    /// When the platform has no random bytes.
    pub fn seal(&self, text: &str) -> Result<String, getrandom::Error> {
        let nonce = random::<NONCE>()?;
        // It fails only of a text of 256 GB.
        let sealed = self.cipher().encrypt(&nonce.into(), text.as_bytes()).unwrap_or_default();
        Ok(base64url::encode(&[nonce.as_slice(), &sealed].concat()))
    }

    /// Opens what was sealed; none, if that was not done with this secret.
    pub fn open(&self, sealed: &str) -> Option<String> {
        let bytes = base64url::decode(sealed)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>()?;
        String::from_utf8(self.cipher().decrypt(&(*nonce).into(), sealed).ok()?).ok()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.key("seal").into())
    }
}
