//! `/openapi.json`: made on each request from the signature of the version that answers.

use axum::Json;
use axum::extract::State;
use fragua_learn::Label;
use serde_json::{Value, json};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{
    Components, ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, PathsBuilder, Ref, RefOr,
    Required,
};

use super::fixed_routes;
use crate::Serving;
use crate::model::ServedModel;
use crate::signature::{DataType, Feature};

const JSON: &str = "application/json";
const PREDICTION: &str = "Prediction";
const VALIDATION_ERROR: &str = "ValidationError";
const HTTP_VALIDATION_ERROR: &str = "HTTPValidationError";
const HTTP_ERROR: &str = "HTTPError";

pub(super) async fn openapi(State(serving): State<Serving>) -> Json<Value> {
    let state = serving.state();
    let document = match &state.model {
        Some(model) => with_model(model, &serving.settings().alias),
        None => without_model(&serving.settings().model, state.explanation()),
    };
    let mut document = json!(document);
    let paths = &mut document["paths"];
    if !paths.is_object() {
        *paths = json!({});
    }
    if let Some(paths) = paths.as_object_mut() {
        paths.extend(fixed_routes::paths());
    }
    if serving.requires_keys() {
        require_key(&mut document);
    }
    Json(document)
}

/// Says that each operation needs a key, but those that say of themselves that they need none.
fn require_key(document: &mut Value) {
    document["components"]["securitySchemes"] = json!({
        "bearer": { "type": "http", "scheme": "bearer", "description": "An API key that begins with frk_." },
        "header": { "type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same in a header of its own." },
    });
    document["security"] = json!([{ "bearer": [] }, { "header": [] }]);
    let operations = document["paths"].as_object_mut().into_iter().flatten();
    let operations = operations.filter_map(|(_, path)| path.as_object_mut()).flatten();
    for (_, operation) in operations.filter(|(_, operation)| operation.get("security").is_none()) {
        let unknown = "There is no API key, or it is unknown, expired or revoked";
        operation["responses"]["401"] = json!({ "description": unknown });
        operation["responses"]["403"] = json!({ "description": "The API key is not for this model" });
    }
}

fn without_model(name: &str, explanation: Option<&str>) -> OpenApi {
    let explanation = explanation.unwrap_or("The model is being loaded.");
    let info = InfoBuilder::new()
        .title(name)
        .version("0")
        .description(Some(format!("No model version answers now: {explanation}")));
    OpenApiBuilder::new().info(info.build()).build()
}

fn with_model(model: &ServedModel, alias: &str) -> OpenApi {
    let record = pascal_case(&model.name);
    let info = InfoBuilder::new()
        .title(&model.name)
        .version(&model.version)
        .description(Some(format!(
            "Predictions by version {} of the registered model {}, found by its alias {alias}.",
            model.version, model.name
        )));
    let paths = PathsBuilder::new()
        .path(
            "/predict",
            PathItem::new(HttpMethod::Post, predict(model, &record)),
        )
        .path(
            "/invocations",
            PathItem::new(HttpMethod::Post, invocations(model)),
        );
    OpenApiBuilder::new()
        .info(info.build())
        .paths(paths.build())
        .components(Some(components(model, &record)))
        .build()
}

fn predict(model: &ServedModel, record: &str) -> Operation {
    OperationBuilder::new()
        .summary(Some("Predict"))
        .description(Some("Predicts the class of one record."))
        .operation_id(Some("predict_predict_post"))
        .parameter(flag(
            "proba",
            "Whether the answer holds the probability of each class.",
        ))
        .parameter(flag(
            "explain",
            "Whether the answer holds what each column adds to the score of the predicted class.",
        ))
        .request_body(Some(body(record, &Value::Object(model.example()))))
        .response("200", answer("Successful Response", PREDICTION))
        .response("422", answer("Validation Error", HTTP_VALIDATION_ERROR))
        .response("429", answer("Too many requests are in work", HTTP_ERROR))
        .response("503", answer("No model version answers", HTTP_ERROR))
        .build()
}

