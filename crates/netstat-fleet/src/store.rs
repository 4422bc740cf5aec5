//! The same questions as to the record of one computer, answered by a fleet's store.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::ops::ControlFlow;
use std::sync::Arc;

use netstat_model::{Direction, EventOrigin, Fact, Family, Filter, Network, Protocol, State, Why, text::plain_error};
use netstat_record::{
    Beacon, Boot, Coverage, FirstSeen, Flow, FlowStore, FlowTotals, Gap, Millis, Novelty, OpenFlow, Process, Program,
    ProgramHistory, Question, StoreError, collect_rhythms,
};

use crate::client::Client;
use crate::error::EngineError;
use crate::rows::Rows;
use crate::select::{Condition, flows, hosts, literal, moment};

/// One day, in milliseconds.
const DAY: Millis = 86_400_000;
/// Names kept in memory at most.
const KEPT: usize = 200_000;

/// The columns of a flow, in the order in which [`FleetStore::flow`] reads them. An array of facts that one column of an answer needs
/// stands for itself; what it does not need is replaced by [`NOTHING`].
const FACTS: [(&str, &str); 33] = [
    ("first", "toUnixTimestamp64Milli(first)"),
    ("span", "span"),
    ("closed", "closed"),
    ("begun", "begun"),
    ("protocol", "toUInt8(protocol)"),
    ("family", "toUInt8(family)"),
    ("direction", "toUInt8(direction)"),
    ("state", "toString(state)"),
    ("learned", "toString(learned)"),
    ("local_address", "local_address"),
    ("local_port", "local_port"),
    ("foreign_address", "foreign_address"),
    ("foreign_port", "foreign_port"),
    ("pid", "pid"),
    ("process_start", "process_start"),
    ("program", "toString(program)"),
    ("program_name", "toString(program_name)"),
    ("script", "toString(script)"),
    ("unit", "toString(unit)"),
    ("container", "toString(container)"),
    ("container_name", "toString(container_name)"),
    ("command", "command"),
    ("user", "user"),
    ("namespace", "namespace"),
    ("sent", "sent"),
    ("received", "received"),
    ("retransmits", "retransmits"),
    ("rtt", "rtt"),
    ("asked_name", "asked_name"),
    ("host", "toString(host)"),
    ("boot", "boot"),
    ("host_id", "host_id"),
    ("flow", "flow"),
];

/// A fleet's store.
#[derive(Debug)]
pub struct FleetStore {
    client: Client,
    names: Names,
}

/// What repeats in rows, kept once.
#[derive(Debug, Default)]
struct Names {
    programs: HashMap<(Vec<u8>, Vec<u8>), Arc<Program>>,
    words: HashSet<Arc<[u8]>>,
    boots: HashMap<(Vec<u8>, Vec<u8>), Arc<Boot>>,
}

impl Names {
    fn word(&mut self, text: Vec<u8>) -> Option<Arc<[u8]>> {
        if text.is_empty() {
            return None;
        }
        if let Some(known) = self.words.get(text.as_slice()) {
            return Some(Arc::clone(known));
        }
        if self.words.len() >= KEPT {
            self.words.clear();
        }
        let word: Arc<[u8]> = text.into();
        self.words.insert(Arc::clone(&word));
        Some(word)
    }

    fn program(&mut self, path: Vec<u8>, name: Vec<u8>) -> Arc<Program> {
        let id = self.programs.len() as i64 + 1;
        let key = (path, name);
        if let Some(known) = self.programs.get(&key) {
            return Arc::clone(known);
        }
        let program = Arc::new(Program {
            id,
            path: Some(key.0.clone()).filter(|path| !path.is_empty()),
            name: key.1.clone(),
        });
        self.programs.insert(key, Arc::clone(&program));
        program
    }

