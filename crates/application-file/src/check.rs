//! From shape to meaning: names, ranges, and what has to fit together within the file.

use crate::channels;
use crate::error::{Errors, excerpt};
use crate::model::{
    ApplicationFile, Build, Devices, Isolation, Located, Module, Placement, Source,
};
use crate::names::{
    CAPABILITY_RULE, GRANT_NAME_RULE, LINK_NAME_RULE, NAME_RULE, is_capability, is_grant_name,
    is_link_name, is_name,
};
use crate::{BUILDS_MAX, LIBRARIES_MAX, MODULES_MAX, class, not_yet, shape, steps, wasi};
use module_limits::{Limit, LimitAction, LimitActions};
use std::collections::{BTreeMap, HashMap};
use std::ops::{Range, RangeInclusive};
use toml::Spanned;

const INTERVAL_MS_MAX: u32 = 3_600_000;
const CALL_MS: RangeInclusive<u32> = 1..=60_000;
const HEALTH_WINDOW_MS: RangeInclusive<u32> = 0..=86_400_000;
const MEMORY_BYTES: RangeInclusive<u64> = 0..=4 * 1024 * 1024 * 1024;
const GAS: RangeInclusive<u64> = 1..=i64::MAX as u64;
const PRIORITY: RangeInclusive<u8> = 0..=7;
const VERSION: RangeInclusive<u32> = 1..=u32::MAX;
const STORAGE_BYTES: RangeInclusive<u32> = 0..=256 * 1024;
const CONFIG_ENTRIES_MAX: usize = 32;
const CONFIG_KEY_BYTES_MAX: usize = 64;
const CONFIG_VALUE_BYTES_MAX: usize = 512;
const CONFIG_BYTES_MAX: usize = 4 * 1024;
pub const GRANTS_MAX: usize = 16;
const DEVICES_MAX: usize = 10_000;
const TARGETS_MAX: usize = 32;
const PATH_BYTES_MAX: usize = 1_024;
const ID_DIGITS: usize = 64;

/// What the shape means. It is whole only if no error was added.
pub fn check(file: &shape::File, errors: &mut Errors<'_>) -> ApplicationFile {
    check_name(&file.name, "application", errors);
    let devices = file.devices.as_ref().map(|devices| to_devices(devices, errors));
    let targets = file.targets.as_ref().map(|targets| to_targets(targets, errors));
    let placement = file.placement.as_ref().map(|placement| to_placement(placement, errors));
    let of_all = OfAll { devices, targets, placement };
    if file.modules.is_empty() {
        errors.add_absence(&file.name.span(), "the application has no module; add [[module]]");
    }
    if let Some(surplus) = file.modules.get(MODULES_MAX) {
        let what = format!(
            "the application has {} modules, and {MODULES_MAX} are the most; split it",
            file.modules.len()
        );
        errors.add(&surplus.span(), what);
    }
    let kept = file.modules.iter().take(MODULES_MAX);
    let modules: Vec<Module> = kept.map(|module| to_module(module, &of_all, errors)).collect();
    refuse_repeated(modules.iter().map(|module| &module.name), "module", errors);
    channels::check(&modules, errors);
    ApplicationFile { name: locate(&file.name, errors), modules }
}

fn locate(text: &Spanned<String>, errors: &Errors<'_>) -> Located<String> {
    Located { value: text.get_ref().clone(), at: errors.place_of(&text.span()) }
}

fn check_name(name: &Spanned<String>, of: &str, errors: &mut Errors<'_>) {
    if !is_name(name.get_ref()) {
        let shown = excerpt(name.get_ref());
        errors.add(&name.span(), format!("{shown:?} is no name for the {of}: {NAME_RULE}"));
    }
}

/// What holds for each module that says nothing else.
struct OfAll {
    devices: Option<Devices>,
    targets: Option<Vec<Located<String>>>,
    placement: Option<Placement>,
}

