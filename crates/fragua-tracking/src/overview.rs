//! What people look at before they look at one run: how many there are, and which belong together.

use std::collections::HashMap;

use crate::experiments::ExperimentId;
use crate::runs::Run;
use crate::search::token;
use crate::validation::limits;
use crate::{Error, Query, Tracking, search, store};

impl Query {
    /// Returns the token of the page that begins after `offset` items.
    pub fn page_token_at(offset: u64) -> String {
        token::encode(offset)
    }
}

impl Tracking {
    /// Returns how many runs of some experiments match, on all pages together.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a filter that cannot be read.
    pub async fn count_runs(&self, experiments: &[ExperimentId], query: &Query) -> Result<u64, Error> {
        let plan = search::plan(&search::targets::RUNS, query, limits::RUNS_PER_PAGE)?;
        let (reader, engine) = (self.database().reader(), self.database().engine());
        Ok(store::overview::count_runs(reader, engine, experiments, &plan, query.view).await?)
    }

    /// Returns how many active runs name each of these as their parent; those that nobody names are left out.
    ///
    /// # Errors
    /// The database's own.
    pub async fn child_counts(&self, run_ids: &[String]) -> Result<HashMap<String, u64>, Error> {
        Ok(store::overview::count_children(self.database().reader(), run_ids).await?)
    }

    /// Returns some runs with their data, deleted ones too, in the order asked for; those that do not exist are
    /// left out.
    ///
    /// # Errors
    /// The database's own.
    pub async fn runs(&self, run_ids: &[String]) -> Result<Vec<Run>, Error> {
        let (ids, family) = (run_ids.to_vec(), self.family());
        let read = self.database().read(move |connection| {
            Box::pin(async move {
                let infos = store::overview::find_runs(connection, &ids).await?;
                Ok::<_, Error>(store::runs::with_data(connection, family, infos).await?)
            })
        });
        let runs = read.await?;
        let mut by_id: HashMap<String, Run> = runs
            .into_iter()
            .map(|run| (run.info.run_id.clone(), run))
            .collect();
        Ok(run_ids.iter().filter_map(|id| by_id.remove(id)).collect())
    }
}
