//! A test file: what a module is given, and what it must make of it.

use crate::failure::{Exit, Failure};
use crate::local::{Payload, SensorArg};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::Spanned;
use worker_protocol::{ConfigEntry, NAME_BYTES_MAX, Sensor, SensorSource};

/// The layout that this build reads.
const FORMAT: u32 = 1;

const FILE_BYTES_MAX: u64 = 16 << 20;

pub const TICKS_MAX: u32 = 10_000_000;

#[derive(Debug)]
pub struct TestFile {
    pub module: PathBuf,
    pub cases: Vec<Case>,
}

#[derive(Debug)]
pub struct Case {
    pub name: String,
    pub ticks: u32,
    pub sensors: Vec<Sensor>,
    pub config: Vec<ConfigEntry>,
    pub storage_bytes: u32,
    /// By channel and in the order of the ticks before which they come, counted from 1.
    pub inputs: BTreeMap<String, Vec<(u32, Payload)>>,
    /// What each actuator must be set to, in order.
    pub actuators: BTreeMap<String, Vec<f64>>,
    /// By channel, in the order that they must come.
    pub messages: BTreeMap<String, Vec<Payload>>,
    /// The whole log, where it is asked for.
    pub log: Option<Vec<String>>,
    pub gas: Option<u64>,
    /// How many calls return something other than 0.
    pub error_returns: u64,
    /// A part of the reason of the trap that ends it.
    pub trap: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    format: Spanned<u32>,
    module: PathBuf,
    #[serde(default, rename = "case")]
    cases: Vec<CaseText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseText {
    name: String,
    ticks: Spanned<u32>,
    #[serde(default)]
    sensors: BTreeMap<Spanned<String>, Spanned<Samples>>,
    #[serde(default)]
    config: BTreeMap<String, String>,
    #[serde(default)]
    storage_bytes: u32,
    #[serde(default, rename = "input")]
    inputs: Vec<InputText>,
    #[serde(default)]
    actuators: BTreeMap<Spanned<String>, Vec<f64>>,
    #[serde(default)]
    expect: BTreeMap<Spanned<String>, Vec<Spanned<String>>>,
    log: Option<Vec<String>>,
    gas: Option<u64>,
    #[serde(default)]
    error_returns: u64,
    trap: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InputText {
    before_tick: Spanned<u32>,
    channel: Spanned<String>,
    payload: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected numbers, or \"sim:SEED\", \"file:PATH\", \"loop:PATH\"")]
enum Samples {
    Numbers(Vec<f64>),
    Spec(String),
}

impl TestFile {
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let failure = |what: &dyn std::fmt::Display| {
            Failure::new(Exit::Failed, format!("{}: {what}", path.display()))
        };
        let unread = |error: std::io::Error| Failure::of_reading(path, &error);
        let size = std::fs::metadata(path).map_err(unread)?.len();
        if size > FILE_BYTES_MAX {
            return Err(failure(&format!("{size} bytes; the limit is {FILE_BYTES_MAX}")));
        }
        let text = std::fs::read_to_string(path).map_err(unread)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, folder).map_err(|what| failure(&what))
    }

    /// Paths in it are from `folder`.
    fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let at = |place: std::ops::Range<usize>, what: String| {
            let (line, column) = position(text, place.start);
            format!("line {line}, column {column}: {what}")
        };
        // The error of the library names line and column and shows the line.
        let file: FileText = toml::from_str(text).map_err(|e| e.to_string())?;
        if *file.format.get_ref() != FORMAT {
            let what = format!("this build reads format {FORMAT}");
            return Err(at(file.format.span(), what));
        }
        if file.cases.is_empty() {
            return Err("there is no [[case]] in it".to_owned());
        }
        let cases = file.cases.into_iter().map(|case| case.check(folder, &at));
        Ok(Self { module: folder.join(file.module), cases: cases.collect::<Result<_, _>>()? })
    }
}

impl Case {
    /// What is to be delivered before this tick.
    pub fn due(&self, tick: u32) -> Vec<(&str, Vec<u8>)> {
        let all = self.inputs.iter().flat_map(|(channel, inputs)| {
            inputs.iter().map(move |(before, payload)| (*before, channel.as_str(), payload))
        });
        let due = all.filter(|(before, ..)| *before == tick);
        due.map(|(_, channel, payload)| (channel, payload.bytes())).collect()
    }

    /// How many ticks there are, after so many, until the next input or the end.
    pub fn ticks_until_input(&self, done: u32) -> u32 {
        let befores = self.inputs.values().flatten().map(|(before, _)| *before);
        let next = befores.filter(|before| *before > done + 1).min();
        next.map_or(self.ticks, |before| before - 1) - done
    }
}

type At<'a> = dyn Fn(std::ops::Range<usize>, String) -> String + 'a;

