use serde_json::json;

use super::*;

fn features() -> Vec<Feature> {
    let feature = |name: &str, data_type| Feature {
        name: name.to_owned(),
        data_type,
        required: true,
        range: None,
        categories: Vec::new(),
        example: Value::Null,
    };
    vec![
        feature("Elevation", DataType::Double),
        feature("Aspect", DataType::Long),
        feature("Area", DataType::Text),
    ]
}

fn row(elevation: f64, aspect: f64, area: &str) -> Row {
    Row(vec![
        Cell::Number(elevation),
        Cell::Number(aspect),
        Cell::Text(area.to_owned()),
    ])
}

fn good(body: Value, expected: &[Row]) {
    let rows = rows_of_json(&features(), body.to_string().as_bytes(), 10);
    assert_eq!(rows.as_deref(), Ok(expected), "{body}");
}

#[derive(Debug, PartialEq)]
enum Code {
    BadRequest,
    MissingColumns,
}

fn bad(body: &str, code: Code, needle: &str) {
    let error = rows_of_json(&features(), body.as_bytes(), 10).unwrap_err();
    refused(&error, code, needle, body);
}

fn refused(error: &FrameError, code: Code, needle: &str, body: &str) {
    let (found, message) = match error {
        FrameError::BadRequest(message) => (Code::BadRequest, message),
        FrameError::MissingColumns(message) => (Code::MissingColumns, message),
        FrameError::TooManyRows(rows) => panic!("{body}: {rows} are too many"),
    };
    assert_eq!(found, code, "{body}: {message}");
    assert!(message.contains(needle), "{body}: {message}");
}

/// Each of these is accepted by MLflow 3.17.2 with these rows.
#[test]
fn every_form_of_a_frame_is_read() {
    let one = [row(1.5, 2.0, "R")];
    let record = json!({ "Elevation": 1.5, "Aspect": 2, "Area": "R" });
    let names = json!(["Elevation", "Aspect", "Area"]);
    good(
        json!({ "dataframe_split": { "columns": names, "data": [[1.5, 2, "R"]] } }),
        &one,
    );
    good(
        json!({ "dataframe_split": { "columns": names, "data": [[1.5, 2, "R"]], "index": [7] } }),
        &one,
    );
    good(
        json!({ "dataframe_split": { "columns": ["Aspect", "x", "Elevation", "Area"], "data": [[2, 0, 1.5, "R"]] } }),
        &one,
    );
    good(
        json!({ "dataframe_split": { "columns": names, "data": [] } }),
        &[],
    );
    good(json!({ "dataframe_records": [record] }), &one);
    good(json!({ "instances": [record] }), &one);
    good(
        json!({ "instances": { "Elevation": [1.5], "Aspect": [2], "Area": ["R"] } }),
        &one,
    );
    good(json!({ "inputs": [record] }), &one);
    good(json!({ "inputs": record }), &one);
    good(
        json!({ "inputs": { "Elevation": [1.5, 2.5], "Aspect": [2, 3], "Area": ["R", "C"], "x": [] } }),
        &[row(1.5, 2.0, "R"), row(2.5, 3.0, "C")],
    );
    good(
        json!({ "inputs": [record], "params": { "a": 1 }, "other": 3 }),
        &one,
    );
}

/// Conversions of pandas under MLflow's schema enforcement.
#[test]
fn values_convert_as_in_pandas() {
    let check = |elevation: Value, aspect: Value, area: Value, expected: Row| {
        good(
            json!({ "dataframe_records": [{ "Elevation": elevation, "Aspect": aspect, "Area": area }] }),
            &[expected],
        );
    };
    check(json!(1), json!(2), json!("R"), row(1.0, 2.0, "R"));
    check(json!("1.5"), json!("2"), json!("R"), row(1.5, 2.0, "R"));
    check(json!(true), json!(true), json!("R"), row(1.0, 1.0, "R"));
    check(json!(1), json!(2.5), json!("R"), row(1.0, 2.0, "R"));
    check(json!(1), json!(-2.5), json!(3), row(1.0, -2.0, "3"));
    let missing = Row(vec![Cell::Missing, Cell::Number(2.0), Cell::Missing]);
    check(json!(null), json!(2), json!(null), missing);
}

#[test]
fn nan_of_pythons_encoder_is_a_missing_value() {
    let body = br#"{"dataframe_records":[{"Elevation":NaN,"Aspect":2,"Area":"NaN \" NaN"}]}"#;
    let rows = rows_of_json(&features(), body, 10);
    let text = Cell::Text("NaN \" NaN".to_owned());
    assert_eq!(rows, Ok(vec![Row(vec![Cell::Missing, Cell::Number(2.0), text])]));
}

