//! All about one task of a run: its log, its attempts, what it was given, what it handed on.

use fragua_base::Timestamp;
use fragua_orchestrator::{Attempt, AttemptState, Dag, Orchestrator, TaskInstance, Transition};
use serde_json::Value;

use super::dag::span_of;
use super::dag_run::task_address;
use super::log::{self, LogView};
use super::waiting;
use crate::error::Error;
use crate::format;
use crate::page::{Page, encode};
use crate::state::StateView;
use crate::view::Tab;

pub(super) struct TaskPanel {
    pub(super) id: String,
    pub(super) map_label: String,
    pub(super) view: StateView,
    /// Where the task was a moment ago decides whether the panel is drawn again.
    pub(super) version: String,
    pub(super) clear_address: String,
    pub(super) mark_address: String,
    pub(super) waiting: String,
    pub(super) links: Vec<(String, String)>,
    pub(super) error: String,
    pub(super) tabs: Vec<Tab>,
    pub(super) part: Part,
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
}

pub(super) enum Part {
    Log(Option<LogView>),
    Attempts(Vec<AttemptRow>),
    Rendered(Result<Vec<(String, String)>, String>),
    Xcom(Vec<XcomRow>),
    Details(Vec<(String, String)>, Vec<TransitionRow>),
}

pub(super) struct AttemptRow {
    pub(super) number: u32,
    pub(super) log_address: String,
    pub(super) view: StateView,
    pub(super) word: String,
    pub(super) started_at: Timestamp,
    pub(super) duration: String,
    pub(super) cpu_time: String,
    pub(super) memory: String,
    /// How its program ended, in words.
    pub(super) ending: String,
    pub(super) process: String,
    pub(super) message: String,
}

pub(super) struct XcomRow {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) at: Timestamp,
}

pub(super) struct TransitionRow {
    pub(super) at: Timestamp,
    pub(super) attempt: u32,
    pub(super) from: StateView,
    pub(super) to: StateView,
    pub(super) message: String,
}

const VIEWS: [(&str, &str); 5] = [
    ("log", "log"),
    ("attempts", "attempts"),
    ("rendered", "rendered"),
    ("xcom", "xcom"),
    ("details", "details"),
];

pub(super) async fn panel(
    orchestrator: &Orchestrator,
    page: &Page,
    dag: &Dag,
    run_address: &str,
    instance: &TaskInstance,
    all: &[TaskInstance],
) -> Result<TaskPanel, Error> {
    let id = instance.instance_id().to_string();
    let named = page.parameter("view").unwrap_or_default();
    let current = VIEWS
        .into_iter()
        .map(|(name, _)| name)
        .find(|name| *name == named)
        .unwrap_or("log");
    let waiting = orchestrator.waiting(instance).await?;
    let mut version = format!("{current}/{id}");
    let part = match current {
        "attempts" => Part::Attempts(attempts(orchestrator, page, instance).await?),
        "rendered" => Part::Rendered(rendered(orchestrator, instance).await?),
        "xcom" => Part::Xcom(xcoms(orchestrator, instance).await?),
        "details" => {
            let transitions = orchestrator
                .transitions(&instance.dag_id, &instance.run_id)
                .await?;
            Part::Details(facts(page, dag, instance), history(&transitions, &id))
        }
        _ => {
            let log = log::view(orchestrator, page, run_address, instance).await?;
            // A log that somebody follows grows by itself and is not drawn again.
            version = format!(
                "{version}/{}/{}",
                log.as_ref().map_or(0, |log| log.attempt),
                instance.state
            );
            Part::Log(log)
        }
    };
    if !matches!(part, Part::Log(_)) {
        version.clear();
    }
    let task = encode(&id);
    let place = all.iter().position(|other| other.id == instance.id);
    let beside = |step: isize| {
        let other = all.get(place?.checked_add_signed(step)?)?;
        Some(task_address(page, &other.instance_id().to_string()))
    };
    Ok(TaskPanel {
        map_label: instance.map_label.clone().unwrap_or_default(),
        view: StateView::of(instance.state.as_str()),
        version,
        clear_address: format!("{run_address}/clear?task={task}"),
        mark_address: format!("{run_address}/mark?task={task}"),
        links: waiting
            .as_ref()
            .map_or_else(Vec::new, |waiting| waiting::links(page, waiting)),
        waiting: waiting.map_or_else(String::new, |waiting| waiting::words(page, &waiting)),
        error: match instance.state.is_failure() {
            true => instance.message.clone().unwrap_or_default(),
            false => String::new(),
        },
        tabs: VIEWS
            .into_iter()
            .map(|(name, word)| Tab {
                label: page.t(word),
                address: page.with2("task", &id, "view", if name == "log" { "" } else { name }),
                is_current: name == current,
                count: None,
            })
            .collect(),
        part,
        previous: beside(-1),
        next: beside(1),
        id,
    })
}

async fn attempts(
    orchestrator: &Orchestrator,
    page: &Page,
    instance: &TaskInstance,
) -> Result<Vec<AttemptRow>, Error> {
    let mut attempts = orchestrator.attempts(instance).await?;
    attempts.reverse();
    let id = instance.instance_id().to_string();
    Ok(attempts
        .iter()
        .map(|attempt| attempt_row(page, &id, attempt))
        .collect())
}

