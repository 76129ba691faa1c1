//! Gives up what a worker does not need, as far as the system lets it.
//!
//! Called once the process has loaded its libraries and before any artifact is
//! read. Threads started afterwards inherit all of it. Nothing here is required:
//! an emulator refuses most of it, and the hello says what is in force.

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus,
    Scope,
};
use rustix::process::{Resource, Rlimit, setrlimit};

/// The newest rules that the crate knows; an older kernel applies those it has.
const LANDLOCK: ABI = ABI::V6;

/// Names of the measures in force.
pub fn confine() -> Vec<String> {
    let mut in_force = Vec::new();
    // A module's memory stays off the disk even if the worker crashes.
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    if setrlimit(Resource::Core, no_core).is_ok() {
        in_force.push("no-core-dumps".to_owned());
    }
    if rustix::thread::set_no_new_privs(true).is_ok() {
        in_force.push("no-new-privileges".to_owned());
    }
    match restrict_access() {
        Ok(RulesetStatus::FullyEnforced) => in_force.push("landlock".to_owned()),
        Ok(RulesetStatus::PartiallyEnforced) => in_force.push("landlock-partial".to_owned()),
        Ok(RulesetStatus::NotEnforced) | Err(_) => {}
    }
    in_force
}

/// No file may be opened, no TCP port bound or connected, no abstract socket
/// reached and no process outside signalled. Open descriptors stay usable.
fn restrict_access() -> Result<RulesetStatus, landlock::RulesetError> {
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?
        .restrict_self()?;
    Ok(status.ruleset)
}
