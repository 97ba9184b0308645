//! The routes of each port.

use std::collections::BTreeMap;

use axum::Router;
use fragua_base::Endpoints;
use fragua_web::Site;
use tokio_util::sync::CancellationToken;

use super::App;
use crate::settings::Loaded;
use crate::source;
use crate::surface::Surface;

impl App {
    /// Returns the routes of every port that the parts of this process can answer on.
    pub(crate) fn routes(
        &self,
        loaded: &Loaded,
        endpoints: &Endpoints,
        shutdown: &CancellationToken,
    ) -> BTreeMap<Surface, Router> {
        let site = Site::new(
            endpoints.clone(),
            self.served.clone(),
            self.clock.clone(),
            shutdown.clone(),
        );
        let mut routes = BTreeMap::new();
        if let Some(orchestrator) = &self.orchestrator {
            let pages = fragua_web::orchestrator_pages(orchestrator.clone(), site.clone());
            let api = fragua_orchestrator::api::router(orchestrator.clone());
            let workers =
                fragua_orchestrator::worker_router(orchestrator.clone(), self.auth.clone(), shutdown.clone());
            routes.insert(Surface::Orchestrator, api.merge(workers).merge(pages));
        }
        if let Some(tracking) = &self.tracking {
            let site = site.clone().with_traffic_of(self.serving.clone());
            let pages = fragua_web::tracking_pages(tracking.clone(), site);
            let api = fragua_tracking::mlflow::router(tracking.clone());
            routes.insert(Surface::Tracking, api.merge(pages));
        }
        if let Some(storage) = &self.storage {
            let settings = fragua_storage::s3::Settings {
                domains: loaded.settings.storage.domains.clone(),
            };
            let s3 = fragua_storage::s3::router(storage.clone(), self.auth.clone(), &settings);
            routes.insert(Surface::Storage, s3);
            let bucket = &loaded.settings.tracking.artifact_bucket;
            let site = site.clone().with_artifacts_in(bucket);
            let pages = fragua_web::console_pages(storage.clone(), self.auth.clone(), site);
            routes.insert(Surface::Console, pages);
        }
        if let Some(serving) = &self.serving {
            routes.insert(Surface::Serving, fragua_serving::api::router(serving.clone()));
            let pages = fragua_web::app_pages(serving.clone(), self.tracking.clone(), site);
            routes.insert(Surface::App, pages);
        }
        if let Some(source) = &self.source {
            routes.insert(Surface::Source, source::router(source.clone()));
        }
        routes
    }
}
