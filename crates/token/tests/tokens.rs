//! Tokens that must not be taken, one by one.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;
use serde_json::{Value, json};
use token::{Claims, Invalid, PublicKey, Role, SigningKey, Unverified, base64url, mac, sign};

const NOW: i64 = 1_800_000_000;

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

fn claims() -> Claims {
    Claims {
        iss: "mealkit".into(),
        aud: "mealkit".into(),
        sub: "member-1".into(),
        sid: "session-1".into(),
        jti: "token-1".into(),
        iat: NOW,
        exp: NOW + 600,
        auth_time: NOW,
        seq: 7,
        roles: vec![Role::Member, Role::Seller],
        seller_id: Some("seller-1".into()),
        scope: None,
    }
}

fn verify(token: &str, key: &PublicKey, now: i64) -> Result<Claims, Invalid> {
    Unverified::parse(token)?.verify(key, now)
}

/// A token with another header and other claims, signed all the same.
fn made(header: &Value, claims: &Value) -> String {
    let part = |json: &Value| base64url::encode(json.to_string().as_bytes());
    let signed = format!("{}.{}", part(header), part(claims));
    // The signature of what is signed here is had by signing it as another token would be: there is no other way in.
    format!("{signed}.{}", base64url::encode(&raw_signature(&signed)))
}

fn raw_signature(text: &str) -> [u8; 64] {
    use ed25519_dalek::Signer;
    ed25519_dalek::SigningKey::from_bytes(&[1; 32]).sign(text.as_bytes()).to_bytes()
}

fn header() -> Value {
    json!({"alg": "EdDSA", "typ": "at+jwt", "kid": key(1).public().kid()})
}

fn with(mut object: Value, field: &str, value: Value) -> Value {
    object[field] = value;
    object
}

#[test]
fn what_was_signed_is_read() {
    let token = sign(&key(1), &claims()).unwrap();
    assert_eq!(verify(&token, &key(1).public(), NOW), Ok(claims()));
    let unverified = Unverified::parse(&token).unwrap();
    assert_eq!((unverified.kid(), unverified.sub(), unverified.seq()), (&*key(1).public().kid(), "member-1", 7));
    let rebuilt = made(&header(), &serde_json::to_value(claims()).unwrap());
    assert_eq!(verify(&rebuilt, &key(1).public(), NOW), Ok(claims()), "the tests below forge as well as that");
}

#[test]
fn it_is_good_until_it_expires_whatever_the_clock_was_when_it_was_issued() {
    let token = sign(&key(1), &claims()).unwrap();
    for (now, good) in [(NOW - 1_000_000, true), (NOW + 599, true), (NOW + 600, false), (i64::MAX, false)] {
        let expected = if good { Ok(claims()) } else { Err(Invalid::Expired) };
        assert_eq!(verify(&token, &key(1).public(), now), expected, "{now}");
    }
}

#[test]
fn another_key_does_not_fit_whatever_the_token_says() {
    let token = sign(&key(2), &claims()).unwrap();
    assert_eq!(verify(&token, &key(1).public(), NOW), Err(Invalid::Signature));
    // Signed by one, and said to be by the other.
    let confused = with(header(), "kid", json!(key(2).public().kid()));
    let token = made(&confused, &serde_json::to_value(claims()).unwrap());
    assert_eq!(verify(&token, &key(1).public(), NOW), Err(Invalid::Signature));
    assert_eq!(verify(&token, &key(2).public(), NOW), Err(Invalid::Signature));
}

#[test]
fn no_other_algorithm_and_no_other_type() {
    let claims = serde_json::to_value(claims()).unwrap();
    for (field, value) in [
        ("alg", "none"),
        ("alg", "None"),
        ("alg", "HS256"),
        ("alg", "RS256"),
        ("alg", "ES256"),
        ("alg", "Ed25519"),
        ("typ", "JWT"),
        ("typ", ""),
    ] {
        let token = made(&with(header(), field, json!(value)), &claims);
        assert_eq!(verify(&token, &key(1).public(), NOW), Err(Invalid::Algorithm), "{field} {value}");
    }
    // With the public key as an HMAC's, which is what naive libraries fall for.
    let hs256 = with(header(), "alg", json!("HS256"));
    let signed = format!(
        "{}.{}",
        base64url::encode(hs256.to_string().as_bytes()),
        base64url::encode(claims.to_string().as_bytes())
    );
    let code = mac::of(key(1).public().to_string().as_bytes(), &[signed.as_bytes()]);
    assert!(verify(&format!("{signed}.{}", base64url::encode(&code)), &key(1).public(), NOW).is_err());
    assert_eq!(verify(&format!("{signed}."), &key(1).public(), NOW), Err(Invalid::Algorithm), "without any");
}

#[test]
fn a_header_that_asks_for_more_is_not_taken() {
    let claims = serde_json::to_value(claims()).unwrap();
    for (field, value) in [
        ("crit", json!(["exp"])),
        ("jwk", key(1).public().jwk()),
        ("jku", json!("http://evil.example")),
        ("b64", json!(false)),
    ] {
        let token = made(&with(header(), field, value), &claims);
        assert_eq!(verify(&token, &key(1).public(), NOW), Err(Invalid::Malformed), "{field}");
    }
}