fn attempt_row(page: &Page, id: &str, attempt: &Attempt) -> AttemptRow {
    let end = attempt.ended_at.unwrap_or(page.now());
    let took = end.as_millis().saturating_sub(attempt.started_at.as_millis());
    let (state, word) = match attempt.state {
        AttemptState::Running => ("running", "state-running"),
        AttemptState::Success => ("success", "state-success"),
        AttemptState::Failed => ("failed", "state-failed"),
        AttemptState::Skipped => ("skipped", "state-skipped"),
        AttemptState::Lost => ("failed", "attempt-lost"),
        AttemptState::Stopped => ("killed", "attempt-stopped"),
        AttemptState::Rescheduled => ("up_for_reschedule", "attempt-rescheduled"),
    };
    AttemptRow {
        number: attempt.number,
        log_address: page.at(&[("task", id), ("attempt", &attempt.number.to_string())]),
        view: StateView::of(state),
        word: page.t(word),
        started_at: attempt.started_at,
        duration: format::duration(took),
        cpu_time: attempt.cpu_time.map_or_else(|| "–".to_owned(), span_of),
        ending: ending(page, attempt),
        memory: attempt
            .peak_memory_bytes
            .map_or_else(|| "–".to_owned(), format::bytes),
        process: attempt
            .process_id
            .map_or_else(|| "–".to_owned(), |process| process.to_string()),
        message: attempt.message.clone().unwrap_or_default(),
    }
}

/// Says how the program of an attempt ended, where that is known.
fn ending(page: &Page, attempt: &Attempt) -> String {
    let memory = attempt.peak_memory_bytes.map(format::bytes);
    match (attempt.exit_signal, attempt.exit_status, memory) {
        (Some(signal), _, Some(memory)) => page.text_with(
            "attempt-signal-memory",
            &[("signal", &signal_name(signal)), ("memory", &memory)],
        ),
        (Some(signal), _, None) => page.t1("attempt-signal", "signal", &signal_name(signal)),
        (None, Some(status), _) => page.t1("attempt-status", "status", &status.to_string()),
        (None, None, _) => String::new(),
    }
}

/// Writes the number of a signal with the name that most systems give it.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        _ => return signal.to_string(),
    };
    format!("{signal} ({name})")
}

/// Returns the arguments by name, or why they cannot be rendered.
async fn rendered(
    orchestrator: &Orchestrator,
    instance: &TaskInstance,
) -> Result<Result<Vec<(String, String)>, String>, Error> {
    let rendered = orchestrator.rendered(instance).await?;
    Ok(rendered.map(|arguments| match arguments {
        Value::Object(arguments) => arguments
            .into_iter()
            .map(|(name, value)| (name, written(&value)))
            .collect(),
        other => vec![(String::new(), written(&other))],
    }))
}

async fn xcoms(orchestrator: &Orchestrator, instance: &TaskInstance) -> Result<Vec<XcomRow>, Error> {
    let xcoms = orchestrator.xcoms(instance).await?;
    Ok(xcoms
        .into_iter()
        .map(|xcom| XcomRow {
            value: written(&xcom.value),
            key: xcom.key,
            at: xcom.at,
        })
        .collect())
}

/// Writes a value for people: a text as it is, anything else as JSON on several lines.
pub(super) fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    }
}

fn facts(page: &Page, dag: &Dag, instance: &TaskInstance) -> Vec<(String, String)> {
    let instant = |at: Option<Timestamp>| {
        at.map_or_else(|| "–".to_owned(), |at| format!("{} UTC", format::instant(at)))
    };
    let task = dag.task(&instance.task_id);
    let rule = task.map(|task| serde_json::json!(task.trigger_rule));
    let rule = rule.and_then(|rule| rule.as_str().map(str::to_owned));
    let timeout = task.and_then(|task| task.execution_timeout).map(span_of);
    let map_values = instance.map_values.as_ref().map(ToString::to_string);
    let facts = [
        ("operator", Some(instance.operator.clone())),
        ("fact-map", map_values),
        (
            "needs",
            task.map(|task| task.needs.join(", "))
                .filter(|needs| !needs.is_empty()),
        ),
        ("fact-rule", rule),
        (
            "fact-pool",
            Some(format!("{} × {}", instance.pool, instance.pool_slots)),
        ),
        ("fact-queue", Some(instance.queue.clone())),
        ("fact-weight", Some(instance.priority_weight.to_string())),
        (
            "fact-retries",
            Some(format!("{} / {}", instance.failures, instance.retries)),
        ),
        ("fact-task-timeout", timeout),
        ("fact-queued-at", Some(instant(instance.queued_at))),
        ("started", Some(instant(instance.started_at))),
        ("fact-ended-at", Some(instant(instance.ended_at))),
        ("fact-message", instance.message.clone()),
    ];
    facts
        .into_iter()
        .filter_map(|(key, value)| Some((page.t(key), value?)))
        .collect()
}

/// Returns what happened to one instance, newest first.
fn history(transitions: &[Transition], id: &str) -> Vec<TransitionRow> {
    let own = transitions.iter().rev().filter_map(|transition| {
        let (task, attempt) = transition.task.as_ref()?;
        (task == id).then_some((transition, *attempt))
    });
    own.map(|(transition, attempt)| TransitionRow {
        at: transition.at,
        attempt,
        from: StateView::of(&transition.from),
        to: StateView::of(&transition.to),
        message: transition.message.clone().unwrap_or_default(),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_numbers_and_most_have_names() {
        for (signal, expected) in [(9, "9 (SIGKILL)"), (15, "15 (SIGTERM)"), (40, "40")] {
            assert_eq!(signal_name(signal), expected);
        }
    }
}
