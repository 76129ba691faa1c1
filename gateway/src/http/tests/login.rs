//! Users, sessions and tokens as a browser and a program see them.

use super::{Client, problem, text};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, RETRY_AFTER, SET_COOKIE};
use axum::http::{Method, Request, Response, StatusCode};
use gateway_api::{
    AuditPage, IssuedToken, List, Login, LoginSession, Me, NewUser, ProblemCode, Role, Secret,
    Token, User,
};
use serde::de::DeserializeOwned;
use std::net::SocketAddr;

const PASSWORD: &str = "four words of mine";

async fn json<T: DeserializeOwned>(response: Response<Body>) -> T {
    let status = response.status();
    let text = text(response).await;
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{status} {e}: {text}"))
}

fn with_user(name: &str, role: Role) -> Client {
    let client = Client::new();
    add_user(&client, name, role);
    client
}

fn add_user(client: &Client, name: &str, role: Role) {
    let password = Some(Secret(PASSWORD.to_owned()));
    client.fleet.app.add_user(&NewUser { name: name.to_owned(), role, password }).unwrap();
}

fn post(path: &str, body: &str) -> Request<Body> {
    let request = Request::builder().method(Method::POST).uri(path);
    let request = request.header(CONTENT_TYPE, "application/json");
    request.body(Body::from(body.to_owned())).unwrap()
}

/// From an address of its own, so that no test bounds another's logins.
fn login(body: &str, address: &str) -> Request<Body> {
    let mut request = post("/api/v1/login", body);
    let address: SocketAddr = format!("{address}:4000").parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(address));
    request
}

fn by_password(name: &str, password: &str) -> String {
    serde_json::json!({ "name": name, "password": password }).to_string()
}

fn cookie_of(response: &Response<Body>) -> String {
    let set = response.headers()[SET_COOKIE].to_str().unwrap();
    set.split(';').next().unwrap().to_owned()
}

fn with_cookie(method: Method, path: &str, cookie: &str, body: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header(COOKIE, cookie);
    let request = request.header(CONTENT_TYPE, "application/json");
    request.header("sec-fetch-site", "same-origin").body(Body::from(body.to_owned())).unwrap()
}

