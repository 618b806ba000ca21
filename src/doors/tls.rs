//! TLS: rustls over a certificate that may be replaced while the service runs.

use super::file::{Watched, read_private};
use super::gate::Reread;
use super::options::TlsFiles;
use super::validity::Validity;
use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, version};
use sha2::{Digest, Sha256};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// More than any chain needs.
const PEM_BYTES_MAX: u64 = 1 << 20;

/// What a key's section is called.
const KEY_SECTIONS: [&str; 3] = ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"];

/// The first byte of every handshake.
const HANDSHAKE: u8 = 0x16;

/// To those who speak plain HTTP where TLS is spoken, in their own words.
const PLAIN_ANSWER: &str =
    r#"{"type":"about:blank","title":"Bad Request","status":400,"detail":"found plain HTTP, expected HTTPS: this port speaks TLS"}"#;

/// Makes TLS of connections, with the certificate that is in force when they come.
pub struct Acceptor {
    files: TlsFiles,
    handshake_max: Duration,
    config: RwLock<InForce>,
    reading: Mutex<(Watched, Option<String>)>,
}

#[derive(Clone)]
struct InForce {
    config: Arc<ServerConfig>,
    validity: Option<Validity>,
    /// Of both files.
    digest: [u8; 32],
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("files", &self.files).field("handshake_max", &self.handshake_max).finish_non_exhaustive()
    }
}

impl Acceptor {
    /// An acceptor with the certificate and the key in `files`; handshakes may take `handshake_max`.
    ///
    /// # Errors
    /// Files that cannot be used: which one, what was found and what was expected.
    pub fn open(files: &TlsFiles, handshake_max: Duration) -> Result<Acceptor, String> {
        let watched = Watched::new(vec![files.certificate.clone(), files.key.clone()]);
        let config = RwLock::new(load(files)?);
        Ok(Acceptor { files: files.clone(), handshake_max, config, reading: Mutex::new((watched, None)) })
    }

    /// Reads the files again where they may have changed, or where `doubtful`. Connections that stand are not touched; files that cannot be
    /// used (also those of which only one was replaced so far) leave the certificate in force that was.
    pub fn refresh(&self, doubtful: bool) -> Reread {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if doubtful {
            reading.0.doubt();
        }
        if !reading.0.changed() {
            return Reread::Same;
        }
        let loaded = load(&self.files);
        let trouble = loaded.as_ref().err().cloned();
        let again = trouble == reading.1;
        reading.1 = trouble;
        match loaded {
            Err(_) if again => Reread::Same,
            Err(trouble) => Reread::Kept(trouble),
            Ok(new) if new.digest == self.in_force().digest => Reread::Same,
            Ok(new) => {
                let until = new.validity.map(|validity| format!(", valid until {}", validity.not_after)).unwrap_or_default();
                *self.config.write().unwrap_or_else(PoisonError::into_inner) = new;
                Reread::Taken(format!("{}{until}", self.files.certificate.display()))
            }
        }
    }