    fn boot(&mut self, host: Vec<u8>, boot: Vec<u8>) -> Arc<Boot> {
        if self.boots.len() >= KEPT {
            self.boots.clear();
        }
        let key = (host, boot);
        if let Some(known) = self.boots.get(&key) {
            return Arc::clone(known);
        }
        let boot = Arc::new(Boot {
            id: self.boots.len() as i64 + 1,
            host: key.0.clone(),
            boot_id: String::from_utf8_lossy(&key.1).into_owned(),
        });
        self.boots.insert(key, Arc::clone(&boot));
        boot
    }
}

impl FleetStore {
    /// The store that `client` asks, once its version and that of its tables have been found to fit.
    ///
    /// # Errors
    /// When it cannot be reached, or cannot be asked by this program.
    pub fn open(client: Client) -> Result<FleetStore, EngineError> {
        client.version()?;
        client.check_schema()?;
        Ok(FleetStore {
            client,
            names: Names::default(),
        })
    }

    /// The engine.
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn table(&self, name: &str) -> String {
        format!("{}.{name}", self.client.address().database)
    }

    /// An error of the engine as one of a store.
    fn failed(&self, error: &EngineError) -> StoreError {
        StoreError::Fleet(format!("{}: {}", self.client.address(), plain_error(&error)))
    }

    fn ask(&self, text: &str) -> Result<Rows, StoreError> {
        let settings = [
            // Flows of one day are in one partition, and revisions never in two.
            ("do_not_merge_across_partitions_select_final", "1"),
            ("cancel_http_readonly_queries_on_client_close", "1"),
            // Fewer rows than there are must never look like all.
            ("skip_unavailable_shards", "0"),
        ];
        self.client.rows(text, &settings).map_err(|error| self.failed(&error))
    }

    /// Reads every row of an answer.
    fn each<T>(
        &mut self,
        text: &str,
        mut row: impl FnMut(&mut Names, &mut Rows) -> Result<T, EngineError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut rows = self.ask(text)?;
        let mut all = Vec::new();
        let mut read = || -> Result<(), EngineError> {
            while rows.more()? {
                all.push(row(&mut self.names, &mut rows)?);
            }
            Ok(())
        };
        let read = read();
        read.map_err(|error| self.failed(&error))?;
        Ok(all)
    }

    /// Shows the flows of an answer with [`FACTS`], and what follows each, to `visit`.
    fn visit_rows<T>(
        &mut self,
        text: &str,
        mut more: impl FnMut(&mut Rows) -> Result<T, EngineError>,
        visit: &mut dyn FnMut(Flow, T) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut rows = self.ask(text)?;
        let names = &mut self.names;
        let mut read = || -> Result<(), EngineError> {
            while rows.more()? {
                let flow = flow(names, &mut rows)?;
                let more = more(&mut rows)?;
                if visit(flow, more).is_break() {
                    break;
                }
            }
            Ok(())
        };
        let read = read();
        read.map_err(|error| self.failed(&error))
    }

    /// Writes the flows that `question` wants as a file in the format Parquet, with all columns of the table. `None`: it wants what only
    /// this program can tell, and nothing was written.
    ///
    /// # Errors
    /// When the engine refuses or fails, or the file cannot be written.
    pub fn parquet(&self, question: &Question, out: &mut dyn std::io::Write) -> Result<Option<u64>, EngineError> {
        let condition = flows(question);
        if !condition.exact {
            return Ok(None);
        }
        let limit = question.most.map_or(String::new(), |most| format!(" LIMIT {most}"));
        let text = format!(
            "SELECT * FROM {} FINAL WHERE {} ORDER BY first, flow, host_id{limit} FORMAT Parquet",
            self.table("flow"),
            condition.text
        );
        self.client.copy(&text, out).map(Some)
    }

    /// The statement that reads flows.
    fn select(&self, question: &Question, condition: &Condition) -> String {
        let columns: Vec<&str> = FACTS.iter().map(|(_, text)| *text).collect();
        let down = if question.newest_first { " DESC" } else { "" };
        let limit = match question.most {
            Some(most) if condition.exact => format!(" LIMIT {most}"),
            _ => String::new(),
        };
        format!(
            "SELECT {} FROM {} FINAL WHERE {} ORDER BY first{down}, flow{down}, host_id{down}, boot{down}{limit}",
            columns.join(", "),
            self.table("flow"),
            condition.text
        )
    }
}

