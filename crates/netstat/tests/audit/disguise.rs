//! Programs that imitate others.

use std::os::unix::process::CommandExt;

use netstat_testkit::{Needs, own_namespace};

use crate::kit::{Running, dpkg, open, program, quick, severities, sleep, sleep_at};

#[test]
fn program_disguised_as_kernel_thread_is_reported() {
    own_namespace!(Needs::PROCESSES);
    let running = Running::with(sleep().arg0("[kworker/0:1-events]"), open());
    let plain = Running::with(&mut sleep(), open());
    let document = quick();
    assert_eq!(severities(&document, running.pid(), "kernel-thread"), ["critical"]);
    assert_eq!(severities(&document, plain.pid(), "kernel-thread"), [] as [&str; 0]);
}

#[test]
fn a_daemons_name_on_another_program() {
    own_namespace!(Needs::PROCESSES);
    if !dpkg() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = Running::with(&mut sleep_at(&directory.path().join("sshd")), open());
    let words = Running::with(
        std::process::Command::new(program("bash"))
            .arg0("/usr/sbin/cron")
            .args(["-c", "sleep 600; :"]),
        open(),
    );
    let near = Running::with(&mut sleep_at(&directory.path().join("rsyslgod")), open());
    let document = quick();
    assert_eq!(severities(&document, file.pid(), "poses-as"), ["high"]);
    assert_eq!(severities(&document, words.pid(), "poses-as"), ["high"]);
    assert_eq!(severities(&document, near.pid(), "poses-as"), ["medium"]);
}
