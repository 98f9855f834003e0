//! Texts as words: where one ends and the next begins, and which of them are the same.
//!
//! What is the same here is stored; every change of these rules needs another number of [`crate::stored::RULES`].

use std::borrow::Cow;

use frostem::Stemmer;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use unicode_segmentation::{UnicodeSegmentation, UnicodeWords};

use crate::Language;

/// Longest word in bytes: of longer ones the beginning counts.
pub const WORD_LEN_MAX: usize = 64;

/// The words of a text as they stand in it: what Unicode calls words in the pieces between white space, cut at colons, at low
/// lines, and at dots that do not stand between two digits.
pub(crate) fn words_in(text: &str) -> impl Iterator<Item = &str> {
    text.split_ascii_whitespace().flat_map(Pieces::of)
}

/// The words of a piece without white space. Those of ASCII are found without looking up what each character is.
enum Pieces<'t> {
    Ascii(AsciiWords<'t>),
    Unicode { words: UnicodeWords<'t>, parts: &'t str },
}

impl<'t> Pieces<'t> {
    fn of(piece: &'t str) -> Self {
        match piece.is_ascii() {
            true => Self::Ascii(AsciiWords { text: piece }),
            false => Self::Unicode { words: piece.unicode_words(), parts: "" },
        }
    }
}

impl<'t> Iterator for Pieces<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        match self {
            Self::Ascii(words) => words.next(),
            Self::Unicode { words, parts } => loop {
                if parts.is_empty() {
                    *parts = words.next()?;
                }
                let (part, rest) = first_part(parts);
                *parts = rest;
                if part.chars().any(char::is_alphanumeric) {
                    return Some(part);
                }
            },
        }
    }
}

/// What stands before the first cut in a word of Unicode, and what behind it.
fn first_part(word: &str) -> (&str, &str) {
    let is_digit =
        |at: Option<usize>| at.and_then(|at| word.as_bytes().get(at)).is_some_and(u8::is_ascii_digit);
    let cut = word.char_indices().find(|(at, found)| match found {
        '_' | ':' => true,
        '.' => !(is_digit(at.checked_sub(1)) && is_digit(Some(at + 1))),
        _ => false,
    });
    // All three are one byte long.
    cut.map_or((word, ""), |(at, _)| (&word[..at], &word[at + 1..]))
}

/// The words of a text of ASCII: letters and digits, apostrophes between two letters or two digits, and dots, commas and
/// semicolons between two digits.
struct AsciiWords<'t> {
    text: &'t str,
}

impl<'t> Iterator for AsciiWords<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let start = self.text.bytes().position(|byte| byte.is_ascii_alphanumeric())?;
        let bytes = &self.text.as_bytes()[start..];
        let joins = |at: usize| {
            let beside = (bytes.get(at.wrapping_sub(1)), bytes.get(at + 1));
            let are = |is: fn(&u8) -> bool| beside.0.is_some_and(is) && beside.1.is_some_and(is);
            match bytes[at] {
                b'\'' => are(u8::is_ascii_digit) || are(u8::is_ascii_alphabetic),
                b'.' | b',' | b';' => are(u8::is_ascii_digit),
                byte => byte.is_ascii_alphanumeric(),
            }
        };
        let end = (0..bytes.len()).find(|at| !joins(*at)).unwrap_or(bytes.len());
        let word = self.text.get(start..start + end);
        self.text = self.text.get(start + end..).unwrap_or_default();
        word
    }
}

/// What makes words the same.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    language: Language,
    stemmer: Option<Stemmer>,
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Rules").field(&self.language).finish()
    }
}

impl Rules {
    pub(crate) fn of(language: Language) -> Self {
        Self { language, stemmer: language.stemmer() }
    }

    pub(crate) fn language(&self) -> Language {
        self.language
    }

    /// The stem of a word, without case and accents; empty if nothing is left.
    pub(crate) fn stem(&self, word: &str) -> String {
        let mut plain = plain(word);
        // English stems know no accents; elsewhere they tell endings apart.
        if self.language == Language::English {
            plain = fold(&plain);
        }
        cut(&mut plain);
        let stem = match &self.stemmer {
            Some(stemmer) => stemmer.stem(&plain),
            None => Cow::Borrowed(&plain[..]),
        };
        let mut folded = if stem.is_empty() { fold(&plain) } else { fold(&stem) };
        cut(&mut folded);
        folded
    }

    /// Whether the stem of a word of ASCII begins with the first letter of the word.
    pub(crate) fn keeps_first_letters(&self) -> bool {
        matches!(self.language, Language::None | Language::English)
    }

    /// What a beginning of a word is compared as.
    pub(crate) fn beginning(word: &str) -> String {
        let mut folded = fold(&plain(word));
        cut(&mut folded);
        folded
    }
}

/// Lower case, in the form that composes what can be composed, with one kind of apostrophe.
fn plain(word: &str) -> String {
    if word.is_ascii() {
        return word.to_ascii_lowercase();
    }
    let lower = word.nfkc().collect::<String>().to_lowercase();
    lower
        .nfkc()
        .filter(|found| !found.is_control())
        .map(|found| if found == '\u{2019}' { '\'' } else { found })
        .collect()
}

