//! A small name server for reverse lookups over UDP, which can be slow, silent, wrong or hostile.
//!
//! It supports only what a resolver needs to accept an answer (RFC 1035, 4): one question, and at most one PTR record.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often the server checks whether it should end and whether a delayed answer is due.
const TICK: Duration = Duration::from_millis(1);

/// The type of PTR records (RFC 1035, 3.2.2).
const TYPE_PTR: [u8; 2] = [0, 12];
/// The class of the Internet (RFC 1035, 3.2.4).
const CLASS_IN: [u8; 2] = [0, 1];
/// The length of a message header (RFC 1035, 4.1.1).
const HEADER: usize = 12;

/// The server's answer about an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A PTR record with this name, split at its dots.
    Name(String),
    /// A PTR record with exactly these labels, whatever they contain, of at most 63 bytes each.
    Labels(Vec<Vec<u8>>),
    /// The name does not exist (NXDOMAIN).
    NoName,
    /// The name exists, but has no PTR record.
    NoData,
    /// The server has failed (SERVFAIL).
    ServerFailure,
    /// No answer at all.
    Silence,
    /// A PTR record whose name is a compression pointer to itself (RFC 1035, 4.1.4).
    PointerLoop,
    /// A PTR record that is truncated in the middle of its name.
    Cut,
    /// The query's identifier, followed by these bytes.
    Garbage(Vec<u8>),
}

/// How a server answers about every address, and how long each answer takes. Delays do not add up: a thousand
/// simultaneous queries are all answered one delay later.
#[derive(Clone)]
pub struct Behaviour {
    delay: Duration,
    reply: Arc<dyn Fn(IpAddr) -> Reply + Send + Sync>,
}

impl fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Behaviour")
            .field("delay", &self.delay)
            .finish_non_exhaustive()
    }
}

impl Behaviour {
    /// Answers immediately with what `reply` returns.
    pub fn with(reply: impl Fn(IpAddr) -> Reply + Send + Sync + 'static) -> Self {
        Behaviour {
            delay: Duration::ZERO,
            reply: Arc::new(reply),
        }
    }

    /// Delays each answer by `delay`.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Answers with the name that [`name_for`] gives to any address, after `delay`.
    pub fn slow(delay: Duration) -> Self {
        Self::with(|address| Reply::Name(name_for(address))).after(delay)
    }

    /// Never answers.
    pub fn dead() -> Self {
        Self::with(|_| Reply::Silence)
    }

    /// Answers that no address has a name.
    pub fn nxdomain() -> Self {
        Self::with(|_| Reply::NoName)
    }

    /// Answers for these addresses as given, and that no other has a name.
    pub fn ptr(replies: HashMap<IpAddr, Reply>) -> Self {
        Self::with(move |address| replies.get(&address).cloned().unwrap_or(Reply::NoName))
    }
}

/// Returns the name that [`Behaviour::slow`] gives to an address: `host-` and the address with hyphens, under `test`.
pub fn name_for(address: IpAddr) -> String {
    format!("host-{}.test", address.to_string().replace(['.', ':'], "-"))
}

/// Answers every query at 127.0.0.1:53 with one A record of `address`, until the process ends.
///
/// # Errors
/// Returns an error if the socket cannot be bound or the thread cannot be started.
pub fn serve_address(address: Ipv4Addr) -> io::Result<()> {
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53))?;
    let serve = move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = server.recv_from(&mut query) {
            let mut answer = query[..length].to_vec();
            if length < HEADER {
                continue;
            }
            // An answer with one record whose name is the question's (RFC 1035, 4.1.1 and 4.1.4).
            answer[2..4].copy_from_slice(&[0x81, 0x80]);
            answer[6..8].copy_from_slice(&[0, 1]);
            answer[8..12].fill(0);
            answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            answer.extend(address.octets());
            let _ = server.send_to(&answer, from);
        }
    };
    thread::Builder::new().spawn(serve).map(drop)
}

/// Queries the server at 127.0.0.1:53 for the addresses of `name`, and waits for its answer.
///
/// # Errors
/// Returns an error if the server cannot be reached.
pub fn ask_for(name: &str) -> io::Result<()> {
    let mut message = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap_or(63));
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.send_to(&message, (Ipv4Addr::LOCALHOST, 53))?;
    socket.recv(&mut [0; 512]).map(drop)
}

