//! Texts of people: what can be seen of them.

use icu_properties::{CodePointSetData, CodePointSetDataBorrowed, props::DefaultIgnorableCodePoint};

const IGNORABLE: CodePointSetDataBorrowed<'static> = CodePointSetData::new::<DefaultIgnorableCodePoint>();

/// Whether nothing of a text can be seen: it has only spaces, control and format characters, and what else Unicode
/// leaves to be ignored, such as the Hangul fillers.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(is_invisible)
}

/// Whether a character shows nothing and only says how others are shown.
pub fn is_ignorable(c: char) -> bool {
    IGNORABLE.contains(c)
}

fn is_invisible(c: char) -> bool {
    // What is not ignorable of the format characters: marks of annotations and of hieroglyphs' places. (The Arabic signs
    // among them, U+0600 and its like, are drawn.) The property's table of all categories has 18 kB.
    let is_format = matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{13430}'..='\u{1343f}');
    // By its category it is a symbol, though one without any dot.
    let is_empty_braille = c == '\u{2800}';
    c.is_whitespace() || c.is_control() || is_ignorable(c) || is_format || is_empty_braille
}

#[cfg(test)]
mod tests {
    use super::is_blank;

    #[test]
    fn what_cannot_be_seen_is_blank() {
        let invisible = [
            "",
            " \t\n",
            "\u{a0}",
            "\u{3000}",
            "\u{2028}",
            "\u{0}",
            "\u{7f}",
            "\u{85}", // spaces and controls
            "\u{3164}",
            "\u{115f}",
            "\u{1160}",
            "\u{ffa0}",
            "\u{17b4}", // fillers, and vowels that are not drawn
            "\u{ad}",
            "\u{34f}",
            "\u{61c}",
            "\u{180e}",
            "\u{200b}",
            "\u{200d}",
            "\u{200e}",
            "\u{2060}",
            "\u{206f}",
            "\u{feff}",
            "\u{fe0f}",
            "\u{e0001}",
            "\u{e0041}",
            "\u{e0100}",
            "\u{1d173}",
            "\u{1bca0}",
            "\u{fff0}",
            "\u{fff9}",
            "\u{13430}",
            "\u{2800}",
        ];
        for text in invisible {
            assert!(is_blank(text), "{}", text.escape_unicode());
        }
        assert!(is_blank(&invisible.concat()));
    }

    #[test]
    fn what_can_be_seen_is_not() {
        for text in [
            "a",
            " a ",
            "김",
            "\u{1100}\u{1175}\u{11b7}",
            "ㅤ김",
            "\u{ad}-",
            "☕\u{fe0f}",
            "\u{301}",
            "\u{600}",
            "\u{fffd}",
        ] {
            assert!(!is_blank(text), "{}", text.escape_unicode());
        }
    }
}
