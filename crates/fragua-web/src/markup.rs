//! Text that is markup already and goes into a page as it is.

use std::fmt;

/// Markup that this crate made and found safe. Only the modules that make it can construct one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Markup(String);

impl Markup {
    /// Takes over markup whose every part was written or escaped by the caller.
    pub(crate) fn trusted(html: String) -> Self {
        Self(html)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Markup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

// Templates escape every text but this type.
impl askama::filters::HtmlSafe for Markup {}

/// Escapes a text for an element or a quoted attribute.
pub(crate) fn escape(text: &str, into: &mut String) {
    for character in text.chars() {
        match character {
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '&' => into.push_str("&amp;"),
            '"' => into.push_str("&quot;"),
            '\'' => into.push_str("&#39;"),
            other => into.push(other),
        }
    }
}
