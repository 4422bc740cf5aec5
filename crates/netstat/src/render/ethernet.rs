//! `-e`: interface statistics.
