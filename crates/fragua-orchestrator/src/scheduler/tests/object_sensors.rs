//! Sensors that wait for an object of the program's own store.

use std::time::Duration;

use fragua_database::Database;

use super::success;
use crate::decide::Ending;
use crate::operator::{AwaitedKey, AwaitedObject};
use crate::testing::Bench;

const WAITS: &str = "
dag: waits
tasks:
  - { id: rows, object_sensor: { bucket: in, wildcard: '*.csv', poke_interval: 1h } }
";

impl Bench {
    async fn objects_came(&self, objects: &[(&str, &str)]) {
        let objects = objects
            .iter()
            .map(|(bucket, key)| ((*bucket).to_owned(), (*key).to_owned()));
        self.orchestrator().objects_came(objects).await.unwrap();
        self.tick().await;
    }

    fn not_yet(&self) -> Ending {
        Ending::Reschedule {
            at: self.core.now().plus(Duration::from_secs(3600)),
            object: Some(AwaitedObject {
                bucket: "in".to_owned(),
                key: AwaitedKey::Like("*.csv".to_owned()),
            }),
        }
    }
}

async fn a_sensor_looks_at_once_when_its_object_comes(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("waits.yaml", WAITS).await;
    let run_id = bench.trigger("waits").await;
    let state = async |bench: &Bench| bench.states("waits", &run_id).await.remove(0);
    let first = bench.claim_one("rows").await;
    bench.end(&first, bench.not_yet()).await;
    bench.objects_came(&[("in", "a.txt"), ("out", "a.csv")]).await;
    assert_eq!(state(&bench).await, "rows:up_for_reschedule");
    bench.objects_came(&[("in", "b.txt"), ("in", "a.csv")]).await;
    assert_eq!(state(&bench).await, "rows:queued");

    // What comes while it looks is not missed, and is no reason to look again and again.
    let second = bench.claim_one("rows").await;
    assert_eq!(second.key.attempt, first.key.attempt);
    bench.objects_came(&[("in", "b.csv")]).await;
    bench.end(&second, bench.not_yet()).await;
    bench.tick().await;
    assert_eq!(state(&bench).await, "rows:queued");
    let third = bench.claim_one("rows").await;
    bench.end(&third, bench.not_yet()).await;
    bench.tick().await;
    assert_eq!(state(&bench).await, "rows:up_for_reschedule");

    // Without a word it looks at its time.
    bench.advance(Duration::from_secs(3600)).await;
    let fourth = bench.claim_one("rows").await;
    bench.end(&fourth, success()).await;
    assert_eq!(state(&bench).await, "rows:success");
}

fragua_database::each_engine!(engines:
    a_sensor_looks_at_once_when_its_object_comes,
);
