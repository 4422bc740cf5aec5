//! Findings that only a fleet makes possible: what is new everywhere, what is rare, what happens on many computers at
//! once, and which computers went silent.

use netstat_record::Millis;

use crate::client::Client;
pub use crate::encode::FindingRow;
use crate::error::EngineError;
use crate::identity::HostId;
use crate::rows::Rows;
use crate::select::{literal, moment};

/// The minimum number of computers for findings about rarity. In a smaller fleet, it is not unusual that only one
/// computer has something.
pub const SMALLEST_FLEET: u64 = 10;
/// The minimum number of computers that connect to an address for the first time within an hour for it to be a finding;
/// in a large fleet, a twentieth of its size.
const MANY: u64 = 3;
/// The number of seconds after which a computer counts as silent: three times the longest normal pause.
pub const SILENT: u64 = 1_200;
/// The maximum number of findings of each kind.
const MOST: usize = 1_000;

/// The kind of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FindingKind {
    /// A computer has gone silent.
    SilentHost,
    /// Many computers connected to an address for the first time within an hour.
    SuddenAddress,
    /// Programs on several computers connect to the same address at regular intervals.
    RegularCallers,
    /// An audit finding occurs on few computers only.
    RareFinding,
    /// A program exists on only one computer.
    RareProgram,
    /// A program that no computer had before.
    NewProgram,
    /// A program listens on a port on which it did not listen on any computer before.
    NewListener,
    /// A program connects to a port that it did not connect to on any computer before.
    NewPort,
    /// An address that no computer connected to before.
    NewAddress,
}

impl FindingKind {
    /// All kinds, most important first.
    pub const ALL: [FindingKind; 9] = [
        FindingKind::SilentHost,
        FindingKind::SuddenAddress,
        FindingKind::RegularCallers,
        FindingKind::RareFinding,
        FindingKind::RareProgram,
        FindingKind::NewProgram,
        FindingKind::NewListener,
        FindingKind::NewPort,
        FindingKind::NewAddress,
    ];

    /// Returns the name used in machine-readable formats.
    pub const fn name(self) -> &'static str {
        match self {
            FindingKind::SilentHost => "silent_host",
            FindingKind::SuddenAddress => "sudden_address",
            FindingKind::RegularCallers => "regular_callers",
            FindingKind::RareFinding => "rare_finding",
            FindingKind::RareProgram => "rare_program",
            FindingKind::NewProgram => "new_program",
            FindingKind::NewListener => "new_listener",
            FindingKind::NewPort => "new_port",
            FindingKind::NewAddress => "new_address",
        }
    }

    /// Returns a description for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            FindingKind::SilentHost => "a computer that went silent",
            FindingKind::SuddenAddress => "an address that many computers met for the first time within an hour",
            FindingKind::RegularCallers => "programs on several computers that call an address at regular times",
            FindingKind::RareFinding => "an audit finding that only one computer has",
            FindingKind::RareProgram => "a program that only one computer has",
            FindingKind::NewProgram => "a program that is new in the fleet",
            FindingKind::NewListener => "a listening port that is new for a program",
            FindingKind::NewPort => "a foreign port that is new for a program",
            FindingKind::NewAddress => "an address that is new in the fleet",
        }
    }
}

/// A finding about the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetFinding {
    /// The kind of finding.
    pub kind: FindingKind,
    /// The program, address or computer. Untrusted: must be escaped.
    pub subject: Vec<u8>,
    /// Further details: a port, a rule, or the interval between connections. Untrusted: must be escaped.
    pub detail: Vec<u8>,
    /// The number of computers it was found on.
    pub hosts: u64,
    /// The number of computers in the fleet.
    pub of: u64,
    /// When it was first seen.
    pub first: Millis,
    /// When it was last seen; `None` if unknown.
    pub last: Option<Millis>,
    /// The name of the first of the computers. Untrusted: must be escaped.
    pub host: Vec<u8>,
}

