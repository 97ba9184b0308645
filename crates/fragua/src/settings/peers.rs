//! Servers of other makers that settings name in the place of a role.

use fragua_base::Endpoints;

use super::Loaded;

impl Loaded {
    /// Returns whether another MLflow server takes the place of the role `tracking`.
    ///
    /// An address that is the role's own is what clients are given, and means the role itself.
    pub(crate) fn uses_other_tracking(&self) -> bool {
        let tracking = &self.settings.tracking;
        tracking
            .uri
            .as_ref()
            .is_some_and(|uri| !uri.is_loopback_port(tracking.port))
    }

    /// Returns whether another S3 takes the place of the role `storage`; its own address is the role itself.
    pub(crate) fn uses_other_storage(&self) -> bool {
        let storage = &self.settings.storage;
        storage
            .endpoint
            .as_ref()
            .is_some_and(|endpoint| !endpoint.is_loopback_port(storage.port))
    }

    /// Returns the region that signatures for the object store name.
    pub(crate) fn storage_region(&self) -> &str {
        match self.settings.storage.region.as_str() {
            "" if self.uses_other_storage() => "us-east-1",
            "" => fragua_storage::s3::CLIENT_REGION,
            given => given,
        }
    }

    /// Returns the addresses of the other servers, without credentials, as pages link them.
    pub(crate) fn other_endpoints(&self) -> Endpoints {
        let settings = &self.settings;
        let tracking = settings
            .tracking
            .uri
            .as_ref()
            .filter(|_| self.uses_other_tracking());
        let storage = settings
            .storage
            .endpoint
            .as_ref()
            .filter(|_| self.uses_other_storage());
        Endpoints {
            tracking: tracking.map(|uri| uri.shown()),
            storage: storage.map(|endpoint| endpoint.shown()),
            ..Endpoints::default()
        }
    }
}
