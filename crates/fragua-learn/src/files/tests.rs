use super::*;
use crate::{Categorical, Cell, Column, write_csv};
use proptest::prelude::*;
use std::io::Write as _;

fn reading(format: Format, on_bad_cell: OnBadCell) -> ReadOptions {
    ReadOptions {
        format: Some(format),
        on_bad_cell,
        ..ReadOptions::default()
    }
}

fn typed(format: Format, on_bad_cell: OnBadCell, kinds: &[(&str, ColumnKind)]) -> ReadOptions {
    let kinds = kinds.iter().map(|(name, kind)| ((*name).to_owned(), *kind));
    ReadOptions {
        kinds: Some(kinds.collect()),
        ..reading(format, on_bad_cell)
    }
}

fn table(rows: usize) -> Table {
    let numbers = (0..rows).map(|row| if row % 5 == 1 { f64::NAN } else { row as f64 / 3.0 });
    let codes = (0..rows).map(|row| {
        if row % 7 == 2 {
            crate::MISSING_CODE
        } else {
            (row % 3) as u32
        }
    });
    let words = ["ash", "el\"m, ñ", "oak\n"].map(str::to_owned).to_vec();
    Table::new(vec![
        ("n".into(), Column::Numeric(numbers.collect())),
        (
            "w".into(),
            Column::Categorical(Categorical::new(words, codes.collect()).unwrap()),
        ),
    ])
    .unwrap()
}

fn cells(table: &Table) -> Vec<Vec<Cell<'_>>> {
    let row = |row| {
        (0..table.names().len())
            .map(|column| table.cell(row, column))
            .collect()
    };
    (0..table.row_count()).map(row).collect()
}

fn parquet(table: &Table) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_parquet(table, &mut bytes).unwrap();
    bytes
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    // More than one batch of rows.
    let table = table(20_000);
    let path = folder.path().join("rows.parquet");
    write_parquet(&table, File::create(&path).unwrap()).unwrap();
    let (read, report) = read_table(&path, &ReadOptions::default()).unwrap();
    assert_eq!(cells(&read), cells(&table));
    assert_eq!((report.rows, report.bad_cells), (20_000, 0));
    // CSV is read without the space at the ends of texts.
    let trimmed = |table: &Table| format!("{:?}", cells(table)).replace("\\n", "");
    let path = folder.path().join("rows.csv.gz");
    let mut packer = flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
    write_csv(&table, &mut packer).unwrap();
    packer.finish().unwrap().flush().unwrap();
    let (read, _) = read_table(&path, &ReadOptions::default()).unwrap();
    assert_eq!(trimmed(&read), trimmed(&table));
}

#[test]
fn formats_follow_the_name() {
    let of = |name: &str| Format::of(Path::new(name));
    assert_eq!(of("a/b.PARQUET"), Format::Parquet);
    assert_eq!(
        (of("b.jsonl.gz"), of("b.ndjson")),
        (Format::JsonLines, Format::JsonLines)
    );
    assert_eq!(
        (of("b.csv"), of("b.csv.gz"), of("b")),
        (Format::Csv, Format::Csv, Format::Csv)
    );
}

#[test]
fn a_json_object_is_a_row_and_its_keys_are_columns() {
    let text = "\u{feff}{\"a\": 1, \"b\": \"x\"}\n\n{\"c\": true, \"b\": null}\r\n{\"a\": -2.5, \"b\": \"\", \"c\": false}";
    let (table, report) = read_bytes(text, &reading(Format::JsonLines, OnBadCell::Refuse)).unwrap();
    assert_eq!(table.names(), ["a", "b", "c"]);
    assert_eq!(
        cells(&table),
        [
            [Cell::Number(1.0), Cell::Text("x".into()), Cell::Missing],
            [Cell::Missing, Cell::Missing, Cell::Number(1.0)],
            [Cell::Number(-2.5), Cell::Missing, Cell::Number(0.0)],
        ]
    );
    assert_eq!(report.rows, 3);
    let kinds = [("c", ColumnKind::Numeric), ("a", ColumnKind::Numeric)];
    let (table, _) = read_bytes(text, &typed(Format::JsonLines, OnBadCell::Refuse, &kinds)).unwrap();
    assert_eq!(table.names(), ["c", "a"]);
    let missing = [("a", ColumnKind::Numeric), ("z", ColumnKind::Numeric)];
    let error = read_bytes(text, &typed(Format::JsonLines, OnBadCell::Refuse, &missing)).unwrap_err();
    assert_eq!(error.to_string(), "column `z` is not in the table; it has: a");
}

