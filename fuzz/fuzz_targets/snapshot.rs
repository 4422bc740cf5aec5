//! A snapshot file, which anybody may have written: it is refused, or answers, and can be redacted and written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netstat_os::{OwnersAsk, Snapshot, SocketAsk, SocketList, System};

fuzz_target!(|bytes: &[u8]| {
    let Ok(snapshot) = Snapshot::read(bytes) else {
        return;
    };
    if let Ok(redacted) = snapshot.clone().redact() {
        let mut written = Vec::new();
        if redacted.write(&mut written).is_ok() {
            assert_eq!(Snapshot::read(&written[..]).ok(), Some(redacted));
        }
    }
    let mut replay = snapshot.into_replay();
    let mut list = SocketList::default();
    replay.sockets(&SocketAsk::everything(), &mut list);
    let found = replay.owners(&list.sockets, &OwnersAsk::default());
    for socket in &list.sockets {
        let _ = found.as_ref().map(|found| found.owners.of(socket));
    }
});
