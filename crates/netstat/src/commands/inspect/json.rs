//! The cards as JSON. An unknown fact is null, with its reason under `unknown` in the same object.

mod reach;

use std::time::SystemTime;

use netstat_model::packet_filter::{Chain, PacketFilter};
use netstat_model::process::{
    Ancestor, Capabilities, Descriptor, FileAccess, FileFacts, FileStatus, Mapped, ProcessFacts, ProcessNamespace,
    Seccomp, Signature, WindowsProcess,
};
use netstat_model::{Component, Fact, Family, NoOwner, Socket, TcpMetric, UnitManager, Why};
use netstat_names::Services;
use netstat_packages::packages::{FileOwner, Match, Ownership};
use serde_json::{Map, Value, json};

use super::card::{Card, FileView, ForeignRoot, Nobody, Opinion, Report, Script, SocketView, StandsFor, Subject};
use super::past::Past;
use super::usage::Usage;
use crate::output::json::{Document, text, timestamp};
use netstat_audit::Severity;

/// Returns the whole report.
pub(super) fn document(report: &Report, host: &[u8], now: SystemTime) -> Value {
    let services = Services::system();
    let targets = report.targets.iter().map(|target| {
        json!({
            "word": target.word,
            "sought": target.sought,
            "sockets": target.sockets,
            "processes": target.processes,
            "published": target.published,
            "remarks": target.remarks,
        })
    });
    let mut body = Map::new();
    body.insert("targets".to_owned(), targets.collect());
    body.insert(
        "cards".to_owned(),
        report.cards.iter().map(|card| self::card(card, &services)).collect(),
    );
    body.insert(
        "packet_filter".to_owned(),
        report.filter.as_ref().map_or(Value::Null, packet_filter),
    );
    Document {
        schema: "netstat.inspect",
        host,
        time: now,
        limits: &report.limits,
        body,
    }
    .value()
}

fn packet_filter(filter: &PacketFilter) -> Value {
    let chain = |chain: &Chain| {
        json!({
            "family": chain.family.name(),
            "table": text(&chain.table),
            "name": text(&chain.name),
            "kind": text(&chain.kind),
            "hook": chain.hook.name(),
            "priority": chain.priority,
            "drops": chain.drops,
            "rules": chain.rules,
        })
    };
    Object::default()
        .fact(
            "nftables",
            filter
                .nftables
                .as_ref()
                .map(|chains| chains.iter().map(chain).collect::<Vec<_>>()),
        )
        .fact("iptables_tables", filter.iptables.as_ref().map(|tables| texts(tables)))
        .finish()
}

/// An object whose facts may be unknown.
#[derive(Debug, Default)]
struct Object {
    fields: Map<String, Value>,
    unknown: Map<String, Value>,
}

impl Object {
    fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    fn fact<T: Into<Value>>(mut self, name: &str, fact: Fact<T>) -> Self {
        let value = match fact {
            Fact::Known(value) => value.into(),
            Fact::Unknown(why) => {
                self.unknown.insert(name.to_owned(), why.words().into());
                Value::Null
            }
        };
        self.set(name, value)
    }

    /// Adds a value, or the reason why there is none.
    fn told(mut self, name: &str, value: Result<Value, &String>) -> Self {
        let value = value.unwrap_or_else(|why| {
            self.unknown.insert(name.to_owned(), why.as_str().into());
            Value::Null
        });
        self.set(name, value)
    }

    fn finish(mut self) -> Value {
        if !self.unknown.is_empty() {
            self.fields.insert("unknown".to_owned(), Value::Object(self.unknown));
        }
        Value::Object(self.fields)
    }
}

fn card(card: &Card, services: &Services) -> Value {
    let sockets: Vec<Value> = card.sockets.iter().map(|view| socket(view, services)).collect();
    let steps: Vec<Value> = card
        .steps
        .iter()
        .map(|step| json!({"what": step.what, "command": step.command}))
        .collect();
    let object = Object::default()
        .set("targets", card.targets.clone())
        .set("sockets", sockets);
    match &card.owner {
        Ok(subject) => with_subject(object, subject),
        Err(nobody) => object.set("process", Value::Null).set("no_process", no_process(nobody)),
    }
    .set("next_steps", steps)
    .finish()
}

