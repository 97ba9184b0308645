//! Parquet files that pyarrow writes are read, and ours are read by pandas.

use crate::python;
use fragua_learn::{Categorical, Cell, Column, MISSING_CODE, ReadOptions, Table, read_table, write_parquet};
use serde_json::{Value, json};
use std::fs::File;

#[test]
fn parquet_goes_to_python_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let words = Categorical::new(vec!["a".into(), "ñ \"b\"".into()], vec![1, MISSING_CODE, 0]).unwrap();
    let ours = Table::new(vec![
        ("number".into(), Column::Numeric(vec![0.1, f64::NAN, -3e38])),
        ("word".into(), Column::Categorical(words)),
    ])
    .unwrap();
    write_parquet(&ours, File::create(folder.path().join("ours.parquet")).unwrap()).unwrap();
    let read: Value = python::run("tables.py", folder.path());
    assert_eq!(read, json!([[0.1, "ñ \"b\""], [null, null], [-3e38, "a"]]));

    let number = Cell::Number;
    let text = |text: &'static str| Cell::Text(text.into());
    for packing in ["none", "snappy", "gzip", "zstd", "lz4"] {
        for version in ["1.0", "2.0"] {
            let path = folder.path().join(format!("{packing}-{version}.parquet"));
            let (table, report) = read_table(&path, &ReadOptions::default()).unwrap();
            assert_eq!((report.rows, report.bad_cells), (3, 0), "{}", path.display());
            let column = |name: &str| -> Vec<Cell<'_>> {
                let place = table.names().iter().position(|known| known == name).unwrap();
                (0..3).map(|row| table.cell(row, place)).collect()
            };
            assert_eq!(column("whole"), [number(1.0), Cell::Missing, number(-3.0)]);
            assert_eq!(column("tiny"), [number(255.0), number(0.0), Cell::Missing]);
            assert_eq!(column("half"), [number(0.5), Cell::Missing, number(1.5)]);
            assert_eq!(column("flag"), [number(1.0), Cell::Missing, number(0.0)]);
            assert_eq!(column("money"), [number(12.34), Cell::Missing, number(-0.01)]);
            assert_eq!(column("word"), [text("a"), Cell::Missing, text("ñ")]);
            assert_eq!(column("view"), [text("x"), text("y"), Cell::Missing]);
            assert_eq!(
                column("day"),
                [text("2026-01-31"), Cell::Missing, text("1969-12-31")]
            );
            assert_eq!(column("at")[0], text("2026-01-31T12:00:00.250"));
            let zoned = &column("zoned")[0];
            assert!(
                matches!(zoned, Cell::Text(text) if text.starts_with("2026-01-31T") && text.ends_with('Z')),
                "{zoned:?}"
            );
            assert_eq!(column("nothing"), [Cell::Missing, Cell::Missing, Cell::Missing]);
        }
    }
}
