//! Who may come in: addresses, keys and their scopes, certificates, rates.
//!
//! [`Doors`] is all of it for one address: it refuses to be opened where something is missing that strangers make necessary, makes
//! [`Connection`]s of accepted sockets, and has the [`KeyGate`] that routes ask. Keys and certificates are read again when their files
//! change; nobody who is being served notices.

mod connection;
mod file;
mod gate;
mod keys;
mod options;
mod rate;
mod rule;
mod secret;
mod tls;
mod validity;

pub use connection::Connection;
pub use file::{change_keys, load_keys};
pub use gate::{KeyGate, Reread};
pub use keys::{Key, Keys, State};
pub use options::{Rate, Rates, Security, TlsFiles};
pub use rule::{Mode, check};
pub use secret::{KeyHash, Secret};
pub use tls::Acceptor;

use jiff::Timestamp;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::signal::unix::Signal;

/// The file of keys in a data directory.
pub const KEYS_NAME: &str = "keys.json";

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How often it is said that something is missing, in looks.
const MISSING_EVERY: u64 = 3_600;

/// How often it is said that a certificate is at its end, in looks.
const EXPIRY_EVERY: u64 = 86_400;

/// The doors at one address.
#[derive(Debug)]
pub struct Doors {
    listen: SocketAddr,
    mode: Mode,
    gate: Arc<KeyGate>,
    acceptor: Option<Acceptor>,
}

impl Doors {
    /// The doors at `listen`, of the service whose data directory is `data`.
    ///
    /// # Errors
    /// Where [`check`] refuses the address, or a file of keys or a certificate cannot be used.
    pub fn open(listen: SocketAddr, security: &Security, data: &Path) -> Result<Doors, String> {
        let mode = check(listen, security, data)?;
        let gate = Arc::new(KeyGate::open(&security.keys_file(data), mode, security.rates)?);
        let acceptor = security.tls.as_ref().map(|files| Acceptor::open(files, security.handshake_max)).transpose()?;
        Ok(Doors { listen, mode, gate, acceptor })
    }

    /// Who needs a key here.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether connections are TLS.
    pub fn has_tls(&self) -> bool {
        self.acceptor.is_some()
    }

    /// What routes ask before they serve somebody.
    pub fn gate(&self) -> Arc<KeyGate> {
        self.gate.clone()
    }

    /// Makes a connection of a socket that was accepted: at once, or by a TLS handshake. To be called in a task of its own, never in the
    /// loop that accepts.
    ///
    /// # Errors
    /// Where no handshake comes about. Strangers cause it as often as they like: it is worth a count, not a line in the log each.
    pub async fn welcome(&self, stream: TcpStream) -> io::Result<Connection> {
        match &self.acceptor {
            None => Ok(Connection::Plain(stream)),
            Some(acceptor) => Ok(Connection::Tls(Box::new(acceptor.accept(stream).await?))),
        }
    }

    /// Reads keys and certificates again where their files may have changed, or where `doubtful` (somebody asked for it), and logs what
    /// came of it. It reads files, so it belongs on a thread that may wait.
    pub fn refresh(&self, doubtful: bool) {
        // A look every second is no phase of the service; what somebody asked for is.
        let _phase = if doubtful { tracing::info_span!("reload") } else { tracing::debug_span!("reload") }.entered();
        if doubtful {
            tracing::info!("asked to read keys and certificates again");
        }
        match self.gate.refresh(doubtful) {
            Reread::Same => {}
            Reread::Taken(news) => tracing::info!("keys: {news}"),
            Reread::Kept(trouble) => tracing::error!("keys stay as they were: {trouble}"),
        }
        match self.acceptor.as_ref().map(|acceptor| acceptor.refresh(doubtful)) {
            None | Some(Reread::Same) => {}
            Some(Reread::Kept(trouble)) => tracing::error!("the certificate stays as it was: {trouble}"),
            Some(Reread::Taken(news)) => {
                tracing::info!("certificate: {news}");
                self.warn_of_expiry();
            }
        }
    }

