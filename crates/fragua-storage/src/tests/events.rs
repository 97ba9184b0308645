//! Who is told what happens to objects, on each engine, with a receiver that listens.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use fragua_base::{Clock as _, Secret};
use fragua_database::{Database, each_engine};
use sea_orm::EntityTrait as _;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Kit, bucket, key};
use crate::backend::local::Local;
use crate::store::events;
use crate::{
    BucketSetting, CompletedPart, CopyOptions, CreateUpload, DeleteTarget, Error, ExpireAfter, Lifecycle,
    LifecycleRule, Notification, NotificationKind, NotificationTarget, PartOptions, PutOptions, Settings,
    Storage, Tags, Versioning, Webhook, WebhookSettings,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const ARN: &str = "arn:aws:sqs:::rows";
const SECRET: &str = "a secret";

/// A receiver, and what it was sent.
struct Receiver {
    url: String,
    received: mpsc::UnboundedReceiver<Received>,
    answers: Arc<Mutex<StatusCode>>,
}

struct Received {
    headers: HeaderMap,
    body: String,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn record(&self) -> Value {
        let mut message: Value = serde_json::from_str(&self.body).unwrap();
        message["Records"][0].take()
    }
}

type Desk = (mpsc::UnboundedSender<Received>, Arc<Mutex<StatusCode>>);

impl Receiver {
    async fn start() -> Self {
        let (sender, received) = mpsc::unbounded_channel();
        let answers = Arc::new(Mutex::new(StatusCode::OK));
        let take = async |State((sender, answers)): State<Desk>, headers: HeaderMap, body: Bytes| {
            let body = String::from_utf8(body.to_vec()).unwrap();
            sender.send(Received { headers, body }).unwrap();
            *answers.lock().unwrap()
        };
        let app = axum::Router::new()
            .fallback(take)
            .with_state((sender, answers.clone()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            url,
            received,
            answers,
        }
    }

    fn answers(&self, status: StatusCode) {
        *self.answers.lock().unwrap() = status;
    }

    fn webhook(&self) -> Webhook {
        Webhook {
            url: Secret::new(self.url.clone()),
            secret: Some(Secret::new(SECRET)),
        }
    }

    fn settings(&self) -> WebhookSettings {
        WebhookSettings {
            webhooks: BTreeMap::from([("rows".to_owned(), self.webhook())]),
            allowed_schemes: vec!["http".to_owned()],
            allow_private_addresses: true,
            ..WebhookSettings::default()
        }
    }
}

impl Kit {
    /// The same store in a process that knows the receiver.
    async fn open_with(&self, receiver: &Receiver) -> Storage {
        let settings = Settings {
            webhooks: receiver.settings(),
            ..Settings::new(self.root.path())
        };
        Storage::open(self.database.clone(), settings, self.clock.clone())
            .await
            .unwrap()
    }

    /// Another one, whose background work is in hand.
    async fn sender(&self, receiver: &Receiver) -> Local {
        self.local(|settings| settings.webhooks = receiver.settings())
            .await
    }

    async fn waiting(&self) -> usize {
        events::Entity::find()
            .all(self.database.reader())
            .await
            .unwrap()
            .len()
    }
}

fn notification(words: &[&str], prefix: Option<&str>) -> BucketSetting {
    let target = NotificationTarget {
        id: "all".to_owned(),
        kind: NotificationKind::Queue,
        arn: ARN.to_owned(),
        events: words.iter().map(|word| (*word).to_owned()).collect(),
        prefix: prefix.map(str::to_owned),
        suffix: None,
    };
    BucketSetting::Notification(Some(Notification {
        targets: vec![target],
    }))
}

const EVERYTHING: &[&str] = &[
    "s3:ObjectCreated:*",
    "s3:ObjectRemoved:*",
    "s3:LifecycleExpiration:*",
    "s3:ObjectTagging:*",
];

async fn each_change_is_told_once_in_order(database: Database) {
    let kit = Kit::new(database).await;
    let mut receiver = Receiver::start().await;
    let storage = kit.open_with(&receiver).await;
    let mut followed = storage.events();
    storage
        .set_bucket(&bucket(), notification(EVERYTHING, None))
        .await
        .unwrap();
    let (place, k) = (bucket(), key("in/a b.csv"));
    storage
        .put_bytes(&place, &k, PutOptions::default(), "12345")
        .await
        .unwrap();
    let form = PutOptions {
        is_form: true,
        ..PutOptions::default()
    };
    storage.put_bytes(&place, &k, form, "123").await.unwrap();
    storage
        .copy((&place, &k), (&place, &key("copy")), CopyOptions::default())
        .await
        .unwrap();
    let upload = storage
        .create_upload(&place, &k, CreateUpload::default())
        .await
        .unwrap();
    let body = futures::stream::iter([Ok(Bytes::from("part"))]);
    let part = storage
        .upload_part((&place, &k), &upload, 1, PartOptions::default(), body)
        .await
        .unwrap();
    let named = [CompletedPart {
        number: 1,
        etag: part.etag,
        checksums: Vec::new(),
    }];
    storage
        .complete_upload((&place, &k), &upload, &named, Default::default())
        .await
        .unwrap();
    let tags = Tags::of_object([("a".to_owned(), "b".to_owned())]).unwrap();
    storage.set_tags(&place, &k, None, &tags).await.unwrap();
    storage
        .set_tags(&place, &k, None, &Tags::default())
        .await
        .unwrap();
    // What is not there is not removed.
    storage
        .delete_many(&place, &[k.clone(), key("missing")])
        .await
        .unwrap();
    storage.set_versioning(&place, Versioning::Enabled).await.unwrap();
    let kept = storage
        .put_bytes(&place, &k, PutOptions::default(), "kept")
        .await
        .unwrap();
    storage.delete(&place, &k).await.unwrap();
    let version = kept.version_id.unwrap();
    let target = DeleteTarget {
        version: Some(version.clone()),
        ..DeleteTarget::current(k.clone())
    };
    storage.delete_targets(&place, &[target]).await.unwrap();
    let rule = LifecycleRule {
        id: "old".to_owned(),
        is_enabled: true,
        expire: Some(ExpireAfter::Days(1)),
        ..LifecycleRule::default()
    };
    storage
        .set_bucket(
            &place,
            BucketSetting::Lifecycle(Some(Lifecycle { rules: vec![rule] })),
        )
        .await
        .unwrap();
    kit.clock.advance(3 * DAY);
    storage.apply_lifecycle().await.unwrap();

    let expected = [
        ("ObjectCreated:Put", "in/a+b.csv"),
        ("ObjectCreated:Post", "in/a+b.csv"),
        ("ObjectCreated:Copy", "copy"),
        ("ObjectCreated:CompleteMultipartUpload", "in/a+b.csv"),
        ("ObjectTagging:Put", "in/a+b.csv"),
        ("ObjectTagging:Delete", "in/a+b.csv"),
        ("ObjectRemoved:Delete", "in/a+b.csv"),
        ("ObjectCreated:Put", "in/a+b.csv"),
        ("ObjectRemoved:DeleteMarkerCreated", "in/a+b.csv"),
        ("ObjectRemoved:Delete", "in/a+b.csv"),
        ("LifecycleExpiration:DeleteMarkerCreated", "copy"),
        ("LifecycleExpiration:Delete", "in/a+b.csv"),
    ];
    for (name, _) in expected {
        assert_eq!(followed.recv().await.unwrap().kind.as_str(), name);
    }
    let sender = kit.sender(&receiver).await;
    assert_eq!(
        sender.deliver_due("rows", &receiver.webhook()).await.unwrap(),
        None
    );
    let mut records = Vec::new();
    for _ in expected {
        let received = receiver.received.recv().await.unwrap();
        let (id, seconds) = (
            received.header("x-fragua-delivery-id"),
            received.header("x-fragua-timestamp"),
        );
        let signature = fragua_webhook::sign(SECRET, id, seconds, &received.body);
        assert_eq!(received.header("x-fragua-signature"), signature);
        records.push(received.record());
    }
    let sequencer = |record: &Value| record["s3"]["object"]["sequencer"].as_str().unwrap().to_owned();
    let of_one = records
        .iter()
        .filter(|record| record["s3"]["object"]["key"] != "copy");
    assert!(
        of_one.is_sorted_by_key(sequencer),
        "the events of an object come in order"
    );
    records.sort_by_key(sequencer);
    for (record, (name, key)) in records.iter().zip(expected) {
        assert_eq!(
            (&record["eventName"], &record["s3"]["object"]["key"]),
            (&name.into(), &key.into())
        );
    }
    let object = &records[0]["s3"]["object"];
    assert_eq!((&object["size"], object.get("versionId")), (&5.into(), None));
    assert_eq!(object["eTag"], "827ccb0eea8a706c4c34a16891f84e7b");
    assert_eq!(records[7]["s3"]["object"]["versionId"], version.as_str());
    assert_eq!(records[9]["s3"]["object"]["versionId"], version.as_str());
    assert_eq!(kit.waiting().await, 0);
    assert!(receiver.received.try_recv().is_err());
}

async fn what_was_not_taken_is_sent_again_by_the_next_process(database: Database) {
    let kit = Kit::new(database).await;
    let mut receiver = Receiver::start().await;
    let first = kit.open_with(&receiver).await;
    let only_in = notification(&["s3:ObjectCreated:*"], Some("in/"));
    first.set_bucket(&bucket(), only_in).await.unwrap();
    for name in ["in/1", "out/1", "in/1"] {
        super::put(&first, name, "x").await;
    }
    first.delete(&bucket(), &key("in/1")).await.unwrap();
    drop(first);
    assert_eq!(
        kit.waiting().await,
        2,
        "two are of the kind and of a key that were asked for"
    );

    // A receiver that fails is asked again after a wait, with the same message; what came after it waits too.
    receiver.answers(StatusCode::SERVICE_UNAVAILABLE);
    let sender = kit.sender(&receiver).await;
    let webhook = receiver.webhook();
    let next = sender.deliver_due("rows", &webhook).await.unwrap();
    assert_eq!(next, Some(kit.clock.now().plus(Duration::from_secs(1))));
    let refused = receiver.received.recv().await.unwrap();
    assert_eq!(sender.deliver_due("rows", &webhook).await.unwrap(), next);
    assert!(receiver.received.try_recv().is_err());

    // A process that ends with the message in its hands leaves it to another one, once its time is over.
    kit.clock.advance(Duration::from_secs(1));
    let due = events::due(&kit.database, "rows", kit.clock.now(), 9)
        .await
        .unwrap();
    let until = kit.clock.now().plus(Duration::from_secs(60));
    for row in &due {
        assert!(events::claim(&kit.database, row, until).await.unwrap());
        assert!(!events::claim(&kit.database, row, until).await.unwrap());
    }
    drop(sender);
    receiver.answers(StatusCode::NO_CONTENT);
    let second = kit.sender(&receiver).await;
    assert_eq!(second.deliver_due("rows", &webhook).await.unwrap(), Some(until));
    kit.clock.set(until);
    assert_eq!(second.deliver_due("rows", &webhook).await.unwrap(), None);
    let taken = receiver.received.recv().await.unwrap();
    assert_eq!(taken.body, refused.body);
    assert_eq!(
        taken.header("x-fragua-delivery-id"),
        refused.header("x-fragua-delivery-id")
    );
    assert_ne!(receiver.received.recv().await.unwrap().body, taken.body);
    assert_eq!(kit.waiting().await, 0);
    // Whose time was over when it ended changes nothing.
    events::put_off(&kit.database, &due[0], &[], until).await.unwrap();
    assert_eq!(kit.waiting().await, 0);
}

async fn a_change_that_fails_tells_nothing_and_what_nobody_takes_is_given_up(database: Database) {
    let kit = Kit::new(database).await;
    let receiver = Receiver::start().await;
    let storage = kit.open_with(&receiver).await;
    storage
        .set_bucket(&bucket(), notification(EVERYTHING, None))
        .await
        .unwrap();
    super::put(&storage, "k", "x").await;
    let absent = PutOptions {
        condition: Some(crate::WriteCondition::Absent),
        ..PutOptions::default()
    };
    let failed = storage.put_bytes(&bucket(), &key("k"), absent, "y").await;
    assert!(matches!(failed, Err(Error::PreconditionFailed { .. })));
    assert_eq!(kit.waiting().await, 1);
    let too_many = async |webhook: &str| events::give_up_beyond(&kit.database, webhook, 2).await.unwrap();
    let too_old = async || {
        events::give_up_old(&kit.database, kit.clock.now(), DAY)
            .await
            .unwrap()
    };
    kit.clock.advance(DAY);
    super::put(&storage, "l", "x").await;
    super::put(&storage, "m", "x").await;
    assert_eq!(too_many("other").await, 0);
    assert_eq!(too_many("rows").await, 1, "the oldest is too much");
    assert_eq!((too_many("rows").await, too_old().await), (0, 0));
    kit.clock.advance(DAY + Duration::from_millis(1));
    assert_eq!(too_old().await, 2);
    assert_eq!(kit.waiting().await, 0);
}

async fn the_background_work_sends_at_once(database: Database) {
    let kit = Kit::new(database).await;
    let mut receiver = Receiver::start().await;
    let storage = kit.open_with(&receiver).await;
    let unknown = BucketSetting::Notification(Some(Notification {
        targets: vec![NotificationTarget {
            id: "1".to_owned(),
            kind: NotificationKind::Topic,
            arn: "arn:aws:sns:::nobody".to_owned(),
            events: vec!["s3:ObjectCreated:*".to_owned()],
            prefix: None,
            suffix: None,
        }],
    }));
    let refused = storage.set_bucket(&bucket(), unknown).await.unwrap_err();
    assert!(refused.to_string().contains("arn:aws:sns:::nobody"), "{refused}");
    storage
        .set_bucket(&bucket(), notification(EVERYTHING, None))
        .await
        .unwrap();
    let shutdown = CancellationToken::new();
    let chores = tokio::spawn({
        let (storage, shutdown) = (storage.clone(), shutdown.clone());
        async move { storage.run_chores(shutdown).await }
    });
    let mut last = String::new();
    for name in ["a", "b"] {
        super::put(&storage, name, "x").await;
        let received = receiver.received.recv().await.unwrap();
        let object = &received.record()["s3"]["object"];
        assert_eq!(object["key"], name);
        let sequencer = object["sequencer"].as_str().unwrap();
        assert!(sequencer > last.as_str(), "numbers are not used again");
        sequencer.clone_into(&mut last);
    }
    shutdown.cancel();
    chores.await.unwrap();
}

each_engine!(engines:
    each_change_is_told_once_in_order,
    what_was_not_taken_is_sent_again_by_the_next_process,
    a_change_that_fails_tells_nothing_and_what_nobody_takes_is_given_up,
    the_background_work_sends_at_once,
);
