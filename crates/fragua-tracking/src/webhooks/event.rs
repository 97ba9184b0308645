//! What webhooks can subscribe to, and what is told about it.

use fragua_base::Timestamp;
use serde_json::{Map, Value, json};

use crate::runs::Tag;
use crate::versions::ModelVersion;
use crate::{Error, validation};

/// The tag that makes a registered model a prompt, and the version of one a prompt's version.
const IS_PROMPT: &str = "mlflow.prompt.is_prompt";
/// The tag that says which kind of prompt it is.
const PROMPT_TYPE: &str = "_mlflow_prompt_type";
/// The tag that holds the text of a prompt's version.
const PROMPT_TEXT: &str = "mlflow.prompt.text";

/// Something that webhooks can be told of. Each pair of entity and action that MLflow knows is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WebhookEvent {
    /// A registered model was made.
    ModelCreated,
    /// A version was made.
    VersionCreated,
    /// A tag of a version was set.
    VersionTagSet,
    /// A tag of a version was removed.
    VersionTagDeleted,
    /// An alias was pointed at a version.
    AliasCreated,
    /// An alias was removed.
    AliasDeleted,
    /// A prompt was made.
    PromptCreated,
    /// A version of a prompt was made.
    PromptVersionCreated,
    /// A tag of a prompt was set.
    PromptTagSet,
    /// A tag of a prompt was removed.
    PromptTagDeleted,
    /// A tag of a prompt's version was set.
    PromptVersionTagSet,
    /// A tag of a prompt's version was removed.
    PromptVersionTagDeleted,
    /// An alias was pointed at a prompt's version.
    PromptAliasCreated,
    /// An alias of a prompt was removed.
    PromptAliasDeleted,
    /// A budget was used up. Webhooks may subscribe to it; this server has no budgets.
    BudgetExceeded,
}

/// Every event with the names of its entity and its action.
const NAMES: [(WebhookEvent, &str, &str); 15] = [
    (WebhookEvent::ModelCreated, "registered_model", "created"),
    (WebhookEvent::VersionCreated, "model_version", "created"),
    (WebhookEvent::VersionTagSet, "model_version_tag", "set"),
    (WebhookEvent::VersionTagDeleted, "model_version_tag", "deleted"),
    (WebhookEvent::AliasCreated, "model_version_alias", "created"),
    (WebhookEvent::AliasDeleted, "model_version_alias", "deleted"),
    (WebhookEvent::PromptCreated, "prompt", "created"),
    (WebhookEvent::PromptVersionCreated, "prompt_version", "created"),
    (WebhookEvent::PromptTagSet, "prompt_tag", "set"),
    (WebhookEvent::PromptTagDeleted, "prompt_tag", "deleted"),
    (WebhookEvent::PromptVersionTagSet, "prompt_version_tag", "set"),
    (
        WebhookEvent::PromptVersionTagDeleted,
        "prompt_version_tag",
        "deleted",
    ),
    (WebhookEvent::PromptAliasCreated, "prompt_alias", "created"),
    (WebhookEvent::PromptAliasDeleted, "prompt_alias", "deleted"),
    (WebhookEvent::BudgetExceeded, "budget_policy", "exceeded"),
];

impl WebhookEvent {
    /// Returns the event of an entity and an action, such as `model_version` and `created`, in any case.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] that lists what is valid.
    pub fn parse(entity: &str, action: &str) -> Result<Self, Error> {
        let of_entity: Vec<_> = NAMES
            .iter()
            .filter(|(_, name, _)| name.eq_ignore_ascii_case(entity))
            .collect();
        if of_entity.is_empty() {
            let mut entities: Vec<_> = NAMES.iter().map(|(_, name, _)| *name).collect();
            entities.dedup();
            return Err(Error::invalid(format!(
                "Invalid entity '{}'. Valid entities are: {}",
                validation::shorten(entity),
                quoted(&entities)
            )));
        }
        let found = of_entity
            .iter()
            .find(|(_, _, name)| name.eq_ignore_ascii_case(action));
        found.map(|(event, _, _)| *event).ok_or_else(|| {
            let mut actions: Vec<_> = of_entity.iter().map(|(_, _, name)| *name).collect();
            actions.sort_unstable();
            Error::invalid(format!(
                "Invalid action '{}' for entity '{}'. Valid actions are: {}",
                validation::shorten(&action.to_ascii_lowercase()),
                entity.to_ascii_lowercase(),
                quoted(&actions)
            ))
        })
    }

