//! TLS between broker, devices and the gateway's own client: rustls with ring.
//!
//! Certificates are made when a handshake needs one and the last is past two thirds
//! of its life, so nothing has to be restarted or renewed by hand.

use crate::authority::{Authority, AuthorityError, Identity};
use crate::surroundings::Clock;
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SignatureScheme};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("read {path}: {source}")]
    Pem { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("{path} holds no certificate")]
    NoCertificate { path: PathBuf },
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error("set TLS up: {0}")]
    Rustls(#[from] rustls::Error),
    #[error("set the verification of client certificates up: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// For the embedded broker: demands a client certificate of the authority.
pub fn server_config(
    authority: &Arc<Authority>,
    clock: Arc<dyn Clock>,
    hosts: Vec<String>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(default_provider());
    let roots = Arc::new(roots_of([authority.certificate().clone()])?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone()).build()?;
    let of_broker = authority.clone();
    let identity = Rotating::new(authority, clock, move || of_broker.issue_to_broker(&hosts))?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(identity));
    Ok(Arc::new(config))
}

/// For the gateway's client, with a certificate of its own authority.
pub fn client_config(
    authority: &Arc<Authority>,
    clock: Arc<dyn Clock>,
    trusted: impl IntoIterator<Item = CertificateDer<'static>>,
    name: &'static str,
) -> Result<Arc<ClientConfig>, TlsError> {
    let of_gateway = authority.clone();
    let identity = Rotating::new(authority, clock, move || of_gateway.issue_to_gateway(name))?;
    let config = client_builder(trusted)?.with_client_cert_resolver(Arc::new(identity));
    Ok(Arc::new(config))
}

/// For the gateway's client, with a certificate from files.
pub fn client_config_of_files(
    trusted: impl IntoIterator<Item = CertificateDer<'static>>,
    certificate: &Path,
    key: &Path,
) -> Result<Arc<ClientConfig>, TlsError> {
    let chain = read_certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|source| TlsError::Pem { path: key.to_owned(), source })?;
    Ok(Arc::new(client_builder(trusted)?.with_client_auth_cert(chain, key)?))
}

pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let error = |source| TlsError::Pem { path: path.to_owned(), source };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(error)?
        .collect::<Result<_, _>>()
        .map_err(error)?;
    match certificates.is_empty() {
        true => Err(TlsError::NoCertificate { path: path.to_owned() }),
        false => Ok(certificates),
    }
}

type ClientBuilder = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn client_builder(
    trusted: impl IntoIterator<Item = CertificateDer<'static>>,
) -> Result<ClientBuilder, TlsError> {
    Ok(ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots_of(trusted)?))
}

fn roots_of(
    certificates: impl IntoIterator<Item = CertificateDer<'static>>,
) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate)?;
    }
    Ok(roots)
}

type Issue = dyn Fn() -> Result<Identity, AuthorityError> + Send + Sync;

/// One certificate after the other, each used for two thirds of its life.
struct Rotating {
    issue: Box<Issue>,
    clock: Arc<dyn Clock>,
    used_for_ms: u64,
    /// With the time of its making.
    present: Mutex<(u64, Arc<CertifiedKey>)>,
}

impl Rotating {
    fn new(
        authority: &Authority,
        clock: Arc<dyn Clock>,
        issue: impl Fn() -> Result<Identity, AuthorityError> + Send + Sync + 'static,
    ) -> Result<Self, TlsError> {
        let first = certified(issue()?)?;
        let valid_ms = u64::try_from(authority.valid().as_millis()).unwrap_or(u64::MAX);
        let present = Mutex::new((clock.now_ms(), first));
        Ok(Self { issue: Box::new(issue), clock, used_for_ms: valid_ms / 3 * 2, present })
    }

    fn current(&self) -> Arc<CertifiedKey> {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = self.clock.now_ms();
        // Also after the clock was set back, by which it may not be valid yet.
        if now_ms.abs_diff(present.0) > self.used_for_ms {
            match (self.issue)().map_err(TlsError::from).and_then(certified) {
                Ok(next) => *present = (now_ms, next),
                Err(error) => tracing::error!(%error, "renew a certificate of the gateway"),
            }
        }
        present.1.clone()
    }
}

fn certified(identity: Identity) -> Result<Arc<CertifiedKey>, TlsError> {
    let key = any_supported_type(&identity.key)?;
    Ok(Arc::new(CertifiedKey::new(identity.chain, key)))
}

impl fmt::Debug for Rotating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rotating")
    }
}

impl ResolvesServerCert for Rotating {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl ResolvesClientCert for Rotating {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
