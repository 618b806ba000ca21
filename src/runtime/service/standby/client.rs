//! The little HTTP that a standby needs: one request a connection, over TCP or TLS, read as it comes.
//!
//! Blocking, because the thread that follows has nothing else to do; another thread ends its wait by shutting the socket.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration as Wall;

/// How long a connection may take to come about.
const CONNECT_PATIENCE: Wall = Wall::from_secs(2);
/// Bytes of a line of an answer's head.
const LINE_BYTES_MAX: u64 = 8 << 10;
/// Bytes of an answer that is no stream.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Another Weir: where it is, and how one comes in.
#[derive(Clone)]
pub struct Peer {
    host: String,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
    /// The value of the header `Authorization`.
    authorization: Option<String>,
}

impl fmt::Debug for Peer {
    // Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// What a request brings.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    Nothing,
    Json(&'a str),
    Bytes(&'a [u8]),
}

impl<'a> From<&'a str> for Body<'a> {
    /// A text is JSON; an empty one is none.
    fn from(text: &'a str) -> Body<'a> {
        if text.is_empty() { Body::Nothing } else { Body::Json(text) }
    }
}

/// An answer whose body is still to be read.
pub(super) struct Reply {
    pub status: u16,
    body: BufReader<Box<dyn Read + Send>>,
    coding: Coding,
}

/// How the length of a body is known.
#[derive(Clone, Copy, Debug)]
enum Coding {
    /// Bytes left.
    Length(u64),
    /// Bytes left of this chunk; `None` after the last one.
    Chunks(Option<u64>),
    /// To the end of the connection.
    Open,
}

impl Peer {
    /// The Weir at `url`, `http://host:port` or `https://host:port`; certificates are checked against those in the file `ca`.
    ///
    /// # Errors
    /// Where the address is none, or the certificates cannot be read.
    pub fn new(url: &str, key: Option<&str>, ca: Option<&Path>) -> Result<Peer, String> {
        let wrong = || format!("found {url:?}, expected http://host:port or https://host:port");
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| wrong())?),
            _ => (rest, if scheme == "https" { 443 } else { 80 }),
        };
        if host.is_empty() || host.contains(['/', '@', '?', ' ']) {
            return Err(wrong());
        }
        let tls = match (scheme, ca) {
            ("http", None) => None,
            ("http", Some(_)) => return Err(format!("{url}: certificates are given for an address without TLS")),
            ("https", Some(ca)) => Some(Arc::new(trusting(ca)?)),
            ("https", None) => return Err(format!("{url}: expected --ca FILE with the certificates that it is to be checked against")),
            _ => return Err(wrong()),
        };
        let authorization = key.map(|key| format!("Bearer {}", key.trim()));
        if authorization.as_ref().is_some_and(|value| !value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')) {
            return Err("the key holds signs that no key has".to_owned());
        }
        Ok(Peer { host: host.to_owned(), port, tls, authorization })
    }

    /// Opens a connection on which every read and write is given `patience`.
    ///
    /// # Errors
    /// Where nobody listens there.
    pub(super) fn connect(&self, patience: Wall) -> io::Result<TcpStream> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in (host, self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT_PATIENCE.min(patience)) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(patience))?;
                    stream.set_write_timeout(Some(patience))?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Sends one request over a fresh connection and reads the head of its answer.
    ///
    /// # Errors
    /// Where the connection breaks, or what comes is no HTTP.
    pub(super) fn ask<'a>(&self, stream: TcpStream, method: &str, path: &str, body: impl Into<Body<'a>>) -> io::Result<Reply> {
        let mut io: Box<dyn Both> = match &self.tls {
            None => Box::new(stream),
            Some(config) => {
                let name = self.host.trim_start_matches('[').trim_end_matches(']').to_owned();
                let name = ServerName::try_from(name).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
                let connection = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
                Box::new(StreamOwned::new(connection, stream))
            }
        };
        let key = self.authorization.as_ref().map_or(String::new(), |value| format!("Authorization: {value}\r\n"));
        let (media, bytes) = match body.into() {
            Body::Nothing => ("", &[][..]),
            Body::Json(text) => ("Content-Type: application/json\r\n", text.as_bytes()),
            Body::Bytes(bytes) => ("Content-Type: application/octet-stream\r\n", bytes),
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}:{}\r\n{key}{media}Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.host,
            self.port,
            bytes.len()
        );
        io.write_all(&[head.as_bytes(), bytes].concat())?;
        io.flush()?;
        Reply::read(BufReader::with_capacity(64 << 10, Box::new(Reading(io))))
    }

    /// Asks, and reads the whole answer: its status and its text.
    ///
    /// # Errors
    /// As [`Peer::ask`].
    pub fn answer<'a>(&self, method: &str, path: &str, body: impl Into<Body<'a>>, patience: Wall) -> io::Result<(u16, String)> {
        let reply = self.ask(self.connect(patience)?, method, path, body)?;
        let (status, mut text) = (reply.status, Vec::new());
        reply.take(ANSWER_BYTES_MAX).read_to_end(&mut text)?;
        Ok((status, String::from_utf8_lossy(&text).into_owned()))
    }
}

