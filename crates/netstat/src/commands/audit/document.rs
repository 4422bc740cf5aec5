//! The result as a JSON document: `netstat.audit`.

use std::time::SystemTime;

use netstat_model::Fact;
use serde_json::{Map, Value, json};

use super::acknowledge::Item;
use super::{Shown, overview};
use crate::output::json::timestamp;
use netstat_audit::finding::Finding;
use netstat_audit::{Judged, Judgement, Severity, case, contacts, next};

/// The type of a field.
#[derive(Clone, Copy)]
enum Holds {
    Number,
    Text,
    Texts,
    Severity,
    Verdict,
    Moment,
    Flag,
    Steps,
}

/// A field: name, type, whether it may be null, and description.
type Field = (&'static str, Holds, bool, &'static str);

/// The fields of a finding, in order.
const FINDING: &[Field] = &[
    (
        "pid",
        Holds::Number,
        true,
        "the process; null where the finding is about the computer",
    ),
    (
        "program",
        Holds::Text,
        true,
        "the path of its program, its short name in round brackets where that may not be read; null where the finding is about the computer",
    ),
    ("severity", Holds::Severity, false, "how suspicious it is"),
    ("rule", Holds::Text, false, "the name of the rule"),
    ("headline", Holds::Text, false, "what was found, in a few words"),
    ("evidence", Holds::Texts, false, "what was seen"),
    ("verify", Holds::Text, false, "a command that shows it"),
    ("harmless", Holds::Text, false, "which harmless reasons there are"),
    (
        "technique",
        Holds::Text,
        false,
        "the technique of MITRE ATT&CK for Enterprise",
    ),
    (
        "would_change",
        Holds::Text,
        false,
        "what would make it harmless or worse",
    ),
    FIRST_SEEN,
    OR_EARLIER,
    (
        "id",
        Holds::Text,
        false,
        "the finding's id, the same from run to run; --acknowledge takes it",
    ),
    (
        "acknowledged",
        Holds::Text,
        true,
        "why it was acknowledged as harmless; null where it is not",
    ),
    (
        "new",
        Holds::Flag,
        true,
        "whether it was not found at the last run; null without --new",
    ),
];

const FIRST_SEEN: Field = (
    "first_seen",
    Holds::Moment,
    true,
    "when the program was first seen on the network; null without a record",
);
const OR_EARLIER: Field = (
    "first_seen_or_earlier",
    Holds::Flag,
    true,
    "whether that was when the record began, so that it may be older",
);

/// The fields of a program, in order.
const PROGRAM: &[Field] = &[
    ("pid", Holds::Number, false, "the process"),
    (
        "program",
        Holds::Text,
        false,
        "the path of its program; its short name in round brackets where that may not be read",
    ),
    ("script", Holds::Text, true, "the script that it runs"),
    (
        "command_line",
        Holds::Text,
        false,
        "its command line, cut to some 80 letters",
    ),
    ("user", Holds::Number, true, "the number of its effective user"),
    (
        "exposure",
        Holds::Text,
        false,
        "how far its sockets reach: nobody, this computer only, private networks or every network",
    ),
    ("verdict", Holds::Verdict, false, "what a person may think of it"),
    (
        "severity",
        Holds::Severity,
        true,
        "the weight of all findings together; null without any",
    ),
    ("reasons", Holds::Texts, false, "why the verdict is so"),
    ("would_change", Holds::Texts, false, "what would change the verdict"),
    ("unexamined", Holds::Texts, false, "what could not be looked at"),
    FIRST_SEEN,
    OR_EARLIER,
    UNIT,
    NETWORK,
    STARTED_BY,
    NAMED_IN,
    NEXT,
];

/// The fields that an alert has in addition to those of its finding, in order; see [`alert`].
const ALERT: &[Field] = &[
    NEXT,
    ("script", Holds::Text, true, "the script that it runs"),
    (
        "command_line",
        Holds::Text,
        true,
        "its command line, cut to some 80 letters; null for findings about the computer",
    ),
    UNIT,
    NETWORK,
    STARTED_BY,
    NAMED_IN,
];