    /// Returns the name of the entity.
    pub fn entity(self) -> &'static str {
        self.names().0
    }

    /// Returns the name of the action.
    pub fn action(self) -> &'static str {
        self.names().1
    }

    fn names(self) -> (&'static str, &'static str) {
        let found = NAMES.iter().find(|(event, _, _)| *event == self);
        found.map_or(("", ""), |(_, entity, action)| (entity, action))
    }

    /// Returns the data of an event of this kind as a test sends it.
    pub(super) fn example(self) -> Value {
        let (name, version) = match self.entity().starts_with("prompt") {
            true => ("example_prompt", "example prompt"),
            false => ("example_model", "example model"),
        };
        let named = |more: Value| merged(json!({ "name": name }), more);
        let tags = json!({ "example_key": "example_value" });
        match self {
            Self::ModelCreated => {
                named(json!({ "tags": tags, "description": "An example registered model" }))
            }
            Self::PromptCreated => named(json!({ "tags": tags, "description": "An example prompt" })),
            Self::VersionCreated => named(json!({
                "version": "1",
                "source": "models:/123",
                "run_id": "abcd1234abcd5678",
                "tags": tags,
                "description": format!("An {version} version"),
            })),
            Self::PromptVersionCreated => named(json!({
                "version": "1",
                "template": "Hello {{name}}!",
                "tags": tags,
                "description": format!("An {version} version"),
            })),
            Self::VersionTagSet | Self::PromptVersionTagSet => {
                named(json!({ "version": "1", "key": "example_key", "value": "example_value" }))
            }
            Self::VersionTagDeleted | Self::PromptVersionTagDeleted => {
                named(json!({ "version": "1", "key": "example_key" }))
            }
            Self::PromptTagSet => named(json!({ "key": "example_key", "value": "example_value" })),
            Self::PromptTagDeleted => named(json!({ "key": "example_key" })),
            Self::AliasCreated | Self::PromptAliasCreated => {
                named(json!({ "alias": "example_alias", "version": "1" }))
            }
            Self::AliasDeleted | Self::PromptAliasDeleted => named(json!({ "alias": "example_alias" })),
            Self::BudgetExceeded => json!({
                "budget_policy_id": "bp-abc123",
                "budget_unit": "USD",
                "budget_amount": 100.0,
                "current_spend": 105.5,
                "duration_unit": "MONTHS",
                "duration_value": 1,
                "target_scope": "ENDPOINT",
                "workspace": "default",
                "target_value": "ep-abc123",
                "window_start": 1_704_067_200_000_i64,
            }),
        }
    }
}

fn merged(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}

fn quoted(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
    format!("[{}]", names.join(", "))
}

/// What has happened in the registry, told after its transaction has committed.
#[derive(Debug, Clone)]
pub(crate) enum Occurrence {
    ModelCreated {
        name: String,
        tags: Vec<Tag>,
        description: Option<String>,
    },
    ModelTagSet {
        name: String,
        tag: Tag,
    },
    ModelTagDeleted {
        name: String,
        key: String,
    },
    VersionCreated(Box<ModelVersion>),
    VersionTagSet {
        name: String,
        version: i32,
        tag: Tag,
    },
    VersionTagDeleted {
        name: String,
        version: i32,
        key: String,
    },
    AliasSet {
        name: String,
        alias: String,
        version: i32,
    },
    AliasDeleted {
        name: String,
        alias: String,
    },
}

impl Occurrence {
    /// Returns the name of the registered model.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::VersionCreated(version) => &version.name,
            Self::ModelCreated { name, .. }
            | Self::ModelTagSet { name, .. }
            | Self::ModelTagDeleted { name, .. }
            | Self::VersionTagSet { name, .. }
            | Self::VersionTagDeleted { name, .. }
            | Self::AliasSet { name, .. }
            | Self::AliasDeleted { name, .. } => name,
        }
    }

    /// Returns whether it is about a prompt where what was made says so itself; else the model's tags decide.
    pub(super) fn says_prompt(&self) -> Option<bool> {
        match self {
            Self::ModelCreated { tags, .. } => Some(is_prompt(tags)),
            Self::VersionCreated(version) => Some(is_prompt(&version.tags)),
            _ => None,
        }
    }

    /// Returns the event and its data, or `None` where MLflow has none: changes of a model's own tags.
    pub(super) fn event(&self, prompt: bool) -> Option<(WebhookEvent, Value)> {
        use WebhookEvent as Event;

        let pick = |of_model: Event, of_prompt: Event| if prompt { of_prompt } else { of_model };
        Some(match self {
            Self::ModelCreated {
                name,
                tags,
                description,
            } => (
                pick(Event::ModelCreated, Event::PromptCreated),
                // MLflow tells a description that was not given as an empty one here, and as `null` for versions.
                json!({
                    "name": name,
                    "tags": map(tags, prompt),
                    "description": description.as_deref().unwrap_or_default(),
                }),
            ),
            Self::ModelTagSet { name, tag } if prompt => (
                Event::PromptTagSet,
                json!({ "name": name, "key": tag.key, "value": tag.value }),
            ),
            Self::ModelTagDeleted { name, key } if prompt => {
                (Event::PromptTagDeleted, json!({ "name": name, "key": key }))
            }
            Self::ModelTagSet { .. } | Self::ModelTagDeleted { .. } => return None,
            Self::VersionCreated(version) => version_created(version, prompt),
            Self::VersionTagSet { name, version, tag } => (
                pick(Event::VersionTagSet, Event::PromptVersionTagSet),
                json!({
                    "name": name,
                    "version": version.to_string(),
                    "key": tag.key,
                    "value": tag.value,
                }),
            ),
            Self::VersionTagDeleted { name, version, key } => (
                pick(Event::VersionTagDeleted, Event::PromptVersionTagDeleted),
                json!({ "name": name, "version": version.to_string(), "key": key }),
            ),
            Self::AliasSet { name, alias, version } => (
                pick(Event::AliasCreated, Event::PromptAliasCreated),
                json!({ "name": name, "alias": alias, "version": version.to_string() }),
            ),
            Self::AliasDeleted { name, alias } => (
                pick(Event::AliasDeleted, Event::PromptAliasDeleted),
                json!({ "name": name, "alias": alias }),
            ),
        })
    }
}

