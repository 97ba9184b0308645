//! What operators are tested with.

use std::collections::BTreeMap;

use fragua_base::Timestamp;
use serde_json::Map;

use super::TaskContext;

/// An attempt with folders of its own, removed when it is dropped.
pub(crate) struct TestAttempt {
    pub(crate) context: TaskContext,
    _folder: tempfile::TempDir,
}

pub(crate) fn attempt() -> TestAttempt {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut context = context("example", "load");
    context.project_folder = folder.path().join("project");
    context.work_folder = folder.path().join("work");
    for folder in [&context.project_folder, &context.work_folder] {
        std::fs::create_dir(folder).expect("a folder can be made");
    }
    TestAttempt {
        context,
        _folder: folder,
    }
}

pub(crate) fn context(dag_id: &str, task_id: &str) -> TaskContext {
    let day = |text| Timestamp::parse_rfc3339(text).expect("an instant");
    TaskContext {
        dag_id: dag_id.to_owned(),
        dag_run_id: "scheduled__2025-04-02T00:00:00Z".to_owned(),
        task_id: task_id.to_owned(),
        try_number: 1,
        attempt_token: "token".to_owned(),
        logical_date: day("2025-04-02T00:00:00Z"),
        data_interval_start: day("2025-04-02T00:00:00Z"),
        data_interval_end: day("2025-04-03T00:00:00Z"),
        params: Map::new(),
        connections: BTreeMap::new(),
        variables: BTreeMap::new(),
        project_folder: "/".into(),
        work_folder: "/".into(),
        xcom: BTreeMap::new(),
        xcom_keys: BTreeMap::new(),
        max_xcom_bytes: 1024 * 1024,
        map_index: None,
        map_values: None,
        first_started_at: day("2025-04-03T00:00:00Z"),
        python: std::env::var("FRAGUA_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned()),
    }
}
