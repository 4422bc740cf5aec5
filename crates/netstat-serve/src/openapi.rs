//! The OpenAPI 3.1 document, generated from the resources and their schemas.

use serde_json::{Map, Value, json};

use crate::handler::{MOST_ROWS, USUAL_ROWS};
use crate::live::COLUMNS;
use crate::provider::{ParameterKind, Resource};

/// Returns the document for `resources` of this version of the program.
pub(crate) fn document(resources: &[Resource], version: &str, actions: bool) -> Value {
    let mut paths = Map::new();
    for resource in resources {
        paths.insert(
            format!("/api/v1/{}", resource.name),
            json!({"get": operation(resource)}),
        );
    }
    paths.insert(
        "/api/v1/changes".to_owned(),
        json!({"get": {
            "operationId": "changes",
            "summary": "Sockets that open, close or change their state or owner, as it happens",
            "responses": with_problems(json!({
                "description": "A stream without end: events called \"change\", or lines",
                "content": {
                    "text/event-stream": {"schema": {"type": "string"}},
                    "application/x-ndjson": {"schema": {"$ref": "#/components/schemas/change"}},
                },
            })),
        }}),
    );
    if actions {
        paths.extend(action_paths());
    }
    let mut schemas = Map::new();
    schemas.insert("problem".to_owned(), problem());
    schemas.insert("change".to_owned(), change());
    for resource in resources {
        schemas.insert(resource.name.to_owned(), embedded(&resource.schema, resource.name));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "netstat",
            "version": version,
            "description": "Connections, listening ports and statistics of this computer, and the program behind each of them.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "security": [{"token": []}, {"user": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "user": {"type": "http", "scheme": "basic"},
                "session": {"type": "apiKey", "in": "cookie", "name": "netstat_session"},
            },
        },
    })
}

fn operation(resource: &Resource) -> Value {
    let mut parameters: Vec<Value> = resource
        .parameters
        .iter()
        .map(|parameter| {
            let schema = match &parameter.kind {
                ParameterKind::Flag => json!({"type": "boolean"}),
                ParameterKind::Text => json!({"type": "string"}),
                ParameterKind::OneOf(words) => json!({"enum": words}),
            };
            json!({
                "name": parameter.name, "in": "query", "description": parameter.about,
                "required": parameter.required, "schema": schema,
            })
        })
        .collect();
    let mut content = Map::new();
    content.insert(
        "application/json".to_owned(),
        json!({"schema": {"$ref": format!("#/components/schemas/{}", resource.name)}}),
    );
    if let Some(line) = &resource.line_schema {
        let about = format!("One object a line: {}", line["title"].as_str().unwrap_or_default());
        content.insert(
            "application/x-ndjson".to_owned(),
            json!({"schema": {"type": "string", "description": about}}),
        );
        content.insert("text/csv".to_owned(), json!({"schema": {"type": "string"}}));
        parameters.push(json!({
            "name": "format", "in": "query", "description": "instead of the Accept header",
            "required": false, "schema": {"enum": ["json", "ndjson", "csv"]},
        }));
    }
    if resource.rows {
        for (name, default, about) in [
            ("limit", USUAL_ROWS, "at most so many rows of a JSON document"),
            ("offset", 0, "after so many rows"),
        ] {
            parameters.push(json!({
                "name": name, "in": "query", "description": about, "required": false,
                "schema": {"type": "integer", "minimum": 0, "maximum": MOST_ROWS, "default": default},
            }));
        }
    }
    json!({
        "operationId": resource.name,
        "summary": resource.about,
        "parameters": parameters,
        "responses": with_problems(json!({"description": resource.about, "content": content})),
    })
}

/// Returns the schema of a resource for embedding in the document, with references to its definitions adjusted.
fn embedded(schema: &Value, name: &str) -> Value {
    match schema {
        Value::Object(members) => {
            let moved = members.iter().filter(|(key, _)| *key != "$schema").map(|(key, value)| {
                let value = match value.as_str().and_then(|target| target.strip_prefix("#/$defs/")) {
                    Some(rest) if key == "$ref" => format!("#/components/schemas/{name}/$defs/{rest}").into(),
                    _ => embedded(value, name),
                };
                (key.clone(), value)
            });
            Value::Object(moved.collect())
        }
        Value::Array(members) => members.iter().map(|member| embedded(member, name)).collect(),
        other => other.clone(),
    }
}

