//! Where the version that answers comes from.

use fragua_serving::ServedModel;

use super::App;
use crate::format;
use crate::headline;
use crate::page::{Page, encode};
use crate::pages::tracking::origin;

const HEADLINE_METRICS: usize = 4;

/// What is known of a version.
pub(super) struct Lineage {
    pub(super) facts: Vec<Fact>,
}

pub(super) struct Fact {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) address: Option<String>,
}

impl Lineage {
    pub(super) async fn of(app: &App, page: &Page, model: &ServedModel, alias: Option<&str>) -> Self {
        let fact = |text: &str, value: String, address: Option<String>| Fact {
            name: page.t(text),
            value,
            address,
        };
        let model_path = format!("/models/{}", encode(&model.name));
        let version_path = format!("{model_path}/versions/{}", encode(&model.version));
        let mut facts = vec![
            fact("name", model.name.clone(), page.at_tracking(&model_path)),
            fact(
                "version",
                format!("v{}", model.version),
                page.at_tracking(&version_path),
            ),
        ];
        if let Some(alias) = alias {
            facts.push(fact("alias", alias.to_owned(), None));
        }
        if let Some(run_id) = &model.run_id {
            let address = page.at_tracking(&format!("/runs/{}", encode(run_id)));
            facts.push(fact("trained-by", format::shorten(run_id, 12), address));
            if let Some(tracking) = &app.tracking {
                let origin = origin(page, tracking, run_id).await;
                facts.extend(
                    origin
                        .into_iter()
                        .map(|(text, value, address)| fact(text, value, address)),
                );
            }
        }
        facts.push(fact(
            "registered",
            format!("{} UTC", format::instant(model.created_at)),
            None,
        ));
        if let Some(profile) = &model.profile {
            facts.push(fact("trained-on", page.tn("count-rows", &profile.rows), None));
        }
        if !model.labels.is_empty() {
            facts.push(fact("classes", format::integer(model.labels.len() as u64), None));
        }
        for name in headline_metrics(model) {
            facts.push(Fact {
                name: name.clone(),
                value: format::number(model.metrics[name]),
                address: None,
            });
        }
        Self { facts }
    }
}

/// Chooses the few figures that people ask for first.
fn headline_metrics(model: &ServedModel) -> Vec<&String> {
    let mut names: Vec<&String> = model.metrics.keys().collect();
    names.sort_by_key(|name| headline::rank(name));
    names.truncate(HEADLINE_METRICS);
    names
}
