//! Which version of which registered model is meant.

use std::fmt;

use crate::Error;

/// Names a version of a registered model, as it is written after `models:/` and in paths of this role.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelRef {
    /// Name of the registered model.
    pub name: String,
    /// Which of its versions.
    pub selector: Selector,
}

/// Which version of a registered model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Selector {
    /// The version that an alias names now.
    Alias(String),
    /// This version.
    Version(i32),
    /// The newest version.
    Latest,
}

impl ModelRef {
    /// Names the version that an alias names.
    ///
    /// # Errors
    /// [`Error::InvalidField`] when a part cannot be a name.
    pub fn alias(name: &str, alias: &str) -> Result<Self, Error> {
        Ok(Self {
            name: named("model", name)?,
            selector: Selector::Alias(named("alias", alias)?),
        })
    }

    /// Names a version by its number, or by the word `latest`.
    ///
    /// # Errors
    /// [`Error::InvalidField`] when a part cannot be a name or a version.
    pub fn version(name: &str, version: &str) -> Result<Self, Error> {
        let selector = match (version, version.parse::<i32>()) {
            ("latest", _) => Selector::Latest,
            (_, Ok(number)) if number > 0 => Selector::Version(number),
            _ => {
                return Err(Error::InvalidField {
                    field: "version",
                    reason: format!("{version:?} is neither a number from 1 on nor the word latest"),
                });
            }
        };
        Ok(Self {
            name: named("model", name)?,
            selector,
        })
    }

    /// Reads `NAME`, which means `NAME@default_alias`; `NAME@ALIAS`; `NAME/VERSION`; `NAME/latest`; each may begin with
    /// `models:/`.
    ///
    /// # Errors
    /// [`Error::InvalidField`] names the part that is wrong.
    pub fn parse(text: &str, default_alias: &str) -> Result<Self, Error> {
        let text = text.strip_prefix("models:/").unwrap_or(text);
        match (text.split_once('/'), text.split_once('@')) {
            (Some((name, version)), _) => Self::version(name, version),
            (None, Some((name, alias))) => Self::alias(name, alias),
            (None, None) => Self::alias(text, default_alias),
        }
    }

    /// Returns the alias, where the version is found by one.
    pub fn alias_name(&self) -> Option<&str> {
        match &self.selector {
            Selector::Alias(alias) => Some(alias),
            Selector::Version(_) | Selector::Latest => None,
        }
    }

    /// Returns the path of this role that predicts with it, without `/predict`, for example `/models/forest@champion`.
    pub fn path(&self) -> String {
        let encode = |part: &str| -> String {
            url::form_urlencoded::byte_serialize(part.as_bytes())
                .collect::<String>()
                .replace('+', "%20")
        };
        let name = encode(&self.name);
        match &self.selector {
            Selector::Alias(alias) => format!("/models/{name}@{}", encode(alias)),
            Selector::Version(version) => format!("/models/{name}/versions/{version}"),
            Selector::Latest => format!("/models/{name}/versions/latest"),
        }
    }
}

/// MLflow's form, for example `models:/forest@champion`.
impl fmt::Display for ModelRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.selector {
            Selector::Alias(alias) => write!(formatter, "models:/{}@{alias}", self.name),
            Selector::Version(version) => write!(formatter, "models:/{}/{version}", self.name),
            Selector::Latest => write!(formatter, "models:/{}/latest", self.name),
        }
    }
}

fn named(field: &'static str, name: &str) -> Result<String, Error> {
    let is_name = !name.is_empty()
        && name.len() <= 256
        && !name.contains(['/', ':', '@'])
        && !name.chars().any(char::is_control);
    match is_name {
        true => Ok(name.to_owned()),
        false => Err(Error::InvalidField {
            field,
            reason: format!(
                "{:?} must have 1 to 256 characters, none of them '/', ':' or '@'",
                name.chars().take(80).collect::<String>()
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written() {
        for (text, uri, path) in [
            ("forest", "models:/forest@champion", "/models/forest@champion"),
            ("forest@new", "models:/forest@new", "/models/forest@new"),
            ("models:/forest@new", "models:/forest@new", "/models/forest@new"),
            ("forest/3", "models:/forest/3", "/models/forest/versions/3"),
            (
                "models:/a b/latest",
                "models:/a b/latest",
                "/models/a%20b/versions/latest",
            ),
        ] {
            let model = ModelRef::parse(text, "champion").unwrap();
            assert_eq!(model.to_string(), uri);
            assert_eq!(model.path(), path);
        }
    }

    #[test]
    fn what_is_no_name_is_named() {
        for (text, field) in [
            ("", "model"),
            ("@new", "model"),
            ("forest@", "alias"),
            ("forest/", "version"),
            ("forest/0", "version"),
            ("forest/-1", "version"),
            ("forest/one", "version"),
            ("a/b/c", "version"),
            ("a@b@c", "alias"),
            ("a\nb", "model"),
        ] {
            match ModelRef::parse(text, "champion") {
                Err(Error::InvalidField { field: found, .. }) => assert_eq!(found, field, "{text:?}"),
                other => panic!("{text:?} is read as {other:?}"),
            }
        }
    }
}