/// Both directions of a connection.
trait Both: Read + Write + Send {}
impl<T: Read + Write + Send> Both for T {}

/// The direction that is left once the request was sent.
struct Reading(Box<dyn Both>);

impl Read for Reading {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

fn trusting(ca: &Path) -> Result<ClientConfig, String> {
    let failed = |error: &dyn fmt::Display| format!("{}: {error}", ca.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).map_err(|error| failed(&error))? {
        roots.add(certificate.map_err(|error| failed(&error))?).map_err(|error| failed(&error))?;
    }
    if roots.is_empty() {
        return Err(failed(&"found no certificate in it"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(|error| failed(&error))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn invalid(what: impl fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no answer of a Weir: {what}"))
}

/// A line without its end.
fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)?;
    if bytes.pop() != Some(b'\n') {
        return Err(match bytes.is_empty() {
            true => io::ErrorKind::UnexpectedEof.into(),
            false => invalid("a line of its head has no end"),
        });
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    String::from_utf8(bytes).map_err(invalid)
}

impl Reply {
    fn read(mut body: BufReader<Box<dyn Read + Send>>) -> io::Result<Reply> {
        let first = line(&mut body)?;
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| invalid(format!("it begins with {first:?}")))?;
        let mut coding = Coding::Open;
        loop {
            let header = line(&mut body)?;
            if header.is_empty() {
                return Ok(Reply { status, body, coding });
            }
            let (name, value) = header.split_once(':').ok_or_else(|| invalid("a header without a value"))?;
            let value = value.trim();
            if name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked") {
                coding = Coding::Chunks(Some(0));
            } else if name.eq_ignore_ascii_case("content-length") && matches!(coding, Coding::Open) {
                coding = Coding::Length(value.parse().map_err(|_| invalid("its length is no number"))?);
            }
        }
    }

    /// Turns to the next chunk where this one is read; the bytes left in it, 0 at the end.
    fn left(&mut self) -> io::Result<u64> {
        match self.coding {
            Coding::Open => Ok(u64::MAX),
            Coding::Length(left) => Ok(left),
            Coding::Chunks(None) => Ok(0),
            Coding::Chunks(Some(0)) => {
                let mut size = line(&mut self.body)?;
                // The line end behind the chunk before.
                if size.is_empty() {
                    size = line(&mut self.body)?;
                }
                let digits = size.split(';').next().unwrap_or_default().trim();
                let left = u64::from_str_radix(digits, 16).map_err(|_| invalid(format!("a chunk of {digits:?} bytes")))?;
                self.coding = Coding::Chunks(Some(left).filter(|left| *left > 0));
                Ok(left)
            }
            Coding::Chunks(Some(left)) => Ok(left),
        }
    }
}

impl Read for Reply {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.left()?;
        let room = into.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if room == 0 {
            return Ok(0);
        }
        let read = self.body.read(&mut into[..room])?;
        match &mut self.coding {
            Coding::Open => {}
            // Broken off: that is no end.
            _ if read == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            Coding::Length(left) | Coding::Chunks(Some(left)) => *left -= read as u64,
            Coding::Chunks(None) => {}
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(bytes: &'static [u8]) -> io::Result<(u16, Vec<u8>)> {
        let mut reply = Reply::read(BufReader::with_capacity(7, Box::new(bytes)))?;
        let mut body = Vec::new();
        reply.read_to_end(&mut body)?;
        Ok((reply.status, body))
    }

    /// Caught when planted: the line end behind a chunk taken for an empty one.
    #[test]
    fn bodies_are_read_to_their_end_and_not_further() {
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!(reply(chunked).unwrap(), (200, b"abc0123456789".to_vec()));
        assert_eq!(reply(b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nabc").unwrap(), (503, b"ab".to_vec()));
        assert_eq!(reply(b"HTTP/1.1 200 OK\r\n\r\nabc").unwrap(), (200, b"abc".to_vec()));
        for broken in [
            &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nContent-Le",
            b"SSH-2.0\r\n",
            b"",
        ] {
            assert!(reply(broken).is_err(), "{}", String::from_utf8_lossy(broken));
        }
    }

    #[test]
    fn addresses_are_hosts_with_ports() {
        for (url, found) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://weir.example/", "http://weir.example:80"),
            ("http://[::1]:9", "http://[::1]:9"),
            ("http://[::1]", "http://[::1]:80"),
        ] {
            assert_eq!(Peer::new(url, Some("k"), None).unwrap().to_string(), found);
        }
        for url in ["127.0.0.1:8080", "ftp://a:1", "http://a:b", "http://", "http://a/b:1", "https://a:1", "http://u@a:1"] {
            assert!(Peer::new(url, None, None).is_err(), "{url}");
        }
        let secret = Peer::new("http://a:1", Some("secret"), None).unwrap();
        assert!(!format!("{secret:?}").contains("secret"));
        assert!(Peer::new("http://a:1", Some("k\r\nX: y"), None).is_err());
    }

    /// A certificate of the file is trusted and another is not.
    #[test]
    fn certificates_are_checked_against_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let made = || rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (own, other) = (made(), made());
        let path = |name: &str, certificate: &rcgen::CertifiedKey<rcgen::KeyPair>| {
            std::fs::write(dir.path().join(name), certificate.cert.pem()).unwrap();
            dir.path().join(name)
        };
        let (right, wrong) = (path("own.pem", &own), path("other.pem", &other));
        let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![own.cert.der().clone()], key).unwrap());
        let listener = std::net::TcpListener::bind("localhost:0").unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let serving = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for _ in 0..2 {
                let (stream, _) = listener.accept().unwrap();
                let mut io = StreamOwned::new(rustls::ServerConnection::new(config.clone()).unwrap(), stream);
                let mut head = BufReader::new(&mut io);
                // The one who trusts another certificate breaks off here.
                let Ok(first) = line(&mut head) else { continue };
                while line(&mut head).is_ok_and(|line| !line.is_empty()) {}
                asked.push(first);
                io.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
                io.flush().unwrap();
            }
            asked
        });
        let ask = |ca: &Path| Peer::new(&url, None, Some(ca)).unwrap().answer("GET", "/livez", "", Wall::from_secs(10));
        assert!(ask(&wrong).is_err());
        assert_eq!(ask(&right).unwrap(), (200, "ok".to_owned()));
        assert_eq!(serving.join().unwrap(), ["GET /livez HTTP/1.1"]);
    }
}
