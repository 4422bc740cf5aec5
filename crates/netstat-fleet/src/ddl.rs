//! The tables of a fleet, their versions, and the access rights to them.
//!
//! The statements are in `schema/VERSION.sql`. In them, `@DB@` is the database, `@ON@` the clause for the cluster,
//! `@LOCAL@` the suffix of the names of a shard's own tables, and `@ENGINE:TABLE:FAMILY@` the table engine, in a
//! cluster with the path of the table. A statement with `@OVER@` is only for clusters. New versions only add: rows from
//! an older recorder fit into newer tables, and those from a newer recorder into older tables.

use crate::error::EngineError;
use crate::{Address, Client};

pub use crate::version::VERSION;

/// The statements of each version, oldest first.
const VERSIONS: [&str; VERSION as usize] = [include_str!("schema/1.sql"), include_str!("schema/2.sql")];

/// The tables that recorders insert into.
const SENT_TO: [&str; 6] = ["flow", "sighting", "gap", "host", "sum", "finding"];
/// All tables.
const TABLES: [&str; 9] = [
    "schema_version",
    "flow",
    "contact",
    "sighting",
    "address_seen",
    "gap",
    "host",
    "sum",
    "finding",
];

/// The role for recorders.
pub const AGENT: &str = "netstat_agent";
/// The role for users who run queries.
pub const READER: &str = "netstat_reader";

/// The parameters for creating the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The database.
    pub database: String,
    /// The cluster, as named in `remote_servers`; `None` for a single server, or a managed service that replicates by
    /// itself.
    pub cluster: Option<String>,
    /// The number of days for which connections are kept.
    pub keep_days: u32,
    /// Whether to create the roles for recorders and readers.
    pub roles: bool,
}

impl Layout {
    /// Creates a layout for the database in `address`, on a single server, that keeps connections for 30 days.
    pub fn of(address: &Address) -> Layout {
        Layout {
            database: address.database.clone(),
            cluster: None,
            keep_days: 30,
            roles: true,
        }
    }

    /// Whether a name can be used in a statement without quoting.
    pub fn is_name(text: &str) -> bool {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    }

    fn on_cluster(&self) -> String {
        self.cluster
            .as_ref()
            .map_or(String::new(), |cluster| format!(" ON CLUSTER '{cluster}'"))
    }

    /// Replaces all placeholders in a statement.
    fn filled(&self, statement: &str) -> String {
        let local = if self.cluster.is_some() { "_local" } else { "" };
        let mut text = statement
            .replace("@DB@", &self.database)
            .replace("@ON@", &self.on_cluster())
            .replace("@LOCAL@", local)
            .replace("@OVER@ ", "")
            .replace("@KEEP@", &self.keep_days.to_string());
        while let Some((before, rest)) = text.split_once("@ENGINE:") {
            let Some((engine, after)) = rest.split_once('@') else {
                break;
            };
            let (table, family) = engine.split_once(':').unwrap_or((engine, ""));
            let engine = self.engine(table, family);
            text = format!("{before}{engine}{after}");
        }
        text
    }

    /// Returns `ReplacingMergeTree(revision)`, or its replicated form.
    fn engine(&self, table: &str, family: &str) -> String {
        let (family, argument) = match family.split_once('(') {
            Some((family, argument)) => (family, argument.trim_end_matches(')')),
            None => (family, ""),
        };
        if self.cluster.is_none() {
            return format!("{family}MergeTree({argument})");
        }
        let path = format!(
            "'/clickhouse/tables/{{shard}}/{}/{table}', '{{replica}}'",
            self.database
        );
        let more = if argument.is_empty() {
            String::new()
        } else {
            format!(", {argument}")
        };
        format!("Replicated{family}MergeTree({path}{more})")
    }

    /// Returns the statements that upgrade tables of version `from` (0 if there are none) to [`VERSION`], in order.
    pub fn statements(&self, from: u32) -> Vec<String> {
        let mut all = Vec::new();
        for (text, version) in VERSIONS.iter().zip(1..).skip(from as usize) {
            let mine = split(text).filter(|statement| self.cluster.is_some() || !statement.contains("@OVER@"));
            all.extend(mine.map(|statement| self.filled(statement)));
            if version == 1 {
                all.extend(self.distributed());
            }
            all.push(format!(
                "INSERT INTO {}.schema_version (version, program) VALUES ({version}, 'netstat {}')",
                self.database,
                env!("CARGO_PKG_VERSION")
            ));
        }
        if self.roles {
            all.extend(self.grants());
        }
        all
    }

