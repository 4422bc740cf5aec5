//! The documents of the API: those of the command line, made in the same way.

use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use clap::{Arg, ArgAction};
use netstat_model::columns::Location;
use netstat_model::text::plain_error;
use netstat_names::Locations;
use netstat_os::System;
use netstat_serve::{Acknowledgement, Figure, Format, Parameter, ParameterKind, Provider, Question, Refusal, Resource};
use serde_json::Value;

use crate::args::{self, Parsed};
use crate::commands::{audit, doctor, history, inspect};
use crate::context::{Context, Failure, Outcome, Screen};
use crate::list;
use crate::output::json::documents;

/// The options that filter rows.
const FILTERS: &[&str] = &[
    "state",
    "port",
    "local",
    "foreign",
    "pid",
    "program",
    "user",
    "unit",
    "listening",
    "established",
    "public",
    "exposed",
];

/// The filters of sockets that are available if countries and autonomous systems are known.
const LOCATION_FILTERS: &[&str] = &["as", "country"];

/// How the documents of a resource are made.
struct Source {
    name: &'static str,
    about: &'static str,
    /// The command; `None` for the classic list.
    command: Option<Entry>,
    /// Arguments that are always present.
    fixed: &'static [&'static str],
    /// Long options that are parameters, in addition to [`FILTERS`]. None of them names a file.
    options: &'static [&'static str],
    filters: bool,
    /// The parameter that becomes the positional argument.
    positional: Option<(&'static str, &'static str)>,
    schema: fn() -> Value,
    line_schema: Option<fn() -> Value>,
    rows: bool,
    keep_millis: u64,
}

