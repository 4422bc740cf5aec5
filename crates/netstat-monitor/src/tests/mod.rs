//! Tests of whole screens and keys, on a recording.

mod keys;
mod kit;
mod recording;
mod screens;
