//! Numbers of cards where none belongs: in texts of people, which stay in the log (docs/decisions/0025-cards-in-texts.md).
//! Pure.

use crate::text::is_ignorable;
use contracts::charge::luhn;
use icu_properties::{CodePointSetData, CodePointSetDataBorrowed, props::Dash};
use std::ops::RangeInclusive;

const DASHES: CodePointSetDataBorrowed<'static> = CodePointSetData::new::<Dash>();

/// How many digits the numbers have that are looked for.
const LENGTH: RangeInclusive<usize> = 13..=19;
/// The longest telephone number (ITU-T E.164).
const LONGEST_TELEPHONE: usize = 15;
/// How much may stand between the groups of a number: `4111 - 1111`.
const GAP: usize = 3;

/// The zeros of all digits that Unicode has; behind each stand the other nine.
#[rustfmt::skip]
const ZEROS: &[char] = &[
    '0', '\u{660}', '\u{6f0}', '\u{7c0}', '\u{966}', '\u{9e6}', '\u{a66}', '\u{ae6}', '\u{b66}',
    '\u{be6}', '\u{c66}', '\u{ce6}', '\u{d66}', '\u{de6}', '\u{e50}', '\u{ed0}', '\u{f20}', '\u{1040}',
    '\u{1090}', '\u{17e0}', '\u{1810}', '\u{1946}', '\u{19d0}', '\u{1a80}', '\u{1a90}', '\u{1b50}', '\u{1bb0}',
    '\u{1c40}', '\u{1c50}', '\u{a620}', '\u{a8d0}', '\u{a900}', '\u{a9d0}', '\u{a9f0}', '\u{aa50}', '\u{abf0}',
    '\u{ff10}', '\u{104a0}', '\u{10d30}', '\u{10d40}', '\u{11066}', '\u{110f0}', '\u{11136}', '\u{111d0}', '\u{112f0}',
    '\u{11450}', '\u{114d0}', '\u{11650}', '\u{116c0}', '\u{116d0}', '\u{116da}', '\u{11730}', '\u{118e0}', '\u{11950}',
    '\u{11bf0}', '\u{11c50}', '\u{11d50}', '\u{11da0}', '\u{11de0}', '\u{11f50}', '\u{16130}', '\u{16a60}', '\u{16ac0}',
    '\u{16b50}', '\u{16d70}', '\u{1ccf0}', '\u{1d7ce}', '\u{1d7d8}', '\u{1d7e2}', '\u{1d7ec}', '\u{1d7f6}', '\u{1e140}',
    '\u{1e2f0}', '\u{1e4f0}', '\u{1e5f1}', '\u{1e950}', '\u{1fbf0}',
];

/// Whether something in a text looks like the number of a card.
pub(crate) fn is_in(text: &str) -> bool {
    let mut line = Line::default();
    for c in text.chars().filter(|c| !is_ignorable(*c)) {
        if let Some(digit) = digit(c) {
            line.digit(digit);
        } else if is_between(c) && line.gap < GAP {
            line.gap += 1;
        } else if line.has_card() {
            return true;
        } else {
            line = Line { is_international: matches!(c, '+' | '＋'), ..Line::default() };
        }
    }
    line.has_card()
}

/// Groups of digits with little between them.
#[derive(Default)]
struct Line {
    digits: String,
    /// Where in `digits` each group begins.
    groups: Vec<usize>,
    /// How much stands behind the last digit.
    gap: usize,
    /// Whether a plus sign stands before it.
    is_international: bool,
}

impl Line {
    fn digit(&mut self, digit: char) {
        if self.gap > 0 || self.digits.is_empty() {
            self.groups.push(self.digits.len());
        }
        self.digits.push(digit);
        self.gap = 0;
    }

