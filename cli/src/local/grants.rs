//! Where a local device's sensors get their samples from.

use crate::failure::{Exit, Failure};
use serde::Deserialize;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use worker_protocol::{NAME_BYTES_MAX, Sensor, SensorSource};

/// The longest recording: eight bytes each, and a frame has room for 48 MiB.
const SAMPLES_MAX: usize = 1_000_000;

/// A file of samples is not longer than this.
const FILE_BYTES_MAX: u64 = 128 << 20;

/// `NAME`, `NAME=sim:SEED`, `NAME=NUMBER`, `NAME=file:PATH` or `NAME=loop:PATH`.
#[derive(Debug, Clone, PartialEq)]
pub struct SensorArg {
    name: String,
    source: Source,
}

#[derive(Debug, Clone, PartialEq)]
enum Source {
    Simulated { seed: u64 },
    Constant(f64),
    File { path: PathBuf, repeats: bool },
}

impl FromStr for SensorArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, source) = text.split_once('=').unwrap_or((text, "sim:1"));
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(format!("a sensor's name has 1 to {NAME_BYTES_MAX} bytes"));
        }
        let source = match source.split_once(':') {
            Some(("sim", seed)) => {
                let seed =
                    seed.parse().map_err(|_| format!("{seed:?} is no seed: give a number"))?;
                Source::Simulated { seed }
            }
            Some(("file", path)) => Source::File { path: path.into(), repeats: false },
            Some(("loop", path)) => Source::File { path: path.into(), repeats: true },
            _ => Source::Constant(source.parse().map_err(|_| {
                format!("{source:?} is not sim:SEED, file:PATH, loop:PATH or a number")
            })?),
        };
        Ok(Self { name: name.to_owned(), source })
    }
}

impl SensorArg {
    pub fn open(&self) -> Result<Sensor, Failure> {
        self.open_in(Path::new(""))
    }

    /// The same with paths from a folder.
    pub fn open_in(&self, folder: &Path) -> Result<Sensor, Failure> {
        let source = match &self.source {
            Source::Simulated { seed } => SensorSource::Simulated { seed: *seed },
            Source::Constant(value) => {
                SensorSource::Recorded { samples: vec![*value], repeats: true }
            }
            Source::File { path, repeats } => {
                let samples = samples_of(&folder.join(path))?;
                SensorSource::Recorded { samples, repeats: *repeats }
            }
        };
        Ok(Sensor { name: self.name.clone(), source })
    }
}

/// Reads a recording: a number a line, or the JSON lines that `farrier published -o
/// json` and `farrier run -o json` write, whose payload is an f64 or a number as text.
fn samples_of(path: &Path) -> Result<Vec<f64>, Failure> {
    let failure = |what: &dyn Display| {
        Failure::new(Exit::Failed, format!("{}: {what}", path.display()))
            .or_try("a number a line, or lines of `farrier published -o json`")
    };
    let size = std::fs::metadata(path).map(|meta| meta.len());
    let text = match size {
        Ok(size) if size > FILE_BYTES_MAX => {
            return Err(failure(&format!("{size} bytes; the limit is {FILE_BYTES_MAX}")));
        }
        Ok(_) => std::fs::read_to_string(path).map_err(|e| failure(&e))?,
        Err(error) => return Err(failure(&error)),
    };
    if let Ok(list) = serde_json::from_str::<Listed>(&text) {
        let samples = list.items.iter().zip(1..).map(|(item, number)| {
            item.sample().map_err(|what| failure(&format!("item {number}: {what}")))
        });
        let samples: Vec<f64> = samples.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        if samples.len() > SAMPLES_MAX {
            return Err(failure(&format!("more than {SAMPLES_MAX} samples")));
        }
        return Ok(samples);
    }
    let mut samples = vec![];
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if samples.len() == SAMPLES_MAX {
            return Err(failure(&format!("line {number}: more than {SAMPLES_MAX} samples")));
        }
        match sample_of(line) {
            Ok(Some(sample)) => samples.push(sample),
            Ok(None) => {}
            Err(what) => return Err(failure(&format!("line {number}: {what}"))),
        }
    }
    Ok(samples)
}

/// What `farrier published -o json` writes without `-f`.
#[derive(Deserialize)]
struct Listed {
    items: Vec<Recorded>,
}

#[derive(Deserialize)]
struct Recorded {
    payload: Option<String>,
}

impl Recorded {
    /// None for a line of `farrier run -o json` that is no message.
    fn sample(&self) -> Result<Option<f64>, String> {
        let Some(payload) = &self.payload else { return Ok(None) };
        let bytes = hex::decode(payload).map_err(|e| format!("payload {payload:?}: {e}"))?;
        if let Ok(bytes) = <[u8; 8]>::try_from(bytes.as_slice()) {
            return Ok(Some(f64::from_le_bytes(bytes)));
        }
        let text = std::str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse().ok());
        text.map(Some).ok_or_else(|| {
            format!("payload {payload} is neither eight bytes of an f64 nor a number as text")
        })
    }
}

fn sample_of(line: &str) -> Result<Option<f64>, String> {
    if !line.starts_with('{') {
        return line.parse().map(Some).map_err(|_| format!("{line:?} is no number"));
    }
    serde_json::from_str::<Recorded>(line).map_err(|e| e.to_string())?.sample()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Result<Source, String> {
        text.parse::<SensorArg>().map(|arg| arg.source)
    }

    #[test]
    fn a_sensor_is_simulated_constant_or_recorded() {
        assert_eq!(source("t"), Ok(Source::Simulated { seed: 1 }));
        assert_eq!(source("t=sim:42"), Ok(Source::Simulated { seed: 42 }));
        assert_eq!(source("t=-2.5"), Ok(Source::Constant(-2.5)));
        let file = |repeats| Ok(Source::File { path: "a=b.txt".into(), repeats });
        assert_eq!(source("t=file:a=b.txt"), file(false));
        assert_eq!(source("t=loop:a=b.txt"), file(true));
        for wrong in ["", "=1", "t=", "t=sim:x", "t=warm", &"n".repeat(65)] {
            assert!(source(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_recording_is_numbers_or_what_was_published() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recording");
        std::fs::write(&path, "# a comment\n1.5\n\n-2\n").unwrap();
        assert_eq!(samples_of(&path).unwrap(), [1.5, -2.0]);
        let payload = hex::encode(20.5f64.to_le_bytes());
        let lines = format!(
            "{{\"event\":\"log\",\"text\":\"x\"}}\n{{\"payload\":\"{payload}\",\"seq\":1}}\n{{\"payload\":\"37\"}}\n"
        );
        std::fs::write(&path, lines).unwrap();
        assert_eq!(samples_of(&path).unwrap(), [20.5, 7.0]);
        let list = format!("{{\n\"items\": [\n{{\"payload\": \"{payload}\"}}\n]\n}}\n");
        std::fs::write(&path, list).unwrap();
        assert_eq!(samples_of(&path).unwrap(), [20.5]);
        std::fs::write(&path, "1\nwarm\n").unwrap();
        let refused = samples_of(&path).unwrap_err().message;
        assert!(refused.contains("line 2") && refused.contains("\"warm\""), "{refused}");
        std::fs::write(&path, "{\"payload\":\"zz\"}\n").unwrap();
        assert!(samples_of(&path).unwrap_err().message.contains("line 1"));
    }
}
