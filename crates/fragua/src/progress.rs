//! How far a command is, on standard error: a bar on a terminal, a plain line now and then elsewhere.

use std::io::{IsTerminal as _, stderr};

use indicatif::{ProgressBar, ProgressStyle};

/// How many plain lines a command writes at most.
const PLAIN_LINES: usize = 10;

/// Shows how many things of a known number are done.
pub(crate) struct Progress {
    /// `None` where there is no terminal.
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Shows nothing yet.
    pub(crate) fn new() -> Self {
        let style =
            ProgressStyle::with_template("{spinner:.cyan} {msg} [{bar:30.cyan/dim}] {pos}/{len} {eta}");
        let bar = stderr()
            .is_terminal()
            .then(|| ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())));
        Self { bar }
    }

    /// Says how many of how many are done.
    pub(crate) fn counted(&self, text: &str, done: usize, total: usize) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(total as u64);
                bar.set_position(done as u64);
                bar.set_message(text.to_owned());
            }
            None if done == total || done.is_multiple_of(total.div_ceil(PLAIN_LINES).max(1)) => {
                eprintln!("{text}: {done} of {total}");
            }
            None => {}
        }
    }

    /// Takes the display away.
    pub(crate) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
