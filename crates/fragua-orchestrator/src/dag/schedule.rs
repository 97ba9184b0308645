//! When a DAG runs: the schedule's grammar, and the instants that follow from it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use fragua_base::Timestamp;
use jiff::Zoned;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::duration::parse_duration;
use crate::NextRun;

/// When a DAG runs by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Schedule {
    /// Never; only when triggered.
    None,
    /// One time, at the start date.
    Once,
    /// As soon as the run before is over.
    Continuous,
    /// At the ticks of one or several cron expressions, in the DAG's time zone.
    Cron(Box<CronSchedule>),
    /// At equal distances, counted from the start date.
    Every(Duration),
}

/// Cron expressions with the text they came from, in which `|` stands between them.
#[derive(Debug, Clone)]
pub struct CronSchedule {
    text: String,
    crons: Vec<Cron>,
}

impl PartialEq for CronSchedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// A text that is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a schedule{reason}")]
pub struct InvalidSchedule {
    text: String,
    reason: String,
}

impl InvalidSchedule {
    fn new(text: &str, reason: impl fmt::Display) -> Self {
        Self {
            text: text.to_owned(),
            reason: format!(": {reason}"),
        }
    }
}

const PRESETS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@quarterly", "0 0 1 */3 *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

impl FromStr for Schedule {
    type Err = InvalidSchedule;

    fn from_str(text: &str) -> Result<Self, InvalidSchedule> {
        let text = text.trim();
        match text {
            "none" | "null" | "" => return Ok(Self::None),
            "@once" => return Ok(Self::Once),
            "@continuous" => return Ok(Self::Continuous),
            _ => {}
        }
        if let Some(interval) = text.strip_prefix("every ") {
            let interval = parse_duration(interval).map_err(|error| InvalidSchedule::new(text, error))?;
            if interval < Duration::from_secs(1) {
                return Err(InvalidSchedule::new(
                    text,
                    "the interval must be at least one second",
                ));
            }
            return Ok(Self::Every(interval));
        }
        let crons = text.split('|').map(|part| parse_cron(text, part.trim()));
        let cron = CronSchedule {
            text: text.to_owned(),
            crons: crons.collect::<Result<_, _>>()?,
        };
        Ok(Self::Cron(Box::new(cron)))
    }
}

/// Reads one cron expression, or a preset that stands for one, of a schedule.
fn parse_cron(text: &str, part: &str) -> Result<Cron, InvalidSchedule> {
    let preset = PRESETS.iter().find(|(name, _)| *name == part);
    if preset.is_none() && part.starts_with('@') {
        let known: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
        return Err(InvalidSchedule::new(
            text,
            format!("the presets are @once, @continuous, {}", known.join(", ")),
        ));
    }
    let expression = preset.map_or(part, |(_, expression)| expression);
    if expression.split_whitespace().count() != 5 {
        return Err(InvalidSchedule::new(
            text,
            "write a preset such as @daily, five cron fields such as `30 6 * * 1-5`, an interval such as `every 5m`, or none",
        ));
    }
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build();
    parser
        .parse(expression)
        .map_err(|_| InvalidSchedule::new(text, what_is_wrong(&parser, expression)))
}

/// The fields of a cron expression, and what they take.
const CRON_FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31, or L for the last"),
    ("month", "1 to 12, or JAN to DEC"),
    (
        "day of the week",
        "0 to 7, where 0 and 7 are Sunday, or SUN to SAT",
    ),
];

/// Names the field of a cron expression that cannot be read.
fn what_is_wrong(parser: &CronParser, expression: &str) -> String {
    let fields: Vec<&str> = expression.split_whitespace().collect();
    for (place, (name, takes)) in CRON_FIELDS.iter().enumerate() {
        let mut alone = ["*"; 5];
        alone[place] = fields[place];
        if parser.parse(&alone.join(" ")).is_err() {
            return format!(
                "the {name} {:?} is not {takes}, with * , - and / as in cron",
                fields[place]
            );
        }
    }
    "these fields make no date together".to_owned()
}

impl TryFrom<String> for Schedule {
    type Error = InvalidSchedule;

    fn try_from(text: String) -> Result<Self, InvalidSchedule> {
        text.parse()
    }
}