fn to_module(module: &Spanned<shape::Module>, of_all: &OfAll, errors: &mut Errors<'_>) -> Module {
    let span = module.span();
    let module = module.get_ref();
    check_name(&module.name, "module", errors);
    let scheduling = class::read(module, errors);
    let shortest_ms = class::shortest_interval_ms(&scheduling);
    let interval = shortest_ms..=INTERVAL_MS_MAX;
    check_range("interval_ms", module.interval_ms.as_ref(), interval, errors);
    let window = module.health_window_ms.as_ref();
    check_range("health_window_ms", window, HEALTH_WINDOW_MS, errors);
    check_range("storage_bytes", module.storage_bytes.as_ref(), STORAGE_BYTES, errors);
    let isolation = to_isolation(module.isolation.as_ref(), errors);
    check_priority(module.priority.as_ref(), isolation, errors);
    check_own_scheduling(module, isolation, errors);
    let limits = module.limits.as_ref().map(|limits| limits.get_ref().clone()).unwrap_or_default();
    let memory = limits.memory_bytes_max.as_ref();
    check_range("memory_bytes_max", memory, MEMORY_BYTES, errors);
    check_range("call_ms_max", limits.call_ms_max.as_ref(), CALL_MS, errors);
    check_range("gas_per_call_max", limits.gas_per_call_max.as_ref(), GAS, errors);
    check_range("gas_per_s_max", limits.gas_per_s_max.as_ref(), GAS, errors);
    let own_targets = module.targets.as_ref().map(|targets| to_targets(targets, errors));
    let own_placement = module.placement.as_ref().map(|own| to_placement(own, errors));
    let own = module.devices.as_ref().map(|devices| to_devices(devices, errors));
    let devices = own.or_else(|| of_all.devices.clone()).unwrap_or_else(|| {
        let what = "it is not said where the module runs; give devices = \"all\", or a list of \
                    devices, to the module or to the application";
        errors.add_absence(&span, what);
        Devices::All
    });
    Module {
        name: locate(&module.name, errors),
        builds: to_builds(&span, module, errors),
        devices,
        targets: own_targets.or_else(|| of_all.targets.clone()),
        placement: own_placement.or_else(|| of_all.placement.clone()).unwrap_or_default(),
        interval_ms: get(module.interval_ms.as_ref()),
        health_window_ms: get(window),
        isolation,
        priority: get(module.priority.as_ref()),
        metering: module.metering.unwrap_or_default(),
        canonical_nans: module.canonical_nans.unwrap_or_default(),
        memory_bytes_max: get(memory),
        call_ms_max: get(limits.call_ms_max.as_ref()),
        storage_bytes: get(module.storage_bytes.as_ref()),
        scheduling,
        config: to_config(module.config.as_ref(), errors),
        gas_per_call_max: get(limits.gas_per_call_max.as_ref()),
        gas_per_s_max: get(limits.gas_per_s_max.as_ref()),
        actions: to_actions(&limits, errors),
        sensors: to_grants("sensor", &module.sensors, errors),
        actuators: to_grants("actuator", &module.actuators, errors),
        channels: channels::read(&module.channels, errors),
        wasi: module.wasi.as_ref().map(|wasi| wasi::read(wasi, errors)),
        steps: steps::read(&module.steps, errors),
    }
}

pub fn get<T: Copy>(value: Option<&Spanned<T>>) -> Option<T> {
    value.map(|value| *value.get_ref())
}

fn check_range<T: PartialOrd + Copy + std::fmt::Display>(
    name: &str,
    value: Option<&Spanned<T>>,
    range: RangeInclusive<T>,
    errors: &mut Errors<'_>,
) {
    if let Some(value) = value.filter(|value| !range.contains(value.get_ref())) {
        let what = format!(
            "{name} is {}; it has to be {} to {}",
            value.get_ref(),
            range.start(),
            range.end()
        );
        errors.add(&value.span(), what);
    }
}

fn to_isolation(isolation: Option<&Spanned<String>>, errors: &mut Errors<'_>) -> Isolation {
    let Some(isolation) = isolation else { return Isolation::default() };
    let found = Isolation::ALL.into_iter().find(|known| known.as_str() == isolation.get_ref());
    found.unwrap_or_else(|| {
        let what = format!(
            "there is no isolation {:?}; there is \"module\" for a process of its own, \
             \"application\" for one with the modules of this file, and \"shared\" for one with all \
             modules of the device that share",
            excerpt(isolation.get_ref())
        );
        errors.add(&isolation.span(), what);
        Isolation::default()
    })
}