fn no_process(nobody: &Nobody) -> Value {
    let user = match nobody.reason {
        NoOwner::NotPermitted { user } => user,
        _ => None,
    };
    json!({
        "why": nobody.reason.words(),
        "user_id": user,
        "user": nobody.user_name.as_deref(),
        "kernel_user": nobody.kernel_user.as_deref(),
    })
}

fn socket(view: &SocketView, services: &Services) -> Value {
    let socket = &view.socket;
    let protocol = socket.protocol();
    let end = |end: netstat_model::Endpoint| {
        let port = protocol.has_ports().then_some(end.port);
        json!({
            "address": end.address.to_string(),
            "port": port,
            "service": port.and_then(|port| services.name(protocol, port)),
            "description": port.and_then(|port| services.description(protocol, port)),
        })
    };
    let connected = socket.is_connected();
    let figure = |figure| socket.tcp(figure);
    Object::default()
        .set("protocol", protocol.name())
        .set("local", end(socket.local()))
        .set("foreign", if connected { end(socket.foreign()) } else { Value::Null })
        .set("host", view.host.clone())
        .set("asked_name", view.asked_name.clone())
        .set("state", socket.shown_state().map(|state| state.name()))
        .set("namespace", view.namespace.clone())
        .set("inode", socket.inode().map(u32::from))
        .set("cookie", socket.cookie().map(u64::from))
        .fact("user", socket.user())
        .fact("receive_queue", socket.known_receive_queue())
        .fact("send_queue", socket.send_queue())
        .fact("milliseconds_in_state", socket.time_in_state())
        .fact("bytes_received", figure(TcpMetric::BytesReceived))
        .fact("bytes_sent", figure(TcpMetric::BytesSent))
        .fact("bytes_received_per_second", view.rates.received)
        .fact("bytes_sent_per_second", view.rates.sent)
        .fact("round_trip_microseconds", figure(TcpMetric::Rtt))
        .fact("segments_sent_again", figure(TcpMetric::RetransmitsTotal))
        .fact("milliseconds_open_at_least", open_at_least(socket))
        .set("interface", view.interface.clone())
        .set("ipv6_only", ipv6_only(socket))
        .set("problems", view.trouble.clone())
        .set("first_seen", view.since.map(|since| timestamp(since.at)))
        .set("first_seen_exact", view.since.map(|since| since.exact))
        .finish()
}

/// Whether an IPv6 wildcard socket does not accept IPv4; `None` for other sockets, or if it is unknown.
fn ipv6_only(socket: &Socket) -> Option<bool> {
    let wildcard = socket.family() == Family::V6 && socket.local().address.is_unspecified();
    wildcard.then(|| socket.fact(|extra| extra.v6_only).known()).flatten()
}

/// Returns the minimum age of a connection: the longest time since some event on it, or the time during which it had
/// something to send.
fn open_at_least(socket: &Socket) -> Fact<u64> {
    let since = [
        TcpMetric::LastDataSent,
        TcpMetric::LastDataReceived,
        TcpMetric::LastAckReceived,
    ]
    .map(|figure| socket.tcp(figure));
    let busy = socket
        .tcp(TcpMetric::BusyTime)
        .known()
        .map(|microseconds| microseconds / 1000);
    let longest = since.iter().filter_map(|since| since.known()).chain(busy).max();
    match (longest, since[0]) {
        (Some(longest), _) => Fact::Known(longest),
        (None, Fact::Unknown(why)) => Fact::Unknown(why),
        (None, Fact::Known(_)) => Fact::Unknown(Why::NotKept),
    }
}

/// Returns all sockets of a process.
pub(super) fn sockets(views: &[SocketView]) -> Value {
    let services = Services::system();
    views.iter().map(|view| socket(view, &services)).collect()
}

