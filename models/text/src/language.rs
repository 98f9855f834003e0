//! Languages whose words are brought to a common stem.

use frostem::{Algorithm, Stemmer};

/// By which rules words are shortened to what their forms have in common. Words of another language lose nothing but
/// perhaps an ending that looks alike; the words of a query lose it too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
#[non_exhaustive]
pub enum Language {
    /// Words stay as they are, but for upper case and accents.
    None,
    /// "lives", "lived" and "living" are one word.
    #[default]
    English,
    /// Danish.
    Danish,
    /// Dutch.
    Dutch,
    /// Finnish.
    Finnish,
    /// French.
    French,
    /// German.
    German,
    /// Italian.
    Italian,
    /// Norwegian.
    Norwegian,
    /// Portuguese.
    Portuguese,
    /// Russian.
    Russian,
    /// Spanish.
    Spanish,
    /// Swedish.
    Swedish,
}

/// Each language, its stored number and its name.
const LANGUAGES: [(Language, u8, &str); 13] = [
    (Language::None, 0, "none"),
    (Language::English, 1, "english"),
    (Language::Danish, 2, "danish"),
    (Language::Dutch, 3, "dutch"),
    (Language::Finnish, 4, "finnish"),
    (Language::French, 5, "french"),
    (Language::German, 6, "german"),
    (Language::Italian, 7, "italian"),
    (Language::Norwegian, 8, "norwegian"),
    (Language::Portuguese, 9, "portuguese"),
    (Language::Russian, 10, "russian"),
    (Language::Spanish, 11, "spanish"),
    (Language::Swedish, 12, "swedish"),
];

impl Language {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        LANGUAGES.iter().map(|(language, ..)| *language)
    }

    /// Its name, in English and lower case.
    pub fn name(self) -> &'static str {
        LANGUAGES.iter().find(|entry| entry.0 == self).map_or("none", |entry| entry.2)
    }

    /// The language of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        LANGUAGES.iter().find(|entry| entry.2.eq_ignore_ascii_case(name)).map(|entry| entry.0)
    }

    pub(crate) fn number(self) -> u8 {
        LANGUAGES.iter().find(|entry| entry.0 == self).map_or(0, |entry| entry.1)
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        LANGUAGES.iter().find(|entry| entry.1 == number).map(|entry| entry.0)
    }

    pub(crate) fn stemmer(self) -> Option<Stemmer> {
        let algorithm = match self {
            Self::None => return None,
            Self::English => Algorithm::English,
            Self::Danish => Algorithm::Danish,
            Self::Dutch => Algorithm::Dutch,
            Self::Finnish => Algorithm::Finnish,
            Self::French => Algorithm::French,
            Self::German => Algorithm::German,
            Self::Italian => Algorithm::Italian,
            Self::Norwegian => Algorithm::Norwegian,
            Self::Portuguese => Algorithm::Portuguese,
            Self::Russian => Algorithm::Russian,
            Self::Spanish => Algorithm::Spanish,
            Self::Swedish => Algorithm::Swedish,
        };
        Some(Stemmer::new(algorithm))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_lead_back() {
        for language in Language::all() {
            assert_eq!(Language::from_number(language.number()), Some(language));
            assert_eq!(Language::from_name(language.name()), Some(language));
            assert_eq!(language.stemmer().is_none(), language == Language::None);
        }
    }
}
