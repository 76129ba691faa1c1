//! `farrier trust show`: in words, what a device would accept and from whom.

use crate::args::OutputArgs;
use crate::console::Console;
use crate::failure::Failure;
use crate::format;
use clap::Args;
use gateway_api::{ReleaseKeyPlace, Trust, TrustKey};
use gateway_client::Client;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier trust show
  farrier trust show --json")]
pub struct ShowArgs {
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: &ShowArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let trust = client.trust().await?;
    console.show(
        args.output.format(),
        &trust,
        || vec![trust.summary.root_id.clone()],
        |look| view(&trust, look.wide),
    )
}

fn view(trust: &Trust, wide: bool) -> String {
    let summary = &trust.summary;
    let mut text = String::new();
    let mut say = |heading: &str, sentences: Vec<String>| {
        text += &format!("{heading}\n");
        for sentence in sentences {
            text += &format!("  {}\n", format::printable(&sentence));
        }
    };
    if summary.waits_for_root() {
        say(
            "Root",
            vec![
                "The gateway has no root document yet: no device can be let in.".to_owned(),
                "Make one with `farrier root init`, naming the keys of `farrier trust keys`, and hand \
                 it in with `farrier root publish`."
                    .to_owned(),
            ],
        );
    } else {
        say("Root", root_in_words(trust));
        say("What a device accepts", accepted_in_words(trust, wide));
    }
    say("Who holds the release key", holder_in_words(trust));
    say("Developers", developers_in_words(trust, wide));
    say("What a thief of the gateway gets", vec![summary.thief_gets().to_owned()]);
    text
}

fn root_in_words(trust: &Trust) -> Vec<String> {
    let summary = &trust.summary;
    let mut words = vec![
        format!("Version {} of the root document, id {}.", summary.root_version, summary.root_id),
        format!(
            "A next version must be signed by {} of its {} root keys, and by as many of its own as it \
             says.",
            summary.threshold, summary.root_key_count
        ),
        format!("Epoch {}: what was assigned in an earlier one is refused.", summary.epoch),
    ];
    if let Some(not_after_ms) = trust.not_after_ms {
        words.push(format!(
            "A device that knows the time takes it until {}.",
            format::date_time(not_after_ms)
        ));
    }
    if summary.is_one_root_key() {
        words.push("One root key alone decides: that is for demonstrations.".to_owned());
    }
    words
}

fn accepted_in_words(trust: &Trust, wide: bool) -> Vec<String> {
    let mut words = vec![
        format!(
            "Code: only with a release signed by {}.",
            keys_in_words(&trust.release_keys, wide)
        ),
        format!(
            "What to run: only a manifest for itself, signed by {}, and newer than the last one.",
            keys_in_words(&trust.assign_keys, wide)
        ),
    ];
    for floor in &trust.floors {
        words.push(format!(
            "{}: version {} or later, and nothing older.",
            floor.app, floor.version_min
        ));
    }
    match trust.revoked.as_slice() {
        [] => words.push("No key is revoked.".to_owned()),
        revoked => words.push(format!(
            "Nothing by what is revoked: {}.",
            revoked.iter().map(|id| short(id, wide)).collect::<Vec<_>>().join(", ")
        )),
    }
    words
}

fn holder_in_words(trust: &Trust) -> Vec<String> {
    let summary = &trust.summary;
    let mut words = match (summary.release_key_place, &trust.signer) {
        (ReleaseKeyPlace::InProcess, _) => {
            vec!["The gateway's own process, in its data directory.".to_owned()]
        }
        (ReleaseKeyPlace::Offline, _) => {
            vec!["People, offline: `farrier release export`, `sign` and `submit`.".to_owned()]
        }
        (ReleaseKeyPlace::Signer, signer) => {
            let signer = signer.as_ref();
            let socket = signer.map(|signer| signer.socket.clone()).unwrap_or_default();
            let recompiles = match summary.signer_recompiles {
                true => "It compiles each module again and signs only what matches.",
                false => "It does not compile again: it believes the gateway what was built.",
            };
            let mut words = vec![format!("farrier-signer, at {socket}."), recompiles.to_owned()];
            if summary.signer_requires_developer {
                words.push("It signs only modules that a developer signed.".to_owned());
            }
            if let Some(problem) = signer.and_then(|signer| signer.problem.clone()) {
                words.push(format!("It cannot be used now: {problem}."));
            }
            words
        }
    };
    if summary.releases_waiting > 0 {
        words.push(format!(
            "Releases that wait for their signature: {}; see `farrier release list`.",
            summary.releases_waiting
        ));
    }
    words
}

