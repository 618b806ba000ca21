//! Requests as bytes, and whom they go to.

use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;

/// A server: resolved once, so that the address that was checked is the one that is spoken to.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    /// As the head names it: host and port.
    pub authority: String,
    /// For `https`.
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// Goes into the head as a bearer token; shown nowhere.
    key: Option<String>,
}

impl Target {
    /// The server at `url` (`http://host:port` or `https://…`).
    ///
    /// # Errors
    /// What is wrong with `url`, `key` or `ca`; an address off this machine that `anywhere` does not allow.
    pub fn new(url: &str, key: Option<&str>, ca: Option<&Path>, anywhere: bool) -> Result<Target, String> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| format!("--url is {url:?}, expected http://HOST:PORT or https://…"))?;
        let secure = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(format!("--url is {url:?}, expected http:// or https://")),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.is_empty() || authority.contains(['/', '?', '#', '@']) || authority.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(format!("--url is {url:?}, expected no more than a host and a port behind {scheme}://"));
        }
        // The last colon parts the port, unless it stands inside the brackets of an IPv6 address.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let port = match port {
            Some(port) => port.parse().map_err(|_| format!("--url: port is {port:?}, expected 1 to 65535"))?,
            None if secure => 443,
            None => 80,
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<SocketAddr> =
            (host, port).to_socket_addrs().map_err(|error| format!("--url: {host}: no address: {error}"))?.collect();
        let address = *addresses.first().ok_or_else(|| format!("--url: {host}: no address"))?;
        if let Some(elsewhere) = addresses.iter().find(|address| !address.ip().is_loopback())
            && !anywhere
        {
            return Err(format!("--url: {host} is {}, expected this machine's loopback, or --i-own-this-host", elsewhere.ip()));
        }
        if let Some(key) = key
            && (key.is_empty() || key.bytes().any(|byte| !byte.is_ascii_graphic()))
        {
            return Err("--key: found an empty text, a blank or an odd character, expected an API key".to_owned());
        }
        let tls = match (secure, ca) {
            (false, None) => None,
            (false, Some(_)) => return Err("--ca is given, but --url is http://, expected https://".to_owned()),
            (true, None) => return Err("--url is https://, expected --ca FILE with the certificate that signed the server's".to_owned()),
            (true, Some(ca)) => {
                let name = ServerName::try_from(host.to_owned()).map_err(|error| format!("--url: {host}: {error}"))?;
                Some((Arc::new(trusting(ca)?), name))
            }
        };
        Ok(Target { address, authority: authority.to_owned(), tls, key: key.map(str::to_owned) })
    }

    /// The lines of a head that every request to this server has.
    fn common(&self) -> String {
        let mut head = format!("host: {}\r\nuser-agent: weir-loadtest/{}\r\n", self.authority, env!("CARGO_PKG_VERSION"));
        if let Some(key) = &self.key {
            head.push_str("authorization: Bearer ");
            head.push_str(key);
            head.push_str("\r\n");
        }
        head
    }

    /// `GET path`.
    pub fn get(&self, path: &str) -> Vec<u8> {
        format!("GET {path} HTTP/1.1\r\n{}\r\n", self.common()).into_bytes()
    }
}

fn trusting(ca: &Path) -> Result<ClientConfig, String> {
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}, expected certificates in PEM", ca.display());
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).map_err(|error| at(&error))? {
        roots.add(certificate.map_err(|error| at(&error))?).map_err(|error| at(&error))?;
    }
    if roots.is_empty() {
        return Err(at(&"found none"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

/// The head of a `POST /v1/authorizations`, made once.
pub struct Authorization {
    head: Vec<u8>,
}

impl Authorization {
    pub fn new(target: &Target, deadline_ms: u64) -> Authorization {
        let head = format!(
            "POST /v1/authorizations HTTP/1.1\r\n{}content-type: application/json\r\nweir-deadline-ms: {deadline_ms}\r\ncontent-length: ",
            target.common()
        );
        Authorization { head: head.into_bytes() }
    }

    /// The whole request that carries `body`.
    pub fn request(&self, body: &[u8]) -> Vec<u8> {
        let mut request = Vec::with_capacity(self.head.len() + 24 + body.len());
        request.extend_from_slice(&self.head);
        request.extend_from_slice(body.len().to_string().as_bytes());
        request.extend_from_slice(b"\r\n\r\n");
        request.extend_from_slice(body);
        request
    }
}

/// The path of the decision on `id`, whatever bytes the id has.
pub fn decision_path(id: &str) -> String {
    let mut path = String::from("/v1/decisions/");
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => path.push(char::from(byte)),
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        Target::new(url, None, None, false).err().unwrap_or_default()
    }

    #[test]
    fn only_loopback_unless_told_otherwise() {
        for url in ["http://127.0.0.1:8080", "http://127.9.9.9:1/", "http://[::1]:8080"] {
            assert_eq!(refusal(url), "", "{url}");
        }
        for url in ["http://192.0.2.1:8080", "http://0.0.0.0:8080", "http://[2001:db8::1]:80", "http://[::]:80"] {
            assert!(refusal(url).contains("--i-own-this-host"), "{url}: {}", refusal(url));
            assert!(Target::new(url, None, None, true).is_ok(), "{url}");
        }
    }

    #[test]
    fn urls_that_say_more_or_less_are_refused() {
        for url in ["127.0.0.1:8080", "ftp://127.0.0.1", "http://", "http://u:p@127.0.0.1", "http://127.0.0.1/x", "http://127.0.0.1:99999"]
        {
            assert!(refusal(url).contains("expected"), "{url}: {}", refusal(url));
        }
        assert!(refusal("https://127.0.0.1").contains("--ca"));
        assert!(Target::new("http://127.0.0.1", Some("a\r\nb: c"), None, false).is_err(), "a key must not write lines of its own");
    }

    #[test]
    fn requests_are_whole() {
        let target = Target::new("http://127.0.0.1:9", Some("k1"), None, false).expect("a target");
        let request = Authorization::new(&target, 10).request(b"{}");
        let text = String::from_utf8(request).expect("ascii");
        assert!(text.starts_with("POST /v1/authorizations HTTP/1.1\r\nhost: 127.0.0.1:9\r\n"), "{text}");
        assert!(text.contains("\r\nauthorization: Bearer k1\r\n") && text.contains("\r\nweir-deadline-ms: 10\r\n"), "{text}");
        assert!(text.ends_with("\r\ncontent-length: 2\r\n\r\n{}"), "{text}");
        assert_eq!(decision_path("a/b é"), "/v1/decisions/a%2Fb%20%C3%A9");
    }
}
