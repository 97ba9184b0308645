use super::*;

fn at(text: &str) -> Timestamp {
    let text = if text.contains('T') {
        text.to_owned()
    } else {
        format!("{text}T00:00:00Z")
    };
    Timestamp::parse_rfc3339(&text).unwrap()
}

fn timetable(schedule: &str, timezone: &str, start: &str, end: Option<&str>) -> Timetable {
    Timetable {
        schedule: schedule.parse().unwrap(),
        timezone: timezone.to_owned(),
        start_date: (!start.is_empty()).then(|| at(start)),
        end_date: end.map(at),
    }
}

/// The starts of the first intervals that catch-up makes.
fn starts(timetable: &Timetable, count: usize) -> Vec<String> {
    let mut last_end = None;
    let mut starts = Vec::new();
    while let Some(next) = timetable
        .next(last_end, true, at("2030-01-01"))
        .filter(|_| starts.len() < count)
    {
        assert_eq!(next.run_after, next.data_interval_end);
        starts.push(next.data_interval_start.to_rfc3339());
        last_end = Some(next.data_interval_end);
    }
    starts
}

#[test]
fn catchup_runs_each_interval_until_the_end_date() {
    let ten_days = timetable("@daily", "UTC", "2025-04-02", Some("2025-04-11"));
    let made = starts(&ten_days, 20);
    assert_eq!(made.len(), 10);
    assert_eq!(made.first().unwrap(), "2025-04-02T00:00:00Z");
    assert_eq!(made.last().unwrap(), "2025-04-11T00:00:00Z");
}

#[test]
fn an_interval_is_due_at_its_end() {
    let check = |schedule: &str, expected: &str| {
        let next = timetable(schedule, "UTC", "2025-04-02", None)
            .next(None, true, at("2025-04-02"))
            .unwrap();
        assert_eq!(next.to_string(), expected, "{schedule}");
    };
    check("@daily", "covers 2025-04-02, runs 2025-04-03 00:00 UTC");
    check(
        "@hourly",
        "covers 2025-04-02 00:00 to 2025-04-02 01:00, runs 2025-04-02 01:00 UTC",
    );
    check(
        "30 6 * * 1-5",
        "covers 2025-04-02 06:30 to 2025-04-03 06:30, runs 2025-04-03 06:30 UTC",
    );
    check(
        "@monthly",
        "covers 2025-05-01 00:00 to 2025-06-01 00:00, runs 2025-06-01 00:00 UTC",
    );
    check(
        "@quarterly",
        "covers 2025-07-01 00:00 to 2025-10-01 00:00, runs 2025-10-01 00:00 UTC",
    );
    check(
        "every 90s",
        "covers 2025-04-02 00:00 to 2025-04-02 00:01:30, runs 2025-04-02 00:01:30 UTC",
    );
    check("@once", "stands at 2025-04-02 00:00, runs 2025-04-02 00:00 UTC");
}

#[test]
fn without_catchup_only_the_newest_complete_interval_is_made() {
    let daily = timetable("@daily", "UTC", "2025-04-02", None);
    let check = |last_end: Option<&str>, now: &str, expected: &str| {
        let next = daily.next(last_end.map(at), false, at(now)).unwrap();
        assert_eq!(
            next.data_interval_start,
            at(expected),
            "after {last_end:?} at {now}"
        );
    };
    check(None, "2025-06-10T12:00:00Z", "2025-06-09");
    check(None, "2025-04-01", "2025-04-02");
    check(Some("2025-06-10"), "2025-06-10T12:00:00Z", "2025-06-10");
    check(Some("2025-04-05"), "2025-06-10T12:00:00Z", "2025-06-09");
    let no_start = timetable("@daily", "UTC", "", None);
    assert_eq!(
        no_start
            .next(None, false, at("2025-06-10T12:00:00Z"))
            .unwrap()
            .data_interval_start,
        at("2025-06-09")
    );
}

#[test]
fn none_and_once_stop_by_themselves() {
    assert_eq!(
        timetable("none", "UTC", "2025-04-02", None).next(None, true, at("2026-01-01")),
        None
    );
    let once = timetable("@once", "UTC", "2025-04-02", None);
    assert_eq!(once.next(Some(at("2025-04-02")), true, at("2026-01-01")), None);
}

#[test]
fn a_schedule_that_changed_goes_on_after_what_ran() {
    let hourly = timetable("@hourly", "UTC", "2025-04-02", None);
    let next = hourly
        .next(Some(at("2025-04-05T00:30:00Z")), true, at("2025-05-01"))
        .unwrap();
    assert_eq!(next.data_interval_start, at("2025-04-05T01:00:00Z"));
}

