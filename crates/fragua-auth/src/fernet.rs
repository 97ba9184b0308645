//! Fernet, the encryption that MLflow keeps webhook secrets under, and Airflow connections and variables:
//! <https://github.com/fernet/spec>.

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use fragua_base::{Secret, Timestamp};
use hmac::{Hmac, Mac};
use rand::Rng as _;
use sha2::Sha256;

const VERSION: u8 = 0x80;
const KEY_BYTES: usize = 16;
const IV_BYTES: usize = 16;
const MAC_BYTES: usize = 32;
/// Version and time come before the initialisation vector.
const HEAD_BYTES: usize = 1 + 8;

/// Written with padding, read with and without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Encrypts texts and reads them again.
pub struct Fernet {
    signing: [u8; KEY_BYTES],
    encryption: [u8; KEY_BYTES],
}

impl std::fmt::Debug for Fernet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Fernet(***)")
    }
}

/// Returns a new key: 32 random bytes in URL-safe base64.
pub fn new_secret_key() -> Secret {
    Secret::new(BASE64.encode(rand::rng().random::<[u8; 2 * KEY_BYTES]>()))
}

impl Fernet {
    /// Reads a key: 32 bytes in URL-safe base64.
    pub fn new(key: &Secret) -> Option<Self> {
        let bytes: [u8; 2 * KEY_BYTES] = BASE64.decode(key.expose()).ok()?.try_into().ok()?;
        let (signing, encryption) = bytes.split_at(KEY_BYTES);
        Some(Self {
            signing: signing.try_into().ok()?,
            encryption: encryption.try_into().ok()?,
        })
    }

    /// Encrypts a text. Each call gives another token.
    pub fn encrypt(&self, text: &str, now: Timestamp) -> String {
        self.encrypt_with(text, now, rand::rng().random())
    }

    fn encrypt_with(&self, text: &str, now: Timestamp, iv: [u8; IV_BYTES]) -> String {
        let seconds = u64::try_from(now.as_millis() / 1000).unwrap_or(0);
        let cipher = cbc::Encryptor::<Aes128>::new(&self.encryption.into(), &iv.into());
        let mut token = vec![VERSION];
        token.extend(seconds.to_be_bytes());
        token.extend(iv);
        token.extend(cipher.encrypt_padded_vec_mut::<Pkcs7>(text.as_bytes()));
        let mac = self.mac(&token).finalize().into_bytes();
        token.extend(mac);
        BASE64.encode(token)
    }

    /// Returns the text of a token, or `None` when it was not made with this key.
    pub fn decrypt(&self, token: &str) -> Option<String> {
        let token = BASE64.decode(token).ok()?;
        let (signed, mac) = token.split_at_checked(token.len().checked_sub(MAC_BYTES)?)?;
        self.mac(signed).verify_slice(mac).ok()?;
        let (head, rest) = signed.split_at_checked(HEAD_BYTES)?;
        let (iv, encrypted) = rest.split_at_checked(IV_BYTES)?;
        if head.first() != Some(&VERSION) {
            return None;
        }
        let iv: [u8; IV_BYTES] = iv.try_into().ok()?;
        let cipher = cbc::Decryptor::<Aes128>::new(&self.encryption.into(), &iv.into());
        String::from_utf8(cipher.decrypt_padded_vec_mut::<Pkcs7>(encrypted).ok()?).ok()
    }

    fn mac(&self, signed: &[u8]) -> Hmac<Sha256> {
        let mac: Hmac<Sha256> = Mac::new_from_slice(&self.signing).expect("HMAC takes keys of any length");
        mac.chain_update(signed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published_key() -> Fernet {
        Fernet::new(&Secret::new("cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=")).unwrap()
    }

    /// `generate.json` and `verify.json` of the specification.
    #[test]
    fn published_token() {
        let token = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";
        let now = Timestamp::parse_rfc3339("1985-10-26T01:20:00-07:00").unwrap();
        let iv = std::array::from_fn(|index| u8::try_from(index).unwrap());
        assert_eq!(published_key().encrypt_with("hello", now, iv), token);
        assert_eq!(published_key().decrypt(token).as_deref(), Some("hello"));
    }

    /// `invalid.json` of the specification, without the cases about a token's age: a kept secret does not age.
    #[test]
    fn published_invalid_tokens() {
        for (what, token) in [
            (
                "incorrect mac",
                "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykQUFBQUFBQUFBQQ==",
            ),
            (
                "too short",
                "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPA==",
            ),
            (
                "invalid base64",
                "%%%%%%%%%%%%%AECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==",
            ),
            (
                "payload size not multiple of block size",
                "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPOm73QeoCk9uGib28Xe5vz6oxq5nmxbx_v7mrfyudzUm",
            ),
            (
                "payload padding error",
                "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0ODz4LEpdELGQAad7aNEHbf-JkLPIpuiYRLQ3RtXatOYREu2FWke6CnJNYIbkuKNqOhw==",
            ),
            (
                "incorrect IV",
                "gAAAAAAdwJ6xBQECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAkLhFLHpGtDBRLRTZeUfWgHSv49TF2AUEZ1TIvcZjK1zQ==",
            ),
            ("empty", ""),
        ] {
            assert_eq!(published_key().decrypt(token), None, "{what}");
        }
    }

    #[test]
    fn a_text_is_read_with_its_own_key_only() {
        let (one, other) = (new_secret_key(), new_secret_key());
        let (one, other) = (Fernet::new(&one).unwrap(), Fernet::new(&other).unwrap());
        for text in ["", "s", "sixteen bytes ok", "a longer secret with ñ"] {
            let token = one.encrypt(text, Timestamp::from_millis(1_000));
            assert_eq!(one.decrypt(&token).as_deref(), Some(text));
            assert_eq!(other.decrypt(&token), None);
            assert_ne!(token, one.encrypt(text, Timestamp::from_millis(1_000)));
        }
    }

    #[test]
    fn keys_have_32_bytes() {
        for (key, good) in [
            ("cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=", true),
            ("cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4", true),
            ("cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF", false),
            ("cw+0x689RpI+jtRR7oE8h/eQsKImvJapLeSbXpwF4e4=", false),
            ("a password", false),
            ("", false),
        ] {
            assert_eq!(Fernet::new(&Secret::new(key)).is_some(), good, "{key}");
        }
    }
}
