//! The stores on each engine.

use std::sync::Arc;
use std::time::Duration;

use fragua_base::{ManualClock, Timestamp};
use fragua_database::Database;

use crate::{AccessKey, Auth};

async fn open(database: Database) -> (Auth, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000)));
    let auth = Auth::open(database, clock.clone()).await.unwrap();
    (auth, clock)
}

async fn the_first_root_key_is_kept(database: Database) {
    let (auth, _) = open(database.clone()).await;
    let first = auth.root_access_key(None).await.unwrap();
    let (again, _) = open(database).await;
    assert_eq!(again.root_access_key(None).await.unwrap(), first);
    assert_eq!(again.secret_for(&first.id).await.unwrap(), Some(first.secret));
    assert_eq!(again.secret_for("nobody").await.unwrap(), None);
}

async fn a_given_root_key_replaces_the_old_one(database: Database) {
    let (auth, _) = open(database).await;
    let old = auth.root_access_key(None).await.unwrap();
    let given = AccessKey::new("minioadmin", "minioadmin").unwrap();
    assert_eq!(auth.root_access_key(Some(given.clone())).await.unwrap(), given);
    assert_eq!(auth.root_access_key(None).await.unwrap(), given);
    assert_eq!(auth.secret_for(&old.id).await.unwrap(), None);
    assert_eq!(auth.secret_for("MINIOADMIN").await.unwrap(), None);
}

async fn a_task_token_ends_with_its_time(database: Database) {
    let (auth, clock) = open(database).await;
    let token = auth
        .issue_task_token("dag/run", Duration::from_secs(60))
        .await
        .unwrap();
    let subject = |found: Option<crate::TaskToken>| found.map(|token| token.subject);
    let found = auth.check_token(token.expose()).await.unwrap();
    assert_eq!(subject(found).as_deref(), Some("dag/run"));
    assert_eq!(auth.check_token("frg_other").await.unwrap(), None);
    assert_eq!(auth.check_token("").await.unwrap(), None);
    clock.advance(Duration::from_secs(60));
    assert_eq!(auth.check_token(token.expose()).await.unwrap(), None);
}

fragua_database::each_engine!(
    stores: the_first_root_key_is_kept,
    a_given_root_key_replaces_the_old_one,
    a_task_token_ends_with_its_time,
);
