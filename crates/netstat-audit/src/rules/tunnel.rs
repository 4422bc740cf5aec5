//! Detects tunnels, proxies and similar tools of intruders.

use netstat_model::Fact;
use netstat_model::text::escape;

use crate::case::{Case, Exposure};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};
use crate::known;

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "tunnel",
    title: "a tunnel or proxy lets others into this computer or through it",
    explanation: "ssh -R, -g and -D on more than the loopback address, an sshd with a configuration outside /etc, and programs that tunnel, relay or mine by their name or their command line. \
        High for an sshd with a configuration elsewhere, for ssh that opens ports to others, for ssh -R without a terminal, and for tools that intruders bring along \
        when no package owns them; medium for tunnels that administrators use as well (ngrok, cloudflared, tor, ...), and with a terminal; low when a package owns them.",
    harmless: "a tunnel that you set up yourself",
    technique: "T1572",
    family: Family::Network,
    check: Check::Process(check),
};

fn check(case: &Case<'_>, notes: &mut Notes) {
    if case.sockets.is_empty() {
        return;
    }
    let Fact::Known(words) = &case.facts.arguments else {
        return;
    };
    // A title that a program gives itself is a single argument with spaces.
    let parts: Vec<&[u8]> = words
        .iter()
        .flat_map(|word| word.split(|byte| *byte == b' '))
        .filter(|part| !part.is_empty())
        .collect();
    let found = match case.name() {
        b"ssh" => ssh(case, &parts),
        b"sshd" | b"sshd-session" | b"dropbear" => server(&parts),
        _ => other(case, &parts),
    };
    let Some((severity, headline, line)) = found else {
        return;
    };
    let mut evidence = vec![line, format!("command line: {}", case.command_line())];
    evidence.extend(case.reach_evidence());
    notes.found(Note {
        severity,
        headline,
        evidence,
        verify: format!(
            "tr '\\0' ' ' </proc/{0}/cmdline; {1}",
            case.facts.pid,
            case.host.own(&format!("-ano --pid {}", case.facts.pid))
        ),
        would_change: "you set the tunnel up".to_owned(),
        pid: None,
        program: None,
    });
}

type Found = Option<(Severity, String, String)>;

/// The options of ssh(1) that take a value.
const SSH_VALUED: &[u8] = b"BbcDEeFIiJLlmOopQRSWw";

fn ssh(case: &Case<'_>, parts: &[&[u8]]) -> Found {
    let (mut open, mut remote, mut socks, mut any) = (None, None, None, false);
    let mut rest = parts.iter().skip(1);
    while let Some(part) = rest.next() {
        let Some(letters) = part.strip_prefix(b"-") else {
            continue;
        };
        for (at, letter) in letters.iter().enumerate() {
            any |= *letter == b'g';
            if !SSH_VALUED.contains(letter) {
                continue;
            }
            let value = match &letters[at + 1..] {
                [] => rest.next().copied().unwrap_or_default(),
                attached => attached,
            };
            match letter {
                b'R' => remote = Some(value),
                b'D' => socks = Some(value),
                _ => {}
            }
            if matches!(letter, b'D' | b'L') && is_open(value, *letter == b'D') {
                open = Some(value);
            }
            break;
        }
    }
    let terminal = case.has_session();
    if let Some(value) = remote {
        let severity = if terminal && !is_open(value, false) {
            Severity::Medium
        } else {
            Severity::High
        };
        let line = format!(
            "-R {}: connections to a port of the other computer come in here",
            escape(value)
        );
        return Some((
            severity,
            "opens a way into this computer on another one (ssh -R)".to_owned(),
            line,
        ));
    }
    if let Some(value) = open.or(socks.filter(|_| any)) {
        let line = format!("it forwards {} for more than this computer", escape(value));
        return Some((
            Severity::High,
            "forwards connections of other computers (ssh)".to_owned(),
            line,
        ));
    }
    socks.map(|value| {
        (
            Severity::Low,
            "is a SOCKS proxy for this computer (ssh -D)".to_owned(),
            format!("-D {}", escape(value)),
        )
    })
}

/// Whether a forwarding is bound to more than the loopback address: `0.0.0.0:PORT...`, `*:PORT...`, `:PORT...`.
fn is_open(value: &[u8], socks: bool) -> bool {
    let parts: Vec<&[u8]> = value.split(|byte| *byte == b':').collect();
    let address = match (socks, parts.len()) {
        (true, 2..) | (false, 4..) => parts[0],
        _ => return false,
    };
    !matches!(address, b"localhost" | b"127.0.0.1" | b"[")
}