fn with_subject(object: Object, subject: &Subject) -> Object {
    let unread: Vec<Value> = subject
        .facts
        .unread()
        .into_iter()
        .map(|(what, why)| json!({"what": what, "why": why.words()}))
        .collect();
    object
        .set("process", process(subject))
        .set("file", program(subject))
        .set("script", subject.script.as_ref().map(script))
        .set("usage", usage(&subject.usage))
        .set("reach", subject.reach.iter().map(reach::reach).collect::<Vec<_>>())
        .set(
            "stands_for",
            subject.stands_for.iter().map(stands_for).collect::<Vec<_>>(),
        )
        .told("past", subject.past.as_ref().map(past))
        .set("verdict", subject.opinion.as_ref().map_or(Value::Null, verdict))
        .set("not_seen", unread)
}

fn past(past: &Past) -> Value {
    let moment = |millis: i64| timestamp(crate::recall::time(millis));
    let ports = |ports: &[(u16, i64)]| -> Value {
        let one = |(port, first): &(u16, i64)| json!({"port": port, "first": moment(*first)});
        ports.iter().map(one).collect()
    };
    let networks: Vec<Value> = past
        .networks
        .iter()
        .map(|(network, first)| json!({"network": network.to_string(), "first": moment(*first)}))
        .collect();
    json!({
        "record_begins": past.begins.map(moment),
        "program": past.program.map(moment),
        "same_name": past.nameless.map(moment),
        "networks": networks,
        "foreign_ports": ports(&past.foreign_ports),
        "listening_ports": ports(&past.listening_ports),
    })
}

fn verdict(opinion: &Opinion) -> Value {
    json!({
        "judgement": opinion.verdict.judgement.word(),
        "severity": opinion.verdict.severity.map(Severity::name),
        "reasons": opinion.verdict.reasons,
        "would_change": opinion.verdict.would_change,
        "findings": opinion.findings.iter().map(super::super::audit::finding_value).collect::<Vec<_>>(),
        "unexamined": opinion.unexamined,
        "started_by": opinion.starters.by,
        "named_in": opinion.starters.named_in,
    })
}

fn texts(words: &[Vec<u8>]) -> Value {
    words.iter().map(|word| text(word)).collect()
}

fn process(subject: &Subject) -> Value {
    let facts = &subject.facts;
    let document = identity(Object::default(), facts)
        .set("user", subject.user_names.1.as_deref())
        .set("real_user", subject.user_names.0.as_deref());
    let document = surroundings(privileges(document, facts), facts);
    let sharers: Vec<Value> = subject
        .sharers
        .iter()
        .map(|sharer| json!({"pid": sharer.pid, "program": text(&sharer.name)}))
        .collect();
    let counts: Map<String, Value> = subject
        .held
        .counts
        .iter()
        .map(|(word, count)| ((*word).to_owned(), (*count).into()))
        .collect();
    document
        .set("sockets_by_state", counts)
        .fact("sockets_in_no_list", subject.held.unlisted)
        .set("shares_sockets_with", sharers)
        .finish()
}

/// Adds what the process is, and how it was started.
fn identity(document: Object, facts: &ProcessFacts) -> Object {
    document
        .set("pid", facts.pid)
        .set("start_ticks", facts.start_ticks)
        .fact("started", facts.started.map(timestamp))
        .set("name", text(&facts.comm))
        .set("state", char::from(facts.state).to_string())
        .set("parent", facts.parent)
        .set("group", facts.group)
        .set("session", facts.session)
        .set("terminal", facts.terminal.map(|terminal| terminal.to_string()))
        .set("threads", facts.threads)
        .set("kernel_thread", facts.kernel_thread)
        .fact("arguments", facts.arguments.as_ref().map(|words| texts(words)))
        .fact("directory", facts.directory.as_ref().map(|path| text(path)))
        .fact("root", facts.root.as_ref().map(|path| text(path)))
}

