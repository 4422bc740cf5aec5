//! Lists in JSON (RFC 8259): a single document, or one object per line as published by Spamhaus.

use serde_json::{Map, Value};

use super::Loader;
use super::csv::{ADDRESS, LABEL, PORT, record};

/// Whether the content begins with an object or an array.
pub(super) fn looks_like(content: &[u8]) -> bool {
    let text = content.trim_ascii_start();
    match text.first() {
        Some(b'{') => true,
        // A plain list may begin with `[2001:db8::1]:443`.
        Some(b'[') => matches!(text[1..].trim_ascii_start().first(), None | Some(b'{' | b'"' | b']')),
        _ => false,
    }
}

pub(super) fn read(content: &[u8], loader: &mut Loader<'_>) {
    let text = content.trim_ascii();
    let by_line = memchr::memchr(b'\n', text).is_some_and(|end| serde_json::from_slice::<Value>(&text[..end]).is_ok());
    if !by_line {
        match serde_json::from_slice::<Value>(content) {
            Ok(document) => walk(&document, &mut 0, loader),
            Err(error) => {
                let line = u32::try_from(error.line()).unwrap_or(u32::MAX);
                let text = content
                    .split(|&byte| byte == b'\n')
                    .nth(error.line().saturating_sub(1))
                    .unwrap_or_default();
                loader.bad(line, text.trim_ascii(), "no JSON from here on");
            }
        }
        return;
    }
    for (line, number) in content.split(|&byte| byte == b'\n').zip(1u32..) {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let taken = match serde_json::from_slice::<Value>(line) {
            Ok(Value::Object(object)) if is_metadata(&object) => Ok(()),
            Ok(Value::Object(object)) => take(number, &object, loader),
            Ok(_) => Err("no JSON object"),
            Err(_) => Err("no JSON"),
        };
        if let Err(reason) = taken {
            loader.bad(number, line, reason);
        }
    }
}

/// Visits every object with an address and every string in an array, at any depth (the parser stops at 128). `item`
/// counts them.
fn walk(value: &Value, item: &mut u32, loader: &mut Loader<'_>) {
    match value {
        Value::Object(object) if is_metadata(object) => {}
        Value::Object(object)
            if ADDRESS
                .iter()
                .any(|key| matches!(object.get(*key), Some(Value::String(_)))) =>
        {
            *item = item.saturating_add(1);
            if let Err(reason) = take(*item, object, loader) {
                loader.bad(*item, value.to_string().as_bytes(), reason);
            }
        }
        Value::Object(object) => {
            let mut deeper = object
                .values()
                .filter(|value| value.is_object() || value.is_array())
                .peekable();
            if deeper.peek().is_none() && !object.is_empty() {
                *item = item.saturating_add(1);
                return loader.bad(*item, value.to_string().as_bytes(), NO_ADDRESS);
            }
            deeper.for_each(|value| walk(value, item, loader));
        }
        Value::Array(values) => values.iter().for_each(|value| walk(value, item, loader)),
        Value::String(text) => {
            *item = item.saturating_add(1);
            if let Err(reason) = record(*item, text.as_bytes(), b"", b"", loader) {
                loader.bad(*item, text.as_bytes(), reason);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            *item = item.saturating_add(1);
            loader.bad(*item, value.to_string().as_bytes(), NO_ADDRESS);
        }
    }
}

const NO_ADDRESS: &str = "no address in a known field";

/// Whether the object is the metadata that ends the lists of Spamhaus.
fn is_metadata(object: &Map<String, Value>) -> bool {
    object.get("type").is_some_and(|kind| kind == "metadata")
}

fn take(number: u32, object: &Map<String, Value>, loader: &mut Loader<'_>) -> Result<(), &'static str> {
    let address = ADDRESS
        .iter()
        .find_map(|key| object.get(*key)?.as_str())
        .ok_or(NO_ADDRESS)?;
    let port = PORT.iter().find_map(|key| text(object.get(*key)?)).unwrap_or_default();
    let label = LABEL.iter().find_map(|key| text(object.get(*key)?)).unwrap_or_default();
    record(
        number,
        address.trim().as_bytes(),
        port.as_bytes(),
        label.as_bytes(),
        loader,
    )
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(values) => Some(values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")),
        _ => None,
    }
}
