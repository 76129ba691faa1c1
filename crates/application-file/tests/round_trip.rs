//! What is written as a file is read as what it was.

use application_file::{Devices, Direction, Scope, Source, is_name, read};
use module_limits::{Limit, LimitActions};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A module as the test writes it.
#[derive(Debug, Clone)]
struct Written {
    sources: Vec<Source>,
    devices: Option<Vec<String>>,
    interval_ms: Option<u32>,
    health_window_ms: Option<u32>,
    flags: (bool, bool),
    memory_bytes_max: Option<u64>,
    call_ms_max: Option<u32>,
    gas: (Option<u64>, Option<u64>),
    actions: LimitActions,
    storage_bytes: Option<u32>,
    config: BTreeMap<String, String>,
    sensors: Vec<String>,
    channels: Vec<String>,
}

fn source() -> impl Strategy<Value = Source> {
    prop_oneof![
        // Any text that is no path's business: quotes, backslashes, letters of all scripts.
        "[^\\p{C}]{1,40}".prop_map(Source::File),
        (1..=u32::MAX).prop_map(Source::Version),
        "[0-9a-f]{64}".prop_map(Source::Id),
    ]
}

fn gas() -> impl Strategy<Value = Option<u64>> {
    prop::option::of(1..=i64::MAX as u64)
}

