//! What was deleted: restored, looked at, deleted for good.

use axum::Router;
use axum::http::StatusCode;
use fragua_tracking::{ExperimentId, NewExperiment, NewLoggedModel, NewRun, NewVersion, PurgeRequest};

use super::browser::{Answer, assert_page, assert_pages, get, post};
use super::chromium::Chromium;
use super::house::House;

fn pages(house: &House) -> Router {
    fragua_web::tracking_pages(house.tracking.clone(), house.site())
}

impl House {
    /// An experiment `old` with one run, a run `alone` with a file, and a logged model, all deleted.
    async fn with_deleted_things(&self) -> (ExperimentId, String, String) {
        let new = NewExperiment {
            name: "old".to_owned(),
            ..NewExperiment::default()
        };
        let old = self.tracking.create_experiment(new).await.unwrap();
        let new = NewRun {
            experiment_id: Some(old),
            run_name: Some("inside".to_owned()),
            ..NewRun::default()
        };
        self.tracking.create_run(new).await.unwrap();
        self.tracking.delete_experiment(old).await.unwrap();
        let run = self.run("alone", 0.5, None).await;
        self.artifact(&run, "note.txt", b"hello".to_vec()).await;
        self.tracking.delete_run(&run).await.unwrap();
        let new = NewLoggedModel {
            name: Some("forest".to_owned()),
            ..NewLoggedModel::default()
        };
        let model = self.tracking.create_logged_model(new).await.unwrap().model_id;
        self.tracking.delete_logged_model(&model).await.unwrap();
        (old, run, model)
    }

    async fn exist(&self, old: ExperimentId, run: &str) -> (bool, bool) {
        let experiment = self.tracking.experiment(old).await.is_ok();
        (experiment, self.tracking.run_info(run).await.is_ok())
    }
}

/// Returns the value of a hidden field.
fn hidden<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let start = format!("name=\"{name}\" value=\"");
    let (_, rest) = answer
        .body
        .split_once(&start)
        .unwrap_or_else(|| panic!("no {name}"));
    rest.split('"').next().unwrap()
}

/// Deletes for good, and returns the page that tells of it.
async fn purge(pages: &Router, form: &str) -> Answer {
    let sent = post(pages, "/deleted", &format!("do=purge&{form}")).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.body);
    get(pages, sent.header("location")).await
}

#[tokio::test]
async fn nothing_deleted_is_said_so() {
    let house = House::open().await;
    let pages = pages(&house);
    assert_pages(&pages, &["/deleted", "/deleted?days=30"]).await;
    get(&pages, "/deleted").await.has(&["Nothing deleted"]);
    get(&pages, "/?view=deleted").await.has(&["href=\"/deleted\""]);
}

#[tokio::test]
async fn each_deleted_thing_is_restored() {
    let house = House::open().await;
    let (old, run, model) = house.with_deleted_things().await;
    let pages = pages(&house);
    let list = get(&pages, "/deleted").await;
    assert_page(&list, "/deleted");
    // What goes with its experiment is told there and not listed on its own.
    list.has(&["old", "1 run", "alone", "forest"]);
    list.lacks(&[">inside<"]);
    let one = post(&pages, "/deleted", &format!("restore=model:{model}")).await;
    assert_eq!(
        (one.status, one.header("location")),
        (StatusCode::SEE_OTHER, "/deleted")
    );
    house.tracking.logged_model(&model).await.unwrap();
    // The model again: it is restored already, which is no fault.
    let form = format!("do=restore&days=0&take=experiment:{old}&take=run:{run}&take=model:{model}");
    let all = post(&pages, "/deleted", &form).await;
    assert_eq!(all.status, StatusCode::SEE_OTHER, "{}", all.body);
    get(&pages, "/deleted").await.has(&["Nothing deleted"]);
    get(&pages, &format!("/experiments/{old}")).await.has(&["inside"]);
}

#[tokio::test]
async fn what_goes_is_shown_before_it_goes() {
    let house = House::open().await;
    let (old, run, _) = house.with_deleted_things().await;
    let pages = pages(&house);
    let none = post(&pages, "/deleted", "do=preview&days=0").await;
    none.has(&["Select something first"]);
    let form = format!("do=preview&days=0&take=run:{run}");
    let preview = post(&pages, "/deleted", &form).await;
    preview.has(&["Delete for good: 1 run<", "1 file, 5 B"]);
    assert_eq!(house.exist(old, &run).await, (true, true));
    let seen = hidden(&preview, "seen");
    let done = purge(&pages, &format!("seen={seen}&days=0&take=run:{run}")).await;
    done.has(&["Deleted for good", "1 run", "1 file, 5 B", "old", "forest"]);
    assert_eq!(house.exist(old, &run).await, (true, false));
    let all = post(&pages, "/deleted", "do=preview-all&days=0").await;
    all.has(&["Delete for good: 1 experiment, 1 run, 1 logged model<"]);
    let seen = hidden(&all, "seen");
    let done = purge(&pages, &format!("seen={seen}&days=0&all=1")).await;
    done.has(&["Deleted for good", "Nothing deleted"]);
    assert_eq!(house.exist(old, &run).await, (false, false));
}

