//! Base64url without padding (RFC 4648, section 5), as JOSE has it. Each value has one text: whatever else would mean the
//! same is refused.

use base64ct::{Base64UrlUnpadded, Encoding};

/// The text of these bytes.
pub fn encode(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// The bytes of this text, if it is one that [`encode`] makes.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(text).ok()
}

/// The same where so many bytes are wanted.
pub fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}
