//! The examples, as they are, against sockets of this test.
#![cfg(target_os = "linux")]

use std::cell::RefCell;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use netstat_os::{Native, System};
use netstat_testkit::own_namespace;

#[allow(dead_code, reason = "its main is not called here")]
#[path = "../examples/listening_programs.rs"]
mod listening_programs;
#[allow(dead_code, reason = "its main is not called here")]
#[path = "../examples/watch_changes.rs"]
mod watch_changes;

/// Keeps what is printed within reach while it is printed.
#[derive(Clone, Default)]
struct Paper(Rc<RefCell<Vec<u8>>>);

impl Paper {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow()).into_owned()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn listening_programs_names_this_test() {
    own_namespace!();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("its address").port();
    let mut out = Vec::new();
    listening_programs::list(&mut Native::default(), &mut out).expect("the example runs");
    let out = String::from_utf8(out).expect("text");
    let line = out.lines().find(|line| line.starts_with(&format!("127.0.0.1:{port} ")));
    let line = line.unwrap_or_else(|| panic!("no line of {port} in\n{out}"));
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[1], std::process::id().to_string(), "{line}");
    let program = std::env::current_exe().expect("a program");
    assert_eq!(words[2], program.to_str().expect("UTF-8"), "{line}");
}

#[test]
fn listening_programs_takes_any_system() {
    let mut nothing = netstat_os::Replay::default();
    let mut out = Vec::new();
    listening_programs::list(&mut nothing, &mut out).expect("the example runs");
    assert_eq!(String::from_utf8_lossy(&out), "");
    assert!(!System::is_superuser(&nothing));
}

#[test]
fn watch_changes_reports_a_connection() {
    own_namespace!();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    let mut paper = Paper::default();
    let seen = paper.clone();
    let deadline = Instant::now() + Duration::from_secs(30);
    let (mut asked, mut connection) = (0, None);
    watch_changes::watch(&mut Native::default(), &mut paper, &mut || {
        asked += 1;
        // By then the watch stands, and what was there has been told.
        if asked == 2 {
            connection = Some((TcpStream::connect(address).expect("a connection"), listener.accept()));
        }
        let text = seen.text();
        let told = |kind: &str| {
            text.lines()
                .any(|line| line.starts_with(kind) && line.contains(&format!("-> {address}")))
        };
        if told("opened") {
            connection = None;
        }
        !(told("opened") && told("closed")) && Instant::now() < deadline
    })
    .expect("the example runs");
    let text = seen.text();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.contains(&format!("-> {address}")))
        .collect();
    assert!(
        lines.iter().any(|line| line.starts_with("opened    TCP 127.0.0.1:")),
        "{text}"
    );
    assert!(
        lines.iter().any(|line| line.starts_with("closed    TCP 127.0.0.1:")),
        "{text}"
    );
    // The listener was there before.
    assert!(!text.contains("listening"), "{text}");
}