/// The facts of a flow that a column shows; `None` for a column that is not known here.
fn facts_of(column: &str) -> Option<&'static [&'static str]> {
    Some(match column {
        "closed" => &["closed"],
        "begun" => &["begun"],
        "protocol" => &["protocol"],
        "family" => &["family"],
        "direction" => &["direction"],
        "local" => &["family", "local_address", "local_port"],
        "local_address" => &["family", "local_address"],
        "local_port" => &["local_port"],
        // Whether there is no foreign side depends on the port, too.
        "foreign" | "foreign_address" => &["family", "foreign_address", "foreign_port"],
        "foreign_port" => &["foreign_port"],
        "state" => &["protocol", "state"],
        "program" | "path" | "comm" => &["has_process", "program", "program_name"],
        "pid" => &["pid"],
        "process_start" => &["has_process", "process_start"],
        "command_hash" => &["has_process", "command"],
        "script" => &["has_process", "script"],
        "uid" | "user" => &["user"],
        "unit" => &["has_process", "unit"],
        "container" => &["has_process", "container"],
        "container_name" => &["has_process", "container", "container_name"],
        "namespace" => &["namespace"],
        "retransmits" => &["retransmits"],
        "rtt" => &["rtt"],
        "asked_name" => &["asked_name"],
        "learned" => &["learned"],
        "community_id" => &[
            "protocol",
            "family",
            "local_address",
            "local_port",
            "foreign_address",
            "foreign_port",
        ],
        "host" => &["host"],
        "boot" => &["boot"],
        _ => return None,
    })
}

/// What stands for a fact that nobody asked for, in the type that is read.
fn placeholder(fact: &str) -> &'static str {
    match fact {
        "first" => "toInt64(0)",
        "span" | "host_id" | "flow" => "toUInt64(0)",
        "closed" | "begun" => "toUInt8(0)",
        "protocol" => "toUInt8(6)",
        "family" => "toUInt8(6)",
        "direction" => "toUInt8(0)",
        "state" => "'CLOSED'",
        "learned" => "'poll'",
        "local_address" | "foreign_address" => "toIPv6('::')",
        "local_port" | "foreign_port" => "toUInt16(0)",
        "pid" => "toUInt32(0)",
        "process_start" | "command" | "sent" | "received" => "CAST(NULL AS Nullable(UInt64))",
        "user" | "namespace" | "retransmits" | "rtt" => "CAST(NULL AS Nullable(UInt32))",
        _ => "''",
    }
}

/// Reads one row of a kind; whether that could be done.
#[cfg(fuzzing)]
pub(crate) fn read_any(rows: &mut Rows, kind: u8) -> bool {
    let mut names = Names::default();
    match kind {
        0 => flow(&mut names, rows).is_ok(),
        1 => process(&mut names, rows).is_ok(),
        _ => sighting(&mut names, rows).is_ok(),
    }
}