/// Each format with a cell, and a row where the format can have one, that cannot be read.
#[test]
fn bad_cells_are_refused_taken_for_missing_or_left_out_with_their_row() {
    let kinds = [("n", ColumnKind::Numeric), ("w", ColumnKind::Categorical)];
    let csv = "w,n\nx,1\ny,oops\nz,3\nv,1e99\n";
    let lines = "{\"w\":\"x\",\"n\":1}\n{\"w\":\"y\",\"n\":\"oops\"}\n{\"w\":\"z\",\"n\":3}\n{\"w\":\"v\",\"n\":[4]}\n";
    for (format, text) in [(Format::Csv, csv), (Format::JsonLines, lines)] {
        let error = read_bytes(text, &typed(format, OnBadCell::Refuse, &kinds)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "row 2, column `n`: expected a number, got the text \"oops\""
        );
        let (table, report) = read_bytes(text, &typed(format, OnBadCell::Null, &kinds)).unwrap();
        assert_eq!(
            (table.cell(1, 0), table.cell(1, 1)),
            (Cell::Missing, Cell::Text("y".into()))
        );
        assert_eq!((report.rows, report.skipped_rows, report.bad_cells), (4, 0, 2));
        assert_eq!(
            (report.first[1].row, report.first[1].column.as_deref()),
            (4, Some("n"))
        );
        let (table, report) = read_bytes(text, &typed(format, OnBadCell::Skip, &kinds)).unwrap();
        assert_eq!((table.row_count(), table.cell(1, 0)), (2, Cell::Number(3.0)));
        assert_eq!((report.rows, report.skipped_rows, report.bad_cells), (2, 2, 2));
    }
    for (format, text, wrong) in [
        (Format::Csv, "n\n1\n2,2\n3\n", "row 2: 2 fields, the header has 1"),
        (
            Format::JsonLines,
            "{\"n\":1}\n[2]\n{\"n\":3}\n",
            "row 2: expected a JSON object: ",
        ),
    ] {
        for policy in [OnBadCell::Refuse, OnBadCell::Null] {
            let error = read_bytes(text, &reading(format, policy))
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(wrong), "{error}");
        }
        let (table, report) = read_bytes(text, &reading(format, OnBadCell::Skip)).unwrap();
        assert_eq!((table.row_count(), table.cell(1, 0)), (2, Cell::Number(3.0)));
        assert_eq!(
            (report.skipped_rows, report.first[0].column.as_deref()),
            (1, None)
        );
    }
    // Where kinds are found, a number may still be too large.
    let (table, report) = read_bytes("n\n1\ninf\n3\n", &reading(Format::Csv, OnBadCell::Skip)).unwrap();
    assert_eq!(
        (table.row_count(), report.skipped_rows, report.first[0].row),
        (2, 1, 2)
    );
}

#[test]
fn the_first_twenty_bad_cells_are_kept_and_all_are_counted() {
    let text = String::from("n\n") + &"x\n".repeat(50);
    let options = typed(Format::Csv, OnBadCell::Null, &[("n", ColumnKind::Numeric)]);
    let (_, report) = read_bytes(text, &options).unwrap();
    assert_eq!((report.bad_cells, report.first.len(), report.rows), (50, 20, 50));
}

mod of_parquet {
    use super::*;
    use ::parquet::arrow::ArrowWriter;
    use arrow_array::builder::{Int32Builder, ListBuilder};
    use arrow_array::*;
    use arrow_schema::{DataType, TimeUnit};
    use std::sync::Arc;

