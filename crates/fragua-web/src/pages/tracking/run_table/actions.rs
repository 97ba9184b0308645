//! What people do to the runs they selected in the table.

use axum::extract::{Path, RawForm, State};
use axum::response::Response;
use fragua_tracking::{Batch, RunUpdate, Tag, Tracking};

use super::experiment_of;
use super::state::TableState;
use crate::error::{Error, see_other};
use crate::form;
use crate::page::{Page, encode, parse_query};

/// Deletes, restores, tags or renames, and leads back to the table as it was.
pub(in crate::pages::tracking) async fn act(
    State(tracking): State<Tracking>,
    page: Page,
    Path(id): Path<String>,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    experiment_of(&tracking, &id).await?;
    let form = parse_query(&String::from_utf8_lossy(&body));
    let value = |name: &str| form::value(&form, name).unwrap_or_default().trim().to_owned();
    let runs: Vec<&str> = form
        .iter()
        .filter(|(name, _)| name == "run")
        .map(|(_, run_id)| run_id.as_str())
        .collect();
    if runs.is_empty() {
        return Err(Error::Invalid(page.t("select-runs-first")));
    }
    match value("action").as_str() {
        "delete" => {
            for run_id in runs {
                tracking.delete_run(run_id).await?;
            }
        }
        "restore" => {
            for run_id in runs {
                tracking.restore_run(run_id).await?;
            }
        }
        "tag" => {
            let tag = Tag::new(value("key"), value("value"));
            for run_id in runs {
                let batch = Batch {
                    tags: vec![tag.clone()],
                    ..Batch::default()
                };
                tracking.log_batch(run_id, batch).await?;
            }
        }
        "rename" => {
            let [run_id] = runs[..] else {
                return Err(Error::Invalid(page.t("rename-one-run")));
            };
            let name = value("name");
            if name.is_empty() {
                return Err(Error::Invalid(page.t("run-name-empty")));
            }
            let update = RunUpdate {
                run_name: Some(name),
                ..RunUpdate::default()
            };
            tracking.update_run(run_id, update).await?;
        }
        _ => return Err(Error::Invalid(page.t("action-unknown"))),
    }
    let table = TableState::of(&page).address(&format!("/experiments/{}", encode(&id)));
    Ok(see_other(&table))
}
