//! Changing things on the page that shows them: `?edit=description` opens a form in place, and what is refused comes
//! back in the same form with the reason at the field.
//!
//! Every form is sent to the address of its page, with the field `do` naming what to do, so that the page that answers
//! has the right address whether the change was made or refused.

use fragua_base::ErrorKind;
use fragua_tracking::Tag;

use crate::form;
use crate::markdown;
use crate::markup::Markup;
use crate::page::{Page, parse_query};

/// How the keys of tags begin that programs write for themselves.
const HIDDEN_TAGS: [&str; 2] = ["mlflow.", "fragua."];
pub(super) const NOTE_TAG: &str = "mlflow.note.content";

/// A form that was sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent(Vec<(String, String)>);

impl Sent {
    pub(super) fn read(body: &[u8]) -> Self {
        Self(parse_query(&String::from_utf8_lossy(body)))
    }

    /// Returns a field, empty when it was not sent.
    pub(super) fn field(&self, name: &str) -> &str {
        form::value(&self.0, name).unwrap_or_default()
    }

    /// Returns each value of a field that may be sent several times.
    pub(super) fn fields<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(key, _)| key == name);
        named.map(|(_, value)| value.as_str())
    }

    /// Returns a field without the blanks around it.
    pub(super) fn trimmed(&self, name: &str) -> &str {
        self.field(name).trim()
    }

    /// Returns what to do.
    pub(super) fn action(&self) -> &str {
        self.field("do")
    }

    /// Returns the tag of the fields `key` and `value`.
    pub(super) fn tag(&self) -> Tag {
        Tag::new(self.trimmed("key"), self.field("value"))
    }

    /// Returns a text of several lines as it is kept: browsers send line ends as in mail.
    pub(super) fn text(&self, name: &str) -> String {
        self.field(name).replace("\r\n", "\n").trim_end().to_owned()
    }
}

/// The form that is open on a page, with what was typed and why it was refused.
#[derive(Debug, Default)]
pub(super) struct Editing {
    what: String,
    pub(super) key: String,
    sent: Option<Sent>,
    /// The field that the error is about, where a form has several.
    field: &'static str,
    pub(super) error: String,
}

impl Editing {
    /// Returns the form that the address opens.
    pub(super) fn of(page: &Page) -> Self {
        Self {
            what: page.parameter("edit").unwrap_or_default().to_owned(),
            key: page.parameter("key").unwrap_or_default().to_owned(),
            ..Self::default()
        }
    }

    /// Returns the form that was sent and refused.
    pub(super) fn refused(sent: &Sent, error: impl Into<String>) -> Self {
        Self {
            what: sent.action().to_owned(),
            key: sent.field("key").to_owned(),
            sent: Some(sent.clone()),
            field: "",
            error: error.into(),
        }
    }

    /// Returns the form that was sent and refused for one of its fields.
    pub(super) fn refused_at(sent: &Sent, field: &'static str, error: impl Into<String>) -> Self {
        Self {
            field,
            ..Self::refused(sent, error)
        }
    }

    pub(super) fn is(&self, what: &str) -> bool {
        self.what == what
    }

    /// Tells whether this form was sent and refused.
    pub(super) fn is_refused(&self, what: &str) -> bool {
        self.is(what) && !self.error.is_empty()
    }

    /// Tells whether this form was sent and refused for this field.
    pub(super) fn is_refused_at(&self, what: &str, field: &str) -> bool {
        self.is_refused(what) && self.field == field
    }

    /// Returns what was typed, else what is there now.
    pub(super) fn value<'a>(&'a self, present: &'a str) -> &'a str {
        self.sent.as_ref().map_or(present, |sent| sent.field("value"))
    }

    /// Returns what was typed into a field of the form that was refused.
    pub(super) fn typed(&self, what: &str, field: &str) -> &str {
        let sent = self.sent.as_ref().filter(|_| self.is(what));
        sent.map_or("", |sent| sent.field(field))
    }

    /// Tells whether a run was selected when the form was sent.
    pub(super) fn selects(&self, run_id: &str) -> bool {
        self.selected().any(|selected| selected == run_id)
    }

    /// Returns the runs that were selected when the form was sent.
    pub(super) fn selected(&self) -> impl Iterator<Item = &str> {
        self.sent.iter().flat_map(|sent| sent.fields("run"))
    }
}

/// Tells whether a failure is a matter between the reader and a field.
pub(super) fn is_about_a_field(error: &fragua_tracking::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Conflict)
}

/// A text in Markdown as it is shown and as it is edited.
pub(super) struct Description {
    pub(super) html: Markup,
    pub(super) text: String,
}

impl Description {
    pub(super) fn new(text: Option<&str>) -> Self {
        let text = text.unwrap_or_default().to_owned();
        Self {
            html: markdown::render(&text),
            text,
        }
    }
}

/// The tags of a thing: those of people, and those that programs keep for themselves.
pub(super) struct Tags {
    pub(super) own: Vec<Tag>,
    pub(super) kept: Vec<Tag>,
}

impl Tags {
    pub(super) fn new(tags: &[Tag]) -> Self {
        let mut tags: Vec<Tag> = tags.iter().filter(|tag| tag.key != NOTE_TAG).cloned().collect();
        tags.sort_by(|one, other| one.key.cmp(&other.key));
        let is_kept = |tag: &Tag| HIDDEN_TAGS.iter().any(|start| tag.key.starts_with(start));
        let (kept, own) = tags.into_iter().partition(is_kept);
        Self { own, kept }
    }

    /// Returns the value of a tag, to change it.
    pub(super) fn value_of(&self, key: &str) -> &str {
        let all = self.own.iter().chain(&self.kept);
        all.filter(|tag| tag.key == key)
            .map(|tag| tag.value.as_str())
            .next()
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sent_form_is_read_as_typed() {
        let sent = Sent::read(b"do=tag&key=+team+&value=a%0D%0Ab%0D%0A&do=tag");
        assert_eq!(sent.action(), "tag");
        assert_eq!(sent.trimmed("key"), "team");
        assert_eq!(sent.text("value"), "a\nb");
        assert_eq!(sent.field("none"), "");
        let editing = Editing::refused(&sent, "too long");
        assert!(editing.is_refused("tag") && !editing.is_refused("rename"));
        assert_eq!(editing.value("now"), "a\r\nb\r\n");
        assert_eq!(Editing::default().value("now"), "now");
    }

    #[test]
    fn tags_of_programs_stand_apart() {
        let tags = Tags::new(&[
            Tag::new("team", "b"),
            Tag::new("mlflow.user", "u"),
            Tag::new(NOTE_TAG, "# x"),
            Tag::new("area", "a"),
            Tag::new("fragua.dag_id", "d"),
        ]);
        let keys = |tags: &[Tag]| tags.iter().map(|tag| tag.key.clone()).collect::<Vec<_>>();
        assert_eq!(keys(&tags.own), ["area", "team"]);
        assert_eq!(keys(&tags.kept), ["fragua.dag_id", "mlflow.user"]);
        assert_eq!(tags.value_of("team"), "b");
        assert_eq!(tags.value_of("none"), "");
    }
}
