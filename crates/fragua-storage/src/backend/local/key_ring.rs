//! The keys that data keys are encrypted with.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{AeadInPlace, KeyInit};
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use fragua_base::Secret;

use crate::Error;
use crate::encryption::{DataKey, Encryption, KEY_BYTES, KeptKey, derive};

const NONCE_BYTES: usize = 12;

/// The form of the keys in settings, with or without padding.
const KEY_TEXT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Several keys: the first encrypts, each decrypts.
#[derive(Default)]
pub(super) struct KeyRing(Vec<Key>);

struct Key {
    /// Names it where it encrypted something, and tells nothing of it.
    id: String,
    cipher: Aes256Gcm,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("KeyRing(***)")
    }
}

impl KeyRing {
    /// Reads keys with commas between them: 32 bytes each in URL-safe base64.
    pub(super) fn new(keys: &Secret) -> Option<Self> {
        let key = |text: &str| {
            let bytes: [u8; KEY_BYTES] = KEY_TEXT.decode(text.trim()).ok()?.try_into().ok()?;
            let wrapping = derive(&bytes, &[b"wrap"]);
            Some(Key {
                id: hex::encode(&derive(&bytes, &[b"id"])[..8]),
                cipher: Aes256Gcm::new(&wrapping.into()),
            })
        };
        keys.expose().split(',').map(key).collect::<Option<_>>().map(Self)
    }

    fn first(&self) -> Result<&Key, Error> {
        self.0
            .first()
            .ok_or(Error::NotSupported("encryption without a key of the store"))
    }

    /// Encrypts a data key.
    pub(super) fn wrap(&self, key: &DataKey) -> Result<Encryption, Error> {
        let first = self.first()?;
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let mut bytes = key.0;
        let tag = first
            .cipher
            .encrypt_in_place_detached(&nonce.into(), &[], &mut bytes)
            .expect("a key is far below the limit of the algorithm");
        let wrapped = STANDARD.encode([&nonce[..], &bytes, &tag].concat());
        Ok(Encryption::wrapped(first.id.clone(), wrapped))
    }

    /// Decrypts a data key.
    pub(super) fn unwrap(&self, key_id: &str, wrapped: &str) -> Result<DataKey, Error> {
        let missing = || Error::EncryptionKeyMissing {
            key_id: key_id.chars().take(16).collect(),
        };
        let key = self.0.iter().find(|key| key.id == key_id).ok_or_else(missing)?;
        let open = || {
            let bytes = STANDARD.decode(wrapped).ok()?;
            let (nonce, rest) = bytes.split_at_checked(NONCE_BYTES)?;
            let (sealed, tag) = rest.split_at_checked(KEY_BYTES)?;
            let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
            let tag: [u8; 16] = tag.try_into().ok()?;
            let mut data_key: [u8; KEY_BYTES] = sealed.try_into().ok()?;
            let opened = key
                .cipher
                .decrypt_in_place_detached(&nonce.into(), &[], &mut data_key, &tag.into());
            opened.ok().map(|()| DataKey(data_key))
        };
        open().ok_or_else(missing)
    }

    /// Encrypts a data key with the first key, or returns `None` where it is already, or is not of the ring.
    pub(super) fn rewrap(&self, encryption: &Encryption) -> Result<Option<Encryption>, Error> {
        let KeptKey::Wrapped { key_id, wrapped } = &encryption.key else {
            return Ok(None);
        };
        if *key_id == self.first()?.id {
            return Ok(None);
        }
        let mut rewrapped = self.wrap(&self.unwrap(key_id, wrapped)?)?;
        rewrapped.parts.clone_from(&encryption.parts);
        Ok(Some(rewrapped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(keys: &[u8]) -> KeyRing {
        let texts: Vec<String> = keys
            .iter()
            .map(|byte| KEY_TEXT.encode([*byte; KEY_BYTES]))
            .collect();
        KeyRing::new(&Secret::new(texts.join(", "))).unwrap()
    }

    fn open(ring: &KeyRing, encryption: &Encryption) -> Result<DataKey, Error> {
        let KeptKey::Wrapped { key_id, wrapped } = &encryption.key else {
            panic!("not wrapped")
        };
        ring.unwrap(key_id, wrapped)
    }

    #[test]
    fn the_first_key_encrypts_and_each_decrypts() {
        let data_key = DataKey([9; KEY_BYTES]);
        let (old, both, new) = (ring(&[1]), ring(&[2, 1]), ring(&[2]));
        let wrapped = old.wrap(&data_key).unwrap();
        assert_ne!(wrapped, old.wrap(&data_key).unwrap());
        assert_eq!(open(&both, &wrapped).unwrap(), data_key);
        assert!(matches!(
            open(&new, &wrapped),
            Err(Error::EncryptionKeyMissing { .. })
        ));
        let rewrapped = both.rewrap(&wrapped).unwrap().unwrap();
        assert_eq!(open(&new, &rewrapped).unwrap(), data_key);
        assert!(open(&old, &rewrapped).is_err());
        assert_eq!(both.rewrap(&rewrapped).unwrap(), None);
    }

    #[test]
    fn a_changed_key_is_not_opened() {
        let ring = ring(&[1]);
        let wrapped = ring.wrap(&DataKey([9; KEY_BYTES])).unwrap();
        let KeptKey::Wrapped { key_id, wrapped } = wrapped.key else {
            panic!("not wrapped")
        };
        let mut bytes = STANDARD.decode(&wrapped).unwrap();
        bytes[20] ^= 1;
        assert!(ring.unwrap(&key_id, &STANDARD.encode(bytes)).is_err());
        assert!(ring.unwrap(&key_id, "short").is_err());
    }

    #[test]
    fn keys_have_32_bytes_and_there_is_one() {
        for text in ["", "a password", "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=,"] {
            assert!(KeyRing::new(&Secret::new(text)).is_none(), "{text}");
        }
        assert!(KeyRing::default().wrap(&DataKey([9; KEY_BYTES])).is_err());
    }
}
