//! An OpenAPI 3.1 document of operations. Its schemas are JSON Schema of 2020-12, which is
//! what `schemars` makes of the types of `gateway-api`.

use crate::http::conditional::{Changed, changed_by};
use crate::http::idempotency::takes_key;
use axum::http::Method;
use gateway_api::Problem;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

pub type Check = fn(&Value) -> Result<(), String>;
type ToSchema = fn(&mut SchemaGenerator) -> Schema;

pub struct Operation {
    pub method: &'static str,
    /// The whole path, with its parameters in braces.
    pub path: String,
    pub id: &'static str,
    pub summary: &'static str,
    pub query: Vec<Parameter>,
    pub body: Option<Body>,
    pub answers: Vec<Answer>,
    pub is_open: bool,
    pub is_stream: bool,
    /// The value of the path's parameter, and the query; none if it cannot be sent here.
    pub sample: Option<String>,
}

pub struct Parameter {
    pub name: &'static str,
    pub is_number: bool,
    pub is_required: bool,
    pub what: &'static str,
}

pub enum Body {
    Json { example: Value, check: Check, schema: ToSchema },
    Other { kind: &'static str, what: &'static str, sample: Vec<u8> },
}

pub struct Answer {
    pub status: u16,
    pub content: Option<Content>,
}

pub struct Content {
    pub kind: &'static str,
    pub check: Option<Check>,
    schema: Option<ToSchema>,
}

fn check<T: DeserializeOwned>(value: &Value) -> Result<(), String> {
    serde_json::from_value::<T>(value.clone()).map(drop).map_err(|error| error.to_string())
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Body {
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Json { .. } => "application/json",
            Self::Other { kind, .. } => kind,
        }
    }

    pub fn sample(&self) -> Vec<u8> {
        match self {
            Self::Json { example, .. } => example.to_string().into_bytes(),
            Self::Other { sample, .. } => sample.clone(),
        }
    }
}

pub fn operation(
    method: &'static str,
    path: &str,
    id: &'static str,
    summary: &'static str,
) -> Operation {
    Operation {
        method,
        path: path.to_owned(),
        id,
        summary,
        query: Vec::new(),
        body: None,
        answers: Vec::new(),
        is_open: false,
        is_stream: false,
        sample: Some(String::new()),
    }
}

impl Operation {
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// `sample` is the parameter's value, and behind a `?` the query.
    pub fn concrete(&self, sample: &str) -> String {
        let (value, query) = sample.split_once('?').unwrap_or((sample, ""));
        let value = if value.is_empty() { "x" } else { value };
        let path = self.with_parameter(value);
        if query.is_empty() { path } else { format!("{path}?{query}") }
    }

    pub fn with_parameter(&self, value: &str) -> String {
        match (self.path.find('{'), self.path.find('}')) {
            (Some(begin), Some(end)) => {
                format!("{}{value}{}", &self.path[..begin], &self.path[end + 1..])
            }
            _ => self.path.clone(),
        }
    }

    fn parameter(&self) -> Option<&str> {
        Some(self.path.split_once('{')?.1.split_once('}')?.0)
    }

    pub fn open(self) -> Self {
        Self { is_open: true, ..self }
    }

    pub fn stream(self) -> Self {
        Self { is_stream: true, ..self }
    }

    pub fn at(self, sample: &str) -> Self {
        Self { sample: Some(sample.to_owned()), ..self }
    }

    /// It needs what no sample can have, such as a signature.
    pub fn not_sent(self) -> Self {
        Self { sample: None, ..self }
    }

    fn ask(mut self, name: &'static str, what: &'static str, is_number: bool) -> Self {
        self.query.push(Parameter { name, is_number, is_required: false, what });
        self
    }

    pub fn text(self, name: &'static str, what: &'static str) -> Self {
        self.ask(name, what, false)
    }

    pub fn number(self, name: &'static str, what: &'static str) -> Self {
        self.ask(name, what, true)
    }

    pub fn lately(self) -> Self {
        self.number("since_ms", "That came at this time or later; Unix time, the gateway's clock.")
            .number("last_s", "That came in the last so many seconds, by the gateway's clock.")
    }

