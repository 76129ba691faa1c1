//! TLS to the broker, by what the membership says.

use ed25519_dalek::SigningKey;
use module_package::Membership;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use std::sync::Arc;

/// The DER of an Ed25519 key before its 32 bytes (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// A time moves to the limit of one certificate, then of the next of the chain.
const TIMES_MAX: usize = 4;

pub fn client_config(
    membership: &Membership,
    key: &SigningKey,
    clock_trusted: bool,
) -> Result<Arc<ClientConfig>, String> {
    let failed = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
    let mut roots = RootCertStore::empty();
    for certificate in &membership.broker_ca {
        let certificate = CertificateDer::from(certificate.to_vec());
        roots.add(certificate).map_err(|e| failed("the broker's authority", &e))?;
    }
    let provider = Arc::new(default_provider());
    let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|e| failed("set the verification of the broker up", &e))?;
    let name = match &membership.broker_name {
        None => None,
        Some(name) => {
            Some(ServerName::try_from(name.clone()).map_err(|e| failed("the broker's name", &e))?)
        }
    };
    let verifier = Arc::new(BrokerVerifier { usual, name, clock_trusted });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| failed("set TLS up", &e))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let Some(certificate) = &membership.certificate else {
        return Ok(Arc::new(config.with_no_client_auth()));
    };
    let chain = vec![CertificateDer::from(certificate.to_vec())];
    let key = PrivatePkcs8KeyDer::from([&PKCS8_PREFIX[..], &key.to_bytes()].concat());
    let config = config.with_client_auth_cert(chain, key.into());
    Ok(Arc::new(config.map_err(|e| failed("the device's certificate", &e))?))
}

/// Verifies the broker as usual, with two differences.
///
/// The gateway's own broker is known by a name of its own, whatever address it is
/// reached by: its authority is pinned and gives that name to nobody else.
///
/// A device whose clock is not trusted does not ask whether the certificate is valid
/// *now*: at 1970 no broker is. It still asks that it was given by the pinned
/// authority, for that name and for servers, and that there is a time at which the
/// whole chain was valid. What it gives up is that a broker's stolen key is of no use
/// later; and who has that can do what any malicious broker can, which is to withhold
/// and to read, because all that the device obeys is signed besides.
#[derive(Debug)]
struct BrokerVerifier {
    usual: Arc<WebPkiServerVerifier>,
    name: Option<ServerName<'static>>,
    clock_trusted: bool,
}

impl ServerCertVerifier for BrokerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let name = self.name.as_ref().unwrap_or(server_name);
        let at = |time| {
            let verifier = &self.usual;
            verifier.verify_server_cert(end_entity, intermediates, name, ocsp_response, time)
        };
        let mut verified = at(now);
        if self.clock_trusted {
            return verified;
        }
        for _ in 0..TIMES_MAX {
            let other_time = match &verified {
                Err(Error::InvalidCertificate(CertificateError::NotValidYetContext {
                    not_before,
                    ..
                })) => *not_before,
                Err(Error::InvalidCertificate(CertificateError::ExpiredContext {
                    not_after,
                    ..
                })) => *not_after,
                _ => break,
            };
            verified = at(other_time);
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}
