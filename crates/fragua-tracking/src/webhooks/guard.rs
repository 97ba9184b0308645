//! Keeps webhooks from reaching what is not public: the machine itself, its network, the metadata of its cloud.
//!
//! An address is checked when a webhook is made, and again by every connection: the addresses that a name has at that
//! moment are checked and then connected to, so that a name which changes its address in between gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::WebhookSettings;
use crate::{Error, validation};

/// How long a name may take to be resolved.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
/// The width of the column.
const MAX_URL_CHARS: usize = 500;

/// Why a name, or an address in place of one, is not connected to.
#[derive(Debug, thiserror::Error)]
pub(super) enum NameFailure {
    /// It leads to where webhooks must not.
    #[error("{0}")]
    NotPublic(String),
    /// It leads nowhere now.
    #[error("{0}")]
    Unresolved(String),
}

impl From<NameFailure> for Error {
    fn from(failure: NameFailure) -> Self {
        Self::InvalidParameter(failure.to_string())
    }
}

/// Checks addresses, and resolves names for the HTTP client.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    allowed_schemes: Vec<String>,
    allow_private_addresses: bool,
}

impl Guard {
    pub(super) fn new(settings: &WebhookSettings) -> Self {
        Self {
            allowed_schemes: settings.allowed_schemes.clone(),
            allow_private_addresses: settings.allow_private_addresses,
        }
    }

    /// Checks what can be known of an address without asking anybody.
    pub(super) fn check(&self, text: &str) -> Result<Url, Error> {
        if text.trim().is_empty() {
            return Err(Error::invalid(format!(
                "Webhook URL cannot be empty or just whitespace: '{text}'"
            )));
        }
        validation::max_chars("url", text, MAX_URL_CHARS)?;
        let invalid = |why: &dyn std::fmt::Display| {
            Error::invalid(format!(
                "Invalid webhook URL '{}': {why}",
                validation::shorten(text)
            ))
        };
        let url = Url::parse(text).map_err(|error| invalid(&error))?;
        if !self.allowed_schemes.iter().any(|scheme| scheme == url.scheme()) {
            return Err(Error::invalid(format!(
                "Invalid webhook URL scheme: '{}'. Allowed schemes are: {}.",
                validation::shorten(url.scheme()),
                self.allowed_schemes.join(", ")
            )));
        }
        match url.host() {
            None => return Err(invalid(&"it must include a hostname")),
            Some(Host::Ipv4(address)) => self.check_address(text_of(&url), address.into())?,
            Some(Host::Ipv6(address)) => self.check_address(text_of(&url), address.into())?,
            Some(Host::Domain(_)) => {}
        }
        Ok(url)
    }

    /// Checks an address, and what its name stands for now.
    pub(super) async fn check_resolved(&self, text: &str) -> Result<Url, Error> {
        let url = self.check(text)?;
        if let (Some(Host::Domain(name)), false) = (url.host(), self.allow_private_addresses) {
            self.resolve_name(name).await?;
        }
        Ok(url)
    }

    /// Returns the addresses of a name, if all of them may be connected to.
    async fn resolve_name(&self, name: &str) -> Result<Vec<SocketAddr>, NameFailure> {
        let failed = |why: &dyn std::fmt::Display| {
            NameFailure::Unresolved(format!(
                "Cannot resolve Webhook URL hostname '{}': {why}",
                validation::shorten(name)
            ))
        };
        let found = tokio::time::timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host((name, 0)))
            .await
            .map_err(|_| failed(&"it took too long"))?
            .map_err(|error| failed(&error))?;
        let addresses: Vec<_> = found.collect();
        if addresses.is_empty() {
            return Err(failed(&"it has no address"));
        }
        for address in &addresses {
            self.check_address(name, address.ip())?;
        }
        Ok(addresses)
    }

    fn check_address(&self, host: &str, address: IpAddr) -> Result<(), NameFailure> {
        if self.allow_private_addresses || is_public(address) {
            return Ok(());
        }
        Err(NameFailure::NotPublic(format!(
            "Webhook URL must not resolve to a non-public IP address. '{}' resolves to {address}.",
            validation::shorten(host)
        )))
    }
}

