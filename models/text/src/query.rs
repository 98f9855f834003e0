//! What is looked for: words, phrases, beginnings of words.

use crate::{
    Error, Result,
    words::{Rules, words_in},
};

/// Longest query in bytes.
pub const QUERY_LEN_MAX: usize = 4096;
/// Most different words of a query.
pub const QUERY_TERMS_MAX: usize = 64;

/// What is looked for.
///
/// - Words: the more of them a text has, and the rarer they are, the better.
/// - `"a phrase"`: must be there, word by word. If there is a phrase, single words are a plus.
/// - `begin*`: any word whose stem begins so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Words(String),
    Beginning(String),
    Phrase(String),
}

impl Query {
    /// Reads a query. Nothing but quotation marks and stars has a meaning; a quotation mark that is not closed reaches to
    /// the end.
    ///
    /// # Errors
    /// [`Error::Query`]: it is longer than [`QUERY_LEN_MAX`], or has no word.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > QUERY_LEN_MAX {
            return Err(Error::Query("has more than 4096 bytes: ask for less"));
        }
        let mut parts = Vec::new();
        for (index, piece) in text.split(['"', '“', '”', '„']).enumerate() {
            match index % 2 {
                1 => parts.push(Part::Phrase(piece.to_owned())),
                _ => parts.extend(piece.split_whitespace().map(Part::of)),
            }
        }
        parts.retain(|part| words_in(part.text()).next().is_some());
        match parts.is_empty() {
            true => Err(Error::Query("has no word: letters or digits are looked for")),
            false => Ok(Self { parts }),
        }
    }

    /// The words `text` has, whatever stands in it: for texts that are no queries.
    ///
    /// # Errors
    /// As [`Query::parse`].
    pub fn words(text: &str) -> Result<Self> {
        Self::parse(&text.replace(['"', '“', '”', '„', '*'], " "))
    }

    /// What the query means to an index.
    pub(crate) fn compile(&self, rules: &Rules) -> Result<Compiled> {
        let mut compiled = Compiled::default();
        for part in &self.parts {
            match part {
                Part::Words(text) => {
                    for word in words_in(text) {
                        compiled.add(Term::Word(rules.stem(word)))?;
                    }
                }
                Part::Beginning(text) => {
                    let words: Vec<&str> = words_in(text).collect();
                    let Some((last, others)) = words.split_last() else { continue };
                    for word in others {
                        compiled.add(Term::Word(rules.stem(word)))?;
                    }
                    let (of, stem) = (Rules::beginning(last), rules.stem(last));
                    if !of.is_empty() {
                        compiled.add(Term::Beginning { of, stem })?;
                    }
                }
                Part::Phrase(text) => {
                    let words = words_in(text).map(|word| compiled.add(Term::Word(rules.stem(word))));
                    let phrase = words.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
                    compiled.phrases.push(phrase);
                }
            }
        }
        match compiled.terms.is_empty() {
            true => Err(Error::Query("has no word: letters or digits are looked for")),
            false => Ok(compiled),
        }
    }
}

impl Part {
    fn of(piece: &str) -> Self {
        match piece.strip_suffix('*') {
            Some(beginning) => Self::Beginning(beginning.to_owned()),
            None => Self::Words(piece.to_owned()),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Words(text) | Self::Beginning(text) | Self::Phrase(text) => text,
        }
    }
}

/// A query in the words of an index.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Compiled {
    pub terms: Vec<Term>,
    /// Each as the numbers of its words among the terms.
    pub phrases: Vec<Vec<usize>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Term {
    Word(String),
    /// Stems that begin so; and the stem of the beginning itself, which may be shorter.
    Beginning {
        of: String,
        stem: String,
    },
}

impl Compiled {
    /// Bytes with which a word of ASCII may begin that a term looks for, in either case, if stems keep first letters.
    pub(crate) fn first_bytes(&self) -> [bool; 256] {
        let mut bytes = [false; 256];
        for term in &self.terms {
            let texts = match term {
                Term::Word(stem) => [stem, stem],
                Term::Beginning { of, stem } => [of, stem],
            };
            for first in texts.into_iter().filter_map(|text| text.bytes().next()) {
                bytes[usize::from(first)] = true;
                bytes[usize::from(first.to_ascii_uppercase())] = true;
            }
        }
        bytes
    }

    /// Adds a term unless it is there. Returns its number; `None` for a word of which nothing is left.
    fn add(&mut self, term: Term) -> Result<Option<usize>> {
        if matches!(&term, Term::Word(stem) if stem.is_empty()) {
            return Ok(None);
        }
        if let Some(known) = self.terms.iter().position(|known| *known == term) {
            return Ok(Some(known));
        }
        if self.terms.len() == QUERY_TERMS_MAX {
            return Err(Error::Query("has more than 64 different words: ask for less"));
        }
        self.terms.push(term);
        Ok(Some(self.terms.len() - 1))
    }
}

impl Term {
    /// Whether a stem is what the term looks for.
    pub(crate) fn matches(&self, found: &str) -> bool {
        match self {
            Self::Word(stem) => stem == found,
            Self::Beginning { of, stem } => found.starts_with(of.as_str()) || found == stem,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Language;

    fn compile(text: &str) -> Compiled {
        Query::parse(text).and_then(|query| query.compile(&Rules::of(Language::English))).expect("a query")
    }

    fn word(stem: &str) -> Term {
        Term::Word(stem.into())
    }

    #[test]
    fn a_query_is_words_phrases_and_beginnings() {
        let compiled = compile("Lives lived \"New York City\" run* src/mai*");
        let beginning = |of: &str, stem: &str| Term::Beginning { of: of.into(), stem: stem.into() };
        let expected = [
            word("live"),
            word("new"),
            word("york"),
            word("citi"),
            beginning("run", "run"),
            word("src"),
            beginning("mai", "mai"),
        ];
        assert_eq!(compiled.terms, expected);
        assert_eq!(compiled.phrases, [[1, 2, 3]]);
        assert_eq!(compile("\"not closed").phrases, [[0, 1]]);
        assert_eq!(Query::words("\"say\" it*").ok(), Query::parse("say it").ok());
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        for text in ["", " ", "\"\" *", "— !"] {
            assert!(matches!(Query::parse(text), Err(Error::Query(_))), "{text}");
        }
        assert!(Query::parse(&"a ".repeat(4096)).is_err());
        let many: Vec<String> = (0..65).map(|number| number.to_string()).collect();
        let query = Query::parse(&many.join(" ")).expect("short enough");
        assert!(query.compile(&Rules::of(Language::None)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_query_or_refused(text in any::<String>()) {
            if let Ok(query) = Query::parse(&text) {
                let _ = query.compile(&Rules::of(Language::English));
            }
        }
    }
}
