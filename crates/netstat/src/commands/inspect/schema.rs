//! The schema of the JSON document, and that of the manifest of a bundle.

mod fields;

use serde_json::{Map, Value, json};

use crate::output::json::schema::document;
use netstat_audit::{Judgement, Severity};

use fields::{
    ANCESTOR, CARD, CARD_OF_NONE, CARD_OF_PROCESS, CHAIN, COMPONENT, END, FILE, FILE_FACTS, Field, Is, MAPPING,
    NOT_SEEN, PACKET_FILTER, PASSAGE, PAST, PROCESS, REACH, SEEN_NETWORK, SEEN_PORT, SHARER, SOCKET, STANDS_FOR, STEP,
    TARGET, UNIT_OR_CONTAINER, USAGE, WHOM,
};

/// Returns the schema of `netstat.inspect`.
pub(crate) fn inspect() -> Value {
    let filter = json!({
        "anyOf": [{"$ref": "#/$defs/packet_filter"}, {"type": "null"}],
        "description": "packet filters on the way in; null where no process of a card waits at a port",
    });
    let members = [
        ("targets", of(Is::List("target"))),
        ("cards", of(Is::List("card"))),
        ("packet_filter", filter),
    ];
    document(
        "inspect",
        &members,
        json!({
            "target": object(TARGET, &[]),
            "card": object(CARD, &[CARD_OF_PROCESS, CARD_OF_NONE].concat()),
            "socket": object(SOCKET, &[]),
            "end": object(END, &[]),
            "process": object(PROCESS, &[]),
            "component": object(COMPONENT, UNIT_OR_CONTAINER),
            "ancestor": object(ANCESTOR, &[]),
            "mapping": object(MAPPING, &[]),
            "sharer": object(SHARER, &[]),
            "file": object(FILE, FILE_FACTS),
            "usage": object(USAGE, &[]),
            "reach": object(REACH, &[]),
            "passage": object(PASSAGE, &[]),
            "stands_for": object(STANDS_FOR, WHOM),
            "past": object(PAST, &[]),
            "seen_network": object(SEEN_NETWORK, &[]),
            "seen_port": object(SEEN_PORT, &[]),
            "verdict": verdict(),
            "step": object(STEP, &[]),
            "not_seen": object(NOT_SEEN, &[]),
            "chain": object(CHAIN, &[]),
            "packet_filter": object(PACKET_FILTER, &[]),
        }),
    )
}

/// Returns the schema of `netstat.bundle`: the manifest of a bundle.
pub(crate) fn bundle() -> Value {
    const MEMBER: &[Field] = &[
        ("name", Is::Text, false, "its name in the archive"),
        ("size", Is::Count, false, "bytes"),
        ("sha256", Is::Text, false, "its SHA-256 digest"),
    ];
    const MISSING: &[Field] = &[
        ("name", Is::Text, false, "what is missing"),
        ("why", Is::Text, false, "the reason"),
    ];
    const DIGEST: &[Field] = &[(
        "sha256",
        Is::Text,
        false,
        "the SHA-256 digest of the file that is missing, where it is known",
    )];
    let members = [
        ("program", of(Is::Text)),
        ("redacted", of(Is::Flag)),
        ("members", of(Is::List("member"))),
        ("missing", of(Is::List("missing"))),
    ];
    let definitions = json!({"member": object(MEMBER, &[]), "missing": object(MISSING, DIGEST)});
    document("bundle", &members, definitions)
}

fn verdict() -> Value {
    let judgements: Vec<&str> = Judgement::ALL.into_iter().map(Judgement::word).collect();
    let mut severities: Vec<Value> = Severity::ALL
        .into_iter()
        .map(|severity| severity.name().into())
        .collect();
    severities.push(Value::Null);
    let texts = of(Is::Texts);
    json!({
        "type": "object",
        "properties": {
            "judgement": {"enum": judgements, "description": "what a person may think of it"},
            "severity": {"enum": severities, "description": "the weight of all findings together; null without any"},
            "reasons": texts,
            "would_change": texts,
            "findings": {"type": "array", "items": {"type": "object"}, "description": "as in the schema netstat.audit"},
            "unexamined": texts,
            "started_by": texts,
            "named_in": texts,
        },
        "required": ["judgement", "severity", "reasons", "would_change", "findings", "unexamined", "started_by", "named_in"],
        "additionalProperties": false,
    })
}

fn of(is: Is) -> Value {
    let list = |items: Value| json!({"type": "array", "items": items});
    match is {
        Is::Count => json!({"type": "integer", "minimum": 0}),
        Is::Number => json!({"type": "number"}),
        Is::Text => json!({"type": "string"}),
        Is::Flag => json!({"type": "boolean"}),
        Is::Texts => list(json!({"type": "string"})),
        Is::TextLists => list(list(json!({"type": "string"}))),
        Is::Numbers => list(json!({"type": "integer", "minimum": 0})),
        Is::Moment => json!({"type": "string", "format": "date-time"}),
        Is::Of(name) => json!({"$ref": format!("#/$defs/{name}")}),
        Is::List(name) => list(json!({"$ref": format!("#/$defs/{name}")})),
        Is::Open => json!({"type": "object"}),
    }
}

/// Returns the schema of an object with the fields of `always`, and possibly those of `sometimes`. The reasons for
/// unknown values are under `unknown`.
fn object(always: &[Field], sometimes: &[Field]) -> Value {
    let mut properties = Map::new();
    for (name, is, null, meaning) in always.iter().chain(sometimes) {
        let mut schema = match null {
            true => json!({"anyOf": [of(*is), {"type": "null"}]}),
            false => of(*is),
        };
        schema["description"] = Value::from(*meaning);
        properties.insert((*name).to_owned(), schema);
    }
    properties.insert(
        "unknown".to_owned(),
        json!({
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "for each field that is null because it is not known, the reason",
        }),
    );
    let required: Vec<&str> = always.iter().map(|field| field.0).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}