fn flag(name: &str, description: &str) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(
            of_type(Type::Boolean)
                .title(Some(title_case(name)))
                .default(Some(Value::Bool(false))),
        ))
}

fn invocations(model: &ServedModel) -> Operation {
    let frame = json!({ "dataframe_records": [model.example()] });
    let forms = "One of dataframe_split, dataframe_records, instances or inputs; or a CSV file.";
    let json_body = ContentBuilder::new()
        .schema(Some(ObjectBuilder::new().description(Some(forms)).build()))
        .example(Some(frame))
        .build();
    let csv_body = ContentBuilder::new().schema(Some(of_type(Type::String))).build();
    let body = RequestBodyBuilder::new()
        .content(JSON, json_body)
        .content("text/csv", csv_body)
        .required(Some(Required::True))
        .build();
    let predicted = ResponseBuilder::new()
        .description("One record a row: label and the probability of each class")
        .content(
            JSON,
            ContentBuilder::new()
                .schema(Some(ObjectBuilder::new().build()))
                .build(),
        )
        .build();
    OperationBuilder::new()
        .summary(Some("Invocations"))
        .description(Some("Predicts a data frame, by MLflow's scoring protocol."))
        .operation_id(Some("invocations_invocations_post"))
        .request_body(Some(body))
        .response("200", predicted)
        .response("400", plain("The body is no data frame for the model"))
        .response("415", plain("The content type is not supported"))
        .response("503", answer("No model version answers", HTTP_ERROR))
        .build()
}

fn body(schema: &str, example: &Value) -> RequestBody {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(schema)))
        .example(Some(example.clone()))
        .build();
    RequestBodyBuilder::new()
        .content(JSON, content)
        .required(Some(Required::True))
        .build()
}

fn answer(description: &str, schema: &str) -> Response {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(schema)))
        .build();
    ResponseBuilder::new()
        .description(description)
        .content(JSON, content)
        .build()
}

fn plain(description: &str) -> Response {
    ResponseBuilder::new().description(description).build()
}

fn components(model: &ServedModel, record: &str) -> Components {
    ComponentsBuilder::new()
        .schema(record, record_schema(model, record))
        .schema(PREDICTION, prediction_schema(model))
        .schema(HTTP_VALIDATION_ERROR, http_validation_error())
        .schema(VALIDATION_ERROR, validation_error())
        .schema(HTTP_ERROR, http_error())
        .build()
}

fn record_schema(model: &ServedModel, title: &str) -> Schema {
    let mut schema = ObjectBuilder::new().title(Some(title));
    for feature in &model.features {
        schema = schema.property(&feature.name, property(feature));
        if feature.required {
            schema = schema.required(&feature.name);
        }
    }
    schema.examples([Value::Object(model.example())]).build().into()
}

fn property(feature: &Feature) -> Schema {
    let kind = match feature.data_type {
        DataType::Boolean => Type::Boolean,
        DataType::Integer | DataType::Long => Type::Integer,
        DataType::Float | DataType::Double => Type::Number,
        DataType::Text => Type::String,
    };
    let kind = if feature.required {
        SchemaType::new(kind)
    } else {
        SchemaType::from_iter([kind, Type::Null])
    };
    ObjectBuilder::new()
        .schema_type(kind)
        .title(Some(title_case(&feature.name)))
        .description(seen_in_training(feature))
        .default(Some(feature.example.clone()).filter(|example| !example.is_null()))
        .build()
        .into()
}

fn seen_in_training(feature: &Feature) -> Option<String> {
    if let Some(range) = feature.range {
        return Some(format!(
            "In training from {} to {}, half of the rows below {}.",
            range.min, range.max, range.median
        ));
    }
    if feature.categories.is_empty() {
        return None;
    }
    Some(format!("In training one of {}.", feature.categories.join(", ")))
}

