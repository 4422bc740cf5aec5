//! The status of a fleet: which computers send, and how loaded the engine is.

use crate::client::Client;
use crate::error::EngineError;
use crate::identity::HostId;
use crate::rows::Rows;

/// A computer of the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostStatus {
    /// The id of the computer.
    pub id: HostId,
    /// The name of the computer. Untrusted: must be escaped.
    pub name: Vec<u8>,
    /// The version of its recorder.
    pub version: String,
    /// When the engine last heard from it, in milliseconds since 1970, by the clock of the engine.
    pub heard: i64,
    /// The number of seconds since then.
    pub silent: u64,
    /// By how many milliseconds its clock was ahead of the engine's, including the transmission time.
    pub clock_ahead: i64,
    /// The number of rows that were waiting to be sent at that time.
    pub spool_rows: u64,
    /// The number of rows that it has discarded.
    pub lost: u64,
}

/// The fleet as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The version of the engine.
    pub engine: String,
    /// The version of the tables.
    pub schema: u32,
    /// The number of computers that have ever sent rows.
    pub hosts: u64,
    /// The number of computers from which nothing was heard for longer than the given time.
    pub late: u64,
    /// The number of rows waiting to be sent, on all computers.
    pub spool_rows: u64,
    /// The number of rows that were discarded, on all computers.
    pub lost: u64,
    /// The number of rows about connections, including revisions that have not been merged yet.
    pub flows: u64,
    /// The size of all tables on the engine's disk in bytes.
    pub bytes: u64,
    /// The number of parts of all tables.
    pub parts: u64,
    /// The free space in bytes on the engine's disk with the least free space; `None` if unknown.
    pub free: Option<u64>,
    /// The versions of recorders, each with the number of computers that run it.
    pub versions: Vec<(String, u64)>,
}

fn each<T>(
    client: &Client,
    text: &str,
    mut row: impl FnMut(&mut Rows) -> Result<T, EngineError>,
) -> Result<Vec<T>, EngineError> {
    let mut rows = client.rows(text, &[("skip_unavailable_shards", "0")])?;
    let mut all = Vec::new();
    while rows.more()? {
        all.push(row(&mut rows)?);
    }
    Ok(all)
}

/// Returns the computers of the fleet, those that have been silent for longest first.
///
/// # Errors
/// Returns an error if the engine cannot be reached or refuses the query.
pub fn hosts(client: &Client) -> Result<Vec<HostStatus>, EngineError> {
    let text = format!(
        "SELECT host_id, host, version, toUnixTimestamp64Milli(arrived), toUInt64(greatest(0, dateDiff('second', arrived, now64(3)))), \
         toInt64(toUnixTimestamp64Milli(last_sent) - toUnixTimestamp64Milli(arrived)), spool_rows, lost \
         FROM {}.host FINAL ORDER BY arrived, host, host_id",
        client.address().database
    );
    each(client, &text, |rows| {
        Ok(HostStatus {
            id: rows.u64()?,
            name: rows.bytes()?,
            version: rows.string()?,
            heard: rows.i64()?,
            silent: rows.u64()?,
            clock_ahead: rows.i64()?,
            spool_rows: rows.u64()?,
            lost: rows.u64()?,
        })
    })
}

/// Returns the status of the fleet. Computers from which nothing was heard for `late_after` seconds count as late.
///
/// # Errors
/// Returns an error if the engine cannot be reached or refuses the query.
pub fn status(client: &Client, late_after: u64) -> Result<Status, EngineError> {
    let database = &client.address().database;
    let engine = client.version()?;
    let schema = client.schema_version()?.ok_or(EngineError::NoSchema)?;
    let mut status = Status {
        engine,
        schema,
        ..Status::default()
    };
    let mut versions = std::collections::BTreeMap::new();
    for host in hosts(client)? {
        status.hosts += 1;
        status.late += u64::from(host.silent > late_after);
        status.spool_rows += host.spool_rows;
        status.lost += host.lost;
        *versions.entry(host.version).or_insert(0) += 1;
    }
    status.versions = versions.into_iter().collect();
    let text = format!(
        "SELECT sum(bytes_on_disk), count(), sumIf(rows, table IN ('flow', 'flow_local')) FROM system.parts \
         WHERE active AND database = '{database}'"
    );
    if let Some((bytes, parts, flows)) = each(client, &text, |rows| Ok((rows.u64()?, rows.u64()?, rows.u64()?)))?.pop()
    {
        (status.bytes, status.parts, status.flows) = (bytes, parts, flows);
    }
    // Reading this table requires privileges that the user may not have.
    status.free = each(client, "SELECT min(free_space) FROM system.disks", Rows::u64)
        .ok()
        .and_then(|mut free| free.pop());
    Ok(status)
}

/// Deletes all rows of a computer: its connections, contacts, sightings, gaps, totals and findings. Returns after they
/// are deleted.
///
/// # Errors
/// Returns an error if the engine cannot be reached or refuses a statement.
pub fn forget(client: &Client, host: HostId, cluster: Option<&str>) -> Result<(), EngineError> {
    forget_statements(client, host, cluster)
        .iter()
        .try_for_each(|statement| client.execute(statement))
}

/// Returns the statements that [`forget`] runs.
pub fn forget_statements(client: &Client, host: HostId, cluster: Option<&str>) -> Vec<String> {
    let database = &client.address().database;
    let local = if cluster.is_some() { "_local" } else { "" };
    let on = cluster.map_or(String::new(), |cluster| format!(" ON CLUSTER '{cluster}'"));
    ["flow", "contact", "sighting", "gap", "sum", "finding", "host"]
        .iter()
        .map(|table| {
            format!(
                "ALTER TABLE {database}.{table}{local}{on} DELETE WHERE host_id = {host} SETTINGS mutations_sync = 2"
            )
        })
        .collect()
}
