//! What goes by itself: rules that people set, and what they mean for an object at an instant.

mod decide;
mod rules;

pub(crate) use decide::{KeyVersion, Verdict, decide, upload_is_over};
pub use rules::{ExpireAfter, Lifecycle, LifecycleFilter, LifecycleRule, NoncurrentExpiration};
