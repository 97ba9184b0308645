//! Encryption at rest: who holds the key of an object, and what is kept of it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{Error, ObjectMeta};

/// The length of every key: AES-256 is used throughout.
pub(crate) const KEY_BYTES: usize = 32;

/// How the bytes of a new object are to lie on the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Encrypt {
    /// As the bucket's default and the settings of the store say.
    #[default]
    AsBucket,
    /// Encrypted with a key that the store keeps.
    Aes256,
    /// Encrypted with a key that the client sends with each request.
    CustomerKey(CustomerKey),
}

impl Encrypt {
    /// Returns the client's key.
    pub(crate) fn customer_key(&self) -> Option<&CustomerKey> {
        match self {
            Self::CustomerKey(key) => Some(key),
            Self::AsBucket | Self::Aes256 => None,
        }
    }
}

/// What is done with new objects of a bucket whose writers say nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DefaultEncryption {
    /// They are encrypted with a key that the store keeps.
    #[serde(rename = "AES256")]
    Aes256,
}

/// A key that a client sends and nobody keeps.
#[derive(Clone, PartialEq, Eq)]
pub struct CustomerKey([u8; KEY_BYTES]);

impl CustomerKey {
    /// Wraps the bytes of a key.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// Returns the MD5 of the key in base64, by which clients name it.
    pub fn md5(&self) -> String {
        STANDARD.encode(Md5::digest(self.0))
    }
}

impl fmt::Debug for CustomerKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CustomerKey(***)")
    }
}

/// What the bytes of one object, or of the parts of one upload, are encrypted with.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct DataKey(pub(crate) [u8; KEY_BYTES]);

impl fmt::Debug for DataKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DataKey(***)")
    }
}

/// Derives a key from another one; different contexts give keys that tell nothing of each other.
pub(crate) fn derive(key: &[u8; KEY_BYTES], context: &[&[u8]]) -> [u8; KEY_BYTES] {
    mac(key, context).finalize().into_bytes().into()
}

fn mac(key: &[u8; KEY_BYTES], context: &[&[u8]]) -> Hmac<Sha256> {
    let mac: Hmac<Sha256> = Mac::new_from_slice(key).expect("HMAC takes keys of any length");
    context.iter().fold(mac, |mac, part| mac.chain_update(part))
}

/// How the bytes of an object are encrypted. It holds nothing that opens them without a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    pub(crate) key: KeptKey,
    /// The numbers of the parts that lie in the file, each encrypted by itself, as runs of a first number and a count.
    /// Empty where the bytes were written at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) parts: Vec<(u32, u32)>,
}

/// What is kept of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeptKey {
    /// The data key, encrypted with a key of the ring.
    Wrapped {
        /// Which of the ring's keys that is.
        key_id: String,
        /// Nonce, data key and tag in base64.
        wrapped: String,
    },
    /// What tells whether a client's key is the one.
    Customer {
        /// In hexadecimal.
        salt: String,
        /// In hexadecimal.
        check: String,
    },
}

impl Encryption {
    pub(crate) fn wrapped(key_id: String, wrapped: String) -> Self {
        Self {
            key: KeptKey::Wrapped { key_id, wrapped },
            parts: Vec::new(),
        }
    }

    /// Returns what is kept of a client's key.
    pub(crate) fn with_customer_key(key: &CustomerKey, salt: String) -> Self {
        let check = hex::encode(derive(&key.0, &[b"check", salt.as_bytes()]));
        Self {
            key: KeptKey::Customer { salt, check },
            parts: Vec::new(),
        }
    }

    /// Returns whether the client holds the key.
    pub fn is_customer_key(&self) -> bool {
        matches!(self.key, KeptKey::Customer { .. })
    }

    /// Returns the data key that follows from a client's key, or `None` when it is another one.
    pub(crate) fn open_with(&self, key: &CustomerKey) -> Option<DataKey> {
        let KeptKey::Customer { salt, check } = &self.key else {
            return None;
        };
        let check = hex::decode(check).ok()?;
        mac(&key.0, &[b"check", salt.as_bytes()])
            .verify_slice(&check)
            .ok()?;
        Some(DataKey(derive(&key.0, &[b"data", salt.as_bytes()])))
    }
}

/// Succeeds when a client may have what is encrypted so with the key that it sent, or without one.
///
/// # Errors
/// [`Error::CustomerKeyMissing`], [`Error::CustomerKeyDiffers`], [`Error::CustomerKeyUnneeded`].
pub(crate) fn check_customer_key(
    encryption: Option<&Encryption>,
    key: Option<&CustomerKey>,
) -> Result<(), Error> {
    match (encryption.filter(|encryption| encryption.is_customer_key()), key) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(Error::CustomerKeyUnneeded),
        (Some(_), None) => Err(Error::CustomerKeyMissing),
        (Some(encryption), Some(key)) => match encryption.open_with(key) {
            Some(_) => Ok(()),
            None => Err(Error::CustomerKeyDiffers),
        },
    }
}

impl ObjectMeta {
    /// Succeeds when the object's bytes can be read with this key of a client, or without one.
    ///
    /// # Errors
    /// [`Error::CustomerKeyMissing`], [`Error::CustomerKeyDiffers`], [`Error::CustomerKeyUnneeded`].
    pub fn check_customer_key(&self, key: Option<&CustomerKey>) -> Result<(), Error> {
        check_customer_key(self.encryption.as_ref(), key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_again_and_not_kept() {
        let (key, other) = (CustomerKey::new([7; 32]), CustomerKey::new([8; 32]));
        let kept = Encryption::with_customer_key(&key, "salt".to_owned());
        let text = serde_json::to_string(&kept).unwrap();
        let kept: Encryption = serde_json::from_str(&text).unwrap();
        let data_key = kept.open_with(&key).unwrap();
        assert!(kept.open_with(&other).is_none());
        for secret in [key.0, data_key.0] {
            assert!(!text.contains(&hex::encode(secret)) && !text.contains(&STANDARD.encode(secret)));
        }
        let again = Encryption::with_customer_key(&key, "pepper".to_owned());
        assert_ne!(again.open_with(&key).unwrap(), data_key);
        assert_eq!(format!("{key:?} {data_key:?}"), "CustomerKey(***) DataKey(***)");
        assert_eq!(key.md5(), STANDARD.encode(Md5::digest([7; 32])));
    }
}