#[derive(Clone, Copy)]
struct Entry {
    definition: fn() -> clap::Command,
    run: fn(&clap::ArgMatches, &mut Context<'_>) -> Result<Outcome, Failure>,
}

static SOURCES: &[Source] = &[
    Source {
        name: "sockets",
        about: "Sockets, as netstat --all --json lists them",
        command: None,
        fixed: &["--all", "--numeric"],
        options: &[
            "tcp",
            "udp",
            "bound",
            "protocol",
            "all-namespaces",
            "columns",
            "sort",
            "top",
            "group",
        ],
        filters: true,
        positional: None,
        schema: documents::sockets,
        line_schema: Some(documents::sockets_line),
        rows: true,
        keep_millis: 1000,
    },
    Source {
        name: "processes",
        about: "Processes by the number of ports they hold, as netstat --processes --json lists them",
        command: None,
        fixed: &["--processes"],
        options: &[],
        filters: true,
        positional: None,
        schema: documents::tables,
        line_schema: None,
        rows: false,
        keep_millis: 1000,
    },
    Source {
        name: "statistics",
        about: "Counters of the protocols, as netstat --statistics --json prints them",
        command: None,
        fixed: &["--statistics"],
        options: &["protocol", "verbose"],
        filters: false,
        positional: None,
        schema: documents::tables,
        line_schema: None,
        rows: false,
        keep_millis: 1000,
    },
    Source {
        name: "interfaces",
        about: "Counters of the interfaces, as netstat --ethernet --json prints them",
        command: None,
        fixed: &["--ethernet"],
        options: &[],
        filters: false,
        positional: None,
        schema: documents::tables,
        line_schema: None,
        rows: false,
        keep_millis: 1000,
    },
    Source {
        name: "routes",
        about: "Routes and interfaces, as netstat --routes --json prints them",
        command: None,
        fixed: &["--routes"],
        options: &["table"],
        filters: false,
        positional: None,
        schema: documents::tables,
        line_schema: None,
        rows: false,
        keep_millis: 1000,
    },
    Source {
        name: "inspect",
        about: "Everything about a socket, port, process or program, as netstat inspect --json prints it",
        command: Some(Entry {
            definition: inspect::definition,
            run: inspect::run,
        }),
        fixed: &["--sample", "0.3"],
        options: &["all"],
        filters: false,
        positional: Some((
            "target",
            "what to look at: a port, a PID, a program, or a connection as LOCAL->FOREIGN",
        )),
        schema: inspect::schema::inspect,
        line_schema: None,
        rows: false,
        keep_millis: 2000,
    },
    Source {
        name: "findings",
        about: "What netstat audit --all --json finds: acknowledged findings, too",
        command: Some(Entry {
            definition: audit::COMMAND.definition,
            run: audit::COMMAND.run,
        }),
        // A client sees which findings are acknowledged, and why.
        fixed: &["--all"],
        options: &["min"],
        filters: true,
        positional: None,
        schema: audit::schema,
        line_schema: None,
        rows: false,
        keep_millis: 60_000,
    },
    Source {
        name: "doctor",
        about: "What can be seen on this computer and what not, as netstat doctor --json prints it",
        command: Some(Entry {
            definition: doctor::definition,
            run: doctor::run,
        }),
        // A name server is queried only if the caller explicitly asks for it.
        fixed: &["--numeric"],
        options: &["problems"],
        filters: false,
        positional: None,
        schema: doctor::schema,
        line_schema: None,
        rows: false,
        keep_millis: 10_000,
    },
    Source {
        name: "history",
        about: "Connections of the past, as netstat history --json prints them",
        command: Some(Entry {
            definition: history::definition,
            run: history::run,
        }),
        fixed: &[],
        options: &[
            "since",
            "until",
            "group",
            "sort",
            "top",
            "columns",
            "new",
            "follow",
            "beacons",
            "gaps",
            "rare",
            "host",
            "community-id",
        ],
        filters: true,
        positional: None,
        schema: history::schema::history,
        line_schema: Some(history::schema::line),
        rows: true,
        keep_millis: 2000,
    },
];

/// The resources that the store of a fleet adds.
#[cfg(feature = "fleet")]
static FLEET_SOURCES: &[Source] = &[
    Source {
        name: "fleet-status",
        about: "How the fleet's store is, as netstat fleet status --json prints it",
        command: Some(Entry {
            definition: crate::commands::fleet::definition,
            run: crate::commands::fleet::run,
        }),
        fixed: &["status"],
        options: &[],
        filters: false,
        positional: None,
        schema: crate::commands::fleet::schema::status,
        line_schema: None,
        rows: false,
        keep_millis: 5000,
    },
    Source {
        name: "fleet-hosts",
        about: "The computers of the fleet, as netstat fleet hosts --json lists them",
        command: Some(Entry {
            definition: crate::commands::fleet::definition,
            run: crate::commands::fleet::run,
        }),
        fixed: &["hosts"],
        options: &["late", "late-after", "top"],
        filters: false,
        positional: None,
        schema: crate::commands::fleet::schema::hosts,
        line_schema: None,
        rows: false,
        keep_millis: 5000,
    },
    Source {
        name: "fleet-findings",
        about: "What only a fleet can see, as netstat fleet findings --json lists it",
        command: Some(Entry {
            definition: crate::commands::fleet::definition,
            run: crate::commands::fleet::run,
        }),
        fixed: &["findings"],
        options: &["since", "kind", "top"],
        filters: false,
        positional: None,
        schema: crate::commands::fleet::schema::findings,
        line_schema: None,
        rows: false,
        keep_millis: 30_000,
    },
];
#[cfg(not(feature = "fleet"))]
static FLEET_SOURCES: &[Source] = &[];

/// Answers from the running system, and about the past from a record or the store of a fleet.
pub(super) struct CommandLine {
    system: Mutex<Box<dyn System + Send>>,
    record: super::record::RecordFigures,
    /// The arguments for commands about the past: the store, and the configuration of the fleet.
    store: Option<String>,
    fleet_config: Option<PathBuf>,
    /// The value of `--mmdb` for the list, and the content of the databases.
    mmdb: Vec<PathBuf>,
    locations: Locations,
}

impl CommandLine {
    /// Creates a provider that queries `system`, and `store` about the past, with this configuration of the fleet.
    pub(super) fn about(
        system: Box<dyn System + Send>,
        store: Option<String>,
        fleet_config: Option<PathBuf>,
    ) -> CommandLine {
        CommandLine {
            system: Mutex::new(system),
            record: super::record::RecordFigures::default(),
            store,
            fleet_config,
            mmdb: Vec::new(),
            locations: Locations::default(),
        }
    }

