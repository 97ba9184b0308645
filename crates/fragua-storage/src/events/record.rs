//! Events in the form that S3 sends them in.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::ObjectEvent;

/// What a key keeps beside letters and digits. A space becomes `+`, as in forms.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*')
    .remove(b' ');

/// The owner of everything, by the name that the S3 API tells.
const OWNER: &str = "fragua";

/// Returns the record of an event for the entry `configuration` of the bucket's notifications, as JSON. The sequencer
/// is not in it yet.
pub(crate) fn record(event: &ObjectEvent, configuration: &str) -> Value {
    let (bucket, key) = (event.bucket.as_str(), event.key.as_str());
    let mut object = Map::new();
    let encoded = utf8_percent_encode(key, KEPT).to_string().replace(' ', "+");
    object.insert("key".to_owned(), encoded.into());
    if let Some((size_bytes, etag)) = &event.content {
        object.insert("size".to_owned(), (*size_bytes).into());
        object.insert("eTag".to_owned(), etag.as_str().into());
    }
    if !event.version_id.is_null() {
        object.insert("versionId".to_owned(), event.version_id.as_str().into());
    }
    json!({
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": event.at.to_rfc3339(),
        "eventName": event.kind.as_str(),
        "userIdentity": {"principalId": OWNER},
        "requestParameters": {},
        "responseElements": {},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": configuration,
            "bucket": {
                "name": bucket,
                "ownerIdentity": {"principalId": OWNER},
                "arn": format!("arn:aws:s3:::{bucket}"),
            },
            "object": object,
        },
    })
}

/// Returns which object a record is about; of what is no record, nothing.
pub(crate) fn object_of(record: &str) -> String {
    let record: Value = serde_json::from_str(record).unwrap_or_default();
    format!(
        "{} {}",
        record["s3"]["bucket"]["name"], record["s3"]["object"]["key"]
    )
}

/// Returns the message that a record is sent in. The number of its row is its sequencer: of two events of one key the
/// later one has the greater.
pub(crate) fn message(record: &str, row: i64) -> Result<String, serde_json::Error> {
    let mut record: Value = serde_json::from_str(record)?;
    record["s3"]["object"]["sequencer"] = format!("{row:016X}").into();
    Ok(json!({"Records": [record]}).to_string())
}

#[cfg(test)]
mod tests {
    use fragua_base::Timestamp;

    use super::*;
    use crate::object::ObjectKey;
    use crate::version::VersionId;
    use crate::{BucketName, ObjectEventKind};

    #[test]
    fn a_record_is_s3s() {
        let event = ObjectEvent {
            kind: ObjectEventKind::Put,
            bucket: BucketName::parse("data").unwrap(),
            key: ObjectKey::parse("in/año nuevo+1.csv").unwrap(),
            version_id: VersionId::null(),
            content: Some((5, "e".to_owned())),
            at: Timestamp::from_millis(1_700_000_000_123),
        };
        let text = message(&record(&event, "rows").to_string(), 255).unwrap();
        let message: Value = serde_json::from_str(&text).unwrap();
        let record = &message["Records"][0];
        assert_eq!(record["eventName"], "ObjectCreated:Put");
        assert_eq!(record["eventTime"], "2023-11-14T22:13:20.123Z");
        assert_eq!(
            record["s3"],
            json!({
                "s3SchemaVersion": "1.0",
                "configurationId": "rows",
                "bucket": {
                    "name": "data",
                    "ownerIdentity": {"principalId": "fragua"},
                    "arn": "arn:aws:s3:::data",
                },
                "object": {
                    "key": "in/a%C3%B1o+nuevo%2B1.csv",
                    "size": 5,
                    "eTag": "e",
                    "sequencer": "00000000000000FF",
                },
            })
        );
    }
}
