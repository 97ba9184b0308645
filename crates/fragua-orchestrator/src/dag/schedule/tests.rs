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
        ticks: Ticks::DataInterval,
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
    check("@dayly", "the presets are @once, @continuous, @hourly, @daily");
    check("daily", "write a preset such as @daily");
    check("* * * * * *", "five cron fields");
    check("61 * * * *", "the minute \"61\" is not 0 to 59");
    check("0 6 * * MUN", "the day of the week \"MUN\" is not 0 to 7");
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

#[test]
fn several_cron_expressions_tick_together() {
    let several = timetable(
        "0 6 * * * | 30 18 * * 5 | @weekly",
        "Europe/Madrid",
        "2025-04-04",
        None,
    );
    let expected = [
        "2025-04-04T04:00:00Z",
        "2025-04-04T16:30:00Z",
        "2025-04-05T04:00:00Z",
        "2025-04-05T22:00:00Z",
        "2025-04-06T04:00:00Z",
    ];
    assert_eq!(starts(&several, 5), expected);
    let next = several.next(None, false, at("2025-04-05T23:00:00Z")).unwrap();
    assert_eq!(next.data_interval_start, at("2025-04-05T04:00:00Z"));
    assert_eq!(
        several.date_before(at("2025-04-05T04:00:00Z")),
        Some(at("2025-04-04T16:30:00Z"))
    );
    for wrong in [
        "0 6 * * * |",
        "0 6 * * * | often",
        "@daily | every 5m",
        "@once | @daily",
    ] {
        assert!(wrong.parse::<Schedule>().is_err(), "{wrong}");
    }
}

fn triggered(schedule: &str, start: &str) -> Timetable {
    Timetable {
        ticks: Ticks::Trigger,
        ..timetable(schedule, "UTC", start, None)
    }
}

#[test]
fn a_trigger_timetable_runs_at_its_ticks() {
    let check = |last: Option<&str>, catchup: bool, now: &str, expected: &str| {
        let next = triggered("0 6 * * *", "2025-04-02")
            .next(last.map(at), catchup, at(now))
            .unwrap();
        assert_eq!(next.run_after.to_rfc3339(), expected, "{last:?} {catchup} {now}");
        assert_eq!(next.data_interval_start, next.run_after);
        assert_eq!(next.data_interval_end, next.run_after);
    };
    check(None, true, "2025-04-10", "2025-04-02T06:00:00Z");
    check(
        Some("2025-04-02T06:00:00Z"),
        true,
        "2025-04-10",
        "2025-04-03T06:00:00Z",
    );
    check(None, false, "2025-04-10", "2025-04-09T06:00:00Z");
    check(None, false, "2025-04-01", "2025-04-02T06:00:00Z");
    check(
        Some("2025-04-09T06:00:00Z"),
        false,
        "2025-04-10",
        "2025-04-10T06:00:00Z",
    );
    let by_hand = triggered("every 6h", "2025-04-02").manual_interval(at("2025-04-10"));
    assert_eq!(by_hand, (at("2025-04-09T18:00:00Z"), at("2025-04-10")));
}

