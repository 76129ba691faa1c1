//! The gateway's certificate authority: who may open a TLS connection to the broker.
//!
//! | certificate | key | common name | for |
//! |---|---|---|---|
//! | the authority's own | P-256, `keys/ca.key` | `Farrier gateway …` | signing the others |
//! | of a device | the device's Ed25519 key | the device id | client |
//! | of the broker | P-256, never on a disk | `farrier-gateway` | server |
//! | of the gateway as a client | P-256, never on a disk | `farrier-gateway` | client |
//!
//! A certificate only lets a device speak: what it is told is sealed by the keys of
//! `signing`, and the broker asks for a signed login token besides. So the authority
//! makes no promise about modules, and its own certificate has no end.

use crate::store::data_dir::write_private;
use crate::surroundings::Surroundings;
use module_package::PublicKey;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_ED25519, PublicKeyData, SerialNumber, SignatureAlgorithm, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// In the broker's certificate, whatever address it is reached by: devices that trust
/// this authority alone look for this name.
pub const BROKER_NAME: &str = "farrier-gateway";

/// What a certificate is valid before its making: clocks differ.
const BACKDATED_MS: u64 = 24 * 3_600 * 1_000;

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    surroundings: Surroundings,
    /// Of what it issues.
    valid_ms: u64,
}

/// A certificate of a device.
#[derive(Debug, Clone)]
pub struct DeviceCertificate {
    pub der: Vec<u8>,
    pub not_after_ms: u64,
}

/// A certificate with its key.
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("{operation} {path}")]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("the authority's key or certificate in {path} cannot be used: {detail}")]
    File { path: PathBuf, detail: String },
    #[error("issue a certificate: {0}")]
    Issue(#[from] rcgen::Error),
}

impl Authority {
    /// Reads key and certificate, or makes them. The key is written first: without
    /// the certificate a first start was cut off and is done again.
    pub fn open(
        dir: &Path,
        surroundings: &Surroundings,
        valid: Duration,
    ) -> Result<Self, AuthorityError> {
        let (key_path, certificate_path) = (dir.join("ca.key"), dir.join("ca.der"));
        if !certificate_path.exists() {
            let made = Self::ephemeral(surroundings, valid)?;
            write(&key_path, made.issuer.key().serialize_pem().as_bytes())?;
            write(&certificate_path, &made.certificate)?;
        }
        let file = |path: &Path, detail: String| AuthorityError::File { path: path.into(), detail };
        let key = String::from_utf8(read(&key_path)?)
            .map_err(|_| file(&key_path, "it is no text".into()))?;
        let key = KeyPair::from_pem(&key).map_err(|e| file(&key_path, e.to_string()))?;
        let certificate = CertificateDer::from(read(&certificate_path)?);
        // Refuses what is no certificate now and not at the first login.
        rustls::RootCertStore::empty()
            .add(certificate.clone())
            .map_err(|e| file(&certificate_path, e.to_string()))?;
        Self::with(key, certificate, surroundings, valid)
    }

    /// Of one process's life, for tests.
    pub fn ephemeral(surroundings: &Surroundings, valid: Duration) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = own_params(&key).self_signed(&key)?;
        Self::with(key, certificate.der().clone(), surroundings, valid)
    }

    fn with(
        key: KeyPair,
        certificate: CertificateDer<'static>,
        surroundings: &Surroundings,
        valid: Duration,
    ) -> Result<Self, AuthorityError> {
        let issuer = Issuer::new(own_params(&key), key);
        let valid_ms = u64::try_from(valid.as_millis()).unwrap_or(u64::MAX);
        Ok(Self { issuer, certificate, surroundings: surroundings.clone(), valid_ms })
    }

    /// What the broker's and the devices' certificates descend from.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    pub fn valid(&self) -> Duration {
        Duration::from_millis(self.valid_ms)
    }

    /// The caller has seen that the device holds the key.
    pub fn issue_to_device(
        &self,
        name: &str,
        key: &PublicKey,
    ) -> Result<DeviceCertificate, AuthorityError> {
        let (params, not_after_ms) = self.params(name, ExtendedKeyUsagePurpose::ClientAuth)?;
        let certificate = params.signed_by(&DeviceKey(key), &self.issuer)?;
        Ok(DeviceCertificate { der: certificate.der().to_vec(), not_after_ms })
    }

    /// For the embedded broker, or for one beside the gateway.
    pub fn issue_to_broker(&self, hosts: &[String]) -> Result<Identity, AuthorityError> {
        let mut names = vec![BROKER_NAME.to_owned()];
        names.extend(hosts.iter().cloned());
        let (mut params, _) = self.params(BROKER_NAME, ExtendedKeyUsagePurpose::ServerAuth)?;
        params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
        self.with_new_key(params)
    }

    /// For the gateway as a client of its broker.
    pub fn issue_to_gateway(&self, name: &str) -> Result<Identity, AuthorityError> {
        let (params, _) = self.params(name, ExtendedKeyUsagePurpose::ClientAuth)?;
        self.with_new_key(params)
    }

    fn with_new_key(&self, params: CertificateParams) -> Result<Identity, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate: Certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        Ok(Identity { chain: vec![certificate.der().clone()], key })
    }

    fn params(
        &self,
        name: &str,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<(CertificateParams, u64), AuthorityError> {
        let now_ms = self.surroundings.clock.now_ms();
        let not_after_ms = now_ms.saturating_add(self.valid_ms);
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date(now_ms.saturating_sub(BACKDATED_MS));
        params.not_after = date(not_after_ms);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        // Positive, as RFC 5280 demands.
        let mut serial: [u8; 16] = self.surroundings.random();
        serial[0] = serial[0] & 0x7f | 0x40;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        Ok((params, not_after_ms))
    }
}

/// The same for one key at every start: name and key id go into what is issued.
fn own_params(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    let id = hex::encode(&params.key_identifier(key)[..8]);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Farrier gateway {id}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(2020, 1, 1);
    // "No well-defined expiration date" of RFC 5280, 4.1.2.5.
    params.not_after = date_time_ymd(9999, 12, 31);
    params
}

fn date(ms: u64) -> time::OffsetDateTime {
    // Far enough for any certificate: later would overflow the calendar.
    const YEAR_9000_MS: u64 = 221_845_392_000_000;
    date_time_ymd(1970, 1, 1) + Duration::from_millis(ms.min(YEAR_9000_MS))
}

/// The raw 32 bytes, as rcgen wants them.
struct DeviceKey<'a>(&'a PublicKey);

impl PublicKeyData for DeviceKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.0.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), AuthorityError> {
    write_private(path, bytes).map_err(|source| AuthorityError::Io {
        operation: "write",
        path: path.into(),
        source,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, AuthorityError> {
    std::fs::read(path).map_err(|source| AuthorityError::Io {
        operation: "read",
        path: path.into(),
        source,
    })
}
