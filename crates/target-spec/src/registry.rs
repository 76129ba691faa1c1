//! The targets that this build knows, embedded from `targets/*.toml`.

use crate::{Target, TargetId};
use std::sync::LazyLock;

/// File name without `.toml`, and content. The name must equal the file's `id`.
const FILES: [(&str, &str); 4] = [
    ("aarch64-linux", include_str!("../../../targets/aarch64-linux.toml")),
    ("riscv64-linux", include_str!("../../../targets/riscv64-linux.toml")),
    ("x86_64-linux", include_str!("../../../targets/x86_64-linux.toml")),
    ("x86_64-v3-linux", include_str!("../../../targets/x86_64-v3-linux.toml")),
];

/// The layout of the files that this build reads.
pub const TARGET_FORMAT: u32 = 1;

static BUILT_IN: LazyLock<Registry> = LazyLock::new(|| {
    let targets = FILES.iter().map(|(name, text)| read(name, text));
    // The files are part of this crate, and `every_target_file_is_valid` reads them.
    Registry {
        targets: targets.collect::<Result<_, _>>().expect("embedded target files are valid"),
    }
});

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("target {asked:?} is not known; known are: {}", known.join(", "))]
pub struct UnknownTarget {
    pub asked: String,
    pub known: Vec<String>,
}

/// A set of targets, looked up by id.
#[derive(Debug)]
pub struct Registry {
    targets: Vec<Target>,
}

impl Registry {
    pub fn built_in() -> &'static Registry {
        &BUILT_IN
    }

    pub fn all(&self) -> &[Target] {
        &self.targets
    }

    pub fn find(&self, id: &str) -> Result<&Target, UnknownTarget> {
        self.targets.iter().find(|target| target.id.as_str() == id).ok_or_else(|| UnknownTarget {
            asked: id.to_owned(),
            known: self.targets.iter().map(|target| target.id.to_string()).collect(),
        })
    }

    pub fn get(&self, id: &TargetId) -> Result<&Target, UnknownTarget> {
        self.find(id.as_str())
    }
}

fn read(name: &str, text: &str) -> Result<Target, String> {
    let target: Target = toml::from_str(text).map_err(|e| format!("targets/{name}.toml: {e}"))?;
    if target.format != TARGET_FORMAT {
        return Err(format!(
            "targets/{name}.toml: format {} is not {TARGET_FORMAT}",
            target.format
        ));
    }
    if target.id.as_str() != name {
        return Err(format!("targets/{name}.toml: id {} is not the file's name", target.id));
    }
    if !(1..=2).contains(&target.tier) {
        return Err(format!("targets/{name}.toml: tier {} is not 1 or 2", target.tier));
    }
    if target.bounds_checks.is_empty() {
        return Err(format!("targets/{name}.toml: bounds_checks is empty"));
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
