//! Streams of events that tell a page to look again.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt};
use tokio::sync::{broadcast, watch};
use tokio_stream::wrappers::{BroadcastStream, WatchStream};
use tokio_util::sync::CancellationToken;

const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Answers with one event for each change that concerns the page. A page that lags behind is told to look again as well.
pub(crate) fn changes<C: Clone + Send + 'static>(
    receiver: broadcast::Receiver<C>,
    concerns: impl Fn(&C) -> bool + Send + 'static,
    shutdown: &CancellationToken,
) -> Response {
    stream(told(receiver, concerns), shutdown)
}

/// As [`changes`], and with one event each time that a while has passed.
pub(crate) fn changes_and_beats<C: Clone + Send + 'static>(
    receiver: broadcast::Receiver<C>,
    concerns: impl Fn(&C) -> bool + Send + 'static,
    every: Duration,
    shutdown: &CancellationToken,
) -> Response {
    let interval = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    let beats = futures::stream::unfold(interval, async |mut interval| {
        interval.tick().await;
        Some((look_again(), interval))
    });
    stream(futures::stream::select(told(receiver, concerns), beats), shutdown)
}

fn told<C: Clone + Send + 'static>(
    receiver: broadcast::Receiver<C>,
    concerns: impl Fn(&C) -> bool + Send + 'static,
) -> impl Stream<Item = Event> + Send + 'static {
    BroadcastStream::new(receiver).filter_map(move |change| {
        let wakes = change.as_ref().map_or(true, &concerns);
        futures::future::ready(wakes.then(look_again))
    })
}

fn look_again() -> Event {
    Event::default().event("change").data("1")
}

/// Answers with one event now and one for each time that what is watched moves on.
pub(crate) fn watched<T: Clone + Send + Sync + 'static>(
    receiver: watch::Receiver<T>,
    shutdown: &CancellationToken,
) -> Response {
    let events = WatchStream::new(receiver).map(|_| look_again());
    stream(events, shutdown)
}

/// Answers with events until they end or the server stops.
pub(crate) fn stream(
    events: impl Stream<Item = Event> + Send + 'static,
    shutdown: &CancellationToken,
) -> Response {
    let stopped = shutdown.clone().cancelled_owned();
    let events = events.take_until(Box::pin(stopped)).map(Ok::<_, Infallible>);
    Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response()
}
