//! The program's own log, on standard error: quiet lines for people, or one JSON object a line for programs.

use std::fmt;
use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::settings::{LogFormat, LogSettings};

/// Starts the log. A second call in one process changes nothing.
pub(crate) fn start(settings: &LogSettings) {
    let filter = EnvFilter::new(settings.filter.as_str());
    let colour = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(colour)
        .with_timer(Rfc3339);
    // The one error is that a log was started before, by an earlier command in a test.
    let _ = match settings.format {
        LogFormat::Text => builder.with_target(false).compact().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// UTC, always with milliseconds, so that lines stand below each other.
struct Rfc3339;

impl FormatTime for Rfc3339 {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(
            writer,
            "{}",
            jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
        )
    }
}
