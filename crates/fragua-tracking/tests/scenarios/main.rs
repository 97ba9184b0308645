//! `e2e/scenarios/mlflow`: the same requests to this server and to the real MLflow server, and what each has to answer.
//! What is written there is so proven on the real product, and where the two differ on purpose the reason stands
//! beside it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod scenario;
mod servers;

use scenario::{Scenario, Side};
use servers::Server;

async fn play(side: Side, server: &Server) {
    let mut asked = 0;
    let mut failures = Vec::new();
    for scenario in Scenario::all() {
        asked += scenario.play(side, server, &mut failures).await;
    }
    assert!(
        failures.is_empty(),
        "{} of {asked} differ:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(asked > 600, "only {asked} requests: where are the scenarios?");
}

#[tokio::test]
async fn fragua_answers_as_the_scenarios_say() {
    let house = servers::Fragua::open().await;
    play(Side::Fragua, &house.server).await;
}

#[tokio::test]
async fn mlflow_answers_as_the_scenarios_say() {
    let process = servers::Mlflow::start().await;
    play(Side::Mlflow, &process.server).await;
}
