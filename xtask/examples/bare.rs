//! What one row costs with no model: a handler that reads the record of `POST /predict` and always answers the same.
//!
//! `bare PORT` listens until it is ended. `cargo xtask bench serving` measures the role `serving` beside it.

use std::error::Error;
use std::net::Ipv4Addr;

use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

/// The program's allocator, so that it makes no difference.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A row of the example Covertype without what is to be predicted.
#[derive(Deserialize)]
#[expect(
    dead_code,
    non_snake_case,
    reason = "the columns of a request, read and used for nothing"
)]
struct Record {
    Elevation: f64,
    Aspect: f64,
    Slope: f64,
    Horizontal_Distance_To_Hydrology: f64,
    Vertical_Distance_To_Hydrology: f64,
    Horizontal_Distance_To_Roadways: f64,
    Hillshade_9am: f64,
    Hillshade_Noon: f64,
    Hillshade_3pm: f64,
    Horizontal_Distance_To_Fire_Points: f64,
    Wilderness_Area: String,
    Soil_Type: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = std::env::args().nth(1).ok_or("expected PORT")?.parse()?;
    let router = Router::new()
        .route("/predict", post(predict))
        .route("/health", get(|| async { "ok" }));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    // As the program does it; a connection that is gone already refuses the option.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await?;
    Ok(())
}

async fn predict(Json(_): Json<Record>) -> Json<Value> {
    Json(json!({ "Prediction": 1, "Model Version": 1 }))
}
