//! Random identifiers.

use rand::RngCore as _;

/// Returns `bytes` random bytes as lower-case hexadecimal, two characters a byte, from the thread's
/// cryptographically secure generator.
pub fn random_hex(bytes: usize) -> String {
    let mut random = vec![0; bytes];
    rand::rng().fill_bytes(&mut random);
    hex::encode(random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_two_characters_a_byte_and_differs() {
        let (one, other) = (random_hex(16), random_hex(16));
        assert_eq!(one.len(), 32);
        assert!(
            one.bytes()
                .all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
        );
        assert_ne!(one, other);
    }
}
