//! Programs that hold sockets: copies of the running test program, under any name, as any user, in any number.

use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::command::{public_copy, unprivileged};
use crate::namespace::{self, INSIDE, eventually, harness_words};
use crate::oracle;
use crate::peer::Family;

/// Set to the role of the process if it is an actor.
pub(crate) const ROLE: &str = "NETSTAT_TESTKIT_ROLE";

/// The time after which an actor that was left behind ends.
const LIFE: Duration = Duration::from_secs(120);

/// Runs an actor, whose socket is its standard input: it starts as many copies of itself as the role tells, and waits
/// to be killed.
pub(crate) fn act(role: &OsStr) -> ! {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let copies: usize = role.to_str().and_then(|role| role.parse().ok()).unwrap_or(0);
    let program = std::env::current_exe().expect("a running program has a path");
    let _children: Vec<Child> = (0..copies)
        .map(|_| {
            Command::new(&program)
                .arg0(program.file_name().unwrap_or_default().to_string_lossy().into_owned())
                .args(std::env::args_os().skip(1))
                .env(ROLE, "0")
                .stdout(Stdio::null())
                .spawn()
                .expect("an actor can start itself")
        })
        .collect();
    std::thread::sleep(LIFE);
    std::process::exit(0);
}

/// The properties of an actor.
#[derive(Clone, Debug)]
pub struct Actor {
    name: OsString,
    copies: usize,
    unprivileged: bool,
}

impl Default for Actor {
    fn default() -> Self {
        Actor {
            name: "holder".into(),
            copies: 0,
            unprivileged: false,
        }
    }
}

/// A running actor, which is killed when dropped.
#[derive(Debug)]
pub struct Holder {
    child: Child,
    program: PathBuf,
    /// The directory that contains the program file.
    _directory: TempDir,
}

impl Actor {
    /// Creates an actor whose program file has this name, which may contain any bytes but `/` and NUL (UTF-8 for an
    /// unprivileged one).
    pub fn named(name: impl Into<OsString>) -> Actor {
        Actor {
            name: name.into(),
            ..Actor::default()
        }
    }

    /// Makes the actor start this many copies of itself, which inherit the socket.
    pub fn copies(self, copies: usize) -> Actor {
        Actor { copies, ..self }
    }

    /// Makes the actor run without privileges, as [`crate::Netstat::unprivileged`] does.
    pub fn unprivileged(self) -> Actor {
        Actor {
            unprivileged: true,
            ..self
        }
    }

    /// Starts the actor. It and its copies hold `socket`; this process does not any more.
    ///
    /// # Panics
    /// Panics if the actors do not hold the socket within 10 seconds.
    pub fn hold(&self, socket: impl Into<OwnedFd>) -> Holder {
        let socket: OwnedFd = socket.into();
        let inode = oracle::inode(&socket);
        let own = std::env::current_exe().expect("a running program has a path");
        let (directory, program) = public_copy(&own, &self.name);
        let test = namespace::current_test();
        let mut command = if self.unprivileged {
            let words = unprivileged();
            let mut command = namespace::tool(&words[0].to_string_lossy());
            command.args(&words[1..]).arg(&program);
            command
        } else {
            let mut command = Command::new(&program);
            // The test harness refuses to start under a name that is not UTF-8.
            command.arg0(self.name.to_string_lossy().into_owned());
            command
        };
        let child = command
            .args(harness_words(&test))
            .env(INSIDE, &test)
            .env(ROLE, self.copies.to_string())
            .stdin(Stdio::from(socket))
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("an actor can be started");
        // The command keeps its copy of the descriptor until it is dropped.
        drop(command);
        let holder = Holder {
            child,
            program,
            _directory: directory,
        };
        let ready = || {
            let runs =
                |pid: &u32| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|link| link == holder.program);
            oracle::holders(inode).iter().filter(|pid| runs(pid)).count() == 1 + self.copies
        };
        eventually(ready, || {
            format!("{:?} holding socket {inode}: {:?}", self, oracle::holders(inode))
        });
        holder
    }
}

