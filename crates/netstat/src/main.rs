//! `netstat`.

fn main() {}
