//! Why a task waits, in the reader's language.

use fragua_base::Timestamp;
use fragua_orchestrator::{DagIsOpen, Waiting};

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
                .map(|(task_id, state)| {
                    let state = page.t(StateView::of(state.as_str()).text_key());
                    format!("{task_id} ({})", state.to_lowercase())
                })
                .collect();
            page.t1("waits-tasks", "tasks", &tasks.join(", "))
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
    use fragua_orchestrator::{NextRun, TaskState};

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
                    ("a".to_owned(), TaskState::Running),
                    ("b".to_owned(), TaskState::None),
                ]),
                "Waits for a (running), b (not started)",
                "Espera a a (en curso), b (sin empezar)",
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
