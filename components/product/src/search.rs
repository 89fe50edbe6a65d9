//! Texts as they are kept, and as they are searched (docs/decisions/0020-texts-of-people.md). Pure.

use contracts::ProductModified;
use icu_casemap::{CaseMapper, CaseMapperBorrowed};
use icu_normalizer::{ComposingNormalizer, ComposingNormalizerBorrowed};
use kernel::text::is_ignorable;

const NFC: ComposingNormalizerBorrowed<'static> = ComposingNormalizer::new_nfc();
const NFKC: ComposingNormalizerBorrowed<'static> = ComposingNormalizer::new_nfkc();
const CASES: CaseMapperBorrowed<'static> = CaseMapper::new();

/// Stands between the texts of a kit. No text has it, so that nothing is found across it.
const SEPARATOR: char = '\u{1f}';

/// A text as it was typed, whichever keyboard composed its characters or did not.
pub fn composed(text: &str) -> String {
    NFC.normalize(text).into_owned()
}

/// What a text has in common with all others that people take for the same.
pub fn folded(text: &str) -> String {
    let seen: String = NFKC.normalize(text).chars().filter(|c| !is_ignorable(*c)).collect();
    NFKC.normalize(&CASES.fold_string(&seen)).into_owned()
}

/// What a kit is found by.
pub fn text_of(kit: &ProductModified) -> String {
    let description = kit.description.as_deref().unwrap_or_default();
    format!("{}{SEPARATOR}{}", folded(&kit.name), folded(description))
}

/// Stands around characters in the index; see `sql/product.sql`.
const MARK: char = '\u{7f}';
/// How many trigrams narrow a search down. What has them all is looked at itself.
const MOST_TRIGRAMS: usize = 16;

/// The trigrams that a text has in which this one is found, as FTS5 wants to be asked for them.
pub fn trigrams(folded: &str) -> String {
    // A query ends where it has a NUL. No text has one, nor a mark.
    let chars: Vec<char> = folded.chars().map(|c| if c == '\0' { MARK } else { c }).collect();
    let marked = match chars.as_slice() {
        [one] => vec![MARK, *one, MARK],
        [one, two] => vec![*one, MARK, *two],
        _ => chars,
    };
    let mut trigrams: Vec<&[char]> = Vec::new();
    for trigram in marked.windows(3) {
        if trigrams.len() < MOST_TRIGRAMS && !trigrams.contains(&trigram) {
            trigrams.push(trigram);
        }
    }
    let quoted = |trigram: &[char]| format!("\"{}\"", trigram.iter().collect::<String>().replace('"', "\"\""));
    trigrams.into_iter().map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{composed, folded, trigrams};
    use icu_normalizer::DecomposingNormalizer;
    use proptest::prelude::*;

    fn decomposed(text: &str) -> String {
        DecomposingNormalizer::new_nfd().normalize(text).into_owned()
    }

    #[test]
    fn what_people_take_for_the_same_is_the_same() {
        for (one, other) in [
            ("김치", "\u{1100}\u{1175}\u{11b7}\u{110e}\u{1175}"),
            ("ÄPFEL", "a\u{308}pfel"),
            ("STRASSE", "Straße"),
            ("ΚΟΣΜΟΣ", "κόσμος".replace('ό', "ο").as_str()),
            ("Kimchi", "Ｋｉｍｃｈｉ"),
            ("½ kg", "1⁄2\u{a0}kg"),
            ("Bibimbap", "Bibim\u{ad}bap\u{200b}"),
            ("ᾳ\u{301}", "α\u{301}\u{345}"),
        ] {
            assert_eq!(folded(one), folded(other), "{one} {other}");
        }
        assert_ne!(folded("Kimchi"), folded("Kimchee"));
    }

    #[test]
    fn every_character_folds_to_what_stays() {
        // Planes 4 to 13 have no characters, 15 and 16 private ones.
        for c in ('\0'..='\u{3ffff}').chain('\u{e0000}'..='\u{e0fff}') {
            let once = folded(c.encode_utf8(&mut [0; 4]));
            assert_eq!(folded(&once), once, "{}", c.escape_unicode());
        }
    }

    #[test]
    fn a_text_of_any_length_is_three_characters_somewhere() {
        for (text, asked) in [
            ("김", "\"\u{7f}김\u{7f}\""),
            ("김치", "\"김\u{7f}치\""),
            ("김치찌", "\"김치찌\""),
            ("kimchi", "\"kim\" \"imc\" \"mch\" \"chi\""),
            ("aaaaaa", "\"aaa\""),
            ("a\"b", "\"a\"\"b\""),
            ("a\0", "\"a\u{7f}\u{7f}\""),
        ] {
            assert_eq!(trigrams(text), asked, "{text}");
        }
        let long: String = ('a'..='z').collect();
        assert_eq!(trigrams(&long).split(' ').count(), 16);
    }

    /// Texts in which characters act on each other: letters, marks, jamo, what is ignored, and anything.
    fn texts() -> impl Strategy<Value = String> {
        let near = proptest::char::ranges(
            vec![
                'A'..='z',
                'À'..='ſ',
                '\u{300}'..='\u{36f}',
                'Α'..='ω',
                'ᄀ'..='ᇿ',
                '가'..='각',
                'ἀ'..='῾',
                '\u{200b}'..='\u{200f}',
                'Ꭰ'..='ᏽ',
            ]
            .into(),
        );
        proptest::collection::vec(prop_oneof![4 => near, 1 => any::<char>()], 0..12)
            .prop_map(|all| all.into_iter().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn folding_again_changes_nothing(text in texts()) {
            let once = folded(&text);
            prop_assert_eq!(folded(&once), once);
        }

        #[test]
        fn however_it_was_composed_it_is_found(text in texts()) {
            let (one, other) = (composed(&text), decomposed(&text));
            prop_assert_eq!(composed(&other), one.clone());
            prop_assert_eq!(folded(&other), folded(&one));
            prop_assert_eq!(folded(&text), folded(&one));
        }
    }
}
