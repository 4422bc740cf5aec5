//! Programs of Windows that run what others give them, with a connection of their own.

use netstat_model::Fact;
use netstat_model::text::escape;

use super::{bare, parents, show_process, told};
use crate::case::{Case, Exposure};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// See the module.
pub(crate) static RULE: Rule = Rule {
    name: "system-helper",
    title: "a tool of Windows that runs others' code, or never uses the network, has a connection",
    explanation: "Intruders bring few programs of their own: they let tools of Windows run their code (mshta, regsvr32, rundll32, PowerShell and others). High when a tool that has hardly any use for the \
        network is connected beyond this computer, when a program into which code is often injected (notepad, calc) is, and when an Office program, a reader of documents or a server that answers strangers started the tool; medium for PowerShell, rundll32, \
        msiexec, msbuild and script hosts otherwise, and high for them too when the command line hides what it runs (encoded, hidden window, a download that is run at once).",
    harmless: "scripts of administrators; installers; PowerShell sessions that manage other computers",
    technique: "T1218",
    family: Family::Input,
    check: Check::Process(check),
};

/// Tools that have hardly any use for the network themselves, and programs that have none.
const TELLING: &[&str] = &[
    "mshta",
    "regsvr32",
    "cmstp",
    "installutil",
    "regasm",
    "regsvcs",
    "certutil",
    "odbcconf",
    "ieexec",
    "mavinject",
    "forfiles",
    "pcalua",
    "presentationhost",
    "infdefaultinstall",
    "msdt",
    "hh",
    "esentutl",
    "extrac32",
    "cmd",
    "wmic",
    "csc",
    "jsc",
    "vbc",
    "finger",
    "notepad",
    "calc",
    "mspaint",
    "write",
    "wordpad",
    "charmap",
];

/// Tools that are connected for good reasons, too.
const USUAL: &[&str] = &[
    "powershell",
    "pwsh",
    "powershell_ise",
    "wscript",
    "cscript",
    "rundll32",
    "msiexec",
    "bitsadmin",
    "msbuild",
    "ftp",
    "dllhost",
    "werfault",
];

/// Programs that open what comes from outside, and servers that answer strangers: a tool that they start was hardly meant to run.
const OPENERS: &[&str] = &[
    "winword",
    "excel",
    "powerpnt",
    "outlook",
    "onenote",
    "mspub",
    "visio",
    "msaccess",
    "eqnedt32",
    "wordpad",
    "acrord32",
    "acrobat",
    "foxitreader",
    "foxitpdfreader",
    "w3wp",
    "httpd",
    "nginx",
    "php-cgi",
    "tomcat9",
    "tomcat10",
    "sqlservr",
    "mysqld",
    "postgres",
    "umworkerprocess",
];

/// Parts of command lines that hide what is run, in lower case.
const HIDING: &[&str] = &[
    "-encodedcommand",
    "-enc ",
    "-ec ",
    "frombase64string",
    "downloadstring",
    "downloadfile",
    "iex ",
    "iex(",
    "invoke-expression",
    "-w hidden",
    "-windowstyle hidden",
    "javascript:",
    "vbscript:",
    "scrobj.dll",
];

fn check(case: &Case<'_>, notes: &mut Notes) {
    if told(case).is_none() {
        return;
    }
    let own = bare(case.name());
    let is_in = |list: &[&str], name: &[u8]| list.iter().any(|known| known.as_bytes() == name);
    let telling = is_in(TELLING, &own);
    if !telling && !is_in(USUAL, &own) {
        return;
    }
    let connected = case
        .sockets
        .iter()
        .any(|socket| socket.is_connected() && Exposure::of(socket) > Exposure::Loopback);
    if !connected {
        return;
    }
    let opener = parents(case).find(|(name, _)| is_in(OPENERS, name));
    let line = match &case.facts.arguments {
        Fact::Known(words) => String::from_utf8_lossy(&words.join(&b' ')).to_lowercase(),
        Fact::Unknown(_) => String::new(),
    };
    let hidden = HIDING.iter().find(|part| line.contains(**part));
    let severity = match telling || opener.is_some() || hidden.is_some() {
        true => Severity::High,
        false => Severity::Medium,
    };
    let mut evidence = vec![format!("command line: {}", case.command_line())];
    let headline = match &opener {
        Some((name, pid)) => {
            evidence.push(format!("started below {} (PID {pid})", escape(name)));
            format!(
                "is a tool of Windows that {} started, and has a connection",
                escape(name)
            )
        }
        None => "is a tool of Windows with a connection of its own".to_owned(),
    };
    if let Some(part) = hidden {
        evidence.push(format!("\"{}\" on the command line hides what is run", part.trim_end()));
    }
    evidence.extend(case.reach_evidence());
    notes.found(Note {
        severity,
        headline,
        evidence,
        verify: show_process(case.facts),
        would_change: "you know the script or the task that started it".to_owned(),
        pid: None,
        program: None,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    fn tool(name: &str) -> Made {
        Made::windows(&format!(r"C:\Windows\System32\{name}.exe"))
    }

    #[test]
    fn tools_count_where_they_are_connected_beyond_the_computer() {
        assert_eq!(
            tool("MSHTA").connected("203.0.113.7:443").check(&RULE),
            [Severity::High]
        );
        assert_eq!(
            tool("notepad").connected("203.0.113.7:443").check(&RULE),
            [Severity::High]
        );
        assert_eq!(
            tool("powershell").connected("203.0.113.7:443").check(&RULE),
            [Severity::Medium]
        );
        assert_eq!(tool("powershell").connected("127.0.0.1:443").check(&RULE), []);
        assert_eq!(tool("powershell").listening("0.0.0.0:5985").check(&RULE), []);
        assert_eq!(tool("svchost").connected("203.0.113.7:443").check(&RULE), []);
    }

    #[test]
    fn opener_and_hidden_command_weigh_more() {
        let shell = || tool("powershell").connected("203.0.113.7:443");
        assert_eq!(shell().parent("WINWORD.EXE").check(&RULE), [Severity::High]);
        assert_eq!(shell().parent("explorer.exe").check(&RULE), [Severity::Medium]);
        assert_eq!(
            shell().arguments("powershell -NoP -Enc aQBlAHgA").check(&RULE),
            [Severity::High]
        );
        assert_eq!(
            shell().arguments("powershell -File backup.ps1").check(&RULE),
            [Severity::Medium]
        );
    }
}
