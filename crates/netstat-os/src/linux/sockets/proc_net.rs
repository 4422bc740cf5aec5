//! Sockets from the text tables `/proc/net/{tcp,udp,raw,icmp}` and their IPv6 counterparts. They are used if netlink is
//! refused, and for ping sockets, which netlink does not list.
//!
//! For the format, see `Documentation/networking/proc_net_tcp.rst`. Addresses are 32-bit words in host byte order,
//! written in hexadecimal (`get_tcp4_sock`, `get_tcp6_sock` in `net/ipv4/tcp_ipv4.c` and `net/ipv6/tcp_ipv6.c`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netstat_model::{Detail, Extra, Extras, Fact, Family, Protocol, Socket, SocketFacts, State, Why};

/// The error for a line that does not have the documented format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not in the documented form")]
pub struct BadLine {
    /// The number of the line, starting at 1.
    pub line: usize,
}

/// Parses a whole table and passes each socket to `found`.
///
/// The table contains neither the interface that a socket is bound to, nor its cookie, nor the limit of an accept
/// queue, nor sockets that are only bound.
///
/// # Errors
/// Returns the first line that cannot be parsed; the sockets in the lines before it have been passed to `found`.
pub fn parse(
    table: &[u8],
    protocol: Protocol,
    family: Family,
    extras: Extras,
    found: &mut dyn FnMut(Socket),
) -> Result<(), BadLine> {
    parse_lines(table, protocol, family, &mut |facts| {
        let socket = Socket::new(&facts);
        found(match extras.is_empty() {
            true => socket,
            false => socket.with_extra(no_extra(extras)),
        });
    })
}

fn parse_lines(
    table: &[u8],
    protocol: Protocol,
    family: Family,
    found: &mut dyn FnMut(SocketFacts),
) -> Result<(), BadLine> {
    // The first line contains the headings.
    for (index, line) in table.split(|&byte| byte == b'\n').enumerate().skip(1) {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let facts = parse_line(line, protocol, family).ok_or(BadLine { line: index + 1 })?;
        if let Some(facts) = facts {
            found(facts);
        }
    }
    Ok(())
}

/// Parses the whole table `icmp` or `icmp6` of ping sockets, which allow `ping` to work without privileges. The kernel
/// reports the identifier of their echo requests as the port.
///
/// # Errors
/// Same as for [`parse`].
pub fn parse_ping(table: &[u8], family: Family, extras: Extras, found: &mut dyn FnMut(Socket)) -> Result<(), BadLine> {
    /// The protocol numbers of ICMP and ICMPv6 (IANA, Protocol Numbers).
    const ICMP: u16 = 1;
    const ICMP_V6: u16 = 58;
    parse_lines(table, Protocol::Raw, family, &mut |mut facts| {
        let identifier = facts.local_port;
        facts.local_port = if family == Family::V6 { ICMP_V6 } else { ICMP };
        let socket = Socket::new(&facts).with_detail(Detail::Ping { identifier });
        found(match extras.is_empty() {
            true => socket,
            false => socket.with_extra(no_extra(extras)),
        });
    })
}

/// Returns the facts that the tables do not contain, all unknown.
fn no_extra(extras: Extras) -> Extra {
    const WHY: Why = Why::NotSupported;
    let mut extra = Extra::default();
    if extras.contains(Extras::BASIC) {
        extra.time_in_state = Fact::Unknown(WHY);
        extra.tos = Fact::Unknown(WHY);
        extra.timer = Fact::Unknown(WHY);
        extra.mark = Fact::Unknown(WHY);
        extra.cgroup = Fact::Unknown(WHY);
        extra.v6_only = Fact::Unknown(WHY);
    }
    if extras.contains(Extras::TCP) {
        extra.tcp = Fact::Unknown(WHY);
        extra.mptcp = Fact::Unknown(WHY);
        extra.upper_layer = Fact::Unknown(WHY);
    }
    if extras.contains(Extras::CONGESTION) {
        extra.congestion = Fact::Unknown(WHY);
    }
    if extras.contains(Extras::MEMORY) {
        extra.memory = Fact::Unknown(WHY);
    }
    extra
}

/// Parses a line; `Some(None)` for a state that is not shown.
fn parse_line(line: &[u8], protocol: Protocol, family: Family) -> Option<Option<SocketFacts>> {
    let mut fields = line.split(|&byte| byte == b' ').filter(|field| !field.is_empty());
    fields.next()?.strip_suffix(b":")?;
    let (local, local_port) = endpoint(fields.next()?, family)?;
    let (foreign, foreign_port) = endpoint(fields.next()?, family)?;
    let state = u8::try_from(hexadecimal(fields.next()?)?).ok()?;
    let (send, receive) = pair(fields.next()?)?;
    let timer = pair(fields.next()?)?.0;
    fields.next()?;
    let user = decimal(fields.next()?)?;
    fields.next()?;
    let inode = decimal(fields.next()?)?;
    let Some(state) = super::state(protocol, state) else {
        return Some(None);
    };
    // Timer 3 is that of TIME_WAIT. Such a socket has no user; the column is 0.
    let no_user = timer == 3 || state == State::TimeWait;
    // For a listener, the column is not the limit of the accept queue.
    let send_queue = (state != State::Listening).then_some(send);
    Some(Some(SocketFacts {
        protocol,
        family,
        state,
        local,
        local_port,
        foreign,
        foreign_port,
        interface: 0,
        inode,
        user: (!no_user).then_some(user),
        cookie: None,
        receive_queue: receive,
        send_queue,
    }))
}

