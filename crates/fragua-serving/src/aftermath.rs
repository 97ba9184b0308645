//! What follows an answer without delaying it: the log, and the prediction of the shadow.

use std::sync::Arc;
use std::time::Duration;

use crate::Serving;
use crate::endpoint::Endpoint;
use crate::log::Answered;
use crate::metrics::Route;
use crate::model::Predictions;
use crate::request_id::RequestId;
use crate::role::Role;
use crate::row::Row;

/// Rows and what was answered for them.
#[derive(Debug)]
pub(crate) struct Predicted {
    pub(crate) rows: Vec<Row>,
    pub(crate) predictions: Predictions,
}

impl Serving {
    /// Takes note of an answer, and lets the endpoint's shadow predict the same rows.
    pub(crate) fn predicted(
        &self,
        endpoint: &Endpoint,
        role: Role,
        route: Route,
        request_id: RequestId,
        predicted: Predicted,
        took: Duration,
    ) {
        if let Some(log) = self.log() {
            log.record(&Answered {
                request_id: &request_id,
                role,
                source: route.name(),
                took,
                rows: &predicted.rows,
                predictions: &predicted.predictions,
                always: route == Route::App,
            });
        }
        let state = endpoint.state();
        let Some(shadow) = state.shadow.as_ref().and_then(|shadow| shadow.model.clone()) else {
            return;
        };
        // A shadow that does not keep up leaves rows out; it takes no more than its place.
        let Ok(place) = Arc::clone(&self.inner.shadows).try_acquire_owned() else {
            shadow.counters.shadow.missed(predicted.rows.len());
            return;
        };
        let (serving, log) = (self.clone(), self.log().cloned());
        tokio::spawn(async move {
            let Predicted { rows, predictions } = predicted;
            let asked = rows.len();
            let counters = Arc::clone(&shadow.counters);
            let compared = serving
                .compute(move || {
                    let started = std::time::Instant::now();
                    let shadowed = shadow.predict(&rows)?;
                    if let Some(log) = &log {
                        log.record(&Answered {
                            request_id: &request_id,
                            role: Role::Shadow,
                            source: route.name(),
                            took: started.elapsed(),
                            rows: &rows,
                            predictions: &shadowed,
                            always: false,
                        });
                    }
                    let same = shadowed.labels.iter().zip(&predictions.labels);
                    Ok::<_, crate::Error>(same.filter(|(shadow, live)| shadow == live).count())
                })
                .await;
            match compared {
                Ok(Ok(same)) => counters.shadow.compared(same, asked - same),
                // Its columns may differ from those of the version that answers.
                Ok(Err(_)) | Err(_) => counters.shadow.failed(asked),
            }
            drop(place);
        });
    }
}
