//! The texts of `/proc` that hold figures: any bytes give values or nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netstat_os::linux::metrics::parse;

fuzz_target!(|text: &[u8]| {
    let _ = (parse::cpu(text), parse::memory(text), parse::uptime(text));
    let _ = (parse::statm(text), parse::io(text), parse::effective_user(text), parse::swapped(text));
    if let Some(pressure) = parse::pressure(text) {
        let _ = pressure.some.ten_seconds;
    }
    assert!(parse::disks(text).iter().all(|disk| !disk.name.is_empty()));
});