fn text_of(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let addresses = guard.resolve_name(name.as_str()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Returns whether an address is one of the public internet: by the registries of special-purpose addresses (RFC 6890
/// and its successors), and for addresses that carry another one inside, by that one.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    const SPECIAL: [(Ipv4Addr, u32); 14] = [
        (Ipv4Addr::new(0, 0, 0, 0), 8),
        (Ipv4Addr::new(10, 0, 0, 0), 8),
        (Ipv4Addr::new(100, 64, 0, 0), 10),
        (Ipv4Addr::new(127, 0, 0, 0), 8),
        (Ipv4Addr::new(169, 254, 0, 0), 16),
        (Ipv4Addr::new(172, 16, 0, 0), 12),
        (Ipv4Addr::new(192, 0, 0, 0), 24),
        (Ipv4Addr::new(192, 0, 2, 0), 24),
        (Ipv4Addr::new(192, 88, 99, 0), 24),
        (Ipv4Addr::new(192, 168, 0, 0), 16),
        (Ipv4Addr::new(198, 18, 0, 0), 15),
        (Ipv4Addr::new(198, 51, 100, 0), 24),
        (Ipv4Addr::new(203, 0, 113, 0), 24),
        // Multicast, reserved, broadcast.
        (Ipv4Addr::new(224, 0, 0, 0), 3),
    ];
    let within = |(network, length): &(Ipv4Addr, u32)| {
        let shift = 32 - length;
        address.to_bits() >> shift == network.to_bits() >> shift
    };
    !SPECIAL.iter().any(within)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded =
        |high: u16, low: u16| is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match segments {
        // Mapped IPv4, and NAT64.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        // 6to4.
        [0x2002, high, low, ..] => embedded(high, low),
        // IETF's own (Teredo among them), documentation.
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        // Global unicast is all there is to reach; local, link-local, multicast and the rest lie outside of it.
        [first, ..] => first >> 13 == 0b001,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(allow_private_addresses: bool) -> Guard {
        Guard {
            allowed_schemes: vec!["https".to_owned()],
            allow_private_addresses,
        }
    }

    #[test]
    fn public_addresses() {
        for (address, expected) in [
            ("8.8.8.8", true),
            ("1.1.1.1", true),
            ("172.15.0.1", true),
            ("172.32.0.1", true),
            ("100.63.255.255", true),
            ("223.255.255.255", true),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("10.0.0.1", false),
            ("100.64.0.1", false),
            ("100.127.255.255", false),
            ("127.0.0.1", false),
            ("127.255.255.254", false),
            ("169.254.169.254", false),
            ("172.16.0.1", false),
            ("172.31.255.255", false),
            ("192.0.0.8", false),
            ("192.0.2.1", false),
            ("192.168.1.1", false),
            ("198.19.0.1", false),
            ("198.51.100.1", false),
            ("203.0.113.1", false),
            ("224.0.0.1", false),
            ("240.0.0.1", false),
            ("255.255.255.255", false),
            ("2606:4700:4700::1111", true),
            ("2a00:1450::1", true),
            ("::", false),
            ("::1", false),
            ("::127.0.0.1", false),
            ("::ffff:8.8.8.8", true),
            ("::ffff:127.0.0.1", false),
            ("::ffff:169.254.169.254", false),
            ("64:ff9b::8.8.8.8", true),
            ("64:ff9b::10.0.0.1", false),
            ("64:ff9b:1::1", false),
            ("100::1", false),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("2002:0808:0808::1", true),
            ("2002:7f00:1::1", false),
            ("3fff::1", false),
            ("fc00::1", false),
            ("fd00:ec2::254", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn addresses_of_webhooks() {
        let long = format!("https://example.com/{}", "x".repeat(500));
        for (text, expected) in [
            ("https://example.com/hook?a=b", ""),
            ("https://user:password@example.com:8443/", ""),
            ("https://8.8.8.8/", ""),
            (
                "http://example.com/",
                "Invalid webhook URL scheme: 'http'. Allowed schemes are: https.",
            ),
            (
                "file:///etc/passwd",
                "Invalid webhook URL scheme: 'file'. Allowed schemes are: https.",
            ),
            ("ftp://example.com", "Invalid webhook URL scheme: 'ftp'."),
            ("example.com/hook", "Invalid webhook URL 'example.com/hook': "),
            ("https://", "Invalid webhook URL 'https://': "),
            ("", "Webhook URL cannot be empty"),
            ("  ", "Webhook URL cannot be empty"),
            (&long, "'url' exceeds the maximum length of 500 characters"),
            ("https://127.0.0.1/", "'127.0.0.1' resolves to 127.0.0.1."),
            // The spellings that libraries of C understand too.
            ("https://127.1/", "'127.0.0.1' resolves to 127.0.0.1."),
            ("https://0x7f000001/", "'127.0.0.1' resolves to 127.0.0.1."),
            ("https://017700000001/", "'127.0.0.1' resolves to 127.0.0.1."),
            ("https://2130706433/", "'127.0.0.1' resolves to 127.0.0.1."),
            (
                "https://169.254.169.254/latest/meta-data",
                "must not resolve to a non-public IP address",
            ),
            ("https://[::1]/", "'[::1]' resolves to ::1."),
            (
                "https://[::ffff:10.0.0.1]/",
                "must not resolve to a non-public IP address",
            ),
        ] {
            match guard(false).check(text) {
                Ok(_) => assert_eq!(expected, "", "{text}"),
                Err(error) => {
                    let error = error.to_string();
                    assert!(
                        !expected.is_empty() && error.contains(expected),
                        "{text}: {error}"
                    );
                }
            }
        }
        assert!(guard(true).check("https://127.0.0.1/").is_ok());
        assert!(guard(true).check("http://127.0.0.1/").is_err());
    }

    #[tokio::test]
    async fn a_name_is_as_public_as_its_addresses() {
        let refused = guard(false)
            .check_resolved("https://localhost/hook")
            .await
            .unwrap_err();
        let refused = refused.to_string();
        assert!(refused.contains("'localhost' resolves to"), "{refused}");
        assert!(guard(true).check_resolved("https://localhost/hook").await.is_ok());
        // Reserved to be nobody's name (RFC 6761).
        let unknown = guard(false)
            .check_resolved("https://nobody.invalid/")
            .await
            .unwrap_err();
        assert!(
            unknown
                .to_string()
                .contains("Cannot resolve Webhook URL hostname 'nobody.invalid'")
        );
    }
}
