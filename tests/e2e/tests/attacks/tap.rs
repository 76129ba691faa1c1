//! Whoever stands between devices and broker and speaks MQTT: hears everything, keeps
//! back what he likes, and says what he likes in the gateway's name.

use bytes::{Bytes, BytesMut};
use device_protocol::{Block, PublishedMessage, Report, Topic, Want};
use module_package::{BLOCK_BYTES, BlobId, DeviceId};
use rumqttc::{Connect, Error, FixedHeader, PacketType, PubAck, Publish, QoS, check};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Longer than any packet that either side sends.
const PACKET_BYTES_MAX: usize = 1 << 20;
/// Packets that wait for one side; whoever sends more waits too.
const QUEUE_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    ToDevice,
    ToGateway,
}

/// What becomes of a message.
pub enum Fate {
    Pass,
    /// It goes no further, and these come to the device instead.
    Instead(Vec<(Topic, Vec<u8>)>),
}

impl Fate {
    pub fn lost() -> Self {
        Self::Instead(vec![])
    }
}

type Rule = Box<dyn FnMut(Way, &Topic, &[u8]) -> Fate + Send>;

pub struct Tap {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    broker: watch::Sender<Option<SocketAddr>>,
    rule: Mutex<Rule>,
    heard: Mutex<Heard>,
    /// The ways to the devices, by client id.
    devices: Mutex<HashMap<String, mpsc::Sender<Bytes>>>,
    /// What the attacker answers requests for himself.
    blobs: Mutex<HashMap<BlobId, Vec<u8>>>,
}

/// In the order in which it came.
#[derive(Default)]
pub struct Heard {
    pub reports: Vec<Report>,
    /// Values of modules: the device, the application, and what it published.
    pub values: Vec<(DeviceId, String, String)>,
    /// What the gateway said, without blocks.
    pub documents: Vec<(Topic, Vec<u8>)>,
}

