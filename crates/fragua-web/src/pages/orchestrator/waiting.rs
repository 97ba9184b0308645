//! Why a task waits, in the reader's language.

use fragua_base::Timestamp;
use fragua_orchestrator::{DagIsOpen, InstanceId, TaskState, Waiting};

use crate::format;
use crate::page::Page;
use crate::state::StateView;

/// Says what a task waits for.
pub(super) fn words(page: &Page, waiting: &Waiting) -> String {
    match waiting {
        Waiting::PausedDag => page.t("waits-paused-dag"),
        Waiting::ActiveRuns { running, limit } => page.text_with(
            "waits-active-runs",
            &[("running", &running.to_string()), ("limit", &limit.to_string())],
        ),
        Waiting::Tasks(tasks) => {
            let tasks: Vec<String> = tasks
                .iter()
                .map(|(id, state)| with_state(page, id, *state))
                .collect();
            page.t1("waits-tasks", "tasks", &tasks.join(", "))
        }
        Waiting::Past { run_id, tasks } => {
            let tasks: Vec<String> = tasks
                .iter()
                .map(|(id, state)| with_state(page, id, *state))
                .collect();
            page.text_with("waits-past", &[("run", run_id), ("tasks", &tasks.join(", "))])
        }
        Waiting::NoPool { pool } => page.t1("waits-no-pool", "pool", pool),
        Waiting::PoolTooSmall { pool, slots, needed } => page.text_with(
            "waits-pool-too-small",
            &[
                ("pool", pool),
                ("slots", &slots.to_string()),
                ("needed", &needed.to_string()),
            ],
        ),
        Waiting::PoolFull { pool, slots, holders } if holders.is_empty() => page.text_with(
            "waits-pool-full",
            &[("pool", pool), ("slots", &slots.to_string())],
        ),
        Waiting::PoolFull { pool, slots, holders } => page.text_with(
            "waits-pool-full-held",
            &[
                ("pool", pool),
                ("slots", &slots.to_string()),
                ("holders", &holders.join(", ")),
            ],
        ),
        Waiting::RunLimit { limit } => page.t1("waits-run-limit", "limit", &limit.to_string()),
        Waiting::TaskLimit { limit } => page.t1("waits-task-limit", "limit", &limit.to_string()),
        Waiting::NoWorkerForQueue { queue } => page.t1("waits-no-worker-for-queue", "queue", queue),
        Waiting::NextLook(at) => page.t1("waits-next-look", "at", &utc(*at)),
        Waiting::Other {
            dag_id,
            run_id,
            logical_date,
            task_ids,
        } => {
            let run = match (run_id, logical_date) {
                (Some(run_id), _) => run_id.clone(),
                (None, date) => date.map_or_else(String::new, utc),
            };
            match task_ids.as_slice() {
                [] => page.text_with("waits-other-run", &[("dag", dag_id), ("run", &run)]),
                tasks => page.text_with(
                    "waits-other-tasks",
                    &[("dag", dag_id), ("run", &run), ("tasks", &tasks.join(", "))],
                ),
            }
        }
        Waiting::NoWorker => page.t("waits-no-worker"),
        Waiting::SilentWorker { seconds } => page.tn("waits-silent-worker", seconds),
        Waiting::NoFreeSlot { running } => page.tn("waits-no-free-slot", running),
        Waiting::Instant(at) => page.t1("waits-instant", "at", &utc(*at)),
        Waiting::Dag { dag_id, reasons } if reasons.is_empty() => page.t1("waits-dag", "dag", dag_id),
        Waiting::Dag { dag_id, reasons } => {
            let reasons: Vec<String> = reasons.iter().map(|reason| is_open(page, reason)).collect();
            page.text_with(
                "waits-dag-because",
                &[("dag", dag_id), ("reasons", &reasons.join(", "))],
            )
        }
        Waiting::Retry { at, message } => {
            let at = at.map_or_else(String::new, utc);
            match message {
                Some(message) => page.text_with("waits-retry-because", &[("at", &at), ("message", message)]),
                None => page.t1("waits-retry", "at", &at),
            }
        }
        Waiting::Stop => page.t("waits-stop"),
    }
}

