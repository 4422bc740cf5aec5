//! Counters of protocols and interfaces.