    /// Returns the statements for the distributed tables over all shards. All rows of a computer are on the same shard,
    /// so that revisions can be merged.
    fn distributed(&self) -> Vec<String> {
        let Some(cluster) = &self.cluster else {
            return Vec::new();
        };
        let (database, on) = (&self.database, self.on_cluster());
        let over = |table: &&str| {
            let key = match *table {
                "schema_version" => "cityHash64(version)",
                "address_seen" | "contact" => "cityHash64(foreign_address)",
                _ => "cityHash64(host_id)",
            };
            format!(
                "CREATE TABLE IF NOT EXISTS {database}.{table}{on} AS {database}.{table}_local \
                 ENGINE = Distributed('{cluster}', '{database}', '{table}_local', {key})"
            )
        };
        TABLES.iter().map(over).collect()
    }

    fn grants(&self) -> Vec<String> {
        let (database, on) = (&self.database, self.on_cluster());
        let mut all = vec![
            format!("CREATE ROLE IF NOT EXISTS {AGENT}{on}"),
            format!("CREATE ROLE IF NOT EXISTS {READER}{on}"),
            format!("GRANT{on} SELECT ON {database}.* TO {READER}"),
            format!("GRANT{on} SELECT ON {database}.schema_version TO {AGENT}"),
        ];
        all.extend(
            SENT_TO
                .iter()
                .map(|table| format!("GRANT{on} INSERT ON {database}.{table} TO {AGENT}")),
        );
        all
    }

    /// Returns the statements that create a user with a role. `password_digest` is the hexadecimal SHA-256 of the
    /// password.
    pub fn user(&self, name: &str, password_digest: &str, role: &str) -> Vec<String> {
        let on = self.on_cluster();
        vec![
            format!(
                "CREATE USER IF NOT EXISTS `{name}`{on} IDENTIFIED WITH sha256_hash BY '{password_digest}' DEFAULT ROLE NONE"
            ),
            format!("GRANT{on} {role} TO `{name}`"),
            format!("ALTER USER `{name}`{on} DEFAULT ROLE {role}"),
        ]
    }

    /// Returns the statements that change how long connections are kept.
    pub fn retention(&self) -> Vec<String> {
        let text = "ALTER TABLE @DB@.@TABLE@@LOCAL@@ON@ MODIFY TTL arrived + INTERVAL @KEEP@ DAY";
        ["flow", "sum"]
            .map(|table| self.filled(&text.replace("@TABLE@", table)))
            .to_vec()
    }
}

/// Splits a file into statements, each of which ends with `;` at the end of a line.
fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(";\n").map(str::trim).filter(|statement| {
        statement
            .lines()
            .any(|line| !line.starts_with("--") && !line.trim().is_empty())
    })
}

/// Runs `statements` one after the other.
///
/// # Errors
/// Returns the error of the first statement that the engine refuses.
pub fn run(client: &Client, statements: &[String]) -> Result<(), EngineError> {
    statements.iter().try_for_each(|statement| client.execute(statement))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(cluster: Option<&str>) -> Layout {
        Layout {
            database: "netstat".to_owned(),
            cluster: cluster.map(str::to_owned),
            keep_days: 30,
            roles: true,
        }
    }

    #[test]
    fn statements_one_server_have_plain_engines() {
        let all = layout(None).statements(0);
        let flow = all.iter().find(|text| text.contains("netstat.flow\n")).unwrap();
        assert!(flow.contains("ENGINE = ReplacingMergeTree(revision)\n"), "{flow}");
        assert!(flow.contains("INTERVAL 30 DAY"));
        assert!(all.iter().all(|text| !text.contains('@')), "{all:?}");
        assert!(all.iter().all(|text| !text.contains("ON CLUSTER")));
    }

    #[test]
    fn statements_cluster_has_replicas_and_tables_over_all_shards() {
        let all = layout(Some("main")).statements(0);
        let flow = all.iter().find(|text| text.contains("netstat.flow_local ON")).unwrap();
        let path = "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/netstat/flow', '{replica}', revision)";
        assert!(flow.contains(path), "{flow}");
        for table in TABLES {
            let over = format!("Distributed('main', 'netstat', '{table}_local'");
            assert!(all.iter().any(|text| text.contains(&over)), "{table}");
        }
        assert!(
            all.iter()
                .any(|text| text.starts_with("GRANT ON CLUSTER 'main' INSERT ON netstat.flow"))
        );
    }

    #[test]
    fn statements_from_version_1_add_to_each_shard_and_to_the_table_over_them() {
        let added = |cluster| -> Vec<String> {
            let all = layout(cluster).statements(1);
            all.into_iter().filter(|text| text.contains("ADD COLUMN")).collect()
        };
        assert_eq!(added(None).len(), 1);
        let both = added(Some("main"));
        assert!(
            both.len() == 2 && both[0].contains("netstat.flow_local ON CLUSTER 'main'"),
            "{both:?}"
        );
        assert!(both[1].contains("netstat.flow ON CLUSTER 'main'"), "{both:?}");
    }

    #[test]
    fn statements_from_this_version_change_no_table() {
        let all = layout(None).statements(VERSION);
        assert!(
            all.iter()
                .all(|text| text.contains("ROLE") || text.starts_with("GRANT")),
            "{all:?}"
        );
    }
}