fn with_state(page: &Page, id: &InstanceId, state: TaskState) -> String {
    let state = page.t(StateView::of(state.as_str()).text_key());
    format!("{id} ({})", state.to_lowercase())
}

fn is_open(page: &Page, reason: &DagIsOpen) -> String {
    match reason {
        DagIsOpen::Unknown => page.t("waits-dag-unknown"),
        DagIsOpen::Running(count) => page.tn("waits-dag-running", count),
        DagIsOpen::Queued(count) => page.tn("waits-dag-queued", count),
        DagIsOpen::Paused => page.t("waits-dag-paused"),
        DagIsOpen::Due(next) => page.t1("waits-dag-due", "at", &utc(next.data_interval_start)),
        DagIsOpen::NeverRan => page.t("waits-dag-never-ran"),
        DagIsOpen::Failed(run_id) => page.t1("waits-dag-failed", "run", run_id),
    }
}

fn utc(at: Timestamp) -> String {
    format!("{} UTC", format::instant(at))
}

#[cfg(test)]
mod tests {
    use fragua_orchestrator::NextRun;

    use super::*;
    use crate::page::tests::page;

    #[test]
    fn every_reason_is_said_in_both_languages() {
        let at = Timestamp::from_millis(1_743_552_000_000);
        let next = NextRun {
            data_interval_start: at,
            data_interval_end: at,
            run_after: at,
        };
        let dag = |reasons| Waiting::Dag {
            dag_id: "load".to_owned(),
            reasons,
        };
        for (waiting, english, spanish) in [
            (
                Waiting::PausedDag,
                "The run waits: its DAG is paused",
                "La ejecución espera: su DAG está en pausa",
            ),
            (
                Waiting::ActiveRuns { running: 2, limit: 2 },
                "The run waits: 2 of at most 2 are under way",
                "La ejecución espera: hay 2 en curso y se permiten 2",
            ),
            (
                Waiting::Tasks(vec![
                    (InstanceId::of("a"), TaskState::Running),
                    (InstanceId::of("b"), TaskState::None),
                ]),
                "Waits for a (running), b (not started)",
                "Espera a a (en curso), b (sin empezar)",
            ),
            (
                Waiting::Past {
                    run_id: "r1".to_owned(),
                    tasks: vec![(InstanceId::mapped("a", 3), TaskState::Failed)],
                },
                "Waits for the run before, r1: a[3] (failed)",
                "Espera a la ejecución anterior, r1: a[3] (fallido)",
            ),
            (
                Waiting::NoPool {
                    pool: "gpu".to_owned(),
                },
                "Waits: there is no pool gpu",
                "Espera: no hay ningún pool gpu",
            ),
            (
                Waiting::PoolTooSmall {
                    pool: "gpu".to_owned(),
                    slots: 1,
                    needed: 2,
                },
                "Cannot start: slots needed: 2; in the pool gpu: 1",
                "No puede empezar: huecos necesarios: 2; en el pool gpu: 1",
            ),
            (
                Waiting::PoolFull {
                    pool: "gpu".to_owned(),
                    slots: 1,
                    holders: vec!["d/r/t".to_owned()],
                },
                "The pool gpu is full (1): d/r/t",
                "El pool gpu está lleno (1): d/r/t",
            ),
            (
                Waiting::PoolFull {
                    pool: "gpu".to_owned(),
                    slots: 1,
                    holders: Vec::new(),
                },
                "The pool gpu is full (1)",
                "El pool gpu está lleno (1)",
            ),
            (
                Waiting::RunLimit { limit: 16 },
                "As many tasks of its run are under way as may be: 16",
                "Ya están en curso todas las tareas de su ejecución que se permiten a la vez: 16",
            ),
            (
                Waiting::TaskLimit { limit: 1 },
                "As many of its attempts are under way as may be: 1",
                "Ya están en curso todos los intentos suyos que se permiten a la vez: 1",
            ),
            (
                Waiting::NoWorkerForQueue {
                    queue: "gpu".to_owned(),
                },
                "No worker listens to the queue gpu",
                "Ningún worker atiende la cola gpu",
            ),
            (
                Waiting::NextLook(at),
                "Not there yet; looks again at 2025-04-02 00:00:00 UTC",
                "Aún no está; vuelve a mirar: 2025-04-02 00:00:00 UTC",
            ),
            (
                Waiting::Other {
                    dag_id: "load".to_owned(),
                    run_id: Some("r1".to_owned()),
                    logical_date: None,
                    task_ids: Vec::new(),
                },
                "Waits for the run r1 of load",
                "Espera a la ejecución r1 de load",
            ),
            (
                Waiting::Other {
                    dag_id: "load".to_owned(),
                    run_id: None,
                    logical_date: Some(at),
                    task_ids: vec!["a".to_owned(), "b".to_owned()],
                },
                "Waits for a, b of load, run 2025-04-02 00:00:00 UTC",
                "Espera a a, b de load, ejecución 2025-04-02 00:00:00 UTC",
            ),
            (
                Waiting::NoWorker,
                "No worker runs",
                "No hay ningún worker en marcha",
            ),
            (
                Waiting::SilentWorker { seconds: 95 },
                "No worker was heard of for 95 seconds",
                "Ningún worker da señales desde hace 95 segundos",
            ),
            (
                Waiting::NoFreeSlot { running: 1 },
                "Waits for a free slot of a worker; one task runs",
                "Espera un hueco libre en un worker; hay una tarea en curso",
            ),
            (
                Waiting::Instant(at),
                "Waits until 2025-04-02 00:00:00 UTC",
                "Espera hasta 2025-04-02 00:00:00 UTC",
            ),
            (dag(Vec::new()), "Waits for load", "Espera a load"),
            (
                dag(vec![DagIsOpen::Unknown]),
                "Waits for load: there is no DAG of this name",
                "Espera a load: no hay ningún DAG con este nombre",
            ),
            (
                dag(vec![
                    DagIsOpen::Running(1),
                    DagIsOpen::Queued(3),
                    DagIsOpen::Due(next),
                ]),
                "Waits for load: one run is under way, 3 runs wait to start, the run for 2025-04-02 00:00:00 UTC is due",
                "Espera a load: hay una ejecución en curso, 3 ejecuciones esperan para empezar, ya toca la ejecución de \
                 2025-04-02 00:00:00 UTC",
            ),
            (
                dag(vec![DagIsOpen::Paused, DagIsOpen::NeverRan]),
                "Waits for load: it is paused, it has never run",
                "Espera a load: está en pausa, no se ha ejecutado nunca",
            ),
            (
                dag(vec![DagIsOpen::Failed("r1".to_owned())]),
                "Waits for load: its run r1 failed",
                "Espera a load: su ejecución r1 ha fallado",
            ),
            (
                Waiting::Retry {
                    at: Some(at),
                    message: None,
                },
                "Tries again at 2025-04-02 00:00:00 UTC",
                "Se intenta otra vez: 2025-04-02 00:00:00 UTC",
            ),
            (
                Waiting::Retry {
                    at: Some(at),
                    message: Some("exit status 1".to_owned()),
                },
                "Tries again at 2025-04-02 00:00:00 UTC: exit status 1",
                "Se intenta otra vez: 2025-04-02 00:00:00 UTC. exit status 1",
            ),
            (
                Waiting::Stop,
                "Was cleared; starts over when its attempt has been stopped",
                "Se ha pedido otra vez; empieza de nuevo cuando se detenga su intento",
            ),
        ] {
            assert_eq!(words(&page("/?lang=en", &[]), &waiting), english);
            assert_eq!(words(&page("/?lang=es", &[]), &waiting), spanish);
        }
    }
}
