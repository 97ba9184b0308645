//! Parts of the dates and times that texts hold, as numbers.

use super::numeric::NumericColumn;
use crate::Error;
use crate::config::{CategoricalConfig, DatePart, NumericConfig, NumericImputer};
use crate::table::{Categorical, shorten};
use jiff::civil::Time;
use jiff::fmt::temporal::Pieces;

/// One part of a column of dates.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DateColumn {
    pub(crate) part: DatePart,
    pub(crate) numeric: NumericColumn,
}

impl DateColumn {
    /// Learns how each part that is asked for is filled where the date is missing.
    pub(crate) fn fit(
        name: &str,
        column: &Categorical,
        config: &CategoricalConfig,
        numbers: &NumericConfig,
    ) -> Result<Vec<Self>, Error> {
        if let Some(text) = column.dictionary().iter().enumerate().find_map(|(code, text)| {
            let is_used = || column.codes().contains(&(code as u32));
            (read(text).is_none() && is_used()).then_some(text)
        }) {
            return Err(Error::Data(format!(
                "column `{name}` is encoded as dates, but {:?} is none; expected texts such as 2026-01-31 or 2026-01-31T12:30:00",
                shorten(text)
            )));
        }
        let mut numbers = numbers.clone();
        if numbers.imputer == NumericImputer::Knn {
            numbers.imputer = NumericImputer::Median;
        }
        let part = |&part: &DatePart| {
            let values: Vec<f64> = of_rows(column, part).map(f64::from).collect();
            let numeric = NumericColumn::fit(&values, &numbers);
            Self { part, numeric }
        };
        let parts = config.parts.as_deref().unwrap_or(&DatePart::ALL);
        Ok(parts.iter().map(part).collect())
    }

    /// A text that is no date is missing.
    pub(crate) fn encode<'a>(&self, source: &Categorical, target: impl Iterator<Item = &'a mut f32>) {
        for (slot, value) in target.zip(of_rows(source, self.part)) {
            *slot = self.filled(value);
        }
    }

    /// The number of one text.
    pub(crate) fn value(&self, text: Option<&str>) -> f32 {
        self.filled(text.map_or(f32::NAN, |text| self.part.of_text(text)))
    }

    fn filled(&self, value: f32) -> f32 {
        match self.numeric.fill {
            Some(fill) if value.is_nan() => fill,
            _ => value,
        }
    }
}

/// A part of the date in each row, NaN where there is none.
fn of_rows(column: &Categorical, part: DatePart) -> impl Iterator<Item = f32> + '_ {
    let of_texts: Vec<f32> = (column.dictionary().iter())
        .map(|text| part.of_text(text))
        .collect();
    let value = move |&code: &u32| of_texts.get(code as usize).copied().unwrap_or(f32::NAN);
    column.codes().iter().map(value)
}

/// Reads a date, with or without a time, as the clock there showed it.
fn read(text: &str) -> Option<jiff::civil::DateTime> {
    let pieces = Pieces::parse(text.trim()).ok()?;
    Some(
        pieces
            .date()
            .to_datetime(pieces.time().unwrap_or(Time::midnight())),
    )
}

impl DatePart {
    /// All parts, in their order.
    pub(crate) const ALL: [Self; 7] = [
        Self::Year,
        Self::Month,
        Self::Day,
        Self::Weekday,
        Self::DayOfYear,
        Self::Hour,
        Self::Minute,
    ];

    /// NaN of a text that is no date.
    fn of_text(self, text: &str) -> f32 {
        read(text).map_or(f32::NAN, |date| self.of(&date))
    }

    fn of(self, date: &jiff::civil::DateTime) -> f32 {
        f32::from(match self {
            Self::Year => date.year(),
            Self::Month => date.month().into(),
            Self::Day => date.day().into(),
            Self::Weekday => date.weekday().to_monday_zero_offset().into(),
            Self::DayOfYear => date.day_of_year(),
            Self::Hour => date.hour().into(),
            Self::Minute => date.minute().into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::MISSING_CODE;

    fn column(texts: &[&str]) -> Categorical {
        let dictionary = texts.iter().map(|text| (*text).to_owned()).collect();
        let codes = (0..texts.len() as u32).chain([MISSING_CODE]).collect();
        Categorical::new(dictionary, codes).unwrap()
    }

    /// `pandas.Timestamp(…)`: year, month, day, dayofweek, dayofyear, hour, minute.
    #[test]
    fn parts_are_those_of_pandas() {
        let check = |text: &str, expected: [f32; 7]| {
            let date = read(text).unwrap();
            assert_eq!(DatePart::ALL.map(|part| part.of(&date)), expected, "{text}");
        };
        check("2026-01-31", [2026.0, 1.0, 31.0, 5.0, 31.0, 0.0, 0.0]);
        check(
            "2024-12-31T23:59:58",
            [2024.0, 12.0, 31.0, 1.0, 366.0, 23.0, 59.0],
        );
        check(
            "1969-03-01 07:05:00.250Z",
            [1969.0, 3.0, 1.0, 5.0, 60.0, 7.0, 5.0],
        );
        check(
            "2026-07-06T00:30+02:00",
            [2026.0, 7.0, 6.0, 0.0, 187.0, 0.0, 30.0],
        );
        for text in ["", "31.01.2026", "2026-02-30", "2026-01-31T25:00", "yesterday"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn missing_and_unreadable_dates_are_filled_as_numbers_are() {
        let config = CategoricalConfig {
            parts: Some(vec![DatePart::Month]),
            ..CategoricalConfig::default()
        };
        let learned = column(&["2026-01-31", "2026-04-01", "2026-09-01"]);
        let fitted = DateColumn::fit("when", &learned, &config, &NumericConfig::default()).unwrap();
        assert_eq!(fitted.len(), 1);
        let mut values = [0.0; 3];
        fitted[0].encode(&column(&["2026-12-01", "soon"]), values.iter_mut());
        assert_eq!(values, [12.0, 4.0, 4.0]);
        let error = DateColumn::fit("when", &column(&["soon"]), &config, &NumericConfig::default());
        assert!(
            error
                .unwrap_err()
                .to_string()
                .starts_with("column `when` is encoded as dates, but \"soon\" is none")
        );
    }
}
