//! Small things that several pages show.

use crate::page::Page;

/// An entry of the way up. The page itself has no address.
#[derive(Debug, Clone)]
pub(crate) struct Crumb {
    pub(crate) label: String,
    pub(crate) address: String,
}

impl Crumb {
    pub(crate) fn link(label: impl Into<String>, address: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            address: address.into(),
        }
    }

    pub(crate) fn here(label: impl Into<String>) -> Self {
        Self::link(label, "")
    }
}

/// A tab of a page.
#[derive(Debug, Clone)]
pub(crate) struct Tab {
    pub(crate) label: String,
    pub(crate) address: String,
    pub(crate) is_current: bool,
    pub(crate) count: Option<String>,
}

impl Tab {
    /// Returns the tab that the address names; the first of them when it names none of them.
    pub(crate) fn current(page: &Page, tabs: &[&'static str]) -> &'static str {
        let wanted = page.parameter("tab").unwrap_or_default();
        tabs.iter().copied().find(|tab| *tab == wanted).unwrap_or(tabs[0])
    }

    /// Returns the tabs of a page, each shown by `?tab=` and named by a text; the first is shown without it.
    pub(crate) fn all(page: &Page, current: &str, tabs: &[(&str, &str, Option<usize>)]) -> Vec<Self> {
        tabs.iter()
            .enumerate()
            .map(|(index, (name, text, count))| Self {
                label: page.t(text),
                address: page.only("tab", if index == 0 { "" } else { name }),
                is_current: *name == current,
                count: count.map(|count| count.to_string()),
            })
            .collect()
    }
}

/// One of several ways to narrow a list down.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) label: String,
    pub(crate) address: String,
    pub(crate) is_current: bool,
    pub(crate) count: String,
}

/// A choice of a field with a list.
#[derive(Debug, Clone)]
pub(crate) struct SelectOption {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) is_chosen: bool,
}

impl SelectOption {
    pub(crate) fn new(label: impl Into<String>, value: impl Into<String>, is_chosen: bool) -> Self {
        Self {
            value: value.into(),
            label: label.into(),
            is_chosen,
        }
    }
}

/// A cell of a table of figures.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) is_number: bool,
    pub(crate) is_best: bool,
}
