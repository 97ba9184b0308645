//! Which addresses may be listened on.

use std::net::SocketAddr;

/// An address that other machines reach, while nobody has to log in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{address} is reachable from other machines and there are no users yet; listen on 127.0.0.1 or ::1")]
pub struct BindRefused {
    address: SocketAddr,
}

/// Allows loopback addresses only: whoever reaches a port may do everything there, as there are no users yet.
///
/// # Errors
/// When the address is not a loopback address.
pub fn check_bind(address: SocketAddr) -> Result<(), BindRefused> {
    if address.ip().to_canonical().is_loopback() {
        Ok(())
    } else {
        Err(BindRefused { address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_allowed() {
        for (address, allowed) in [
            ("127.0.0.1:8080", true),
            ("127.8.8.8:1", true),
            ("[::1]:8080", true),
            ("[::ffff:127.0.0.1]:80", true),
            ("0.0.0.0:8080", false),
            ("[::]:8080", false),
            ("192.168.1.10:8080", false),
        ] {
            assert_eq!(check_bind(address.parse().unwrap()).is_ok(), allowed, "{address}");
        }
    }
}
