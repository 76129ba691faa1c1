//! Channels, and whether those of several modules fit together.
//!
//! A channel's name connects: who subscribes to it on a device hears whoever publishes
//! on it there. So a name that one side alone has is a mistake in almost every case, and
//! it would show as silence on a device.

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
    Channel {
        name: Located { value: name.clone(), at: errors.place_of(&channel.name.span()) },
        direction: to_direction(&channel.direction, errors),
        scope: channel.scope.as_ref().map_or(Scope::Remote, |scope| to_scope(scope, errors)),
    }
}

fn to_direction(direction: &Spanned<String>, errors: &mut Errors<'_>) -> Direction {
    match direction.get_ref().as_str() {
        "publish" => return Direction::Publish,
        "subscribe" => {
            let what = "direction \"subscribe\" is not supported yet; there is \"publish\"";
            errors.add(&direction.span(), what);
            return Direction::Subscribe;
        }
        other => {
            let what = format!("there is no direction {:?}; there is \"publish\"", excerpt(other));
            errors.add(&direction.span(), what);
        }
    }
    Direction::Publish
}

fn to_scope(scope: &Spanned<String>, errors: &mut Errors<'_>) -> Scope {
    match scope.get_ref().as_str() {
        "remote" => return Scope::Remote,
        "local" => {
            let what = "scope \"local\" is not supported yet; there is \"remote\"";
            errors.add(&scope.span(), what);
            return Scope::Local;
        }
        other => {
            let what = format!("there is no scope {:?}; there is \"remote\"", excerpt(other));
            errors.add(&scope.span(), what);
        }
    }
    Scope::Remote
}

/// What the file alone can tell. Who else publishes on the devices, the gateway knows.
pub fn check(modules: &[Module], errors: &mut Errors<'_>) {
    for module in modules {
        for direction in [Direction::Publish, Direction::Subscribe] {
            let names = module.channels.iter().filter(|c| c.direction == direction);
            refuse_repeated(names.map(|channel| &channel.name), "channel", errors);
        }
        check_own_echo(module, errors);
    }
    // A publisher may have been among what was wrong.
    if errors.is_partial {
        return;
    }
    for module in modules {
        for channel in module.channels.iter().filter(|c| c.direction == Direction::Subscribe) {
            check_scope(module, channel, modules, errors);
        }
    }
}

/// Both directions of one channel in one module: it would hear itself.
fn check_own_echo(module: &Module, errors: &mut Errors<'_>) {
    for heard in module.channels.iter().filter(|c| c.direction == Direction::Subscribe) {
        let is_same =
            |c: &&Channel| c.direction == Direction::Publish && c.name.value == heard.name.value;
        if let Some(said) = module.channels.iter().find(is_same) {
            let later = std::cmp::max(said.name.at, heard.name.at);
            let what = format!(
                "module {:?} publishes on channel {:?} and subscribes to it: it would hear itself. \
                 Use two channels",
                excerpt(&module.name.value),
                excerpt(&heard.name.value)
            );
            errors.add_at(later, what);
        }
    }
}

/// The same channel, local at one end and remote at the other.
fn check_scope(module: &Module, heard: &Channel, modules: &[Module], errors: &mut Errors<'_>) {
    let said_by = |scope: Scope| {
        let says = move |m: &&Module| {
            m.name.value != module.name.value
                && m.channels.iter().any(|c| {
                    c.direction == Direction::Publish
                        && c.scope == scope
                        && c.name.value == heard.name.value
                })
        };
        modules.iter().find(says)
    };
    let other = match heard.scope {
        Scope::Local => Scope::Remote,
        Scope::Remote => Scope::Local,
    };
    if said_by(heard.scope).is_none()
        && let Some(publisher) = said_by(other)
    {
        let what = format!(
            "module {:?} subscribes to the {} channel {:?}, and module {:?} publishes it as {}: \
             give both the same scope",
            excerpt(&module.name.value),
            heard.scope.as_str(),
            excerpt(&heard.name.value),
            excerpt(&publisher.name.value),
            other.as_str()
        );
        errors.add_at(heard.name.at, what);
    }
}
