//! The rules in SQL, on each engine, under a manual clock: a file a story.

mod assets;
mod attempts;
mod backfills;
mod callbacks;
mod clear_and_mark;
mod dag_runs;
mod failing;
mod held;
mod limits;
mod object_sensors;
mod schedules;
mod values;
mod vault;

use crate::decide::Ending;

const CATCH_UP: &str = "
dag: load
schedule: '@daily'
start_date: 2025-04-02
end_date: 2025-04-11
catchup: true
max_active_runs: 1
params: { seconds: 6 }
tasks:
  - { id: pause, wait: '{{ params.seconds }}s' }
  - { id: rows, needs: [pause], bash: echo }
";

const RETRY: &str = "
dag: retry
default_args: { retries: 1, retry_delay: 10s }
tasks:
  - { id: first, bash: echo }
  - { id: second, needs: [first], bash: echo }
";

fn failed() -> Ending {
    Ending::Failed {
        message: "no rows".to_owned(),
    }
}

fn success() -> Ending {
    Ending::success()
}
