//! Every route of the router, as every role and as nobody.
//!
//! `UPDATE_EXPECT=1 cargo test -p farrier-gateway rights` writes the table in docs/users.md
//! anew.

use super::{Client, text};
use crate::http::rights::{RIGHTS, least_role};
use crate::http::{open_routes, root_routes, routes_behind_login};
use axum::body::Body;
use axum::http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE};
use axum::http::{Method, Request, StatusCode};
use gateway_api::{NewToken, Problem, ProblemCode, Role};
use std::collections::BTreeSet;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/users.md");
const BEGIN: &str = "<!-- routes: written by a test -->\n";
const END: &str = "<!-- end of routes -->\n";

/// The methods that a path has, as the router itself says.
async fn served(client: &Client) -> BTreeSet<(String, &'static str)> {
    let mut served = BTreeSet::new();
    for (template, _) in routes_behind_login() {
        let path = format!("/api/v1{}", template.replace(['{', '}'], ""));
        let refused = client.request(Method::PATCH, &path).body(Body::empty()).unwrap();
        let refused = client.send(refused).await;
        let allowed = refused.headers()[ALLOW].to_str().unwrap().to_owned();
        let methods = allowed.split(',').filter(|method| *method != "HEAD");
        served.extend(methods.map(|method| (method.to_owned(), template)));
    }
    served
}

fn token_of(client: &Client, role: Role) -> String {
    let admin = client.fleet.app.caller_by_token(&client.token).unwrap();
    let new = NewToken { label: role.to_string(), role: Some(role), valid_s: None, user: None };
    client.fleet.app.make_token(&admin, &new).unwrap().secret.0
}

#[tokio::test]
async fn every_route_is_in_the_table_of_rights_and_the_reverse() {
    let served = served(&Client::new()).await;
    let table: BTreeSet<_> =
        RIGHTS.iter().map(|(method, path, _)| ((*method).to_owned(), *path)).collect();
    assert_eq!(table.len(), RIGHTS.len(), "a route stands there twice");
    let missing: Vec<_> = served.difference(&table).collect();
    let surplus: Vec<_> = table.difference(&served).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "in gateway/src/http/rights.rs {missing:?} are missing, and {surplus:?} are of no route"
    );
}

#[tokio::test]
async fn every_role_may_do_what_the_table_says_and_nothing_else() {
    let client = Client::new();
    let tokens = Role::ALL.map(|role| (role, token_of(&client, role)));
    let mut tried = 0;
    for (method, template) in served(&client).await {
        // Nothing has these names, so who is let in changes nothing.
        let path = format!("/api/v1{}", template.replace('{', "no-").replace('}', ""));
        let least = RIGHTS
            .iter()
            .find(|(m, p, _)| *m == method && *p == template)
            .map(|(_, _, role)| *role);
        let send = |token: Option<&str>, method: &str| {
            let mut request = Request::builder().method(method).uri(&path);
            request = request.header(CONTENT_TYPE, "application/json");
            if let Some(token) = token {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            client.send(request.body(Body::from("{")).unwrap())
        };
        for (role, token) in &tokens {
            let answer = send(Some(token), &method).await;
            let status = answer.status();
            let is_allowed = least.is_some_and(|least| *role >= least);
            assert_ne!(status, StatusCode::UNAUTHORIZED, "{method} {template} as {role}");
            if template == "/events" {
                assert_eq!(status.is_success(), is_allowed);
                continue;
            }
            let said = text(answer).await;
            let refused = serde_json::from_str::<Problem>(&said).ok();
            let is_refused = status == StatusCode::FORBIDDEN
                && refused.is_some_and(|p| {
                    p.code == ProblemCode::Forbidden && p.detail.contains("needs the role")
                });
            assert_eq!(!is_refused, is_allowed, "{method} {template} as {role}: {status} {said}");
            tried += 1;
        }
        let heads: &[&str] = if method == "GET" { &["GET", "HEAD"] } else { &[&method] };
        for method in heads {
            for nobody in [None, Some("wrong")] {
                let status = send(nobody, method).await.status();
                assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {template} as nobody");
            }
        }
    }
    assert!(tried >= 4 * 40, "{tried}");
}

#[tokio::test]
async fn what_is_open_is_what_is_said_to_be_open() {
    // Each of them bears its own right: a signed request, a password, a link.
    let open: Vec<_> = open_routes().into_iter().map(|(path, _)| path).collect();
    assert_eq!(open, ["/login", "/enroll", "/renew", "/openapi.json"]);
    let beside: Vec<_> = root_routes().into_iter().map(|(path, _)| path).collect();
    assert_eq!(beside, ["/healthz", "/readyz", "/version", "/metrics", "/login"]);
    let client = Client::new();
    let bare = Request::builder().uri("/metrics").body(Body::empty()).unwrap();
    assert_eq!(client.send(bare).await.status(), StatusCode::UNAUTHORIZED);
}

#[test]
fn what_is_not_in_the_table_is_for_admins() {
    assert_eq!(least_role(&Method::GET, "/api/v1/new-route"), Role::Admin);
    assert_eq!(least_role(&Method::PATCH, "/api/v1/modules"), Role::Admin);
    assert_eq!(least_role(&Method::HEAD, "/api/v1/users"), Role::Admin);
    assert_eq!(least_role(&Method::HEAD, "/api/v1/modules"), Role::Viewer);
    assert_eq!(least_role(&Method::DELETE, "/api/v1/{*rest}"), Role::Viewer);
}

#[test]
fn the_page_shows_the_table() {
    let rows =
        RIGHTS.iter().map(|(method, path, role)| format!("| `{method} {path}` | {role} |\n"));
    let table: String =
        ["| route | least role |\n|---|---|\n".to_owned()].into_iter().chain(rows).collect();
    let page = std::fs::read_to_string(PATH).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("docs/users.md has the mark");
    let (_, after) = rest.split_once(END).expect("docs/users.md has the end mark");
    let whole = format!("{before}{BEGIN}{table}{END}{after}");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(PATH, &whole).unwrap();
        return;
    }
    assert!(page == whole, "docs/users.md: UPDATE_EXPECT=1 cargo test -p farrier-gateway rights");
}
