//! What people do on the page of an experiment: to it, and to the runs they selected in its table.

use axum::extract::{Path, RawForm, State};
use axum::response::Response;
use fragua_base::ErrorKind;
use fragua_tracking::{ExperimentId, RunUpdate, Tag, Tracking};

use super::{answer, experiment_of};
use crate::error::{Error, see_other};
use crate::page::Page;
use crate::pages::tracking::edit::{Editing, NOTE_TAG, Sent};

/// Does what a form asks for and leads back to the page as it was; what is refused is said there.
pub(in crate::pages::tracking) async fn act(
    State(tracking): State<Tracking>,
    page: Page,
    Path(id): Path<String>,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let experiment = experiment_of(&tracking, &id).await?;
    let sent = Sent::read(&body);
    let runs: Vec<&str> = sent.fields("run").collect();
    let (done, next) = match sent.action() {
        "rename-run" | "tag-runs" | "delete-runs" | "restore-runs" => (
            change_runs(&tracking, &page, &sent, &runs).await,
            page.with("edit", ""),
        ),
        // A deleted experiment is not looked at any more, so the list follows.
        "delete" => (
            change(&tracking, &page, experiment.id, &sent).await,
            "/".to_owned(),
        ),
        "tag" | "delete-tag" => (
            change(&tracking, &page, experiment.id, &sent).await,
            page.with2("edit", "tag", "key", ""),
        ),
        "rename" | "description" | "restore" => (
            change(&tracking, &page, experiment.id, &sent).await,
            page.with("edit", ""),
        ),
        _ => return Err(Error::Invalid(page.t("form-unknown"))),
    };
    match done {
        Ok(()) => Ok(see_other(&next)),
        Err(error) => match error.kind() {
            ErrorKind::InvalidInput | ErrorKind::Conflict | ErrorKind::NotFound => {
                answer(&tracking, &page, &id, Editing::refused(&sent, error.to_string())).await
            }
            _ => Err(error),
        },
    }
}

async fn change(tracking: &Tracking, page: &Page, id: ExperimentId, sent: &Sent) -> Result<(), Error> {
    let value = sent.trimmed("value");
    match sent.action() {
        "rename" if value.is_empty() => return Err(Error::Invalid(page.t("name-empty"))),
        "tag" if sent.trimmed("key").is_empty() => return Err(Error::Invalid(page.t("name-empty"))),
        "rename" => tracking.rename_experiment(id, value).await?,
        "description" => {
            let tag = Tag::new(NOTE_TAG, sent.text("value"));
            tracking.set_experiment_tag(id, tag).await?;
        }
        "tag" => tracking.set_experiment_tag(id, sent.tag()).await?,
        "delete-tag" => tracking.delete_experiment_tag(id, sent.field("key")).await?,
        "delete" => tracking.delete_experiment(id).await?,
        _ => tracking.restore_experiment(id).await?,
    }
    Ok(())
}

/// All of the runs change, or none.
async fn change_runs(tracking: &Tracking, page: &Page, sent: &Sent, runs: &[&str]) -> Result<(), Error> {
    let refused = |word: &str| Err(Error::Invalid(page.t(word)));
    match (sent.action(), runs) {
        (_, []) => return refused("select-runs-first"),
        ("rename-run", _) if sent.trimmed("name").is_empty() => return refused("name-empty"),
        ("tag-runs", _) if sent.trimmed("key").is_empty() => return refused("name-empty"),
        ("rename-run", [run_id]) => {
            let update = RunUpdate {
                run_name: Some(sent.trimmed("name").to_owned()),
                ..RunUpdate::default()
            };
            tracking.update_run(run_id, update).await?;
        }
        ("rename-run", _) => return refused("rename-one-run"),
        ("tag-runs", _) => tracking.tag_runs(runs, sent.tag()).await?,
        ("delete-runs", _) => tracking.delete_runs(runs).await?,
        _ => tracking.restore_runs(runs).await?,
    }
    Ok(())
}
