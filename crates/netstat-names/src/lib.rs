//! Names for numbers: services and hosts.
