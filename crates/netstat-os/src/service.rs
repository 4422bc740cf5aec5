//! This program as a service of Windows: installed, removed, and run under the service control manager. On other systems, whose services are
//! files and commands, every function returns [`std::io::ErrorKind::Unsupported`].

use std::path::Path;

/// A service that starts with the computer, as LocalSystem.
#[derive(Clone, Copy, Debug)]
pub struct ServiceDefinition<'a> {
    /// Its name in commands, and that of its source in the event log.
    pub name: &'a str,
    /// Its name in lists for people.
    pub title: &'a str,
    /// What it does.
    pub description: &'a str,
    /// The program, by its whole path.
    pub program: &'a Path,
    /// The arguments of the program.
    pub arguments: &'a [String],
}

/// How important a message in the event log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// What happens as it should.
    Information,
    /// What people should know.
    Warning,
    /// The service cannot go on.
    Error,
}

#[cfg(windows)]
pub use crate::windows::{RunningService, install_service, remove_service, service_arguments};
#[cfg(not(windows))]
pub use elsewhere::{RunningService, install_service, remove_service, service_arguments};

#[cfg(not(windows))]
mod elsewhere {
    use std::convert::Infallible;
    use std::io;

    use super::{LogLevel, ServiceDefinition};

    /// This process as a service; there is none.
    #[derive(Debug)]
    pub struct RunningService(Infallible);

    impl RunningService {
        /// Reports to the service control manager.
        ///
        /// # Errors
        /// Always.
        pub fn start(_: &str) -> io::Result<RunningService> {
            Err(io::ErrorKind::Unsupported.into())
        }

        /// Says that the service does its work.
        pub fn working(&self) {
            match self.0 {}
        }

        /// Writes a message to the event log.
        pub fn log(&self, _: LogLevel, _: &str) {
            match self.0 {}
        }

        /// Says that the service has ended.
        pub fn stopped(self, _: bool) {
            match self.0 {}
        }
    }

    /// Makes a service and starts it.
    ///
    /// # Errors
    /// Always.
    pub fn install_service(_: &ServiceDefinition<'_>) -> io::Result<Vec<String>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Ends a service and removes it.
    ///
    /// # Errors
    /// Always.
    pub fn remove_service(_: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// What a service starts.
    ///
    /// # Errors
    /// Always.
    pub fn service_arguments(_: &str) -> io::Result<Option<Vec<Vec<u8>>>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