fn version_created(version: &ModelVersion, prompt: bool) -> (WebhookEvent, Value) {
    let description = version.description.as_deref().filter(|text| !text.is_empty());
    let mut tags = map(&version.tags, prompt);
    if prompt {
        let template = tags.remove(PROMPT_TEXT);
        let data = json!({
            "name": version.name,
            "version": version.version.to_string(),
            "template": template,
            "tags": tags,
            "description": description,
        });
        return (WebhookEvent::PromptVersionCreated, data);
    }
    let data = json!({
        "name": version.name,
        "version": version.version.to_string(),
        "source": version.source,
        "run_id": version.run_id,
        "tags": tags,
        "description": description,
    });
    (WebhookEvent::VersionCreated, data)
}

/// What marks a prompt as one is not told: the event says it.
fn map(tags: &[Tag], prompt: bool) -> Map<String, Value> {
    tags.iter()
        .filter(|tag| !(prompt && [IS_PROMPT, PROMPT_TYPE].contains(&tag.key.as_str())))
        .map(|tag| (tag.key.clone(), Value::String(tag.value.clone())))
        .collect()
}

/// Returns whether tags make their owner a prompt. Of a key that comes twice the last one counts.
pub(crate) fn is_prompt(tags: &[Tag]) -> bool {
    let last = tags.iter().rfind(|tag| tag.key == IS_PROMPT);
    last.is_some_and(|tag| tag.value.eq_ignore_ascii_case("true"))
}

/// Returns the body of a request.
pub(super) fn body(event: WebhookEvent, data: &Value, now: Timestamp) -> String {
    // An offset and no `Z`: Python before 3.11 reads only that.
    let timestamp = now.to_rfc3339().replace('Z', "+00:00");
    json!({
        "entity": event.entity(),
        "action": event.action(),
        "timestamp": timestamp,
        "data": data,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_read_by_its_names() {
        for (event, entity, action) in NAMES {
            assert_eq!((event.entity(), event.action()), (entity, action));
            let upper = (entity.to_uppercase(), action.to_uppercase());
            assert_eq!(WebhookEvent::parse(&upper.0, &upper.1).unwrap(), event);
            assert!(event.example().is_object());
        }
    }

    #[test]
    fn other_pairs_are_refused_as_mlflow_does() {
        for (entity, action, expected) in [
            (
                "REGISTERED_MODEL",
                "DELETED",
                "Invalid action 'deleted' for entity 'registered_model'. Valid actions are: ['created']",
            ),
            (
                "MODEL_VERSION_TAG",
                "CREATED",
                "Invalid action 'created' for entity 'model_version_tag'. Valid actions are: ['deleted', 'set']",
            ),
            (
                "budget_policy",
                "set",
                "Invalid action 'set' for entity 'budget_policy'. Valid actions are: ['exceeded']",
            ),
        ] {
            let error = WebhookEvent::parse(entity, action).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
        let error = WebhookEvent::parse("run", "created").unwrap_err();
        assert!(
            error.to_string().contains("'model_version_alias', 'prompt'"),
            "{error}"
        );
    }

    #[test]
    fn what_happens_to_prompts_is_told_apart() {
        let tag = |key: &str, value: &str| Tag::new(key, value);
        let prompt_tags = vec![
            tag(IS_PROMPT, "True"),
            tag(PROMPT_TYPE, "text"),
            tag("team", "forest"),
        ];
        assert!(is_prompt(&prompt_tags) && !is_prompt(&[tag("team", "forest")]));
        assert!(!is_prompt(&[tag(IS_PROMPT, "true"), tag(IS_PROMPT, "false")]));
        let created = Occurrence::ModelCreated {
            name: "hello".to_owned(),
            tags: prompt_tags,
            description: None,
        };
        assert_eq!(created.says_prompt(), Some(true));
        let expected = json!({ "name": "hello", "tags": { "team": "forest" }, "description": "" });
        assert_eq!(created.event(true), Some((WebhookEvent::PromptCreated, expected)));
        let tagged = Occurrence::ModelTagSet {
            name: "hello".to_owned(),
            tag: tag("team", "river"),
        };
        assert_eq!(tagged.event(false), None);
        let expected = json!({ "name": "hello", "key": "team", "value": "river" });
        assert_eq!(tagged.event(true), Some((WebhookEvent::PromptTagSet, expected)));
    }
}