/// Reads a flow of a row with [`FACTS`].
fn flow(names: &mut Names, rows: &mut Rows) -> Result<Flow, EngineError> {
    let wrong = |what: &str| EngineError::Truncated(format!("a flow has {what}"));
    let first = rows.i64()?;
    let span = rows.u64()?;
    let (closed, begun) = (rows.u8()? != 0, rows.u8()? != 0);
    let protocol = if rows.u8()? == 17 { Protocol::Udp } else { Protocol::Tcp };
    let family = if rows.u8()? == 6 { Family::V6 } else { Family::V4 };
    let direction = Direction::from_number(rows.u8()?).ok_or_else(|| wrong("an unknown direction"))?;
    let state = rows.string()?;
    let state = State::ALL.into_iter().find(|one| one.name() == state);
    let learned = rows.string()?;
    let origin = (0..=2)
        .filter_map(EventOrigin::from_number)
        .find(|one| one.name() == learned);
    let side = |rows: &mut Rows| -> Result<(IpAddr, u16), EngineError> {
        let address = rows.ipv6()?;
        let address = match family {
            Family::V6 => IpAddr::V6(address),
            _ => IpAddr::V6(address).to_canonical(),
        };
        Ok((address, rows.u16()?))
    };
    let local = side(rows)?;
    let foreign = side(rows)?;
    let process = process(names, rows)?;
    let number4 = |rows: &mut Rows| Ok(Fact::from_option(rows.optional(Rows::u32)?, Why::NotKept));
    let number8 = |rows: &mut Rows| Ok(Fact::from_option(rows.optional(Rows::u64)?, Why::NotKept));
    let (user, namespace) = (number4(rows)?, number4(rows)?);
    let (sent, received) = (number8(rows)?, number8(rows)?);
    let (retransmits, rtt) = (number4(rows)?, number4(rows)?);
    let asked_name = names.word(rows.bytes()?);
    let (host, boot) = (rows.bytes()?, rows.bytes()?);
    let _host_id = rows.u64()?;
    Ok(Flow {
        id: rows.u64()? as i64,
        first,
        last: first.saturating_add(i64::try_from(span).unwrap_or(i64::MAX)),
        closed,
        begun,
        protocol,
        family,
        local,
        foreign,
        direction,
        state: state.ok_or_else(|| wrong("an unknown state"))?,
        origin: origin.ok_or_else(|| wrong("an unknown way of having been learned"))?,
        process,
        user,
        namespace,
        sent,
        received,
        retransmits,
        rtt,
        asked_name,
        boot: names.boot(host, boot),
    })
}

fn process(names: &mut Names, rows: &mut Rows) -> Result<Option<Arc<Process>>, EngineError> {
    let pid = rows.u32()?;
    let start_ticks = rows.optional(Rows::u64)?;
    let (path, name) = (rows.bytes()?, rows.bytes()?);
    let script = names.word(rows.bytes()?);
    let unit = names.word(rows.bytes()?);
    let container = names.word(rows.bytes()?);
    let container_name = names.word(rows.bytes()?);
    let command = rows.optional(Rows::u64)?;
    if pid == 0 {
        return Ok(None);
    }
    Ok(Some(Arc::new(Process {
        id: 0,
        pid,
        start_ticks,
        program: names.program(path, name),
        unit,
        container,
        container_name,
        command,
        script,
    })))
}

/// What a program did for the first time, of a row with program, program_name, kind, port, network and first.
fn sighting(names: &mut Names, rows: &mut Rows) -> Result<FirstSeen, EngineError> {
    let program = names.program(rows.bytes()?, rows.bytes()?);
    let (kind, port, network) = (rows.u8()?, rows.u16()?, rows.ipv6()?);
    let what = match kind {
        0 => Novelty::Program,
        1 => Novelty::Port(port),
        2 => Novelty::Network(network_of(network)?),
        _ => Novelty::Listens(port),
    };
    Ok(FirstSeen {
        program,
        what,
        first: rows.i64()?,
    })
}

/// A network of a sighting: /24 of IPv4 or /48 of IPv6.
pub(crate) fn network_of(address: Ipv6Addr) -> Result<Network, EngineError> {
    let address = IpAddr::V6(address).to_canonical();
    let length = if address.is_ipv4() { 24 } else { 48 };
    Network::new(address, length).ok_or_else(|| EngineError::Truncated("a network is none".to_owned()))
}

/// The columns of a sighting, as [`sighting`] reads them.
const SIGHTING: &str =
    "toString(program), toString(program_name), toUInt8(kind), port, network, toUnixTimestamp64Milli(min(first)) AS f";

impl FlowStore for FleetStore {
    fn flows(&mut self, question: &Question, visit: &mut dyn FnMut(Flow) -> ControlFlow<()>) -> Result<(), StoreError> {
        let condition = flows(question);
        let text = self.select(question, &condition);
        self.visit_rows(
            &text,
            |_| Ok(()),
            &mut |flow, ()| match condition.exact || question.wants(&flow) {
                true => visit(flow),
                false => ControlFlow::Continue(()),
            },
        )
    }