    /// Adds countries and autonomous systems from these databases.
    pub(super) fn with_locations(self, mmdb: Vec<PathBuf>, locations: Locations) -> CommandLine {
        CommandLine {
            mmdb,
            locations,
            ..self
        }
    }

    /// Returns a handle on the system for one answer, since several are made at the same time.
    fn system(&self) -> Box<dyn System + Send> {
        self.system.lock().unwrap_or_else(PoisonError::into_inner).another()
    }

    /// Runs a command, or the classic list, and returns what it prints.
    fn run(&self, name: &str, command: Option<Entry>, words: Vec<OsString>) -> Result<Vec<u8>, Refusal> {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut system = self.system();
        let mut context = Context {
            system: &mut *system,
            out: &mut out,
            err: &mut err,
            terminal: false,
            screen: Screen::default(),
            now: &mut SystemTime::now,
            wait_until: &mut |moment| std::thread::sleep(moment.saturating_duration_since(Instant::now())),
        };
        let outcome = match command {
            Some(entry) => {
                let definition = (entry.definition)().no_binary_name(true);
                let matches = definition.try_get_matches_from(words);
                let matches =
                    matches.map_err(|error| Refusal::Usage(args::UsageError::of_command(name, &error).to_string()))?;
                (entry.run)(&matches, &mut context)
            }
            None => match args::parse(words, &[]) {
                Ok(Parsed::Run(plan)) => list::run(&plan, &mut context),
                Ok(_) => return Err(Refusal::Usage("this asks for help, not for an answer".to_owned())),
                Err(error) => return Err(Refusal::Usage(plain_error(&error))),
            },
        };
        let said = String::from_utf8_lossy(&err)
            .trim_start_matches("netstat: ")
            .lines()
            .next()
            .map(str::to_owned);
        match outcome {
            Ok(_) if !out.is_empty() => Ok(out),
            // A command that finds nothing says so.
            Ok(_) => Err(Refusal::NotFound(
                said.unwrap_or_else(|| "nothing was found".to_owned()),
            )),
            Err(Failure::Usage(why)) => Err(Refusal::Usage(why)),
            Err(Failure::Refused(why)) => Err(Refusal::Failed(why)),
            Err(Failure::Output(error)) => Err(Refusal::Failed(plain_error(&error))),
        }
    }

    fn is_of_fleet(&self) -> bool {
        self.store.as_deref().is_some_and(|store| store.contains("://"))
    }

    fn sources(&self) -> impl Iterator<Item = &'static Source> {
        let fleet = if self.is_of_fleet() { FLEET_SOURCES } else { &[] };
        SOURCES.iter().chain(fleet)
    }

    /// Returns the arguments that select the store or databases of a source.
    fn place(&self, source: &Source) -> Vec<OsString> {
        let option = match source.name {
            "history" | "findings" | "inspect" => "--store",
            "sockets" => {
                let named = |path: &PathBuf| {
                    let mut word = OsString::from("--mmdb=");
                    word.push(path);
                    word
                };
                return self.mmdb.iter().map(named).collect();
            }
            name if name.starts_with("fleet-") => "--at",
            _ => return Vec::new(),
        };
        let named = |option: &str, value: Option<&OsStr>| {
            value.map(|value| [OsStr::new(option), OsStr::new("="), value].into_iter().collect())
        };
        let words: [Option<OsString>; 2] = [
            named(option, self.store.as_deref().map(OsStr::new)),
            named("--fleet-config", self.fleet_config.as_deref().map(Path::as_os_str)),
        ];
        words.into_iter().flatten().collect()
    }
}

impl Source {
    fn definition(&self) -> clap::Command {
        match self.command {
            Some(entry) => (entry.definition)(),
            None => args::with_commands(&[]),
        }
    }

    fn is_parameter(&self, long: &str, locates: bool) -> bool {
        self.options.contains(&long)
            || (self.filters && FILTERS.contains(&long))
            || (locates && self.name == "sockets" && LOCATION_FILTERS.contains(&long))
    }

