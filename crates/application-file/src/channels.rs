//! Channels, and whether those of several modules fit together.
//!
//! A channel's name connects: who subscribes to it on a device hears whoever publishes
//! on it there. A name that one side alone has would show as silence on a device; that
//! is the gateway's to find, which knows what else runs there.

use crate::check::{GRANTS_MAX, refuse_repeated};
use crate::error::{Errors, excerpt};
use crate::model::{Channel, Direction, Located, Module, Scope};
use crate::names::{GRANT_NAME_RULE, is_grant_name};
use crate::shape;
use toml::Spanned;

pub fn read(channels: &[Spanned<shape::Channel>], errors: &mut Errors<'_>) -> Vec<Channel> {
    if let Some(surplus) = channels.get(GRANTS_MAX) {
        let what =
            format!("the module has {} channels, and {GRANTS_MAX} are the most", channels.len());
        errors.add(&surplus.span(), what);
    }
    let kept = channels.iter().take(GRANTS_MAX);
    kept.map(|channel| to_channel(channel.get_ref(), errors)).collect()
}

fn to_channel(channel: &shape::Channel, errors: &mut Errors<'_>) -> Channel {
    let name = channel.name.get_ref();
    if !is_grant_name(name) {
        let shown = excerpt(name);
        let what = format!("{shown:?} is no name for a channel: {GRANT_NAME_RULE}");
        errors.add(&channel.name.span(), what);
    }
    let direction = to_direction(&channel.direction, errors);
    let scope = channel.scope.as_ref().map(|scope| to_scope(scope, direction, errors));
    Channel {
        name: Located { value: name.clone(), at: errors.place_of(&channel.name.span()) },
        direction,
        scope: scope.unwrap_or(Scope::Both),
    }
}

fn to_direction(direction: &Spanned<String>, errors: &mut Errors<'_>) -> Direction {
    match direction.get_ref().as_str() {
        "publish" => return Direction::Publish,
        "subscribe" => return Direction::Subscribe,
        other => {
            let what = format!(
                "there is no direction {:?}; there are \"publish\" and \"subscribe\"",
                excerpt(other)
            );
            errors.add(&direction.span(), what);
        }
    }
    Direction::Publish
}

fn to_scope(scope: &Spanned<String>, direction: Direction, errors: &mut Errors<'_>) -> Scope {
    let what = match (scope.get_ref().as_str(), direction) {
        ("both", _) => return Scope::Both,
        ("remote", Direction::Subscribe) => return Scope::Remote,
        ("local" | "remote", Direction::Publish) => format!(
            "scope {:?} is not supported yet for what a module publishes: it goes to the gateway and to \
             the modules of its device that subscribe. Leave scope out",
            scope.get_ref()
        ),
        ("local", Direction::Subscribe) => {
            "scope \"local\" is not supported yet: operators can send on \
             every channel that a module subscribes to. Leave scope out"
                .to_owned()
        }
        (other, _) => {
            format!("there is no scope {:?}; there are \"both\" and \"remote\"", excerpt(other))
        }
    };
    errors.add(&scope.span(), what);
    Scope::Both
}

/// What the file alone can tell. Who else publishes on the devices, the gateway knows.
pub fn check(modules: &[Module], errors: &mut Errors<'_>) {
    for module in modules {
        for direction in [Direction::Publish, Direction::Subscribe] {
            refuse_repeated(module.channels_to(direction).map(|c| &c.name), "channel", errors);
        }
        check_direction(module, errors);
        for heard in module.channels_to(Direction::Subscribe) {
            check_scope(module, heard, modules, errors);
        }
    }
}

/// Both directions of one channel in one module.
fn check_direction(module: &Module, errors: &mut Errors<'_>) {
    for heard in module.channels_to(Direction::Subscribe) {
        let said = module.channels_to(Direction::Publish);
        if let Some(said) = said.into_iter().find(|said| said.name.value == heard.name.value) {
            let later = std::cmp::max(said.name.at, heard.name.at);
            let what = format!(
                "module {:?} publishes on channel {:?} and subscribes to it, and never hears itself; \
                 use two channels",
                excerpt(&module.name.value),
                excerpt(&heard.name.value)
            );
            errors.add_at(later, what);
        }
    }
}

/// A channel whose messages come through the gateway alone has no publisher here.
fn check_scope(module: &Module, heard: &Channel, modules: &[Module], errors: &mut Errors<'_>) {
    let is_publisher = |other: &&Module| {
        other.name.value != module.name.value && other.publishes(&heard.name.value)
    };
    if heard.scope == Scope::Remote
        && let Some(publisher) = modules.iter().find(is_publisher)
    {
        let what = format!(
            "channel {:?} is said to be remote, and module {:?} publishes on it; leave scope out",
            excerpt(&heard.name.value),
            excerpt(&publisher.name.value)
        );
        errors.add_at(heard.name.at, what);
    }
}
