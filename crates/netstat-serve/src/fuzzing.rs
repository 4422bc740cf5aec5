//! Entry points to private parsers, for the fuzz targets alone.

/// Reads a web configuration.
pub fn web_configuration(text: &str) {
    crate::access::web_config::fuzz(text);
}