impl From<Schedule> for String {
    fn from(schedule: Schedule) -> Self {
        schedule.to_string()
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => formatter.write_str("none"),
            Self::Once => formatter.write_str("@once"),
            Self::Continuous => formatter.write_str("@continuous"),
            Self::Cron(cron) => formatter.write_str(&cron.text),
            Self::Every(interval) => write!(formatter, "every {}", super::duration::Written(*interval)),
        }
    }
}

/// What a tick of a schedule means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ticks {
    /// A run covers the stretch between two ticks, is named after its start, and is due at its end.
    #[default]
    DataInterval,
    /// A run is due at a tick, is named after it, and covers no time.
    Trigger,
}

/// A schedule with the dates and the zone it holds in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timetable {
    /// When.
    pub schedule: Schedule,
    /// The IANA name of the zone cron expressions are read in.
    pub timezone: String,
    /// No interval starts before it.
    pub start_date: Option<Timestamp>,
    /// No interval starts after it.
    pub end_date: Option<Timestamp>,
    /// What a tick means.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub ticks: Ticks,
}

impl Timetable {
    /// Returns the next interval to run after those up to `last_end`, due or not. Without `catchup` the intervals
    /// that ended before the newest complete one are passed over.
    pub fn next(&self, last_end: Option<Timestamp>, catchup: bool, now: Timestamp) -> Option<NextRun> {
        let earliest = self.start_date.max(last_end);
        let (start, end) = match self.schedule {
            Schedule::None => return None,
            Schedule::Once => {
                let at = self.start_date.unwrap_or(now);
                if last_end.is_some() {
                    return None;
                }
                (at, at)
            }
            Schedule::Continuous => {
                // Two runs of the same millisecond would have the same name.
                let start = earliest.unwrap_or(Timestamp::from_millis(now.as_millis() - 1));
                (start, now.max(Timestamp::from_millis(start.as_millis() + 1)))
            }
            _ if self.ticks == Ticks::Trigger => {
                let tick = match earliest.filter(|_| catchup) {
                    None => {
                        let newest = self.tick_at_or_before(now)?;
                        match earliest.filter(|earliest| newest < *earliest) {
                            Some(earliest) => self.tick_at_or_after(earliest)?,
                            None => newest,
                        }
                    }
                    Some(earliest) => self.tick_at_or_after(earliest)?,
                };
                let tick = match last_end.filter(|last_end| tick <= *last_end) {
                    Some(last_end) => self.tick_after(last_end)?,
                    None => tick,
                };
                (tick, tick)
            }
            _ => {
                let from = if catchup { earliest } else { None };
                let from = match from {
                    Some(from) => from,
                    None => self
                        .newest_complete_start(now)?
                        .max(earliest.unwrap_or(Timestamp::from_millis(i64::MIN))),
                };
                let start = self.tick_at_or_after(from)?;
                (start, self.tick_after(start)?)
            }
        };
        if self.end_date.is_some_and(|end_date| start > end_date) {
            return None;
        }
        Some(NextRun {
            data_interval_start: start,
            data_interval_end: end,
            run_after: end,
        })
    }

    /// Returns the intervals whose logical dates lie between two instants, both included, up to `most` of them; nothing
    /// where the schedule has no ticks. The dates of the timetable itself do not count.
    pub fn between(&self, from: Timestamp, to: Timestamp, most: usize) -> Option<Vec<NextRun>> {
        if !self.has_ticks() {
            return None;
        }
        let mut intervals = Vec::new();
        let mut tick = self.tick_at_or_after(from);
        while let Some(start) = tick.filter(|start| *start <= to && intervals.len() < most) {
            tick = self.tick_after(start);
            let end = match self.ticks {
                Ticks::DataInterval => tick.unwrap_or(start),
                Ticks::Trigger => start,
            };
            intervals.push(NextRun {
                data_interval_start: start,
                data_interval_end: end,
                run_after: end,
            });
        }
        Some(intervals)
    }

    /// Returns whether it has ticks by the clock.
    pub fn has_ticks(&self) -> bool {
        matches!(self.schedule, Schedule::Cron(_) | Schedule::Every(_))
    }

