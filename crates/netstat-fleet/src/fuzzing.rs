//! Entry points to private parsers, for the fuzz targets alone.

use crate::rows::Rows;

/// Reads an answer of ClickHouse as rows of each kind.
pub fn answer(bytes: &[u8], tag: Option<&str>) {
    for kind in 0..3 {
        let source = Box::new(std::io::Cursor::new(bytes.to_vec()));
        let mut rows = Rows::new(source, tag.map(str::to_owned));
        while rows.more().unwrap_or(false) {
            if !crate::store::read_any(&mut rows, kind) {
                break;
            }
        }
    }
}

/// Reads a configuration of a fleet.
pub fn configuration(text: &str) {
    if let Err(why) = crate::FleetConfig::parse(text) {
        assert!(!why.is_empty());
    }
}