#[test]
fn intervals_are_counted_from_the_start_date() {
    let five = timetable("every 7m", "UTC", "2025-04-02T00:03:00Z", None);
    assert_eq!(
        starts(&five, 3),
        [
            "2025-04-02T00:03:00Z",
            "2025-04-02T00:10:00Z",
            "2025-04-02T00:17:00Z"
        ]
    );
    assert_eq!(
        five.manual_interval(at("2025-04-02T00:18:00Z")),
        (at("2025-04-02T00:10:00Z"), at("2025-04-02T00:17:00Z"))
    );
}

#[test]
fn a_day_follows_the_wall_clock_through_both_changes() {
    let madrid = timetable("@daily", "Europe/Madrid", "2026-03-27T23:00:00Z", None);
    assert_eq!(
        starts(&madrid, 3),
        [
            "2026-03-27T23:00:00Z",
            "2026-03-28T23:00:00Z",
            "2026-03-29T22:00:00Z"
        ],
        "the day of the spring change has 23 hours"
    );
    let madrid = timetable("@daily", "Europe/Madrid", "2026-10-23T22:00:00Z", None);
    assert_eq!(
        starts(&madrid, 3),
        [
            "2026-10-23T22:00:00Z",
            "2026-10-24T22:00:00Z",
            "2026-10-25T23:00:00Z"
        ],
        "the day of the autumn change has 25 hours"
    );
}

#[test]
fn a_time_that_a_change_skips_or_repeats_happens_once() {
    // 02:30 does not exist on 2026-03-29 and exists twice on 2026-10-25.
    let spring = timetable("30 2 * * *", "Europe/Madrid", "2026-03-28T00:00:00Z", None);
    assert_eq!(
        starts(&spring, 3),
        [
            "2026-03-28T01:30:00Z",
            "2026-03-29T01:00:00Z",
            "2026-03-30T00:30:00Z"
        ]
    );
    let autumn = timetable("30 2 * * *", "Europe/Madrid", "2026-10-24T00:00:00Z", None);
    assert_eq!(
        starts(&autumn, 3),
        [
            "2026-10-24T00:30:00Z",
            "2026-10-25T00:30:00Z",
            "2026-10-26T01:30:00Z"
        ]
    );
}

#[test]
fn the_newest_complete_interval_is_found_across_a_change() {
    let spring = timetable("30 2 * * *", "Europe/Madrid", "", None);
    let check = |now: &str, start: &str, end: &str| {
        assert_eq!(spring.manual_interval(at(now)), (at(start), at(end)), "at {now}");
    };
    check(
        "2026-03-29T12:00:00Z",
        "2026-03-28T01:30:00Z",
        "2026-03-29T01:00:00Z",
    );
    check(
        "2026-03-30T12:00:00Z",
        "2026-03-29T01:00:00Z",
        "2026-03-30T00:30:00Z",
    );
    check(
        "2026-10-25T12:00:00Z",
        "2026-10-24T00:30:00Z",
        "2026-10-25T00:30:00Z",
    );
}

#[test]
fn a_manual_run_covers_the_newest_complete_interval() {
    let daily = timetable("@daily", "UTC", "2025-04-02", None);
    assert_eq!(
        daily.manual_interval(at("2025-04-09T10:00:00Z")),
        (at("2025-04-08"), at("2025-04-09"))
    );
    let none = timetable("none", "UTC", "", None);
    let now = at("2025-04-09T10:00:00Z");
    assert_eq!(none.manual_interval(now), (now, now));
}

#[test]
fn what_is_no_schedule_is_refused_with_the_forms() {
    let check = |text: &str, expected: &str| {
        let error = text.parse::<Schedule>().unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    };
    check("@dayly", "the presets are @once, @hourly, @daily");
    check("daily", "write a preset such as @daily");
    check("* * * * * *", "five cron fields");
    check("61 * * * *", "is not a schedule");
    check("every", "write a preset");
    check("every 0s", "at least one second");
    check("every fortnight", "5m");
}

#[test]
fn a_schedule_is_written_as_it_was_read() {
    for text in [
        "none",
        "@once",
        "@daily",
        "30 6 * * 1-5",
        "every 5m",
        "every 1h30m",
    ] {
        assert_eq!(text.parse::<Schedule>().unwrap().to_string(), text);
    }
}
