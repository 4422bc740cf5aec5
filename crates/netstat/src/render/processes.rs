//! `-c`: processes by the ports they hold.
