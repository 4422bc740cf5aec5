//! Detects processes that can capture packets of other programs.

use netstat_model::process::Descriptor;
use netstat_model::{Detail, Fact, Protocol, Socket};

use crate::case::Case;
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};
use crate::known;

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "sniffer",
    title: "has a raw or packet socket",
    explanation: "A packet socket sees the frames of an interface, a raw socket the packets of one protocol, whichever program they are for: the way to read the \
        traffic of others, and to wait for a secret knock without an open port. Programs that do so for a living (DHCP clients, tcpdump, ping, routing daemons) \
        are info when a package owns them, and so are the sockets by which this program itself takes DNS answers. Other packaged programs are medium with a packet socket, and low with a raw one for ICMP or OSPF and the like (high when it is an interpreter with code that neither a package nor the superuser \
        installed), else medium. A program that no package owns is high (medium with a raw socket for ICMP only at a terminal); known sensors and container \
        networking are low where only the superuser can have installed them (in /usr/local, /opt and the like). What is piped to a process with a connection to another computer is high.",
    harmless: "DHCP clients, network managers, tcpdump and other tools at a terminal, routing daemons, ping",
    technique: "T1040",
    family: Family::Network,
    check: Check::Process(check),
};

/// All protocols (`ETH_P_ALL`, linux/if_ether.h).
const ALL_FRAMES: u16 = 3;

/// Protocol numbers whose packets carry no application data: ICMP, IGMP, ICMPv6, OSPF, PIM, VRRP (IANA, Protocol
/// Numbers).
const CONTROL: [u16; 6] = [1, 2, 58, 89, 103, 112];

/// The protocol numbers of ICMP and ICMPv6.
const ECHO: [u16; 2] = [1, 58];

fn check(case: &Case<'_>, notes: &mut Notes) {
    let mut evidence = Vec::new();
    let mut severity = None;
    let placed = !case.is_hidden_place() && case.is_trusted();
    let expert = known::is_sniffer(case.name()) && case.is_packaged();
    for socket in case.sockets {
        let Some((line, protocol)) = taken(socket) else {
            continue;
        };
        let weight = match (expert, case.is_unowned(), protocol) {
            (true, ..) => Severity::Info,
            _ if is_own_answers(case, socket) => Severity::Info,
            // Vendors and administrators install sensors and container networking in directories of their own.
            (_, true, _) if placed && known::is_sensor(case.name()) => Severity::Low,
            (_, true, Some(protocol)) if ECHO.contains(&protocol) && case.has_session() => Severity::Medium,
            (_, true, _) => Severity::High,
            // An interpreter that sends ICMP by code of its own is not a ping program.
            (_, false, Some(protocol))
                if ECHO.contains(&protocol) && case.runs_foreign_code() && !case.has_session() =>
            {
                Severity::High
            }
            (_, false, Some(protocol)) if CONTROL.contains(&protocol) => Severity::Low,
            (_, false, _) => Severity::Medium,
        };
        severity = severity.max(Some(weight));
        if !evidence.contains(&line) {
            evidence.push(line);
        }
    }
    let Some(mut severity) = severity else { return };
    let output = case.facts.descriptors.as_ref().known().map(|open| &open.standard[1]);
    if let Some(Fact::Known(Some(Descriptor::Pipe(inode)))) = output
        && case.host.network_pipes.contains(inode)
    {
        severity = severity.max(Severity::High);
        evidence
            .push("what it takes goes through a pipe to a process with a connection to another computer".to_owned());
    }
    if case.facts.terminal.is_some() {
        evidence.push("it runs at a terminal".to_owned());
    }
    notes.found(Note {
        severity,
        headline: "takes packets that may be meant for others".to_owned(),
        evidence,
        verify: format!(
            "{}; {}; cat /proc/net/packet",
            case.host.own(&format!("-an -p PACKET --pid {}", case.facts.pid)),
            case.host.own(&format!("-an -p RAW --pid {}", case.facts.pid))
        ),
        would_change: "you use it to look at the network".to_owned(),
        pid: None,
        program: None,
    });
}