fn with_token(method: Method, path: &str, token: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    request.header(AUTHORIZATION, format!("Bearer {token}")).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_user_logs_in_with_a_password_and_acts_under_the_own_name() {
    let client = with_user("anna", Role::Operator);
    let answer = client.send(login(&by_password("anna", PASSWORD), "192.0.2.1")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let set = answer.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    for attribute in ["HttpOnly", "SameSite=Strict", "Max-Age=604800"] {
        assert!(set.contains(attribute), "{set}");
    }
    let cookie = cookie_of(&answer);
    let said: Login = json(answer).await;
    assert_eq!((said.user.as_deref(), said.role), (Some("anna"), Role::Operator));
    let me: Me = json(client.send(with_cookie(Method::GET, "/api/v1/me", &cookie, "")).await).await;
    let session = me.session.unwrap();
    assert_eq!(session.address.as_deref(), Some("192.0.2.1"));
    assert!(session.is_this && me.token.is_none());
    let made = with_cookie(Method::POST, "/api/v1/claim-tokens", &cookie, "{}");
    assert_eq!(client.send(made).await.status(), StatusCode::CREATED);
    let page: AuditPage = json(client.get("/api/v1/audit?limit=500").await).await;
    // The administrator's token, which reads the log, is used for the first time here.
    let by_anna = page.records.iter().rev().find(|record| record.actor == "user anna").unwrap();
    assert_eq!(by_anna.actions[0].what, "claim token made");
    let begun = page.records.iter().flat_map(|r| &r.actions).find(|a| a.what == "session begun");
    assert!(begun.unwrap().subject.ends_with("of anna from 192.0.2.1"), "{begun:?}");

    let forged = with_cookie(Method::POST, "/api/v1/claim-tokens", &cookie, "{}");
    let (mut parts, body) = forged.into_parts();
    parts.headers.insert("sec-fetch-site", "cross-site".parse().unwrap());
    let forged = client.send(Request::from_parts(parts, body)).await;
    assert_eq!(problem(forged).await.code, ProblemCode::Forbidden);
    let out = client.send(with_cookie(Method::POST, "/api/v1/logout", &cookie, "")).await;
    assert!(out.headers()[SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    let after = client.send(with_cookie(Method::GET, "/api/v1/me", &cookie, "")).await;
    assert_eq!(after.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn wrong_logins_say_the_same_whatever_was_wrong() {
    let client = with_user("anna", Role::Viewer);
    let token_only = NewUser { name: "robot".into(), role: Role::Viewer, password: None };
    client.fleet.app.add_user(&token_only).unwrap();
    let mut said = Vec::new();
    for (at, (name, password)) in
        [("anna", "wrong words of mine"), ("nobody", PASSWORD), ("robot", ""), ("robot", PASSWORD)]
            .into_iter()
            .enumerate()
    {
        let address = format!("192.0.2.{at}");
        let refused = client.send(login(&by_password(name, password), &address)).await;
        assert!(!refused.headers().contains_key(SET_COOKIE));
        let refused = problem(refused).await;
        assert_eq!((refused.status, refused.code), (401, ProblemCode::LoginRequired));
        said.push(refused.detail);
    }
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");
    for bad in ["{}", r#"{"name":"anna"}"#, r#"{"token":"x","name":"anna","password":"y"}"#] {
        let refused = problem(client.send(login(bad, "192.0.2.9")).await).await;
        assert_eq!(refused.code, ProblemCode::BadRequest, "{bad}");
    }
    let mut foreign = login(&by_password("anna", PASSWORD), "192.0.2.10");
    foreign.headers_mut().insert("origin", "http://evil".parse().unwrap());
    assert_eq!(problem(client.send(foreign).await).await.code, ProblemCode::Forbidden);
}

#[tokio::test]
async fn attempts_are_bounded_for_a_name_and_for_an_address() {
    let client = with_user("anna", Role::Viewer);
    let is_limited = async |name: &str, address: &str| {
        // No password is tried here, so it takes no time: the bound comes first.
        let answer = client.send(login(&by_password(name, ""), address)).await;
        let limited = answer.status() == StatusCode::TOO_MANY_REQUESTS;
        if limited {
            let wait: u64 = answer.headers()[RETRY_AFTER].to_str().unwrap().parse().unwrap();
            assert!((1..=10).contains(&wait), "{wait}");
            assert_eq!(problem(answer).await.code, ProblemCode::RateLimited);
        }
        limited
    };
    let mut tries = 0;
    while !is_limited("anna", &format!("198.51.100.{tries}")).await {
        tries += 1;
        assert!(tries < 40, "a name has no bound");
    }
    assert!(tries >= 10, "{tries}");
    assert!(!is_limited("berta", "198.51.100.200").await);
    let mut tries = 0;
    while !is_limited(&format!("user-{tries}"), "203.0.113.7").await {
        tries += 1;
        assert!(tries < 80, "an address has no bound");
    }
    assert!(tries >= 20, "{tries}");
    assert!(!is_limited("carla", "203.0.113.8").await);
}

#[tokio::test]
async fn sessions_survive_a_restart_and_end_by_time_logout_and_revocation() {
    const HOUR_MS: u64 = 3_600_000;
    let client = with_user("anna", Role::Viewer);
    let mut cookies = Vec::new();
    for at in 0..3 {
        let address = format!("192.0.2.{at}");
        let answer = client.send(login(&by_password("anna", PASSWORD), &address)).await;
        cookies.push(cookie_of(&answer));
    }
    let status = async |client: &Client, cookie: &str| {
        client.send(with_cookie(Method::GET, "/api/v1/me", cookie, "")).await.status()
    };
    let client = client.restart();
    let list: List<LoginSession> =
        json(client.send(with_cookie(Method::GET, "/api/v1/sessions", &cookies[0], "")).await)
            .await;
    assert_eq!(list.items.len(), 3);
    let other = list.items.iter().find(|s| s.address.as_deref() == Some("192.0.2.1")).unwrap();
    assert!(!other.is_this);
    let path = format!("/api/v1/sessions/{}", other.id);
    let ended = client.send(with_cookie(Method::DELETE, &path, &cookies[0], "")).await;
    assert_eq!(ended.status(), StatusCode::NO_CONTENT);
    assert_eq!(status(&client, &cookies[1]).await, 401);
    let again = client.send(with_cookie(Method::DELETE, &path, &cookies[0], "")).await;
    assert_eq!(problem(again).await.code, ProblemCode::NotFound);
    // One is used, and the other is not.
    for _ in 0..4 {
        client.fleet.pass_ms(4 * HOUR_MS);
        assert_eq!(status(&client, &cookies[0]).await, 200);
    }
    assert_eq!(status(&client, &cookies[2]).await, 401);
    let client = client.restart();
    assert_eq!(status(&client, &cookies[0]).await, 200);
    for _ in 0..60 {
        client.fleet.pass_ms(3 * HOUR_MS);
        status(&client, &cookies[0]).await;
    }
    assert_eq!(status(&client, &cookies[0]).await, 401, "after a week in any case");
}

#[tokio::test]
async fn the_set_up_token_makes_the_first_user_once() {
    let client = Client::new();
    let token = client.fleet.app.make_set_up_token().unwrap().unwrap().0;
    let asks = client.send(with_token(Method::GET, "/api/v1/me", &token)).await;
    assert_eq!(asks.status(), StatusCode::UNAUTHORIZED, "it asks for nothing");
    let body = |token: &str, name: &str, password: &str| {
        serde_json::json!({ "setup_token": token, "name": name, "password": password }).to_string()
    };
    let wrong = client.send(login(&body("farrier-setup.00", "anna", PASSWORD), "192.0.2.1")).await;
    assert_eq!(problem(wrong).await.code, ProblemCode::LoginRequired);
    for (name, password) in [
        ("Anna", PASSWORD),
        ("anna", "short"),
        ("anna", "aaaaaaaaaaaaaa"),
        ("anna", "anna12345678"),
    ] {
        let wrong = client.send(login(&body(&token, name, password), "192.0.2.1")).await;
        assert_eq!(problem(wrong).await.code, ProblemCode::BadRequest, "{name} {password}");
    }
    let first = client.send(login(&body(&token, "anna", PASSWORD), "192.0.2.1")).await;
    let cookie = cookie_of(&first);
    assert_eq!(json::<Login>(first).await.role, Role::Admin);
    let users = client.send(with_cookie(Method::GET, "/api/v1/users", &cookie, "")).await;
    assert_eq!(json::<List<User>>(users).await.items[0].name, "anna");
    let second = client.send(login(&body(&token, "eve", PASSWORD), "192.0.2.1")).await;
    assert_eq!(problem(second).await.code, ProblemCode::LoginRequired);

    // Nor does it once there is a user by another way, or a day has passed.
    let client = Client::new();
    let token = client.fleet.app.make_set_up_token().unwrap().unwrap().0;
    client.fleet.pass_ms(25 * 3_600_000);
    let late = client.send(login(&body(&token, "eve", PASSWORD), "192.0.2.1")).await;
    assert_eq!(late.status(), StatusCode::UNAUTHORIZED);
    let token = client.fleet.app.make_set_up_token().unwrap().unwrap().0;
    add_user(&client, "anna", Role::Viewer);
    let late = client.send(login(&body(&token, "eve", PASSWORD), "192.0.2.1")).await;
    assert_eq!(late.status(), StatusCode::UNAUTHORIZED);
    assert!(client.fleet.app.make_set_up_token().unwrap().is_none());
}

#[tokio::test]
async fn tokens_have_at_most_their_users_role_and_end() {
    let client = with_user("anna", Role::Developer);
    let as_token = r#"{"name":"anna","password":"four words of mine",
                       "as_token":{"label":"laptop","valid_s":3600}}"#;
    let answer = client.send(login(as_token, "192.0.2.1")).await;
    assert!(!answer.headers().contains_key(SET_COOKIE));
    let laptop = json::<Login>(answer).await.issued.unwrap();
    let make = |token: &str, body: &str| {
        let mut request = post("/api/v1/tokens", body);
        let bearer = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert(AUTHORIZATION, bearer);
        client.send(request)
    };
    let secret = laptop.secret.0.as_str();
    for (body, code) in [
        (r#"{"label":"ci","role":"admin"}"#, ProblemCode::Forbidden),
        (r#"{"label":"ci","valid_s":7200}"#, ProblemCode::Forbidden),
        (r#"{"label":"ci","user":"berta"}"#, ProblemCode::Forbidden),
        (r#"{"label":" "}"#, ProblemCode::BadRequest),
        (r#"{"label":"a\nb"}"#, ProblemCode::BadRequest),
        (r#"{"label":"ci","valid_s":0}"#, ProblemCode::BadRequest),
    ] {
        assert_eq!(problem(make(secret, body).await).await.code, code, "{body}");
    }
    let ci: IssuedToken = json(make(secret, r#"{"label":"ci","role":"viewer"}"#).await).await;
    assert_eq!(ci.token.expires_at_ms, laptop.token.expires_at_ms, "it ends with its maker");
    let upload = with_token(Method::POST, "/api/v1/modules?name=a", &ci.secret.0);
    assert_eq!(problem(client.send(upload).await).await.code, ProblemCode::Forbidden);

    // Of somebody else's nothing is seen and nothing ended.
    add_user(&client, "berta", Role::Operator);
    let admin = &client.token;
    let berta: IssuedToken = json(make(admin, r#"{"label":"b","user":"berta"}"#).await).await;
    assert_eq!(berta.token.role, Role::Operator);
    let listed = client.send(with_token(Method::GET, "/api/v1/tokens", &berta.secret.0)).await;
    let listed: List<Token> = json(listed).await;
    assert_eq!(listed.items.len(), 1);
    assert!(listed.items[0].last_used_at_ms.is_some());
    let path = format!("/api/v1/tokens/{}", ci.token.id);
    let foreign = client.send(with_token(Method::DELETE, &path, &berta.secret.0)).await;
    assert_eq!(problem(foreign).await.code, ProblemCode::NotFound);
    let all: List<Token> = json(client.get("/api/v1/tokens").await).await;
    assert_eq!(all.items.len(), 4);

    // A smaller role of the user is one of the tokens, at once.
    let status = async |token: &str, path: &str| {
        client.send(with_token(Method::POST, path, token)).await.status()
    };
    assert_ne!(status(secret, "/api/v1/modules?name=a").await, StatusCode::FORBIDDEN);
    client.fleet.app.set_role("anna", Role::Viewer).unwrap();
    assert_eq!(status(secret, "/api/v1/modules?name=a").await, StatusCode::FORBIDDEN);
    client.fleet.pass_ms(3_600_000);
    assert_eq!(status(secret, "/api/v1/logout").await, StatusCode::UNAUTHORIZED);
    let by_token = |token: &str| login(&format!(r#"{{"token":"{token}"}}"#), "192.0.2.2");
    assert_eq!(client.send(by_token(secret)).await.status(), StatusCode::UNAUTHORIZED);
    let cookie = cookie_of(&client.send(by_token(&berta.secret.0)).await);
    let path = format!("/api/v1/tokens/{}", berta.token.id);
    let me = || with_cookie(Method::GET, "/api/v1/me", &cookie, "");
    assert_eq!(client.send(me()).await.status(), StatusCode::OK);
    let revoked = client.send(client.request(Method::DELETE, &path).body(Body::empty()).unwrap());
    assert_eq!(revoked.await.status(), StatusCode::NO_CONTENT);
    assert_eq!(client.send(me()).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_password_needs_the_one_before_and_ends_other_sessions() {
    let client = with_user("anna", Role::Viewer);
    let first = cookie_of(&client.send(login(&by_password("anna", PASSWORD), "192.0.2.1")).await);
    let second = cookie_of(&client.send(login(&by_password("anna", PASSWORD), "192.0.2.2")).await);
    let path = "/api/v1/users/anna/password";
    let change = |body: &str| client.send(with_cookie(Method::PUT, path, &first, body));
    for body in [
        r#"{"password":"five words of mine now"}"#,
        r#"{"password":"five words of mine now","present":"wrong"}"#,
    ] {
        assert_eq!(problem(change(body).await).await.code, ProblemCode::Forbidden);
    }
    let body = r#"{"password":"five words of mine now","present":"four words of mine"}"#;
    assert_eq!(change(body).await.status(), StatusCode::NO_CONTENT);
    let me = |cookie: &str| client.send(with_cookie(Method::GET, "/api/v1/me", cookie, ""));
    assert_eq!(me(&first).await.status(), StatusCode::OK);
    assert_eq!(me(&second).await.status(), StatusCode::UNAUTHORIZED);
    let old = client.send(login(&by_password("anna", PASSWORD), "192.0.2.3")).await;
    assert_eq!(old.status(), StatusCode::UNAUTHORIZED);
    add_user(&client, "berta", Role::Developer);
    let berta = cookie_of(&client.send(login(&by_password("berta", PASSWORD), "192.0.2.4")).await);
    let foreign = client.send(with_cookie(Method::PUT, path, &berta, body)).await;
    assert_eq!(problem(foreign).await.code, ProblemCode::Forbidden);
}

#[tokio::test]
async fn somebody_who_may_do_everything_is_always_left() {
    let client = with_user("anna", Role::Admin);
    let send = |method: Method, path: &str, body: &str| {
        let request = client.request(method, path).header(CONTENT_TYPE, "application/json");
        client.send(request.body(Body::from(body.to_owned())).unwrap())
    };
    let tokens: List<Token> = json(client.get("/api/v1/tokens").await).await;
    let own = format!("/api/v1/tokens/{}", tokens.items[0].id);
    // While there is the administrator's token, anna may go, and the reverse.
    let demoted = send(Method::PUT, "/api/v1/users/anna/role", r#"{"role":"viewer"}"#).await;
    assert_eq!(demoted.status(), StatusCode::OK);
    let last = send(Method::DELETE, &own, "").await;
    assert_eq!(problem(last).await.code, ProblemCode::Conflict);
    let promoted = send(Method::PUT, "/api/v1/users/anna/role", r#"{"role":"admin"}"#).await;
    assert_eq!(promoted.status(), StatusCode::OK);
    let cookie = cookie_of(&client.send(login(&by_password("anna", PASSWORD), "192.0.2.1")).await);
    assert_eq!(send(Method::DELETE, &own, "").await.status(), StatusCode::NO_CONTENT);
    let by_anna =
        |method, path: &str, body: &str| client.send(with_cookie(method, path, &cookie, body));
    for (method, path, body) in [
        (Method::PUT, "/api/v1/users/anna/role", r#"{"role":"developer"}"#),
        (Method::DELETE, "/api/v1/users/anna", ""),
    ] {
        assert_eq!(problem(by_anna(method, path, body).await).await.code, ProblemCode::Conflict);
    }
    add_user(&client, "berta", Role::Admin);
    assert_eq!(by_anna(Method::DELETE, "/api/v1/users/anna", "").await.status(), 204);
    assert_eq!(by_anna(Method::GET, "/api/v1/me", "").await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_link_opens_what_its_maker_may_do_and_ends_with_its_token() {
    let client = Client::new();
    let admin = client.fleet.app.caller_by_token(&client.token).unwrap();
    let new = serde_json::from_str(r#"{"label":"wall","role":"viewer"}"#).unwrap();
    let wall = client.fleet.app.make_token(&admin, &new).unwrap();
    let link = client.send(with_token(Method::POST, "/api/v1/login-links", &wall.secret.0)).await;
    let link: gateway_api::LoginLink = json(link).await;
    let path = link.url.strip_prefix("http://h").unwrap();
    let opened = Request::builder().uri(path).body(Body::empty()).unwrap();
    let cookie = cookie_of(&client.send(opened).await);
    let made = client.send(with_cookie(Method::POST, "/api/v1/claim-tokens", &cookie, "{}")).await;
    assert_eq!(problem(made).await.code, ProblemCode::Forbidden);
    client.fleet.app.revoke_token(&admin, &wall.token.id).unwrap();
    let after = client.send(with_cookie(Method::GET, "/api/v1/me", &cookie, "")).await;
    assert_eq!(after.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_a_session_makes_ends_with_the_token_that_began_it() {
    let client = Client::new();
    let app = &client.fleet.app;
    let admin = app.caller_by_token(&client.token).unwrap();
    let new = serde_json::from_str(r#"{"label":"hour","valid_s":3600}"#).unwrap();
    let hour = app.make_token(&admin, &new).unwrap();
    let by_token = format!(r#"{{"token":"{}"}}"#, hour.secret.0);
    let cookie = cookie_of(&client.send(login(&by_token, "192.0.2.1")).await);
    let make = |body: &str| client.send(with_cookie(Method::POST, "/api/v1/tokens", &cookie, body));
    let later = make(r#"{"label":"ci","valid_s":7200}"#).await;
    assert_eq!(problem(later).await.code, ProblemCode::Forbidden);
    let ci: IssuedToken = json(make(r#"{"label":"ci"}"#).await).await;
    assert_eq!(ci.token.expires_at_ms, hour.token.expires_at_ms);

    let link = client.send(with_cookie(Method::POST, "/api/v1/login-links", &cookie, "")).await;
    let link: gateway_api::LoginLink = json(link).await;
    let path = link.url.strip_prefix("http://h").unwrap();
    let opened = Request::builder().uri(path).body(Body::empty()).unwrap();
    let by_link = cookie_of(&client.send(opened).await);
    let me = || client.send(with_cookie(Method::GET, "/api/v1/me", &by_link, ""));
    assert_eq!(me().await.status(), StatusCode::OK);
    app.revoke_token(&admin, &hour.token.id).unwrap();
    assert_eq!(me().await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_stream_ends_when_its_token_is_revoked() {
    let client = Client::new();
    let admin = client.fleet.app.caller_by_token(&client.token).unwrap();
    let new = serde_json::from_str(r#"{"label":"wall","role":"viewer"}"#).unwrap();
    let wall = client.fleet.app.make_token(&admin, &new).unwrap();
    let stream = client.send(with_token(Method::GET, "/api/v1/events", &wall.secret.0)).await;
    assert_eq!(stream.status(), StatusCode::OK);
    client.fleet.app.revoke_token(&admin, &wall.token.id).unwrap();
    // Whatever happens next is not told any more.
    client.fleet.app.events().send(gateway_api::Event::Resync);
    assert!(!text(stream).await.contains("event:"));
}
