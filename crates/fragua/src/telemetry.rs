//! The program's own log, on standard error: quiet lines for people, or one JSON object a line for programs.

use std::fmt;
use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::settings::{LogFormat, LogSettings};

/// Starts the log. A second call in one process changes nothing.
pub(crate) fn start(settings: &LogSettings) {
    let filter = filter(settings.filter.as_str());
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

/// The library of the S3 protocol calls each mistake of a client an error, in its own words. What is trouble for us is
/// logged by us, so the library is heard only where the filter names it.
fn filter(text: &str) -> EnvFilter {
    let filter = EnvFilter::new(text);
    match (text.contains("s3s"), "s3s=off".parse()) {
        (false, Ok(quiet)) => filter.add_directive(quiet),
        _ => filter,
    }
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(text: &str) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter(text))
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(target: "s3s::ops", "failed to prepare");
            tracing::error!("an S3 request failed");
        });
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_mistake_of_an_s3_client_was_two_errors_in_the_log() {
        for text in ["info", "fragua=debug,warn", "trace"] {
            let log = logged(text);
            assert!(log.contains("an S3 request failed"), "{text}: {log}");
            assert!(!log.contains("failed to prepare"), "{text}: {log}");
        }
        assert!(logged("warn,s3s=error").contains("failed to prepare"));
    }
}
