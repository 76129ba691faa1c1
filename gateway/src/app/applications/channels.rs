//! Subscriptions that nobody would answer, found before anything is deployed.
//!
//! A module hears what others publish on its device. So for each device the question is
//! what would run there: the modules of the file, and whatever else is deployed to it.

use super::draft::{concerned, problem_at};
use crate::app::desired::wanted_by;
use crate::app::model::Model;
use crate::store::record::{DeploymentRecord, DeviceRecord};
use application_file::{ApplicationFile, Channel, Direction, Module, Scope, nearest};
use gateway_api::FileProblem;

/// One for each subscription without a publisher, at its place. The records are those of
/// the file's modules, in its order.
pub fn dangling(
    model: &Model,
    file: &ApplicationFile,
    records: &[&DeploymentRecord],
) -> Vec<FileProblem> {
    let view = View { model, file, records };
    let mut problems = Vec::new();
    for (module, record) in file.modules.iter().zip(records) {
        let heard = module.channels_to(Direction::Subscribe);
        for channel in heard.filter(|channel| channel.scope == Scope::Both) {
            let what = view.silence(module, record, &channel.name.value);
            problems.extend(what.map(|what| problem_at(channel.name.at, what)));
        }
    }
    problems
}

struct View<'a> {
    model: &'a Model,
    file: &'a ApplicationFile,
    records: &'a [&'a DeploymentRecord],
}

impl View<'_> {
    /// Why the module would hear nothing on this channel somewhere.
    fn silence(&self, module: &Module, record: &DeploymentRecord, channel: &str) -> Option<String> {
        let publisher = self.publisher_in_file(module, channel, None);
        let mut devices = concerned(self.model, record).peekable();
        if devices.peek().is_none() {
            // Nothing can be said of devices that are not there yet, but of the file.
            return match publisher {
                Some(_) => None,
                None => Some(self.nobody(module, channel)),
            };
        }
        let silent = devices.find(|device| !self.is_heard_on(module, channel, device))?;
        Some(match publisher {
            Some(publisher) => format!(
                "module {} subscribes to channel {channel:?}, and on {} nobody publishes on it: module {} \
                 does not run there. Give both the same devices",
                module.name.value, silent.name, publisher.name.value
            ),
            None => self.nobody(module, channel),
        })
    }

    fn is_heard_on(&self, module: &Module, channel: &str, device: &DeviceRecord) -> bool {
        if self.publisher_in_file(module, channel, Some(device)).is_some() {
            return true;
        }
        let others = wanted_by(self.model, device).into_values().filter(|deployment| {
            // What belongs to this application goes or is in the file.
            deployment.application.as_ref() != Some(&self.file.name.value)
                && self.file.module(&deployment.app).is_none()
        });
        others.into_iter().any(|deployment| deployment.channels.iter().any(|c| c == channel))
    }

    fn publisher_in_file(
        &self,
        module: &Module,
        channel: &str,
        on: Option<&DeviceRecord>,
    ) -> Option<&Module> {
        let mut pairs = self.file.modules.iter().zip(self.records);
        let found = pairs.find(|(other, record)| {
            other.name.value != module.name.value
                && other.publishes(channel)
                && on.is_none_or(|device| record.selects(device))
        });
        found.map(|(publisher, _)| publisher)
    }

    fn nobody(&self, module: &Module, channel: &str) -> String {
        let name = &module.name.value;
        let others = self.file.modules.iter().filter(|other| other.name.value != *name);
        let said = others.flat_map(|other| other.channels_to(Direction::Publish));
        let meant = nearest(channel, said.map(|c: &Channel| c.name.value.as_str()));
        let advice = match meant {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => "have a module publish on it, or say scope = \"remote\" if its messages come \
                     through the gateway"
                .to_owned(),
        };
        format!(
            "module {name} subscribes to channel {channel:?}, and nobody publishes on it; {advice}"
        )
    }
}