fn with_problems(ok: Value) -> Value {
    let mut responses = Map::new();
    responses.insert("200".to_owned(), ok);
    for (status, about) in [
        ("304", "Nothing but the time has changed"),
        ("400", "A parameter is wrong"),
        ("401", "A token is needed"),
        ("404", "There is nothing of that kind"),
        ("406", "There is no such format"),
        ("429", "Too many wrong tokens"),
        ("503", "The system refused it, or too many ask"),
    ] {
        let mut response = json!({"description": about});
        if status != "304" {
            response["content"] = json!({
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/problem"}},
            });
        }
        responses.insert(status.to_owned(), response);
    }
    Value::Object(responses)
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "RFC 9457",
        "properties": {
            "type": {"const": "about:blank"},
            "title": {"type": "string"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string"},
        },
        "required": ["type", "title", "status", "detail"],
        "additionalProperties": false,
    })
}

fn change() -> Value {
    let mut properties = Map::new();
    properties.insert(
        "change".to_owned(),
        json!({"enum": ["opened", "changed", "closed", "gap"], "description": "gap: the reader was too slow, and changes are missing"}),
    );
    properties.insert(
        "time".to_owned(),
        json!({"type": "integer", "description": "milliseconds since 1970"}),
    );
    for name in COLUMNS {
        properties.insert((*name).to_owned(), json!({"type": ["string", "number", "null"]}));
    }
    json!({"type": "object", "properties": properties, "required": ["change", "time"], "additionalProperties": false})
}

fn action_paths() -> Vec<(String, Value)> {
    let answer =
        |about: &str| json!({"description": about, "content": {"application/json": {"schema": {"type": "object"}}}});
    let asked = json!({
        "oneOf": [
            {
                "type": "object",
                "properties": {
                    "action": {"const": "end"},
                    "pid": {"type": "integer", "minimum": 1},
                    "process_start": {"type": "integer", "minimum": 0},
                    "signal": {"enum": ["SIGTERM", "SIGKILL"]},
                },
                "required": ["action", "pid", "process_start"],
            },
            {
                "type": "object",
                "properties": {"action": {"const": "close"}, "id": {"type": "string"}},
                "required": ["action", "id"],
            },
            {
                "type": "object",
                "properties": {
                    "action": {"const": "acknowledge"},
                    "id": {"type": "string", "pattern": "^[0-9a-fA-F]{8}$", "description": "the id of a finding"},
                    "why": {"type": "string", "description": "why it is harmless"},
                    "until": {"type": ["string", "null"], "format": "date", "description": "the last day on which this counts"},
                },
                "required": ["action", "id", "why"],
            },
        ],
    });
    let problems = |ok: Value| {
        let mut all = with_problems(ok);
        for (status, about) in [
            ("403", "From another page"),
            ("409", "The system refused"),
            ("413", "Too long"),
            ("415", "No JSON"),
        ] {
            all[status] = json!({"description": about, "content": {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/problem"}},
            }});
        }
        all
    };
    vec![
        (
            "/api/v1/actions".to_owned(),
            json!({"post": {
                "operationId": "prepareAction",
                "summary": "What an action would do, and the word that confirms it",
                "requestBody": {"required": true, "content": {"application/json": {"schema": asked}}},
                "responses": problems(answer("What it would do")),
            }}),
        ),
        (
            "/api/v1/actions/{confirmation}".to_owned(),
            json!({"post": {
                "operationId": "confirmAction",
                "summary": "Does what was prepared, once",
                "parameters": [{"name": "confirmation", "in": "path", "required": true, "schema": {"type": "string"}}],
                "requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object"}}}},
                "responses": problems(answer("It was done")),
            }}),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openapi_schema_references_lead_into_document() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "properties": {"rows": {"items": {"$ref": "#/$defs/row"}}},
            "$defs": {"row": {"type": "object"}},
        });
        let resource = Resource {
            name: "sockets",
            about: String::new(),
            parameters: Vec::new(),
            schema,
            line_schema: None,
            rows: true,
            keep_millis: 0,
        };
        let document = document(&[resource], "1", false);
        let target = document["components"]["schemas"]["sockets"]["properties"]["rows"]["items"]["$ref"].as_str();
        let target = target.and_then(|target| target.strip_prefix('#')).unwrap_or_default();
        assert_eq!(document.pointer(target), Some(&json!({"type": "object"})));
    }
}
