//! Removes from a snapshot what may contain secrets or identify the computer.

use std::collections::BTreeSet;

use netstat_model::process::{Descriptor, ProcessFacts};
use netstat_model::{Fact, Why, text::plain_error};
use serde_json::Value;

use super::Snapshot;

/// The replacement for a removed name.
const REDACTED: &str = "redacted";

/// The range of user ids of personal accounts (login.defs(5), `UID_MIN` and `UID_MAX`, with a margin).
const PEOPLE: std::ops::Range<u32> = 1_000..65_534;

/// The maximum length in bytes of a process's short name (`TASK_COMM_LEN` without its zero byte, proc_pid_comm(5)).
const LONGEST_COMM: usize = 15;

impl Snapshot {
    /// Returns the snapshot without arguments, environments, working directories, user names and the name of the
    /// computer. Where the name of the computer, of a personal account or of a home directory occurs as a word in
    /// another text, such as a path or the name of a socket, it is replaced. Addresses, ports, paths of programs and
    /// user ids are kept.
    ///
    /// # Errors
    /// Returns an error if the rest could no longer be read, because one of these names is a word of the format.
    pub fn redact(mut self) -> Result<Snapshot, String> {
        let mut secrets: BTreeSet<Vec<u8>> = BTreeSet::new();
        let people = self
            .users
            .iter()
            .chain(&self.groups)
            .filter(|(id, _)| PEOPLE.contains(id));
        secrets.extend(people.map(|(_, name)| name.as_bytes().to_vec()));
        secrets.insert(self.computer_name.clone().into_bytes());
        let short = self.computer_name.split('.').next().unwrap_or_default();
        secrets.insert(short.as_bytes().to_vec());
        for process in &self.processes {
            home_of_environment(process, &mut secrets);
        }
        self.redacted = true;
        self.computer_name.clear();
        self.boot_id = None;
        self.users.clear();
        self.groups.clear();
        for process in &mut self.processes {
            redact_process(process);
        }
        for process in self.owners.processes_mut() {
            let invocation = std::mem::replace(&mut process.invocation, Fact::Unknown(Why::NotKept));
            if let (Fact::Known(invocation), Fact::Known(comm)) = (invocation, &mut process.comm) {
                let words = invocation.arguments.iter().skip(1).chain(&invocation.script);
                hide_script(comm, words);
            }
        }
        if let Fact::Known(interfaces) = &mut self.routes.interfaces {
            interfaces.iter_mut().for_each(|interface| interface.alias = None);
        }
        let mut document = serde_json::to_value(&self).map_err(|error| plain_error(&error))?;
        homes(&document, &mut secrets);
        secrets.retain(|secret| secret.len() > 1);
        scrub(&mut document, &secrets);
        serde_json::from_value(document)
            .map_err(|error| format!("a name in it is a word of the format: {}", plain_error(&error)))
    }
}

/// Collects names from `HOME`, `USER` and `LOGNAME`, which may not be in the account database.
fn home_of_environment(process: &ProcessFacts, secrets: &mut BTreeSet<Vec<u8>>) {
    for entry in process.environment.as_ref().known().into_iter().flatten() {
        for key in [&b"HOME="[..], b"USER=", b"LOGNAME="] {
            let Some(value) = entry.strip_prefix(key) else {
                continue;
            };
            let name = value.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            // This name identifies nobody, and occurs in many other places.
            if name != b"root" {
                secrets.insert(name.to_vec());
            }
        }
    }
}

