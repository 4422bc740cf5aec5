//! Real sockets in every state of RFC 9293.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::{Shutdown, SocketFlags, SocketType};

use crate::namespace::eventually;
use crate::oracle::{self, End, Row, TcpState, Witnessed};
use crate::peer::{ACK, FIN, Family, Flow, Peer, SYN, local_address};

/// The port of all far ends.
pub const FAR_PORT: u16 = 8443;

/// The backlog of listeners.
const BACKLOG: i32 = 16;

/// A socket and how it reached its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The socket as a row.
    pub row: Row,
    /// The inode; 0 if the socket has no descriptor.
    pub inode: u64,
    /// How it reached its state, in words.
    pub story: &'static str,
}

impl Held {
    /// Returns the state; every socket here is a TCP socket.
    pub fn state(&self) -> TcpState {
        self.row.state.expect("TCP sockets have a state")
    }
}

/// Sockets of one family in every state that a socket in the kernel's tables can have, and `BOUND`. They exist until
/// this is dropped.
///
/// CLOSED is not among them: a closed socket has no port and is in no table.
#[derive(Debug)]
pub struct AllStates {
    /// Every socket created.
    pub sockets: Vec<Held>,
    /// The descriptors that keep the sockets open.
    open: Vec<OwnedFd>,
    /// Kept so that its route and address stay in place; the sockets do not need its answers.
    _peer: Peer,
}

/// Creates the sockets.
struct Maker {
    peer: Peer,
    sockets: Vec<Held>,
    open: Vec<OwnedFd>,
    host: u8,
}

impl AllStates {
    /// Creates the sockets in the current network namespace and waits until the kernel shows each in its state.
    ///
    /// # Panics
    /// Panics if the kernel does not reach a state within 10 seconds.
    pub fn make(family: Family) -> io::Result<AllStates> {
        let mut maker = Maker {
            peer: Peer::new(family)?,
            sockets: Vec::new(),
            open: Vec::new(),
            host: 0,
        };
        maker.without_peer()?;
        maker.opening()?;
        maker.closing_by_peer()?;
        maker.closing_first()?;
        let made = AllStates {
            sockets: maker.sockets,
            open: maker.open,
            _peer: maker.peer,
        };
        made.settle();
        Ok(made)
    }

    /// Returns the number of descriptors that keep the sockets open.
    pub fn descriptors(&self) -> usize {
        self.open.len()
    }

    /// Returns the rows, sorted as `netstat` sorts them.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.sockets.iter().map(|held| held.row).collect();
        rows.sort();
        rows
    }

    /// Waits until `/proc/net` shows these sockets; those that are only bound are not listed there.
    fn settle(&self) {
        let told: Vec<&Held> = self
            .sockets
            .iter()
            .filter(|held| held.state() != TcpState::Bound)
            .collect();
        let missing = |seen: &[Witnessed]| {
            let is_there = |held: &&Held| seen.iter().any(|w| w.row == held.row && w.inode == held.inode);
            told.iter().copied().filter(|held| !is_there(held)).collect::<Vec<_>>()
        };
        eventually(
            || missing(&oracle::proc_net()).is_empty(),
            || {
                let seen = oracle::proc_net();
                format!("these sockets: {:#?}\nseen: {seen:#?}", missing(&seen))
            },
        );
    }
}

impl Maker {
    fn far(&mut self) -> SocketAddr {
        self.host += 1;
        SocketAddr::new(self.peer.family().far(self.host), FAR_PORT)
    }

    fn keep(
        &mut self,
        state: TcpState,
        socket: OwnedFd,
        near: SocketAddr,
        far: Option<SocketAddr>,
        story: &'static str,
    ) {
        let inode = oracle::inode(&socket);
        self.open.push(socket);
        self.note(state, inode, near, far, story);
    }

    fn note(&mut self, state: TcpState, inode: u64, near: SocketAddr, far: Option<SocketAddr>, story: &'static str) {
        let v6 = matches!(near.ip(), IpAddr::V6(_));
        let foreign = far.map_or(End::none(near.ip()), End::from);
        let row = Row {
            udp: false,
            v6,
            local: near.into(),
            foreign,
            state: Some(state),
        };
        self.sockets.push(Held { row, inode, story });
    }

    fn bound(&self) -> io::Result<(OwnedFd, SocketAddr)> {
        let family = self.peer.family();
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(family.raw(), SocketType::STREAM, flags, None)?;
        rustix::net::bind(&socket, &SocketAddr::new(family.near(), 0))?;
        let near = local_address(&socket)?;
        Ok((socket, near))
    }

    fn connected(&mut self) -> io::Result<(OwnedFd, Flow)> {
        let far = self.far();
        self.peer.connect(far)
    }

    fn without_peer(&mut self) -> io::Result<()> {
        let (socket, near) = self.bound()?;
        self.keep(TcpState::Bound, socket, near, None, "bound to a port, nothing more");
        let (socket, near) = self.bound()?;
        rustix::net::listen(&socket, BACKLOG)?;
        self.keep(TcpState::Listening, socket, near, None, "a listener nobody called");
        Ok(())
    }

