//! Counters of protocols and interfaces, kept as read.
