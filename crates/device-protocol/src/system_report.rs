//! The device as a whole, as a report tells it.
//!
//! What it cannot measure is absent and never 0: a board without a thermometer has no
//! temperature. `docs/reports.md` says where each figure is from.

use minicbor::{Decode, Encode};

#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SystemReport {
    /// Processes that run or want to, over 1, 5 and 15 minutes, in thousandths.
    #[n(0)]
    pub load_milli: Option<LoadReport>,
    /// Of the hottest thermometer, in thousandths of a degree Celsius.
    #[n(1)]
    pub temperature_milli_c: Option<i32>,
    /// Of the file system with the agent's data.
    #[n(2)]
    pub storage_total_bytes: Option<u64>,
    /// Of this, what the agent may still use.
    #[n(3)]
    pub storage_free_bytes: Option<u64>,
    /// Since the kernel's start; `Report::uptime_ms` is the agent's.
    #[n(4)]
    pub uptime_s: Option<u64>,
    /// Processors that the agent may use.
    #[n(5)]
    pub cpus: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct LoadReport {
    #[n(0)]
    pub one: u32,
    #[n(1)]
    pub five: u32,
    #[n(2)]
    pub fifteen: u32,
}

/// What the device runs, exactly: a version says what was meant, the file's hash what it is.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct BuildReport {
    #[n(0)]
    pub agent: FileBuild,
    #[n(1)]
    pub runtime: FileBuild,
    #[n(2)]
    pub wamr_version: String,
    #[n(3)]
    pub aot_version: u32,
    #[n(4)]
    pub target: String,
    /// `hardware` or `software`.
    #[n(5)]
    pub bounds_checks: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FileBuild {
    /// As `farrier-agent 0.1.0`.
    #[n(0)]
    pub version: String,
    /// The first bytes of the SHA-256 of the program's file; none where it could not be
    /// read.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub sha256_start: Option<[u8; 8]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Agents in the field write these bytes.
    #[test]
    fn the_bytes_are_what_they_have_been() {
        let system = SystemReport {
            load_milli: Some(LoadReport { one: 1, five: 2, fifteen: 1_000 }),
            temperature_milli_c: Some(-500),
            storage_total_bytes: Some(9),
            storage_free_bytes: None,
            uptime_s: Some(7),
            cpus: Some(4),
        };
        let bytes = minicbor::to_vec(&system).unwrap();
        assert_eq!(hex::encode(&bytes), "a500830102 1903e8013901f3020904070504".replace(' ', ""));
        assert_eq!(minicbor::decode::<SystemReport>(&bytes).unwrap(), system);
        assert_eq!(minicbor::to_vec(SystemReport::default()).unwrap(), [0xa0]);
        let file = |version: &str| FileBuild { version: version.into(), sha256_start: None };
        let builds = BuildReport {
            agent: FileBuild { sha256_start: Some([1; 8]), ..file("a") },
            runtime: file("r"),
            wamr_version: "2".into(),
            aot_version: 6,
            target: "t".into(),
            bounds_checks: "s".into(),
        };
        let bytes = minicbor::to_vec(&builds).unwrap();
        let expected = "a600a2006161014801010101010101 0101a1006172026132030604617405617 3";
        assert_eq!(hex::encode(&bytes), expected.replace(' ', ""));
        assert_eq!(minicbor::decode::<BuildReport>(&bytes).unwrap(), builds);
    }
}