    fn totals(
        &mut self,
        question: &Question,
        columns: &[&str],
        visit: &mut dyn FnMut(Flow, FlowTotals) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let condition = flows(question);
        let facts: Option<Vec<&[&str]>> = columns.iter().map(|column| facts_of(column)).collect();
        let Some(facts) = facts.filter(|_| condition.exact) else {
            return FlowStore::flows(self, question, &mut |flow| {
                let totals = FlowTotals::of(&flow);
                visit(flow, totals)
            });
        };
        let mut facts: Vec<&str> = facts.concat();
        facts.sort_unstable();
        facts.dedup();
        let inner: Vec<String> = facts
            .iter()
            .map(|fact| match *fact {
                "has_process" => "toUInt32(pid != 0) AS key_has_process".to_owned(),
                fact => {
                    let expression = FACTS
                        .iter()
                        .find(|(name, _)| *name == fact)
                        .map_or("''", |(_, text)| *text);
                    format!("{expression} AS key_{fact}")
                }
            })
            .collect();
        let keys: Vec<String> = facts.iter().map(|fact| format!("key_{fact}")).collect();
        let outer: Vec<String> = FACTS
            .iter()
            .map(|(name, _)| match facts.contains(name) {
                true => format!("key_{name}"),
                // A process without a number is shown by its other facts.
                false if *name == "pid" && facts.contains(&"has_process") => "key_has_process".to_owned(),
                false => placeholder(name).to_owned(),
            })
            .collect();
        let text = format!(
            "SELECT {}, n, s, r, f, l FROM (SELECT {}, count() AS n, sum(ifNull(sent, 0)) AS s, sum(ifNull(received, 0)) AS r, \
             toUnixTimestamp64Milli(min(first)) AS f, toUnixTimestamp64Milli(max(addMilliseconds(first, span))) AS l, max(first) AS b \
             FROM {} FINAL WHERE {} GROUP BY {}) ORDER BY b DESC",
            // As a record shows them: the reason of the newest is given for all values that are missing.
            outer.join(", "),
            inner.join(", "),
            self.table("flow"),
            condition.text,
            keys.join(", "),
        );
        self.visit_rows(
            &text,
            |rows| {
                Ok(FlowTotals {
                    count: rows.u64()?,
                    sent: rows.u64()?,
                    received: rows.u64()?,
                    first: rows.i64()?,
                    last: rows.i64()?,
                })
            },
            visit,
        )
    }

    fn gaps(&mut self, question: &Question) -> Result<Vec<Gap>, StoreError> {
        let mut conditions = vec![hosts(question).text];
        if let Some(since) = question.since {
            conditions.push(format!("until >= {}", moment(since)));
        }
        if let Some(until) = question.until {
            conditions.push(format!("since <= {}", moment(until)));
        }
        let text = format!(
            "SELECT toString(host), toUnixTimestamp64Milli(since), toUnixTimestamp64Milli(until), toString(reason), lost FROM {} FINAL \
             WHERE {} ORDER BY since, host_id, reason, until",
            self.table("gap"),
            conditions.join(" AND ")
        );
        self.each(&text, |names, rows| {
            let host = names.word(rows.bytes()?);
            Ok(Gap {
                host,
                since: rows.i64()?,
                until: rows.i64()?,
                reason: rows.string()?,
                lost: rows.optional(Rows::u64)?,
            })
        })
    }

    fn oldest(&mut self) -> Result<Option<Millis>, StoreError> {
        let text = format!(
            "SELECT count(), toUnixTimestamp64Milli(min(first)) FROM {}",
            self.table("flow")
        );
        let found = self.each(&text, |_, rows| Ok((rows.u64()?, rows.i64()?)))?;
        Ok(found.first().filter(|(count, _)| *count > 0).map(|(_, first)| *first))
    }