fn developers_in_words(trust: &Trust, wide: bool) -> Vec<String> {
    let rule = match trust.require_developer_signature {
        true => "Modules are taken and deployed only with a developer's signature.",
        false => "Modules are taken without a developer's signature.",
    };
    let mut words = vec![rule.to_owned()];
    for developer in &trust.developers {
        words.push(format!("{}: key {}.", developer.name, short(&developer.id, wide)));
    }
    words
}

fn keys_in_words(keys: &[TrustKey], wide: bool) -> String {
    let valid: Vec<String> =
        keys.iter().filter(|key| key.valid).map(|key| short(&key.id, wide)).collect();
    match valid.as_slice() {
        [] => "no key at all".to_owned(),
        [one] => format!("key {one}"),
        several => format!("one of the keys {}", several.join(", ")),
    }
}

fn short(id: &str, wide: bool) -> String {
    if wide { id.to_owned() } else { format::short_id(id).to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use gateway_api::{SignerStatus, TrustDeveloper, TrustFloor, TrustSummary};

    fn key(digit: &str) -> TrustKey {
        TrustKey { id: digit.repeat(64), public_key: digit.repeat(64), valid: true }
    }

    #[test]
    fn trust_is_explained_in_words() {
        let trust = Trust {
            summary: TrustSummary {
                root_id: "d".repeat(64),
                root_version: 3,
                epoch: 2,
                threshold: 2,
                root_key_count: 3,
                release_key_online: false,
                release_key_place: ReleaseKeyPlace::Signer,
                signer_recompiles: true,
                signer_requires_developer: false,
                releases_waiting: 1,
            },
            not_after_ms: None,
            root_keys: vec![key("1"), key("2"), key("3")],
            release_keys: vec![key("a")],
            assign_keys: vec![key("b"), TrustKey { valid: false, ..key("c") }],
            revoked: vec!["c".repeat(64)],
            floors: vec![TrustFloor { app: "filter".into(), version_min: 7 }],
            gateway_assign_keys: vec![key("b")],
            gateway_release_keys: vec![],
            signer: Some(SignerStatus { socket: "/run/s".into(), problem: Some("away".into()) }),
            require_developer_signature: true,
            developers: vec![TrustDeveloper {
                name: "alice".into(),
                id: "e".repeat(64),
                public_key: "f".repeat(64),
            }],
        };
        expect![[r#"
            Root
              Version 3 of the root document, id dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd.
              A next version must be signed by 2 of its 3 root keys, and by as many of its own as it says.
              Epoch 2: what was assigned in an earlier one is refused.
            What a device accepts
              Code: only with a release signed by key aaaaaaaaaaaa.
              What to run: only a manifest for itself, signed by key bbbbbbbbbbbb, and newer than the last one.
              filter: version 7 or later, and nothing older.
              Nothing by what is revoked: cccccccccccc.
            Who holds the release key
              farrier-signer, at /run/s.
              It compiles each module again and signs only what matches.
              It cannot be used now: away.
              Releases that wait for their signature: 1; see `farrier release list`.
            Developers
              Modules are taken and deployed only with a developer's signature.
              alice: key eeeeeeeeeeee.
            What a thief of the gateway gets
              Whoever takes the gateway over can send genuine builds of modules, his own modules included, to devices, and stop what runs. He cannot run machine code of his making: the signer compiles each artifact again and signs only what matches. Let the signer ask for developers' signatures to keep his modules out too.
        "#]].assert_eq(&view(&trust, false));
    }

    #[test]
    fn a_gateway_without_a_root_says_what_to_do() {
        let trust = Trust {
            summary: TrustSummary::default(),
            not_after_ms: None,
            root_keys: vec![],
            release_keys: vec![],
            assign_keys: vec![],
            revoked: vec![],
            floors: vec![],
            gateway_assign_keys: vec![],
            gateway_release_keys: vec![],
            signer: None,
            require_developer_signature: false,
            developers: vec![],
        };
        assert!(view(&trust, false).contains("farrier root init"));
    }
}
