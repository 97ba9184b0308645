//! The second look at a DAG: what each key means together with the others.

use std::collections::{BTreeMap, BTreeSet};

use super::node::Document;
use super::parse::Faults;
use super::{Dag, Schedule, Timetable};

pub(crate) fn timetable(timetable: &Timetable, catchup: bool, max_active_runs: u32, faults: &mut Faults<'_>) {
    if let (Some(start), Some(end)) = (timetable.start_date, timetable.end_date)
        && start > end
    {
        faults.add("/end_date", "end_date is before start_date", None);
    }
    if timetable.schedule == Schedule::Continuous && max_active_runs != 1 {
        let hint = "add max_active_runs: 1".to_owned();
        faults.add("/schedule", "@continuous lets one run follow another", Some(hint));
    }
    if catchup && timetable.start_date.is_none() && timetable.schedule != Schedule::None {
        faults.add(
            "/catchup",
            "catchup needs a start_date to begin at",
            Some("add start_date".to_owned()),
        );
    }
}

pub(crate) fn dag(
    dag: &Dag,
    places: &BTreeMap<String, Vec<String>>,
    all_known: bool,
    document: &Document,
    faults: &mut Faults<'_>,
) {
    let place = |task_id: &str, key: &str| {
        let pointer = places.get(task_id).and_then(|pointers| pointers.first());
        format!("{}{key}", pointer.map_or("", String::as_str))
    };
    duplicate_tasks(places, document, faults);
    for task in &dag.tasks {
        if task.operator == "wait"
            && task.arguments.get("dag").and_then(|dag| dag.as_str()) == Some(&dag.dag_id)
        {
            faults.add(
                &place(&task.task_id, "/wait"),
                "a DAG cannot wait for itself",
                None,
            );
        }
    }
    if all_known && let Some(cycle) = find_cycle(dag) {
        let pointer = place(cycle[0], "/needs");
        let hint = "remove one of these from needs".to_owned();
        faults.add(
            &pointer,
            format!("the tasks need each other in a circle: {}", cycle.join(" → ")),
            Some(hint),
        );
    }
    let required: Vec<&str> = dag
        .params
        .iter()
        .filter(|(_, param)| param.required)
        .map(|(name, _)| name.as_str())
        .collect();
    if !required.is_empty() && dag.timetable.schedule != Schedule::None {
        let hint = "set schedule: none, or give the parameter a default".to_owned();
        let message = format!(
            "nobody gives {} to a run that the schedule starts",
            required.join(", ")
        );
        faults.add(&format!("/params/{}", required[0]), message, Some(hint));
    }
}

fn duplicate_tasks(places: &BTreeMap<String, Vec<String>>, document: &Document, faults: &mut Faults<'_>) {
    for (task_id, pointers) in places {
        let first = document.place(&pointers[0]).map_or(1, |place| place.line);
        for pointer in &pointers[1..] {
            let message = format!("there is another task {task_id:?}, in line {first}");
            let hint = "give one of them another id".to_owned();
            let key = ["id", "group"].into_iter().map(|key| format!("{pointer}/{key}"));
            let place = key
                .into_iter()
                .find(|place| document.value.pointer(place).is_some());
            faults.add(place.as_ref().unwrap_or(pointer), message, Some(hint));
        }
    }
}

/// Returns the tasks of one circle, the first one again at the end.
fn find_cycle(dag: &Dag) -> Option<Vec<&str>> {
    let needs: BTreeMap<&str, &Vec<String>> = dag
        .tasks
        .iter()
        .map(|task| (task.task_id.as_str(), &task.needs))
        .collect();
    // Taking away what needs nothing that is left ends at the circles, and at what needs them.
    let mut left: BTreeSet<&str> = needs.keys().copied().collect();
    loop {
        let free: Vec<&str> = left
            .iter()
            .filter(|task_id| needs[*task_id].iter().all(|need| !left.contains(need.as_str())))
            .copied()
            .collect();
        if free.is_empty() {
            break;
        }
        left.retain(|task_id| !free.contains(task_id));
    }
    // Each task left needs another one left, so following needs must come back to where it was.
    let mut walk = vec![*left.first()?];
    loop {
        let here = walk[walk.len() - 1];
        let next = needs[here]
            .iter()
            .map(String::as_str)
            .find(|need| left.contains(need))?;
        if let Some(start) = walk.iter().position(|task_id| *task_id == next) {
            let mut cycle = walk.split_off(start);
            cycle.reverse();
            let first = cycle[0];
            cycle.push(first);
            return Some(cycle);
        }
        walk.push(next);
    }
}