fn prediction_schema(model: &ServedModel) -> Schema {
    // A model without classes answers numbers.
    let label = match model.labels.first() {
        Some(Label::Text(_)) => Type::String,
        Some(Label::Integer(_)) => Type::Integer,
        Some(Label::Number(_)) | None => Type::Number,
    };
    let version = if model.version_value().is_u64() {
        Type::Integer
    } else {
        Type::String
    };
    let probabilities = ObjectBuilder::new()
        .title(Some("Probabilities"))
        .description(Some("Probability of each class; only with proba=1."))
        .additional_properties(Some(of_type(Type::Number)));
    let warnings = ArrayBuilder::new()
        .items(of_type(Type::String))
        .title(Some("Warnings"))
        .description(Some(
            "Texts that training has not seen; only where there are some.",
        ));
    ObjectBuilder::new()
        .title(Some(PREDICTION))
        .property("Prediction", of_type(label).title(Some("Prediction")))
        .property("Model Version", of_type(version).title(Some("Model Version")))
        .property("Probabilities", probabilities)
        .property("Warnings", warnings)
        .required("Prediction")
        .required("Model Version")
        .build()
        .into()
}

fn of_type(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(kind)
}

fn http_validation_error() -> Schema {
    let detail = ArrayBuilder::new()
        .items(RefOr::Ref(Ref::from_schema_name(VALIDATION_ERROR)))
        .title(Some("Detail"));
    ObjectBuilder::new()
        .property("detail", detail)
        .title(Some(HTTP_VALIDATION_ERROR))
        .build()
        .into()
}

fn validation_error() -> Schema {
    let place = AnyOfBuilder::new()
        .item(of_type(Type::String))
        .item(of_type(Type::Integer));
    let location = ArrayBuilder::new()
        .items(RefOr::T(Schema::AnyOf(place.build())))
        .title(Some("Location"));
    let text = |title: &str| of_type(Type::String).title(Some(title));
    let any = ObjectBuilder::new()
        .schema_type(SchemaType::AnyValue)
        .title(Some("Input"));
    ObjectBuilder::new()
        .property("loc", location)
        .property("msg", text("Message"))
        .property("type", text("Error Type"))
        .property("input", any)
        .property("ctx", ObjectBuilder::new().title(Some("Context")))
        .required("loc")
        .required("msg")
        .required("type")
        .title(Some(VALIDATION_ERROR))
        .build()
        .into()
}

fn http_error() -> Schema {
    ObjectBuilder::new()
        .property("detail", of_type(Type::String).title(Some("Detail")))
        .required("detail")
        .title(Some(HTTP_ERROR))
        .build()
        .into()
}

/// `cover_type_class` becomes `CoverTypeClass`; what is no letter or digit cannot stand in a schema's name.
fn pascal_case(name: &str) -> String {
    let words = name.split(|character: char| !character.is_ascii_alphanumeric());
    let joined: String = words
        .map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            first.to_ascii_uppercase() + rest
        })
        .collect();
    if joined.is_empty() {
        "Record".to_owned()
    } else {
        joined
    }
}

/// pydantic's title of a field: each run of letters begins with a capital, underscores become blanks.
fn title_case(name: &str) -> String {
    let mut title = String::with_capacity(name.len());
    let mut after_letter = false;
    for character in name.chars() {
        match character {
            '_' => title.push(' '),
            _ if after_letter => title.extend(character.to_lowercase()),
            _ => title.extend(character.to_uppercase()),
        }
        after_letter = character.is_alphabetic();
    }
    title.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{pascal_case, title_case};

    #[test]
    fn titles_are_those_of_pydantic() {
        for (name, expected) in [
            ("Elevation", "Elevation"),
            (
                "Horizontal_Distance_To_Hydrology",
                "Horizontal Distance To Hydrology",
            ),
            ("Hillshade_9am", "Hillshade 9Am"),
            ("Hillshade_3pm", "Hillshade 3Pm"),
            ("soilType", "Soiltype"),
            ("_x_", "X"),
        ] {
            assert_eq!(title_case(name), expected);
        }
    }

    #[test]
    fn schema_names_hold_letters_and_digits_only() {
        for (name, expected) in [
            ("cover_type_class", "CoverTypeClass"),
            ("iris-2", "Iris2"),
            ("A", "A"),
            ("ñ", "Record"),
        ] {
            assert_eq!(pascal_case(name), expected);
        }
    }
}