/// Parses `0100007F:1F90`, or 32 digits for IPv6.
fn endpoint(field: &[u8], family: Family) -> Option<(IpAddr, u16)> {
    let digits = match family {
        Family::V6 => 32,
        _ => 8,
    };
    let (address, port) = field.split_at_checked(digits)?;
    let port = u16::try_from(hexadecimal(port.strip_prefix(b":")?)?).ok()?;
    let mut bytes = [0u8; 16];
    for (word, out) in address.chunks_exact(8).zip(bytes.chunks_exact_mut(4)) {
        out.copy_from_slice(&hexadecimal(word)?.to_ne_bytes());
    }
    let address = match family {
        Family::V6 => IpAddr::V6(Ipv6Addr::from(bytes)),
        _ => IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
    };
    Some((address, port))
}

/// Parses two hexadecimal numbers separated by a colon.
fn pair(field: &[u8]) -> Option<(u32, u32)> {
    let colon = field.iter().position(|&byte| byte == b':')?;
    Some((hexadecimal(&field[..colon])?, hexadecimal(&field[colon + 1..])?))
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    digits
        .iter()
        .try_fold(0u32, |sum, &digit| Some(sum << 4 | (digit as char).to_digit(16)?))
}

fn decimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u32, |sum, &digit| {
        sum.checked_mul(10)?.checked_add((digit as char).to_digit(10)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse_all(text: &str, protocol: Protocol, family: Family) -> Result<Vec<Socket>, BadLine> {
        let mut sockets = Vec::new();
        parse(text.as_bytes(), protocol, family, Extras::NONE, &mut |socket| {
            sockets.push(socket)
        })?;
        Ok(sockets)
    }

    /// Formats `bytes` as the kernel does on this machine.
    fn words(bytes: &[u8]) -> String {
        bytes
            .chunks(4)
            .map(|word| format!("{:08X}", u32::from_ne_bytes(word.try_into().unwrap())))
            .collect()
    }

    #[test]
    fn tcp_lines_are_read() {
        let local = words(&[127, 0, 0, 1]);
        let text = format!(
            "  sl  local_address rem_address   st\n\
               0: {local}:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000  1000        0 4242 1 0 100 0 0 10 0\n\
               1: {local}:1F90 {local}:C350 06 00000000:00000000 03:00001770 00000000     0        0 0 3 0\n"
        );
        let sockets = parse_all(&text, Protocol::Tcp, Family::V4).unwrap();
        assert_eq!(sockets[0].state(), State::Listening);
        assert_eq!(sockets[0].local().port, 8080);
        assert_eq!(sockets[0].local().address, IpAddr::from([127, 0, 0, 1]));
        assert_eq!((sockets[0].receive_queue(), sockets[0].send_queue().known()), (3, None));
        assert_eq!(
            (sockets[0].user(), sockets[0].inode().unwrap().get()),
            (Fact::Known(1000), 4242)
        );
        assert_eq!(
            (sockets[1].state(), sockets[1].user().known(), sockets[1].inode()),
            (State::TimeWait, None, None)
        );
        assert_eq!(sockets[1].foreign().port, 50000);
    }

    #[test]
    fn udp6_lines_are_read() {
        let address: Ipv6Addr = "fe80::1:2".parse().unwrap();
        let text = format!(
            "heading\n  12: {}:0035 {}:0000 07 00000000:00000000 00:00000000 00000000     0        0 77 2 0 0\n",
            words(&address.octets()),
            words(&[0; 16]),
        );
        let sockets = parse_all(&text, Protocol::Udp, Family::V6).unwrap();
        assert_eq!(sockets[0].local().address, IpAddr::V6(address));
        assert!(!sockets[0].is_connected());
    }

    #[test]
    fn ping_sockets_are_read_as_raw() {
        let text = format!(
            "heading\n    7: {}:1234 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 88 2 0 0\n",
            words(&[0; 4]),
        );
        let mut sockets = Vec::new();
        parse_ping(text.as_bytes(), Family::V4, Extras::NONE, &mut |socket| {
            sockets.push(socket)
        })
        .unwrap();
        assert_eq!((sockets[0].protocol(), sockets[0].local().port), (Protocol::Raw, 1));
        assert_eq!(sockets[0].detail(), Some(&Detail::Ping { identifier: 0x1234 }));
    }

    #[test]
    fn bad_line_is_error_with_its_number() {
        assert_eq!(
            parse_all("h\nrubbish\n", Protocol::Tcp, Family::V4),
            Err(BadLine { line: 2 })
        );
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "[0-9A-F: \n]{0,300}", bytes: Vec<u8>) {
            let _ = parse_all(&format!("h\n{text}"), Protocol::Tcp, Family::V6);
            let mut table = b"h\n".to_vec();
            table.extend(bytes);
            let _ = parse(&table, Protocol::Udp, Family::V4, Extras::ALL, &mut |_| {});
            let _ = parse_ping(&table, Family::V6, Extras::ALL, &mut |_| {});
        }
    }
}