#[tokio::test]
async fn nothing_goes_that_was_not_looked_at() {
    let house = House::open().await;
    let (old, run, _) = house.with_deleted_things().await;
    let pages = pages(&house);
    let all = post(&pages, "/deleted", "do=preview-all&days=0").await;
    let seen = hidden(&all, "seen");
    house.tracking.restore_run(&run).await.unwrap();
    let again = post(&pages, "/deleted", &format!("do=purge&seen={seen}&days=0&all=1")).await;
    again.has(&[
        "What is deleted has changed since you looked",
        "Delete for good: 1 experiment, 1 run, 1 logged model<",
    ]);
    assert_eq!(house.exist(old, &run).await, (true, true));
    // A form without any selection never means everything.
    post(&pages, "/deleted", "do=purge&days=0")
        .await
        .has(&["Select something first"]);
    let unknown = post(&pages, "/deleted", "do=purge&take=table:runs").await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
    let young = get(&pages, "/deleted?days=30").await;
    young.has(&["Nothing deleted"]);
}

#[tokio::test]
async fn what_a_version_is_made_of_stays_and_says_why() {
    let house = House::open().await;
    let run = house.run("used", 0.9, None).await;
    house
        .tracking
        .create_model("cover", None, Vec::new())
        .await
        .unwrap();
    let new = NewVersion {
        name: "cover".to_owned(),
        source: format!("mlflow-artifacts:/0/{run}/artifacts/model"),
        run_id: Some(run.clone()),
        ..NewVersion::default()
    };
    house.tracking.create_version(new).await.unwrap();
    house.tracking.delete_run(&run).await.unwrap();
    let pages = pages(&house);
    let why = "version 1 of the registered model cover is made of it";
    get(&pages, "/deleted").await.has(&[why, &run, "Restore"]);
    get(&pages, "/deleted?lang=es")
        .await
        .has(&["la versión 1 del modelo registrado cover está hecha de ello"]);
    let form = format!("do=preview&days=0&take=run:{run}");
    post(&pages, "/deleted", &form)
        .await
        .has(&[why, "Nothing of this can be deleted for good"]);
}

#[tokio::test]
async fn a_large_purge_showed_nothing_until_it_was_done() {
    let house = House::open().await;
    house.with_deleted_things().await;
    let pages = pages(&house);
    let tracking = &house.tracking;
    let plan = tracking.purge_plan(&PurgeRequest::default()).await.unwrap();
    // As long as the database is being written by this test, the purge waits.
    let writing = house.database().begin().await.unwrap();
    let mut purging = tracking.start_purge(plan.clone()).unwrap();
    let page = get(&pages, "/deleted").await;
    assert_page(&page, "/deleted");
    page.has(&[
        "Deleting for good",
        "0 of 4 are gone",
        "max=\"4\"",
        "/events?purge=1",
    ]);
    get(&pages, "/deleted?lang=es")
        .await
        .has(&["Se han eliminado 0 de 4"]);
    let second = tracking.start_purge(plan).unwrap_err().to_string();
    assert!(second.contains("at this moment"), "{second}");
    writing.rollback().await.unwrap();
    purging.wait_for(|purging| !purging.is_running).await.unwrap();
    let ended = purging.borrow().clone();
    assert_eq!((ended.number, ended.done, ended.total), (1, 4, 4));
    let page = get(&pages, "/deleted?purge=1").await;
    page.has(&["Deleted for good", "2 runs"]);
    page.lacks(&["data-events"]);
    // Another one's page does not tell of it.
    get(&pages, "/deleted?purge=2").await.lacks(&["Deleted for good"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn things_are_picked_and_deleted_for_good_in_a_browser() {
    let house = House::open().await;
    let (old, run, _) = house.with_deleted_things().await;
    let chromium = Chromium::at(pages(&house)).await;
    chromium.open("/?view=deleted").await;
    chromium.click("a[href='/deleted']").await;
    chromium.until("document.getElementById('deleted')").await;
    chromium.picture("deleted").await;
    for (width, choice) in [
        (390, "lang=es&theme=dark"),
        (1280, "lang=es&theme=dark"),
        (390, "lang=en&theme=light"),
    ] {
        chromium.client.set_window_size(width, 900).await.unwrap();
        chromium.open(&format!("/deleted?{choice}")).await;
        chromium
            .picture(&format!("deleted-{width}-{}", &choice[5..7]))
            .await;
        chromium.assert_quiet().await;
    }
    chromium.click("[aria-labelledby=runs-title] thead input").await;
    chromium
        .until(&format!(
            "document.querySelector(\"[value='run:{run}']:checked\")"
        ))
        .await;
    chromium.click("button[value=preview]").await;
    chromium.until("document.querySelector('.is-final')").await;
    chromium.picture("purge").await;
    chromium.assert_quiet().await;
    chromium.keys(".is-final", "\u{e007}").await;
    chromium.until("document.querySelector('.notice-good')").await;
    chromium.picture("purged").await;
    assert_eq!(house.exist(old, &run).await, (true, false));
    chromium.assert_quiet().await;
    chromium.close().await;
}
