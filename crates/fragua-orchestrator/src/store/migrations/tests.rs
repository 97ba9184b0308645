//! A database of an earlier version is brought up to date with what it holds.

use fragua_database::Database;
use sea_orm::ConnectionTrait as _;

use super::{m0001_first_schema, migrations};
use crate::InstanceId;
use crate::store::{pools, task_instances, xcoms};

async fn task_instances_and_their_values_move_to_the_new_tables(database: Database) {
    database
        .migrate("orchestrator", vec![Box::new(m0001_first_schema::Migration)])
        .await
        .unwrap();
    for statement in [
        "INSERT INTO dag_runs (dag_id, run_id, run_type, state, logical_date, interval_start, interval_end, run_after, \
         queued_at, params, version) VALUES ('d', 'r', 'manual', 'running', 7, 7, 7, 9, 9, '{}', 'v')",
        "INSERT INTO task_instances (dag_id, run_id, task_id, id, operator, state, attempt, failures, lost, retries, \
         started_at, ended_at, xcom) VALUES ('d', 'r', 'a', 'id-a', 'bash', 'success', 2, 1, 0, 3, 10, 11, '{\"rows\":5}')",
        "INSERT INTO task_instances (dag_id, run_id, task_id, id, operator, state, attempt, failures, lost, retries) \
         VALUES ('d', 'r', 'b', 'id-b', 'bash', 'queued', 0, 0, 0, 0)",
    ] {
        database.writer().execute_unprepared(statement).await.unwrap();
    }
    for _ in 0..2 {
        database.migrate("orchestrator", migrations()).await.unwrap();
    }
    let reader = database.reader();
    let a = task_instances::find(reader, "d", "r", &InstanceId::of("a"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (a.id.as_str(), a.attempt, a.failures, a.retries),
        ("id-a", 2, 1, 3)
    );
    assert_eq!(
        (a.pool.as_str(), a.ordered_at, a.first_started_at),
        ("default_pool", 7, Some(10))
    );
    let b = task_instances::find(reader, "d", "r", &InstanceId::of("b"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((b.state.as_str(), b.map_index), ("queued", -1));
    let values = xcoms::of_dag_run(reader, "d", "r").await.unwrap();
    assert_eq!(values.len(), 1);
    assert_eq!(
        (values[0].key.as_str(), &values[0].value),
        ("return_value", &serde_json::json!({"rows": 5}))
    );
    assert_eq!(pools::all(reader).await.unwrap().len(), 1);
}

fragua_database::each_engine!(engines: task_instances_and_their_values_move_to_the_new_tables);
