//! What the pages know of the gateway's answers: of each thing, the fields that are shown.
//!
//! Names and meanings are those of `gateway-api`. States stay the text that they are on
//! the wire; `words` says what they mean.

mod deployment;
mod device;
mod module;
mod session;

#[cfg(test)]
mod contract_tests;

pub use deployment::{
    Deployment, DeviceProgress, DeviceSelector, NewDeployment, earlier_deployment,
};
pub use device::*;
pub use module::*;
pub use session::*;

use crate::json::{FromJson, Part};

/// A piece of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// The `cursor` of the next one, if there is more.
    pub next: Option<String>,
    /// On all pages together.
    pub total: u64,
}

impl<T: FromJson> FromJson for Page<T> {
    fn from_json(part: Part<'_>) -> Self {
        let items: Vec<T> = part.field("items");
        let total: Option<u64> = part.field("total");
        let total = total.unwrap_or(items.len() as u64);
        Self { next: part.field("next"), total, items }
    }
}