#[test]
fn it_is_from_us_and_for_us() {
    let of = |field: &str, value: Value| {
        let token = made(&header(), &with(serde_json::to_value(claims()).unwrap(), field, value));
        verify(&token, &key(1).public(), NOW)
    };
    assert_eq!(of("iss", json!("evil")), Err(Invalid::Issuer));
    assert_eq!(of("aud", json!("another")), Err(Invalid::Audience));
    assert_eq!(of("aud", json!(["mealkit", "another"])), Err(Invalid::Malformed));
    assert_eq!(of("exp", json!(null)), Err(Invalid::Malformed));
    assert_eq!(of("exp", json!("9999999999")), Err(Invalid::Malformed));
    assert_eq!(of("roles", json!(["root"])), Err(Invalid::Malformed));
    assert_eq!(of("sub", json!(null)), Err(Invalid::Malformed));
}

#[test]
fn a_member_that_stands_twice_is_malformed() {
    let json = serde_json::to_string(&claims()).unwrap();
    let twice = json.replacen('{', r#"{"sub":"operator","#, 1);
    let signed =
        format!("{}.{}", base64url::encode(header().to_string().as_bytes()), base64url::encode(twice.as_bytes()));
    let token = format!("{signed}.{}", base64url::encode(&raw_signature(&signed)));
    assert_eq!(verify(&token, &key(1).public(), NOW), Err(Invalid::Malformed));
}

#[test]
fn there_is_one_text_of_a_token() {
    let token = sign(&key(1), &claims()).unwrap();
    let key = key(1).public();
    let [header, payload, signature]: [&str; 3] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let flipped = format!("{}{}", &signature[..signature.len() - 1], if signature.ends_with('A') { 'B' } else { 'A' });
    for other in [
        "".to_owned(),
        "..".to_owned(),
        header.to_owned(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{token}="),
        format!("{token}."),
        format!("{token}.{signature}"),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{header}.{payload}.{flipped}"),
        format!("{header}.{payload}.{}", signature.replace('-', "+").replace('_', "/") + "=="),
        format!("{header}=.{payload}.{signature}"),
        format!("{}.{payload}.{signature}", "x".repeat(token::LONGEST)),
    ] {
        assert!(verify(&other, &key, NOW).is_err(), "{other}");
    }
}

#[test]
fn an_array_is_no_set_of_claims() {
    let in_order = serde_json::to_value(claims()).unwrap().as_object().unwrap().values().cloned().collect::<Vec<_>>();
    assert_eq!(verify(&made(&header(), &json!(in_order)), &key(1).public(), NOW), Err(Invalid::Malformed));
}

/// RFC 8037, appendix A.
#[test]
fn the_keys_are_those_of_the_rfc() {
    let key = SigningKey::parse("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let public = key.public();
    assert_eq!(public.to_string(), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    assert_eq!(public.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_eq!(PublicKey::parse(&public.to_string()), Ok(public));
    assert!(!format!("{key:?}").contains("nWGx"), "its seed is not printed");
}

#[test]
fn a_weak_key_is_none() {
    // The neutral element: its signatures can be made by anybody.
    let mut neutral = [0_u8; 32];
    neutral[0] = 1;
    assert!(PublicKey::parse(&base64url::encode(&neutral)).is_err());
    assert!(PublicKey::parse("").is_err() && SigningKey::parse("c2hvcnQ").is_err());
}

/// RFC 4231, test case 2, as far as the parts' lengths let it be compared: two cuts of one text have two codes.
#[test]
fn where_a_part_ends_counts() {
    let key = b"key";
    assert_ne!(mac::of(key, &[b"ab", b"c"]), mac::of(key, &[b"a", b"bc"]));
    assert_ne!(mac::of(key, &[b"abc"]), mac::of(key, &[b"abc", b""]));
    assert!(mac::verify(key, &[b"ab", b"c"], &mac::of(key, &[b"ab", b"c"])));
    assert!(!mac::verify(key, &[b"ab", b"c"], &mac::of(b"other", &[b"ab", b"c"])[..]));
    assert!(!mac::verify(key, &[b"ab", b"c"], &mac::of(key, &[b"ab", b"c"])[..16]));
    let long = [7_u8; 100];
    assert!(mac::verify(&long, &[b"a"], &mac::of(&mac::sha256(&long), &[b"a"])), "a long key is its hash");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_other_byte_and_it_is_not_taken(place in any::<prop::sample::Index>(), byte in 0x21_u8..0x7f) {
        let token = sign(&key(1), &claims()).unwrap();
        let mut bytes = token.clone().into_bytes();
        let place = place.index(bytes.len());
        prop_assume!(bytes[place] != byte);
        bytes[place] = byte;
        prop_assert!(verify(std::str::from_utf8(&bytes).unwrap(), &key(1).public(), NOW).is_err());
    }

    #[test]
    fn any_text_is_refused_or_malformed(text in ".{0,300}") {
        prop_assert!(Unverified::parse(&text).is_err());
    }
}
