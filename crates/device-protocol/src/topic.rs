//! The MQTT topics. The session's authenticated device counts, never an id in a
//! payload: the broker lets a device write only below its own `up`, and read
//! only its own `down` and the blobs.

use crate::SiteName;
use module_package::{BlobId, DeviceId};
use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// Retained: the sealed manifest, the device's desired state.
    Manifest(DeviceId),
    /// Sealed reports.
    Report(DeviceId),
    /// Log lines of modules and of the agent.
    Log(DeviceId),
    /// Values that modules published.
    Published(DeviceId),
    /// Requests for blocks.
    Want(DeviceId),
    /// Sealed messages to modules; not retained.
    Message(DeviceId),
    /// Sealed heartbeats; not retained, because an old one says nothing.
    Heartbeat(DeviceId),
    /// Retained: the sealed root document of that version. A device that trusts
    /// version N reads N + 1, and so on step by step.
    Root(u32),
    /// Blocks of one blob, for all devices that want it.
    Blob(BlobId),
    /// The same for the devices of one site.
    SiteBlob(BlobId, SiteName),
    /// Blocks of one blob that only this device lacks.
    OwnBlob(DeviceId, BlobId),
}

/// What the gateway subscribes to: everything that any device writes.
pub fn up_filter() -> &'static str {
    "farrier/1/d/+/up/+"
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest(device) => write!(f, "farrier/1/d/{device}/down/manifest"),
            Self::Heartbeat(device) => write!(f, "farrier/1/d/{device}/down/heartbeat"),
            Self::Message(device) => write!(f, "farrier/1/d/{device}/down/message"),
            Self::Root(version) => write!(f, "farrier/1/root/{version}"),
            Self::Report(device) => write!(f, "farrier/1/d/{device}/up/report"),
            Self::Log(device) => write!(f, "farrier/1/d/{device}/up/log"),
            Self::Published(device) => write!(f, "farrier/1/d/{device}/up/published"),
            Self::Want(device) => write!(f, "farrier/1/d/{device}/up/want"),
            Self::Blob(blob) => write!(f, "farrier/1/blob/{blob}"),
            Self::SiteBlob(blob, site) => write!(f, "farrier/1/blob/{blob}/{site}"),
            Self::OwnBlob(device, blob) => write!(f, "farrier/1/d/{device}/down/blob/{blob}"),
        }
    }
}

impl Topic {
    /// Reads a topic name; `None` for any that is not ours.
    pub fn parse(name: &str) -> Option<Self> {
        let rest = name.strip_prefix("farrier/1/")?;
        if let Some(blob) = rest.strip_prefix("blob/") {
            return match blob.split_once('/') {
                None => blob.parse().ok().map(Self::Blob),
                Some((blob, site)) => Some(Self::SiteBlob(blob.parse().ok()?, site.parse().ok()?)),
            };
        }
        if let Some(version) = rest.strip_prefix("root/") {
            // One name for one version: no sign and no leading zero.
            let number = version.parse().ok()?;
            return (u32::to_string(&number) == version).then_some(Self::Root(number));
        }
        let (device, kind) = rest.strip_prefix("d/")?.split_once('/')?;
        let device = device.parse().ok()?;
        if let Some(blob) = kind.strip_prefix("down/blob/") {
            return Some(Self::OwnBlob(device, blob.parse().ok()?));
        }
        match kind {
            "down/manifest" => Some(Self::Manifest(device)),
            "down/heartbeat" => Some(Self::Heartbeat(device)),
            "down/message" => Some(Self::Message(device)),
            "up/report" => Some(Self::Report(device)),
            "up/log" => Some(Self::Log(device)),
            "up/published" => Some(Self::Published(device)),
            "up/want" => Some(Self::Want(device)),
            _ => None,
        }
    }

    /// Whether devices write here, and not the gateway.
    pub fn is_from_a_device(&self) -> bool {
        match self {
            Self::Report(_) | Self::Log(_) | Self::Published(_) | Self::Want(_) => true,
            Self::Manifest(_)
            | Self::Message(_)
            | Self::Heartbeat(_)
            | Self::Root(_)
            | Self::Blob(_)
            | Self::SiteBlob(..)
            | Self::OwnBlob(..) => false,
        }
    }