/// The Ethertypes of IPv4 and IPv6 (linux/if_ether.h).
const IP_FRAMES: [u16; 2] = [0x0800, 0x86dd];

/// Whether it is one of the sockets with which this program itself learns the names that are looked up. Their filters
/// accept DNS answers only. The process must run the very same file; no name or path counts.
fn is_own_answers(case: &Case<'_>, socket: &Socket) -> bool {
    let running = case.facts.program.as_ref().known().map(|program| &program.running);
    let same = match (running, &case.host.own_file) {
        (Some(Fact::Known(running)), Some(own)) => running.is_same_file(own),
        _ => false,
    };
    let takes_ip = match socket.detail() {
        Some(Detail::Packet { ethertype, .. }) => IP_FRAMES.contains(ethertype),
        _ => false,
    };
    same && takes_ip && socket.protocol() == Protocol::Packet
}

/// Describes what a socket captures and, for a raw socket, returns the protocol number; `None` for sockets that capture
/// nothing.
fn taken(socket: &Socket) -> Option<(String, Option<u16>)> {
    match (socket.protocol(), socket.detail()) {
        (Protocol::Raw, Some(Detail::Ping { .. })) => None,
        (Protocol::Raw, _) => {
            let number = socket.local().port;
            Some((
                format!("a raw socket for {} protocol {number}", socket.family().name()),
                Some(number),
            ))
        }
        (Protocol::Packet, detail) => {
            let which = match detail {
                Some(Detail::Packet {
                    ethertype: ALL_FRAMES, ..
                }) => "all frames".to_owned(),
                Some(Detail::Packet { ethertype: 0, .. }) => "no frames (it only sends)".to_owned(),
                Some(Detail::Packet { ethertype, .. }) => format!("frames of type 0x{ethertype:04x}"),
                _ => "frames".to_owned(),
            };
            let interface = socket.interface().map_or_else(
                || "every interface".to_owned(),
                |index| format!("interface number {index}"),
            );
            Some((format!("a packet socket for {which} of {interface}"), None))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    #[test]
    fn sniffer_severity_follows_program_and_protocol() {
        let packet = |made: Made| made.packet(ALL_FRAMES).check(&RULE);
        assert_eq!(
            packet(Made::program("/usr/bin/tcpdump").packaged("tcpdump")),
            [Severity::Info]
        );
        assert_eq!(packet(Made::program("/srv/x/tcpdump").unowned()), [Severity::High]);
        assert_eq!(
            packet(Made::program("/usr/bin/python3.11").packaged("python")),
            [Severity::Medium]
        );
        let own = || Made::program("/srv/netstat").unowned().own_program();
        assert_eq!(own().packet(0x0800).check(&RULE), [Severity::Info]);
        assert_eq!(
            own().packet(ALL_FRAMES).check(&RULE),
            [Severity::High],
            "not its DNS answers"
        );
        assert_eq!(
            Made::program("/srv/netstat").unowned().packet(0x0800).check(&RULE),
            [Severity::High]
        );
        let raw = |made: Made, protocol| made.raw(protocol).check(&RULE);
        assert_eq!(raw(Made::program("/srv/x/y").unowned(), 1), [Severity::High]);
        assert_eq!(
            raw(Made::program("/srv/x/y").unowned().terminal(), 1),
            [Severity::Medium]
        );
        let sensor = || Made::program("/opt/suricata/bin/suricata").unowned();
        assert_eq!(packet(sensor().rooted()), [Severity::Low]);
        assert_eq!(packet(sensor()), [Severity::High]);
        assert_eq!(raw(Made::program("/srv/x/y").unowned(), 6), [Severity::High]);
        assert_eq!(raw(Made::program("/usr/sbin/x").packaged("x"), 89), [Severity::Low]);
        let python = Made::program("/usr/bin/python3.11").packaged("python");
        assert_eq!(
            raw(python.arguments("python3 /srv/x.py").script("/srv/x.py"), 1),
            [Severity::High]
        );
        assert_eq!(
            Made::program("/srv/x/y").unowned().listening("0.0.0.0:80").check(&RULE),
            []
        );
    }
}
