//! Every rule of `netstat audit` against the real thing, made in namespaces of the tests' own.
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
