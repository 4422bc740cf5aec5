//! What the kernel reports of sockets that open and close, and DNS answers: any bytes give events and names or nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netstat_names::{AskedNames, dns_answer};
use netstat_os::fuzzing::{closed, record};
use netstat_os::linux::dns_watch::message;

fuzz_target!(|bytes: &[u8]| {
    let mut whole = [0; 144];
    let length = bytes.len().min(whole.len());
    whole[..length].copy_from_slice(&bytes[..length]);
    let _ = (record(bytes), record(&whole));
    let mut events = 0;
    closed(bytes, &mut |_| events += 1);
    assert!(events <= bytes.len());
    let _ = dns_answer(bytes);
    if let Some(message) = message(bytes) {
        assert!(message.len() <= bytes.len());
        let mut names = AskedNames::default();
        let _ = names.learn(message, std::time::SystemTime::UNIX_EPOCH);
    }
});