#[test]
fn a_range_has_the_ticks_between_its_ends() {
    let dates = |timetable: &Timetable, from: &str, to: &str| -> Vec<String> {
        let intervals = timetable.between(at(from), at(to), 1000).unwrap();
        intervals
            .iter()
            .map(|next| next.data_interval_start.to_rfc3339())
            .collect()
    };
    let daily = timetable("@daily", "UTC", "2025-04-02", None);
    assert_eq!(
        dates(&daily, "2025-03-30", "2025-03-31"),
        ["2025-03-30T00:00:00Z", "2025-03-31T00:00:00Z"]
    );
    let every = timetable("every 6h", "UTC", "2025-04-02T01:00:00Z", None);
    assert_eq!(
        dates(&every, "2025-04-01", "2025-04-01T08:00:00Z"),
        ["2025-04-01T01:00:00Z", "2025-04-01T07:00:00Z"]
    );
    assert_eq!(dates(&daily, "2025-04-02", "2025-04-01"), Vec::<String>::new());
    assert_eq!(
        daily
            .between(at("2025-01-01"), at("2025-12-31"), 7)
            .unwrap()
            .len(),
        7
    );
    assert_eq!(
        timetable("@once", "UTC", "2025-04-02", None).between(at("2025-01-01"), at("2025-12-31"), 7),
        None
    );
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    fn field(least: u32, most: u32) -> impl Strategy<Value = String> {
        prop_oneof![
            3 => Just("*".to_owned()),
            3 => (least..=most).prop_map(|number| number.to_string()),
            1 => (1..=most).prop_map(|step| format!("*/{step}")),
            1 => (least..=most, least..=most)
                .prop_map(|(one, other)| format!("{}-{}", one.min(other), one.max(other))),
            1 => proptest::collection::btree_set(least..=most, 2..4).prop_map(|numbers| {
                numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
            }),
        ]
    }

    /// Any expression that has a tick each year: no 30th of February.
    fn cron() -> impl Strategy<Value = String> {
        (
            field(0, 59),
            field(0, 23),
            field(1, 28),
            field(1, 12),
            field(0, 6),
        )
            .prop_map(|(minute, hour, day, month, weekday)| {
                format!("{minute} {hour} {day} {month} {weekday}")
            })
    }

    fn zone() -> impl Strategy<Value = &'static str> {
        prop_oneof![
            Just("UTC"),
            Just("Europe/Madrid"),
            Just("America/New_York"),
            Just("Australia/Lord_Howe"),
            Just("Asia/Kathmandu"),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Intervals follow each other without a gap, over any change of the clock, and each is due at its end.
        #[test]
        fn intervals_follow_each_other(cron in cron(), zone in zone(), days in 0_i64..700) {
            let start = Timestamp::from_millis(1_735_689_600_000 + days * 86_400_000);
            let timetable = Timetable { start_date: Some(start), ..timetable(&cron, zone, "", None) };
            let mut last: Option<NextRun> = None;
            for _ in 0..30 {
                let end = last.map(|last| last.data_interval_end);
                let next = timetable.next(end, true, at("2040-01-01"));
                let Some(next) = next else { break };
                prop_assert!(next.data_interval_start >= start);
                prop_assert!(next.data_interval_start < next.data_interval_end);
                prop_assert_eq!(next.run_after, next.data_interval_end);
                if let Some(end) = end {
                    prop_assert_eq!(next.data_interval_start, end, "{}", cron);
                }
                last = Some(next);
            }
        }

        /// A trigger timetable has the ticks that the intervals of the other one begin with.
        #[test]
        fn both_meanings_have_the_same_ticks(cron in cron(), zone in zone()) {
            let start = Some(at("2025-03-01"));
            let intervals = Timetable { start_date: start, ..timetable(&cron, zone, "", None) };
            let ticks = Timetable { ticks: Ticks::Trigger, ..intervals.clone() };
            let (mut end, mut tick) = (None, None);
            for _ in 0..20 {
                let (interval, trigger) =
                    (intervals.next(end, true, at("2040-01-01")), ticks.next(tick, true, at("2040-01-01")));
                let (Some(interval), Some(trigger)) = (interval, trigger) else { break };
                prop_assert_eq!(interval.data_interval_start, trigger.run_after, "{}", cron);
                (end, tick) = (Some(interval.data_interval_end), Some(trigger.run_after));
            }
        }

        /// Without catch-up one run is due at most, and the one after it is not.
        #[test]
        fn without_catch_up_one_run_is_due(cron in cron(), zone in zone(), trigger: bool, hours in 0_i64..9000) {
            let ticks = if trigger { Ticks::Trigger } else { Ticks::DataInterval };
            let now = Timestamp::from_millis(1_735_689_600_000 + hours * 3_600_000);
            let start_date = Some(at("2020-01-01"));
            let timetable = Timetable { start_date, ticks, ..timetable(&cron, zone, "", None) };
            if let Some(first) = timetable.next(None, false, now) {
                prop_assert!(first.run_after <= now);
                if let Some(second) = timetable.next(Some(first.data_interval_end), false, now) {
                    prop_assert!(second.run_after > now, "{} {} then {}", cron, first, second);
                }
            }
        }
    }
}
