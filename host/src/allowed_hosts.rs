//! `allowed_outbound_hosts`: where a component may connect to.

use anyhow::{Context, Result, bail, ensure};
use url::Url;

/// The hosts that one component may connect to.
#[derive(Debug, Default)]
pub struct AllowedHosts(Vec<Pattern>);

/// One entry: `scheme://host:port`, with `*` for any scheme, any host, any subdomain (`*.example.com`) or any port.
#[derive(Debug)]
struct Pattern {
    scheme: Option<String>,
    host: HostPattern,
    ports: std::ops::RangeInclusive<u16>,
}

#[derive(Debug)]
enum HostPattern {
    Any,
    Subdomain(String),
    Literal(String),
}

impl AllowedHosts {
    /// Reads the entries, with all variables filled in.
    pub fn parse(entries: &[String]) -> Result<Self> {
        let patterns = entries
            .iter()
            .map(|entry| entry.trim())
            // As on Spin: an entry whose variable is empty allows nothing.
            .filter(|entry| !entry.is_empty() && !entry.ends_with("://"))
            .map(|entry| Pattern::parse(entry).with_context(|| format!("allowed_outbound_hosts: `{entry}`")))
            .collect::<Result<_>>()?;
        Ok(Self(patterns))
    }

    /// Whether a component may connect to this URL.
    pub fn allow(&self, url: &str) -> bool {
        Target::parse(url).is_some_and(|target| self.0.iter().any(|pattern| pattern.allows(&target)))
    }
}

impl Pattern {
    fn parse(entry: &str) -> Result<Self> {
        let (scheme, rest) =
            entry.split_once("://").context("it has no scheme; write <scheme>://<host>[:<port>], with `*` for any")?;
        ensure!(scheme == "*" || scheme.chars().all(|c| c.is_ascii_alphabetic()), "the scheme is letters, or `*`");
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        ensure!(!rest.contains(['/', '@']), "it is a host and a port only, without a path and a user");
        let (host, port) = split_port(rest);
        let ports = match port {
            None => {
                let port = default_port(scheme).context("the scheme has no default port; write one")?;
                port..=port
            }
            Some("*") => 0..=u16::MAX,
            Some(port) => match port.split_once("..") {
                Some((from, until)) => {
                    let until: u16 = until.parse().context("the port is not a number")?;
                    from.parse().context("the port is not a number")?..=until.saturating_sub(1)
                }
                None => {
                    let port = port.parse().context("the port is not a number")?;
                    port..=port
                }
            },
        };
        let host = host.to_ascii_lowercase();
        let host = match host.strip_prefix("*.") {
            _ if host == "*" => HostPattern::Any,
            _ if host == "self" || host == "self.alt" => {
                bail!("this host doesn't do requests to `self`")
            }
            Some(domain) => HostPattern::Subdomain(format!(".{domain}")),
            None => HostPattern::Literal(host),
        };
        match &host {
            HostPattern::Subdomain(name) | HostPattern::Literal(name) => {
                ensure!(!name.is_empty() && !name.contains(['*', '{', ' ']), "the host is a name, `*` or `*.<name>`");
            }
            HostPattern::Any => {}
        }
        Ok(Self { scheme: (scheme != "*").then(|| scheme.to_string()), host, ports })
    }

    fn allows(&self, target: &Target) -> bool {
        let host = match &self.host {
            HostPattern::Any => true,
            HostPattern::Subdomain(suffix) => target.host.ends_with(suffix),
            HostPattern::Literal(host) => target.host == *host,
        };
        host && self.ports.contains(&target.port) && self.scheme.as_ref().is_none_or(|scheme| *scheme == target.scheme)
    }
}

struct Target {
    scheme: String,
    host: String,
    port: u16,
}

impl Target {
    fn parse(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        let port = url.port().or_else(|| default_port(url.scheme()))?;
        Some(Self { scheme: url.scheme().to_owned(), host: url.host_str()?.to_ascii_lowercase(), port })
    }
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        // The colons of an IPv6 address stand in brackets.
        Some((host, port)) if !port.contains(']') => (host, Some(port).filter(|port| !port.is_empty())),
        _ => (authority, None),
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        "redis" => Some(6379),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn allows(entry: &str, url: &str) -> bool {
        AllowedHosts::parse(&[entry.to_string()]).unwrap().allow(url)
    }

    #[test]
    fn an_entry_allows_its_scheme_host_and_port_only() {
        assert!(allows("http://payment.spin.internal", "http://payment.spin.internal/payments?x=1"));
        assert!(!allows("http://payment.spin.internal", "http://order.spin.internal/"));
        assert!(!allows("http://a.test", "https://a.test/"));
        assert!(!allows("http://a.test", "http://a.test:81/"));
        assert!(!allows("http://a.test", "http://a.test.evil/"));
        assert!(!allows("http://a.test", "http://a.test@evil/"));
        assert!(allows("redis://127.0.0.1:6379", "redis://user:secret@127.0.0.1/0"));
        assert!(!allows("redis://127.0.0.1:6379", "redis://127.0.0.1:6380"));
    }

    #[test]
    fn a_star_stands_for_any() {
        assert!(allows("http://*.spin.internal", "http://payment.spin.internal/"));
        assert!(!allows("http://*.spin.internal", "http://spin.internal/"));
        assert!(allows("http://*:*", "http://anything:1234/"));
        assert!(allows("*://127.0.0.1:80", "http://127.0.0.1/"));
        assert!(allows("http://[::1]:8080", "http://[::1]:8080/"));
        assert!(allows("http://a:8000..8002", "http://a:8001/"));
        assert!(!allows("http://a:8000..8002", "http://a:8002/"));
    }

    #[test]
    fn what_is_no_host_is_refused_with_the_entry_in_the_message() {
        for entry in ["payment.spin.internal", "*", "http://a/path", "ftp://a", "http://a:x", "http://self"] {
            let error = AllowedHosts::parse(&[entry.to_string()]).unwrap_err();
            assert!(error.to_string().contains(entry), "{error}");
        }
    }

    #[test]
    fn an_entry_whose_variable_is_empty_allows_nothing() {
        let hosts = AllowedHosts::parse(&[String::new(), "http://".to_string()]).unwrap();
        assert!(!hosts.allow("http://a"));
    }
}
