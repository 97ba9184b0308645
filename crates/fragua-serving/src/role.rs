//! As what a version answers.

use serde::Serialize;

/// As what a version got a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The version that the registry names.
    Live,
    /// A version that answers a share of the requests.
    Canary,
    /// A version that predicts without answering.
    Shadow,
}

impl Role {
    /// Returns the role as bodies and tables spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Canary => "canary",
            Self::Shadow => "shadow",
        }
    }
}