    /// Returns the tick before an instant; nothing where the schedule has no ticks.
    pub fn date_before(&self, instant: Timestamp) -> Option<Timestamp> {
        self.tick_at_or_before(Timestamp::from_millis(instant.as_millis() - 1))
    }

    /// Returns the interval of a run asked for by hand at `instant`: the newest complete one of the schedule, or the
    /// instant itself where the schedule has no intervals.
    pub fn manual_interval(&self, instant: Timestamp) -> (Timestamp, Timestamp) {
        let complete = match (&self.schedule, self.ticks) {
            (Schedule::Every(interval), Ticks::Trigger) => {
                let interval = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
                let start = instant.as_millis().saturating_sub(interval);
                return (Timestamp::from_millis(start), instant);
            }
            (Schedule::Cron(_) | Schedule::Every(_), Ticks::DataInterval) => {
                self.newest_complete_start(instant)
            }
            _ => None,
        };
        let interval = complete.and_then(|start| Some((start, self.tick_after(start)?)));
        interval.unwrap_or((instant, instant))
    }

    /// Returns the zone, UTC where its name is not known to this machine any more.
    fn zone(&self) -> TimeZone {
        TimeZone::get(&self.timezone).unwrap_or(TimeZone::UTC)
    }

    fn newest_complete_start(&self, now: Timestamp) -> Option<Timestamp> {
        let end = self.tick_at_or_before(now)?;
        self.tick_at_or_before(Timestamp::from_millis(end.as_millis() - 1))
    }

    fn tick_at_or_after(&self, instant: Timestamp) -> Option<Timestamp> {
        match &self.schedule {
            Schedule::None | Schedule::Once | Schedule::Continuous => None,
            Schedule::Every(interval) => Some(self.step(instant, *interval, true)),
            Schedule::Cron(cron) => {
                // Cron ticks stand on whole seconds: a fraction belongs to the second after it. The search begins one
                // second earlier, because a tick that a clock change moved is found only from before the change.
                let seconds =
                    instant.as_millis().div_euclid(1000) + i64::from(instant.as_millis() % 1000 != 0);
                let second = self.zoned_second(seconds - 1)?;
                let ticks = cron.crons.iter().filter_map(|cron| {
                    cron.find_next_occurrence(&second, false)
                        .ok()
                        .and_then(instant_of)
                });
                ticks.min()
            }
        }
    }

    fn tick_after(&self, instant: Timestamp) -> Option<Timestamp> {
        self.tick_at_or_after(Timestamp::from_millis(instant.as_millis() + 1))
    }

    fn tick_at_or_before(&self, instant: Timestamp) -> Option<Timestamp> {
        match &self.schedule {
            Schedule::None | Schedule::Once | Schedule::Continuous => None,
            Schedule::Every(interval) => Some(self.step(instant, *interval, false)),
            Schedule::Cron(cron) => {
                let seconds = instant.as_millis().div_euclid(1000);
                let second = self.zoned_second(seconds)?;
                let ticks = cron.crons.iter().filter_map(|cron| {
                    cron.find_previous_occurrence(&second, true)
                        .ok()
                        .and_then(instant_of)
                });
                let mut tick = ticks.max()?;
                // Backwards a tick that a clock change moved is passed over; forwards it is found.
                while let Some(next) = self.tick_after(tick).filter(|next| *next <= instant) {
                    tick = next;
                }
                Some(tick)
            }
        }
    }

    fn zoned_second(&self, seconds: i64) -> Option<Zoned> {
        Some(jiff::Timestamp::from_second(seconds).ok()?.to_zoned(self.zone()))
    }

    /// Returns the tick at or before `instant`, or at or after it, of steps counted from the start date.
    fn step(&self, instant: Timestamp, interval: Duration, round_up: bool) -> Timestamp {
        let anchor = self.start_date.unwrap_or_default().as_millis();
        let step = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
        let distance = instant.as_millis().saturating_sub(anchor);
        let whole = distance.div_euclid(step);
        let count = if round_up && distance.rem_euclid(step) != 0 {
            whole + 1
        } else {
            whole
        };
        Timestamp::from_millis(anchor.saturating_add(count.saturating_mul(step)))
    }
}

fn instant_of(zoned: Zoned) -> Option<Timestamp> {
    Some(Timestamp::from_millis(zoned.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests;
