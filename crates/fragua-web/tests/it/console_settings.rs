//! Settings of buckets, keys, the access log and the state of the store.

use axum::http::StatusCode;
use fragua_auth::LoggedAccess;
use fragua_storage::{
    BucketName, BucketSettings, CustomerKey, DefaultEncryption, Encrypt, ObjectKey, PutOptions, Versioning,
};

use tokio_util::sync::CancellationToken;

use super::browser::{assert_pages, get, post};
use super::house::{House, now};

const AT: &str = "/buckets/mlflows3/settings";

fn bucket() -> BucketName {
    BucketName::parse("mlflows3").unwrap()
}

async fn settings(house: &House) -> BucketSettings {
    let settings = house.storage.current_bucket_settings(&bucket()).await;
    settings.unwrap().as_ref().clone()
}

#[tokio::test]
async fn versions_and_quota_are_set() {
    let house = House::open().await;
    house.put("mlflows3", "a", b"xxxx").await;
    let console = house.console();
    get(&console, AT).await.has(&["Keep versions", "No limit"]);
    let on = post(&console, AT, "do=versioning&to=on").await;
    assert_eq!(on.header("location"), "/buckets/mlflows3/settings#versioning");
    assert_eq!(settings(&house).await.versioning, Versioning::Enabled);
    post(&console, AT, "do=versioning&to=off").await;
    assert_eq!(settings(&house).await.versioning, Versioning::Suspended);
    post(&console, AT, "do=quota&quota=3&unit=MiB").await;
    assert_eq!(settings(&house).await.quota_bytes, Some(3 << 20));
    get(&console, AT).await.has(&["0 % / 3 MiB"]);
    let refused = post(&console, AT, "do=quota&quota=%3Cmuch%3E&unit=MiB").await;
    refused.has(&["a quota is a number above zero"]);
    post(&console, AT, "do=quota&quota=").await;
    assert_eq!(settings(&house).await.quota_bytes, None);
    assert_pages(&console, &[AT]).await;
}

#[tokio::test]
async fn a_bucket_encrypts_what_comes_and_a_customers_object_is_not_looked_into() {
    let house = House::open().await;
    let console = house.console();
    post(&console, AT, "do=encryption&to=on").await;
    assert_eq!(settings(&house).await.encryption, Some(DefaultEncryption::Aes256));
    get(&console, AT).await.has(&["AES-256", "Leave it to the store"]);
    house.put("mlflows3", "ours.txt", b"readable").await;
    let page = get(&console, "/buckets/mlflows3/object?key=ours.txt").await;
    page.has(&["AES-256", "readable"]);
    let options = PutOptions {
        encryption: Encrypt::CustomerKey(CustomerKey::new([7; 32])),
        ..PutOptions::default()
    };
    let key = ObjectKey::parse("theirs.txt").unwrap();
    let (bucket, hidden) = (bucket(), "hidden");
    let put = house.storage.put_bytes(&bucket, &key, options, hidden);
    put.await.unwrap();
    let page = get(&console, "/buckets/mlflows3/object?key=theirs.txt").await;
    page.has(&["With a key that its writer holds", "No preview of this file"]);
    post(&console, AT, "do=encryption&to=off").await;
    assert_eq!(settings(&house).await.encryption, None);
}

