//! Starts the program; see the library for all it does.

fn main() {}
