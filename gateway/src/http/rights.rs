//! The one table of which route needs which role.
//!
//! What is not in it is for admins alone, and a test fails until it is. The test also
//! sends every route as every role, and writes the table into docs/users.md.

use axum::http::Method;
use gateway_api::Role::{self, Admin, Developer, Operator, Viewer};

/// Of the routes behind a login, without `/api/v1`.
#[rustfmt::skip]
pub const RIGHTS: &[(&str, &str, Role)] = &[
    ("GET",    "/session",                            Viewer),
    ("GET",    "/me",                                 Viewer),
    ("POST",   "/logout",                             Viewer),
    // It opens as much as who asks for it may do.
    ("POST",   "/login-links",                        Viewer),
    // Of oneself; of others where the rules in `app/access` see an admin.
    ("PUT",    "/users/{name}/password",              Viewer),
    ("GET",    "/tokens",                             Viewer),
    ("POST",   "/tokens",                             Viewer),
    ("DELETE", "/tokens/{id}",                        Viewer),
    ("GET",    "/sessions",                           Viewer),
    ("DELETE", "/sessions/{id}",                      Viewer),

    ("GET",    "/overview",                           Viewer),
    ("GET",    "/audit",                              Viewer),
    ("GET",    "/enrolments",                         Viewer),
    ("GET",    "/devices",                            Viewer),
    ("GET",    "/devices/{reference}",                Viewer),
    ("GET",    "/devices/{reference}/history",        Viewer),
    ("GET",    "/fleet/history",                      Viewer),
    ("GET",    "/ps",                                 Viewer),
    ("GET",    "/logs",                               Viewer),
    ("GET",    "/published",                          Viewer),
    ("GET",    "/events",                             Viewer),
    ("GET",    "/modules",                            Viewer),
    ("GET",    "/modules/{reference}",                Viewer),
    ("GET",    "/modules/{reference}/compiles",       Viewer),
    ("GET",    "/modules/{reference}/eligibility",    Viewer),
    ("GET",    "/deployments",                        Viewer),
    ("GET",    "/deployments/{id}",                   Viewer),
    ("GET",    "/applications",                       Viewer),
    ("GET",    "/applications/{name}",                Viewer),
    // These change nothing.
    ("POST",   "/application-plans",                  Viewer),
    ("POST",   "/deployment-plans",                   Viewer),
    ("GET",    "/trust",                              Viewer),
    ("GET",    "/roots/{version}",                    Viewer),
    ("GET",    "/releases/waiting",                   Viewer),
    ("GET",    "/artifacts/{id}/provenance",          Viewer),

    ("POST",   "/claim-tokens",                       Operator),
    ("POST",   "/enrolments/{fingerprint}/accept",    Operator),
    ("POST",   "/enrolments/{fingerprint}/reject",    Operator),
    ("POST",   "/devices/{reference}/messages",       Operator),
    // A stolen device cannot wait for an admin.
    ("POST",   "/devices/{reference}/revoke",         Operator),
    ("DELETE", "/devices/{reference}",                Operator),
    ("POST",   "/deployments",                        Operator),
    ("POST",   "/deployments/{id}/repeat",            Operator),
    ("DELETE", "/deployments/{id}",                   Operator),
    ("POST",   "/applications",                       Operator),
    ("DELETE", "/applications/{name}",                Operator),

    ("POST",   "/modules",                            Developer),
    ("POST",   "/linked-modules",                     Developer),
    ("PUT",    "/modules/{reference}/known-answers",  Developer),
    // Its signature is what counts.
    ("POST",   "/releases",                           Developer),

    ("GET",    "/users",                              Admin),
    ("POST",   "/users",                              Admin),
    ("DELETE", "/users/{name}",                       Admin),
    ("PUT",    "/users/{name}/role",                  Admin),
    ("POST",   "/trust/keys",                         Admin),
    ("POST",   "/roots",                              Admin),
];

/// What nothing is at; that there is nothing anybody may know who is logged in.
const UNKNOWN: &str = "/api/v1/{*rest}";

/// Of a request that a template of the router has matched.
pub fn least_role(method: &Method, template: &str) -> Role {
    let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
    if template == UNKNOWN {
        return Viewer;
    }
    let path = template.strip_prefix("/api/v1").unwrap_or(template);
    let row = RIGHTS.iter().find(|(m, p, _)| *m == method && *p == path);
    row.map_or(Admin, |(_, _, role)| *role)
}
