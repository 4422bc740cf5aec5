//! What the monitor reads from files: configurations, filters and recordings. Any bytes are read or refused, and what was read can be shown.
#![no_main]

use std::collections::BTreeMap;
use std::io::BufReader;

use libfuzzer_sys::fuzz_target;
use netstat_monitor::selection::parse_filter;
use netstat_monitor::config;
use netstat_monitor::model::Modeler;
use netstat_monitor::recording::Player;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Err(bad) = config::parse(text) {
            assert!(bad.line >= 1 && !bad.to_string().contains('\n'));
        }
        let _ = parse_filter(text, &BTreeMap::new());
    }
    let head = b"{\"schema\":\"netstat.monitor.recording\",\"version\":1,\"computer\":\"\"}\n";
    let file = [head, bytes].concat();
    if let Ok(mut player) = Player::new(BufReader::new(file.as_slice())) {
        let mut modeler = Modeler::default();
        while let Ok(Some(sample)) = player.next_sample() {
            modeler.model(&sample);
        }
    }
});
