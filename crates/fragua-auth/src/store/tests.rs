//! The stores on each engine.

use std::sync::Arc;
use std::time::Duration;

use fragua_base::{ManualClock, Secret, Timestamp};
use fragua_database::Database;

use crate::{
    AccessKey, Auth, Error, KeyScope, LoggedAccess, NewServingKey, NewStorageKey, Policy, StorageIdentity,
};

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
    assert_eq!(secret_for(&again, &first.id).await.unwrap(), Some(first.secret));
    assert_eq!(secret_for(&again, "nobody").await.unwrap(), None);
}

async fn a_given_root_key_replaces_the_old_one(database: Database) {
    let (auth, _) = open(database).await;
    let old = auth.root_access_key(None).await.unwrap();
    let given = AccessKey::new("minioadmin", "minioadmin").unwrap();
    assert_eq!(auth.root_access_key(Some(given.clone())).await.unwrap(), given);
    assert_eq!(auth.root_access_key(None).await.unwrap(), given);
    assert_eq!(secret_for(&auth, &old.id).await.unwrap(), None);
    assert_eq!(secret_for(&auth, "MINIOADMIN").await.unwrap(), None);
}

async fn secret_for(auth: &Auth, id: &str) -> Result<Option<Secret>, Error> {
    let found = auth.storage_identity(id).await?;
    Ok(found.map(|(secret, _)| secret))
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

fn for_models(names: &[&str]) -> NewServingKey {
    NewServingKey {
        name: "año nuevo".to_owned(),
        scope: match names {
            [] => KeyScope::AllModels,
            names => KeyScope::Models(names.iter().map(|name| (*name).to_owned()).collect()),
        },
        lifetime: None,
    }
}

async fn a_serving_key_is_known_by_its_secret_alone(database: Database) {
    let (auth, _) = open(database).await;
    let (made, secret) = auth
        .create_serving_key(for_models(&["forest", "b"]))
        .await
        .unwrap();
    let (all, _) = auth.create_serving_key(for_models(&[])).await.unwrap();
    let found = auth.check_serving_key(secret.expose()).await.unwrap();
    assert_eq!(*found, made);
    assert!(found.scope.allows("b") && !found.scope.allows("B"));
    let last = if secret.expose().ends_with('0') { "1" } else { "0" };
    let other_secret = format!("{}{last}", &secret.expose()[..secret.expose().len() - 1]);
    let other_id = secret.expose().replace(&made.id, "0123456789abcdef");
    for wrong in [other_secret.as_str(), &other_id, "", "frk_x"] {
        let refused = auth.check_serving_key(wrong).await;
        assert!(matches!(refused, Err(Error::UnknownServingKey)), "{refused:?}");
    }
    let mut listed = auth.serving_keys().await.unwrap();
    let mut expected = vec![made, all];
    listed.sort_by(|one, two| one.id.cmp(&two.id));
    expected.sort_by(|one, two| one.id.cmp(&two.id));
    assert_eq!(listed, expected);
    let shown = format!("{:?} {listed:?}", auth.check_serving_key(secret.expose()).await);
    let hidden = secret.expose().rsplit('_').next().unwrap();
    assert!(!shown.contains(hidden) && !format!("{auth:?}").contains(hidden));
}

async fn a_serving_key_ends_with_its_time(database: Database) {
    let (auth, clock) = open(database).await;
    let new = NewServingKey {
        lifetime: Some(Duration::from_secs(60)),
        ..for_models(&[])
    };
    let (key, secret) = auth.create_serving_key(new).await.unwrap();
    clock.advance(Duration::from_millis(59_999));
    assert!(auth.check_serving_key(secret.expose()).await.is_ok());
    clock.advance(Duration::from_millis(1));
    let refused = auth.check_serving_key(secret.expose()).await.unwrap_err();
    let expected = format!(
        "the API key {} expired at 1970-01-01T00:01:01Z: ask for a new one",
        key.id
    );
    assert_eq!(refused.to_string(), expected);
    assert!(!key.is_valid_at(Timestamp::from_millis(61_000)));
}

async fn a_revocation_holds_here_at_once_and_elsewhere_after_three_seconds(database: Database) {
    let (auth, clock) = open(database.clone()).await;
    let elsewhere = Auth::open(database, clock.clone()).await.unwrap();
    let (key, secret) = auth.create_serving_key(for_models(&[])).await.unwrap();
    let good = async |auth: &Auth| auth.check_serving_key(secret.expose()).await.is_ok();
    assert!(good(&auth).await && good(&elsewhere).await);
    assert!(auth.revoke_serving_key(&key.id).await.unwrap());
    assert!(!good(&auth.clone()).await);
    clock.advance(Duration::from_millis(2_999));
    assert!(good(&elsewhere).await, "it was read a moment ago");
    clock.advance(Duration::from_millis(1));
    let refused = elsewhere.check_serving_key(secret.expose()).await;
    assert!(
        matches!(refused, Err(Error::ServingKeyRevoked { .. })),
        "{refused:?}"
    );

    let revoked_at = auth.serving_keys().await.unwrap()[0].revoked_at;
    assert_eq!(revoked_at, Some(Timestamp::from_millis(1_000)));
    assert!(auth.revoke_serving_key(&key.id).await.unwrap(), "it is revoked");
    assert_eq!(auth.serving_keys().await.unwrap()[0].revoked_at, revoked_at);
    assert!(!auth.revoke_serving_key("0123456789abcdef").await.unwrap());
}

async fn a_serving_key_made_elsewhere_is_soon_known(database: Database) {
    let (auth, clock) = open(database.clone()).await;
    let elsewhere = Auth::open(database, clock.clone()).await.unwrap();
    let _ = auth.check_serving_key(&format!("frk_{:016}_{:064}", 0, 0)).await;
    let (key, secret) = elsewhere.create_serving_key(for_models(&[])).await.unwrap();
    assert!(auth.check_serving_key(secret.expose()).await.is_err());
    clock.advance(Duration::from_millis(200));
    assert!(auth.check_serving_key(secret.expose()).await.is_ok());
    // A clock that was set back makes no key good for ever.
    clock.set(Timestamp::from_millis(5));
    elsewhere.revoke_serving_key(&key.id).await.unwrap();
    assert!(auth.check_serving_key(secret.expose()).await.is_err());
}

async fn uses_of_serving_keys_are_written_aside(database: Database) {
    let (auth, clock) = open(database).await;
    let (_, secret) = auth.create_serving_key(for_models(&[])).await.unwrap();
    let last_used = async || auth.serving_keys().await.unwrap()[0].last_used_at;
    auth.write_serving_key_uses().await.unwrap();
    assert_eq!(last_used().await, None);
    auth.check_serving_key(secret.expose()).await.unwrap();
    clock.advance(Duration::from_secs(1));
    auth.check_serving_key(secret.expose()).await.unwrap();
    assert_eq!(last_used().await, None, "a request writes nothing");
    auth.write_serving_key_uses().await.unwrap();
    assert_eq!(last_used().await, Some(Timestamp::from_millis(2_000)));
    clock.set(Timestamp::from_millis(1_500));
    auth.check_serving_key(secret.expose()).await.unwrap();
    auth.write_serving_key_uses().await.unwrap();
    assert_eq!(last_used().await, Some(Timestamp::from_millis(2_000)));
}

async fn serving_keys_that_cannot_be_are_refused(database: Database) {
    let (auth, _) = open(database).await;
    for new in [
        for_models(&["forest@champion"]),
        NewServingKey {
            name: " ".to_owned(),
            ..for_models(&[])
        },
        NewServingKey {
            name: "x".repeat(201),
            ..for_models(&[])
        },
    ] {
        let refused = auth.create_serving_key(new).await;
        assert!(
            matches!(refused, Err(Error::InvalidServingKey { .. })),
            "{refused:?}"
        );
    }
    let long: Vec<String> = (100..200)
        .map(|number| format!("{number}{}", "\"\\".repeat(126)))
        .collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    let (key, _) = auth.create_serving_key(for_models(&long)).await.unwrap();
    assert_eq!(auth.serving_keys().await.unwrap(), [key]);
}

fn storage_key(name: &str) -> NewStorageKey {
    NewStorageKey {
        name: name.to_owned(),
        policy: Policy::for_buckets(&["s3:GetObject"], &["data".to_owned()]),
        lifetime: None,
    }
}

async fn storage_keys_are_kept_with_their_policies(database: Database) {
    let (auth, clock) = open(database).await;
    let (first, secret) = auth.create_storage_key(storage_key("año nuevo")).await.unwrap();
    clock.advance(Duration::from_millis(1));
    let (second, other_secret) = auth.create_storage_key(storage_key("año nuevo")).await.unwrap();
    assert_eq!(auth.storage_keys().await.unwrap(), [first.clone(), second]);
    assert_ne!(secret, other_secret);
    let (found_secret, identity) = auth.storage_identity(&first.id).await.unwrap().unwrap();
    assert_eq!(found_secret, secret);
    assert!(matches!(identity, StorageIdentity::Key(key) if *key == first));
    assert!(
        auth.storage_identity(&first.id.to_lowercase())
            .await
            .unwrap()
            .is_none()
    );
    let root = auth.root_access_key(None).await.unwrap();
    let (_, identity) = auth.storage_identity(&root.id).await.unwrap().unwrap();
    assert!(matches!(identity, StorageIdentity::Root));
    let shown = format!("{auth:?} {:?}", auth.storage_keys().await.unwrap());
    assert!(!shown.contains(secret.expose()));
    let closed = NewStorageKey {
        policy: Policy::nothing(),
        ..storage_key("by buckets")
    };
    let (closed, _) = auth.create_storage_key(closed).await.unwrap();
    assert!(auth.storage_keys().await.unwrap().contains(&closed));
    let nameless = auth.create_storage_key(storage_key(" ")).await;
    assert!(
        matches!(nameless, Err(Error::InvalidStorageKey { .. })),
        "{nameless:?}"
    );
}

async fn a_storage_key_ends_with_its_time(database: Database) {
    let (auth, clock) = open(database).await;
    let new = NewStorageKey {
        lifetime: Some(Duration::from_secs(2)),
        ..storage_key("ana")
    };
    let (key, _) = auth.create_storage_key(new).await.unwrap();
    clock.advance(Duration::from_millis(1_999));
    assert!(secret_for(&auth, &key.id).await.unwrap().is_some());
    clock.advance(Duration::from_millis(1));
    let refused = secret_for(&auth, &key.id).await.unwrap_err().to_string();
    assert!(refused.contains("expired at 1970-01-01T00:00:03Z"), "{refused}");
}

async fn a_storage_key_is_taken_back_here_at_once_and_elsewhere_after_three_seconds(database: Database) {
    let (auth, clock) = open(database.clone()).await;
    let elsewhere = Auth::open(database, clock.clone()).await.unwrap();
    let (key, _) = auth.create_storage_key(storage_key("ana")).await.unwrap();
    let good = async |auth: &Auth| secret_for(auth, &key.id).await.is_ok();
    assert!(good(&auth).await && good(&elsewhere).await);
    assert!(auth.set_storage_key_enabled(&key.id, false).await.unwrap());
    assert!(!good(&auth).await && good(&elsewhere).await);
    clock.advance(Duration::from_secs(3));
    assert!(!good(&elsewhere).await);
    assert!(auth.set_storage_key_enabled(&key.id, true).await.unwrap());
    assert!(good(&auth).await && !good(&elsewhere).await);
    clock.advance(Duration::from_secs(3));
    assert!(good(&elsewhere).await);
    assert!(auth.revoke_storage_key(&key.id).await.unwrap());
    assert!(auth.revoke_storage_key(&key.id).await.unwrap(), "it is revoked");
    assert!(!auth.set_storage_key_enabled(&key.id, true).await.unwrap());
    assert!(!good(&auth).await);
    assert!(!auth.revoke_storage_key("FRK0").await.unwrap());
    let kept = auth.storage_keys().await.unwrap();
    assert_eq!(kept[0].revoked_at, Some(Timestamp::from_millis(7_000)));
}

async fn uses_of_storage_keys_are_written_aside(database: Database) {
    let (auth, clock) = open(database).await;
    let (key, _) = auth.create_storage_key(storage_key("ana")).await.unwrap();
    auth.storage_key_used(&key);
    clock.advance(Duration::from_secs(1));
    auth.storage_key_used(&key);
    assert_eq!(auth.storage_keys().await.unwrap()[0].last_used_at, None);
    auth.write_storage_key_uses().await.unwrap();
    auth.write_storage_key_uses().await.unwrap();
    let last = auth.storage_keys().await.unwrap()[0].last_used_at;
    assert_eq!(last, Some(Timestamp::from_millis(2_000)));
}

fn access(number: u16) -> LoggedAccess {
    LoggedAccess {
        happened_at: Timestamp::from_millis(i64::from(number)),
        request_id: number.to_string(),
        access_key_id: None,
        key_name: Some("año".to_owned()),
        operation: "PutObject".to_owned(),
        bucket: Some("data".to_owned()),
        object_key: Some("ñ\u{1f680}".to_owned()),
        status: 200,
    }
}

async fn the_access_log_is_read_in_pages_and_bounded(database: Database) {
    let (auth, _) = open(database.clone()).await;
    for number in 0..5 {
        auth.log_access(access(number));
    }
    assert!(
        auth.access_log(None, 10).await.unwrap().items.is_empty(),
        "it is written aside"
    );
    auth.write_access_log().await.unwrap();
    let first = auth.access_log(None, 2).await.unwrap();
    assert_eq!(first.items, [access(4), access(3)]);
    let second = auth.access_log(first.next.as_deref(), 3).await.unwrap();
    assert_eq!(
        (second.items, second.next),
        (vec![access(2), access(1), access(0)], None)
    );
    assert!(auth.access_log(Some("?"), 3).await.unwrap().items.is_empty());
    crate::store::access_log::add(&database, &[access(5), access(6)], 3)
        .await
        .unwrap();
    let kept = auth.access_log(None, 10).await.unwrap().items;
    assert_eq!(kept, [access(6), access(5), access(4)]);
    auth.access_noted().await;
}

async fn a_request_of_odd_texts_does_not_jam_the_access_log(database: Database) {
    let (auth, _) = open(database).await;
    auth.log_access(LoggedAccess {
        access_key_id: Some("a\0b".repeat(100)),
        operation: "M".repeat(8_000),
        bucket: Some("\0".to_owned()),
        object_key: Some("/a\0b".to_owned()),
        ..access(7)
    });
    auth.log_access(access(8));
    auth.write_access_log().await.unwrap();
    let logged = auth.access_log(None, 10).await.unwrap().items;
    assert_eq!(logged[0], access(8));
    assert_eq!(logged[1].object_key.as_deref(), Some("/a\u{fffd}b"));
    assert_eq!(logged[1].operation, "M".repeat(64));
    assert!(
        logged[1]
            .access_key_id
            .as_ref()
            .unwrap()
            .starts_with("a\u{fffd}ba")
    );
}

fragua_database::each_engine!(
    stores: the_first_root_key_is_kept,
    a_given_root_key_replaces_the_old_one,
    a_task_token_ends_with_its_time,
    a_serving_key_is_known_by_its_secret_alone,
    a_serving_key_ends_with_its_time,
    a_revocation_holds_here_at_once_and_elsewhere_after_three_seconds,
    a_serving_key_made_elsewhere_is_soon_known,
    uses_of_serving_keys_are_written_aside,
    serving_keys_that_cannot_be_are_refused,
    storage_keys_are_kept_with_their_policies,
    a_storage_key_ends_with_its_time,
    a_storage_key_is_taken_back_here_at_once_and_elsewhere_after_three_seconds,
    uses_of_storage_keys_are_written_aside,
    the_access_log_is_read_in_pages_and_bounded,
    a_request_of_odd_texts_does_not_jam_the_access_log,
);
