//! Which sockets have ended.

use std::net::{TcpListener, TcpStream, UdpSocket};

use netstat_model::{Socket, State};
use netstat_os::linux::sockets::SocketReader;
use netstat_testkit::own_namespace;

use super::everything;

/// The socket with this local port; there is one, the kernel having chosen the port.
fn with_port(sockets: &[Socket], port: u16, state: State) -> &Socket {
    let mut found = sockets
        .iter()
        .filter(|socket| socket.local().port == port && socket.state() == state);
    found
        .next()
        .unwrap_or_else(|| panic!("no {} socket at port {port}", state.name()))
}

#[test]
fn ended_sockets_are_distinguished_from_present_ones() {
    // Alone in its process: a program that another test starts holds every descriptor for a moment.
    own_namespace!();
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(listener) = TcpListener::bind(address) else {
            netstat_testkit::skip(
                "ended_sockets_are_distinguished_from_present_ones",
                &format!("no loopback address {address} here"),
            );
            continue;
        };
        let at = listener.local_addr().unwrap();
        let (kept, ended) = (TcpStream::connect(at).unwrap(), TcpStream::connect(at).unwrap());
        let (other_kept, _) = listener.accept().unwrap();
        let (other_ended, _) = listener.accept().unwrap();
        let (udp, udp_ended) = (UdpSocket::bind(address).unwrap(), UdpSocket::bind(address).unwrap());
        let mut reader = SocketReader::new("/proc");
        let sockets = everything(&mut reader).sockets;
        let port = |socket: &TcpStream| socket.local_addr().unwrap().port();
        let udp_port = |socket: &UdpSocket| socket.local_addr().unwrap().port();
        let asked = [
            with_port(&sockets, at.port(), State::Listening),
            with_port(&sockets, port(&kept), State::Established),
            with_port(&sockets, port(&ended), State::Established),
            with_port(&sockets, udp_port(&udp), State::Closed),
            with_port(&sockets, udp_port(&udp_ended), State::Closed),
        ];
        assert_eq!(reader.still_there(&asked), Some(vec![true; 5]));
        // The side that closes first lives on in TIME_WAIT, which is another socket to the kernel.
        drop((ended, other_ended, udp_ended));
        assert_eq!(reader.still_there(&asked), Some(vec![true, true, false, true, false]));
        drop((listener, other_kept));
        assert_eq!(reader.still_there(&asked[..1]), Some(vec![false]));
    }
}