    pub fn required(mut self) -> Self {
        self.query.iter_mut().for_each(|parameter| parameter.is_required = true);
        self
    }

    pub fn paged(self) -> Self {
        self.number("limit", "So many items at most, 1 to 1,000; all of them unless given.")
            .text("cursor", "`next` of the page before.")
            .text("fields", "Names of the items' fields to give, with commas between them.")
    }

    pub fn charted(self) -> Self {
        self.text(
            "series",
            "Which, with commas between them: `cpu_percent,gas_per_s`; all unless given.",
        )
        .text("app", "Of this module only.")
        .number("from", "Milliseconds since 1970; fifteen minutes before `to` unless given.")
        .number("to", "Milliseconds since 1970; now unless given.")
        .number("points", "So many buckets at most, 1 to 300; 300 unless given.")
    }

    pub fn newest(self) -> Self {
        self.number("limit", "So many at most, the newest; 200 unless given.")
            .text("cursor", "`next` of the page before, for older ones.")
            .text("fields", "Names of the items' fields to give, with commas between them.")
    }

    pub fn json<T: JsonSchema + DeserializeOwned>(mut self, example: Value) -> Self {
        self.body = Some(Body::Json { example, check: check::<T>, schema: schema::<T> });
        self
    }

    pub fn other(mut self, kind: &'static str, what: &'static str, sample: Vec<u8>) -> Self {
        self.body = Some(Body::Other { kind, what, sample });
        self
    }

    fn answer(mut self, status: u16, content: Option<Content>) -> Self {
        self.answers.push(Answer { status, content });
        self
    }

    pub fn gives<T: JsonSchema + DeserializeOwned>(self, status: u16) -> Self {
        let (check, schema) = (Some(check::<T> as Check), Some(schema::<T> as ToSchema));
        self.answer(status, Some(Content { kind: "application/json", check, schema }))
    }

    pub fn gives_other(self, kind: &'static str) -> Self {
        self.answer(200, Some(Content { kind, check: None, schema: None }))
    }

    pub fn gives_nothing(self, status: u16) -> Self {
        self.answer(status, None)
    }

    fn is_tagged(&self) -> bool {
        let mut kinds = self.answers.iter().filter_map(|answer| answer.content.as_ref());
        self.method == "GET" && !self.is_open && kinds.any(|c| c.kind == "application/json")
    }

    fn takes_key(&self) -> bool {
        !self.is_open && takes_key(&self.method(), &self.path)
    }

    pub fn takes_condition(&self) -> bool {
        changed_by(&self.method(), &self.path).is_some_and(|changed| changed != Changed::Several)
    }

    fn method(&self) -> Method {
        self.method.parse().unwrap()
    }
}

/// Of no type that the API's crate has.
#[derive(serde::Deserialize, JsonSchema)]
#[schemars(transparent)]
pub struct Anything(#[allow(dead_code)] Value);

pub fn of(operations: &[Operation], examples: &[Option<Value>]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<Problem>();
    let mut paths = Map::new();
    for (operation, example) in operations.iter().zip(examples) {
        let item = paths.entry(operation.path.clone()).or_insert_with(|| json!({}));
        item[operation.method.to_lowercase()] = describe(operation, example, &mut generator);
    }
    let schemas = generator.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Farrier gateway",
            "version": "v1",
            "summary": "Compiles WebAssembly modules ahead of time for a fleet of devices, and looks after them.",
            "description": "Times are milliseconds since 1970 in UTC, quantities carry their unit in the name, ids and hashes are lower-case hexadecimal. Fields and enumerated values are only added: ignore what you do not know. The rules that many operations share are in docs/http-api.md.",
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" }
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "session": { "type": "apiKey", "in": "cookie", "name": "farrier_session" }
            },
            "headers": {
                "RequestId": { "description": "Identifies the request in the gateway's log.", "schema": { "type": "string" } }
            },
            "responses": {
                "Problem": {
                    "description": "It was refused; `code` says for programs, and `detail` for people, why.",
                    "headers": { "X-Request-Id": { "$ref": "#/components/headers/RequestId" } },
                    "content": { "application/problem+json": {
                        "schema": problem,
                        "example": {
                            "type": "/problems/not-found", "title": "Not found", "status": 404,
                            "detail": "There is no device \"kitchn\". Name one by id or name; the list of devices shows all.",
                            "code": "not-found", "request_id": "5d1c40aa-17"
                        }
                    } }
                }
            },
            "schemas": schemas
        }
    })
}