/// Adds the privileges of a process.
fn privileges(document: Object, facts: &ProcessFacts) -> Object {
    let ids = |ids: netstat_model::process::Ids| json!({"real": ids.real, "effective": ids.effective, "saved": ids.saved, "file_system": ids.file_system});
    let names = |set: Capabilities| Value::from(set.names());
    document
        .fact("user_ids", facts.users.map(ids))
        .fact("group_ids", facts.groups.map(ids))
        .fact("other_group_ids", facts.other_groups.clone())
        .fact("login_user_id", facts.login_user)
        .fact("capabilities", facts.capabilities.map(|sets| names(sets.effective)))
        .fact(
            "permitted_capabilities",
            facts.capabilities.map(|sets| names(sets.permitted)),
        )
        .fact(
            "inheritable_capabilities",
            facts.capabilities.map(|sets| names(sets.inheritable)),
        )
        .fact(
            "bounding_capabilities",
            facts.capabilities.map(|sets| names(sets.bounding)),
        )
        .fact(
            "ambient_capabilities",
            facts.capabilities.map(|sets| names(sets.ambient)),
        )
        .fact("tracer", facts.tracer)
        .fact("no_new_privileges", facts.no_new_privileges)
        .fact(
            "seccomp",
            facts.seccomp.map(|mode| match mode {
                Seccomp::Off => "off",
                Seccomp::Strict => "strict",
                Seccomp::Filter => "filter",
            }),
        )
        .fact("label", facts.label.as_ref().map(|label| text(label)))
}

/// Adds the environment of a process, and what it has open.
fn surroundings(document: Object, facts: &ProcessFacts) -> Object {
    document
        .set("namespaces", namespaces(facts))
        .fact("inner_pids", facts.inner_pids.clone())
        .fact("cgroup", facts.cgroup.as_ref().map(|path| text(path)))
        .set("windows", facts.windows.as_deref().map(windows))
        .fact(
            "components",
            facts
                .components
                .as_ref()
                .map(|all| all.iter().map(component).collect::<Vec<_>>()),
        )
        .fact(
            "ancestors",
            facts
                .ancestors
                .as_ref()
                .map(|all| all.iter().map(ancestor).collect::<Vec<_>>()),
        )
        .fact("descriptors", facts.descriptors.as_ref().map(descriptors))
        .fact(
            "executable_memory",
            facts
                .executable
                .as_ref()
                .map(|all| all.iter().map(mapping).collect::<Vec<_>>()),
        )
}

fn windows(windows: &WindowsProcess) -> Value {
    let access = |access: &FileAccess| json!({"owner": access.owner, "writers": access.writers, "open": access.open});
    let signature = |signature: &Signature| match signature {
        Signature::Valid { signer, catalogue } => {
            json!({"status": "valid", "signer": text(signer), "catalogue": catalogue})
        }
        Signature::None => json!({"status": "none"}),
        Signature::Invalid(code) => json!({"status": "invalid", "code": format!("{code:#010x}")}),
        Signature::NotInFile => json!({"status": "not-in-file"}),
    };
    Object::default()
        .fact("sid", windows.sid.as_ref().map(|sid| text(sid)))
        .fact("user", windows.user.as_ref().map(|name| text(name)))
        .fact("integrity", windows.integrity.map(|level| level.name()))
        .fact("elevated", windows.elevated)
        .fact("app_container", windows.app_container)
        .fact("protection", windows.protection.map(|protection| protection.words()))
        .fact("signature", windows.signature.as_ref().map(signature))
        .fact("file_access", windows.file_access.as_ref().map(access))
        .fact("directory_access", windows.directory_access.as_ref().map(access))
        .finish()
}

fn namespaces(facts: &ProcessFacts) -> Value {
    let one = |namespace: ProcessNamespace| json!({"inode": namespace.inode, "ours": namespace.ours});
    Object::default()
        .fact("mount", facts.namespaces.mount.map(one))
        .fact("network", facts.namespaces.network.map(one))
        .fact("pid", facts.namespaces.pid.map(one))
        .fact("user", facts.namespaces.user.map(one))
        .finish()
}

fn component(component: &Component) -> Value {
    match component {
        Component::Unit { name, manager } => json!({
            "kind": "unit",
            "name": text(name),
            "of_user": match manager {
                UnitManager::System => None,
                UnitManager::User(user) => Some(*user),
            },
        }),
        Component::Service { name } => json!({"kind": "service", "name": text(name)}),
        Component::Package { name } => json!({"kind": "package", "name": text(name)}),
        Component::Container { runtime, id } => {
            json!({"kind": "container", "runtime": runtime.name(), "id": text(id)})
        }
    }
}

