//! `netstat schema`: the JSON Schemas of all documents that this program prints.

use clap::{Arg, ArgMatches};
use serde_json::Value;

use crate::context::{Context, Failure, Outcome};
use crate::output::json::{documents, to_text};

/// One published schema.
#[derive(Clone, Copy)]
pub(crate) struct Schema {
    /// Its name, such as `sockets`. The documents have `netstat.sockets`.
    pub name: &'static str,
    /// A description of such a document.
    pub about: &'static str,
    /// Generates the schema.
    pub make: fn() -> Value,
}

/// All published schemas.
pub(crate) static SCHEMAS: &[Schema] = &[
    Schema {
        name: "sockets",
        about: "--json: the connection list",
        make: documents::sockets,
    },
    Schema {
        name: "sockets-line",
        about: "--ndjson: one line of the connection list",
        make: documents::sockets_line,
    },
    Schema {
        name: "events-line",
        about: "--follow --ndjson: one event of a socket",
        make: documents::events_line,
    },
    Schema {
        name: "history",
        about: "history --json: connections of the past, or what is asked about them",
        make: super::history::schema::history,
    },
    Schema {
        name: "history-line",
        about: "history --ndjson: one row of the same",
        make: super::history::schema::line,
    },
    Schema {
        name: "audit",
        about: "audit --json: findings and judged programs",
        make: super::audit::schema,
    },
    Schema {
        name: "finding",
        about: "audit --watch --json, --exec: one new finding",
        make: super::audit::alert_schema,
    },
    Schema {
        name: "inspect",
        about: "inspect --json: cards about sockets and processes",
        make: super::inspect::schema::inspect,
    },
    Schema {
        name: "doctor",
        about: "doctor --json: what can be seen here, and what not",
        make: super::doctor::schema,
    },
    Schema {
        name: "bundle",
        about: "the manifest.json in a bundle of inspect",
        make: super::inspect::schema::bundle,
    },
    #[cfg(feature = "fleet")]
    Schema {
        name: "fleet-hosts",
        about: "fleet hosts --json: the computers of a fleet",
        make: super::fleet::schema::hosts,
    },
    #[cfg(feature = "fleet")]
    Schema {
        name: "fleet-findings",
        about: "fleet findings --json: what only a fleet can see",
        make: super::fleet::schema::findings,
    },
    #[cfg(feature = "fleet")]
    Schema {
        name: "fleet-status",
        about: "fleet status --json: a fleet as a whole",
        make: super::fleet::schema::status,
    },
    Schema {
        name: "tables",
        about: "--json and --ndjson with -e, -s, -r and -c: one document a print",
        make: documents::tables,
    },
];

/// Returns the definition of `netstat schema`.
pub(crate) fn definition() -> clap::Command {
    let names = SCHEMAS.iter().map(|schema| schema.name);
    let list: String = SCHEMAS
        .iter()
        .map(|schema| format!("  {:16} {}\n", schema.name, schema.about))
        .collect();
    clap::Command::new("schema")
        .about("Print the JSON Schema of a kind of document")
        .arg(
            Arg::new("name")
                .value_name("NAME")
                .required(true)
                .ignore_case(true)
                .value_parser(clap::builder::PossibleValuesParser::new(names))
                .help("which documents"),
        )
        .after_help(format!("Documents:\n{list}"))
}

/// Runs the command.
///
/// # Errors
/// Returns an error if the output cannot be written.
pub(crate) fn run(matches: &ArgMatches, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let name = matches
        .get_one::<String>("name")
        .map(String::as_str)
        .unwrap_or_default();
    let schema = SCHEMAS.iter().find(|schema| schema.name.eq_ignore_ascii_case(name));
    if let Some(schema) = schema {
        let text = to_text(&(schema.make)(), true);
        context.out.write_all(text.as_bytes())?;
        context.out.flush()?;
    }
    Ok(Outcome::Printed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that the published files are what the program generates:
    /// `netstat schema NAME > docs/schema/netstat.NAME.json`.
    #[test]
    fn published_schemas_are_those_of_the_program() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schema");
        for schema in SCHEMAS {
            let path = format!("{directory}/netstat.{}.json", schema.name);
            let published = std::fs::read_to_string(&path).unwrap_or_default();
            let made = to_text(&(schema.make)(), true);
            assert!(published == made, "netstat schema {} > {path}", schema.name);
        }
        let files = std::fs::read_dir(directory).unwrap().count();
        // Without these features, the program generates fewer schemas.
        match cfg!(all(feature = "serve", feature = "fleet")) {
            true => assert_eq!(files, SCHEMAS.len(), "a file in docs/schema that no schema makes"),
            false => assert!(files > SCHEMAS.len(), "a schema that is not in docs/schema"),
        }
    }
}
