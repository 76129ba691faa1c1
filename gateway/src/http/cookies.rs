//! The cookie of a session.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use cookie::{Cookie, SameSite, time::Duration};

pub const SESSION_COOKIE: &str = "farrier_session";

/// As `begin_session` makes them: hexadecimal digits of 32 bytes.
const SESSION_CHARS: usize = 64;

/// What the browser sent, if it has the form.
pub fn session_of(headers: &HeaderMap) -> Option<String> {
    let lines = headers.get_all(COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut cookies = lines.flat_map(Cookie::split_parse).filter_map(Result::ok);
    let session = cookies.find(|cookie| cookie.name() == SESSION_COOKIE)?;
    let is_fine = |value: &str| {
        value.len() == SESSION_CHARS && value.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    is_fine(session.value()).then(|| session.value().to_owned())
}

/// Makes the browser keep it as long as the gateway may.
pub fn setting(secret: &str, valid_ms: u64, is_secure: bool) -> HeaderValue {
    to_header(secret, Duration::milliseconds(valid_ms as i64), is_secure)
}

pub fn removing() -> HeaderValue {
    to_header("", Duration::ZERO, false)
}

fn to_header(value: &str, max_age: Duration, is_secure: bool) -> HeaderValue {
    let mut cookie = Cookie::build((SESSION_COOKIE, value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .max_age(max_age);
    if is_secure {
        cookie = cookie.secure(true);
    }
    // Name and value are ASCII of ours.
    HeaderValue::from_str(&cookie.build().to_string()).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_value_of_the_right_form_is_looked_up() {
        let secret = "0a".repeat(32);
        let read = |line: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, line.parse().unwrap());
            session_of(&headers)
        };
        assert_eq!(read(&format!("a=b; farrier_session={secret}; c=d")), Some(secret.clone()));
        for bad in ["", "farrier_session=", "farrier_session=0a0a", &format!("farrier={secret}")] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(read(&format!("farrier_session={}", "zz".repeat(32))), None);
    }

    #[test]
    fn scripts_and_other_sites_do_not_get_it() {
        let set = setting("0a", 5_000, true).to_str().unwrap().to_owned();
        for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=5", "Secure"] {
            assert!(set.contains(attribute), "{set}");
        }
        assert!(!setting("0a", 5_000, false).to_str().unwrap().contains("Secure"));
        assert!(removing().to_str().unwrap().contains("Max-Age=0"));
    }
}