const UNIT: Field = (
    "unit",
    Holds::Text,
    true,
    "the innermost unit or container; null without any",
);
const NETWORK: Field = (
    "network",
    Holds::Texts,
    false,
    "whom it reaches, and from where it can be reached, a line for each",
);
const NEXT: Field = ("next", Holds::Steps, false, "what to do next, the safest first");
const STARTED_BY: Field = (
    "started_by",
    Holds::Texts,
    false,
    "the timer or the user's service manager that it descends from",
);
const NAMED_IN: Field = (
    "named_in",
    Holds::Texts,
    false,
    "files that would start it again, such as tables of cron, units and profile scripts, each with the line that names its program or script; \
     searched where the severity is medium or above",
);

/// Returns the schema of an alert: a line of `--watch --json`, and the standard input of `--exec`.
pub(crate) fn alert_schema() -> Value {
    let fields: Vec<Field> = FINDING.iter().chain(ALERT).copied().collect();
    crate::output::json::schema::framed_line(
        "finding",
        "A new finding, as `audit --watch --json` prints it and `--exec` passes it on.",
        object(&fields),
    )
}

/// Returns the schema of the document.
pub(crate) fn schema() -> Value {
    let list = |name: &str| json!({"type": "array", "items": {"$ref": format!("#/$defs/{name}")}});
    let count = |what: &str| json!({"type": "integer", "minimum": 0, "description": what});
    let members = [
        ("findings", list("finding")),
        ("programs", list("program")),
        ("examined", count("how many processes were looked at")),
        ("ended", count("how many processes ended before they could be read")),
        (
            "acknowledged",
            count("how many findings are acknowledged as harmless; left out of the list without --all"),
        ),
        (
            "unexamined",
            json!({"type": "array", "items": {"type": "string"}, "description": "what could not be looked at of the computer"}),
        ),
    ];
    crate::output::json::schema::document(
        "audit",
        &members,
        json!({"finding": object(FINDING), "program": object(PROGRAM)}),
    )
}

