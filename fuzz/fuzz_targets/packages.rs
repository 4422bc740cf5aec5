//! The databases of package managers, which in a container are another's: any bytes give records or nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netstat_packages::digest::parse_cache;
use netstat_packages::packages::{apk, dpkg, pacman, rpm};

fuzz_target!(|bytes: &[u8]| {
    // A path to look for, and the text to find it in.
    let (path, text) = bytes.split_at(bytes.iter().position(|byte| *byte == 0).unwrap_or(0));

    for stanza in dpkg::parse::stanzas(text) {
        assert!(!stanza.name.is_empty());
        let _ = stanza.conffile(path);
    }
    assert!(dpkg::parse::diversions(text).count() <= text.len() / 2);
    let _ = dpkg::parse::md5_of(text, path);
    let _ = dpkg::parse::info_name(path, b".list");

    for file in apk::files(text) {
        let _ = file.checksum.map(apk::digest);
    }
    let _ = pacman::recorded(text, path);
    let _ = pacman::section(text, path).count();

    if let Some(header) = rpm::header::Header::parse(text) {
        let _ = (header.name(), header.version(), header.architecture(), header.installed());
        for file in (0..8).filter_map(|at| header.file(at)) {
            let _ = header.digest(&file);
        }
    }
    // A log with another magic number is none, so give it one.
    let log = [&0x377f_0682u32.to_be_bytes(), text].concat();
    rpm::apply_log(&mut path.to_vec(), &log);

    let _ = parse_cache(text);
});