    fn resource(&self, locates: bool) -> Resource {
        let definition = self.definition();
        let options = definition.get_arguments().filter_map(|arg| {
            let long = arg.get_long()?;
            self.is_parameter(long, locates).then(|| parameter(long, arg))
        });
        let target = self.positional.map(|(name, about)| Parameter {
            name: name.to_owned(),
            about: about.to_owned(),
            kind: ParameterKind::Text,
            required: true,
        });
        Resource {
            name: self.name,
            about: self.about.to_owned(),
            parameters: target.into_iter().chain(options).collect(),
            schema: (self.schema)(),
            line_schema: self.line_schema.map(|make| make()),
            rows: self.rows,
            keep_millis: self.keep_millis,
        }
    }

    /// Returns the command-line arguments of an equivalent query.
    fn arguments(&self, question: &Question) -> Vec<OsString> {
        let mut words: Vec<OsString> = self.fixed.iter().map(OsString::from).collect();
        words.push(
            match question.format {
                Format::Json => "--json",
                Format::NdJson => "--ndjson",
                Format::Csv => "--csv",
            }
            .into(),
        );
        let definition = self.definition();
        let is_flag = |name: &str| {
            let mut arguments = definition.get_arguments();
            arguments.any(|arg| arg.get_long() == Some(name) && !takes_value(arg))
        };
        let mut target = None;
        for (name, value) in &question.parameters {
            if self.positional.is_some_and(|(positional, _)| positional == name) {
                target = Some(value);
            } else if is_flag(name) {
                if value == "true" {
                    words.push(format!("--{name}").into());
                }
            } else {
                // A single argument, so that a value cannot become an option.
                words.push(format!("--{name}={value}").into());
            }
        }
        if let Some(target) = target {
            words.extend(["--".into(), target.into()]);
        }
        words
    }
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

fn parameter(long: &str, arg: &Arg) -> Parameter {
    let words: Vec<String> = arg
        .get_possible_values()
        .iter()
        .map(|value| value.get_name().to_owned())
        .collect();
    Parameter {
        name: long.to_owned(),
        about: arg.get_help().map(ToString::to_string).unwrap_or_default(),
        kind: match () {
            () if !takes_value(arg) => ParameterKind::Flag,
            () if words.is_empty() || arg.get_value_delimiter().is_some() => ParameterKind::Text,
            () => ParameterKind::OneOf(words),
        },
        required: false,
    }
}

impl Provider for CommandLine {
    fn resources(&self) -> Vec<Resource> {
        let locates = self.locates();
        self.sources().map(|source| source.resource(locates)).collect()
    }

    fn answer(&self, question: &Question) -> Result<Vec<u8>, Refusal> {
        let source = self.sources().find(|source| source.name == question.resource);
        let source = source.ok_or_else(|| Refusal::NotFound("there is no such resource".to_owned()))?;
        let mut words = source.arguments(question);
        words.splice(0..0, self.place(source));
        self.run(source.name, source.command, words)
    }

    fn figures(&self) -> Vec<Figure> {
        // The store of a fleet describes many computers.
        let named = self.store.as_deref().filter(|store| !store.contains("://"));
        let superuser = self.system().is_superuser();
        self.record.of_this_computer(named.map(std::path::Path::new), superuser)
    }

    fn acknowledge(&self, finding: &Acknowledgement) -> Result<(), Refusal> {
        let source = self.sources().find(|source| source.name == "findings");
        let source = source.ok_or_else(|| Refusal::NotFound("there is no audit".to_owned()))?;
        // A single argument each, so that a value cannot become an option.
        let mut words = self.place(source);
        words.push(format!("--acknowledge={}", finding.id).into());
        words.push(format!("--why={}", finding.why).into());
        words.extend(finding.until.as_ref().map(|day| format!("--until={day}").into()));
        self.run(source.name, source.command, words).map(drop)
    }

    fn locates(&self) -> bool {
        !self.locations.is_empty()
    }

