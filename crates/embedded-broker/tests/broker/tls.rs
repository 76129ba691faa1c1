//! TLS with client certificates, as a fleet outside a demonstration has it.

use crate::client::{Client, options, own_options, within};
use crate::fleet::{Fleet, GATEWAY, key_of, localhost};
use embedded_broker::{Broker, BrokerConfig, Limits};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
    PKCS_ECDSA_P256_SHA256,
};
use rumqttc::{ConnectReturnCode, LastWill, MqttOptions, QoS, TlsConfiguration, Transport};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        Arc::new(roots)
    }

    fn issue(&self, name: &str) -> (CertificateDer<'static>, PrivatePkcs8KeyDer<'static>) {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.der().clone(), key.serialize_der().into())
    }

    fn server(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(self.roots(), provider.clone()).build();
        let (certificate, key) = self.issue("broker");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.unwrap())
            .with_single_cert(vec![certificate], key.into());
        Arc::new(config.unwrap())
    }

    /// With a certificate of this name, of an authority that need not be this one.
    fn client(&self, of: Option<(&Self, &str)>) -> ClientConfig {
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots());
        match of {
            None => config.with_no_client_auth(),
            Some((authority, name)) => {
                let (certificate, key) = authority.issue(name);
                config.with_client_auth_cert(vec![certificate], key.into()).unwrap()
            }
        }
    }
}

async fn broker(authority: &Authority, limits: Limits) -> Broker {
    broker_of(Arc::default(), authority, limits).await
}

async fn broker_of(fleet: Arc<Fleet>, authority: &Authority, limits: Limits) -> Broker {
    let config = BrokerConfig { listen: localhost(0), limits };
    Broker::start_tls(config, authority.server(), fleet).await.unwrap()
}

fn with(mut options: MqttOptions, tls: ClientConfig) -> MqttOptions {
    options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(tls))));
    options
}

#[tokio::test]
async fn a_client_with_its_own_certificate_is_served() {
    let authority = Authority::new();
    let broker = broker(&authority, Limits::default()).await;
    let login =
        |name: &str| with(own_options(&broker, name), authority.client(Some((&authority, name))));
    let mut gateway = Client::try_login(login(GATEWAY)).await.unwrap();
    assert!(gateway.subscribe("d/+/up/+").await);
    let device = Client::try_login(login("one")).await.unwrap();
    device.publish("d/one/up/report", vec![7; 100_000]).await;
    assert_eq!(gateway.message().await.payload.len(), 100_000);
    broker.stop().await;
}

#[tokio::test]
async fn a_certificate_of_another_name_opens_nothing_even_with_the_password() {
    let authority = Authority::new();
    let fleet = Arc::new(Fleet::default());
    let broker = broker_of(fleet.clone(), &authority, Limits::default()).await;
    for name in ["two", "", "gateway2"] {
        let tls = authority.client(Some((&authority, name)));
        let refused = Client::try_login(with(own_options(&broker, GATEWAY), tls)).await.err();
        assert_eq!(refused, Some(ConnectReturnCode::NotAuthorized), "{name:?}");
    }
    let tls = authority.client(Some((&authority, "one")));
    let guess = Client::try_login(with(options(&broker, "one", "one", "guess"), tls)).await.err();
    assert_eq!(guess, Some(ConnectReturnCode::NotAuthorized), "the password still counts");
    // Told of whoever has shown its certificate, not of whoever was named.
    assert_eq!(fleet.take_refused(), ["two", "gateway2", "one"]);
    broker.stop().await;
}

#[tokio::test]
async fn without_a_certificate_of_the_authority_there_is_no_connection() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let broker = broker(&authority, Limits::default()).await;
    for tls in [authority.client(None), authority.client(Some((&stranger, "one")))] {
        let options = with(own_options(&broker, "one"), tls);
        let (_client, mut connection) = rumqttc::AsyncClient::new(options, 4);
        within("an end in TLS", connection.poll()).await.unwrap_err();
    }
    // Nor in plain text.
    let (_client, mut connection) = rumqttc::AsyncClient::new(own_options(&broker, "one"), 4);
    within("an end of the plain connection", connection.poll()).await.unwrap_err();
    broker.stop().await;
}

#[tokio::test]
async fn a_tls_handshake_that_stalls_is_closed() {
    let authority = Authority::new();
    let limits = Limits { login_timeout: Duration::from_millis(200), ..Limits::default() };
    let broker = broker(&authority, limits).await;
    let mut stream = TcpStream::connect(broker.local_addr()).await.unwrap();
    let mut byte = [0];
    let end = within("the end of the stream", stream.read(&mut byte)).await;
    assert!(!matches!(end, Ok(1)), "{end:?}");
    broker.stop().await;
}

#[tokio::test]
async fn a_last_will_under_tls_is_checked_and_published() {
    let authority = Authority::new();
    let broker = broker(&authority, Limits::default()).await;
    let login =
        |name: &str| with(own_options(&broker, name), authority.client(Some((&authority, name))));
    let mut gateway = Client::try_login(login(GATEWAY)).await.unwrap();
    assert!(gateway.subscribe("d/+/up/+").await);
    let mut forger = login("one");
    forger.set_last_will(LastWill::new("d/two/up/report", "forged", QoS::AtLeastOnce, false));
    let refused = Client::try_login(forger).await.err();
    assert_eq!(refused, Some(ConnectReturnCode::NotAuthorized));
    let mut mortal = login("one");
    mortal.set_last_will(LastWill::new("d/one/up/report", "gone", QoS::AtLeastOnce, false));
    Client::try_login(mortal).await.unwrap().vanish().await;
    assert_eq!(&*gateway.message().await.payload, b"gone");
    broker.stop().await;
}

/// The library's own listener is a port of this machine that anyone on it can find.
#[tokio::test]
async fn a_login_around_the_door_is_refused() {
    let authority = Authority::new();
    let broker = broker(&authority, Limits::default()).await;
    let port = broker.library_addr().port();
    let mut around = MqttOptions::new(GATEWAY, "127.0.0.1", port);
    around.set_credentials(GATEWAY, key_of(GATEWAY));
    assert_eq!(Client::try_login(around).await.err(), Some(ConnectReturnCode::NotAuthorized));
    broker.stop().await;
}
