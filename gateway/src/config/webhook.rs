//! Who is told of what happens.

use crate::webhooks::KINDS;
use serde::Deserialize;
use std::net::IpAddr;
use std::path::PathBuf;

const WEBHOOKS_MAX: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// For the log.
    pub name: String,
    /// With TLS, or on loopback.
    pub url: String,
    /// A file with a secret, of 16 characters at least, by which the receiver knows us.
    pub secret_file: PathBuf,
    /// What to tell; everything unless given.
    #[serde(default)]
    pub events: Vec<String>,
}

pub fn check(webhooks: &[WebhookConfig]) -> Result<(), String> {
    if webhooks.len() > WEBHOOKS_MAX {
        return Err(format!("there may be {WEBHOOKS_MAX} entries of [[webhook]]"));
    }
    for (index, webhook) in webhooks.iter().enumerate() {
        let WebhookConfig { name, url, events, .. } = webhook;
        if name.is_empty() || webhooks[..index].iter().any(|other| other.name == *name) {
            return Err(format!("each [[webhook]] needs a name of its own, and one has {name:?}"));
        }
        check_url(url).map_err(|why| format!("the url of webhook {name} {why}"))?;
        if let Some(event) = events.iter().find(|event| !KINDS.contains(&event.as_str())) {
            let known = KINDS.join(", ");
            return Err(format!(
                "webhook {name} has no event {event:?} to hear of; there are {known}"
            ));
        }
    }
    Ok(())
}

/// Who listens on the way could read plain HTTP, and the signature hides nothing.
fn check_url(url: &str) -> Result<(), String> {
    let uri: axum::http::Uri = url.parse().map_err(|e| format!("is none: {e}"))?;
    let host = uri.host().map(|host| host.trim_matches(['[', ']'])).unwrap_or_default();
    if host.is_empty() {
        return Err("should read like https://example.org/hook".to_owned());
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("holds a user name or a password: notices are signed instead".to_owned());
    }
    let is_loopback =
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if is_loopback => Ok(()),
        _ => Err("should begin with https://; plain http:// is for loopback".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(url: &str, events: &[&str]) -> Result<(), String> {
        check(&[WebhookConfig {
            name: "a".into(),
            url: url.into(),
            secret_file: "/s".into(),
            events: events.iter().map(|event| (*event).to_owned()).collect(),
        }])
    }

    #[test]
    fn only_tls_and_loopback_are_told_anything() {
        for good in [
            "https://example.org/hook",
            "http://127.0.0.1:9/",
            "http://[::1]:9/",
            "http://localhost/",
        ] {
            assert_eq!(checked(good, &[]), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("http://example.org/hook", "plain http"),
            ("http://10.0.0.1/", "plain http"),
            ("http://127.0.0.1.example.org/", "plain http"),
            ("ftp://example.org/", "https://"),
            ("https://me:secret@example.org/", "user name"),
            ("/hook", "should read like"),
            ("https://", "is none"),
        ] {
            let refused = checked(bad, &[]).unwrap_err();
            assert!(refused.contains(why), "{bad}: {refused}");
            assert!(!refused.contains("secret@"), "{refused}");
        }
    }

    #[test]
    fn an_event_that_never_comes_is_refused_by_name() {
        assert_eq!(checked("https://a/", &["device-offline"]), Ok(()));
        let refused = checked("https://a/", &["device-of-line"]).unwrap_err();
        assert!(
            refused.contains("device-of-line") && refused.contains("device-offline"),
            "{refused}"
        );
    }
}
