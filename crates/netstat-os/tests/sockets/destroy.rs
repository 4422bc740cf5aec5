//! Closing a connection for its program.

use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use netstat_os::NotDestroyed;
use netstat_os::linux::sockets::SocketReader;
use netstat_testkit::{own_namespace, skip};

use super::{everything, of, without_net_admin};

#[test]
fn destroy_ends_chosen_connection_and_no_other() {
    own_namespace!();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = || {
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    };
    let (mut near, mut far) = connect();
    let (other_near, _other_far) = connect();
    let mut reader = SocketReader::new("/proc");
    let list = everything(&mut reader);
    let socket = of(&list, &near).clone();
    let forbidden = without_net_admin(|| {
        let mut reader = SocketReader::new("/proc");
        everything(&mut reader);
        reader.destroy(&socket)
    });
    assert_eq!(forbidden, Err(NotDestroyed::NotPermitted));
    match reader.destroy(&socket) {
        Err(NotDestroyed::NotSupported) => return skip("destroy", "CONFIG_INET_DIAG_DESTROY is not set"),
        outcome => assert_eq!(outcome, Ok(())),
    }
    assert_eq!(near.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionAborted);
    assert_eq!(far.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(reader.destroy(&socket), Err(NotDestroyed::Gone));
    let list = everything(&mut reader);
    let other = of(&list, &other_near);
    assert_eq!(reader.still_there(&[other]), Some(vec![true]));
}

#[test]
fn destroy_of_gone_socket_leaves_new_one_at_same_address() {
    own_namespace!();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut reader = SocketReader::new("/proc");
    let old = of(&everything(&mut reader), &listener).clone();
    drop(listener);
    let new = TcpListener::bind(address).unwrap();
    assert_eq!(reader.destroy(&old), Err(NotDestroyed::Gone));
    let list = everything(&mut reader);
    assert_eq!(of(&list, &new).local().port, address.port());
}

#[test]
fn destroy_of_unix_socket_is_refused() {
    own_namespace!();
    let (one, _other) = UnixStream::pair().unwrap();
    let mut reader = SocketReader::new("/proc");
    let list = everything(&mut reader);
    assert_eq!(reader.destroy(of(&list, &one)), Err(NotDestroyed::Kind));
}