    fn written(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, array)| (name, array, true)),
        )
        .unwrap();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        bytes
    }

    #[test]
    fn all_flat_types_are_numbers_or_texts() {
        let second = 1_769_860_800_i64;
        let dictionary: DictionaryArray<types::Int8Type> = [Some("a"), None].into_iter().collect();
        let bytes = written(vec![
            ("flag", Arc::new(BooleanArray::from(vec![Some(true), None]))),
            ("tiny", Arc::new(Int8Array::from(vec![Some(-7), None]))),
            ("large", Arc::new(UInt64Array::from(vec![Some(1 << 40), None]))),
            ("single", Arc::new(Float32Array::from(vec![Some(0.5), None]))),
            (
                "money",
                Arc::new(
                    Decimal128Array::from(vec![Some(12_345), None])
                        .with_precision_and_scale(9, 2)
                        .unwrap(),
                ),
            ),
            ("word", Arc::new(dictionary)),
            ("long", Arc::new(LargeStringArray::from(vec![Some("b"), None]))),
            ("day", Arc::new(Date32Array::from(vec![Some(20_484), None]))),
            (
                "at",
                Arc::new(TimestampMicrosecondArray::from(vec![
                    Some(second * 1_000_000),
                    None,
                ])),
            ),
            (
                "at_utc",
                Arc::new(
                    TimestampMillisecondArray::from(vec![Some(second * 1_000), None])
                        .with_timezone("Europe/Madrid"),
                ),
            ),
            (
                "time",
                Arc::new(Time32MillisecondArray::from(vec![Some(3_600_000), None])),
            ),
            ("nothing", new_null_array(&DataType::Int16, 2)),
        ]);
        let (table, _) = read_bytes(bytes, &reading(Format::Parquet, OnBadCell::Refuse)).unwrap();
        let text = |text: &'static str| Cell::Text(text.into());
        assert_eq!(
            cells(&table)[0],
            [
                Cell::Number(1.0),
                Cell::Number(-7.0),
                Cell::Number(f64::from(2u32).powi(40)),
                Cell::Number(0.5),
                Cell::Number(123.45),
                text("a"),
                text("b"),
                text("2026-01-31"),
                text("2026-01-31T12:00:00"),
                text("2026-01-31T12:00:00Z"),
                text("01:00:00"),
                Cell::Missing,
            ]
        );
        assert!(cells(&table)[1].iter().all(|cell| *cell == Cell::Missing));
    }

    #[test]
    fn nested_columns_and_bytes_are_refused_by_name_unless_they_are_not_asked_for() {
        let mut lists = ListBuilder::new(Int32Builder::new());
        lists.values().append_value(1);
        lists.append(true);
        let bytes = written(vec![
            ("lists", Arc::new(lists.finish())),
            ("raw", Arc::new(BinaryArray::from(vec![&b"x"[..]]))),
            ("n", Arc::new(Int32Array::from(vec![4]))),
        ]);
        let error = read_bytes(bytes.clone(), &reading(Format::Parquet, OnBadCell::Refuse)).unwrap_err();
        assert!(
            error.to_string().starts_with("column `lists` is nested: "),
            "{error}"
        );
        let ask = |name, kind| {
            let options = typed(Format::Parquet, OnBadCell::Refuse, &[(name, kind)]);
            read_bytes(bytes.clone(), &options).map(|(table, _)| table)
        };
        let error = ask("raw", ColumnKind::Categorical).unwrap_err();
        assert!(
            error.to_string().starts_with("column `raw` cannot be read: "),
            "{error}"
        );
        assert_eq!(
            ask("n", ColumnKind::Numeric).unwrap().cell(0, 0),
            Cell::Number(4.0)
        );
        let error = ask("n", ColumnKind::Categorical).unwrap_err();
        assert_eq!(
            error.to_string(),
            "row 1, column `n`: expected a text, got the number 4"
        );
        assert!(matches!(
            ask("z", ColumnKind::Numeric),
            Err(Error::MissingColumn { .. })
        ));
    }

    #[test]
    fn columns_come_in_the_order_they_are_asked_for() {
        let bytes = parquet(&table(10));
        let kinds = [("w", ColumnKind::Categorical), ("n", ColumnKind::Numeric)];
        let (read, _) = read_bytes(bytes, &typed(Format::Parquet, OnBadCell::Refuse, &kinds)).unwrap();
        assert_eq!(read.names(), ["w", "n"]);
        assert_eq!(read.cell(3, 1), Cell::Number(1.0));
    }

    #[test]
    fn dates_that_no_calendar_has_are_bad_cells() {
        let bytes = written(vec![(
            "day",
            Arc::new(Date32Array::from(vec![Some(20_484), Some(i32::MAX)])) as ArrayRef,
        )]);
        let error = read_bytes(bytes.clone(), &reading(Format::Parquet, OnBadCell::Refuse)).unwrap_err();
        assert!(error.to_string().starts_with("row 2, column `day`: "), "{error}");
        let (read, report) = read_bytes(bytes, &reading(Format::Parquet, OnBadCell::Null)).unwrap();
        assert_eq!((read.cell(1, 0), report.bad_cells), (Cell::Missing, 1));
    }

    #[test]
    fn timestamps_of_other_units_are_read() {
        let nanos = TimestampNanosecondArray::from(vec![1_769_860_800_500_000_000]);
        assert_eq!(
            nanos.data_type(),
            &DataType::Timestamp(TimeUnit::Nanosecond, None)
        );
        let bytes = written(vec![("at", Arc::new(nanos) as ArrayRef)]);
        let (read, _) = read_bytes(bytes, &reading(Format::Parquet, OnBadCell::Refuse)).unwrap();
        assert_eq!(read.cell(0, 0), Cell::Text("2026-01-31T12:00:00.500".into()));
    }
}

