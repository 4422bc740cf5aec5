//! Sockets of all network namespaces, compared with `ss` in each.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command};

use netstat_model::{FoundBy, Namespace, NamespaceLabel, Owner, Protocol, Socket, State};
use netstat_os::linux::sockets::SocketReader;
use netstat_os::{Native, NotDestroyed, OwnerSource, OwnersAsk, SocketAsk, SocketList, System};
use netstat_testkit::{Needs, eventually, have, namespace, oracle, own_namespace, skip};
use rustix::thread::{
    CapabilitySet, LinkNameSpaceType, UnshareFlags, capabilities, move_into_link_name_space, set_capabilities,
};

use super::{every_kind, read};

/// A process that ends with the test.
struct Sleeper(Child);

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Does something in the namespace that `file` stands for, with its loopback interface up.
fn inside<T: Send>(file: &Path, act: impl FnOnce() -> T + Send) -> T {
    let file = File::open(file).unwrap();
    std::thread::scope(|scope| {
        let work = || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            netstat_testkit::netlink::link_up(netstat_testkit::netlink::LOOPBACK, false).unwrap();
            act()
        };
        scope.spawn(work).join().unwrap()
    })
}

/// A network namespace with this name in `/run/netns`, as `ip netns add` makes it, without a process in it.
fn named(name: &str) -> std::path::PathBuf {
    let path = Path::new("/run/netns").join(name);
    File::create(&path).unwrap();
    std::thread::scope(|scope| {
        let work = || {
            // SAFETY: this thread shares nothing of what it gives up but the network, and does nothing afterwards.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.unwrap();
            rustix::mount::mount_bind("/proc/thread-self/ns/net", &path).unwrap();
        };
        scope.spawn(work).join().unwrap();
    });
    path
}

fn connection(listener: &TcpListener) -> [TcpStream; 2] {
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    [near, listener.accept().unwrap().0]
}

/// Local ports and states of the TCP sockets that `ss` sees in a namespace.
fn witnessed(file: &Path) -> Vec<(u16, bool)> {
    let output = namespace::tool("nsenter")
        .arg(format!("--net={}", file.display()))
        .args(["ss", "-tanH"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut rows: Vec<(u16, bool)> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let port = words[3].rsplit(':').next().unwrap().parse().unwrap();
            (port, words[0] == "LISTEN")
        })
        .collect();
    rows.sort_unstable();
    rows
}

fn ours(list: &SocketList, index: usize) -> Vec<(u16, bool)> {
    let own = |socket: &&Socket| socket.namespace() as usize == index && socket.protocol() == Protocol::Tcp;
    let mut rows: Vec<(u16, bool)> = list
        .sockets
        .iter()
        .filter(own)
        .map(|socket| (socket.local().port, socket.state() == State::Listening))
        .collect();
    rows.sort_unstable();
    rows
}

fn all() -> SocketAsk {
    SocketAsk {
        all_namespaces: true,
        ..every_kind()
    }
}

/// A place for `/run/netns` that is not the computer's own.
fn own_run() -> bool {
    match rustix::mount::mount("none", "/run", "tmpfs", rustix::mount::MountFlags::empty(), None) {
        Ok(()) => {
            std::fs::create_dir("/run/netns").unwrap();
            true
        }
        Err(error) => {
            skip("namespaces", &format!("no file system can be mounted: {error}"));
            false
        }
    }
}