    /// What somebody must be told of the certificate's time, if anything: it expired, or it will within 30 days.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        let warning = self.in_force().validity?.warning(now)?;
        Some(format!("{}: {warning}", self.files.certificate.display()))
    }

    /// The handshake over `stream`. Whoever speaks plain HTTP is told so, in plain HTTP.
    ///
    /// # Errors
    /// Where no handshake comes about, or not in time; the connection is closed then.
    pub async fn accept(&self, mut stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = self.in_force().config;
        let handshake = async {
            let mut first = [0];
            match stream.peek(&mut first).await? {
                0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed before the handshake")),
                _ if first[0] == HANDSHAKE => TlsAcceptor::from(config).accept(stream).await,
                _ => {
                    answer_plain(&mut stream).await?;
                    Err(io::Error::new(io::ErrorKind::InvalidData, "found plain text, expected a TLS handshake"))
                }
            }
        };
        let late = || io::Error::new(io::ErrorKind::TimedOut, format!("found no handshake within {:?}", self.handshake_max));
        tokio::time::timeout(self.handshake_max, handshake).await.unwrap_or_else(|_| Err(late()))
    }

    fn in_force(&self) -> InForce {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn answer_plain(stream: &mut TcpStream) -> io::Result<()> {
    let length = PLAIN_ANSWER.len();
    let head = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all((head + PLAIN_ANSWER).as_bytes()).await?;
    stream.shutdown().await?;
    // What was sent is read, up to a limit: closing over unread bytes resets the connection, and the answer would be lost.
    let mut rest = stream.take(64 * 1024);
    let mut chunk = [0; 4096];
    while rest.read(&mut chunk).await? > 0 {}
    Ok(())
}

fn load(files: &TlsFiles) -> Result<InForce, String> {
    let (chain_path, key_path) = (files.certificate.as_path(), files.key.as_path());
    // Certificates are public. A key is often shared with a group (`ssl-cert`), never with everybody.
    let chain_pem = read(chain_path, 0)?;
    let key_pem = read(key_path, 0o007)?;
    let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(&chain_pem).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| wrong_sections(chain_path, &chain_pem, "CERTIFICATE"))?;
    let key = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|_| wrong_sections(key_path, &key_pem, &KEY_SECTIONS.join(", ")))?;
    let validity = Validity::of(&chain[0]);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => format!(
            "{}: found a key that does not belong to the first certificate of {}, expected its own",
            key_path.display(),
            chain_path.display()
        ),
        rustls::Error::InvalidCertificate(error) => {
            format!("{}: found no usable certificate ({error:?}), expected one", chain_path.display())
        }
        error => format!("{}: found no usable key ({error}), expected RSA, ECDSA (P-256, P-384) or Ed25519", key_path.display()),
    })?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut digest = Sha256::new();
    for part in [&chain_pem, &key_pem] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    Ok(InForce { config: Arc::new(config), validity, digest: digest.finalize().into() })
}

fn read(path: &Path, forbidden: u32) -> Result<Vec<u8>, String> {
    read_private(path, forbidden, PEM_BYTES_MAX)?.ok_or_else(|| format!("{}: found no file, expected PEM", path.display()))
}

