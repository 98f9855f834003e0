//! Texts as words: where one ends and the next begins, and which of them are the same.
//!
//! What is the same here is stored; every change of these rules needs another number of [`crate::stored::RULES`].

use std::borrow::Cow;

use frostem::Stemmer;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use unicode_segmentation::UnicodeSegmentation;

use crate::Language;

/// Longest word in bytes: of longer ones the beginning counts.
pub const WORD_LEN_MAX: usize = 64;

/// The words of a text as they stand in it: what Unicode calls words, cut at colons, at low lines, and at dots that do not
/// stand between two digits.
pub(crate) fn words_in(text: &str) -> impl Iterator<Item = &str> {
    text.unicode_words().flat_map(parts)
}

fn parts(word: &str) -> impl Iterator<Item = &str> {
    let is_digit =
        |at: Option<usize>| at.and_then(|at| word.as_bytes().get(at)).is_some_and(u8::is_ascii_digit);
    let mut last_end = 0;
    let mut cuts = word.char_indices().filter(move |(at, found)| match found {
        '_' | ':' => true,
        '.' => !(is_digit(at.checked_sub(1)) && is_digit(Some(at + 1))),
        _ => false,
    });
    let mut is_over = false;
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        let (end, next) =
            cuts.next().map_or((word.len(), word.len()), |(at, found)| (at, at + found.len_utf8()));
        is_over = end == word.len();
        let part = word.get(last_end..end);
        last_end = next;
        part
    })
    .filter(|part| part.chars().any(char::is_alphanumeric))
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

    proptest! {
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