/// A class, processors and a weight are of a process, and so of all that share it.
fn check_own_scheduling(module: &shape::Module, isolation: Isolation, errors: &mut Errors<'_>) {
    let class = module.class.as_ref().filter(|class| class.get_ref() != scheduling::BEST_EFFORT);
    let asked = [
        ("class", class.map(Spanned::span)),
        ("cpus", module.cpus.as_ref().map(Spanned::span)),
        ("cpu_weight", module.cpu_weight.as_ref().map(Spanned::span)),
    ];
    for (name, span) in asked {
        if let Some(span) = span.filter(|_| isolation != Isolation::Module) {
            let what = format!(
                "{name} is for a module with a process of its own; leave it out, or leave isolation out"
            );
            errors.add(&span, what);
        }
    }
}

fn check_priority(priority: Option<&Spanned<u8>>, isolation: Isolation, errors: &mut Errors<'_>) {
    check_range("priority", priority, PRIORITY, errors);
    if let Some(priority) = priority.filter(|_| isolation == Isolation::Module) {
        let what = "priority is among the modules of one process, and this one has its own; leave \
                    it out, or give isolation = \"application\" or \"shared\"; that of a real-time \
                    module stands in [module.real_time]";
        errors.add(&priority.span(), what);
    }
}

fn to_actions(limits: &shape::Limits, errors: &mut Errors<'_>) -> LimitActions {
    let mut actions = LimitActions::default();
    let Some(asked) = &limits.actions else { return actions };
    for (name, action) in asked.get_ref() {
        let read = read_action(name, action.get_ref(), limits);
        match read {
            Ok((limit, action)) => actions.ask(limit, action),
            Err(what) => errors.add(&action.span(), what),
        }
    }
    actions
}

fn read_action(
    name: &str,
    action: &str,
    limits: &shape::Limits,
) -> Result<(Limit, LimitAction), String> {
    let limit: Limit = name.parse().map_err(|e| format!("{e}"))?;
    let action: LimitAction = action.parse().map_err(|e| format!("{e}"))?;
    let mut alone = LimitActions::default();
    alone.ask(limit, action);
    alone.check().map_err(|e| e.to_string())?;
    let lacking = match limit {
        Limit::GasPerCall if limits.gas_per_call_max.is_none() => "gas_per_call_max",
        Limit::GasRate if limits.gas_per_s_max.is_none() => "gas_per_s_max",
        _ => return Ok((limit, action)),
    };
    Err(format!("there is no limit that {limit} would be about; give {lacking} too"))
}

type Config = BTreeMap<String, Spanned<String>>;

fn to_config(
    config: Option<&Spanned<Config>>,
    errors: &mut Errors<'_>,
) -> BTreeMap<String, String> {
    let Some(config) = config else { return BTreeMap::new() };
    let entries = config.get_ref();
    let bytes: usize = entries.iter().map(|(key, value)| key.len() + value.get_ref().len()).sum();
    if entries.len() > CONFIG_ENTRIES_MAX || bytes > CONFIG_BYTES_MAX {
        let what = format!(
            "the configuration has {} entries of {bytes} bytes together; {CONFIG_ENTRIES_MAX} of \
             {CONFIG_BYTES_MAX} bytes are the most",
            entries.len()
        );
        errors.add(&config.span(), what);
    }
    for (key, value) in entries {
        if key.is_empty() || key.len() > CONFIG_KEY_BYTES_MAX || key.contains(char::is_control) {
            let what = format!(
                "{:?} is no key: use 1 to {CONFIG_KEY_BYTES_MAX} bytes without control characters",
                excerpt(key)
            );
            errors.add(&value.span(), what);
        }
        if value.get_ref().len() > CONFIG_VALUE_BYTES_MAX {
            let what = format!(
                "the value of {:?} has {} bytes, and {CONFIG_VALUE_BYTES_MAX} are the most",
                excerpt(key),
                value.get_ref().len()
            );
            errors.add(&value.span(), what);
        }
    }
    entries.iter().map(|(key, value)| (key.clone(), value.get_ref().clone())).collect()
}

fn to_devices(devices: &Spanned<shape::Devices>, errors: &mut Errors<'_>) -> Devices {
    let these = match devices.get_ref() {
        shape::Devices::Word(word) if word == "all" => return Devices::All,
        shape::Devices::Word(word) => {
            let what = match not_yet::field(word) {
                Some(why) => format!("{word:?} is not supported yet: {why}"),
                None => format!(
                    "{:?} is neither \"all\" nor a list; write devices = [{:?}] for one device",
                    excerpt(word),
                    excerpt(word)
                ),
            };
            errors.add(&devices.span(), what);
            return Devices::All;
        }
        shape::Devices::These(these) => these,
    };
    if these.is_empty() || these.len() > DEVICES_MAX {
        let what = format!(
            "the list names {} devices; name 1 to {DEVICES_MAX}, or give \"all\"",
            these.len()
        );
        errors.add(&devices.span(), what);
    }
    let these: Vec<_> =
        these.iter().take(DEVICES_MAX).map(|device| locate(device, errors)).collect();
    refuse_repeated(these.iter(), "device", errors);
    Devices::These(these)
}