/// What a file holds instead of what it should. Only names of sections are repeated: the rest may be a key.
fn wrong_sections(path: &Path, pem: &[u8], expected: &str) -> String {
    let text = String::from_utf8_lossy(pem);
    let heads = text.lines().filter_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"));
    let heads: Vec<&str> = heads.filter(|head| head.len() <= 40).collect();
    let found = match heads.as_slice() {
        [] => "no PEM section".to_owned(),
        ["ENCRYPTED PRIVATE KEY"] => "a key with a password".to_owned(),
        heads if heads.iter().any(|head| expected.split(", ").any(|name| name == *head)) => {
            format!("a damaged section among {}", heads.join(", "))
        }
        heads => heads.join(", "),
    };
    format!("{}: found {found}, expected {expected}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::tests::{Certificate, client};
    use rustls::pki_types::ServerName;
    use rustls::{ProtocolVersion, SupportedProtocolVersion};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use tempfile::TempDir;
    use tokio::net::TcpListener;
    use tokio_rustls::client::TlsStream as ClientStream;

    struct Place {
        dir: TempDir,
    }

    impl Place {
        fn of(certificate: &Certificate) -> Place {
            let place = Place { dir: tempfile::tempdir().expect("a directory") };
            place.put(certificate);
            place
        }

        fn put(&self, certificate: &Certificate) {
            fs::write(self.files().certificate, &certificate.chain).expect("written");
            self.put_key(&certificate.key);
        }

        fn put_key(&self, key: &str) {
            fs::write(self.files().key, key).expect("written");
            fs::set_permissions(self.files().key, fs::Permissions::from_mode(0o600)).expect("set");
        }

        fn files(&self) -> TlsFiles {
            let path = |name: &str| -> PathBuf { self.dir.path().join(name) };
            TlsFiles { certificate: path("chain.pem"), key: path("key.pem") }
        }

        fn acceptor(&self) -> Arc<Acceptor> {
            Arc::new(Acceptor::open(&self.files(), Duration::from_secs(5)).expect("opened"))
        }
    }

    /// One connection of each side.
    async fn connect(
        acceptor: &Arc<Acceptor>,
        trusted: &Certificate,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &str,
    ) -> (io::Result<TlsStream<TcpStream>>, io::Result<ClientStream<TcpStream>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let accepted = async { acceptor.accept(listener.accept().await.expect("a connection").0).await };
        let name = ServerName::try_from("localhost").expect("a name");
        let connected = async {
            let stream = TcpStream::connect(address).await.expect("connected");
            client(trusted, versions, alpn).connect(name, stream).await
        };
        tokio::join!(accepted, connected)
    }

    const BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

    #[tokio::test]
    async fn a_client_that_trusts_the_certificate_gets_through() {
        let certificate = Certificate::new();
        let place = Place::of(&certificate);
        let acceptor = place.acceptor();
        for (versions, expected) in [(&BOTH[..1], ProtocolVersion::TLSv1_3), (&BOTH[1..], ProtocolVersion::TLSv1_2)] {
            let (server, client) = connect(&acceptor, &certificate, versions, "http/1.1").await;
            let (mut server, mut client) = (server.expect("accepted"), client.expect("trusted"));
            assert_eq!(client.get_ref().1.protocol_version(), Some(expected));
            assert_eq!(server.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
            let text = vec![7; 100_000];
            let sent = async {
                client.write_all(&text).await.expect("sent");
                client.shutdown().await.expect("closed");
            };
            let mut received = Vec::new();
            let read = server.read_to_end(&mut received);
            let ((), read) = tokio::join!(sent, read);
            assert_eq!((read.expect("closed cleanly"), received), (text.len(), text));
        }
    }

    #[tokio::test]
    async fn strangers_to_the_certificate_or_to_http_do_not_get_through() {
        let certificate = Certificate::new();
        let acceptor = Place::of(&certificate).acceptor();
        let (server, client) = connect(&acceptor, &Certificate::new(), &BOTH, "http/1.1").await;
        assert!(client.is_err() && server.is_err(), "another authority");
        let (server, client) = connect(&acceptor, &certificate, &BOTH, "h2").await;
        assert!(client.is_err() && server.is_err(), "HTTP/2 alone");
    }

    #[tokio::test]
    async fn a_new_certificate_is_for_new_connections() {
        let (old, new) = (Certificate::new(), Certificate::new());
        let place = Place::of(&old);
        let acceptor = place.acceptor();
        let (standing, client) = connect(&acceptor, &old, &BOTH, "http/1.1").await;
        let (mut standing, mut standing_client) = (standing.expect("accepted"), client.expect("trusted"));

        // First the certificate alone, as those who renew it write: it has no key yet.
        fs::write(place.files().certificate, &new.chain).expect("written");
        let Reread::Kept(trouble) = acceptor.refresh(false) else { panic!("the key is another one's") };
        assert!(trouble.contains("found a key that does not belong to the first certificate"), "{trouble}");
        assert_eq!(acceptor.refresh(true), Reread::Same, "said once");
        assert!(connect(&acceptor, &old, &BOTH, "http/1.1").await.1.is_ok());

        place.put_key(&new.key);
        assert!(matches!(acceptor.refresh(false), Reread::Taken(_)));
        assert!(connect(&acceptor, &new, &BOTH, "http/1.1").await.1.is_ok());
        assert!(connect(&acceptor, &old, &BOTH, "http/1.1").await.1.is_err());
        standing_client.write_all(b"still").await.expect("sent");
        let mut received = [0; 5];
        standing.read_exact(&mut received).await.expect("the connection stands");
        assert_eq!(&received, b"still");
        assert_eq!(acceptor.refresh(true), Reread::Same);
    }

    #[tokio::test]
    async fn plain_http_is_answered_and_closed_cleanly() {
        let acceptor = Place::of(&Certificate::new()).acceptor();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let mut client = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connected");
        let body = "x".repeat(20_000);
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        client.write_all(request.as_bytes()).await.expect("sent");
        let accepted = tokio::spawn(async move { acceptor.accept(listener.accept().await.expect("a connection").0).await.map(drop) });
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("an end, no reset");
        let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
        assert!(head.starts_with("HTTP/1.1 400 ") && head.contains(&format!("content-length: {}\r\n", body.len())), "{answer}");
        serde_json::from_str::<serde_json::Value>(body).expect("a problem document");
        client.write_all(b"what was still on its way").await.expect("no reset");
        drop(client);
        let error = accepted.await.expect("ended").expect_err("no handshake");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    }

    #[tokio::test]
    async fn whoever_says_nothing_is_not_waited_for() {
        let place = Place::of(&Certificate::new());
        let acceptor = Acceptor::open(&place.files(), Duration::from_millis(50)).expect("opened");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let mut client = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connected");
        for begun in [&b""[..], &[HANDSHAKE, 3, 1]] {
            client.write_all(begun).await.expect("sent");
            let error = acceptor.accept(listener.accept().await.expect("a connection").0).await.expect_err("late");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
            client = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connected");
        }
        let waiting = listener.accept().await.expect("a connection").0;
        drop(client);
        assert_eq!(acceptor.accept(waiting).await.expect_err("gone").kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn files_that_cannot_be_used_say_what_is_wrong() {
        let (one, other) = (Certificate::new(), Certificate::new());
        let refused = |chain: &str, key: &str| {
            let place = Place::of(&Certificate { chain: chain.to_owned(), key: key.to_owned() });
            let error = Acceptor::open(&place.files(), Duration::from_secs(1)).expect_err("refused");
            assert!(!error.contains(key.lines().nth(1).unwrap_or("-")), "{error}");
            error.replace(&format!("{}/", place.dir.path().display()), "")
        };
        let damaged = one.key.replacen("MI", "!!", 1);
        for (chain, key, expected) in [
            (&one.chain, &other.key, "key.pem: found a key that does not belong to the first certificate of chain.pem, expected its own"),
            (&format!("{}{}", other.chain, one.chain), &one.key, "key.pem: found a key that does not belong to the first certificate"),
            (&one.key, &one.chain, "chain.pem: found PRIVATE KEY, expected CERTIFICATE"),
            (&one.chain, &one.chain, "key.pem: found CERTIFICATE, expected PRIVATE KEY, EC PRIVATE KEY, RSA PRIVATE KEY"),
            (&String::new(), &one.key, "chain.pem: found no PEM section, expected CERTIFICATE"),
            (&one.chain, &one.key.replace("PRIVATE", "ENCRYPTED PRIVATE"), "key.pem: found a key with a password"),
            (&one.chain, &damaged, "key.pem: found a damaged section among PRIVATE KEY"),
            (
                &"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
                &one.key,
                "chain.pem: found no usable certificate",
            ),
            (&one.chain, &"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_owned(), "key.pem: found no usable key"),
        ] {
            let error = refused(chain, key);
            assert!(error.starts_with(expected), "{error}");
        }
        let place = Place::of(&one);
        fs::set_permissions(place.files().key, fs::Permissions::from_mode(0o644)).expect("set");
        let error = Acceptor::open(&place.files(), Duration::from_secs(1)).expect_err("others can read it");
        assert!(error.contains("chmod 640 "), "{error}");
        fs::remove_file(place.files().key).expect("removed");
        let error = Acceptor::open(&place.files(), Duration::from_secs(1)).expect_err("gone");
        assert!(error.ends_with("key.pem: found no file, expected PEM"), "{error}");
    }

    #[test]
    fn the_days_that_are_left_are_told() {
        let acceptor = Place::of(&Certificate::until(2030, 1, 31)).acceptor();
        let at = |text: &str| acceptor.warning(text.parse().expect("a moment"));
        assert_eq!(at("2029-12-01T00:00:00Z"), None);
        let soon = at("2030-01-21T00:00:00Z").expect("a warning");
        assert!(soon.contains("chain.pem: the certificate expires at 2030-01-31T00:00:00Z, 10 days are left"), "{soon}");
        assert!(at("2030-02-05T00:00:00Z").expect("a warning").contains("5 days ago"));
    }
}
