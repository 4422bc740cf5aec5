//! Ways to notify other programs: datagrams to the system log, and helper programs that can be terminated with all
//! their children.

use std::io;
use std::path::Path;
use std::process::{Child, Command};

/// Sends `bytes` as one datagram to the Unix-domain socket at `path`. Does not block if the queue of the receiver is
/// full.
///
/// # Errors
/// Returns the error of the system, or [`io::ErrorKind::Unsupported`] if the platform has no such sockets.
pub fn send_datagram(path: &Path, bytes: &[u8]) -> io::Result<()> {
    #[cfg(unix)]
    {
        let socket = std::os::unix::net::UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.send_to(bytes, path).map(drop)
    }
    #[cfg(not(unix))]
    {
        let _ = (path, bytes);
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Starts the program of `command` as the leader of a new process group, so that [`end_group`] also ends the processes
/// it started.
pub fn in_own_group(command: &mut Command) -> &mut Command {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    command
}

/// Kills a program that was started with [`in_own_group`], with all its descendants that stayed in the process group.
/// It must not have been waited for yet, because only until then its process id is not reused.
pub fn end_group(child: &mut Child) {
    #[cfg(unix)]
    // The process may have ended in the meantime.
    let _ = rustix::process::kill_process_group(rustix::process::Pid::from_child(child), rustix::process::Signal::KILL);
    // For platforms without process groups, and if the group could not be created.
    let _ = child.kill();
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn datagram_arrives_whole_and_a_missing_socket_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        assert!(send_datagram(&path, b"x").is_err());
        let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        send_datagram(&path, b"one\ntwo").unwrap();
        let mut buffer = [0; 16];
        let length = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"one\ntwo");
    }

    #[test]
    fn group_ends_with_its_first_process() {
        let mut command = Command::new("sh");
        command
            .args(["-c", "sleep 1000 & echo $!; wait"])
            .stdout(std::process::Stdio::piped());
        let mut child = in_own_group(&mut command).spawn().unwrap();
        let mut line = String::new();
        let mut out = io::BufReader::new(child.stdout.take().unwrap());
        io::BufRead::read_line(&mut out, &mut line).unwrap();
        end_group(&mut child);
        child.wait().unwrap();
        // The pipe reaches its end only after the sleeper, which inherited it, has ended as well.
        assert_eq!(io::Read::read_to_string(&mut out, &mut String::new()).unwrap(), 0);
    }
}