/// Which targets there are, the gateway knows.
fn to_targets(
    targets: &Spanned<Vec<Spanned<String>>>,
    errors: &mut Errors<'_>,
) -> Vec<Located<String>> {
    let names = targets.get_ref();
    if !(1..=TARGETS_MAX).contains(&names.len()) {
        let what = format!(
            "the list has {} targets; name 1 to {TARGETS_MAX}, or leave it out for any",
            names.len()
        );
        errors.add(&targets.span(), what);
    }
    let names: Vec<_> =
        names.iter().take(TARGETS_MAX).map(|target| locate(target, errors)).collect();
    refuse_repeated(names.iter(), "target", errors);
    names
}

fn to_placement(placement: &Spanned<shape::Placement>, errors: &mut Errors<'_>) -> Placement {
    let asked = placement.get_ref();
    for (what, count) in [("label", asked.labels.len()), ("accelerator", asked.accelerators.len())]
    {
        if count > GRANTS_MAX {
            let what = format!("these are {count} {what}s, and {GRANTS_MAX} are the most");
            errors.add(&placement.span(), what);
        }
    }
    for (key, value) in &asked.labels {
        for text in [key, value.get_ref()].into_iter().filter(|text| !is_capability(text)) {
            let shown = excerpt(text);
            errors.add(&value.span(), format!("{shown:?} is no label: {CAPABILITY_RULE}"));
        }
    }
    for name in asked.accelerators.iter().filter(|name| !is_capability(name.get_ref())) {
        let shown = excerpt(name.get_ref());
        errors.add(&name.span(), format!("{shown:?} is no accelerator: {CAPABILITY_RULE}"));
    }
    let labels = asked.labels.iter().map(|(key, value)| (key.clone(), value.get_ref().clone()));
    let accelerators: Vec<_> =
        asked.accelerators.iter().take(GRANTS_MAX).map(|name| locate(name, errors)).collect();
    refuse_repeated(accelerators.iter(), "accelerator", errors);
    Placement { labels: labels.take(GRANTS_MAX).collect(), accelerators }
}

fn to_grants(
    kind: &str,
    names: &[Spanned<String>],
    errors: &mut Errors<'_>,
) -> Vec<Located<String>> {
    if let Some(surplus) = names.get(GRANTS_MAX) {
        let what = format!("these are {} {kind}s, and {GRANTS_MAX} are the most", names.len());
        errors.add(&surplus.span(), what);
    }
    for name in names.iter().take(GRANTS_MAX).filter(|name| !is_grant_name(name.get_ref())) {
        let shown = excerpt(name.get_ref());
        errors.add(&name.span(), format!("{shown:?} is no name for a {kind}: {GRANT_NAME_RULE}"));
    }
    let names: Vec<_> = names.iter().take(GRANTS_MAX).map(|name| locate(name, errors)).collect();
    refuse_repeated(names.iter(), kind, errors);
    names
}

/// The second of two equal names is the one that is wrong.
pub fn refuse_repeated<'a>(
    names: impl Iterator<Item = &'a Located<String>>,
    kind: &str,
    errors: &mut Errors<'_>,
) {
    let mut seen: HashMap<&str, &Located<String>> = HashMap::new();
    for name in names {
        match seen.get(name.value.as_str()) {
            Some(first) => {
                let shown = excerpt(&name.value);
                let what = format!("{kind} {shown:?} is there already, at {}", first.at);
                errors.add_at(name.at, what);
            }
            None => drop(seen.insert(&name.value, name)),
        }
    }
}

