//! Random identifiers.

use rand::Rng;

/// Returns `bytes` random bytes as lower-case hexadecimal, two characters a byte, from the thread's
/// cryptographically secure generator.
pub fn random_hex(bytes: usize) -> String {
    let mut generator = rand::rng();
    (0..bytes)
        .map(|_| format!("{:02x}", generator.random::<u8>()))
        .collect()
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
