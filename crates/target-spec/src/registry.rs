//! The targets that this build knows, embedded from `targets/*.toml`.

use crate::{BareTarget, BoundsChecks, Target, TargetId};
use std::sync::LazyLock;

/// File name without `.toml`, and content. The name must equal the file's `id`.
const FILES: [(&str, &str); 4] = [
    ("aarch64-linux", include_str!("../../../targets/aarch64-linux.toml")),
    ("riscv64-linux", include_str!("../../../targets/riscv64-linux.toml")),
    ("x86_64-linux", include_str!("../../../targets/x86_64-linux.toml")),
    ("x86_64-v3-linux", include_str!("../../../targets/x86_64-v3-linux.toml")),
];

/// Targets for which there is no code generator.
const BARE_FILES: [(&str, &str); 1] =
    [("armv7-linux", include_str!("../../../targets/armv7-linux.toml"))];

/// The layout of the files that this build reads.
pub const TARGET_FORMAT: u32 = 1;

static BUILT_IN: LazyLock<Registry> = LazyLock::new(|| {
    let targets = FILES.iter().map(|(name, text)| read(name, text));
    // The files are part of this crate, and `every_target_file_is_valid` reads them.
    Registry {
        targets: targets.collect::<Result<_, _>>().expect("embedded target files are valid"),
        bare: BARE_FILES
            .iter()
            .map(|(name, text)| read_bare(name, text))
            .collect::<Result<_, _>>()
            .expect("embedded target files are valid"),
    }
});

/// Why there is nothing to compile for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("target {asked:?} is not known; known are: {}", known.join(", "))]
    Unknown { asked: String, known: Vec<String> },
    /// Devices of this kind exist, and can be in a fleet.
    #[error("no code generator for {0}")]
    NoCodeGenerator(TargetId),
}

/// A set of targets, looked up by id.
#[derive(Debug)]
pub struct Registry {
    targets: Vec<Target>,
    bare: Vec<BareTarget>,
}

/// What is known of a device by its target, whether or not code can be made for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceTarget<'a> {
    pub id: &'a TargetId,
    /// For people.
    pub name: &'a str,
    pub bounds_checks: &'a [BoundsChecks],
}

impl Registry {
    pub fn built_in() -> &'static Registry {
        &BUILT_IN
    }

    /// Those that code can be made for.
    pub fn all(&self) -> &[Target] {
        &self.targets
    }

    /// The others.
    pub fn without_code_generator(&self) -> &[BareTarget] {
        &self.bare
    }

    /// A target that code can be made for.
    pub fn find(&self, id: &str) -> Result<&Target, TargetError> {
        if let Some(target) = self.targets.iter().find(|target| target.id.as_str() == id) {
            return Ok(target);
        }
        Err(match self.bare.iter().find(|target| target.id.as_str() == id) {
            Some(target) => TargetError::NoCodeGenerator(target.id.clone()),
            None => TargetError::Unknown {
                asked: id.to_owned(),
                known: self.targets.iter().map(|target| target.id.to_string()).collect(),
            },
        })
    }

    pub fn get(&self, id: &TargetId) -> Result<&Target, TargetError> {
        self.find(id.as_str())
    }

    /// Any target that a device may be.
    pub fn find_device(&self, id: &str) -> Result<DeviceTarget<'_>, TargetError> {
        if let Some(bare) = self.bare.iter().find(|target| target.id.as_str() == id) {
            let BareTarget { id, name, bounds_checks, .. } = bare;
            return Ok(DeviceTarget { id, name, bounds_checks });
        }
        let Target { id, name, bounds_checks, .. } = self.find(id)?;
        Ok(DeviceTarget { id, name, bounds_checks })
    }
}

fn read_bare(name: &str, text: &str) -> Result<BareTarget, String> {
    let target: BareTarget =
        toml::from_str(text).map_err(|e| format!("targets/{name}.toml: {e}"))?;
    check_head(name, target.format, &target.id, &target.bounds_checks)?;
    Ok(target)
}

