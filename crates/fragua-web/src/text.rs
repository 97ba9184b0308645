//! The texts people read, in the languages they read.

use std::borrow::Cow;
use std::collections::HashMap;

use fluent_templates::fluent_bundle::FluentValue;
use fluent_templates::{LanguageIdentifier, Loader, langid};

use crate::format;

fluent_templates::static_loader! {
    static LOCALES = {
        locales: "./locales",
        fallback_language: "en",
        // The marks that isolate a value's writing direction would show up when people copy a number.
        customise: |bundle| bundle.set_use_isolating(false),
    };
}

static ENGLISH: LanguageIdentifier = langid!("en");
static SPANISH: LanguageIdentifier = langid!("es");

/// A language the pages are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Language {
    #[default]
    English,
    Spanish,
}

impl Language {
    pub(crate) const ALL: [Self; 2] = [Self::English, Self::Spanish];

    /// Returns the tag used in `lang`, the cookie and `?lang=`.
    pub(crate) const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Spanish => "es",
        }
    }

    /// Returns the language's name in itself.
    pub(crate) const fn own_name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Spanish => "Español",
        }
    }

    /// Returns the language of a tag such as `es` or `es-CO`.
    pub(crate) fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next()?.trim();
        Self::ALL
            .into_iter()
            .find(|language| language.tag().eq_ignore_ascii_case(primary))
    }

    /// Returns the known language with the greatest weight in an `Accept-Language` header.
    pub(crate) fn from_accept_language(header: &str) -> Option<Self> {
        let mut best: Option<(f32, Self)> = None;
        for choice in header.split(',') {
            let (tag, parameters) = choice.split_once(';').unwrap_or((choice, ""));
            let weight = parameters
                .trim()
                .strip_prefix("q=")
                .map_or(Some(1.0), |weight| weight.trim().parse().ok())
                .unwrap_or(0.0);
            let Some(language) = Self::from_tag(tag.trim()) else {
                continue;
            };
            if weight > 0.0 && best.is_none_or(|(known, _)| weight > known) {
                best = Some((weight, language));
            }
        }
        best.map(|(_, language)| language)
    }

    fn identifier(self) -> &'static LanguageIdentifier {
        match self {
            Self::English => &ENGLISH,
            Self::Spanish => &SPANISH,
        }
    }

    /// Returns a text that takes no values.
    pub(crate) fn text(self, key: &str) -> String {
        LOCALES.lookup(self.identifier(), key)
    }

    /// Returns a text, or nothing when no text has this key.
    #[cfg(test)]
    pub(crate) fn find(self, key: &str) -> Option<String> {
        LOCALES.try_lookup(self.identifier(), key)
    }

    /// Returns a text with values put in.
    pub(crate) fn text_with(self, key: &str, values: &[(&'static str, &str)]) -> String {
        let values: HashMap<_, _> = values
            .iter()
            .map(|(name, value)| (Cow::Borrowed(*name), FluentValue::from(*value)))
            .collect();
        LOCALES.lookup_with_args(self.identifier(), key, &values)
    }

    /// Returns a text about a count: `$count` chooses the plural, `$number` is how the count is written.
    pub(crate) fn text_count(self, key: &str, count: u64) -> String {
        let values = HashMap::from([
            (Cow::Borrowed("count"), FluentValue::from(count)),
            (Cow::Borrowed("number"), FluentValue::from(format::integer(count))),
        ]);
        LOCALES.lookup_with_args(self.identifier(), key, &values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chooses_the_language_with_the_greatest_weight() {
        for (header, expected) in [
            ("es", Some(Language::Spanish)),
            ("es-CO,es;q=0.9,en;q=0.8", Some(Language::Spanish)),
            ("de, en;q=0.5, es;q=0.4", Some(Language::English)),
            ("en;q=0.4, es-419;q=0.6", Some(Language::Spanish)),
            ("es;q=0, en;q=0.1", Some(Language::English)),
            ("de,fr", None),
            ("*", None),
            ("", None),
            (";;q=,,", None),
        ] {
            assert_eq!(Language::from_accept_language(header), expected, "{header}");
        }
    }

    #[test]
    fn puts_values_in_and_chooses_the_plural() {
        assert_eq!(Language::English.text_count("count-runs", 1), "1 run");
        assert_eq!(Language::English.text_count("count-runs", 25), "25 runs");
        assert_eq!(Language::Spanish.text_count("count-runs", 1), "1 ejecución");
        assert_eq!(
            Language::Spanish.text_count("count-runs", 1200),
            "1\u{202f}200 ejecuciones"
        );
    }
}