impl Tap {
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            broker: watch::channel(None).0,
            rule: Mutex::new(Box::new(|_, _, _| Fate::Pass)),
            heard: Mutex::default(),
            devices: Mutex::default(),
            blobs: Mutex::default(),
        });
        let of_task = shared.clone();
        let task = tokio::spawn(async move {
            while let Ok((device, _)) = listener.accept().await {
                tokio::spawn(carry(device, of_task.clone()));
            }
        });
        Ok(Self { address, shared, task })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where connections lead from now on; those that there are end.
    pub fn lead_to(&self, broker: SocketAddr) {
        self.shared.broker.send_replace(Some(broker));
    }

    /// Ends the connections that there are.
    pub fn cut(&self) {
        self.shared.broker.send_modify(|_| ());
    }

    pub fn set_rule(&self, rule: impl FnMut(Way, &Topic, &[u8]) -> Fate + Send + 'static) {
        *lock(&self.shared.rule) = Box::new(rule);
    }

    /// Lets everything through.
    pub fn open(&self) {
        self.set_rule(|_, _, _| Fate::Pass);
    }

    /// Lets nothing through: the device hears the attacker alone.
    pub fn isolate(&self) {
        self.set_rule(|_, _, _| Fate::lost());
    }

    /// Whoever asks for this blob gets it from here, whatever the rule says.
    pub fn serve(&self, blob: BlobId, bytes: Vec<u8>) {
        lock(&self.shared.blobs).insert(blob, bytes);
    }

    pub fn heard(&self) -> MutexGuard<'_, Heard> {
        lock(&self.shared.heard)
    }

    /// Says something to a device in the gateway's name; whether it is connected.
    pub async fn say(&self, device: &DeviceId, topic: &Topic, payload: Vec<u8>) -> bool {
        self.say_raw(device, packet(topic, payload)).await
    }

    /// The same with any bytes at all.
    pub async fn say_raw(&self, device: &DeviceId, bytes: Bytes) -> bool {
        let link = lock(&self.shared.devices).get(device.as_str()).cloned();
        match link {
            Some(link) => link.send(bytes).await.is_ok(),
            None => false,
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// All blocks of a blob, as they travel when they are not compressed.
pub fn blocks_of(bytes: &[u8]) -> impl Iterator<Item = Block> {
    let blob_bytes = bytes.len() as u64;
    let blocks = bytes.chunks(BLOCK_BYTES as usize).enumerate();
    blocks.map(move |(index, part)| Block::plain(index as u32, blob_bytes, part.to_vec()))
}

pub fn encode(value: &impl minicbor::Encode<()>) -> Vec<u8> {
    minicbor::to_vec(value).expect("it can be encoded")
}

fn packet(topic: &Topic, payload: Vec<u8>) -> Bytes {
    let mut bytes = BytesMut::new();
    let publish = Publish::new(topic.to_string(), QoS::AtMostOnce, payload);
    publish.write(&mut bytes).expect("writing to memory");
    bytes.freeze()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Link {
    shared: Arc<Shared>,
    to_device: mpsc::Sender<Bytes>,
    to_broker: mpsc::Sender<Bytes>,
}

/// One connection, until either side, or the attacker, ends it.
async fn carry(device: TcpStream, shared: Arc<Shared>) {
    let mut route = shared.broker.subscribe();
    let Some(broker) = *route.borrow_and_update() else { return };
    let Ok(broker) = TcpStream::connect(broker).await else { return };
    let (from_device, device) = device.into_split();
    let (from_broker, broker) = broker.into_split();
    let (to_device, for_device) = mpsc::channel(QUEUE_MAX);
    let (to_broker, for_broker) = mpsc::channel(QUEUE_MAX);
    let link = Link { shared, to_device, to_broker };
    tokio::select! {
        _ = write(for_device, device) => {}
        _ = write(for_broker, broker) => {}
        _ = link.read(Way::ToDevice, from_broker) => {}
        _ = link.read(Way::ToGateway, from_device) => {}
        _ = route.changed() => {}
    }
}

async fn write(mut packets: mpsc::Receiver<Bytes>, mut to: OwnedWriteHalf) -> std::io::Result<()> {
    while let Some(packet) = packets.recv().await {
        to.write_all(&packet).await?;
    }
    Ok(())
}

impl Link {
    async fn read(&self, way: Way, mut from: OwnedReadHalf) -> Result<(), Error> {
        let mut buffer = BytesMut::new();
        loop {
            match check(buffer.iter(), PACKET_BYTES_MAX) {
                Ok(header) => {
                    let frame = buffer.split_to(header.frame_length()).freeze();
                    self.take(way, header, frame).await?;
                }
                Err(Error::InsufficientBytes(_)) => {
                    if from.read_buf(&mut buffer).await? == 0 {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn take(&self, way: Way, header: FixedHeader, frame: Bytes) -> Result<(), Error> {
        let (ahead, back) = match way {
            Way::ToDevice => (&self.to_device, &self.to_broker),
            Way::ToGateway => (&self.to_broker, &self.to_device),
        };
        let mut fate = Fate::Pass;
        match header.packet_type()? {
            PacketType::Connect => {
                let connect = Connect::read(header, frame.clone())?;
                lock(&self.shared.devices).insert(connect.client_id, self.to_device.clone());
            }
            PacketType::Publish => {
                let publish = Publish::read(header, frame.clone())?;
                if let Some(topic) = Topic::parse(&publish.topic) {
                    fate = self.shared.decide(way, &topic, &publish.payload);
                }
                // Whoever sent it shall not wait for the other side's answer.
                if matches!(fate, Fate::Instead(_)) && publish.qos != QoS::AtMostOnce {
                    let mut bytes = BytesMut::new();
                    PubAck::new(publish.pkid).write(&mut bytes)?;
                    let _ = back.send(bytes.freeze()).await;
                }
            }
            _ => {}
        }
        match fate {
            Fate::Pass => {
                let _ = ahead.send(frame).await;
            }
            Fate::Instead(messages) => {
                for (topic, payload) in messages {
                    let _ = self.to_device.send(packet(&topic, payload)).await;
                }
            }
        }
        Ok(())
    }
}

impl Shared {
    fn decide(&self, way: Way, topic: &Topic, payload: &[u8]) -> Fate {
        lock(&self.heard).note(topic, payload);
        if let Topic::Want(_) = topic
            && let Ok(want) = minicbor::decode::<Want>(payload)
            && let Some(bytes) = lock(&self.blobs).get(&want.blob)
        {
            let is_missing = |block: &Block| {
                want.missing.as_ref().is_none_or(|missing| missing.contains(block.index))
            };
            let blocks = blocks_of(bytes).filter(is_missing);
            let topic = Topic::Blob(want.blob);
            return Fate::Instead(blocks.map(|b| (topic.clone(), encode(&b))).collect());
        }
        (lock(&self.rule))(way, topic, payload)
    }
}

impl Heard {
    fn note(&mut self, topic: &Topic, payload: &[u8]) {
        match topic {
            // Who signed it is the gateway's business.
            Topic::Report(_) => {
                let payload = module_package::payload_of(payload).unwrap_or_default();
                self.reports.extend(minicbor::decode::<Report>(&payload));
            }
            Topic::Published(device) => {
                if let Ok(value) = minicbor::decode::<PublishedMessage>(payload) {
                    let text = String::from_utf8_lossy(&value.payload).into_owned();
                    self.values.push((device.clone(), value.app, text));
                }
            }
            Topic::Manifest(_) | Topic::Message(_) | Topic::Heartbeat(_) | Topic::Root(_) => {
                self.documents.push((topic.clone(), payload.to_vec()));
            }
            Topic::Log(_)
            | Topic::Want(_)
            | Topic::Blob(_)
            | Topic::SiteBlob(..)
            | Topic::OwnBlob(..) => {}
        }
    }
}
