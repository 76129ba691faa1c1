//! What mosquitto needs to serve as the broker of this gateway: its configuration,
//! its rights, and a certificate of the gateway's authority.
//!
//! Mosquitto takes a device's identity from its certificate and its topics from the
//! patterns below. It knows no right to a single blob, so blobs are readable by every
//! enrolled device, and it does not hear of revocations: the gateway serves a revoked
//! device no more, and its certificate ends by itself.

use super::GATEWAY_CLIENT_ID;
use crate::authority::{Authority, AuthorityError};
use crate::store::data_dir::write_private;
use rustls::pki_types::CertificateDer;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum MosquittoError {
    #[error("write {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

/// The rights, as `acl_file` has them.
pub fn rights() -> String {
    format!(
        "# The gateway.\n\
         user {GATEWAY_CLIENT_ID}\n\
         topic read farrier/1/d/+/up/+\n\
         topic write farrier/1/d/+/down/+\n\
         topic write farrier/1/d/+/down/blob/+\n\
         topic write farrier/1/root/+\n\
         topic write farrier/1/blob/+\n\
         topic write farrier/1/blob/+/+\n\
         \n\
         # Each device; %u is the common name of its certificate.\n\
         pattern write farrier/1/d/%u/up/+\n\
         pattern read farrier/1/d/%u/down/+\n\
         pattern read farrier/1/d/%u/down/blob/+\n\
         pattern read farrier/1/root/+\n\
         pattern read farrier/1/blob/+\n\
         pattern read farrier/1/blob/+/+\n"
    )
}

fn configuration(dir: &Path, listen: SocketAddr) -> String {
    let file = |name: &str| dir.join(name).display().to_string();
    let (ca, certificate, key, acl) =
        (file("ca.crt"), file("broker.crt"), file("broker.key"), file("acl"));
    let (port, ip) = (listen.port(), listen.ip());
    let packet_bytes_max = embedded_broker::PACKET_BYTES_MAX;
    format!(
        "listener {port} {ip}\n\
         cafile {ca}\n\
         certfile {certificate}\n\
         keyfile {key}\n\
         require_certificate true\n\
         # The common name of the certificate is user and client id, so that nobody\n\
         # can take over another's session.\n\
         use_identity_as_username true\n\
         use_username_as_clientid true\n\
         allow_anonymous false\n\
         acl_file {acl}\n\
         # The gateway publishes everything again when the broker has lost it.\n\
         persistence false\n\
         max_packet_size {packet_bytes_max}\n\
         max_inflight_messages 32\n\
         max_queued_messages 1000\n\
         max_keepalive 300\n\
         persistent_client_expiration 1h\n"
    )
}

/// Writes `mosquitto.conf` and what it names; gives its path.
pub fn write_configuration(
    authority: &Authority,
    dir: &Path,
    listen: SocketAddr,
    hosts: &[String],
) -> Result<PathBuf, MosquittoError> {
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        write_private(&path, bytes).map_err(|source| MosquittoError::Write { path, source })
    };
    std::fs::create_dir_all(dir)
        .map_err(|source| MosquittoError::Write { path: dir.to_owned(), source })?;
    let identity = authority.issue_to_broker(hosts)?;
    write("ca.crt", to_pem(authority.certificate()).as_bytes())?;
    let chain: String = identity.chain.iter().map(to_pem).collect();
    write("broker.crt", chain.as_bytes())?;
    write("broker.key", pem_of("PRIVATE KEY", identity.key.secret_der()).as_bytes())?;
    write("acl", rights().as_bytes())?;
    write("mosquitto.conf", configuration(dir, listen).as_bytes())?;
    Ok(dir.join("mosquitto.conf"))
}

fn to_pem(certificate: &CertificateDer<'_>) -> String {
    pem_of("CERTIFICATE", certificate)
}

fn pem_of(label: &str, der: &[u8]) -> String {
    pem::encode(&pem::Pem::new(label, der))
}

#[cfg(test)]
mod tests {
    use super::*;
    use device_protocol::Topic;
    use module_package::{BlobId, DeviceId};

    /// Whether a pattern of the rights, with the user put in, covers a topic.
    fn covers(kind: &str, user: &str, topic: &Topic) -> bool {
        let topic = topic.to_string();
        rights().lines().filter_map(|line| line.strip_prefix(kind)).any(|pattern| {
            let pattern = pattern.replace("%u", user);
            let mut levels = topic.split('/');
            pattern.split('/').all(|p| levels.next().is_some_and(|l| p == "+" || p == l))
                && levels.next().is_none()
        })
    }

    #[test]
    fn the_rights_of_a_device_are_those_of_the_protocol() {
        let (mine, other) = (DeviceId::of_key(&[1; 32]), DeviceId::of_key(&[2; 32]));
        for of in [&mine, &other] {
            for topic in [
                Topic::Manifest(of.clone()),
                Topic::Heartbeat(of.clone()),
                Topic::Message(of.clone()),
                Topic::Report(of.clone()),
                Topic::Log(of.clone()),
                Topic::Published(of.clone()),
                Topic::Want(of.clone()),
                Topic::Blob(BlobId::of(b"")),
                Topic::SiteBlob(BlobId::of(b""), "north".parse().unwrap()),
                Topic::OwnBlob(of.clone(), BlobId::of(b"")),
                Topic::Root(2),
            ] {
                let user = mine.as_str();
                assert_eq!(covers("pattern write ", user, &topic), topic.is_written_by(&mine));
                assert_eq!(covers("pattern read ", user, &topic), topic.is_read_by(&mine));
                assert_eq!(covers("topic read ", "", &topic), topic.is_from_a_device());
                assert_eq!(covers("topic write ", "", &topic), !topic.is_from_a_device());
            }
        }
    }
}
