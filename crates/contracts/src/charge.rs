//! What order asks of payment: to charge an order. Request/response, on a route that no outsider reaches.

use crate::OrderPlaced;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Payment's private route.
pub const PATH: &str = "/internal/charges";

/// Charge this order. Asking again for the same order charges nothing more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChargeRequest {
    /// What was ordered; its id is also the key by which a repeated request is recognised.
    pub order: OrderPlaced,
    pub card_number: CardNumber,
}

/// The number of a card. It is written into a [`ChargeRequest`] and nowhere else: it has no `Display`, and its `Debug`
/// shows the last four digits.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CardNumber(String);

/// This is not the number of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotACardNumber;

impl fmt::Display for NotACardNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be a card number: 12 to 19 digits, the last of which fits the others")
    }
}

impl CardNumber {
    /// The number in a text, which may have spaces or hyphens between the digits.
    ///
    /// # Errors
    /// When it has too few or too many digits, or fails the Luhn check ([`luhn`]).
    pub fn parse(text: &str) -> Result<Self, NotACardNumber> {
        let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        let fits = (12..=19).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if fits && luhn(&digits) { Ok(Self(digits)) } else { Err(NotACardNumber) }
    }

    /// What may be shown and kept of it: `**** 1111`.
    pub fn masked(&self) -> String {
        format!("**** {}", self.0.get(self.0.len().saturating_sub(4)..).unwrap_or_default())
    }

    /// All its digits, for the gateway.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Whether the last of some digits fits the others (ISO/IEC 7812-1, annex B).
pub fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .chars()
        .rev()
        .filter_map(|c| c.to_digit(10))
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit) {
            (0, digit) => digit,
            (_, digit @ 5..) => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

impl fmt::Debug for CardNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl TryFrom<String> for CardNumber {
    type Error = NotACardNumber;

    fn try_from(text: String) -> Result<Self, NotACardNumber> {
        Self::parse(&text)
    }
}

impl From<CardNumber> for String {
    fn from(card: CardNumber) -> Self {
        card.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_number_passes_the_luhn_check() {
        for good in ["4111111111111111", "4000000000000002", "4111 1111-1111 1111", "378282246310005"] {
            assert!(CardNumber::parse(good).is_ok(), "{good}");
        }
        for bad in ["4111111111111112", "", "4", "411111111111111a", "０000000000000000", "00000000000000000000"] {
            assert_eq!(CardNumber::parse(bad), Err(NotACardNumber), "{bad}");
        }
    }

    #[test]
    fn a_card_number_shows_its_last_four_digits_only() -> Result<(), NotACardNumber> {
        let card = CardNumber::parse("4111111111111111")?;
        assert_eq!(format!("{card:?}"), "**** 1111");
        Ok(())
    }
}
