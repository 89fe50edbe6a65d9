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

#[cfg(test)]
mod tests {
    use super::{composed, folded};
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
