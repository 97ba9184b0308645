//! How numbers, sizes and times are written: the same in every language, but for the mark before the decimals.

use fragua_base::Timestamp;

use crate::text::Language;

tokio::task_local! {
    /// The language of the page that is being made. Figures are written at the bottom of many functions that know nothing
    /// of the page, so it is known to the task.
    static LANGUAGE: Language;
}

/// Makes a page whose figures are written as in this language.
pub(crate) async fn in_language<T>(language: Language, page: impl Future<Output = T>) -> T {
    LANGUAGE.scope(language, page).await
}

/// Writes the decimal mark of the language into a figure.
fn decimal(figure: String) -> String {
    match LANGUAGE.try_get() {
        Ok(Language::Spanish) => figure.replace('.', ","),
        _ => figure,
    }
}

/// Writes a whole number with a narrow space between groups of three digits.
pub(crate) fn integer(number: u64) -> String {
    let digits = number.to_string();
    let mut written = String::with_capacity(digits.len() + digits.len() / 3 * 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            written.push('\u{202f}');
        }
        written.push(digit);
    }
    written
}

/// Writes a measured number: up to six significant digits, no trailing zeros, powers of ten only at the extremes.
pub(crate) fn number(value: f64) -> String {
    if let Some(word) = not_finite(value) {
        return word.to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let size = value.abs();
    if !(1e-4..1e12).contains(&size) {
        return decimal(format!("{value:.3e}"));
    }
    if value.fract() == 0.0 {
        return format!("{value:.0}");
    }
    // The magnitude of a number in this range is a small whole number.
    let digits_before_point = size.log10().floor() as i32 + 1;
    let decimals = usize::try_from(6 - digits_before_point).unwrap_or(0).min(9);
    let written = format!("{value:.decimals$}");
    if !written.contains('.') {
        return written;
    }
    decimal(written.trim_end_matches('0').trim_end_matches('.').to_owned())
}

/// Writes a measured number with this many decimals.
pub(crate) fn fixed(value: f64, decimals: usize) -> String {
    decimal(format!("{value:.decimals$}"))
}

/// Writes a measured number with all its digits, as programs read it.
pub(crate) fn exact(value: f64) -> String {
    not_finite(value).map_or_else(|| value.to_string(), str::to_owned)
}

/// Returns whether a measured value is a number that has a place on an axis.
pub(crate) fn is_finite(value: f64) -> bool {
    not_finite(value).is_none()
}

/// Tracking keeps an infinity as the largest number there is, as MLflow does.
fn not_finite(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("nan")
    } else if value >= f64::MAX {
        Some("inf")
    } else if value <= f64::MIN {
        Some("-inf")
    } else {
        None
    }
}

/// Writes a share of one as a percentage with one decimal.
pub(crate) fn percent(share: f64) -> String {
    format!("{} %", fixed(share * 100.0, 1))
}

/// Writes a size in bytes with the binary unit that leaves at most four digits.
pub(crate) fn bytes(size: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if size < 1024 {
        return format!("{size} B");
    }
    let mut scaled = size as f64 / 1024.0;
    let mut unit = 0;
    while scaled >= 1023.95 && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    format!("{} {}", fixed(scaled, 1), UNITS[unit])
}

/// Writes a time span given in milliseconds with at most two units: `840 ms`, `6.2 s`, `3 m 05 s`, `2 h 10 m`, `4 d 03 h`.
pub(crate) fn duration(millis: i64) -> String {
    let millis = millis.max(0);
    if millis < 1_000 {
        return format!("{millis} ms");
    }
    if millis < 60_000 {
        return decimal(format!("{}.{} s", millis / 1_000, millis % 1_000 / 100));
    }
    let seconds = millis / 1_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if hours == 0 {
        return format!("{minutes} m {:02} s", seconds % 60);
    }
    if days == 0 {
        return format!("{hours} h {:02} m", minutes % 60);
    }
    format!("{days} d {:02} h", hours % 24)
}

/// Writes an instant as `2025-04-02 06:00:00` in UTC.
pub(crate) fn instant(timestamp: Timestamp) -> String {
    let text = timestamp.to_rfc3339();
    let without_fraction = text.split(['.', 'Z']).next().unwrap_or(&text);
    without_fraction.replacen('T', " ", 1)
}

/// Shortens a text to `limit` characters, the last of which is then an ellipsis.
pub(crate) fn shorten(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let kept: String = text.chars().take(limit.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_integers_in_groups() {
        for (number, expected) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1\u{202f}000"),
            (116_202, "116\u{202f}202"),
            (1_234_567, "1\u{202f}234\u{202f}567"),
        ] {
            assert_eq!(integer(number), expected);
        }
    }

    #[test]
    fn writes_measures_with_six_digits() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (0.914_285_714, "0.914286"),
            (0.1, "0.1"),
            (12_345.678_9, "12345.7"),
            (1_234_567.8, "1234568"),
            (-3.5, "-3.5"),
            (0.000_012_3, "1.230e-5"),
            (1e15, "1.000e15"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::MAX, "inf"),
        ] {
            assert_eq!(number(value), expected, "{value}");
        }
    }

    #[test]
    fn writes_sizes_with_binary_units() {
        for (size, expected) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_536, "1.5 KiB"),
            (1_048_575, "1.0 MiB"),
            (5 * 1024 * 1024 * 1024, "5.0 GiB"),
        ] {
            assert_eq!(bytes(size), expected);
        }
    }

    #[test]
    fn writes_time_spans_with_two_units() {
        for (millis, expected) in [
            (-5, "0 ms"),
            (840, "840 ms"),
            (6_250, "6.2 s"),
            (59_999, "59.9 s"),
            (185_000, "3 m 05 s"),
            (7_800_000, "2 h 10 m"),
            (356_400_000, "4 d 03 h"),
        ] {
            assert_eq!(duration(millis), expected);
        }
    }

    #[tokio::test]
    async fn spanish_pages_had_points_before_decimals() {
        let figures = async || {
            [
                number(0.914_285_714),
                percent(0.4921),
                bytes(1_536),
                duration(6_250),
                fixed(0.25, 2),
                exact(0.5),
                integer(100_000),
            ]
        };
        let spanish = in_language(Language::Spanish, figures()).await;
        let expected = [
            "0,914286",
            "49,2 %",
            "1,5 KiB",
            "6,2 s",
            "0,25",
            "0.5",
            "100\u{202f}000",
        ];
        assert_eq!(spanish, expected);
        let english = in_language(Language::English, figures()).await;
        assert_eq!(english[..2], ["0.914286", "49.2 %"]);
    }

    #[test]
    fn writes_instants_without_zone() {
        let instant_of = |text| instant(Timestamp::parse_rfc3339(text).unwrap());
        assert_eq!(instant_of("2025-04-02T06:00:00Z"), "2025-04-02 06:00:00");
        assert_eq!(instant_of("2025-04-02T06:00:00.250Z"), "2025-04-02 06:00:00");
    }

    #[test]
    fn shortens_at_characters_not_bytes() {
        assert_eq!(shorten("ñandú", 5), "ñandú");
        assert_eq!(shorten("ñandúes", 5), "ñand…");
    }
}
