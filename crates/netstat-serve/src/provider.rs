//! The interface through which the rest of the program provides documents: those of the command line.

use std::net::IpAddr;

use netstat_model::columns::Location;
use serde_json::Value;

/// A resource of the API.
#[derive(Clone, Debug)]
pub struct Resource {
    /// The name in the path, such as `sockets`.
    pub name: &'static str,
    /// A description, in one line.
    pub about: String,
    /// The parameters that it accepts.
    pub parameters: Vec<Parameter>,
    /// The JSON schema of the document.
    pub schema: Value,
    /// The JSON schema of a line of NDJSON; `None` if the document cannot be split into lines.
    pub line_schema: Option<Value>,
    /// Whether the document has `rows` that can be requested in pages.
    pub rows: bool,
    /// How long an answer is shared by clients that ask the same question, in milliseconds.
    pub keep_millis: u64,
}

/// A query parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The name: that of the command-line option, without its dashes.
    pub name: String,
    /// The description.
    pub about: String,
    /// The values that it accepts.
    pub kind: ParameterKind,
    /// Whether it is required.
    pub required: bool,
}

/// The values that a parameter accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// `true` or `false`.
    Flag,
    /// Any text.
    Text,
    /// One of these values.
    OneOf(Vec<String>),
}

/// The format of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// A single JSON document.
    Json,
    /// One JSON object per line.
    NdJson,
    /// Comma-separated values.
    Csv,
}

/// A question to the provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// The name of the resource.
    pub resource: &'static str,
    /// The parameters with their values, as given by the client.
    pub parameters: Vec<(String, String)>,
    /// The format of the answer.
    pub format: Format,
}

/// Why a question is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The question is invalid; one line that names the offending word.
    Usage(String),
    /// What the question names does not exist.
    NotFound(String),
    /// The system denied access, or something failed.
    Failed(String),
}

/// A figure that the provider adds to the metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The name of the metric, without `_total`. Figures with the same name must be consecutive.
    pub name: &'static str,
    /// The description, in one line.
    pub help: &'static str,
    /// Whether the value only grows.
    pub counter: bool,
    /// The names and values of the labels; there should be few combinations.
    pub labels: Vec<(&'static str, &'static str)>,
    /// The value, in the unit that the name states.
    pub value: f64,
}

/// The acknowledgement of a finding as harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The id of the finding: eight hexadecimal digits.
    pub id: String,
    /// Why it is harmless.
    pub why: String,
    /// The last day on which the acknowledgement is valid, such as `2027-01-31`; `None` if it does not expire.
    pub until: Option<String>,
}

/// Answers questions for the server. May be called from several threads in parallel.
pub trait Provider: Send + Sync {
    /// Returns all resources.
    fn resources(&self) -> Vec<Resource>;

    /// Returns the answer, as the command line would print it.
    ///
    /// # Errors
    /// See [`Refusal`].
    fn answer(&self, question: &Question) -> Result<Vec<u8>, Refusal>;

    /// Returns figures to be added to the metrics. May take some milliseconds.
    fn figures(&self) -> Vec<Figure> {
        Vec::new()
    }

    /// Adds an acknowledgement to the audit's baseline. May take seconds, since the audit runs again.
    ///
    /// # Errors
    /// Fails if there is no such finding, or if the baseline cannot be written.
    fn acknowledge(&self, _: &Acknowledgement) -> Result<(), Refusal> {
        Err(Refusal::Failed("findings cannot be acknowledged here".to_owned()))
    }

    /// Whether [`Provider::location`] can return anything.
    fn locates(&self) -> bool {
        false
    }

    /// Returns the location of a foreign address. Called for every row, so it must be fast.
    fn location(&self, _: IpAddr) -> Location {
        Location::default()
    }
}
