//! Tests of every rule of `netstat audit` against real situations, created in separate namespaces.
#![cfg(target_os = "linux")]

mod acknowledge;
mod beacons;
mod disguise;
mod files;
mod host;
mod kit;
mod memory;
mod network;
mod replay;
mod shells;
mod watch;
mod windows;
mod words;
