use serde_json::json;

use super::*;

fn feature(name: &str, data_type: DataType) -> Feature {
    Feature {
        name: name.to_owned(),
        data_type,
        required: true,
        range: None,
        categories: Vec::new(),
        example: Value::Null,
    }
}

/// Both readings of the one field must agree: the fast one, and the slow one that explains.
fn read(feature: &Feature, value: &Value) -> Result<Cell, FieldErrorKind> {
    let features = std::slice::from_ref(feature);
    let record = json!({ "field": value });
    let slow = check_record(features, record.as_object().unwrap());
    let fast = read_record(features, record.to_string().as_bytes());
    assert_eq!(fast.as_ref(), slow.as_ref().ok(), "{value} is read in two ways");
    match slow {
        Ok(row) => Ok(row.0.into_iter().next().unwrap()),
        Err(errors) => {
            assert_eq!(errors.len(), 1);
            assert_eq!(errors[0].field, "field");
            assert_eq!(&errors[0].input, value);
            Err(errors[0].kind)
        }
    }
}

/// Expected values are what pydantic 2.14 does with a field of type `float`.
#[test]
fn numbers_are_read_as_pydantic_reads_float() {
    fn check(value: Value, expected: Result<f64, FieldErrorKind>) {
        let found = read(&feature("field", DataType::Double), &value);
        assert_eq!(found, expected.map(Cell::Number), "{value}");
    }
    use FieldErrorKind::{FloatParsing, FloatType};
    check(json!(7), Ok(7.0));
    check(json!(-7.25), Ok(-7.25));
    check(json!(true), Ok(1.0));
    check(json!("7"), Ok(7.0));
    check(json!(" 7 "), Ok(7.0));
    check(json!("7.5"), Ok(7.5));
    check(json!("1e3"), Ok(1000.0));
    check(json!("1_000"), Ok(1000.0));
    check(json!("+5"), Ok(5.0));
    check(json!(".5"), Ok(0.5));
    check(json!("5."), Ok(5.0));
    check(json!("inf"), Ok(f64::INFINITY));
    check(json!("-Infinity"), Ok(f64::NEG_INFINITY));
    check(json!("1e400"), Ok(f64::INFINITY));
    check(json!("abc"), Err(FloatParsing));
    check(json!(""), Err(FloatParsing));
    check(json!("0x10"), Err(FloatParsing));
    check(json!("1__0"), Err(FloatParsing));
    check(json!("_1"), Err(FloatParsing));
    check(json!("1_"), Err(FloatParsing));
    check(json!("١"), Err(FloatParsing));
    check(json!(null), Err(FloatType));
    check(json!([]), Err(FloatType));
    check(json!({}), Err(FloatType));
}

/// Expected values are what pydantic 2.14 does with a field of type `int`.
#[test]
fn whole_numbers_are_read_as_pydantic_reads_int() {
    fn check(value: Value, expected: Result<f64, FieldErrorKind>) {
        let found = read(&feature("field", DataType::Long), &value);
        assert_eq!(found, expected.map(Cell::Number), "{value}");
    }
    use FieldErrorKind::{IntFromFloat, IntParsing, IntParsingSize, IntType};
    check(json!(7), Ok(7.0));
    check(json!(7.0), Ok(7.0));
    check(json!(true), Ok(1.0));
    check(json!(" 7 "), Ok(7.0));
    check(json!("7.0"), Ok(7.0));
    check(json!("7.00"), Ok(7.0));
    check(json!("-7.0"), Ok(-7.0));
    check(json!("1_0.0"), Ok(10.0));
    check(json!("1_000"), Ok(1000.0));
    check(json!("+5"), Ok(5.0));
    check(json!("-0"), Ok(0.0));
    check(json!("007"), Ok(7.0));
    check(json!(10_000_000_000_000_000_000_u64), Ok(1e19));
    check(json!(1.5), Err(IntFromFloat));
    check(json!(1e20), Err(IntParsingSize));
    check(json!("7."), Err(IntParsing));
    check(json!(".0"), Err(IntParsing));
    check(json!("7.5"), Err(IntParsing));
    check(json!("1e3"), Err(IntParsing));
    check(json!("--5"), Err(IntParsing));
    check(json!("+ 5"), Err(IntParsing));
    check(json!("nan"), Err(IntParsing));
    check(json!(""), Err(IntParsing));
    check(json!("abc"), Err(IntParsing));
    check(json!(null), Err(IntType));
    check(json!([]), Err(IntType));
}