/// How common something is in a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prevalence {
    /// The number of computers that have it.
    pub hosts: u64,
    /// The number of computers in the fleet.
    pub of: u64,
}

fn each<T>(
    client: &Client,
    text: &str,
    mut row: impl FnMut(&mut Rows) -> Result<T, EngineError>,
) -> Result<Vec<T>, EngineError> {
    let mut rows = client.rows(
        text,
        &[
            ("skip_unavailable_shards", "0"),
            ("do_not_merge_across_partitions_select_final", "1"),
        ],
    )?;
    let mut all = Vec::new();
    while rows.more()? {
        all.push(row(&mut rows)?);
    }
    Ok(all)
}

/// Returns the number of computers that have ever sent rows.
///
/// # Errors
/// Returns an error if the engine cannot be reached or refuses the query.
pub fn host_count(client: &Client) -> Result<u64, EngineError> {
    let database = &client.address().database;
    let text = format!(
        "SELECT uniqExact(host_id) FROM (SELECT host_id FROM {database}.host UNION ALL SELECT host_id FROM {database}.sighting WHERE kind = 'program')"
    );
    Ok(each(client, &text, Rows::u64)?.pop().unwrap_or(0))
}

/// Returns the number of computers that have the program at `path`.
///
/// # Errors
/// Returns an error if the engine cannot be reached or refuses the query.
pub fn prevalence(client: &Client, path: &[u8]) -> Result<Prevalence, EngineError> {
    let text = format!(
        "SELECT uniqExact(host_id) FROM {}.sighting WHERE program = {} AND kind = 'program'",
        client.address().database,
        literal(path)
    );
    Ok(Prevalence {
        hosts: each(client, &text, Rows::u64)?.pop().unwrap_or(0),
        of: host_count(client)?,
    })
}

/// Returns the number of computers other than `me` that have sent audit findings in the last two days.
///
/// # Errors
/// Returns an error if the engine cannot be reached or refuses the query.
pub fn audited_hosts(client: &Client, me: HostId) -> Result<u64, EngineError> {
    let text = format!(
        "SELECT uniqExact(host_id) FROM {}.finding WHERE host_id != {me} AND arrived >= now() - toIntervalDay(2)",
        client.address().database
    );
    Ok(each(client, &text, Rows::u64)?.pop().unwrap_or(0))
}

/// Returns the number of computers other than `me` that have sent the same finding about the same program in the last
/// two days.
///
/// # Errors
/// Returns an error if the engine cannot be reached or refuses the query.
pub fn others_with(client: &Client, me: HostId, row: &FindingRow) -> Result<u64, EngineError> {
    let is = |column: &str, value: &str| format!("{column} = {}", literal(value.as_bytes()));
    let text = format!(
        "SELECT uniqExact(host_id) FROM {}.finding WHERE host_id != {me} AND arrived >= now() - toIntervalDay(2) AND {} AND {} AND {} AND {}",
        client.address().database,
        is("rule", &row.rule),
        is("program", &row.program),
        is("digest", &row.digest),
        is("subject", &row.subject)
    );
    Ok(each(client, &text, Rows::u64)?.pop().unwrap_or(0))
}

/// Sends the findings of an audit that was made at `now`, and returns after the engine has stored them. A second audit
/// on the same day replaces the findings that it reports again.
///
/// # Errors
/// Returns an error if the engine cannot be reached or refuses the rows.
pub fn send(
    client: &Client,
    host_id: HostId,
    host: &[u8],
    now: Millis,
    rows: &[FindingRow],
) -> Result<(), EngineError> {
    let body = crate::encode::finding_rows(host_id, host, now, rows);
    let token = format!("{host_id:016x}-findings-{now}");
    client.insert(&crate::client::Insert {
        table: "finding",
        body: &body,
        token: &token,
    })
}

