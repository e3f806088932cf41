//! TLS towards clients: rustls with certificates chosen by server name.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use pingora::listeners::tls::Acceptor;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::{
    ClientHello, ProducesTickets, ResolvesServerCert, ServerSessionMemoryCache, StoresServerSessions,
};
use rustls::sign::CertifiedKey;

use crate::config::snapshot::ListenerTls;

/// Installs aws-lc-rs (post-quantum X25519MLKEM768, fast AES) as the process's provider, before Pingora installs its own.
pub fn install_provider() {
    // Fails only if a provider is installed already, which is then this one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// The sessions that clients of each listener may resume, by its name. They survive a reload, which would cost every
/// client a full handshake otherwise.
#[derive(Default)]
pub struct SessionResumption(Mutex<HashMap<Arc<str>, ResumableSessions>>);

/// The secrets of resumption: a client that resumes a session does not verify the certificate again.
#[derive(Clone)]
struct ResumableSessions {
    /// Whom the clients trusted when their sessions began.
    chains: Vec<Vec<CertificateDer<'static>>>,
    tickets: Arc<dyn ProducesTickets>,
    storage: Arc<dyn StoresServerSessions>,
}

impl SessionResumption {
    /// The sessions of the listener `name`: new ones where it has other certificates than before.
    fn of(&self, name: &Arc<str>, tls: &ListenerTls) -> Result<ResumableSessions, rustls::Error> {
        let chains: Vec<_> = tls.certificates.iter().map(|certificate| certificate.certified.cert.clone()).collect();
        let mut listeners = self.0.lock();
        if let Some(sessions) = listeners.get(name).filter(|sessions| sessions.chains == chains) {
            return Ok(sessions.clone());
        }
        let tickets = rustls::crypto::aws_lc_rs::Ticketer::new()?;
        let sessions = ResumableSessions { chains, tickets, storage: ServerSessionMemoryCache::new(SESSIONS) };
        listeners.insert(name.clone(), sessions.clone());
        Ok(sessions)
    }
}

/// The acceptor of the TLS listener `name`: TLS 1.2 and 1.3, HTTP/2 by ALPN when `http2`.
///
/// # Errors
/// When there is no randomness for ticket keys.
pub fn acceptor(
    name: &Arc<str>,
    tls: &ListenerTls,
    http2: bool,
    resumption: &SessionResumption,
) -> Result<Acceptor, rustls::Error> {
    let sessions = resumption.of(name, tls)?;
    let provider = CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12, &rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(CertificateResolver::new(tls)));
    config.alpn_protocols = if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    config.ticketer = sessions.tickets;
    config.session_storage = sessions.storage;
    Ok(Acceptor::from_server_config(Arc::new(config)))
}

/// TLS 1.2 sessions kept for clients that can't do tickets.
const SESSIONS: usize = 4096;

/// Chooses the certificate by SNI: an exact name before a wildcard, each as first listed.
struct CertificateResolver {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By the name below the `*.`.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    fallback: Option<Arc<CertifiedKey>>,
}

impl CertificateResolver {
    fn new(tls: &ListenerTls) -> Self {
        let mut resolver = CertificateResolver { exact: HashMap::new(), wildcard: HashMap::new(), fallback: None };
        for certificate in &tls.certificates {
            for name in &certificate.names {
                match name.strip_prefix("*.") {
                    Some(parent) => resolver.wildcard.entry(parent.to_owned()),
                    None => resolver.exact.entry(name.clone()),
                }
                .or_insert_with(|| certificate.certified.clone());
            }
        }
        if tls.first_for_unknown {
            resolver.fallback = tls.certificates.first().map(|certificate| certificate.certified.clone());
        }
        resolver
    }

    /// `name` is in lower case.
    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.strip_suffix('.').unwrap_or(name);
        self.exact.get(name).or_else(|| {
            // RFC 9525 §6.3: a wildcard stands for exactly one label.
            let (_, parent) = name.split_once('.')?;
            self.wildcard.get(parent)
        })
    }
}

impl ResolvesServerCert for CertificateResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let found = match hello.server_name() {
            Some(name) => self.find(&name.to_ascii_lowercase()),
            None => None,
        };
        found.or(self.fallback.as_ref()).cloned()
    }
}

impl fmt::Debug for CertificateResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateResolver")
            .field("exact", &self.exact.len())
            .field("wildcard", &self.wildcard.len())
            .finish()
    }
}