fn describe(
    operation: &Operation,
    example: &Option<Value>,
    generator: &mut SchemaGenerator,
) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "responses": answers(operation, example, generator),
    });
    let parameters = parameters(operation);
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    if operation.is_open {
        described["security"] = json!([]);
    }
    match &operation.body {
        None => {}
        Some(Body::Json { example, schema, .. }) => {
            described["requestBody"] = json!({
                "required": true,
                "content": { "application/json": { "schema": schema(generator), "example": example } }
            });
        }
        Some(Body::Other { kind, what, .. }) => {
            described["requestBody"] =
                json!({ "required": true, "description": what, "content": { *kind: {} } });
        }
    }
    described
}

fn answers(
    operation: &Operation,
    example: &Option<Value>,
    generator: &mut SchemaGenerator,
) -> Value {
    let mut answers = Map::new();
    for (place, answer) in operation.answers.iter().enumerate() {
        let mut described = json!({
            "description": words_of(answer.status),
            "headers": { "X-Request-Id": { "$ref": "#/components/headers/RequestId" } },
        });
        if let Some(content) = &answer.content {
            let mut media = json!({});
            if let Some(schema) = content.schema {
                media["schema"] = schema(generator).to_value();
            }
            if let (Some(example), 0) = (example, place) {
                media["example"] = example.clone();
            }
            described["content"] = json!({ content.kind: media });
        }
        answers.insert(answer.status.to_string(), described);
    }
    if operation.is_tagged() {
        answers.insert("304".into(), json!({ "description": "It is as `If-None-Match` says." }));
    }
    let problem = json!({ "$ref": "#/components/responses/Problem" });
    if !operation.is_open {
        answers.insert("401".into(), problem.clone());
    }
    answers.insert("4XX".into(), problem.clone());
    answers.insert("5XX".into(), problem);
    answers.into()
}

fn words_of(status: u16) -> &'static str {
    match status {
        201 => "It was made.",
        202 => "It is on its way.",
        204 => "It was done; there is nothing to say.",
        303 => "It continues there.",
        _ => "As asked.",
    }
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let mut parameters = Vec::new();
    if let Some(name) = operation.parameter() {
        let mut parameter = json!({ "name": name, "in": "path", "required": true,
                                    "schema": { "type": "string" } });
        let sample = operation.sample.as_deref().unwrap_or_default();
        if let Some(value) = sample.split('?').next().filter(|value| !value.is_empty()) {
            parameter["example"] = value.into();
        }
        parameters.push(parameter);
    }
    for parameter in &operation.query {
        let kind = if parameter.is_number { "integer" } else { "string" };
        let mut schema = json!({ "type": kind });
        if parameter.is_number {
            schema["minimum"] = 0.into();
        }
        parameters.push(json!({
            "name": parameter.name, "in": "query", "required": parameter.is_required,
            "description": parameter.what, "schema": schema,
        }));
    }
    let mut header = |name: &str, what: &str| {
        parameters.push(json!({
            "name": name, "in": "header", "required": false, "description": what,
            "schema": { "type": "string" },
        }));
    };
    if operation.takes_key() {
        header("Idempotency-Key", "Sent again with the same key within a day, it is done once.");
    }
    if operation.is_tagged() {
        header("If-None-Match", "An `ETag`: the answer is 304 while it is the same.");
    }
    if operation.takes_condition() {
        header("If-Match", "An `ETag`: the answer is 412 if it is another one now.");
    }
    if operation.is_stream {
        header("Last-Event-ID", "The stream goes on behind this event.");
    }
    parameters
}
