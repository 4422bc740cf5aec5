//! This program as a Windows service: installing, removing, and running it under the service control manager. On other
//! systems, where services are managed with files and commands, every function returns
//! [`std::io::ErrorKind::Unsupported`].

pub use crate::service_definition::{LogLevel, ServiceDefinition};
#[cfg(windows)]
pub use crate::windows::{RunningService, install_service, remove_service, service_arguments};
#[cfg(not(windows))]
pub use elsewhere::{RunningService, install_service, remove_service, service_arguments};

#[cfg(not(windows))]
mod elsewhere {
    use std::convert::Infallible;
    use std::io;

    use super::{LogLevel, ServiceDefinition};

    /// This process as a service; never exists on this system.
    #[derive(Debug)]
    pub struct RunningService(Infallible);

    impl RunningService {
        /// Registers with the service control manager.
        ///
        /// # Errors
        /// Always returns an error.
        pub fn start(_: &str) -> io::Result<RunningService> {
            Err(io::ErrorKind::Unsupported.into())
        }

        /// Reports that the service is running.
        pub fn working(&self) {
            match self.0 {}
        }

        /// Writes a message to the event log.
        pub fn log(&self, _: LogLevel, _: &str) {
            match self.0 {}
        }

        /// Reports that the service has stopped.
        pub fn stopped(self, _: bool) {
            match self.0 {}
        }
    }

    /// Installs a service and starts it.
    ///
    /// # Errors
    /// Always returns an error.
    pub fn install_service(_: &ServiceDefinition<'_>) -> io::Result<Vec<String>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Stops a service and removes it.
    ///
    /// # Errors
    /// Always returns an error.
    pub fn remove_service(_: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Returns the command line of a service.
    ///
    /// # Errors
    /// Always returns an error.
    pub fn service_arguments(_: &str) -> io::Result<Option<Vec<Vec<u8>>>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