    /// Whose topic it is.
    pub fn device(&self) -> Option<&DeviceId> {
        match self {
            Self::Manifest(device)
            | Self::Message(device)
            | Self::Heartbeat(device)
            | Self::Report(device)
            | Self::Log(device)
            | Self::Published(device)
            | Self::Want(device)
            | Self::OwnBlob(device, _) => Some(device),
            Self::Root(_) | Self::Blob(_) | Self::SiteBlob(..) => None,
        }
    }

    /// Whether this device may publish here.
    pub fn is_written_by(&self, device: &DeviceId) -> bool {
        match self {
            Self::Report(of) | Self::Log(of) | Self::Published(of) | Self::Want(of) => of == device,
            Self::Manifest(_)
            | Self::Message(_)
            | Self::Heartbeat(_)
            | Self::Root(_)
            | Self::Blob(_)
            | Self::SiteBlob(..)
            | Self::OwnBlob(..) => false,
        }
    }

    /// Whether this device may subscribe here.
    pub fn is_read_by(&self, device: &DeviceId) -> bool {
        match self {
            Self::Manifest(of) | Self::Message(of) | Self::Heartbeat(of) | Self::OwnBlob(of, _) => {
                of == device
            }
            Self::Blob(_) | Self::SiteBlob(..) | Self::Root(_) => true,
            Self::Report(_) | Self::Log(_) | Self::Published(_) | Self::Want(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(number: u8) -> DeviceId {
        DeviceId::of_key(&[number; 32])
    }

    #[test]
    fn topics_survive_the_round_trip() {
        for topic in [
            Topic::Manifest(device(1)),
            Topic::Heartbeat(device(1)),
            Topic::Message(device(1)),
            Topic::Root(12),
            Topic::Report(device(1)),
            Topic::Log(device(1)),
            Topic::Published(device(1)),
            Topic::Want(device(1)),
            Topic::Blob(BlobId::of(b"x")),
            Topic::SiteBlob(BlobId::of(b"x"), "north".parse().unwrap()),
            Topic::OwnBlob(device(1), BlobId::of(b"x")),
        ] {
            assert_eq!(Topic::parse(&topic.to_string()), Some(topic));
        }
    }

    #[test]
    fn names_that_are_not_ours_are_no_topic() {
        let name = Topic::Report(device(1)).to_string();
        for other in [
            "",
            "#",
            "farrier/1/d/+/up/report",
            &name[1..],
            &format!("{name}/x"),
            "farrier/1/root/01",
            "farrier/1/root/+1",
            "farrier/1/root/-1",
            &format!("{}/North", Topic::Blob(BlobId::of(b"x"))),
            &format!("{}/+", Topic::Blob(BlobId::of(b"x"))),
        ] {
            assert_eq!(Topic::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_device_reaches_only_its_own_topics_and_the_blobs() {
        let (mine, other) = (device(1), device(2));
        assert!(Topic::Report(mine.clone()).is_written_by(&mine));
        assert!(!Topic::Report(other.clone()).is_written_by(&mine));
        assert!(!Topic::Manifest(mine.clone()).is_written_by(&mine));
        assert!(Topic::Manifest(mine.clone()).is_read_by(&mine));
        assert!(!Topic::Manifest(other.clone()).is_read_by(&mine));
        assert!(Topic::Heartbeat(mine.clone()).is_read_by(&mine));
        assert!(!Topic::Heartbeat(other).is_read_by(&mine));
        assert!(!Topic::Heartbeat(mine.clone()).is_written_by(&mine));
        let message = Topic::Message(mine.clone());
        assert!(message.is_read_by(&mine) && !message.is_written_by(&mine));
        assert!(!Topic::Message(device(2)).is_read_by(&mine));
        assert!(Topic::Root(2).is_read_by(&mine));
        assert!(!Topic::Root(2).is_written_by(&mine));
        assert!(!Topic::Report(mine.clone()).is_read_by(&mine));
        assert!(Topic::Blob(BlobId::of(b"x")).is_read_by(&mine));
        assert!(!Topic::Blob(BlobId::of(b"x")).is_written_by(&mine));
        let own = |device: &DeviceId| Topic::OwnBlob(device.clone(), BlobId::of(b"x"));
        assert!(own(&mine).is_read_by(&mine) && !own(&device(2)).is_read_by(&mine));
        assert!(!own(&mine).is_written_by(&mine));
    }
}