/// Takes accents from Latin letters. Marks of other scripts are letters in their own right.
fn fold(word: &str) -> String {
    if word.is_ascii() {
        return word.to_owned();
    }
    let mut is_latin = false;
    let kept = word.nfd().filter(|found| {
        let is_mark = is_combining_mark(*found);
        if !is_mark {
            is_latin = found.is_ascii_alphabetic();
        }
        !(is_mark && is_latin && ('\u{300}'..='\u{36F}').contains(found))
    });
    kept.nfc().collect()
}

fn cut(word: &mut String) {
    let end = (0..=WORD_LEN_MAX.min(word.len())).rev().find(|end| word.is_char_boundary(*end));
    word.truncate(end.unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stems(language: Language, text: &str) -> Vec<String> {
        let rules = Rules::of(language);
        words_in(text).map(|word| rules.stem(word)).collect()
    }

    #[test]
    fn words_end_where_people_see_an_end() {
        let words = |text| words_in(text).collect::<Vec<_>>();
        assert_eq!(
            words("Ada's e-mail: ada@lovelace.org!"),
            ["Ada's", "e", "mail", "ada", "lovelace", "org"]
        );
        assert_eq!(
            words("src/main.rs, fn parse_query(); v1.2.3, 3.14"),
            ["src", "main", "rs", "fn", "parse", "query", "v1.2.3", "3.14"]
        );
        assert_eq!(words("10:30 at a:b, __init__ ._."), ["10", "30", "at", "a", "b", "init"]);
        assert_eq!(words("北京 сегодня Ελλάδα"), ["北", "京", "сегодня", "Ελλάδα"]);
        assert_eq!(words(" \0 — … 🙂"), [""; 0]);
        assert_eq!(
            words("rock'n'roll 'quoted' 1,000.5 a,b 1'a x.1 1. 2"),
            ["rock'n'roll", "quoted", "1,000.5", "a", "b", "1", "a", "x", "1", "1", "2"]
        );
    }

    #[test]
    fn forms_of_a_word_are_one() {
        assert_eq!(stems(Language::English, "Lives lived LIVING"), ["live"; 3]);
        assert_eq!(stems(Language::None, "Lives lived"), ["lives", "lived"]);
        assert_eq!(stems(Language::German, "Häuser Hauses"), ["haus"; 2]);
        assert_eq!(stems(Language::Russian, "книга книги книгу"), ["книг"; 3]);
    }

    #[test]
    fn accents_and_forms_of_unicode_make_no_difference() {
        for language in [Language::None, Language::English, Language::German] {
            let composed = stems(language, "Zürich café");
            assert_eq!(stems(language, "Zu\u{308}rich cafe\u{301}"), composed);
            assert_eq!(stems(language, "zurich")[..], composed[..1]);
        }
        assert_eq!(stems(Language::English, "Café naïve"), stems(Language::English, "CAFE naive"));
        assert_eq!(stems(Language::None, "Ｈｅｌｌｏ ﬁne"), ["hello", "fine"]);
        assert_eq!(stems(Language::English, "don’t"), stems(Language::English, "don't"));
        // In Russian and Hindi the marks make other letters.
        assert_ne!(stems(Language::None, "й"), stems(Language::None, "и"));
        assert_eq!(stems(Language::None, "हिन्दी").len(), 1);
    }

    #[test]
    fn of_a_long_word_the_beginning_counts() {
        let word = "ж".repeat(1000);
        assert_eq!(stems(Language::None, &word), ["ж".repeat(32)]);
    }

    /// What the rules say, in one way for all texts.
    fn words_by_definition(text: &str) -> Vec<&str> {
        let pieces = text.split_ascii_whitespace().flat_map(UnicodeSegmentation::unicode_words);
        let parts = pieces.flat_map(|word| {
            let mut parts = Vec::new();
            let mut rest = word;
            while !rest.is_empty() {
                let (part, behind) = first_part(rest);
                parts.push(part);
                rest = behind;
            }
            parts
        });
        parts.filter(|part| part.chars().any(char::is_alphanumeric)).collect()
    }

    proptest! {
        #[test]
        fn the_short_way_for_ascii_leads_to_the_same_words(text in "[a-c1-3'.,;:_ \"#-]{0,30}", any in any::<String>()) {
            for text in [&text, &any] {
                prop_assert_eq!(words_in(text).collect::<Vec<_>>(), words_by_definition(text));
            }
        }

        #[test]
        fn stems_keep_the_first_letter_where_that_is_relied_on(word in "[a-zA-Z0-9]{1,3}[a-z']{0,12}") {
            for rules in Language::all().map(Rules::of).filter(Rules::keeps_first_letters) {
                for part in words_in(&word) {
                    prop_assert_eq!(rules.stem(part).as_bytes()[0], part.as_bytes()[0].to_ascii_lowercase());
                }
            }
        }

        #[test]
        fn any_text_has_words_that_can_be_stored(text in any::<String>(), spaced in "[a-zé'’._: ]{0,40}") {
            for language in Language::all() {
                for text in [&text, &spaced] {
                    for stem in stems(language, text) {
                        prop_assert!(stem.len() <= WORD_LEN_MAX && !stem.contains('\0'));
                    }
                }
            }
        }
    }
}
