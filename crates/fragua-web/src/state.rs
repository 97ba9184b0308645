//! How a state looks: always a colour, a shape and a word together.

/// The look of a state of a DAG run, a task instance or a tracking run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StateView {
    /// Names the style class `state-…` and the text `state-…`.
    pub(crate) key: &'static str,
    /// Names the symbol in `icons.svg`.
    pub(crate) icon: &'static str,
    /// Something is happening now.
    pub(crate) is_live: bool,
}

impl StateView {
    const fn still(key: &'static str, icon: &'static str) -> Self {
        Self {
            key,
            icon,
            is_live: false,
        }
    }

    const fn live(key: &'static str, icon: &'static str) -> Self {
        Self {
            key,
            icon,
            is_live: true,
        }
    }

    /// Returns the style classes.
    pub(crate) fn class(&self) -> String {
        let live = if self.is_live { " is-live" } else { "" };
        format!("state-{}{live}", self.key)
    }

    /// Returns the key of the word.
    pub(crate) fn text_key(&self) -> String {
        format!("state-{}", self.key)
    }

    /// Returns the look of a state by its name in any of the protocols; a name that is not known looks like no state.
    pub(crate) fn of(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "success" | "finished" => Self::still("success", "check"),
            "ready" => Self::still("ready", "check"),
            "failed" | "failed_registration" => Self::still("failed", "cross"),
            "running" => Self::live("running", "play"),
            "queued" => Self::live("queued", "queue"),
            "scheduled" | "pending_registration" => Self::live("scheduled", "clock"),
            "up_for_retry" => Self::live("up_for_retry", "retry"),
            "up_for_reschedule" | "deferred" | "waiting" => Self::live("waiting", "hourglass"),
            "restarting" => Self::live("restarting", "retry"),
            "skipped" => Self::still("skipped", "skip"),
            "upstream_failed" => Self::still("upstream_failed", "blocked"),
            "killed" => Self::still("killed", "stop"),
            "removed" => Self::still("removed", "minus"),
            _ => Self::still("none", "dot"),
        }
    }

    /// Every look, for the legend and for tests.
    #[cfg(test)]
    pub(crate) const NAMES: [&'static str; 14] = [
        "success",
        "ready",
        "failed",
        "running",
        "queued",
        "scheduled",
        "up_for_retry",
        "deferred",
        "restarting",
        "skipped",
        "upstream_failed",
        "killed",
        "removed",
        "",
    ];
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::text::Language;

    #[test]
    fn every_state_has_a_word_in_each_language_and_a_symbol() {
        let symbols = include_str!("../static/icons.svg");
        let styles = include_str!("../static/components.css");
        let mut keys = BTreeSet::new();
        for name in StateView::NAMES {
            let view = StateView::of(name);
            keys.insert(view.key);
            for language in Language::ALL {
                assert!(language.find(&format!("state-{}", view.key)).is_some(), "{name}");
            }
            assert!(
                symbols.contains(&format!("id=\"{}\"", view.icon)),
                "{}",
                view.icon
            );
            assert!(
                styles.contains(&format!(".state-{}", view.key)),
                "state-{}",
                view.key
            );
        }
        assert_eq!(keys.len(), StateView::NAMES.len());
    }

    #[test]
    fn the_names_of_each_protocol_are_known() {
        for (name, key) in [
            ("FINISHED", "success"),
            ("SUCCESS", "success"),
            ("READY", "ready"),
            ("RUNNING", "running"),
            ("unheard_of", "none"),
        ] {
            assert_eq!(StateView::of(name).key, key);
        }
    }
}
