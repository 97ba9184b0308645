//! Permits: signed parameters of an address that allow one kind of request until their time is over.
//!
//! MLflow's client sends the parts of an upload, and the ranges of a download, to addresses it is given, without its
//! own credentials: what allows the request has to be part of the address.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fragua_base::Timestamp;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::ArtifactPath;

/// What one address is good for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Permit<'a> {
    /// Reading an artifact.
    Read {
        /// The artifact.
        path: &'a ArtifactPath,
    },
    /// Writing one part of an upload.
    WritePart {
        /// The artifact it is part of.
        path: &'a ArtifactPath,
        /// The upload.
        upload_id: &'a str,
        /// The part.
        number: u32,
    },
}

/// Signs permits and knows its signatures again.
pub(crate) struct Signer(Hmac<Sha256>);

impl Signer {
    /// Derives the key from the secret of the server, so that every process that has the secret knows the others'
    /// signatures, and a signature tells nothing about what else the secret protects.
    pub(crate) fn new(secret: &[u8]) -> Self {
        let derived = keyed(secret)
            .chain_update("fragua permits")
            .finalize()
            .into_bytes();
        Self(keyed(&derived))
    }

    /// Returns the signature for an address that ends at `expires_at`.
    pub(crate) fn sign(&self, permit: Permit<'_>, expires_at: Timestamp) -> String {
        URL_SAFE_NO_PAD.encode(self.mac(permit, expires_at).finalize().into_bytes())
    }

    /// Returns whether the signature is ours and its time is not over.
    pub(crate) fn allows(
        &self,
        permit: Permit<'_>,
        expires_at: Timestamp,
        signature: &str,
        now: Timestamp,
    ) -> bool {
        let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else {
            return false;
        };
        now < expires_at && self.mac(permit, expires_at).verify_slice(&signature).is_ok()
    }

    /// A path has no line breaks and the numbers stand at the end: no two permits have the same text.
    fn mac(&self, permit: Permit<'_>, expires_at: Timestamp) -> Hmac<Sha256> {
        let expires_at = expires_at.as_millis();
        let text = match permit {
            Permit::Read { path } => format!("read\n{path}\n{expires_at}"),
            Permit::WritePart {
                path,
                upload_id,
                number,
            } => format!("write part\n{path}\n{upload_id}\n{number}\n{expires_at}"),
        };
        self.0.clone().chain_update(text)
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_allows_what_was_signed_and_nothing_else() {
        let at = Timestamp::from_millis;
        let path = |text| ArtifactPath::parse(text).unwrap();
        let (mine, other) = (
            path("1/run/artifacts/model.bin"),
            path("1/run/artifacts/other.bin"),
        );
        let part = |path, upload_id, number| Permit::WritePart {
            path,
            upload_id,
            number,
        };
        let signer = Signer::new(b"secret");
        let signature = signer.sign(part(&mine, "u", 2), at(1_000));
        for (permit, expires_at, now, expected) in [
            (part(&mine, "u", 2), 1_000, 999, true),
            (part(&mine, "u", 2), 1_000, 1_000, false),
            (part(&mine, "u", 2), 9_000, 999, false),
            (part(&mine, "u", 3), 1_000, 999, false),
            (part(&mine, "v", 2), 1_000, 999, false),
            (part(&other, "u", 2), 1_000, 999, false),
            (Permit::Read { path: &mine }, 1_000, 999, false),
        ] {
            let allowed = signer.allows(permit, at(expires_at), &signature, at(now));
            assert_eq!(allowed, expected, "{permit:?} until {expires_at} at {now}");
        }
        let again = Signer::new(b"secret");
        assert!(again.allows(part(&mine, "u", 2), at(1_000), &signature, at(0)));
        let foreign = Signer::new(b"other secret");
        assert!(!foreign.allows(part(&mine, "u", 2), at(1_000), &signature, at(0)));
        for signature in ["", "a", "§", &signature[1..]] {
            assert!(!signer.allows(part(&mine, "u", 2), at(1_000), signature, at(0)));
        }
    }
}
