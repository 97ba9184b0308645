//! A year of days, each coloured by how its runs ended.

use std::collections::BTreeMap;

use fragua_base::Timestamp;
use fragua_orchestrator::{DagRunState, DagSummary, Orchestrator};

use crate::error::Error;
use crate::page::Page;
use crate::schedule;
use crate::state::StateView;

const DAY: i64 = 86_400_000;
/// The side of a day, with the gap after it.
const STEP: i64 = 15;
/// The place of the weekdays' names, and of the months'.
const LEFT: i64 = 36;
const TOP: i64 = 20;
/// The most runs that are looked ahead for: one every five minutes for a year.
const MOST_PLANNED: usize = 110_000;

pub(super) struct Calendar {
    pub(super) year: i64,
    pub(super) previous: String,
    pub(super) next: String,
    pub(super) days: Vec<Day>,
    pub(super) months: Vec<(i64, String)>,
    pub(super) weekdays: Vec<(i64, String)>,
    pub(super) legend: Vec<StateView>,
    pub(super) width: i64,
    pub(super) runs: u64,
    pub(super) has_planned: bool,
}

pub(super) struct Day {
    pub(super) x: i64,
    pub(super) y: i64,
    pub(super) label: String,
    pub(super) class: String,
    pub(super) is_today: bool,
    /// Where the runs of this day are; nothing where there are none.
    pub(super) address: String,
}

pub(super) async fn calendar(
    orchestrator: &Orchestrator,
    page: &Page,
    summary: &DagSummary,
) -> Result<Calendar, Error> {
    let this_year = schedule::Date::of(page.now()).year;
    let named = page.parameter("year").and_then(|year| year.parse().ok());
    let year: i64 = named
        .filter(|year| (1971..=2200).contains(year))
        .unwrap_or(this_year);
    let (from, to) = (first_of(year), first_of(year + 1));
    let tallies = orchestrator.run_days(&summary.dag.dag_id, from, to).await?;
    let mut by_day: BTreeMap<i64, BTreeMap<&'static str, u64>> = BTreeMap::new();
    let mut runs = 0;
    for tally in tallies {
        runs += tally.runs;
        let day = by_day.entry(tally.day.as_millis()).or_default();
        *day.entry(tally.state.as_str()).or_default() += tally.runs;
    }
    let planned = planned(summary, page.now(), to);
    let mut legend: Vec<StateView> = Vec::new();
    let mut days = Vec::new();
    let mut months = Vec::new();
    let weekday_of_first = weekday(from);
    let today = page.now().as_millis().div_euclid(DAY) * DAY;
    let mut has_planned = false;
    for (index, start) in (from.as_millis()..to.as_millis())
        .step_by(DAY as usize)
        .enumerate()
    {
        let at = Timestamp::from_millis(start);
        let place = index as i64 + weekday_of_first;
        let (x, y) = (LEFT + place / 7 * STEP, TOP + place % 7 * STEP);
        let date = schedule::Date::of(at);
        if date.day == 1 {
            months.push((x, page.t(format!("month-short-{}", date.month))));
        }
        let states = by_day.get(&start);
        let shown = states.map(|states| StateView::of(worst(states)));
        if let Some(view) = shown.filter(|view| !legend.contains(view)) {
            legend.push(view);
        }
        let is_planned = states.is_none() && planned.contains_key(&start);
        has_planned |= is_planned;
        let what = match (states, is_planned) {
            (Some(states), _) => counts(page, states),
            (None, true) => page.tn("calendar-planned", &planned[&start]),
            (None, false) => page.t("calendar-nothing"),
        };
        days.push(Day {
            x,
            y,
            label: format!("{} · {what}", schedule::day(at, page.language())),
            class: match (shown, is_planned) {
                (Some(view), _) => view.class(),
                (None, true) => "is-planned".to_owned(),
                (None, false) => "is-empty".to_owned(),
            },
            is_today: start == today,
            address: match states {
                Some(_) => page.at(&[("tab", "runs"), ("day", &date.to_string())]),
                None => String::new(),
            },
        });
    }
    let weeks = (days.len() as i64 + weekday_of_first + 6) / 7;
    Ok(Calendar {
        year,
        previous: page.with("year", &(year - 1).to_string()),
        next: page.with("year", &(year + 1).to_string()),
        days,
        months,
        weekdays: [0, 2, 4]
            .into_iter()
            .map(|weekday| {
                let name = page.t(format!("weekday-short-{weekday}"));
                (TOP + weekday * STEP + 10, name)
            })
            .collect(),
        legend,
        width: LEFT + weeks * STEP,
        runs,
        has_planned,
    })
}

/// Returns how many runs the schedule will make on each day that is still to come.
fn planned(summary: &DagSummary, now: Timestamp, to: Timestamp) -> BTreeMap<i64, u64> {
    let timetable = &summary.dag.timetable;
    let last = timetable.end_date.map_or(to, |end| end.min(to));
    let first = summary
        .next_run
        .map_or(now, |next| next.data_interval_start)
        .max(timetable.start_date.unwrap_or(now));
    let mut planned = BTreeMap::new();
    if summary.is_paused || !summary.is_active || first >= last {
        return planned;
    }
    let intervals = timetable.between(first, last, MOST_PLANNED);
    for interval in intervals.unwrap_or_default() {
        let start = interval.data_interval_start.as_millis();
        *planned.entry(start - start.rem_euclid(DAY)).or_default() += 1;
    }
    planned
}

/// Returns the state of a day that deserves most notice.
fn worst(states: &BTreeMap<&'static str, u64>) -> &'static str {
    let order = [
        DagRunState::Failed,
        DagRunState::Running,
        DagRunState::Queued,
        DagRunState::Success,
    ];
    let found = order.into_iter().map(DagRunState::as_str);
    found
        .into_iter()
        .find(|state| states.contains_key(state))
        .unwrap_or_default()
}

fn counts(page: &Page, states: &BTreeMap<&'static str, u64>) -> String {
    let counts: Vec<String> = states
        .iter()
        .map(|(state, count)| format!("{}: {count}", page.t(StateView::of(state).text_key())))
        .collect();
    counts.join(", ")
}

fn first_of(year: i64) -> Timestamp {
    let written = format!("{year:04}-01-01T00:00:00Z");
    Timestamp::parse_rfc3339(&written).unwrap_or_default()
}

/// Returns 0 for Monday to 6 for Sunday. The first day of all was a Thursday.
fn weekday(at: Timestamp) -> i64 {
    (at.as_millis().div_euclid(DAY) + 3).rem_euclid(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_begins_on_its_weekday() {
        for (year, expected) in [(1970, 3), (2024, 0), (2025, 2), (2026, 3)] {
            assert_eq!(weekday(first_of(year)), expected, "{year}");
        }
    }

    #[test]
    fn of_a_day_the_worst_is_shown() {
        let states = BTreeMap::from([("success", 20), ("failed", 1)]);
        assert_eq!(worst(&states), "failed");
        assert_eq!(
            worst(&BTreeMap::from([("success", 2), ("running", 1)])),
            "running"
        );
    }
}
