//! Ways to notify other programs: datagrams to the system's log, and helper programs that can be ended whole.

use std::io;
use std::path::Path;
use std::process::{Child, Command};

/// Sends `bytes` as one datagram to the Unix-domain socket at `path`, without waiting where its queue is full.
///
/// # Errors
/// The system's; [`io::ErrorKind::Unsupported`] where there are no such sockets.
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

/// Makes the program that `command` starts the first of a process group of its own, so that [`end_group`] ends what it started, too.
pub fn in_own_group(command: &mut Command) -> &mut Command {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    command
}

/// Ends a program that [`in_own_group`] was applied to, with all that it started and that stayed in its process group. It must not have
/// been waited for yet: until then its id is not used again.
pub fn end_group(child: &mut Child) {
    #[cfg(unix)]
    // It may have ended meanwhile.
    let _ = rustix::process::kill_process_group(rustix::process::Pid::from_child(child), rustix::process::Signal::KILL);
    // Where there are no groups, and where the group could not be formed.
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
        // Its output is closed once the sleeper, which inherited it, has ended as well.
        assert_eq!(io::Read::read_to_string(&mut out, &mut String::new()).unwrap(), 0);
    }
}