    /// Whether some whole groups, one behind the other, are the number of a card.
    fn has_card(&self) -> bool {
        let ends = || self.groups.iter().copied().skip(1).chain([self.digits.len()]);
        self.groups.iter().enumerate().any(|(number, from)| {
            let fitting = ends().skip(number).take_while(|to| to - from <= *LENGTH.end());
            fitting.filter(|to| LENGTH.contains(&(to - from))).any(|to| {
                let is_telephone = self.is_international && *from == 0 && to <= LONGEST_TELEPHONE;
                !is_telephone && self.digits.get(*from..to).is_some_and(|digits| is_issued(digits) && luhn(digits))
            })
        })
    }
}

/// Whether numbers of cards begin so and have this length. The first digit says the industry (ISO/IEC 7812): numbers of goods
/// (880…), times (2026…) and registrations do not begin as cards do, or have another length.
fn is_issued(digits: &str) -> bool {
    let begins = digits.get(..2).and_then(|two| two.parse::<u8>().ok());
    match (begins, digits.len()) {
        // Mastercard and Mir; JCB, Diners Club and American Express.
        (Some(22..=27), 16..=19) | (Some(30 | 34..=39), 14..=19) => true,
        // Visa; Mastercard, Maestro, UnionPay, Discover.
        (Some(40..=69), 13..=19) => true,
        // What is valid in one country only, Korea among them.
        (Some(81 | 82 | 86 | 90..=99), 16) => true,
        _ => false,
    }
}

/// The digit that this is, in whichever script.
fn digit(c: char) -> Option<char> {
    let value = |zero: &char| u32::from(c).checked_sub(u32::from(*zero)).filter(|value| *value < 10);
    ZEROS.iter().find_map(value).and_then(|value| char::from_digit(value, 10))
}

