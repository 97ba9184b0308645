//! Schedules in words. What has no short wording is shown as it was written.

use crate::text::Language;

/// Returns a schedule in words, for example `0 6 * * 1` as "Mondays at 06:00". An empty text is no schedule.
pub(crate) fn words(schedule: &str, language: Language) -> String {
    let schedule = schedule.trim();
    let preset = match schedule {
        "" | "@none" | "none" | "None" | "null" => Some("schedule-none"),
        "@once" => Some("schedule-once"),
        "@continuous" => Some("schedule-continuous"),
        "@hourly" => Some("schedule-hourly"),
        "@daily" | "@midnight" => Some("schedule-daily"),
        "@weekly" => Some("schedule-weekly"),
        "@monthly" => Some("schedule-monthly"),
        "@quarterly" => Some("schedule-quarterly"),
        "@yearly" | "@annually" => Some("schedule-yearly"),
        _ => None,
    };
    if let Some(key) = preset {
        return language.text(key);
    }
    every(schedule, language)
        .or_else(|| cron(schedule, language))
        .unwrap_or_else(|| schedule.to_owned())
}

/// Words an interval such as `6h` or `every 15m`.
fn every(schedule: &str, language: Language) -> Option<String> {
    let span = schedule
        .strip_prefix("every ")
        .or_else(|| schedule.strip_prefix("@every "))
        .unwrap_or(schedule)
        .trim();
    let digits = span.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let count: u64 = digits.trim().parse().ok()?;
    let unit = match &span[digits.len()..] {
        "s" | "sec" | "seconds" => "seconds",
        "m" | "min" | "minutes" => "minutes",
        "h" | "hour" | "hours" => "hours",
        "d" | "day" | "days" => "days",
        _ => return None,
    };
    Some(language.text_count(&format!("schedule-every-{unit}"), count))
}

fn cron(schedule: &str, language: Language) -> Option<String> {
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields[..] else {
        return None;
    };
    let is_every_day = day == "*" && month == "*" && weekday == "*";
    if is_every_day && hour == "*" {
        if minute == "*" {
            return Some(language.text_count("schedule-every-minutes", 1));
        }
        if let Some(step) = step(minute) {
            return Some(language.text_count("schedule-every-minutes", step));
        }
        let minute: u8 = minute.parse().ok().filter(|minute| *minute < 60)?;
        if minute == 0 {
            return Some(language.text("schedule-hourly"));
        }
        return Some(language.text_with("schedule-minute", &[("minute", &format!("{minute:02}"))]));
    }
    let minute: u8 = minute.parse().ok().filter(|minute| *minute < 60)?;
    if is_every_day
        && minute == 0
        && let Some(step) = step(hour)
    {
        return Some(language.text_count("schedule-every-hours", step));
    }
    let hour: u8 = hour.parse().ok().filter(|hour| *hour < 24)?;
    let time = format!("{hour:02}:{minute:02}");
    let at = |key: &str, name: &'static str, value: &str| {
        Some(language.text_with(key, &[("time", &time), (name, value)]))
    };
    match (day, month, weekday) {
        ("*", "*", "*") => at("schedule-daily-at", "day", ""),
        ("*", "*", "1-5" | "MON-FRI" | "mon-fri") => at("schedule-workdays-at", "day", ""),
        ("*", "*", weekday) => {
            let name = language.text(&format!("schedule-weekday-{}", weekday_number(weekday)?));
            at("schedule-weekday-at", "day", &name)
        }
        (day, "*", "*") => {
            let day: u8 = day.parse().ok().filter(|day| (1..=31).contains(day))?;
            at("schedule-monthly-at", "day", &day.to_string())
        }
        _ => None,
    }
}

fn step(field: &str) -> Option<u64> {
    field
        .strip_prefix("*/")
        .or_else(|| field.strip_prefix("0/"))?
        .parse()
        .ok()
        .filter(|step| *step > 0)
}

/// Returns 0 for Sunday to 6 for Saturday.
fn weekday_number(field: &str) -> Option<usize> {
    const NAMES: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    if let Ok(number) = field.parse::<usize>() {
        return (number <= 7).then_some(number % 7);
    }
    NAMES.iter().position(|name| field.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_schedules_have_words() {
        for (schedule, english, spanish) in [
            ("", "On demand", "A petición"),
            ("@daily", "Daily at 00:00", "A diario a las 00:00"),
            ("@hourly", "Every hour", "Cada hora"),
            ("6s", "Every 6 seconds", "Cada 6 segundos"),
            ("every 1h", "Every hour", "Cada hora"),
            ("*/15 * * * *", "Every 15 minutes", "Cada 15 minutos"),
            ("0 * * * *", "Every hour", "Cada hora"),
            (
                "20 * * * *",
                "Every hour at minute 20",
                "Cada hora en el minuto 20",
            ),
            ("0 */6 * * *", "Every 6 hours", "Cada 6 horas"),
            ("30 6 * * *", "Daily at 06:30", "A diario a las 06:30"),
            ("0 6 * * 1", "Mondays at 06:00", "Los lunes a las 06:00"),
            ("0 6 * * sun", "Sundays at 06:00", "Los domingos a las 06:00"),
            (
                "0 6 * * 1-5",
                "Monday to Friday at 06:00",
                "De lunes a viernes a las 06:00",
            ),
            (
                "0 6 15 * *",
                "Day 15 of each month at 06:00",
                "El día 15 de cada mes a las 06:00",
            ),
            // No short wording: shown as written.
            ("0 6 1-7 * 1", "0 6 1-7 * 1", "0 6 1-7 * 1"),
            ("99 99 * * *", "99 99 * * *", "99 99 * * *"),
            ("nonsense", "nonsense", "nonsense"),
        ] {
            assert_eq!(words(schedule, Language::English), english, "{schedule}");
            assert_eq!(words(schedule, Language::Spanish), spanish, "{schedule}");
        }
    }
}