fn names(count: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<String>> {
    prop::collection::btree_set("[A-Za-z0-9_./-]{1,64}", count)
        .prop_map(|names| names.into_iter().collect())
}

fn written() -> impl Strategy<Value = Written> {
    (
        prop::collection::vec(source(), 1..=8),
        prop::option::of(names(1..5)),
        (prop::option::of(10u32..=3_600_000), prop::option::of(0u32..=86_400_000)),
        any::<(bool, bool)>(),
        (prop::option::of(0u64..=4 << 30), prop::option::of(1u32..=60_000)),
        (gas(), gas(), prop::collection::vec(any::<prop::sample::Index>(), 5)),
        prop::option::of(0u32..=262_144),
        prop::collection::btree_map("[^\\p{C}]{1,16}", "[^\\p{C}]{0,40}", 0..8),
        names(0..=16),
        names(0..=16),
    )
        .prop_map(
            |(
                mut sources,
                devices,
                times,
                flags,
                limits,
                gas,
                storage_bytes,
                config,
                sensors,
                channels,
            )| {
                let mut kept: Vec<Source> = Vec::new();
                sources.retain(|source| {
                    let is_new = !kept.contains(source);
                    kept.push(source.clone());
                    is_new
                });
                let (interval_ms, health_window_ms) = times;
                let (memory_bytes_max, call_ms_max) = limits;
                let (per_call, per_s, chosen) = gas;
                let mut actions = LimitActions::default();
                for (limit, chosen) in Limit::ALL.into_iter().zip(chosen) {
                    let has_limit = match limit {
                        Limit::GasPerCall => per_call.is_some(),
                        Limit::GasRate => per_s.is_some(),
                        _ => true,
                    };
                    if has_limit {
                        actions.ask(limit, *chosen.get(limit.actions()));
                    }
                }
                Written {
                    sources,
                    devices,
                    interval_ms,
                    health_window_ms,
                    flags,
                    memory_bytes_max,
                    call_ms_max,
                    gas: (per_call, per_s),
                    actions,
                    storage_bytes,
                    config,
                    sensors,
                    channels,
                }
            },
        )
}

fn ends_of(channel: &str) -> (Direction, Scope) {
    match channel.len().is_multiple_of(2) {
        true => (Direction::Publish, Scope::Both),
        // A remote one with a publisher of its name in another module would be refused.
        false => (Direction::Subscribe, Scope::Both),
    }
}

fn to_table(source: &Source) -> toml::Table {
    let (key, value) = match source {
        Source::File(path) => ("file", path.clone().into()),
        Source::Version(version) => ("version", i64::from(*version).into()),
        Source::Id(id) => ("id", id.clone().into()),
    };
    [(key.to_owned(), value)].into_iter().collect()
}

fn to_module(name: &str, written: &Written) -> toml::Table {
    let mut table = toml::Table::new();
    table.insert("name".into(), name.into());
    match written.sources.as_slice() {
        [one] => table.extend(to_table(one)),
        several => {
            let builds: Vec<toml::Value> =
                several.iter().map(|source| to_table(source).into()).collect();
            table.insert("any_of".into(), builds.into());
        }
    }
    let devices = written.devices.clone().map_or("all".into(), toml::Value::from);
    table.insert("devices".into(), devices);
    let mut put = |key: &str, value: Option<u32>| {
        if let Some(value) = value {
            table.insert(key.into(), i64::from(value).into());
        }
    };
    put("interval_ms", written.interval_ms);
    put("health_window_ms", written.health_window_ms);
    put("storage_bytes", written.storage_bytes);
    let config = written.config.iter().map(|(k, v)| (k.clone(), v.clone().into()));
    table.insert("config".into(), config.collect::<toml::Table>().into());
    table.insert("metering".into(), written.flags.0.into());
    table.insert("canonical_nans".into(), written.flags.1.into());
    table.insert("sensors".into(), written.sensors.clone().into());
    table.insert("actuators".into(), written.sensors.clone().into());
    let mut limits = toml::Table::new();
    let (per_call, per_s) = written.gas;
    for (key, gas) in [("gas_per_call_max", per_call), ("gas_per_s_max", per_s)] {
        if let Some(gas) = gas {
            limits.insert(key.into(), (gas as i64).into());
        }
    }
    let actions = Limit::ALL.into_iter().filter_map(|limit| {
        let action = written.actions.asked(limit)?;
        Some((limit.to_string(), toml::Value::from(action.to_string())))
    });
    limits.insert("actions".into(), actions.collect::<toml::Table>().into());
    if let Some(bytes) = written.memory_bytes_max {
        limits.insert("memory_bytes_max".into(), (bytes as i64).into());
    }
    if let Some(ms) = written.call_ms_max {
        limits.insert("call_ms_max".into(), i64::from(ms).into());
    }
    table.insert("limits".into(), limits.into());
    let to_channel = |name: &String| -> toml::Value {
        // By the name, so that it can be told again.
        let (direction, scope) = ends_of(name);
        let pairs =
            [("name", name.as_str()), ("direction", direction.as_str()), ("scope", scope.as_str())];
        let pairs = pairs.map(|(key, value)| (key.to_owned(), toml::Value::from(value)));
        toml::Table::from_iter(pairs).into()
    };
    let channels: Vec<toml::Value> = written.channels.iter().map(to_channel).collect();
    table.insert("channel".into(), channels.into());
    table
}

fn to_text(name: &str, modules: &[Written]) -> String {
    let tables = modules.iter().enumerate();
    let tables: Vec<toml::Value> =
        tables.map(|(n, module)| to_module(&format!("m{n}"), module).into()).collect();
    let mut file = toml::Table::new();
    file.insert("format".into(), 1.into());
    file.insert("name".into(), name.into());
    file.insert("module".into(), tables.into());
    toml::to_string(&file).expect("tables are TOML")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_what_is_read(
        name in "[a-z0-9-]{1,64}",
        modules in prop::collection::vec(written(), 1..4),
    ) {
        let text = to_text(&name, &modules);
        let file = read(&text).map_err(|e| TestCaseError::fail(format!("{e:?} in {text}")))?;
        prop_assert_eq!(&file.name.value, &name);
        prop_assert_eq!(file.modules.len(), modules.len());
        for (read, written) in file.modules.iter().zip(&modules) {
            let sources: Vec<_> = read.builds.iter().map(|b| b.source.clone()).collect();
            prop_assert_eq!(&sources, &written.sources);
            let devices = match &read.devices {
                Devices::All => None,
                Devices::These(these) => Some(these.iter().map(|d| d.value.clone()).collect()),
            };
            prop_assert_eq!(&devices, &written.devices);
            prop_assert_eq!(read.interval_ms, written.interval_ms);
            prop_assert_eq!(read.health_window_ms, written.health_window_ms);
            prop_assert_eq!((read.metering, read.canonical_nans), written.flags);
            prop_assert_eq!(read.memory_bytes_max, written.memory_bytes_max);
            prop_assert_eq!(read.call_ms_max, written.call_ms_max);
            prop_assert_eq!((read.gas_per_call_max, read.gas_per_s_max), written.gas);
            prop_assert_eq!(read.actions, written.actions);
            prop_assert_eq!(read.storage_bytes, written.storage_bytes);
            prop_assert_eq!(&read.config, &written.config);
            let sensors: Vec<_> = read.sensors.iter().map(|s| s.value.clone()).collect();
            prop_assert_eq!(&sensors, &written.sensors);
            let channels: Vec<_> = read.channels.iter().map(|c| c.name.value.clone()).collect();
            prop_assert_eq!(&channels, &written.channels);
            let are_equal =
                read.channels.iter().all(|c| (c.direction, c.scope) == ends_of(&c.name.value));
            prop_assert!(are_equal);
            let actuators: Vec<_> = read.actuators.iter().map(|a| a.value.clone()).collect();
            prop_assert_eq!(&actuators, &written.sensors);
        }
    }

    /// Each error's place is in the text, and a file is never accepted with a name that
    /// no module can have.
    #[test]
    fn any_change_of_a_good_file_is_read_or_refused_by_place(
        module in written(),
        at in any::<prop::sample::Index>(),
        with in "[a-z0-9\"\\[\\]{}=\n ]{0,4}",
    ) {
        let text = to_text("a", &[module]);
        let cut = text.char_indices().map(|(i, _)| i).collect::<Vec<_>>();
        let begin = *at.get(&cut);
        let end = text[begin..].char_indices().nth(1).map_or(text.len(), |(i, _)| begin + i);
        let changed = format!("{}{with}{}", &text[..begin], &text[end..]);
        match read(&changed) {
            Ok(file) => prop_assert!(file.modules.iter().all(|m| is_name(&m.name.value))),
            Err(errors) => {
                prop_assert!(!errors.is_empty());
                let line_count = changed.split('\n').count() as u32;
                for error in errors {
                    prop_assert!((1..=line_count).contains(&error.at.line), "{error}");
                    prop_assert!(error.at.column >= 1 && !error.what.is_empty());
                }
            }
        }
    }
}
