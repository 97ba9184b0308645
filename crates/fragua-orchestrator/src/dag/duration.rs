//! Durations as people write them: `90s`, `5m`, `1h30m`, `2d`, `1.5s`, or a number of seconds.

use std::fmt;
use std::time::Duration;

const UNITS: [(&str, u64); 6] = [
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("ms", 1),
    ("m", 60_000),
    ("s", 1000),
];

/// The longest duration accepted: a hundred years.
const LONGEST_MILLIS: f64 = 100.0 * 366.0 * 86_400_000.0;

pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let fault = || format!("{text:?} is not a duration such as 90s, 5m, 1h30m or 2d");
    let mut rest = text.trim();
    if let Ok(seconds) = rest.parse::<f64>() {
        return from_millis(seconds * 1000.0).ok_or_else(fault);
    }
    let mut millis = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .find(|character: char| !character.is_ascii_digit() && character != '.')
            .ok_or_else(fault)?;
        let count: f64 = rest[..digits].parse().map_err(|_| fault())?;
        rest = rest[digits..].trim_start();
        let unit_length = rest
            .find(|character: char| !character.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let unit = UNITS
            .iter()
            .find(|(name, _)| *name == &rest[..unit_length])
            .ok_or_else(fault)?;
        millis += count * unit.1 as f64;
        rest = rest[unit_length..].trim_start();
    }
    if text.trim().is_empty() {
        return Err(fault());
    }
    from_millis(millis).ok_or_else(fault)
}

fn from_millis(millis: f64) -> Option<Duration> {
    (0.0..=LONGEST_MILLIS)
        .contains(&millis)
        .then(|| Duration::from_millis(millis.round() as u64))
}

/// Writes a duration the way [`parse_duration`] reads it, the largest units first.
pub(crate) struct Written(pub(crate) Duration);

impl fmt::Display for Written {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return formatter.write_str("0s");
        }
        for (name, size) in [
            ("d", 86_400_000),
            ("h", 3_600_000),
            ("m", 60_000),
            ("s", 1000),
            ("ms", 1),
        ] {
            if rest >= size {
                write!(formatter, "{}{name}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        let check = |text: &str, millis: u64, written: &str| {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration, Duration::from_millis(millis), "{text}");
            assert_eq!(Written(duration).to_string(), written);
        };
        check("6", 6000, "6s");
        check("0.25", 250, "250ms");
        check("90s", 90_000, "1m30s");
        check(" 1h 30m ", 5_400_000, "1h30m");
        check("2d", 172_800_000, "2d");
        check("1w", 604_800_000, "7d");
        check("1.5s", 1500, "1s500ms");
        check("0s", 0, "0s");
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "m", "5 minutes", "-5s", "1e300", "5x", "1h30", "nan", "inf"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
