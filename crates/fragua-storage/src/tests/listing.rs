//! Lists against a plain model of what S3 answers.

use fragua_database::{Database, each_engine};
use sea_orm::{ActiveValue::Set, EntityTrait as _};

use super::{BUCKET, Kit, bucket};
use crate::store::objects;
use crate::{BucketName, ListQuery, Storage};

/// Makes rows without bytes: lists do not look at them.
async fn insert_rows(database: &Database, bucket: &str, keys: &[String]) {
    for (batch_number, batch) in keys.chunks(500).enumerate() {
        let rows = batch.iter().enumerate().map(|(index, key)| objects::ActiveModel {
            bucket: Set(bucket.to_owned()),
            object_key: Set(key.as_bytes().to_vec()),
            blob_id: Set(format!(
                "{}{batch_number:04}{index:04}",
                &fragua_base::random_hex(12)
            )),
            size_bytes: Set(1),
            etag: Set("0".repeat(32)),
            content_type: Set("x".to_owned()),
            attributes: Set("{}".to_owned()),
            modified_at: Set(0),
            version_id: Set("null".to_owned()),
            version_rank: Set(0),
        });
        objects::Entity::insert_many(rows)
            .exec_without_returning(database.writer())
            .await
            .unwrap();
    }
}

/// All keys and common prefixes that a query names, in order, without pages.
fn model(keys: &[String], query: &ListQuery) -> Vec<String> {
    let mut results: Vec<String> = keys
        .iter()
        .filter_map(|key| key.strip_prefix(&query.prefix))
        .map(|rest| {
            match query
                .delimiter
                .as_deref()
                .and_then(|delimiter| rest.split_once(delimiter))
            {
                Some((folded, _)) => {
                    format!("{}{folded}{}", query.prefix, query.delimiter.as_deref().unwrap())
                }
                None => format!("{}{rest}", query.prefix),
            }
        })
        .filter(|result| query.start_after.as_ref().is_none_or(|after| result > after))
        .collect();
    results.sort();
    results.dedup();
    results
}

/// Reads page after page and checks the size of each.
async fn read_pages(storage: &Storage, query: &ListQuery) -> Vec<String> {
    let limit = query.limit.unwrap_or(1000).min(1000);
    let mut query = query.clone();
    let mut results = Vec::new();
    loop {
        let page = storage.list(&bucket(), query.clone()).await.unwrap();
        let objects = page.objects.iter().map(|object| object.key.to_string());
        let mut found: Vec<String> = objects.chain(page.prefixes.iter().cloned()).collect();
        found.sort();
        assert!(found.len() <= limit);
        results.extend(found);
        let Some(next) = page.next else { return results };
        assert_eq!(
            results.len() % limit,
            0,
            "a page that is not the last one is full"
        );
        query.start_after = Some(next);
    }
}

fn many_keys() -> Vec<String> {
    let mut keys = Vec::new();
    keys.extend((0..1200).map(|number| format!("flat/{number:05}")));
    keys.extend((0..300).flat_map(|run| (0..3).map(move |file| format!("runs/{run:03}/artifacts/{file}"))));
    keys.extend((0..40).map(|number| format!("deep/a//{number}/x")));
    keys.extend(
        [
            "k", "k/x", "k0", "K", "../x", "ñ/1", "ñ/2", "日/本", "a b", "a+b", "flat", "flat0", "z/",
        ]
        .map(str::to_owned),
    );
    keys
}

async fn lists_are_what_the_model_says(database: Database) {
    let kit = Kit::new(database).await;
    let keys = many_keys();
    insert_rows(&kit.database, BUCKET, &keys).await;
    kit.storage
        .create_bucket(&BucketName::parse("bucket2").unwrap())
        .await
        .unwrap();
    insert_rows(&kit.database, "bucket2", &["elsewhere".to_owned()]).await;
    for prefix in [
        "",
        "flat",
        "flat/",
        "flat/000",
        "runs/",
        "runs/007/",
        "deep/a/",
        "ñ",
        "k",
        "none",
        "z/",
    ] {
        for delimiter in [None, Some("/"), Some("//"), Some("0")] {
            for (start_after, limit) in [
                (None, None),
                (None, Some(7)),
                (Some("flat/00999"), Some(100)),
                (Some("runs/"), None),
                (Some("runs/150/"), Some(50)),
                (Some("k"), Some(1000)),
                (Some("~"), None),
            ] {
                // Pages of seven over thousands of keys say no more than those of the small prefixes.
                if limit == Some(7) && delimiter.is_none() && prefix.len() < 5 {
                    continue;
                }
                let query = ListQuery {
                    prefix: prefix.to_owned(),
                    delimiter: delimiter.map(str::to_owned),
                    start_after: start_after.map(str::to_owned),
                    limit,
                };
                let found = read_pages(&kit.storage, &query).await;
                assert_eq!(found, model(&keys, &query), "{query:?}");
            }
        }
    }
    let nothing = ListQuery {
        limit: Some(0),
        ..ListQuery::default()
    };
    assert_eq!(
        kit.storage.list(&bucket(), nothing).await.unwrap(),
        Default::default()
    );
}

each_engine!(suite: lists_are_what_the_model_says);