fn redact_process(process: &mut ProcessFacts) {
    if let Fact::Known(words) = std::mem::replace(&mut process.arguments, Fact::Unknown(Why::NotKept)) {
        hide_script(&mut process.comm, words.iter().skip(1));
    }
    process.environment = Fact::Unknown(Why::NotKept);
    process.directory = Fact::Unknown(Why::NotKept);
    if process.root.as_ref().known().is_some_and(|root| root != b"/") {
        process.root = Fact::Unknown(Why::NotKept);
    }
    if let Fact::Known(ancestors) = &mut process.ancestors {
        for ancestor in ancestors {
            if let Fact::Known(words) = std::mem::replace(&mut ancestor.arguments, Fact::Unknown(Why::NotKept)) {
                hide_script(&mut ancestor.comm, words.iter().skip(1));
            }
        }
    }
    if let Fact::Known(descriptors) = &mut process.descriptors {
        for stream in &mut descriptors.standard {
            // Output is redirected to files whose names were chosen by the author of the command line.
            if matches!(stream, Fact::Known(Some(Descriptor::Path { path, .. })) if !path.starts_with(b"/dev/")) {
                *stream = Fact::Unknown(Why::NotKept);
            }
        }
        descriptors.pipes = Fact::Unknown(Why::NotKept);
    }
}

/// Replaces a short name that is the file name of one of the arguments, because a process that runs a script has its
/// name.
fn hide_script<'a>(comm: &mut Vec<u8>, words: impl Iterator<Item = &'a Vec<u8>>) {
    for word in words {
        let name = word.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        if !name.is_empty() && &name[..name.len().min(LONGEST_COMM)] == comm.as_slice() {
            *comm = REDACTED.as_bytes().to_vec();
            return;
        }
    }
}

/// Returns the bytes of a text in its serialized form: a string, or a list of numbers if it is not UTF-8.
fn bytes_of(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Array(list) if list.len() > 1 => {
            let byte = |value: &Value| u8::try_from(value.as_u64()?).ok();
            list.iter().map(byte).collect()
        }
        _ => None,
    }
}

/// Collects the names of home directories.
fn homes(value: &Value, secrets: &mut BTreeSet<Vec<u8>>) {
    if let Some(bytes) = bytes_of(value) {
        let home = b"/home/";
        for start in 0..bytes.len().saturating_sub(home.len()) {
            if let Some(rest) = bytes[start..].strip_prefix(home) {
                let name = rest.split(|&byte| byte == b'/' || byte == b' ').next();
                secrets.extend(name.map(<[u8]>::to_vec));
            }
        }
        return;
    }
    match value {
        Value::Array(list) => list.iter().for_each(|value| homes(value, secrets)),
        Value::Object(members) => members.values().for_each(|value| homes(value, secrets)),
        _ => {}
    }
}

/// Replaces every secret that occurs as a separate word in a text.
fn scrub(value: &mut Value, secrets: &BTreeSet<Vec<u8>>) {
    if let Some(bytes) = bytes_of(value) {
        if let Some(new) = without(&bytes, secrets) {
            *value = match String::from_utf8(new) {
                Ok(text) => Value::String(text),
                Err(error) => error.into_bytes().into(),
            };
        }
        return;
    }
    match value {
        Value::Array(list) => list.iter_mut().for_each(|value| scrub(value, secrets)),
        Value::Object(members) => members.values_mut().for_each(|value| scrub(value, secrets)),
        _ => {}
    }
}

/// Returns `bytes` with the secrets replaced; `None` if it contains none.
fn without(bytes: &[u8], secrets: &BTreeSet<Vec<u8>>) -> Option<Vec<u8>> {
    let word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80);
    let mut new = Vec::with_capacity(bytes.len());
    let mut at = 0;
    let mut found = false;
    while at < bytes.len() {
        let begins = at == 0 || !word(bytes.get(at - 1));
        // The longest one first, because one name may begin with another.
        let stands = |secret: &&Vec<u8>| bytes[at..].starts_with(secret) && !word(bytes.get(at + secret.len()));
        let secret = secrets
            .iter()
            .filter(stands)
            .max_by_key(|secret| secret.len())
            .filter(|_| begins);
        match secret {
            Some(secret) => {
                new.extend_from_slice(REDACTED.as_bytes());
                at += secret.len();
                found = true;
            }
            None => {
                new.push(bytes[at]);
                at += 1;
            }
        }
    }
    found.then_some(new)
}