#[test]
fn files_that_unpack_to_too_much_or_end_early_are_refused() {
    let small = |format| ReadOptions {
        max_bytes: 1_000,
        ..reading(format, OnBadCell::Skip)
    };
    let text = String::from("n\n") + &"1\n".repeat(1_000);
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(text.as_bytes()).unwrap();
    let packed = packer.finish().unwrap();
    assert!(packed.len() < 1_000);
    let error = read_bytes(packed.clone(), &small(Format::Csv))
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("the rows unpack to more bytes than are allowed"),
        "{error}"
    );
    let cut = &packed[..packed.len() - 9];
    assert!(read_bytes(cut.to_vec(), &reading(Format::Csv, OnBadCell::Skip)).is_err());
    let bytes = parquet(&table(1_000));
    let error = read_bytes(bytes.clone(), &small(Format::Parquet))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("1000 rows unpack to more than the 1000 bytes allowed"),
        "{error}"
    );
    for length in (0..bytes.len()).step_by(97) {
        let cut = bytes[..length].to_vec();
        assert!(
            read_bytes(cut, &reading(Format::Parquet, OnBadCell::Skip)).is_err(),
            "{length} bytes"
        );
    }
    let missing = read_table(Path::new("/nonexistent/rows.parquet"), &ReadOptions::default());
    assert!(matches!(missing, Err(Error::Io { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_parquet_files_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)
    ) {
        let mut bytes = parquet(&table(50));
        for (position, value) in changes {
            let position = position.index(bytes.len());
            bytes[position] = value;
        }
        let _ = read_bytes(bytes, &reading(Format::Parquet, OnBadCell::Null));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[{}\\[\\]\":,a-c0-9.\\-\\n\\r eE]{0,80}", policy in 0usize..3) {
        let policy = [OnBadCell::Refuse, OnBadCell::Null, OnBadCell::Skip][policy];
        for format in [Format::Csv, Format::JsonLines] {
            if let Ok((table, report)) = read_bytes(text.clone(), &reading(format, policy)) {
                prop_assert_eq!(table.row_count(), report.rows);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for format in [Format::Csv, Format::JsonLines, Format::Parquet] {
            let _ = read_bytes(bytes.clone(), &reading(format, OnBadCell::Skip));
        }
    }
}