/// A name server that runs until it is dropped.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<IpAddr>>>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    /// Starts to serve at `address`; port 0 selects a free one.
    ///
    /// # Errors
    /// Returns an error if the socket cannot be bound.
    pub fn start(address: SocketAddr, behaviour: Behaviour) -> io::Result<Self> {
        let socket = UdpSocket::bind(address)?;
        socket.set_read_timeout(Some(TICK))?;
        let address = socket.local_addr()?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let end = Arc::new(AtomicBool::new(false));
        let thread = {
            let (asked, end) = (Arc::clone(&asked), Arc::clone(&end));
            thread::Builder::new()
                .name("name server".to_owned())
                .spawn(move || serve(&socket, &behaviour, &asked, &end))?
        };
        Ok(NameServer {
            address,
            asked,
            end,
            thread: Some(thread),
        })
    }

    /// Returns the address at which it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the number of queries received, including repeats.
    pub fn queries(&self) -> usize {
        self.asked().len()
    }

    /// Returns the addresses that were queried, in order of arrival and including repeats.
    pub fn asked(&self) -> Vec<IpAddr> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It ends early only by a panic, which its test has shown on stderr.
            let _ = thread.join();
        }
    }
}

fn serve(socket: &UdpSocket, behaviour: &Behaviour, asked: &Mutex<Vec<IpAddr>>, end: &AtomicBool) {
    let mut due: VecDeque<(Instant, SocketAddr, Vec<u8>)> = VecDeque::new();
    let mut buffer = [0; 1500];
    while !end.load(Ordering::Relaxed) {
        // A timeout, or an ICMP error for an answer that nobody waits for any more, is not a reason to end.
        if let Ok((length, peer)) = socket.recv_from(&mut buffer)
            && let Some((question, address)) = buffer.get(..length).and_then(read_question)
        {
            asked.lock().unwrap_or_else(PoisonError::into_inner).push(address);
            if let Some(message) = write_reply(question, &(behaviour.reply)(address)) {
                due.push_back((Instant::now() + behaviour.delay, peer, message));
            }
        }
        // All answers have the same delay, so the first one is due first.
        while due.front().is_some_and(|(when, ..)| *when <= Instant::now())
            && let Some((_, peer, message)) = due.pop_front()
        {
            // The client may have gone.
            let _ = socket.send_to(&message, peer);
        }
    }
}

/// Returns the bytes of a query up to the end of its question, and the address it asks for. `None` for anything but a
/// PTR question.
fn read_question(message: &[u8]) -> Option<(&[u8], IpAddr)> {
    let mut labels: Vec<&[u8]> = Vec::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(message.get(at..at + length)?);
        at += length;
    }
    let end = at + TYPE_PTR.len() + CLASS_IN.len();
    if message.get(at..end)? != [TYPE_PTR, CLASS_IN].concat() {
        return None;
    }
    Some((message.get(..end)?, read_address(&labels)?))
}

/// Returns the address in `4.3.2.1.in-addr.arpa` (RFC 1035, 3.5) or in the nibbles of `ip6.arpa` (RFC 3596, 2.5).
fn read_address(labels: &[&[u8]]) -> Option<IpAddr> {
    let text: Vec<&str> = labels
        .iter()
        .map(|label| std::str::from_utf8(label).ok())
        .collect::<Option<_>>()?;
    match *text.as_slice() {
        [ref digits @ .., "in-addr", "arpa"] if digits.len() == 4 => {
            let address: Ipv4Addr = digits
                .iter()
                .rev()
                .copied()
                .collect::<Vec<_>>()
                .join(".")
                .parse()
                .ok()?;
            Some(address.into())
        }
        [ref nibbles @ .., "ip6", "arpa"] if nibbles.len() == 32 => {
            let digits: String = nibbles.iter().rev().copied().collect();
            Some(Ipv6Addr::from_bits(u128::from_str_radix(&digits, 16).ok()?).into())
        }
        _ => None,
    }
}

/// Returns the message for a reply; `None` for silence.
fn write_reply(question: &[u8], reply: &Reply) -> Option<Vec<u8>> {
    // Response codes (RFC 1035, 4.1.1).
    const NO_ERROR: u8 = 0;
    const SERVER_FAILURE: u8 = 2;
    const NAME_ERROR: u8 = 3;
    match reply {
        Reply::Silence => None,
        Reply::Garbage(bytes) => Some([question.get(..2)?, bytes].concat()),
        Reply::NoName => Some(head(question, NAME_ERROR, 0)),
        Reply::ServerFailure => Some(head(question, SERVER_FAILURE, 0)),
        Reply::NoData => Some(head(question, NO_ERROR, 0)),
        Reply::Name(name) => Some(record(question, &labels(name.split('.').map(str::as_bytes)), None)),
        Reply::Labels(parts) => Some(record(question, &labels(parts.iter().map(Vec::as_slice)), None)),
        Reply::PointerLoop => {
            // The record's data begins after the header, the question and twelve bytes of the record.
            let here = u16::try_from(question.len() + 12).ok()?;
            Some(record(question, &(0xc000 | here).to_be_bytes(), None))
        }
        // The record claims to be longer than it is.
        Reply::Cut => Some(record(question, b"\x20cut", Some(40))),
    }
}