#[tokio::test]
async fn a_policy_is_checked_and_known_again() {
    let house = House::open().await;
    let console = house.console();
    post(&console, AT, "do=access&access=public-read").await;
    assert!(settings(&house).await.policy.unwrap().contains("s3:GetObject"));
    let page = get(&console, AT).await;
    page.has(&["id=\"access-public-read\" name=\"access\" value=\"public-read\" checked"]);
    let broken = post(&console, AT, "do=access&access=custom&policy=%3Cb%3E").await;
    broken.has(&[
        "the policy is not JSON",
        "value=\"custom\" checked",
        ">&#60;b&#62;</textarea>",
    ]);
    let elsewhere = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::other/*"}}"#;
    let form = format!(
        "do=access&access=custom&policy={}",
        elsewhere.replace(':', "%3A").replace('"', "%22")
    );
    post(&console, AT, &form)
        .await
        .has(&["must name resources of the bucket mlflows3 alone"]);
    post(&console, AT, "do=access&access=private").await;
    assert_eq!(settings(&house).await.policy, None);
}

#[tokio::test]
async fn lifecycle_rules_come_and_go() {
    let house = House::open().await;
    let console = house.console();
    let form = "do=rule-add&id=old+logs&prefix=logs%2F&days=30&noncurrent-days=7&keep-newest=2&abort-days=1";
    let added = post(&console, AT, form).await;
    assert_eq!(added.header("location"), "/buckets/mlflows3/settings#lifecycle");
    get(&console, AT).await.has(&[
        "objects go after 30 days · older versions go after 7 days, but for the 2 newest · unfinished uploads go after 1 day",
        "keys that begin with logs/",
    ]);
    let twice = post(&console, AT, form).await;
    assert_eq!(twice.status, StatusCode::BAD_REQUEST);
    twice.has(&[
        "the lifecycle configuration has the same ID twice",
        "value=\"old logs\"",
        "value=\"30\"",
    ]);
    let no_number = post(&console, AT, "do=rule-add&id=x&days=soon").await;
    no_number.has(&["class=\"field-error\"", "value=\"soon\""]);
    post(&console, AT, "do=rule-toggle&id=old+logs").await;
    assert!(!settings(&house).await.lifecycle.unwrap().rules[0].is_enabled);
    post(&console, AT, "do=rule-delete&id=old+logs").await;
    assert_eq!(settings(&house).await.lifecycle, None);
}

#[tokio::test]
async fn cors_and_tags_come_and_go() {
    let house = House::open().await;
    let console = house.console();
    let form = "do=cors-add&origins=https%3A%2F%2Fa.example%2C+https%3A%2F%2Fb.example&method=GET&method=PUT&max-age=60";
    post(&console, AT, form).await;
    let cors = settings(&house).await.cors.unwrap();
    assert_eq!(
        cors.rules[0].allowed_origins,
        ["https://a.example", "https://b.example"]
    );
    assert_eq!(cors.rules[0].allowed_methods, ["GET", "PUT"]);
    let refused = post(&console, AT, "do=cors-add&origins=&method=PUT").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    refused.has(&[
        "needs an AllowedOrigin",
        "value=\"PUT\" checked",
        "value=\"GET\">",
    ]);
    let rule = serde_json::to_string(&cors.rules[0]).unwrap();
    let rule: String = url::form_urlencoded::byte_serialize(rule.as_bytes()).collect();
    post(&console, AT, "do=cors-delete&rule=%7B%7D").await;
    assert_eq!(settings(&house).await.cors, Some(cors));
    post(&console, AT, &format!("do=cors-delete&rule={rule}")).await;
    assert_eq!(settings(&house).await.cors, None);
    post(&console, AT, "do=tags&tags=team%3Dforest").await;
    get(&console, AT).await.has(&["team=forest"]);
    let refused = post(&console, AT, "do=tags&tags=%3Cb%3E").await;
    refused.has(&["may hold only letters", "&#60;b&#62;"]);
}

#[tokio::test]
async fn who_is_told_is_picked_from_the_webhooks_of_the_settings() {
    let house = House::open().await;
    let console = house.console();
    get(&console, AT).await.has(&[
        "Nobody is told of changes.",
        "<option value=\"arn:aws:sqs:::rows\">rows</option>",
        "value=\"s3:ObjectCreated:*\" checked",
    ]);
    let form = "do=notification-add&id=csv&target=arn%3Aaws%3Asqs%3A%3A%3Arows&prefix=in%2F&suffix=.csv\
                &event=s3%3AObjectCreated%3A%2A&event=s3%3AObjectRemoved%3A%2A";
    post(&console, AT, form).await;
    let notification = settings(&house).await.notification.unwrap();
    let target = &notification.targets[0];
    assert_eq!(
        (target.id.as_str(), target.arn.as_str()),
        ("csv", "arn:aws:sqs:::rows")
    );
    assert_eq!(target.events, ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]);
    assert_eq!(
        (target.prefix.as_deref(), target.suffix.as_deref()),
        (Some("in/"), Some(".csv"))
    );
    let unknown = form.replace("rows", "nobody").replace("id=csv", "id=other");
    let refused = post(&console, AT, &unknown).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    refused.has(&["arn:aws:sqs:::nobody", "value=\"other\""]);
    post(&console, AT, "do=notification-delete&id=csv").await;
    assert_eq!(settings(&house).await.notification, None);
}

#[tokio::test]
async fn a_bucket_goes_only_when_its_name_is_typed() {
    let house = House::open().await;
    let console = house.console();
    house
        .storage
        .set_versioning(&bucket(), Versioning::Enabled)
        .await
        .unwrap();
    house.put("mlflows3", "a", b"1").await;
    house.put("mlflows3", "a", b"2").await;
    post(&console, "/buckets/mlflows3/delete", "key=a").await;
    post(&console, AT, "do=delete&confirm=other&empty=1")
        .await
        .has(&["Type mlflows3 to confirm"]);
    post(&console, AT, "do=delete&confirm=mlflows3")
        .await
        .has(&["is not empty"]);
    let gone = post(&console, AT, "do=delete&confirm=mlflows3&empty=1").await;
    assert_eq!(gone.header("location"), "/buckets");
    assert_eq!(get(&console, AT).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_key_is_made_shown_once_and_taken_back() {
    let house = House::open().await;
    let console = house.console();
    assert_pages(&console, &["/keys", "/keys?new=1"]).await;
    let made = post(
        &console,
        "/keys",
        "do=create&name=%3Cana%3E&access=read&bucket=mlflows3&days=20",
    )
    .await;
    made.has(&["&#60;ana&#62;", "AWS_SECRET_ACCESS_KEY="]);
    let secret = made.body.split_once("id=\"key-secret\">").unwrap().1;
    let secret = secret.split_once('<').unwrap().0;
    let key = house.auth.storage_keys().await.unwrap().remove(0);
    let (known, _) = house.auth.storage_identity(&key.id).await.unwrap().unwrap();
    assert_eq!(known.expose(), secret);
    let list = get(&console, "/keys").await;
    list.has(&["in 20 days", "Active", "arn:aws:s3:::mlflows3/*"]);
    list.lacks(&[secret]);
    let off = post(&console, "/keys", &format!("do=disable&id={}", key.id)).await;
    assert_eq!(off.header("location"), "/keys");
    get(&console, "/keys").await.has(&["Turn on"]);
    assert!(house.auth.storage_identity(&key.id).await.is_err());
    post(&console, "/keys", &format!("do=enable&id={}", key.id)).await;
    assert!(house.auth.storage_identity(&key.id).await.is_ok());
    post(&console, "/keys", &format!("do=revoke&id={}", key.id)).await;
    get(&console, "/keys").await.has(&["Revoked"]);
}

#[tokio::test]
async fn a_key_with_a_wrong_policy_is_refused_and_nothing_typed_is_lost() {
    let house = House::open().await;
    let console = house.console();
    let form = "do=create&name=ana&access=custom&policy=%7B%7D&days=";
    post(&console, "/keys", form).await.has(&[
        "the policy has no Statement",
        "value=\"ana\"",
        "value=\"custom\" checked",
    ]);
    post(&console, "/keys", "do=create&name=ana&access=read&days=-1")
        .await
        .has(&["class=\"field-error\""]);
    post(&console, "/keys", "do=create&name=+&access=read")
        .await
        .has(&["has 1 to 200 characters"]);
    assert!(house.auth.storage_keys().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_access_log_is_paged() {
    let house = House::open().await;
    let console = house.console();
    assert_pages(&console, &["/log"]).await;
    for number in 0..150 {
        house.auth.log_access(LoggedAccess {
            happened_at: now(),
            request_id: format!("{number:032}"),
            access_key_id: Some("FRK1".to_owned()),
            key_name: Some("<ana>".to_owned()),
            operation: "PutObject".to_owned(),
            bucket: Some("mlflows3".to_owned()),
            object_key: Some(format!("<b>/{number}")),
            status: if number == 149 { 403 } else { 200 },
        });
    }
    let page = get(&console, "/log").await;
    page.has(&["100 entries", "&#60;ana&#62;", "&#60;b&#62;/149", "403"]);
    let next = page.body.split_once("rel=\"next\"").unwrap().0;
    let next = next.rsplit_once("href=\"").unwrap().1.split_once('"').unwrap().0;
    get(&console, next).await.has(&["50 entries", "&#60;b&#62;/0<"]);
}

#[tokio::test]
async fn what_the_scrubber_found_is_told() {
    let house = House::open().await;
    house.put("mlflows3", "whole", b"whole").await;
    house.put("mlflows3", "<b>/damaged", b"damaged").await;
    house.spoil(b"damaged", b"dAmaged");
    let shutdown = CancellationToken::new();
    let storage = house.storage.clone();
    let stop = shutdown.clone();
    let chores = tokio::spawn(async move { storage.run_chores(stop).await });
    let passed = async {
        while house.storage.scrub_state().await.unwrap().last.is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), passed)
        .await
        .expect("the first pass is due at once");
    shutdown.cancel();
    chores.await.unwrap();
    let page = get(&house.console(), "/upkeep").await;
    page.has(&[
        "1 object is damaged",
        "Last pass",
        "&#60;b&#62;/damaged",
        "Its bytes are not those that were written",
        "/buckets/mlflows3/object?key=%3Cb%3E%2Fdamaged&#38;version=null",
    ]);
}

#[tokio::test]
async fn the_page_of_health_said_nothing_of_what_was_never_read_or_checked_by_hand() {
    let house = House::open().await;
    house.put("mlflows3", "a", b"xxxx").await;
    let console = house.console();
    get(&console, "/upkeep").await.has(&[
        "There is now</dt><dd>1 · 4 B",
        "Not verified yet</dt><dd>1 · 4 B",
        "Next pass</dt><dd>Within a minute",
    ]);
    house.storage.check(true).await.unwrap();
    get(&console, "/upkeep").await.has(&[
        "Last check by fragua storage check",
        "Verified</dt><dd>1 · 4 B",
        "Files without an object</dt><dd>0",
    ]);
    get(&console, "/upkeep?lang=es")
        .await
        .has(&["Última comprobación con fragua storage check", "Próxima pasada"]);
    let asked = post(&console, "/upkeep", "").await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn the_state_of_the_store_is_told() {
    let house = House::open().await;
    house.put("mlflows3", "a", b"xxxx").await;
    let console = house.console();
    get(&console, "/upkeep").await.has(&[
        "Can be written",
        "It has not finished a pass yet.",
        "4 B",
        "Nothing was asked by the S3 API",
    ]);
    let s3 = fragua_storage::s3::router(
        house.storage.clone(),
        house.auth.clone(),
        &fragua_storage::s3::Settings::default(),
    );
    assert_eq!(get(&s3, "/mlflows3/a").await.status, StatusCode::FORBIDDEN);
    let page = get(&console, "/upkeep").await;
    page.has(&[
        "GetObject",
        "<td class=\"number\">1</td><td class=\"number\">1</td><td class=\"number\">0</td>",
    ]);
    assert_pages(&console, &["/upkeep"]).await;
}
