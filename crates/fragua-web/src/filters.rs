//! What templates can do with a value.

#![expect(
    unreachable_pub,
    reason = "the attribute makes public types of its own in this private module"
)]

use askama::Values;
use fragua_base::Timestamp;

use crate::{format, page};

/// Percent-encodes a text for a segment or parameter of an address.
#[askama::filter_fn]
pub(crate) fn segment<T: AsRef<str>>(text: T, _: &dyn Values) -> askama::Result<String> {
    Ok(page::encode(text.as_ref()))
}

/// Writes an instant in UTC.
#[askama::filter_fn]
pub(crate) fn utc(instant: &Timestamp, _: &dyn Values) -> askama::Result<String> {
    Ok(format::instant(*instant))
}