    fn novelties(&mut self, question: &Question) -> Result<Vec<FirstSeen>, StoreError> {
        let text = format!(
            "SELECT {SIGHTING} FROM {} WHERE {} GROUP BY program, program_name, kind, port, network HAVING f >= {}",
            self.table("sighting"),
            hosts(question).text,
            question.since.unwrap_or(Millis::MIN)
        );
        let mut seen = self.each(&text, sighting)?;
        seen.sort_by(FirstSeen::order);
        Ok(seen)
    }

    fn first_seen_of(&mut self, path: &[u8], name: &[u8]) -> Result<ProgramHistory, StoreError> {
        let text = format!(
            "SELECT {SIGHTING} FROM {} WHERE program = {} GROUP BY program, program_name, kind, port, network",
            self.table("sighting"),
            literal(path)
        );
        let mut sightings = self.each(&text, sighting)?;
        sightings.sort_by_key(|seen| (seen.first, seen.what));
        let text = format!(
            "SELECT count(), toUnixTimestamp64Milli(min(first)) FROM {} WHERE program = '' AND program_name = {} AND kind = 'program'",
            self.table("sighting"),
            literal(name)
        );
        let nameless = self.each(&text, |_, rows| Ok((rows.u64()?, rows.i64()?)))?;
        Ok(ProgramHistory {
            sightings,
            nameless: nameless
                .first()
                .filter(|(count, _)| *count > 0)
                .map(|(_, first)| *first),
        })
    }

    fn reach(&mut self, now: Millis) -> Result<Coverage, StoreError> {
        let mut reach = Coverage {
            begins: FlowStore::oldest(self)?,
            ..Coverage::default()
        };
        let text = format!(
            "SELECT toUInt8(kind), toUnixTimestamp64Milli(min(first)) FROM {} GROUP BY kind",
            self.table("sighting")
        );
        for (kind, first) in self.each(&text, |_, rows| Ok((rows.u8()?, rows.i64()?)))? {
            match kind {
                0 => reach.begins = Some(reach.begins.map_or(first, |oldest| oldest.min(first))),
                2 => reach.networks = Some(first),
                3 => reach.listeners = Some(first),
                _ => {}
            }
        }
        let text = format!(
            "SELECT uniqExact(intDiv({now} - toUnixTimestamp64Milli(first), {DAY})) FROM {} WHERE first > {} AND first <= {}",
            self.table("flow"),
            moment(now - 8 * DAY),
            moment(now - DAY)
        );
        let days = self.each(&text, |_, rows| rows.u64())?;
        reach.days = days.first().map_or(0, |days| u32::try_from(*days).unwrap_or(7).min(7));
        Ok(reach)
    }

    /// The kernel's numbers of sockets mean nothing on other computers, and are not sent.
    fn open_flows(
        &mut self,
        _boot_id: &str,
        _wanted: &dyn Fn(u64) -> bool,
    ) -> Result<HashMap<u64, OpenFlow>, StoreError> {
        Ok(HashMap::new())
    }

    fn rhythms(&mut self, since: Millis, filter: &Filter, candidates: bool) -> Result<Vec<Beacon>, StoreError> {
        let question = Question {
            since: Some(since),
            filter: filter.clone(),
            ..Question::default()
        };
        collect_rhythms(since, candidates, |visit| FlowStore::flows(self, &question, visit))
    }

    fn is_fleet(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_model::columns::Table;

    #[test]
    fn facts_of_columns_are_read() {
        for column in netstat_record::Flows::columns() {
            for fact in facts_of(column.name).unwrap_or_default() {
                let known = *fact == "has_process" || FACTS.iter().any(|(name, _)| name == fact);
                assert!(known, "{}: {fact}", column.name);
            }
        }
    }

    #[test]
    fn states_and_origins_have_names_of_their_own() {
        let states: HashSet<&str> = State::ALL.iter().map(|state| state.name()).collect();
        assert_eq!(states.len(), State::ALL.len());
        assert!(
            State::ALL.iter().any(|state| state.name() == "CLOSED"),
            "the placeholder"
        );
        assert!(
            (0..=2)
                .filter_map(EventOrigin::from_number)
                .any(|origin| origin.name() == "poll")
        );
    }
}