fn object(fields: &[Field]) -> Value {
    let mut properties = Map::new();
    for (name, holds, null, meaning) in fields {
        let words = |words: Vec<&str>| {
            let mut words: Vec<Value> = words.into_iter().map(Value::from).collect();
            words.extend(null.then_some(Value::Null));
            json!({"enum": words})
        };
        let of = |kind: &str| {
            if *null {
                json!({"type": [kind, "null"]})
            } else {
                json!({"type": kind})
            }
        };
        let mut schema = match holds {
            Holds::Number => of("integer"),
            Holds::Text => of("string"),
            Holds::Flag => of("boolean"),
            Holds::Moment => {
                let mut moment = of("string");
                moment["format"] = "date-time".into();
                moment
            }
            Holds::Texts => json!({"type": "array", "items": {"type": "string"}}),
            Holds::Steps => json!({"type": "array", "items": {
                "type": "object",
                "properties": {"what": {"type": "string"}, "command": {"type": "string"}},
                "required": ["what", "command"],
                "additionalProperties": false,
            }}),
            Holds::Severity => words(Severity::ALL.into_iter().map(Severity::name).collect()),
            Holds::Verdict => words(Judgement::ALL.into_iter().map(Judgement::word).collect()),
        };
        schema["description"] = Value::from(*meaning);
        properties.insert((*name).to_owned(), schema);
    }
    let required: Vec<&str> = fields.iter().map(|field| field.0).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// Returns a finding as an object, for commands that do not use acknowledgements.
pub(crate) fn finding(found: &Finding) -> Value {
    let object = finding_object(found);
    Value::Object(object)
}

/// Returns a finding with its id and standing.
fn item(item: &Item<'_>) -> Value {
    let mut object = finding_object(item.finding);
    object.insert("id".into(), item.mark.id().into());
    let why = item.standing.acknowledged.as_ref().map(|entry| entry.why.as_str());
    object.insert("acknowledged".into(), why.into());
    object.insert("new".into(), item.standing.new.into());
    Value::Object(object)
}

/// Returns a new finding with what is known about its process, in the form of alerts: `netstat.finding`.
pub(super) fn alert(one: &Item<'_>, host: &[u8], time: SystemTime, netstat: &str, superuser: bool) -> Value {
    let mut object = Map::new();
    object.insert("schema".into(), "netstat.finding".into());
    object.insert("version".into(), crate::output::json::VERSION.into());
    object.insert("host".into(), crate::output::json::text(host));
    object.insert("time".into(), timestamp(time).into());
    if let Value::Object(finding) = item(one) {
        object.extend(finding);
    }
    let steps = one.judged.map(|judged| next::steps(judged, netstat, superuser));
    let steps = steps.iter().flatten();
    object.insert(
        "next".into(),
        steps
            .map(|step| json!({"what": step.what, "command": step.command}))
            .collect(),
    );
    let judged = one.judged;
    let of = |value: Option<Value>| value.unwrap_or(Value::Null);
    let script = judged.and_then(|judged| judged.script.as_ref());
    object.insert("script".into(), of(script.map(|script| script.shown().into())));
    let line = judged.map(|judged| case::command_line(&judged.facts.arguments).into());
    object.insert("command_line".into(), of(line));
    let unit = judged.and_then(|judged| contacts::component(&judged.facts));
    object.insert("unit".into(), of(unit.map(Value::from)));
    let network = judged.map(|judged| judged.contacts.lines());
    object.insert("network".into(), network.unwrap_or_default().into());
    let starters = judged.map(|judged| judged.starters.clone()).unwrap_or_default();
    object.insert("started_by".into(), starters.by.into());
    object.insert("named_in".into(), starters.named_in.into());
    Value::Object(object)
}

fn finding_object(found: &Finding) -> Map<String, Value> {
    let value = json!({
        "pid": found.pid,
        "program": found.program,
        "severity": found.severity.name(),
        "rule": found.rule.name,
        "headline": found.headline,
        "evidence": found.evidence,
        "verify": found.verify,
        "harmless": found.harmless,
        "technique": found.technique,
        "would_change": found.would_change,
        "first_seen": found.first_seen.map(|first| timestamp(first.at)),
        "first_seen_or_earlier": found.first_seen.map(|first| first.or_earlier),
    });
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// Returns a program as an object, without its findings.
pub(super) fn program(judged: &Judged, shown: &Shown<'_>) -> Value {
    let steps = next::steps(judged, &shown.netstat, shown.superuser);
    let steps: Vec<Value> = steps
        .iter()
        .map(|step| json!({"what": step.what, "command": step.command}))
        .collect();
    json!({
        "pid": judged.facts.pid,
        "program": judged.shown(),
        "script": judged.script.as_ref().map(case::FileLook::shown),
        "command_line": case::command_line(&judged.facts.arguments),
        "user": match judged.facts.users {
            Fact::Known(users) => Some(users.effective),
            Fact::Unknown(_) => None,
        },
        "exposure": judged.exposure.words(),
        "verdict": judged.verdict.judgement.word(),
        "severity": judged.verdict.severity.map(Severity::name),
        "reasons": judged.verdict.reasons,
        "would_change": judged.verdict.would_change,
        "unexamined": judged.unexamined,
        "first_seen": judged.first_seen.map(|first| timestamp(first.at)),
        "first_seen_or_earlier": judged.first_seen.map(|first| first.or_earlier),
        "unit": contacts::component(&judged.facts),
        "network": judged.contacts.lines(),
        "started_by": judged.starters.by,
        "named_in": judged.starters.named_in,
        "next": steps,
    })
}

/// Returns the members of the document that follow the frame.
pub(super) fn body(shown: &Shown<'_>) -> Map<String, Value> {
    let mut body = Map::new();
    let groups = overview::every(shown.items, &shown.choice);
    let findings = groups.iter().flat_map(|group| &group.items).map(|one| item(one));
    body.insert("findings".into(), findings.collect());
    let programs = shown.programs().map(|judged| program(judged, shown));
    body.insert("programs".into(), programs.collect());
    body.insert("acknowledged".into(), shown.acknowledged().into());
    body.insert("examined".into(), shown.survey.judged.len().into());
    body.insert("ended".into(), shown.survey.ended.into());
    body.insert(
        "unexamined".into(),
        shown.survey.unexamined.iter().map(String::as_str).collect(),
    );
    body
}