    /// Looks after the doors for as long as the service runs: [`Doors::refresh`] every second and at each `hangup`, a warning every hour
    /// where something is missing and every day where a certificate is at its end. It never returns; who ends the service drops it.
    ///
    /// Who calls it listens to SIGHUP from its own beginning on: a process that does not listen yet is ended by one.
    pub async fn tend(self: Arc<Self>, mut hangup: Signal) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for look in 0.. {
            if look % MISSING_EVERY == 0 {
                self.warn_of_missing();
            }
            if look % EXPIRY_EVERY == 0 {
                self.warn_of_expiry();
            }
            let asked = tokio::select! {
                _ = ticks.tick() => false,
                _ = hangup.recv() => true,
            };
            let doors = self.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || doors.refresh(asked)).await {
                tracing::error!("keys and certificates could not be read again: {error}");
            }
        }
    }

    fn warn_of_missing(&self) {
        if let Some(warning) = missing(self.listen, self.mode) {
            tracing::warn!("{warning}");
        }
    }

    fn warn_of_expiry(&self) {
        if let Some(warning) = self.acceptor.as_ref().and_then(|acceptor| acceptor.warning(Timestamp::now())) {
            tracing::warn!("{warning}");
        }
    }
}

/// What is missing at an address, as it is logged every hour.
fn missing(listen: SocketAddr, mode: Mode) -> Option<String> {
    let Mode::Insecure { keys, tls } = mode else { return None };
    let what = match (keys, tls) {
        (true, true) => "nobody needs a key and nothing is encrypted",
        (true, false) => "nobody needs a key",
        _ => "nothing is encrypted, not even keys",
    };
    Some(format!("insecure = true: at {listen} {what}"))
}

impl crate::api::Acceptor for Arc<Doors> {
    type Io = Connection;