/// Whether it may stand between the groups of a number.
fn is_between(c: char) -> bool {
    const DOTS: [char; 10] = ['.', '_', '·', '•', '‧', '․', '∙', '⋅', '・', '．'];
    c.is_whitespace() || DASHES.contains(c) || DOTS.contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use icu_properties::{CodePointMapData, props::GeneralCategory};
    use proptest::prelude::*;

    #[test]
    fn the_zeros_are_all_there_are() {
        let category = CodePointMapData::<GeneralCategory>::new();
        let is_digit = |c: &char| category.get(*c) == GeneralCategory::DecimalNumber;
        let zeros: Vec<_> = ('\0'..=char::MAX).filter(is_digit).step_by(10).collect();
        assert_eq!(zeros, ZEROS);
    }

    #[test]
    fn a_card_is_found_however_people_write_it() {
        for text in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "4111.1111.1111.1111",
            "4111 - 1111 - 1111 - 1111",
            "4111 1111-1111 1111",
            "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
            "4111\u{a0}1111\u{2009}1111\u{3000}1111",
            "4111\u{2010}1111\u{2013}1111\u{ff0d}1111",
            "4111\n1111\t1111\r\n1111",
            "4111·1111・1111．1111",
            "4111\u{200b}1111\u{ad}1111\u{feff}1111",
            "４１１１１１１１１１１１１１１１",
            "٤١١١١١١١١١١١١١١١",
            "𝟒𝟏𝟏𝟏𝟙𝟙𝟙𝟙𝟣𝟣𝟣𝟣𝟭𝟭𝟭𝟭",
            "카드번호4111111111111111입니다",
            "VISA4111111111111111",
            "Kim Minji, 4111 1111 1111 1111 12/27 123",
            "04524 Seoul 12 4111 1111 1111 1111",
            "+4111111111111111",
            "4222222222222",
            "30569309025904",
            "3782 822463 10005",
            "3530111333300000",
            "2223003122003222",
            "5555555555554444",
            "6011111111111117",
            "6304000000000000000000000000000 6304000000000000",
            "9410000000000005",
        ] {
            assert!(is_in(text), "{text}");
        }
    }

    #[test]
    fn other_numbers_are_left_alone() {
        for text in [
            "",
            "4111",
            "4111111111111112",
            "411111111111111",
            "4111111111111111 1".replace(' ', "").as_str(),
            "041111111111111110000",
            "41111111111111114111111111111111",
            "4111, 1111, 1111, 1111",
            "4111/1111/1111/1111",
            "4111    1111    1111    1111",
            "0000000000000000",
            "Please call 010-1234-5678 or 02-312-3456",
            "+82 10-1234-5678",
            "2026-11-25 14:30:05",
            "110, Sejong-daero, Jung-gu, Seoul 04524",
            "01a204d9-bff9-722a-860f-a36cfafbc3a9",
            "1,234,567,890,123,456",
        ] {
            assert!(!is_in(text), "{text}");
        }
        // These pass the check: a telephone number, numbers of goods and of a book, a time, who somebody is.
        for text in ["+55 11 91234-5676", "8801234567892", "978-89-01-23456-8", "20261125143002", "850101-1234563"] {
            let digits: String = text.chars().filter(char::is_ascii_digit).collect();
            assert!(luhn(&digits) && !is_in(text), "{text}");
        }
    }

    /// Numbers of cards of all lengths.
    fn cards() -> impl Strategy<Value = String> {
        let begins = prop_oneof![
            3 => (40..=69_u32, LENGTH),
            1 => (22..=27_u32, 16..=19_usize),
            1 => (34..=39_u32, 14..=19_usize),
            1 => (90..=99_u32, Just(16_usize)),
        ];
        begins.prop_flat_map(|(two, length)| {
            proptest::collection::vec(0..10_u32, length - 3).prop_map(move |digits| {
                let digits: String = digits.iter().filter_map(|digit| char::from_digit(*digit, 10)).collect();
                let fits = (0..10).map(|last| format!("{two}{digits}{last}")).find(|card| luhn(card));
                fits.unwrap_or_default()
            })
        })
    }

    /// A number with this between its digits, and each digit of this script.
    fn written(card: &str, between: &[String], zero: char) -> String {
        let digit = |c: char| c.to_digit(10).and_then(|digit| char::from_u32(u32::from(zero) + digit));
        let digits = card.chars().filter_map(digit);
        digits.zip(between.iter().cycle()).flat_map(|(digit, gap)| gap.chars().chain([digit])).collect()
    }

    fn gaps() -> impl Strategy<Value = String> {
        let one =
            prop::sample::select(vec![" ", "-", ".", "\u{a0}", "\u{200b}", "\u{2013}", "\u{3000}", "\u{feff}", "・"]);
        proptest::collection::vec(one, 0..=GAP).prop_map(|all| all.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_card_is_found_whatever_stands_around_and_between(
            card in cards(),
            between in proptest::collection::vec(gaps(), 1..8),
            zero in prop::sample::select(ZEROS),
            before in "[a-z가-힣,:;/ ]{0,9}(12 )?",
            behind in "( 12)?[a-z가-힣,:;/ ]{0,9}",
        ) {
            let text = format!("{before}{}{behind}", written(&card, &between, zero));
            prop_assert!(is_in(&text), "{}", text);
        }

        #[test]
        fn a_number_whose_last_digit_does_not_fit_is_none(card in cards(), off in 1..10_u32) {
            let (digits, last) = card.split_at(card.len() - 1);
            let last = last.parse::<u32>().map(|last| (last + off) % 10);
            let other = format!("{digits}{}", last.unwrap_or_default());
            prop_assert!(!is_in(&other), "{}", other);
        }

        #[test]
        fn a_longer_run_of_digits_is_none(card in cards(), more in "[0-9]{7,30}") {
            for text in [format!("{card}{more}"), format!("{more}{card}")] {
                prop_assert!(!is_in(&text), "{}", text);
            }
        }

        #[test]
        fn whatever_the_text_it_is_read_to_its_end(text in any::<String>()) {
            is_in(&text);
        }

        #[test]
        fn what_has_no_thirteen_digits_has_no_card(text in "([0-9]{0,3}[^0-9]{1,3}){0,4}") {
            prop_assume!(text.chars().filter(|c| digit(*c).is_some()).count() < *LENGTH.start());
            prop_assert!(!is_in(&text));
        }
    }
}
