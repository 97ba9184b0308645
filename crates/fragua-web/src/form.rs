//! Forms that are built from a schema: the parameters of a DAG, the features of a model.

use fragua_base::Timestamp;

use crate::markup::Markup;

/// What a field takes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Text,
    Number { whole: bool },
    Choice(Vec<String>),
    Checkbox,
    Json,
}

/// A field with what was typed into it and what is wrong with that.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    /// Made by us: letters, digits and dashes only.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) kind: Kind,
    pub(crate) value: String,
    pub(crate) hint: String,
    /// Why the value is refused.
    pub(crate) error: String,
    /// What is odd about a value that is accepted.
    pub(crate) warning: String,
    /// How its values are spread.
    pub(crate) picture: Markup,
    pub(crate) slider: Option<Slider>,
}

/// The ends and steps of a slider that moves a field of numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slider {
    pub(crate) low: String,
    pub(crate) high: String,
    pub(crate) step: String,
    pub(crate) value: String,
}

impl Field {
    pub(crate) fn new(index: usize, name: &str, kind: Kind) -> Self {
        Self {
            id: format!("field-{index}"),
            name: name.to_owned(),
            label: name.to_owned(),
            kind,
            value: String::new(),
            hint: String::new(),
            error: String::new(),
            warning: String::new(),
            picture: Markup::default(),
            slider: None,
        }
    }

    pub(crate) fn is_checkbox(&self) -> bool {
        self.kind == Kind::Checkbox
    }

    /// Returns the choices, with the value itself where it is not one of them, so that it is not lost.
    pub(crate) fn choices(&self) -> Vec<&str> {
        let Kind::Choice(choices) = &self.kind else {
            return Vec::new();
        };
        let mut choices: Vec<&str> = choices.iter().map(String::as_str).collect();
        if !choices.contains(&self.value.as_str()) {
            choices.insert(0, &self.value);
        }
        choices
    }

    pub(crate) fn is_chosen(&self, choice: &str) -> bool {
        self.value == choice
    }

    /// Returns the attributes that tie the field to its hint and its error.
    pub(crate) fn described(&self) -> String {
        let mut ids = Vec::new();
        for (suffix, text) in [
            ("hint", &self.hint),
            ("error", &self.error),
            ("warning", &self.warning),
        ] {
            if !text.is_empty() {
                ids.push(format!("{}-{suffix}", self.id));
            }
        }
        let mut attributes = String::new();
        if !self.error.is_empty() {
            attributes.push_str(" aria-invalid=\"true\"");
        }
        if !ids.is_empty() {
            attributes.push_str(&format!(" aria-describedby=\"{}\"", ids.join(" ")));
        }
        attributes
    }
}

/// Reads an instant as people type it, in UTC: `2025-04-02`, `2025-04-02 06:00`, or with a zone as programs write it.
pub(crate) fn instant(typed: &str) -> Option<Timestamp> {
    let typed = typed.trim().replacen(' ', "T", 1);
    let ways = [
        typed.clone(),
        format!("{typed}Z"),
        format!("{typed}:00Z"),
        format!("{typed}T00:00:00Z"),
    ];
    ways.iter().find_map(|way| Timestamp::parse_rfc3339(way).ok())
}

/// Returns the last value of a field of a submitted form: a checkbox may follow a hidden field of its name.
pub(crate) fn value<'form>(form: &'form [(String, String)], name: &str) -> Option<&'form str> {
    form.iter()
        .rfind(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_tied_to_what_is_said_about_it() {
        let mut field = Field::new(3, "Elevation", Kind::Number { whole: true });
        assert_eq!(field.described(), "");
        field.hint = "1859 to 3858".to_owned();
        assert_eq!(field.described(), " aria-describedby=\"field-3-hint\"");
        field.error = "not a number".to_owned();
        assert_eq!(
            field.described(),
            " aria-invalid=\"true\" aria-describedby=\"field-3-hint field-3-error\""
        );
    }

    #[test]
    fn an_instant_is_read_as_people_type_it() {
        let noon = Timestamp::parse_rfc3339("2025-04-02T12:00:00Z").ok();
        for typed in [
            "2025-04-02 12:00",
            "2025-04-02T12:00:00",
            " 2025-04-02T12:00:00Z ",
            "2025-04-02T14:00:00+02:00",
        ] {
            assert_eq!(instant(typed), noon, "{typed}");
        }
        assert_eq!(
            instant("2025-04-02"),
            Timestamp::parse_rfc3339("2025-04-02T00:00:00Z").ok()
        );
        for typed in ["", "tomorrow", "2025-13-01"] {
            assert_eq!(instant(typed), None, "{typed}");
        }
    }

    #[test]
    fn a_value_that_is_no_choice_is_kept() {
        let mut field = Field::new(0, "Soil", Kind::Choice(vec!["a".to_owned(), "b".to_owned()]));
        field.value = "a".to_owned();
        assert_eq!(field.choices(), ["a", "b"]);
        field.value = "z".to_owned();
        assert_eq!(field.choices(), ["z", "a", "b"]);
    }
}