    async fn accept(&self, stream: TcpStream) -> io::Result<Connection> {
        self.welcome(stream).await
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::api::{Gate, Scope};
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
    use std::io::Write;
    use std::sync::{Mutex, PoisonError};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::signal::unix::{SignalKind, signal};
    use tokio_rustls::TlsConnector;

    /// As a topology without a word on security.
    pub fn security() -> Security {
        let rate = Rate { per_second: 1_000, burst: 1_000 };
        Security {
            keys: None,
            tls: None,
            handshake_max: Duration::from_secs(5),
            loopback_open: true,
            insecure: false,
            rates: Rates { scopes: [rate; Scope::ALL.len()], failures: Rate { per_second: 1, burst: 20 } },
        }
    }

    /// A certificate for localhost that is its own authority.
    pub struct Certificate {
        pub chain: String,
        pub key: String,
    }

    impl Certificate {
        pub fn new() -> Certificate {
            Certificate::until(4000, 1, 1)
        }

        pub fn until(year: i32, month: u8, day: u8) -> Certificate {
            let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
            params.not_after = date_time_ymd(year, month, day);
            let key = KeyPair::generate().expect("a key");
            Certificate { chain: params.self_signed(&key).expect("signed").pem(), key: key.serialize_pem() }
        }
    }

    /// A client that trusts one certificate, written by others.
    pub fn client(trusted: &Certificate, versions: &[&'static SupportedProtocolVersion], alpn: &str) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(trusted.chain.as_bytes()).expect("PEM")).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).expect("versions");
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        TlsConnector::from(Arc::new(config))
    }

    /// What is logged on this thread, at every level.
    pub fn captured(act: impl FnOnce()) -> String {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let writer = lines.clone();
        let builder = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
        tracing::subscriber::with_default(builder.with_writer(move || writer.clone()).finish(), act);
        String::from_utf8(lines.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).expect("text")
    }

    #[tokio::test]
    async fn plain_on_loopback_and_tls_where_it_is_named() {
        let data = tempfile::tempdir().expect("a directory");
        let certificate = Certificate::new();
        let files = TlsFiles { certificate: data.path().join("chain.pem"), key: data.path().join("key.pem") };
        std::fs::write(&files.certificate, &certificate.chain).expect("written");
        std::fs::write(&files.key, &certificate.key).expect("written");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&files.key, private).expect("set");
        for tls in [None, Some(files)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
            let listen = listener.local_addr().expect("an address");
            let doors = Doors::open(listen, &Security { tls: tls.clone(), ..security() }, data.path()).expect("opened");
            assert_eq!((doors.mode(), doors.has_tls()), (Mode::Loopback, tls.is_some()));
            let server = async {
                let (stream, peer) = listener.accept().await.expect("a connection");
                let mut connection = doors.welcome(stream).await.expect("welcome");
                assert_eq!(connection.socket().peer_addr().ok(), Some(peer));
                assert!(doors.gate().admit(None, peer, &[Scope::Hook]).is_ok());
                let mut received = [0; 4];
                connection.read_exact(&mut received).await.expect("read");
                assert_eq!(connection.write_vectored(&[io::IoSlice::new(b"po"), io::IoSlice::new(b"ng")]).await.expect("written"), 4);
                connection.flush().await.expect("flushed");
                connection.shutdown().await.expect("closed");
                received
            };
            let client = async {
                let stream = TcpStream::connect(listen).await.expect("connected");
                let mut answer = String::new();
                match &tls {
                    None => talk(stream, &mut answer).await,
                    Some(_) => {
                        let name = "localhost".try_into().expect("a name");
                        let stream = client(&certificate, rustls::ALL_VERSIONS, "http/1.1").connect(name, stream).await;
                        talk(stream.expect("trusted"), &mut answer).await;
                    }
                }
                answer
            };
            assert_eq!(tokio::join!(server, client), (*b"ping", "pong".to_owned()));
        }
    }

    async fn talk(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin, answer: &mut String) {
        stream.write_all(b"ping").await.expect("sent");
        stream.read_to_string(answer).await.expect("answered");
    }

    #[test]
    fn no_doors_where_something_is_missing_or_broken() {
        let data = tempfile::tempdir().expect("a directory");
        let public: SocketAddr = "0.0.0.0:443".parse().expect("an address");
        let refused = Doors::open(public, &security(), data.path()).expect_err("nothing is there");
        assert!(refused.starts_with("0.0.0.0:443: found neither an API key in force nor TLS"), "{refused}");
        let tls = Some(TlsFiles { certificate: data.path().join("chain.pem"), key: data.path().join("key.pem") });
        let refused = Doors::open("127.0.0.1:1".parse().expect("an address"), &Security { tls, ..security() }, data.path());
        assert!(refused.expect_err("no certificate").ends_with("chain.pem: found no file, expected PEM"));
    }

    #[test]
    fn what_is_missing_is_said() {
        let listen: SocketAddr = "10.0.0.1:80".parse().expect("an address");
        assert_eq!(missing(listen, Mode::Keys), None);
        assert_eq!(missing(listen, Mode::Loopback), None);
        let said = |keys, tls| missing(listen, Mode::Insecure { keys, tls }).expect("something is missing");
        assert_eq!(said(true, true), "insecure = true: at 10.0.0.1:80 nobody needs a key and nothing is encrypted");
        assert!(said(true, false).ends_with("nobody needs a key") && said(false, true).ends_with("not even keys"));
    }

    /// Looking after the doors: a key that is added while they stand opens them within seconds.
    #[tokio::test]
    async fn doors_that_are_tended_notice_a_new_key() {
        let data = tempfile::tempdir().expect("a directory");
        let options = Security { insecure: true, loopback_open: false, ..security() };
        let doors = Arc::new(Doors::open("127.0.0.1:1".parse().expect("an address"), &options, data.path()).expect("opened"));
        assert_eq!(doors.mode(), Mode::Insecure { keys: true, tls: false });
        let tended = tokio::spawn(doors.clone().tend(signal(SignalKind::hangup()).expect("a signal")));
        let add = |keys: &mut Keys| keys.add("late", &[Scope::Hook], None, Timestamp::now());
        let key = change_keys(&data.path().join(KEYS_NAME), add).expect("added");
        let header = format!("Bearer {}", key.reveal());
        let peer: SocketAddr = "127.0.0.1:5".parse().expect("an address");
        for _ in 0..100 {
            if doors.gate().admit(Some(&header), peer, &[Scope::Hook]).is_ok() {
                tended.abort();
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the key was not noticed within ten seconds");
    }
}
