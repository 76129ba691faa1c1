//! What would change, for people.

use crate::format::printable;
use gateway_api::{ApplicationPlan, ModulePlan, PlanAction, PlanBuild, PlanDifference};

/// A line for each module, and below it what differs. What needs a yes is marked.
pub fn view(plan: &ApplicationPlan) -> String {
    let name = printable(&plan.application);
    let mut text = match (plan.from_version, plan.to_version) {
        (0, _) => format!("{name} is new\n"),
        (from, to) if from == to => format!("{name} version {from} stays as it is\n"),
        (from, to) => format!("{name} version {from} -> {to}\n"),
    };
    for module in &plan.modules {
        text += &of_module(module);
    }
    for path in &plan.missing {
        text += &format!("upload {}\n", printable(path));
    }
    if plan.asks_for_more {
        text += "! asks for more than what runs now\n";
    }
    text
}

fn of_module(module: &ModulePlan) -> String {
    let mut text = format!("{:<6} {}\n", module.action.as_str(), printable(&module.module));
    if module.action == PlanAction::Keep {
        return text;
    }
    let lines = (module.differences.iter().map(of_difference))
        .chain(module.builds.iter().map(of_build))
        .chain(module.notes.iter().map(|note| format!("  note: {note}")));
    for line in lines {
        text += &format!("{}\n", printable(&line));
    }
    text
}

pub fn of_difference(difference: &PlanDifference) -> String {
    let PlanDifference { what, before, after, is_more } = difference;
    let mark = if *is_more { '!' } else { ' ' };
    match (before, after) {
        (Some(before), Some(after)) => format!("{mark}   {what}: {before} -> {after}"),
        (None, Some(after)) => format!("{mark} + {what}: {after}"),
        (Some(before), None) => format!("{mark} - {what}: {before}"),
        (None, None) => format!("{mark}   {what}"),
    }
}

fn of_build(build: &PlanBuild) -> String {
    let devices = match build.device_count {
        1 => "1 device".to_owned(),
        count => format!("{count} devices"),
    };
    let reason = build.reason.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
    format!("  {} on {} ({devices}{reason})", build.build, build.target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn difference(what: &str, before: &str, after: &str, is_more: bool) -> PlanDifference {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        PlanDifference { what: what.into(), before: text(before), after: text(after), is_more }
    }

    #[test]
    fn what_needs_a_yes_is_marked_on_its_line() {
        let module = |name: &str, action| ModulePlan {
            module: name.into(),
            action,
            differences: vec![],
            builds: vec![],
            notes: vec![],
        };
        let build = |target: &str, build: &str, reason: Option<&str>| PlanBuild {
            target: target.into(),
            device_count: 1,
            build: build.into(),
            reason: reason.map(str::to_owned),
        };
        let changed = ModulePlan {
            differences: vec![
                difference("build", "filter@1", "filter.wasm", false),
                difference("sensor", "", "humidity", true),
                difference("channel", "raw", "", false),
                difference("memory_bytes_max", "65536", "131072", true),
            ],
            builds: vec![
                build("aarch64-linux", "filter@2", None),
                build("riscv64-linux", "filter@1", Some("not filter@2: it uses vectors")),
            ],
            notes: vec!["kitchen has no sensor \"humidity\"".into()],
            ..module("filter", PlanAction::Change)
        };
        let plan = ApplicationPlan {
            application: "climate".into(),
            from_version: 1,
            to_version: 2,
            missing: vec!["filter.wasm".into()],
            modules: vec![
                changed,
                module("alarm", PlanAction::Keep),
                module("old", PlanAction::Remove),
            ],
            asks_for_more: true,
        };
        expect![[r#"
            climate version 1 -> 2
            change filter
                build: filter@1 -> filter.wasm
            ! + sensor: humidity
              - channel: raw
            !   memory_bytes_max: 65536 -> 131072
              filter@2 on aarch64-linux (1 device)
              filter@1 on riscv64-linux (1 device; not filter@2: it uses vectors)
              note: kitchen has no sensor "humidity"
            keep   alarm
            remove old
            upload filter.wasm
            ! asks for more than what runs now
        "#]]
        .assert_eq(&view(&plan));
    }
}
