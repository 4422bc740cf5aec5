//! Opens sockets of every kind that a listing tells apart, prints each and its own process id, and keeps them until standard input ends or
//! says `go`: then it opens one more connection and closes it at the next line. For tests of whole commands on systems where the test kit
//! does not work.
//!
//! `hold_sockets ADDRESS:PORT HOST` also listens there, and connects to that port of HOST. `code` behind it: holds memory that may be
//! written and executed, too (Windows).

use std::io::{self, BufRead, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

/// Takes a page that may be written and executed, as injected code has it, and keeps it.
#[cfg(windows)]
fn hold_code() -> io::Result<()> {
    use windows_sys::Win32::System::Memory::{MEM_COMMIT, MEM_RESERVE, PAGE_EXECUTE_READWRITE, VirtualAlloc};
    // SAFETY: the system chooses the address of new memory.
    let page = unsafe {
        VirtualAlloc(
            std::ptr::null(),
            65_536,
            MEM_COMMIT | MEM_RESERVE,
            PAGE_EXECUTE_READWRITE,
        )
    };
    match page.is_null() {
        true => Err(io::Error::last_os_error()),
        false => Ok(()),
    }
}

#[cfg(not(windows))]
fn hold_code() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn main() -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "pid {}", std::process::id())?;
    let mut kept: Vec<(TcpListener, TcpStream, TcpStream)> = Vec::new();
    let mut datagrams: Vec<UdpSocket> = Vec::new();
    for host in ["127.0.0.1", "[::1]"] {
        let listener = TcpListener::bind(format!("{host}:0"))?;
        let address = listener.local_addr()?;
        // Wine knows the owner of a socket once an option of it was set.
        listener.set_ttl(64)?;
        let near = TcpStream::connect(address)?;
        let (far, _) = listener.accept()?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        writeln!(out, "listening {address}")?;
        writeln!(out, "connection {} {address}", near.local_addr()?)?;
        kept.push((listener, near, far));
        let alone = UdpSocket::bind(format!("{host}:0"))?;
        let connected = UdpSocket::bind(format!("{host}:0"))?;
        alone.set_broadcast(false)?;
        connected.set_broadcast(false)?;
        connected.connect(alone.local_addr()?)?;
        writeln!(out, "udp {}", alone.local_addr()?)?;
        writeln!(out, "udp-connected {} {}", connected.local_addr()?, alone.local_addr()?)?;
        datagrams.extend([alone, connected]);
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [listen, host, rest @ ..] = words.as_slice() {
        let listener = TcpListener::bind(listen)?;
        listener.set_ttl(64)?;
        let near = TcpStream::connect((host.as_str(), listener.local_addr()?.port()))?;
        let (far, _) = listener.accept()?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        kept.push((listener, near, far));
        if rest.iter().any(|word| word == "code") {
            hold_code()?;
        }
    }
    writeln!(out, "ready")?;
    out.flush()?;
    let target: SocketAddr = kept[0].0.local_addr()?;
    let mut extra: Option<(TcpStream, TcpStream)> = None;
    for line in io::stdin().lock().lines() {
        match line?.trim() {
            "go" => {
                let near = TcpStream::connect(target)?;
                let (far, _) = kept[0].0.accept()?;
                writeln!(out, "opened {}", near.local_addr()?)?;
                extra = Some((near, far));
            }
            _ => {
                extra.take();
                writeln!(out, "closed")?;
            }
        }
        out.flush()?;
    }
    Ok(())
}
