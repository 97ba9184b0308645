//! Making a model of a run or a logged model the next version of a registered one, and the Python that loads it.

use fragua_tracking::{Error as TrackingError, NewVersion, Tracking};

use super::edit::Editing;
use super::query;
use super::versions::address;
use crate::error::Error;
use crate::page::Page;

/// Names offered where a model is registered.
const MOST_NAMES: u64 = 200;

/// Returns the names of registered models to choose from, while the form is open.
pub(super) async fn names(tracking: &Tracking, editing: &Editing) -> Result<Vec<String>, Error> {
    if !editing.is("register") {
        return Ok(Vec::new());
    }
    let all = query(String::new(), Vec::new(), MOST_NAMES, None);
    let models = tracking.search_models(&all).await?.items;
    Ok(models.into_iter().map(|model| model.name).collect())
}

/// Makes the next version of a registered model, which is made when there is none of this name. Returns its address.
pub(super) async fn register(tracking: &Tracking, new: NewVersion) -> Result<String, TrackingError> {
    match tracking.create_model(&new.name, None, Vec::new()).await {
        Ok(_) | Err(TrackingError::AlreadyExists(_)) => {}
        Err(error) => return Err(error),
    }
    let version = tracking.create_version(new).await?;
    Ok(address(&version.name, version.version))
}

/// Returns the Python that loads what a model URI names.
pub(super) fn load_in_python(page: &Page, uri: &str) -> String {
    let server = page.at_tracking("").map_or_else(String::new, |base| {
        format!("mlflow.set_tracking_uri({})\n", python_text(&base))
    });
    format!(
        "import mlflow\n{server}model = mlflow.pyfunc.load_model({})",
        python_text(uri)
    )
}

/// Quotes a text for Python, which reads the quotes and escapes of JSON.
fn python_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