fn ancestor(ancestor: &Ancestor) -> Value {
    Object::default()
        .set("pid", ancestor.pid)
        .set("start_ticks", ancestor.start_ticks)
        .set("parent", ancestor.parent)
        .set("name", text(&ancestor.comm))
        .fact("path", ancestor.path.as_ref().map(|path| text(path)))
        .fact("arguments", ancestor.arguments.as_ref().map(|words| texts(words)))
        .finish()
}

fn descriptors(open: &netstat_model::process::Descriptors) -> Value {
    let stream = |stream: &Fact<Option<Descriptor>>| {
        stream
            .as_ref()
            .map(|descriptor| descriptor.as_ref().map_or(Value::Null, descriptor_value))
    };
    let [input, output, error] = open.standard.each_ref().map(stream);
    Object::default()
        .fact("count", open.count)
        .fact("standard_input", input)
        .fact("standard_output", output)
        .fact("standard_error", error)
        .fact("files", open.kinds.map(|kinds| kinds.files))
        .fact("terminals", open.kinds.map(|kinds| kinds.terminals))
        .fact("sockets", open.kinds.map(|kinds| kinds.sockets))
        .fact("pipes", open.kinds.map(|kinds| kinds.pipes))
        .fact("memory_files", open.kinds.map(|kinds| kinds.memory))
        .fact("others", open.kinds.map(|kinds| kinds.other))
        .fact("socket_inodes", open.sockets.clone())
        .fact("anonymous", open.anonymous.as_ref().map(|names| texts(names)))
        .finish()
}

fn descriptor_value(descriptor: &Descriptor) -> Value {
    match descriptor {
        Descriptor::Path { path, deleted } => json!({"kind": "file", "path": text(path), "deleted": deleted}),
        Descriptor::Socket(inode) => json!({"kind": "socket", "inode": inode}),
        Descriptor::Pipe(inode) => json!({"kind": "pipe", "inode": inode}),
        Descriptor::Memory(name) => json!({"kind": "memory", "name": text(name)}),
        Descriptor::Anonymous(name) => json!({"kind": "anonymous", "name": text(name)}),
        Descriptor::Other(name) => json!({"kind": "other", "name": text(name)}),
    }
}

fn mapping(part: &netstat_model::process::Mapping) -> Value {
    let (kind, name, deleted) = match &part.what {
        Mapped::File { path, deleted } => ("file", text(path), *deleted),
        Mapped::Memory(name) => ("memory", text(name), false),
        Mapped::Anonymous => ("anonymous", Value::Null, false),
        Mapped::Named(name) => ("named", text(name), false),
    };
    json!({
        "start": format!("{:#x}", part.start),
        "end": format!("{:#x}", part.end),
        "kind": kind,
        "name": name,
        "deleted": deleted,
        "writable": part.writable,
        "shared": part.shared,
        "inode": part.inode,
    })
}

fn file_facts(object: Object, file: Fact<FileFacts>) -> Object {
    let time = |time: netstat_model::process::FileTime| Fact::from_option(time.time().map(timestamp), Why::Failed);
    let flat = |fact: Fact<Fact<String>>| match fact {
        Fact::Known(inner) => inner,
        Fact::Unknown(why) => Fact::Unknown(why),
    };
    object
        .fact("size", file.map(|file| file.size))
        .fact("user_id", file.map(|file| file.user))
        .fact("group_id", file.map(|file| file.group))
        .fact("mode", file.map(|file| format!("{:04o}", file.mode & 0o7777)))
        .fact("device", file.map(|file| file.device))
        .fact("inode", file.map(|file| file.inode))
        .fact("links", file.map(|file| file.links))
        .fact("modified", flat(file.map(|file| time(file.modified))))
        .fact("changed", flat(file.map(|file| time(file.changed))))
}

