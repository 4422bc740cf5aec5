//! Entry points to private parsers, for the fuzz targets alone.

pub use crate::args::fuzz_defaults as defaults;

/// Returns the completions that one of the shells is offered for the word at `place`.
pub fn completions(shell: u8, words: Vec<std::ffi::OsString>, place: usize) -> String {
    crate::registry::fuzz_completions(shell, words, place)
}