/// Returns programs, ports and networks by how many computers have them, rarest first: at most `most` rows, with at
/// most `hosts` computers each.
///
/// # Errors
/// Returns an error if the engine cannot be reached or refuses the query.
pub fn rare(client: &Client, since: Millis, hosts: u64, most: usize) -> Result<Vec<FleetFinding>, EngineError> {
    let of = host_count(client)?;
    let text = format!(
        "SELECT toUInt8(kind), if(program = '', toString(program_name), toString(program)) AS p, \
         multiIf(kind IN ('port', 'listens'), toString(port), kind = 'network', replaceOne(toString(network), '::ffff:', ''), ''), \
         uniqExact(host_id) AS n, toUnixTimestamp64Milli(min(first)) AS f, toString(argMin(host, first)) \
         FROM {}.sighting GROUP BY kind, program, program_name, port, network HAVING n <= {hosts} AND f >= {since} \
         ORDER BY n, f DESC, p LIMIT {most}",
        client.address().database
    );
    each(client, &text, |rows| {
        let kind = match rows.u8()? {
            0 => FindingKind::RareProgram,
            1 => FindingKind::NewPort,
            2 => FindingKind::NewAddress,
            _ => FindingKind::NewListener,
        };
        Ok(FleetFinding {
            kind,
            subject: rows.bytes()?,
            detail: rows.bytes()?,
            hosts: rows.u64()?,
            of,
            first: rows.i64()?,
            last: None,
            host: rows.bytes()?,
        })
    })
}

/// Returns all findings of the given kinds since `since`.
///
/// # Errors
/// Returns an error if the engine cannot be reached or refuses the query.
pub fn findings(client: &Client, since: Millis, kinds: &[FindingKind]) -> Result<Vec<FleetFinding>, EngineError> {
    let of = host_count(client)?;
    let mut all = Vec::new();
    for kind in kinds {
        let small = of < SMALLEST_FLEET && matches!(kind, FindingKind::RareProgram | FindingKind::RareFinding);
        if small {
            continue;
        }
        let text = statement(&client.address().database, *kind, since, of);
        all.extend(each(client, &text, |rows| {
            Ok(FleetFinding {
                kind: *kind,
                subject: rows.bytes()?,
                detail: rows.bytes()?,
                hosts: rows.u64()?,
                of,
                first: rows.i64()?,
                last: Some(rows.i64()?).filter(|last| *last != 0),
                host: rows.bytes()?,
            })
        })?);
    }
    Ok(all)
}

