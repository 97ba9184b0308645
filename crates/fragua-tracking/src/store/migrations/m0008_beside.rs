//! Tables of ours for what the database of an older MLflow has no place for. They refer to none of MLflow's tables, so
//! that nothing of ours is in the way when MLflow changes those.

use sea_orm::{DbErr, DeriveMigrationName};
use sea_orm_migration::{MigrationTrait, SchemaManager};

use super::listed;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if !manager.has_table("logged_models").await? {
            listed::create(manager, LOGGED_MODELS).await?;
        }
        if !manager.has_table("webhooks").await? {
            listed::create(manager, WEBHOOKS).await?;
        }
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only move forward".to_owned()))
    }
}

const LOGGED_MODELS: &str = "
table fragua_logged_models
  model_id text(36) required
  experiment_id integer required
  name text(500) required
  artifact_location text(1000) required
  creation_timestamp_ms bigint required
  last_updated_timestamp_ms bigint required
  status integer required
  lifecycle_stage text(32)
  model_type text(500)
  source_run_id text(32)
  status_message text(1000)
  primary fragua_logged_models_pk model_id
  index fragua_logged_models_beside_by_experiment experiment_id creation_timestamp_ms
  index fragua_logged_models_beside_by_run source_run_id

table fragua_logged_model_metrics
  model_id text(36) required
  metric_name text(500) required
  metric_timestamp_ms bigint required
  metric_step bigint required
  metric_value double
  experiment_id integer required
  run_id text(32) required
  dataset_uuid text(36)
  dataset_name text(500)
  dataset_digest text(36)
  primary fragua_logged_model_metrics_pk model_id metric_name metric_timestamp_ms metric_step run_id

table fragua_logged_model_params
  model_id text(36) required
  experiment_id integer required
  param_key text(255) required
  param_value text required
  primary fragua_logged_model_params_pk model_id param_key

table fragua_logged_model_tags
  model_id text(36) required
  experiment_id integer required
  tag_key text(255) required
  tag_value text required
  primary fragua_logged_model_tags_pk model_id tag_key

table fragua_inputs
  input_uuid text(36) required
  source_type text(36) required
  source_id text(36) required
  destination_type text(36) required
  destination_id text(36) required
  step bigint required
  primary fragua_inputs_pk source_type source_id destination_type destination_id
";

const WEBHOOKS: &str = "
table fragua_webhooks
  webhook_id text(256) required
  name text(256) required
  description text(1000)
  url text(500) required
  status text(20) required default ACTIVE
  secret text(1000)
  creation_timestamp bigint
  last_updated_timestamp bigint
  deleted_timestamp bigint
  primary fragua_webhooks_pk webhook_id

table fragua_webhook_events
  webhook_id text(256) required
  entity text(50) required
  action text(50) required
  primary fragua_webhook_events_pk webhook_id entity action
";
