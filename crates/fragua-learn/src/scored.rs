//! A table with what a model answers for it.

use crate::table::{Categorical, Column, Table};
use crate::{Error, Label, Predictions};

impl Predictions {
    /// Returns `table` with the answers as further columns, called as `names` says: the label, then the probability of each
    /// class. A column of the table that has such a name gives way to the answer.
    ///
    /// # Errors
    /// [`Error::Data`] when the table has another number of rows, or `names` are not as many as the answers.
    pub fn beside(&self, table: &Table, names: &[String]) -> Result<Table, Error> {
        let rows = self.labels.len();
        let class_count = self
            .probabilities
            .len()
            .checked_div(rows)
            .unwrap_or(names.len().saturating_sub(1));
        if table.row_count() != rows || names.len() != class_count + 1 {
            return Err(Error::Data(format!(
                "{rows} answers of {} columns do not belong to {} rows and {} names",
                class_count + 1,
                table.row_count(),
                names.len()
            )));
        }
        let kept = table.names().iter().zip(table.columns());
        let mut columns: Vec<(String, Column)> = kept
            .filter(|(name, _)| !names.contains(name))
            .map(|(name, column)| (name.clone(), column.clone()))
            .collect();
        columns.push((names[0].clone(), labels(&self.labels)?));
        for (class, name) in names[1..].iter().enumerate() {
            let shares = (0..rows).map(|row| f64::from(self.probabilities[row * class_count + class]));
            columns.push((name.clone(), Column::Numeric(shares.collect())));
        }
        Table::new(columns)
    }
}

fn labels(labels: &[Label]) -> Result<Column, Error> {
    let number = |label: &Label| match label {
        Label::Integer(number) => Some(*number as f64),
        Label::Number(number) => Some(*number),
        Label::Text(_) => None,
    };
    if let Some(numbers) = labels.iter().map(number).collect() {
        return Ok(Column::Numeric(numbers));
    }
    let mut words: Vec<String> = labels.iter().map(Label::to_string).collect();
    words.sort_unstable();
    words.dedup();
    let code = |label: &Label| {
        let place = words.binary_search(&label.to_string());
        place.expect("every label is among the words") as u32
    };
    let codes = labels.iter().map(code).collect();
    Ok(Column::Categorical(Categorical::new(words, codes)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_stand_beside_their_rows() {
        let table = Table::new(vec![
            ("id".to_owned(), Column::Numeric(vec![1.0, 2.0])),
            ("label".to_owned(), Column::Numeric(vec![0.0, 0.0])),
        ])
        .unwrap();
        let predictions = Predictions {
            labels: vec![Label::Text("b".to_owned()), Label::Text("a".to_owned())],
            probabilities: vec![0.25, 0.75, 1.0, 0.0],
        };
        let names = ["label", "proba_a", "proba_b"].map(str::to_owned);
        let scored = predictions.beside(&table, &names).unwrap();
        assert_eq!(scored.names(), ["id", "label", "proba_a", "proba_b"]);
        let Column::Categorical(labels) = scored.column("label").unwrap() else {
            panic!()
        };
        assert_eq!((labels.text(0), labels.text(1)), (Some("b"), Some("a")));
        let Column::Numeric(shares) = scored.column("proba_b").unwrap() else {
            panic!()
        };
        assert_eq!(shares, &[0.75, 0.0]);
        assert!(predictions.beside(&table, &names[..2]).is_err());
        let one_row = table.select_rows(&[0]);
        assert!(predictions.beside(&one_row, &names).is_err());
    }
}
