//! What the rest of the program answers: the documents of the command line.

use std::net::IpAddr;

use netstat_model::columns::Location;
use serde_json::Value;

/// One resource of the API.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its name in the path: `sockets`.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: String,
    /// What may be asked.
    pub parameters: Vec<Parameter>,
    /// The schema of the document.
    pub schema: Value,
    /// The schema of one line of it as NDJSON; `None` where it has no lines.
    pub line_schema: Option<Value>,
    /// Whether the document has `rows` that can be had in pages.
    pub rows: bool,
    /// For how many milliseconds an answer holds for everybody who asks the same.
    pub keep_millis: u64,
}

/// A parameter of the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name: that of the option without its dashes.
    pub name: String,
    /// What it means.
    pub about: String,
    /// What it takes.
    pub kind: ParameterKind,
    /// Whether it must be given.
    pub required: bool,
}

/// What a parameter takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// `true` or `false`.
    Flag,
    /// A text.
    Text,
    /// One of these.
    OneOf(Vec<String>),
}

/// What an answer is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// One JSON document.
    Json,
    /// One JSON object a line.
    NdJson,
    /// Comma-separated values.
    Csv,
}

/// A question to the program.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// The name of a resource.
    pub resource: &'static str,
    /// Parameters of that resource with their values, as they were given.
    pub parameters: Vec<(String, String)>,
    /// How the answer is to be written.
    pub format: Format,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The question is wrong: one line names the word.
    Usage(String),
    /// There is nothing of that kind.
    NotFound(String),
    /// The system refused it, or something failed.
    Failed(String),
}

/// A figure that the program adds to the metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The name of the metric, without `_total`. Figures of one name follow each other.
    pub name: &'static str,
    /// What it means, in one line.
    pub help: &'static str,
    /// Whether it only grows.
    pub counter: bool,
    /// Names and values of its labels; few combinations.
    pub labels: Vec<(&'static str, &'static str)>,
    /// Its value, in the unit that the name says.
    pub value: f64,
}

/// A finding of the audit that is to be acknowledged as harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The finding's id: eight hexadecimal digits.
    pub id: String,
    /// Why it is harmless.
    pub why: String,
    /// The last day on which the acknowledgement counts, such as `2027-01-31`; `None` for ever.
    pub until: Option<String>,
}

/// Answers for the rest of the program. May be asked from several threads at once.
pub trait Provider: Send + Sync {
    /// Everything that can be asked.
    fn resources(&self) -> Vec<Resource>;

    /// The answer, as the command line would print it.
    ///
    /// # Errors
    /// See [`Refusal`].
    fn answer(&self, question: &Question) -> Result<Vec<u8>, Refusal>;

    /// What the program adds to the metrics; may take some milliseconds.
    fn figures(&self) -> Vec<Figure> {
        Vec::new()
    }

    /// Writes an acknowledgement to the audit's baseline. May take seconds: the audit runs once more.
    ///
    /// # Errors
    /// When there is no such finding, or the baseline cannot be written.
    fn acknowledge(&self, _: &Acknowledgement) -> Result<(), Refusal> {
        Err(Refusal::Failed("findings cannot be acknowledged here".to_owned()))
    }

    /// Whether [`Provider::location`] knows anything.
    fn locates(&self) -> bool {
        false
    }

    /// Where a foreign address is registered. Asked for each row: to be fast.
    fn location(&self, _: IpAddr) -> Location {
        Location::default()
    }
}
