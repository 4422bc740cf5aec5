//! Configurations and baselines: any text is read, or refused in words.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    netstat::fuzzing::defaults(text);
    netstat_fleet::fuzzing::configuration(text);
    netstat_serve::fuzzing::web_configuration(text);
    if let Err(why) = netstat_audit::baseline::Baseline::parse(text) {
        assert!(!why.is_empty());
    }
});
