//! How the program ends: a signal, a token that everything listens to, and a deadline.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use futures::StreamExt as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long requests and tasks in progress may take to end. With what follows, the process ends within 5 s.
pub(crate) const DRAIN: Duration = Duration::from_millis(3_000);

/// How long closing the databases may take.
pub(crate) const CLOSE: Duration = Duration::from_millis(1_000);

/// How long the runtime waits for threads that are busy with a computation.
pub(crate) const LAST_MOMENT: Duration = Duration::from_millis(500);

/// The signals that ask the program to end. They are caught from the moment this is made.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Starts to catch Ctrl-C and SIGTERM.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn catch() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next signal and returns its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }

    /// Ends the process at once when a further signal comes: whoever asks twice does not want to wait.
    pub(crate) fn end_at_once_on_next(mut self) {
        tokio::spawn(async move {
            self.next().await;
            // 128 + SIGINT, what a shell reports for a program that Ctrl-C ended.
            std::process::exit(130);
        });
    }
}

/// Ends an event stream when the token is cancelled: it has no end of its own, and an open one
/// would hold the server for ever.
pub(crate) fn end_event_stream(response: Response, token: &CancellationToken) -> Response {
    let is_event_stream = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if !is_event_stream {
        return response;
    }
    let cancelled = token.clone().cancelled_owned();
    response.map(|body| Body::from_stream(body.into_data_stream().take_until(cancelled)))
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use axum::response::sse::{Event, Sse};
    use futures::stream;

    use super::*;

    async fn endless() -> Sse<impl futures::Stream<Item = Result<Event, std::convert::Infallible>>> {
        Sse::new(stream::once(async { Ok(Event::default().data("hello")) }).chain(stream::pending()))
    }

    #[tokio::test]
    async fn an_event_stream_ends_with_the_token() {
        let token = CancellationToken::new();
        let response = end_event_stream(endless().await.into_response(), &token);
        let mut body = response.into_body().into_data_stream();
        assert_eq!(body.next().await.unwrap().unwrap(), "data: hello\n\n");
        token.cancel();
        assert!(body.next().await.is_none());
    }
}