#[test]
fn what_is_no_frame_is_refused_with_mlflows_code() {
    use Code::{BadRequest, MissingColumns};
    bad("", BadRequest, "not valid JSON");
    bad("{", BadRequest, "line 1 column 1");
    bad("3", BadRequest, "exactly one of");
    bad("[]", BadRequest, "exactly one of");
    bad("null", BadRequest, "exactly one of");
    bad("{}", BadRequest, "none of them");
    bad(
        r#"{"inputs":[],"instances":[]}"#,
        BadRequest,
        "instances and inputs",
    );
    bad(r#"{"inputs":"abc"}"#, BadRequest, "inputs must be");
    bad(r#"{"dataframe_records":{}}"#, BadRequest, "list of records");
    bad(r#"{"dataframe_split":[1]}"#, BadRequest, "must be an object");
    bad(
        r#"{"dataframe_split":{"columns":["a"]}}"#,
        BadRequest,
        "must have data",
    );
    bad(
        r#"{"dataframe_split":{"data":[],"foo":1}}"#,
        BadRequest,
        "keys data",
    );
    bad(
        r#"{"dataframe_split":{"data":[1],"columns":["a"]}}"#,
        BadRequest,
        "row 0",
    );
    bad(
        r#"{"dataframe_split":{"data":[[1,2]],"columns":["a"]}}"#,
        BadRequest,
        "2 values",
    );
    bad(
        r#"{"dataframe_split":{"data":[[1,2,3]]}}"#,
        MissingColumns,
        "Elevation, Aspect, Area",
    );
    bad(r#"{"dataframe_records":[]}"#, MissingColumns, "Elevation");
    bad(
        r#"{"dataframe_records":[{"Elevation":1}]}"#,
        MissingColumns,
        "Aspect, Area",
    );
    bad(r#"{"instances":[1,2,3]}"#, MissingColumns, "row 0 of instances");
    bad(
        r#"{"inputs":{"Elevation":[1.5]}}"#,
        MissingColumns,
        "Aspect, Area",
    );
    bad(
        r#"{"inputs":{"Elevation":[1,2],"Aspect":[1],"Area":["R","C"]}}"#,
        MissingColumns,
        "same number of values",
    );
    let record = |elevation: &str, aspect: &str| {
        format!(r#"{{"dataframe_records":[{{"Elevation":{elevation},"Aspect":{aspect},"Area":"R"}}]}}"#)
    };
    bad(
        &record("\"abc\"", "2"),
        BadRequest,
        "Elevation does not convert to double",
    );
    bad(&record("[1]", "2"), BadRequest, "Elevation");
    bad(
        &record("1", "\"abc\""),
        BadRequest,
        "row 0: the value of column Aspect does not convert to long",
    );
    bad(&record("1", "\"2.0\""), BadRequest, "Aspect");
    bad(&record("1", "null"), BadRequest, "Aspect");
    // The second record lacks what the first one has, so its whole number is missing.
    let second = r#"{"inputs":[{"Elevation":1,"Aspect":2,"Area":"R"},{"Elevation":1}]}"#;
    bad(second, BadRequest, "row 1");
}

#[test]
fn rows_have_a_limit() {
    let records =
        json!({ "dataframe_records": vec![json!({ "Elevation": 1, "Aspect": 2, "Area": "R" }); 11] });
    let rows = rows_of_json(&features(), records.to_string().as_bytes(), 10);
    assert_eq!(rows, Err(FrameError::TooManyRows(11)));
    let csv = format!("Elevation,Aspect,Area\n{}", "1,2,R\n".repeat(11));
    assert_eq!(
        rows_of_csv(&features(), csv.as_bytes(), 10),
        Err(FrameError::TooManyRows(11))
    );
}

#[test]
fn csv_is_read_as_pandas_reads_it() {
    let check = |body: &str, expected: &[Row]| {
        let rows = rows_of_csv(&features(), body.as_bytes(), 10);
        assert_eq!(rows.as_deref(), Ok(expected), "{body}");
    };
    check("Elevation,Aspect,Area\n1.5,2,R\n", &[row(1.5, 2.0, "R")]);
    check(
        "\u{feff}Aspect,x,Area,Elevation\r\n2.0,,\"R, \"\"S\"\"\",1_0\r\n",
        &[row(10.0, 2.0, "R, \"S\"")],
    );
    check("Elevation,Aspect,Area\n", &[]);
    check(
        "Elevation,Aspect,Area\n1,2,3\n\n4,5,6\n",
        &[row(1.0, 2.0, "3"), row(4.0, 5.0, "6")],
    );
    let missing = Row(vec![Cell::Missing, Cell::Number(2.0), Cell::Missing]);
    check(
        "Elevation,Aspect,Area\n,2,NA\nnan,2\n",
        &[missing.clone(), missing],
    );

    let refuse = |body: &str, code: Code, needle: &str| {
        let error = rows_of_csv(&features(), body.as_bytes(), 10).unwrap_err();
        refused(&error, code, needle, body);
    };
    refuse("", Code::BadRequest, "header row");
    refuse("Elevation\n1\n", Code::MissingColumns, "Aspect, Area");
    refuse(
        "Elevation,Aspect,Area\n1,2,R,4\n",
        Code::BadRequest,
        "row 0 has 4 fields",
    );
    refuse("Elevation,Aspect,Area\nabc,2,R\n", Code::BadRequest, "Elevation");
    refuse("Elevation,Aspect,Area\n1,,R\n", Code::BadRequest, "Aspect");
}