fn check_head(
    name: &str,
    format: u32,
    id: &TargetId,
    bounds_checks: &[BoundsChecks],
) -> Result<(), String> {
    let refuse = |what: String| Err(format!("targets/{name}.toml: {what}"));
    if format != TARGET_FORMAT {
        return refuse(format!("format {format} is not {TARGET_FORMAT}"));
    }
    if id.as_str() != name {
        return refuse(format!("id {id} is not the file's name"));
    }
    if bounds_checks.is_empty() {
        return refuse("bounds_checks is empty".to_owned());
    }
    Ok(())
}

fn read(name: &str, text: &str) -> Result<Target, String> {
    let target: Target = toml::from_str(text).map_err(|e| format!("targets/{name}.toml: {e}"))?;
    check_head(name, target.format, &target.id, &target.bounds_checks)?;
    if !(1..=2).contains(&target.tier) {
        return Err(format!("targets/{name}.toml: tier {} is not 1 or 2", target.tier));
    }
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BoundsChecks;

    #[test]
    fn every_target_file_is_valid() {
        for (name, text) in FILES {
            read(name, text).unwrap_or_else(|e| panic!("{e}"));
        }
        for (name, text) in BARE_FILES {
            read_bare(name, text).unwrap_or_else(|e| panic!("{e}"));
            assert!(read(name, text).is_err(), "{name} has no code generator");
        }
    }

    #[test]
    fn an_unknown_target_is_refused_with_the_known_ones() {
        let refusal = Registry::built_in().find("sparc-linux").unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "target \"sparc-linux\" is not known; known are: aarch64-linux, riscv64-linux, x86_64-linux, \
             x86_64-v3-linux"
        );
    }

    #[test]
    fn a_device_may_be_of_a_target_without_a_code_generator() {
        let registry = Registry::built_in();
        let refusal = registry.find("armv7-linux").unwrap_err();
        assert_eq!(refusal.to_string(), "no code generator for armv7-linux");
        let device = registry.find_device("armv7-linux").unwrap();
        assert_eq!(device.bounds_checks, [BoundsChecks::Software]);
        for target in registry.all() {
            let device = registry.find_device(target.id.as_str()).unwrap();
            assert_eq!((device.id, device.name), (&target.id, target.name.as_str()));
        }
        assert!(matches!(registry.find_device("sparc-linux"), Err(TargetError::Unknown { .. })));
        let ids = registry.without_code_generator().iter().map(|target| target.id.as_str());
        assert!(ids.eq(["armv7-linux"]));
    }

    #[test]
    fn hardware_checks_are_the_default_only_on_x86_64() {
        let defaults: Vec<_> = Registry::built_in()
            .all()
            .iter()
            .map(|target| (target.id.as_str(), target.default_bounds_checks()))
            .collect();
        assert_eq!(
            defaults,
            [
                ("aarch64-linux", BoundsChecks::Software),
                ("riscv64-linux", BoundsChecks::Software),
                ("x86_64-linux", BoundsChecks::Hardware),
                ("x86_64-v3-linux", BoundsChecks::Hardware),
            ]
        );
    }

    #[test]
    fn a_target_on_anothers_runtime_adds_only_cpu_features() {
        let targets = BUILT_IN.targets.iter().filter(|target| target.runtime.is_some());
        for target in targets.inspect(|target| println!("{}", target.id)) {
            let base = BUILT_IN.get(target.runtime_id()).unwrap();
            assert_eq!(base.runtime, None, "the runtime of {} is a real one", target.id);
            assert!(base.missing_cpu_features(&target.cpu_features).is_empty());
            assert_eq!((target.arch, &target.abi, &target.aot), (base.arch, &base.abi, &base.aot));
            assert_eq!(target.bounds_checks, base.bounds_checks);
        }
    }

    #[test]
    fn an_unknown_key_in_a_target_file_is_refused() {
        let text = format!("{}\nextra = 1\n", FILES[0].1);
        assert!(read(FILES[0].0, &text).unwrap_err().contains("unknown field"));
    }
}
