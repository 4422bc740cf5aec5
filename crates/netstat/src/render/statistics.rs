//! `-s`: statistics per protocol.