    fn location(&self, address: IpAddr) -> Location {
        match self.locations.is_empty() {
            true => Location::default(),
            false => self.locations.look_up(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(store: Option<&str>) -> CommandLine {
        CommandLine::about(Box::new(netstat_os::Native::default()), store.map(str::to_owned), None)
    }

    fn ask(resource: &'static str, parameters: &[(&str, &str)], format: Format) -> Result<Vec<u8>, Refusal> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        provider(None).answer(&Question {
            resource,
            parameters: parameters.iter().map(own).collect(),
            format,
        })
    }

    #[test]
    fn every_served_parameter_is_an_option_of_the_command_line() {
        for (source, resource) in SOURCES.iter().zip(provider(None).resources()) {
            let wanted = source.options.len() + if source.filters { FILTERS.len() } else { 0 };
            let positional = usize::from(source.positional.is_some());
            assert_eq!(resource.parameters.len(), wanted + positional, "{}", source.name);
            assert!(resource.parameters.iter().all(|parameter| !parameter.about.is_empty()));
        }
    }

    #[test]
    fn acknowledgement_of_absent_finding_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let baseline = directory.path().join("audit.toml");
        let word = |name: &str, value: &str| OsString::from(format!("--{name}={value}"));
        let refused = provider(None).run(
            "findings",
            Some(Entry {
                definition: audit::COMMAND.definition,
                run: audit::COMMAND.run,
            }),
            vec![
                word("baseline", &baseline.display().to_string()),
                word("acknowledge", "00000000"),
                word("why", "--min=info"),
            ],
        );
        let Err(Refusal::Failed(why)) = refused else {
            panic!("{refused:?}")
        };
        assert!(why.contains("00000000"), "{why}");
        assert!(!baseline.exists());
    }

    #[test]
    fn fleet_resources_are_served_with_a_fleet_store_only() {
        let names = |store: Option<&str>| -> Vec<&str> {
            provider(store)
                .resources()
                .into_iter()
                .map(|resource| resource.name)
                .collect()
        };
        assert!(!names(None).iter().any(|name| name.starts_with("fleet-")));
        assert!(!names(Some("/var/lib/netstat/record.db")).contains(&"fleet-hosts"));
        let all = names(Some("clickhouse://127.0.0.1:1/netstat"));
        for name in ["fleet-status", "fleet-hosts", "fleet-findings"] {
            assert_eq!(all.contains(&name), cfg!(feature = "fleet"), "{name}");
        }
    }

    #[test]
    fn every_served_table_answers_without_parameters() {
        for source in SOURCES.iter().filter(|source| source.command.is_none()) {
            let document = ask(source.name, &[], Format::Json).unwrap();
            let document: Value = serde_json::from_slice(&document).unwrap();
            let schema = jsonschema::validator_for(&(source.schema)()).unwrap();
            assert!(schema.is_valid(&document), "{}", source.name);
        }
    }

    #[test]
    fn served_documents_are_those_of_the_command_line() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let parameters = [("port", &*port), ("listening", "true")];
        let document = ask("sockets", &parameters, Format::Json).unwrap();
        let document: Value = serde_json::from_slice(&document).unwrap();
        assert_eq!(document["schema"], "netstat.sockets");
        assert_eq!(document["rows"][0]["local_port"].to_string(), port);
        let lines = ask("sockets", &parameters, Format::NdJson).unwrap();
        assert_eq!(String::from_utf8(lines).unwrap().lines().count(), 1);
        let none = ask(
            "sockets",
            &[("port", &port), ("listening", "false"), ("established", "true")],
            Format::Json,
        );
        let none: Value = serde_json::from_slice(&none.unwrap()).unwrap();
        assert_eq!(none["rows"].as_array().map(Vec::len), Some(0));
        let card = ask("inspect", &[("target", &port)], Format::Json).unwrap();
        let card: Value = serde_json::from_slice(&card).unwrap();
        assert_eq!(card["schema"], "netstat.inspect");
    }

    #[test]
    fn parameter_values_never_become_options_and_wrong_ones_are_named() {
        for (resource, parameters, word) in [
            ("sockets", [("port", "x")], "x"),
            ("sockets", [("columns", "--json")], "--json"),
        ] {
            match ask(resource, &parameters, Format::Json) {
                Err(Refusal::Usage(why) | Refusal::NotFound(why)) => assert!(why.contains(word), "{why}"),
                other => panic!("{resource} {parameters:?}: {other:?}"),
            }
        }
        // It is looked up as the name of a program, and there is none.
        let found = ask("inspect", &[("target", "--bundle=/tmp/never")], Format::Json);
        let found: Value = serde_json::from_slice(&found.unwrap()).unwrap();
        assert_eq!(found["cards"].as_array().map(Vec::len), Some(0));
        assert!(!std::path::Path::new("/tmp/never").exists());
    }
}