impl Holder {
    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the path of the program file.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Removes the program file while the program is running.
    pub fn delete_program(&self) {
        std::fs::remove_file(&self.program).expect("the file is ours");
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Sends a socket's descriptor over a Unix socket and closes it here. As long as both ends exist, it belongs to no
/// process but is in flight (`SCM_RIGHTS`, unix(7)).
pub fn in_flight(socket: impl Into<OwnedFd>) -> std::io::Result<(UnixStream, UnixStream)> {
    let socket: OwnedFd = socket.into();
    let ends = UnixStream::pair()?;
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let passed = [socket.as_fd()];
    assert!(
        control.push(SendAncillaryMessage::ScmRights(&passed)),
        "there is room for one"
    );
    rustix::net::sendmsg(
        &ends.0,
        &[std::io::IoSlice::new(b"x")],
        &mut control,
        SendFlags::empty(),
    )?;
    Ok(ends)
}

/// Creates two listeners at the same address and port (`SO_REUSEPORT`).
pub fn reuseport_twins(family: Family) -> std::io::Result<[TcpListener; 2]> {
    let loopback = match family {
        Family::V4 => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        Family::V6 => SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 0)),
    };
    let one = |at: SocketAddr| -> std::io::Result<TcpListener> {
        let socket = rustix::net::socket_with(family.raw(), SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        rustix::net::sockopt::set_socket_reuseport(&socket, true)?;
        rustix::net::bind(&socket, &at)?;
        rustix::net::listen(&socket, 8)?;
        Ok(TcpListener::from(socket))
    };
    let first = one(loopback)?;
    let second = one(first.local_addr()?)?;
    Ok([first, second])
}

/// Creates an IPv6 listener that also accepts IPv4, an IPv4 client, and the accepted connection with mapped addresses.
pub fn mapped() -> std::io::Result<(TcpListener, TcpStream, TcpStream)> {
    let listener = dual_stack()?;
    let port = listener.local_addr()?.port();
    let caller = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let (accepted, _) = listener.accept()?;
    Ok((listener, caller, accepted))
}

/// Creates a listener on `[::]` for both families, regardless of `net.ipv6.bindv6only`.
fn dual_stack() -> std::io::Result<TcpListener> {
    let socket = rustix::net::socket_with(Family::V6.raw(), SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::sockopt::set_ipv6_v6only(&socket, false)?;
    rustix::net::bind(&socket, &SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0)))?;
    rustix::net::listen(&socket, 8)?;
    Ok(TcpListener::from(socket))
}

/// Creates four UDP sockets on loopback: unconnected and connected over IPv4, and the same over IPv6.
pub fn udp_sockets() -> std::io::Result<[UdpSocket; 4]> {
    let one = |host: &str, connected: bool| {
        let socket = UdpSocket::bind((host, 0))?;
        if connected {
            socket.connect((host, 9))?;
        }
        std::io::Result::Ok(socket)
    };
    Ok([
        one("127.0.0.1", false)?,
        one("127.0.0.1", true)?,
        one("::1", false)?,
        one("::1", true)?,
    ])
}

/// Sets the type-of-service byte of an IPv4 socket's packets (ip(7)).
pub fn set_tos(socket: &impl AsFd, tos: u8) -> std::io::Result<()> {
    Ok(rustix::net::sockopt::set_ip_tos(socket, tos)?)
}

/// Sets the traffic class of an IPv6 socket's packets (ipv6(7)).
pub fn set_traffic_class(socket: &impl AsFd, class: u8) -> std::io::Result<()> {
    Ok(rustix::net::sockopt::set_ipv6_tclass(socket, class.into())?)
}