/// Returns the header and question of an answer, without records.
fn head(question: &[u8], code: u8, answers: u8) -> Vec<u8> {
    let mut message = question.to_vec();
    // Response, authoritative, recursion desired and available; one question, and no records but answers.
    for (to, from) in message
        .iter_mut()
        .skip(2)
        .zip([0x85, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0])
    {
        *to = from;
    }
    message
}

/// Returns an answer with one PTR record; `claim` is the length of its data if that should differ from the true one.
fn record(question: &[u8], data: &[u8], claim: Option<u16>) -> Vec<u8> {
    let mut message = head(question, 0, 1);
    // The owner name is a pointer to that of the question.
    message.extend([0xc0, HEADER as u8]);
    message.extend([TYPE_PTR, CLASS_IN].concat());
    message.extend(60u32.to_be_bytes());
    message.extend(claim.unwrap_or(data.len() as u16).to_be_bytes());
    message.extend(data);
    message
}

fn labels<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        assert!(part.len() < 64, "a label has 63 bytes at most (RFC 1035, 2.3.4)");
        out.push(part.len() as u8);
        out.extend(part);
    }
    out.push(0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PTR query for 192.0.2.1 with the identifier 7.
    const QUERY: &[u8] = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x011\x012\x010\x03192\x07in-addr\x04arpa\0\0\x0c\0\x01";

    fn address() -> IpAddr {
        "192.0.2.1".parse().unwrap()
    }

    #[test]
    fn dns_question_for_ipv4_or_ipv6_address_is_read() {
        assert_eq!(read_question(QUERY), Some((QUERY, address())));
        let mut six = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0".to_vec();
        six.extend(labels(
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
                .split('.')
                .map(str::as_bytes),
        ));
        six.extend(b"\0\x0c\0\x01");
        assert_eq!(read_question(&six).unwrap().1, "2001:db8::1".parse::<IpAddr>().unwrap());
        for end in 0..QUERY.len() {
            assert_eq!(read_question(&QUERY[..end]), None, "{end}");
        }
    }

    #[test]
    fn name_server_answers_after_delay_and_counts_questions() {
        let delay = Duration::from_millis(30);
        let server = NameServer::start("127.0.0.1:0".parse().unwrap(), Behaviour::slow(delay)).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let begin = Instant::now();
        client.send_to(QUERY, server.address()).unwrap();
        let mut buffer = [0; 512];
        let (length, _) = client.recv_from(&mut buffer).unwrap();
        assert!(begin.elapsed() >= delay);
        assert!(
            buffer[..length].ends_with(b"\x0ehost-192-0-2-1\x04test\0"),
            "{:?}",
            &buffer[..length]
        );
        assert_eq!((&buffer[..2], buffer[7]), (b"\0\x07".as_slice(), 1));
        assert_eq!(server.asked(), [address()]);
    }

    #[test]
    fn name_server_replies_as_told() {
        let reply = |reply| write_reply(QUERY, &reply);
        assert_eq!(reply(Reply::Silence), None);
        assert_eq!(reply(Reply::NoName).unwrap()[3] & 15, 3);
        assert_eq!(reply(Reply::ServerFailure).unwrap()[3] & 15, 2);
        assert_eq!(reply(Reply::NoData).unwrap()[7], 0);
        assert_eq!(reply(Reply::Garbage(vec![9])).unwrap(), [0, 7, 9]);
        let looped = reply(Reply::PointerLoop).unwrap();
        let [high, low] = looped[looped.len() - 2..] else {
            unreachable!()
        };
        assert_eq!((high, usize::from(low)), (0xc0, looped.len() - 2), "points to itself");
        let odd = reply(Reply::Labels(vec![b"a.b\x1b".to_vec()])).unwrap();
        assert!(odd.ends_with(b"\x04a.b\x1b\0"));
        let known = Behaviour::ptr(HashMap::from([(address(), Reply::Silence)]));
        assert_eq!((known.reply)(address()), Reply::Silence);
        assert_eq!((known.reply)("192.0.2.2".parse().unwrap()), Reply::NoName);
    }
}
