//! What the demo shows while it works, on standard error: a moving display on a terminal, plain lines elsewhere.

use std::io::{IsTerminal as _, stderr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Shows steps. A step that is under way is on the last line of a terminal; a step that is done stays above it.
pub(super) struct Progress {
    started: Instant,
    /// `None` where there is no terminal.
    bar: Option<ProgressBar>,
    /// What was said last, so that plain lines say each thing once.
    said: Mutex<String>,
}

impl Progress {
    /// Starts the display.
    pub(super) fn new(started: Instant) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner().with_style(style("{spinner:.cyan} {msg}"));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self {
            started,
            bar,
            said: Mutex::default(),
        }
    }

    /// Says what is under way.
    pub(super) fn doing(&self, text: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_style(style("{spinner:.cyan} {wide_msg}"));
                bar.set_message(text.to_owned());
            }
            None => self.say(text),
        }
    }

    /// Says how far a step is that has a known length.
    pub(super) fn counted(&self, text: &str, position: u64, length: u64) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(length);
                bar.set_position(position);
                bar.set_style(style("{spinner:.cyan} {msg} [{bar:30.cyan/dim}] {pos}/{len}"));
                bar.set_message(text.to_owned());
            }
            None => self.say(&format!("{text}: {position} of {length}")),
        }
    }

    /// Says that a step is done.
    pub(super) fn done(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_style(style("{spinner:.cyan}"));
        }
        self.print("✓", text);
    }

    /// Says something beside the steps.
    pub(super) fn note(&self, text: &str) {
        self.print("·", text);
    }

    /// Ends the moving display.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn print(&self, mark: &str, text: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        match &self.bar {
            Some(bar) if !bar.is_finished() => bar.println(format!("{mark} {text} ({seconds:.1} s)")),
            Some(_) => eprintln!("{mark} {text}"),
            None => self.say(text),
        }
    }

    fn say(&self, text: &str) {
        let mut said = self
            .said
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if *said == text {
            return;
        }
        text.clone_into(&mut said);
        let seconds = self.started.elapsed().as_secs_f64();
        eprintln!("[{seconds:6.1} s] {text}");
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the templates of this file are well formed")
        .progress_chars("━━╌")
}