    fn opening(&mut self) -> io::Result<()> {
        let far = self.far();
        let (socket, flow) = self.peer.dial(far)?;
        self.keep(
            TcpState::SynSent,
            socket,
            flow.near,
            Some(far),
            "its SYN is not answered",
        );

        let far = self.far();
        let (socket, mut flow) = self.peer.dial(far)?;
        // A SYN without an acknowledgement: both ends open at once (RFC 9293, 3.5).
        self.peer.send(&mut flow, SYN);
        self.keep(
            TcpState::SynReceived,
            socket,
            flow.near,
            Some(far),
            "both ends called at once",
        );

        let (listener, near) = self.bound()?;
        rustix::net::listen(&listener, BACKLOG)?;
        self.keep(TcpState::Listening, listener, near, None, "a listener with callers");
        let far = self.far();
        let mut flow = Flow::new(near, far);
        self.peer.send(&mut flow, SYN);
        self.peer.wait(&mut flow, SYN | ACK);
        self.note(TcpState::SynReceived, 0, near, Some(far), "its SYN+ACK is not answered");
        let far = self.far();
        let mut flow = Flow::new(near, far);
        self.peer.send(&mut flow, SYN);
        self.peer.wait(&mut flow, SYN | ACK);
        self.peer.send(&mut flow, ACK);
        self.note(TcpState::Established, 0, near, Some(far), "connected, not yet accepted");

        let (socket, flow) = self.connected()?;
        self.keep(TcpState::Established, socket, flow.near, Some(flow.far), "connected");
        Ok(())
    }

    /// Creates sockets whose peer closes the connection first.
    fn closing_by_peer(&mut self) -> io::Result<()> {
        for last in [false, true] {
            let (socket, mut flow) = self.connected()?;
            self.peer.send(&mut flow, FIN | ACK);
            self.peer.wait(&mut flow, ACK);
            if last {
                rustix::net::shutdown(&socket, Shutdown::Write)?;
                self.peer.wait(&mut flow, FIN);
                self.keep(
                    TcpState::LastAck,
                    socket,
                    flow.near,
                    Some(flow.far),
                    "the last ACK is withheld",
                );
            } else {
                self.keep(
                    TcpState::CloseWait,
                    socket,
                    flow.near,
                    Some(flow.far),
                    "the peer has ended its half",
                );
            }
        }
        Ok(())
    }

    /// Creates sockets whose own side closes the connection first.
    fn closing_first(&mut self) -> io::Result<()> {
        let (socket, mut flow) = self.half_closed()?;
        // The FIN is not acknowledged, so that both FINs cross.
        let all_but_fin = flow.expected.wrapping_sub(1);
        self.peer.send_acknowledging(&mut flow, FIN | ACK, all_but_fin);
        self.peer.wait(&mut flow, ACK);
        self.keep(
            TcpState::Closing,
            socket,
            flow.near,
            Some(flow.far),
            "both ends closed at once",
        );

        let (socket, flow) = self.half_closed()?;
        self.keep(
            TcpState::FinWait1,
            socket,
            flow.near,
            Some(flow.far),
            "its FIN is not acknowledged",
        );
        let (socket, flow) = self.half_closed()?;
        drop(socket);
        self.note(
            TcpState::FinWait1,
            0,
            flow.near,
            Some(flow.far),
            "its FIN is not acknowledged; the program has closed it",
        );

        let (socket, mut flow) = self.half_closed()?;
        self.peer.send(&mut flow, ACK);
        self.keep(
            TcpState::FinWait2,
            socket,
            flow.near,
            Some(flow.far),
            "only the peer's FIN is missing",
        );
        let (socket, mut flow) = self.half_closed()?;
        self.peer.send(&mut flow, ACK);
        drop(socket);
        self.note(
            TcpState::FinWait2,
            0,
            flow.near,
            Some(flow.far),
            "only the peer's FIN is missing; the program has closed it",
        );

        let (socket, mut flow) = self.half_closed()?;
        self.peer.send(&mut flow, ACK);
        self.peer.send(&mut flow, FIN | ACK);
        self.peer.wait(&mut flow, ACK);
        self.note(
            TcpState::TimeWait,
            0,
            flow.near,
            Some(flow.far),
            "over, kept against late segments",
        );
        // The descriptor remains, but refers to a closed socket now.
        self.open.push(socket);
        Ok(())
    }

    fn half_closed(&mut self) -> io::Result<(OwnedFd, Flow)> {
        let (socket, mut flow) = self.connected()?;
        rustix::net::shutdown(&socket, Shutdown::Write)?;
        self.peer.wait(&mut flow, FIN);
        Ok((socket, flow))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{have, own_namespace};

    /// The states that a row of the kernel's tables can have.
    const IN_TABLES: [TcpState; 10] = [
        TcpState::Established,
        TcpState::SynSent,
        TcpState::SynReceived,
        TcpState::FinWait1,
        TcpState::FinWait2,
        TcpState::TimeWait,
        TcpState::CloseWait,
        TcpState::LastAck,
        TcpState::Listening,
        TcpState::Closing,
    ];

    fn proven(family: Family) {
        let made = AllStates::make(family).unwrap();
        for state in IN_TABLES.into_iter().chain([TcpState::Bound]) {
            assert!(made.sockets.iter().any(|held| held.state() == state), "{state:?}");
        }
        let told: Vec<Row> = made
            .rows()
            .into_iter()
            .filter(|row| row.state != Some(TcpState::Bound))
            .collect();
        assert_eq!(oracle::rows(&oracle::proc_net()), told);
        if have("ss") {
            let seen: Vec<Witnessed> = oracle::ss()
                .into_iter()
                .filter(|w| w.row.state != Some(TcpState::Bound))
                .collect();
            assert_eq!(oracle::rows(&seen), told);
            for held in made.sockets.iter().filter(|held| held.state() != TcpState::Bound) {
                let witness = seen.iter().find(|w| w.row == held.row).unwrap();
                assert_eq!(witness.inode, held.inode, "{}", held.story);
            }
        }
    }

    #[test]
    fn tcp_states_of_ipv4_can_all_be_made() {
        own_namespace!();
        proven(Family::V4);
    }

    #[test]
    fn tcp_states_of_ipv6_can_all_be_made() {
        own_namespace!();
        proven(Family::V6);
    }
}