fn server(parts: &[&[u8]]) -> Found {
    let at = parts.iter().position(|part| *part == b"-f")?;
    let file = parts.get(at + 1)?;
    let usual = [&b"/etc/"[..], b"/usr/", b"/run/sshd/"]
        .iter()
        .any(|place| file.starts_with(place));
    let headline = format!("is an ssh server with a configuration of its own: {}", escape(file));
    (!usual).then(|| {
        // With /dev/null, sshd runs on its defaults; both test servers and intruders do that.
        let severity = if *file == b"/dev/null" {
            Severity::Low
        } else {
            Severity::High
        };
        (
            severity,
            headline,
            format!("-f {}, which is outside /etc", escape(file)),
        )
    })
}

fn other(case: &Case<'_>, parts: &[&[u8]]) -> Found {
    let name = case.name();
    let names = [
        name,
        parts.first().map_or(&b""[..], |first| known::claimed(first)),
        case.facts.comm.as_slice(),
    ];
    let owned = case.is_packaged();
    let terminal = case.has_session();
    let tool = names.iter().find(|name| known::is_intruders_tool(name));
    if let Some(tool) = tool.filter(|_| !owned) {
        let severity = if terminal { Severity::Medium } else { Severity::High };
        return Some((
            severity,
            format!("is called {}, a tool that intruders bring along", escape(tool)),
            "no package owns the program".to_owned(),
        ));
    }
    let sign = parts.iter().skip(1).find_map(|part| {
        let reverse = part
            .strip_prefix(b"R:")
            .is_some_and(|rest| rest.starts_with(b"socks") || rest.first().is_some_and(u8::is_ascii_digit));
        let words = [
            &b"stratum+"[..],
            b"socks5://",
            b"--socks5",
            b"--reverse",
            b"-reverse",
            b"relay+",
        ];
        (reverse || words.iter().any(|word| part.starts_with(word))).then_some(*part)
    });
    if let Some(sign) = sign.filter(|_| !owned && case.exposure > Exposure::Loopback) {
        let severity = if terminal { Severity::Medium } else { Severity::High };
        return Some((
            severity,
            "was told to tunnel or relay connections".to_owned(),
            format!("the word {} on its command line", escape(sign)),
        ));
    }
    let tunnel = names.iter().find(|name| known::is_tunnel(name))?;
    let severity = match (owned, case.is_hidden_place() || !terminal && **tunnel == *b"ngrok") {
        (true, _) => Severity::Low,
        (false, true) => Severity::High,
        (false, false) => Severity::Medium,
    };
    Some((
        severity,
        format!("is called {}, a tunnel or proxy", escape(tunnel)),
        "tunnels pass through packet filters".to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    #[test]
    fn ssh_reverse_or_open_forward_is_found() {
        let seen = |line: &str| {
            Made::program("/usr/bin/ssh")
                .packaged("openssh-client")
                .arguments(line)
                .connected("203.0.113.7:22")
                .check(&RULE)
        };
        assert_eq!(seen("ssh -fN -R 2222:localhost:22 u@h"), [Severity::High]);
        assert_eq!(seen("ssh -N -D 0.0.0.0:1080 u@h"), [Severity::High]);
        assert_eq!(seen("ssh -gD 1080 u@h"), [Severity::High]);
        assert_eq!(seen("ssh -D 1080 u@h"), [Severity::Low]);
        assert_eq!(seen("ssh -N -L 127.0.0.1:15432:db:5432 u@h"), []);
        assert_eq!(seen("ssh git@h"), []);
    }

    #[test]
    fn sshd_with_own_config_or_tunnel_tool_is_found() {
        let sshd = |line: &str| {
            let mut made = Made::program("/usr/sbin/sshd")
                .packaged("openssh-server")
                .listening("0.0.0.0:22");
            made.facts.arguments = Fact::Known(vec![line.as_bytes().to_vec()]);
            made.check(&RULE)
        };
        assert_eq!(sshd("sshd: /usr/sbin/sshd -D -f /tmp/c [listener]"), [Severity::High]);
        assert_eq!(sshd("sshd: /usr/sbin/sshd -D [listener]"), []);
        let seen = |path: &str, line: &str| {
            Made::program(path)
                .unowned()
                .arguments(line)
                .connected("203.0.113.7:443")
                .check(&RULE)
        };
        assert_eq!(
            seen("/usr/local/bin/chisel", "chisel client h R:socks"),
            [Severity::High]
        );
        assert_eq!(seen("/opt/x/svc", "svc client h R:socks"), [Severity::High]);
        assert_eq!(
            seen("/usr/local/bin/cloudflared", "cloudflared tunnel"),
            [Severity::Medium]
        );
        assert_eq!(seen("/usr/local/bin/agent", "agent"), []);
    }
}