/// Expected values are what pydantic 2.14 does with a field of type `bool`.
#[test]
fn booleans_are_read_as_pydantic_reads_bool() {
    fn check(value: Value, expected: Result<f64, FieldErrorKind>) {
        let found = read(&feature("field", DataType::Boolean), &value);
        assert_eq!(found, expected.map(Cell::Number), "{value}");
    }
    use FieldErrorKind::{BoolParsing, BoolType};
    for yes in [
        json!(true),
        json!(1),
        json!(1.0),
        json!("true"),
        json!("TRUE"),
        json!("t"),
        json!("yes"),
    ] {
        check(yes, Ok(1.0));
    }
    for no in [
        json!(false),
        json!(0),
        json!(0.0),
        json!("off"),
        json!("N"),
        json!("nO"),
        json!("0"),
    ] {
        check(no, Ok(0.0));
    }
    check(json!(2), Err(BoolParsing));
    check(json!(-1), Err(BoolParsing));
    check(json!("2"), Err(BoolParsing));
    check(json!(""), Err(BoolParsing));
    check(json!("  true"), Err(BoolParsing));
    check(json!(1.5), Err(BoolType));
    check(json!(null), Err(BoolType));
    check(json!([]), Err(BoolType));
}

#[test]
fn only_texts_are_texts() {
    let text = feature("field", DataType::Text);
    assert_eq!(read(&text, &json!("")), Ok(Cell::Text(String::new())));
    assert_eq!(read(&text, &json!("a\"ñ\n")), Ok(Cell::Text("a\"ñ\n".to_owned())));
    for other in [
        json!(1),
        json!(1.5),
        json!(true),
        json!(null),
        json!([]),
        json!({"a": 1}),
    ] {
        assert_eq!(read(&text, &other), Err(FieldErrorKind::StringType), "{other}");
    }
}

#[test]
fn a_field_that_may_be_absent_is_missing() {
    let mut optional = feature("field", DataType::Double);
    optional.required = false;
    assert_eq!(read(&optional, &json!(null)), Ok(Cell::Missing));
    assert_eq!(read(&optional, &json!("x")), Err(FieldErrorKind::FloatParsing));
    let features = [optional];
    assert_eq!(read_record(&features, b"{}"), Some(Row(vec![Cell::Missing])));
    assert_eq!(check_record(&features, &Map::new()), Ok(Row(vec![Cell::Missing])));
}

#[test]
fn all_faults_are_told_in_the_order_of_the_features() {
    let features = [
        feature("a", DataType::Double),
        feature("b", DataType::Long),
        feature("c", DataType::Text),
        feature("d", DataType::Text),
    ];
    let record = json!({ "d": 3, "b": "x", "c": "fine", "extra": 1 });
    let errors = check_record(&features, record.as_object().unwrap()).unwrap_err();
    let found: Vec<_> = errors
        .iter()
        .map(|error| (error.field.as_str(), error.kind.code(), &error.input))
        .collect();
    assert_eq!(
        found,
        [
            ("a", "missing", &record),
            ("b", "int_parsing", &json!("x")),
            ("d", "string_type", &json!(3)),
        ]
    );
}

#[test]
fn records_are_read_in_any_order_with_other_keys_and_the_last_of_two_values() {
    let features = [feature("a", DataType::Double), feature("b", DataType::Text)];
    let row = Some(Row(vec![Cell::Number(2.0), Cell::Text("x".to_owned())]));
    for json in [
        r#"{"a":2,"b":"x"}"#,
        r#" {"b":"x", "a": 2.0} "#,
        r#"{"other":{"a":[1,{}]},"a":1,"b":"y","a":2,"b":"x"}"#,
        r#"{"\u0061":2,"b":"\u0078"}"#,
    ] {
        assert_eq!(read_record(&features, json.as_bytes()), row, "{json}");
    }
    for json in [
        "",
        "{",
        r#"{"a":2}"#,
        r#"{"a":2,"b":"x"} x"#,
        "[]",
        r#"{"a":2,"b":"x","c":}"#,
    ] {
        assert_eq!(read_record(&features, json.as_bytes()), None, "{json}");
    }
}