fn to_builds(span: &Range<usize>, module: &shape::Module, errors: &mut Errors<'_>) -> Vec<Build> {
    let own = to_build(span, (&module.file, &module.version, &module.id), errors);
    let own = with_libraries(own, module.link.as_ref(), errors);
    let Some(any_of) = &module.any_of else {
        if own.is_none() {
            let what = "it is not said which bytes run; give file, version, id or any_of";
            errors.add_absence(span, what);
        }
        return own.into_iter().collect();
    };
    if own.is_some() {
        let what = "any_of is the whole list of builds; move file, version or id into it";
        errors.add(&any_of.span(), what);
    }
    let builds = any_of.get_ref();
    if !(1..=BUILDS_MAX).contains(&builds.len()) {
        let what = format!("any_of has {} builds; give 1 to {BUILDS_MAX}", builds.len());
        errors.add(&any_of.span(), what);
    }
    let mut kept: Vec<Build> = Vec::new();
    for build in builds.iter().take(BUILDS_MAX) {
        let sources = build.get_ref();
        let read = to_build(&build.span(), (&sources.file, &sources.version, &sources.id), errors);
        let read = with_libraries(read, sources.link.as_ref(), errors);
        match read {
            None => {
                errors.add_absence(&build.span(), "the build is empty; give file, version or id")
            }
            Some(read) => match kept.iter().find(|other| other.label() == read.label()) {
                Some(first) => {
                    let what =
                        format!("{} is there already, at {}", excerpt(&read.label()), first.at);
                    errors.add_at(read.at, what);
                }
                None => kept.push(read),
            },
        }
    }
    kept
}

type Sources<'a> =
    (&'a Option<Spanned<String>>, &'a Option<Spanned<u32>>, &'a Option<Spanned<String>>);

fn to_build(span: &Range<usize>, sources: Sources<'_>, errors: &mut Errors<'_>) -> Option<Build> {
    let (file, version, id) = sources;
    let given = [file.is_some(), version.is_some(), id.is_some()].iter().filter(|is| **is).count();
    if given > 1 {
        errors.add(span, "give one of file, version and id, and not several");
    }
    if let Some(file) = file {
        check_path(file, errors);
        let source = Source::File(file.get_ref().clone());
        return Some(to_plain(&file.span(), source, errors));
    }
    if let Some(version) = version {
        check_range("version", Some(version), VERSION, errors);
        let source = Source::Version(*version.get_ref());
        return Some(to_plain(&version.span(), source, errors));
    }
    let id = id.as_ref()?;
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if id.get_ref().len() != ID_DIGITS || !id.get_ref().chars().all(is_hex) {
        let what = format!(
            "{:?} is no id: it is the module's SHA-256 in {ID_DIGITS} lower-case hexadecimal digits",
            excerpt(id.get_ref())
        );
        errors.add(&id.span(), what);
    }
    Some(to_plain(&id.span(), Source::Id(id.get_ref().clone()), errors))
}

fn to_plain(span: &Range<usize>, source: Source, errors: &Errors<'_>) -> Build {
    Build { at: errors.place_of(span), source, libraries: BTreeMap::new() }
}

/// The names and their paths; what is in the files is for those who have them.
fn with_libraries(
    build: Option<Build>,
    link: Option<&Spanned<BTreeMap<String, Spanned<String>>>>,
    errors: &mut Errors<'_>,
) -> Option<Build> {
    let Some(link) = link else { return build };
    let libraries = link.get_ref();
    if !matches!(&build, Some(Build { source: Source::File(_), .. })) {
        let what =
            "link says what a file is linked with; give it beside file, in each build of any_of";
        errors.add(&link.span(), what);
    }
    if !(1..=LIBRARIES_MAX).contains(&libraries.len()) {
        let what = format!("these are {} libraries; name 1 to {LIBRARIES_MAX}", libraries.len());
        errors.add(&link.span(), what);
    }
    let mut named = BTreeMap::new();
    for (name, path) in libraries.iter().take(LIBRARIES_MAX) {
        if !is_link_name(name) {
            let shown = excerpt(name);
            errors.add(&path.span(), format!("{shown:?} is no link name: {LINK_NAME_RULE}"));
        }
        check_path(path, errors);
        named.insert(name.clone(), locate(path, errors));
    }
    build.map(|build| Build { libraries: named, ..build })
}

fn check_path(path: &Spanned<String>, errors: &mut Errors<'_>) {
    let text = path.get_ref();
    if text.is_empty() || text.len() > PATH_BYTES_MAX || text.chars().any(char::is_control) {
        let what = format!(
            "{:?} is no path: use 1 to {PATH_BYTES_MAX} bytes without control characters",
            excerpt(text)
        );
        errors.add(&path.span(), what);
    }
}