/// Returns the query for one kind of finding, with the columns subject, detail, hosts, first, last, host.
fn statement(database: &str, kind: FindingKind, since: Millis, of: u64) -> String {
    let program = "if(program = '', toString(program_name), toString(program))";
    let plain = |column: &str| format!("replaceOne(toString({column}), '::ffff:', '')");
    let sighting = |kind: &str, detail: &str, having: &str| {
        format!(
            "SELECT {program} AS subject, {detail} AS detail, uniqExact(host_id) AS n, toUnixTimestamp64Milli(min(first)) AS f, toInt64(0), \
             toString(argMin(host, first)) FROM {database}.sighting WHERE kind = '{kind}' \
             GROUP BY program, program_name, port HAVING f >= {since}{having} ORDER BY f DESC, subject, detail LIMIT {MOST}"
        )
    };
    match kind {
        FindingKind::NewProgram => sighting("program", "''", ""),
        FindingKind::RareProgram => sighting("program", "''", " AND n = 1"),
        FindingKind::NewListener => sighting("listens", "toString(port)", ""),
        FindingKind::NewPort => sighting("port", "toString(port)", ""),
        FindingKind::NewAddress => format!(
            "SELECT {} AS subject, '', toUInt64(uniqCombinedMerge(12)(hosts)), toUnixTimestamp64Milli(min(first)) AS f, \
             toUnixTimestamp64Milli(max(last)), argMinMerge(first_host) FROM {database}.address_seen GROUP BY foreign_address \
             HAVING f >= {since} ORDER BY f DESC, subject LIMIT {MOST}",
            plain("foreign_address")
        ),
        FindingKind::SuddenAddress => {
            let many = MANY.max(of / 20);
            format!(
                "SELECT {} AS subject, '', n, f, l, h FROM (SELECT foreign_address, groupArray(t) AS times, \
                 toUInt64(arrayCount(x -> x <= arrayMin(times) + 3600000, times)) AS n, arrayMin(times) AS f, arrayMax(times) AS l, argMin(h, t) AS h \
                 FROM (SELECT foreign_address, host_id, toUnixTimestamp64Milli(min(first)) AS t, toString(argMin(host, first)) AS h \
                 FROM {database}.contact WHERE direction = 'out' AND foreign_address IN \
                 (SELECT foreign_address FROM {database}.address_seen GROUP BY foreign_address \
                 HAVING min(first) >= {} AND uniqCombinedMerge(12)(hosts) >= {many}) GROUP BY foreign_address, host_id) \
                 GROUP BY foreign_address) WHERE n >= {many} ORDER BY n DESC, subject LIMIT {MOST}",
                plain("foreign_address"),
                moment(since)
            )
        }
        FindingKind::RegularCallers => format!(
            "SELECT concat(p, ' -> ', {}, ' port ', toString(foreign_port)) AS subject, concat('every ', toString(round(avg(period) / 1000)), ' s'), \
             uniqExact(host_id) AS n, min(f), max(l), argMin(h, f) FROM \
             (SELECT host_id, any(toString(host)) AS h, {program} AS p, foreign_address, foreign_port, \
             arraySort(groupArray(toUnixTimestamp64Milli(first))) AS t, arrayPopFront(arrayDifference(t)) AS gaps, \
             arraySort(gaps)[intDiv(length(gaps) + 1, 2)] AS period, \
             arraySort(arrayMap(x -> abs(x - period), gaps))[intDiv(length(gaps) + 1, 2)] AS off, t[1] AS f, t[-1] AS l \
             FROM {database}.flow FINAL WHERE direction = 'out' AND begun AND pid != 0 AND first >= {} AND NOT (protocol = 'UDP' AND foreign_port = 123) \
             GROUP BY host_id, p, foreign_address, foreign_port HAVING count() >= {} AND l - f >= {} AND period >= 5000 AND off <= period * 0.2) \
             GROUP BY p, foreign_address, foreign_port HAVING n >= 2 ORDER BY n DESC, subject LIMIT {MOST}",
            plain("foreign_address"),
            moment(since),
            netstat_record::BEACON_CALLS,
            netstat_record::BEACON_SPREAD
        ),
        FindingKind::RareFinding => format!(
            "SELECT toString(if(program = '', subject, program)) AS what, concat(toString(rule), ' (', toString(any(severity)), ')'), uniqExact(host_id) AS n, \
             toUnixTimestamp64Milli(min(seen)) AS f, toUnixTimestamp64Milli(max(seen)), toString(any(host)) FROM {database}.finding \
             GROUP BY rule, program, digest, subject HAVING n = 1 AND max(seen) >= {} ORDER BY f DESC, what LIMIT {MOST}",
            moment(since)
        ),
        FindingKind::SilentHost => format!(
            "SELECT host AS subject, concat('heard ', toString(dateDiff('minute', arrived, now64(3))), ' minutes ago'), toUInt64(1), \
             toUnixTimestamp64Milli(arrived), toInt64(0), host FROM {database}.host FINAL \
             WHERE arrived < now64(3) - toIntervalSecond({SILENT}) ORDER BY arrived, subject LIMIT {MOST}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_names_of_their_own() {
        let names: std::collections::HashSet<&str> = FindingKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), FindingKind::ALL.len());
    }
}