/// Creates `count` established TCP connections over addresses of 127.0.0.0/8: two sockets for each, and one listener
/// for every 10,000.
pub fn connections(count: usize) -> std::io::Result<Vec<TcpStream>> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let _ = rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
    let mut ends = Vec::with_capacity(2 * count);
    for first in (0..count).step_by(10_000) {
        let address = Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + (first / 10_000) as u32);
        let listener = TcpListener::bind((address, 0))?;
        for _ in first..count.min(first + 10_000) {
            ends.push(TcpStream::connect(listener.local_addr()?)?);
            ends.push(listener.accept()?.0);
        }
    }
    Ok(ends)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::own_namespace;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn actor_socket_is_held_by_program_and_its_copies_only() {
        own_namespace!();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let inode = oracle::inode(&listener);
        let holder = Actor::named("server").copies(2).hold(listener);
        let all = oracle::holders(inode);
        assert_eq!(all.len(), 3);
        assert!(all.contains(&holder.pid()));
        assert!(!all.contains(&std::process::id()));
        drop(holder);
        eventually(|| oracle::proc_net().is_empty(), || format!("{:?}", oracle::proc_net()));
    }

    #[test]
    fn actor_with_odd_name_and_deleted_file_lives_on() {
        own_namespace!();
        let name = OsString::from_vec(b"a\n\x1b[31mb\xff".to_vec());
        let mut holder = Actor::named(name).hold(TcpListener::bind("127.0.0.1:0").unwrap());
        holder.delete_program();
        std::thread::sleep(Duration::from_millis(200));
        assert!(holder.child.try_wait().unwrap().is_none(), "it lives on");
        let link = std::fs::read_link(format!("/proc/{}/exe", holder.pid())).unwrap();
        assert!(
            link.into_os_string()
                .into_vec()
                .ends_with(b"a\n\x1b[31mb\xff (deleted)")
        );
    }

    #[test]
    fn unprivileged_actor_cannot_see_sockets_of_test() {
        own_namespace!();
        let mine = TcpListener::bind("127.0.0.1:0").unwrap();
        let holder = Actor::default()
            .unprivileged()
            .hold(TcpListener::bind("127.0.0.1:0").unwrap());
        let look = |pid: u32| {
            let words = unprivileged();
            let mut command = namespace::tool(&words[0].to_string_lossy());
            command.args(&words[1..]).args(["ls", "-l", &format!("/proc/{pid}/fd")]);
            crate::command::outcome(&mut command)
        };
        let denied = look(std::process::id());
        assert!(!denied.stdout.contains("socket:"), "{denied:?}");
        assert!(look(holder.pid()).success().contains("socket:"));
        drop(mine);
    }

    #[test]
    fn socket_in_flight_has_no_holder() {
        own_namespace!();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let inode = oracle::inode(&listener);
        let ends = in_flight(listener).unwrap();
        assert_eq!(oracle::proc_net()[0].inode, inode);
        assert_eq!(oracle::holders(inode), [] as [u32; 0]);
        drop(ends);
        eventually(|| oracle::proc_net().is_empty(), || format!("{:?}", oracle::proc_net()));
    }

    #[test]
    fn special_sockets_are_listed_as_made() {
        own_namespace!();
        let twins = reuseport_twins(Family::V6).unwrap();
        let (_listener, caller, accepted) = mapped().unwrap();
        let udp = udp_sockets().unwrap();
        let seen = oracle::proc_net();
        let at = twins[0].local_addr().unwrap();
        assert_eq!(seen.iter().filter(|w| w.row.local == at.into()).count(), 2);
        let accepted = accepted.local_addr().unwrap();
        assert!(
            seen.iter().any(|w| w.row.v6
                && w.row.local == accepted.into()
                && accepted.ip() != caller.local_addr().unwrap().ip())
        );
        assert_eq!(seen.iter().filter(|w| w.row.udp && w.row.foreign.port == 9).count(), 2);
        assert_eq!(seen.iter().filter(|w| w.row.udp).count(), udp.len());
    }

    #[test]
    fn connections_made_have_number_asked_for() {
        own_namespace!();
        let ends = connections(150).unwrap();
        let established = Some(oracle::TcpState::Established);
        assert_eq!(ends.len(), 300);
        assert_eq!(
            oracle::proc_net().iter().filter(|w| w.row.state == established).count(),
            300
        );
    }
}
