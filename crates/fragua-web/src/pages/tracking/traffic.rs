//! Which versions of a model answer: the one that an alias names, a canary beside it, a shadow behind it.

use fragua_base::ErrorKind;
use fragua_serving::{Canary, Challenger, ModelRef, Serving, Trial};

use super::edit::Sent;
use crate::error::Error;
use crate::page::Page;

/// Versions to choose from.
const MOST_VERSIONS: usize = 50;

/// What answers under each alias of a model, where serving runs in this process.
#[derive(Default)]
pub(super) struct Traffic {
    pub(super) lines: Vec<Line>,
    /// Why the last form did nothing, and for which alias.
    pub(super) problem: Option<(String, String)>,
}

pub(super) struct Line {
    pub(super) alias: String,
    /// The version that answers, or would.
    pub(super) live: String,
    /// Whether it is in memory.
    pub(super) is_loaded: bool,
    /// Why it does not answer.
    pub(super) problem: String,
    pub(super) canary: Option<Trialled>,
    pub(super) shadow: Option<Trialled>,
    /// Where a roll back would lead.
    pub(super) previous: Option<String>,
    pub(super) versions: Vec<i32>,
    pub(super) app_address: Option<String>,
}

/// A version that is tried out.
pub(super) struct Trialled {
    pub(super) version: i32,
    pub(super) percent: u8,
    pub(super) problem: String,
}

impl Line {
    pub(super) fn is_canary(&self, version: &i32) -> bool {
        self.canary
            .as_ref()
            .is_some_and(|canary| canary.version == *version)
    }

    pub(super) fn is_shadow(&self, version: &i32) -> bool {
        self.shadow
            .as_ref()
            .is_some_and(|shadow| shadow.version == *version)
    }

    /// Returns the canary's share, or one to begin with.
    pub(super) fn percent(&self) -> u8 {
        self.canary.as_ref().map_or(10, |canary| canary.percent)
    }
}

impl Traffic {
    /// Looks at the aliases of a model. Nothing is brought into memory for that.
    pub(super) async fn of(
        page: &Page,
        model: &str,
        aliases: &[(String, i32)],
        mut versions: Vec<i32>,
    ) -> Result<Self, Error> {
        let Some(serving) = page.site().serving() else {
            return Ok(Self::default());
        };
        versions.truncate(MOST_VERSIONS);
        let mut lines = Vec::new();
        for (alias, version) in aliases {
            let Ok(reference) = ModelRef::alias(model, alias) else {
                continue;
            };
            lines.push(line(page, serving, reference, alias, *version, &versions).await?);
        }
        Ok(Self { lines, problem: None })
    }
}

async fn line(
    page: &Page,
    serving: &Serving,
    reference: ModelRef,
    alias: &str,
    named: i32,
    versions: &[i32],
) -> Result<Line, Error> {
    let deployment = serving.deployment_of(&reference).await?;
    let endpoint = serving
        .endpoints()
        .into_iter()
        .find(|known| *known.model_ref() == reference);
    let state = endpoint.map(|endpoint| endpoint.state()).unwrap_or_default();
    let problem_of = |challenger: &Option<Challenger>| {
        let problem = challenger
            .as_ref()
            .and_then(|challenger| challenger.problem.as_ref());
        problem.map_or_else(String::new, |problem| problem.message.clone())
    };
    let spelled = crate::page::encode(&format!("{}@{alias}", reference.name));
    Ok(Line {
        live: state
            .model
            .as_ref()
            .map_or_else(|| named.to_string(), |model| model.version.clone()),
        is_loaded: state.model.is_some(),
        problem: state.explanation().unwrap_or_default().to_owned(),
        canary: deployment.canary.map(|canary| Trialled {
            version: canary.version,
            percent: canary.percent,
            problem: problem_of(&state.canary),
        }),
        shadow: deployment.shadow.map(|version| Trialled {
            version,
            percent: 100,
            problem: problem_of(&state.shadow),
        }),
        previous: deployment.previous.map(|version| version.to_string()),
        versions: versions
            .iter()
            .copied()
            .filter(|version| *version != named)
            .collect(),
        app_address: page.at_app(&format!("/?model={spelled}")),
        alias: alias.to_owned(),
    })
}

/// Does what a form of the box asks for; returns why it cannot be done, where the reader can do something about it.
pub(super) async fn act(page: &Page, model: &str, sent: &Sent) -> Result<Option<String>, Error> {
    let Some(serving) = page.site().serving() else {
        return Err(Error::Invalid(page.t("form-unknown")));
    };
    let reference = ModelRef::alias(model, sent.trimmed("alias"))?;
    let done = match sent.action() {
        "promote" => serving.promote(&reference).await.map(drop),
        "roll-back" => serving.roll_back(&reference).await.map(drop),
        _ => match trial(sent) {
            Some(trial) => serving.try_out(&reference, trial).await.map(drop),
            None => return Ok(Some(page.t("traffic-invalid"))),
        },
    };
    match done {
        Ok(()) => Ok(None),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::Conflict | ErrorKind::NotFound
            ) =>
        {
            Ok(Some(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Reads the form; an empty choice ends that part of the trial.
fn trial(sent: &Sent) -> Option<Trial> {
    let version = |name: &str| match sent.trimmed(name) {
        "" => Some(None),
        typed => typed.parse::<i32>().ok().map(Some),
    };
    let canary = match version("canary")? {
        None => None,
        Some(version) => Some(Canary {
            version,
            percent: sent.trimmed("percent").parse().ok()?,
        }),
    };
    Some(Trial {
        canary,
        shadow: version("shadow")?,
    })
}
