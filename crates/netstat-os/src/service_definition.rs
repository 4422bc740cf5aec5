//! The description of a Windows service, and the severities of its messages.

use std::path::Path;

/// A service that starts with the computer and runs as LocalSystem.
#[derive(Clone, Copy, Debug)]
pub struct ServiceDefinition<'a> {
    /// The name in commands, which is also the name of its source in the event log.
    pub name: &'a str,
    /// The name that is displayed to users.
    pub title: &'a str,
    /// The description of what it does.
    pub description: &'a str,
    /// The absolute path of the program.
    pub program: &'a Path,
    /// The arguments of the program.
    pub arguments: &'a [String],
}

/// The severity of a message in the event log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Normal operation.
    Information,
    /// Something that an administrator should know.
    Warning,
    /// The service cannot continue.
    Error,
}