#[test]
fn sockets_of_three_namespaces_agree_with_ss() {
    own_namespace!(Needs::PROCESSES);
    if !(own_run() && have("ss") && have("nsenter")) {
        return;
    }
    let (web, data) = (named("web"), named("da ta"));
    // One without a name, known by its process.
    let child = Command::new("unshare").args(["-n", "sleep", "60"]).spawn().unwrap();
    let sleeper = Sleeper(child);
    let pid = sleeper.0.id();
    let third = Path::new("/proc").join(pid.to_string()).join("ns/net");
    let own = std::fs::metadata("/proc/thread-self/ns/net").unwrap().ino();
    let inode = |path: &Path| std::fs::metadata(path).map(|file| file.ino()).unwrap_or(own);
    let comm = || std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    eventually(
        || inode(&third) != own && comm() == "sleep\n",
        || "unshare does not start".to_owned(),
    );
    // The same port everywhere: only the namespaces tell the sockets apart.
    let here = TcpListener::bind("127.0.0.1:7777").unwrap();
    let listen = || TcpListener::bind("127.0.0.1:7777").unwrap();
    let (in_web, in_data) = (inside(&web, listen), inside(&data, listen));
    let ends = inside(&web, || connection(&in_web));
    let in_third = inside(&third, || TcpListener::bind("127.0.0.1:7778").unwrap());

    let mut system = Native::default();
    let mut list = SocketList::default();
    system.sockets(&all(), &mut list);
    assert!(!list.failed, "{:?}", list.limits);
    let places: BTreeMap<u64, (usize, &Namespace)> = list
        .namespaces
        .iter()
        .enumerate()
        .map(|(index, namespace)| (namespace.inode, (index, namespace)))
        .collect();
    assert_eq!(places.len(), 4, "{:?}", list.namespaces);
    assert!(list.namespaces[0].own && list.namespaces[0].inode == own);
    assert_eq!(list.namespaces.iter().filter(|namespace| namespace.own).count(), 1);
    for (path, label) in [
        (&web, NamespaceLabel::Name(b"web".to_vec())),
        (&data, NamespaceLabel::Name(b"da ta".to_vec())),
        (
            &third,
            NamespaceLabel::Process {
                pid,
                comm: b"sleep".to_vec(),
            },
        ),
    ] {
        let (index, namespace) = places[&inode(path)];
        // The machine's own groups may have put the test into a unit or container.
        assert!(
            namespace.label == label || matches!(namespace.label, NamespaceLabel::Component(_)),
            "{namespace:?}"
        );
        assert_eq!(ours(&list, index), witnessed(path), "{label:?}");
    }
    assert_eq!(ours(&list, 0), [(7777, true)]);
    // What an index stands for is asked in its own namespace; the loopback interface is the first of each.
    for index in 0..4 {
        assert_eq!(system.interface_name(index, 1), Some(b"lo".to_vec()));
        assert_eq!(system.interface_name(index, 4711), None);
    }
    // Inodes are unique on the whole computer, so that owners need no namespace.
    let mut inodes: Vec<_> = list.sockets.iter().filter_map(Socket::inode).collect();
    let count = inodes.len();
    inodes.sort_unstable();
    inodes.dedup();
    assert_eq!(inodes.len(), count);
    for source in [OwnerSource::Walk, OwnerSource::Iterator] {
        let ask = OwnersAsk {
            source,
            ..OwnersAsk::default()
        };
        let Ok(found) = system.owners(&list.sockets, &ask) else {
            continue;
        };
        for listener in [&here, &in_web, &in_data, &in_third] {
            let socket = find(&list.sockets, listener);
            match found.owners.of(socket) {
                Owner::Held(holders) => assert_eq!(holders.first().pid, std::process::id()),
                other => panic!("{other:?}"),
            }
            assert!(matches!(
                found.owners.found_by(socket).known(),
                Some(FoundBy::Walk | FoundBy::Iterator)
            ));
        }
    }
    // What ended there is told from what is there, and what is there can be closed.
    let mut reader = SocketReader::new("/proc");
    let list = read(&mut reader, &all());
    let asked = [&in_web, &in_data, &in_third, &here].map(|listener| find(&list.sockets, listener));
    assert_eq!(reader.still_there(&asked), Some(vec![true; 4]));
    drop(in_data);
    assert_eq!(reader.still_there(&asked), Some(vec![true, false, true, true]));
    match reader.destroy(find(&list.sockets, &ends[0])) {
        Ok(()) => assert!(std::io::Read::read(&mut &ends[0], &mut [0]).is_err()),
        Err(refused) => assert_eq!(refused, NotDestroyed::NotSupported),
    }
    // Only the own one is read where no others were asked for.
    let list = read(&mut reader, &every_kind());
    assert!(list.namespaces.is_empty() && ours(&list, 0) == [(7777, true)]);
    // A namespace that nobody holds any more is gone, though it was read before.
    drop((in_web, ends));
    rustix::mount::unmount(&web, rustix::mount::UnmountFlags::DETACH).unwrap();
    let list = read(&mut reader, &all());
    assert!(
        list.namespaces
            .iter()
            .all(|namespace| namespace.label != NamespaceLabel::Name(b"web".to_vec()))
    );
}

fn find<'a>(sockets: &'a [Socket], made: &impl AsFd) -> &'a Socket {
    let inode = oracle::inode(made);
    sockets
        .iter()
        .find(|socket| socket.inode().is_some_and(|own| u64::from(own.get()) == inode))
        .unwrap()
}

#[test]
fn namespace_that_may_not_be_entered_is_reported() {
    own_namespace!(Needs::PROCESSES);
    if !own_run() {
        return;
    }
    let closed = named("closed");
    let _listener = inside(&closed, || TcpListener::bind("127.0.0.1:7777").unwrap());
    let here = TcpListener::bind("127.0.0.1:7776").unwrap();
    let list = std::thread::scope(|scope| {
        let work = || {
            let mut sets = capabilities(None).unwrap();
            sets.effective.remove(CapabilitySet::SYS_ADMIN);
            set_capabilities(None, sets).unwrap();
            read(&mut SocketReader::new("/proc"), &all())
        };
        scope.spawn(work).join().unwrap()
    });
    assert_eq!(ours(&list, 0), [(here.local_addr().unwrap().port(), true)]);
    assert_eq!(list.namespaces.len(), 2, "{:?}", list.namespaces);
    let limit = list
        .limits
        .iter()
        .find(|limit| limit.what.contains("namespace closed"))
        .unwrap();
    assert_eq!(limit.what, "sockets of the network namespace closed are missing");
    assert_eq!(limit.why, "it may not be entered without CAP_SYS_ADMIN");
}
