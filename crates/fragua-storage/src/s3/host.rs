//! Buckets named by the host: `bucket.s3.example.org` beside `s3.example.org/bucket`.

use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};

/// The names that this store is reached by.
pub(super) struct Hosts {
    domains: Vec<String>,
}

impl Hosts {
    pub(super) fn new(domains: &[String]) -> Self {
        let clean = |domain: &String| domain.trim_matches('.').to_ascii_lowercase();
        let domains = domains
            .iter()
            .map(clean)
            .filter(|domain| !domain.is_empty())
            .collect();
        Self { domains }
    }

    /// Returns the bucket that the host names. Any other host, known or not, leaves the bucket to the path.
    pub(super) fn bucket(&self, host: &str) -> Option<String> {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.domains.iter().find_map(|domain| {
            let bucket = name.strip_suffix(domain.as_str())?.strip_suffix('.')?;
            (!bucket.is_empty()).then(|| bucket.to_owned())
        })
    }
}

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let virtual_host = VirtualHost::new(host);
        Ok(match self.bucket(host) {
            Some(bucket) => virtual_host.with_bucket(bucket),
            None => virtual_host,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_below_a_domain_names_a_bucket() {
        let hosts = Hosts::new(&[
            "s3.localhost".to_owned(),
            "Data.Example.org.".to_owned(),
            String::new(),
        ]);
        for (host, bucket) in [
            ("s3.localhost:9000", None),
            ("s3.localhost", None),
            ("mlflow.s3.localhost:9000", Some("mlflow")),
            ("MLflow.S3.Localhost", Some("mlflow")),
            ("a.b.data.example.org", Some("a.b")),
            ("xs3.localhost", None),
            (".s3.localhost", None),
            ("minio:9000", None),
            ("127.0.0.1:9000", None),
            ("[::1]:9000", None),
        ] {
            assert_eq!(hosts.bucket(host).as_deref(), bucket, "{host}");
        }
    }
}
