//! Sizes on disk.

use anyhow::Context;
use harness::{DeviceClass, Kit};
use std::path::Path;

pub struct Size {
    pub target: &'static str,
    pub agent_bytes: u64,
    pub runtime_bytes: u64,
}

pub fn measure(kit: &Kit) -> anyhow::Result<Vec<Size>> {
    let of = |class: DeviceClass| {
        let (agent_bytes, runtime_bytes) = (size(&kit.agent(class))?, size(&kit.runtime(class))?);
        Ok(Size { target: class.target, agent_bytes, runtime_bytes })
    };
    DeviceClass::ALL.into_iter().map(of).collect()
}

fn size(path: &Path) -> anyhow::Result<u64> {
    Ok(std::fs::metadata(path).with_context(|| path.display().to_string())?.len())
}
