//! What somebody has who has a device in hand: its key, and its certificate.

use anyhow::Context;
use coset::CborSerializable;
use device_protocol::{Login, MESSAGE_VERSION, Report, encode_sealed};
use ed25519_dalek::SigningKey;
use farrier_agent::{tls, wall_clock_ms};
use harness::{DeviceClass, Fleet};
use module_package::{DeviceId, Domain, Membership, Signer, seal};
use rumqttc::{MqttOptions, TlsConfiguration, Transport};
use rustix::rand::{GetRandomFlags, getrandom};
use std::path::Path;
use std::time::Duration;

pub struct Identity {
    pub device: DeviceId,
    pub key: SigningKey,
    pub membership: Membership,
}

impl Identity {
    /// Lets a device enrol, ends its agent, and takes what it has.
    pub async fn steal(fleet: &mut Fleet, name: &str) -> anyhow::Result<Self> {
        let options = fleet.agent_options(DeviceClass::X86_64, name).await?;
        fleet.start_device_with(options)?;
        fleet.wait_online(name).await?;
        let mut agent = fleet.agents.pop().context("the agent that was started")?;
        agent.process().kill()?;
        Self::read(&agent.store())
    }

    pub fn read(store: &Path) -> anyhow::Result<Self> {
        let seed = std::fs::read(store.join("device.key")).context("read the device's key")?;
        let key = SigningKey::from_bytes(seed.as_slice().try_into()?);
        let sealed = std::fs::read(store.join("membership")).context("read the membership")?;
        let document = coset::CoseSign1::from_slice(&sealed).map_err(anyhow::Error::msg)?;
        let membership = minicbor::decode(&document.payload.context("it has a payload")?)?;
        Ok(Self { device: DeviceId::of_key(&key.public_key().0), key, membership })
    }

    /// A token as the agent makes it, good once.
    pub fn login_token(&self) -> anyhow::Result<String> {
        let mut nonce = [0; 16];
        getrandom(&mut nonce, GetRandomFlags::empty())?;
        let login = Login {
            version: MESSAGE_VERSION,
            device: self.device.clone(),
            time_ms: wall_clock_ms(),
            nonce,
        };
        Ok(encode_sealed(&seal(Domain::Login, minicbor::to_vec(login)?, &self.key)))
    }

    pub fn seal_report(&self, report: &Report) -> anyhow::Result<Vec<u8>> {
        Ok(seal(Domain::Report, minicbor::to_vec(report)?, &self.key))
    }

    /// To the broker with this device's certificate, by any client id.
    pub fn options(&self, client_id: &str, password: &str) -> anyhow::Result<MqttOptions> {
        let address = farrier_agent::mqtt::BrokerAddress::parse(&self.membership.broker_url)
            .map_err(anyhow::Error::msg)?;
        let mut options = MqttOptions::new(client_id, address.host, address.port);
        options.set_credentials(client_id, password);
        options.set_keep_alive(Duration::from_secs(30));
        options.set_max_packet_size(1 << 20, 1 << 20);
        let tls = tls::client_config(&self.membership, &self.key, true);
        let tls = TlsConfiguration::Rustls(tls.map_err(anyhow::Error::msg)?);
        options.set_transport(Transport::tls_with_config(tls));
        Ok(options)
    }
}