fn file_view(object: Object, view: &FileView) -> Object {
    let object = object
        .set("user", view.owner_names.0.as_deref())
        .set("group", view.owner_names.1.as_deref())
        .set(
            "package",
            view.package.as_ref().map(|found| package(found, view.root.as_ref())),
        )
        .set(
            "matches_package",
            match &view.verified {
                Some(Match::Matches { .. }) => Some(true),
                Some(Match::Differs { .. }) => Some(false),
                _ => None,
            },
        )
        .set("package_check", view.verified.as_ref().map(Match::words));
    match &view.sha256 {
        Ok(digest) => object.set("sha256", digest.to_string()),
        Err(why) => {
            let mut object = object.set("sha256", Value::Null);
            object.unknown.insert("sha256".to_owned(), why.as_str().into());
            object
        }
    }
}

fn program(subject: &Subject) -> Value {
    let program = match &subject.facts.program {
        Fact::Known(program) => program,
        Fact::Unknown(why) => return json!({"path": null, "unknown": {"path": why.words()}}),
    };
    let place = match program.place {
        FileStatus::There => "there",
        FileStatus::Removed => "removed",
        FileStatus::Replaced => "replaced",
        FileStatus::Memory => "memory",
        FileStatus::RemovedUnseen => "removed or replaced",
    };
    let object = Object::default()
        .set("path", text(&program.path))
        .set("told", text(&program.reported))
        .set("place", place);
    file_view(file_facts(object, program.running), &subject.file).finish()
}

fn script(script: &Script) -> Value {
    let object = Object::default().set("path", text(&script.path));
    file_view(file_facts(object, script.file), &script.view).finish()
}

fn package(ownership: &Ownership, root: Option<&ForeignRoot>) -> Value {
    let origin = ownership
        .origin
        .as_ref()
        .map(|origin| json!({"manager": origin.manager.words(), "name": origin.name}));
    let value = match &ownership.owner {
        // A database that is not trusted names no package.
        FileOwner::Package(package) if root.is_some_and(|root| root.is_anybodys) => {
            let why = format!(
                "the package database is one that any user can have made; it says {}",
                package.name
            );
            json!({"name": null, "origin": origin, "unknown": {"name": why}})
        }
        FileOwner::Package(package) => Object::default()
            .set("database", package.database.name())
            .set("name", package.name.as_str())
            .fact("version", package.version.clone())
            .fact("architecture", package.architecture.clone())
            .fact("installed", package.installed.map(timestamp))
            .finish(),
        FileOwner::Nobody => json!({"name": null, "origin": origin}),
        FileOwner::Unknown(reason) => json!({"name": null, "origin": origin, "unknown": {"name": reason.words()}}),
    };
    match (value, root) {
        (Value::Object(mut value), Some(root)) => {
            value.insert("root".to_owned(), root.name.as_str().into());
            Value::Object(value)
        }
        (value, _) => value,
    }
}

fn usage(usage: &Usage) -> Value {
    Object::default()
        .set("seconds", usage.over.as_secs_f64())
        .fact("processors", usage.cpu)
        .fact(
            "processor_seconds_so_far",
            usage.cpu_time.map(|time| time.as_secs_f64()),
        )
        .fact("resident_bytes", usage.resident)
        .fact("private_bytes", usage.private)
        .fact("shared_bytes", usage.shared)
        .set("memory_is_rough", usage.rough)
        .fact("disk_read_bytes_per_second", usage.read)
        .fact("disk_written_bytes_per_second", usage.written)
        .fact("tcp_received_bytes_per_second", usage.network.received)
        .fact("tcp_sent_bytes_per_second", usage.network.sent)
        .fact("major_faults_per_second", usage.major_faults)
        .fact("threads", usage.threads)
        .fact("descriptors", usage.descriptors)
        .finish()
}

fn stands_for(stands_for: &StandsFor) -> Value {
    match stands_for {
        StandsFor::Container { port, to, name } => json!({
            "kind": "container",
            "port": port,
            "to": to.to_string(),
            "name": name,
        }),
        StandsFor::Unit { port, socket, service } => json!({
            "kind": "unit",
            "port": port,
            "socket": socket,
            "service": service,
        }),
    }
}