impl CaseText {
    fn check(self, folder: &Path, at: &At<'_>) -> Result<Case, String> {
        let ticks = *self.ticks.get_ref();
        if ticks > TICKS_MAX {
            return Err(at(self.ticks.span(), format!("at most {TICKS_MAX} ticks")));
        }
        let mut sensors = vec![];
        for (name, samples) in self.sensors {
            check_name(&name, at)?;
            let place = samples.span();
            let sensor = match samples.into_inner() {
                Samples::Numbers(samples) => Ok(Sensor {
                    name: name.into_inner(),
                    source: SensorSource::Recorded { samples, repeats: false },
                }),
                Samples::Spec(spec) => format!("{}={spec}", name.get_ref())
                    .parse::<SensorArg>()
                    .and_then(|arg| arg.open_in(folder).map_err(|failure| failure.message)),
            };
            sensors.push(sensor.map_err(|what| at(place, what))?);
        }
        let mut messages = BTreeMap::new();
        for (channel, payloads) in self.expect {
            check_name(&channel, at)?;
            let read = |text: Spanned<String>| {
                text.get_ref().parse::<Payload>().map_err(|what| at(text.span(), what))
            };
            let payloads = payloads.into_iter().map(read).collect::<Result<_, _>>()?;
            messages.insert(channel.into_inner(), payloads);
        }
        let mut inputs: BTreeMap<String, Vec<(u32, Payload)>> = BTreeMap::new();
        for input in self.inputs {
            check_name(&input.channel, at)?;
            let tick = *input.before_tick.get_ref();
            if tick == 0 || tick > ticks {
                let what = format!("there is no such tick: they are 1 to {ticks}");
                return Err(at(input.before_tick.span(), what));
            }
            let payload = input.payload.get_ref().parse::<Payload>();
            let payload = payload.map_err(|what| at(input.payload.span(), what))?;
            inputs.entry(input.channel.into_inner()).or_default().push((tick, payload));
        }
        inputs.values_mut().for_each(|inputs| inputs.sort_by_key(|(tick, _)| *tick));
        let mut actuators = BTreeMap::new();
        for (actuator, values) in self.actuators {
            check_name(&actuator, at)?;
            actuators.insert(actuator.into_inner(), values);
        }
        let config = self.config.into_iter().map(|(key, value)| ConfigEntry { key, value });
        Ok(Case {
            name: self.name,
            ticks,
            sensors,
            config: config.collect(),
            storage_bytes: self.storage_bytes,
            inputs,
            actuators,
            messages,
            log: self.log,
            gas: self.gas,
            error_returns: self.error_returns,
            trap: self.trap,
        })
    }
}

fn check_name(name: &Spanned<String>, at: &At<'_>) -> Result<(), String> {
    let len = name.get_ref().len();
    if len == 0 || len > NAME_BYTES_MAX {
        return Err(at(name.span(), format!("a name has 1 to {NAME_BYTES_MAX} bytes")));
    }
    Ok(())
}

/// Line and column of a byte, both from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
format = 1
module = "a.wasm"

[[case]]
name = "doubles"
ticks = 2
gas = 7
[case.sensors]
level = [1, 2.5]
other = "sim:4"
[[case.input]]
before_tick = 2
channel = "factor"
payload = "u8:3"
[case.config]
unit = "celsius"
[case.expect]
twice = ["f64:2", "f64:5"]

[[case]]
name = "says so"
ticks = 1
error_returns = 1
log = ["no sensor"]
trap = "unreachable"
"#;

    fn refused(text: &str) -> String {
        TestFile::parse(text, Path::new("")).unwrap_err()
    }

    #[test]
    fn a_whole_file_is_read() {
        let file = TestFile::parse(GOOD, Path::new("folder")).unwrap();
        assert_eq!(file.module, Path::new("folder/a.wasm"));
        let [first, second] = file.cases.as_slice() else { panic!("{file:?}") };
        assert_eq!((first.ticks, first.gas, first.error_returns), (2, Some(7), 0));
        let level = SensorSource::Recorded { samples: vec![1.0, 2.5], repeats: false };
        assert_eq!(first.sensors[0], Sensor { name: "level".into(), source: level });
        assert_eq!(first.sensors[1].source, SensorSource::Simulated { seed: 4 });
        assert_eq!((first.due(1).len(), first.due(2)), (0, vec![("factor", vec![3])]));
        assert_eq!((first.ticks_until_input(0), first.ticks_until_input(1)), (1, 1));
        assert_eq!(second.ticks_until_input(0), 1);
        assert_eq!(first.config, [ConfigEntry { key: "unit".into(), value: "celsius".into() }]);
        assert_eq!(first.messages["twice"][1].bytes(), 5f64.to_le_bytes());
        assert_eq!(second.log.as_deref(), Some(&["no sensor".to_owned()][..]));
        assert_eq!((second.error_returns, second.trap.as_deref()), (1, Some("unreachable")));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (from, to, place, what) in [
            ("gas = 7", "gaz = 7", "line 8, column 1", "unknown field `gaz`"),
            ("format = 1", "format = 2", "line 2, column 10", "reads format 1"),
            ("\"f64:5\"", "\"f65:5\"", "line 19, column 19", "f65:5"),
            ("[1, 2.5]", "[1, \"x\"]", "line 10, column 9", "expected numbers"),
            ("\"sim:4\"", "\"sim:x\"", "line 11, column 9", "no seed"),
            ("ticks = 2", "ticks = 10000001", "line 7, column 9", "at most"),
            ("twice =", "\"\" =", "line 19, column 1", "1 to 64 bytes"),
            ("before_tick = 2", "before_tick = 3", "line 13, column 15", "1 to 2"),
            ("name = \"doubles\"", "", "line 5, column 1", "missing field `name`"),
        ] {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD);
            let refused = refused(&text);
            assert!(refused.contains(place) && refused.contains(what), "{from} → {to}: {refused}");
        }
        assert!(refused("format = 1\nmodule = \"a\"").contains("no [[case]]"));
    }
}
