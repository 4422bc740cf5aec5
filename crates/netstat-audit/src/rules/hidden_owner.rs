//! Detects sockets without a visible holder, and holders that are missing from the process list.

use netstat_model::Concealment;

use crate::case::{Host, describe};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "hidden-owner",
    title: "no process holds the socket although everything may be read",
    explanation: "To the superuser, in the first process namespace, the holder of each socket with a descriptor shows in /proc. Where none does, a process may be hidden. \
        Sockets of the kernel itself, descriptors on their way between processes or held by io_uring, and sockets that end meanwhile are told apart first, and \
        each is looked for twice.",
    harmless: "a kernel service that this program does not know; a process of another namespace",
    technique: "T1014",
    family: Family::Hiding,
    check: Check::Host(check),
};

fn check(host: &Host, notes: &mut Notes) {
    if !host.superuser {
        notes.unexamined("whether holders of sockets are hidden: only the superuser sees all holders");
        return;
    }
    for (pid, how, sockets) in &host.concealed {
        let mut evidence = vec![how.shown(*pid)];
        evidence.extend(sockets.iter().map(|socket| format!("it holds {}", describe(socket))));
        notes.found(Note {
            severity: Severity::Critical,
            headline: format!("process {pid} is hidden from the process list and holds sockets"),
            evidence,
            verify: match how {
                Concealment::Mount => format!("grep ' /proc/{pid}' /proc/self/mountinfo"),
                Concealment::NotListed => format!("kill -0 {pid}; ls -d /proc/{pid}"),
            },
            would_change: "the administrator is found to have set up the mount".to_owned(),
            pid: Some(*pid),
            program: None,
        });
    }
    for socket in &host.hidden {
        let mut evidence = vec![describe(socket)];
        if let Some(inode) = socket.inode() {
            evidence.push(format!(
                "inode {inode}: no descriptor of any process leads to it, in two looks"
            ));
        }
        if let Some(user) = socket.user().known() {
            evidence.push(format!("made by user {user}"));
        }
        let inode = socket.inode().map_or(0, std::num::NonZero::get);
        notes.found(Note {
            severity: Severity::High,
            headline: format!("nobody holds {}", describe(socket)),
            evidence,
            verify: format!("ls -l /proc/[0-9]*/task/[0-9]*/fd 2>/dev/null | grep 'socket:\\[{inode}\\]'"),
            would_change: "a part of the kernel is found to own it".to_owned(),
            pid: None,
            program: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn hidden_owner_without_superuser_is_not_examined() {
        let mut host = testing::host();
        host.hidden = vec![testing::socket("0.0.0.0:31337", None)];
        assert_eq!(testing::check_host(&host, &RULE), [Severity::High]);
        host.concealed = vec![(7, Concealment::Mount, host.hidden.clone())];
        assert_eq!(testing::check_host(&host, &RULE), [Severity::Critical, Severity::High]);
        host.superuser = false;
        let mut notes = Notes::default();
        check(&host, &mut notes);
        assert!(notes.found.is_empty());
        assert_eq!(notes.unexamined.len(), 1);
    }
}
