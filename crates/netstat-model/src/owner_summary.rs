//! Counts of the owners that are missing in a listing, the reasons, and advice for the user.

use std::collections::{BTreeMap, BTreeSet};

use crate::{KernelUser, NoOwner, Owner, Owners, Socket, SystemKind};

/// The number of sockets in a listing that have no known owner, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnerSummary {
    total: usize,
    counts: BTreeMap<NoOwner, usize>,
    /// What the kernel created its own sockets for.
    kernel_users: BTreeSet<KernelUser>,
}

impl OwnerSummary {
    /// Counts the sockets of a listing.
    pub fn count<'a>(owners: &Owners, sockets: impl IntoIterator<Item = &'a Socket>) -> Self {
        let mut summary = OwnerSummary::default();
        for socket in sockets {
            if owners.all_held() && socket.holder_key().is_some() {
                summary.add(None);
                continue;
            }
            let reason = match owners.of(socket) {
                Owner::Held(_) => None,
                Owner::None(reason) => {
                    if reason == NoOwner::Kernel
                        && let Some(user) = owners.kernel_user(socket)
                        && !summary.kernel_users.contains(user)
                    {
                        summary.kernel_users.insert(user.clone());
                    }
                    Some(reason)
                }
            };
            summary.add(reason);
        }
        summary
    }

    /// Counts one socket; `reason` is `None` if its owner is known.
    pub fn add(&mut self, reason: Option<NoOwner>) {
        self.total += 1;
        if let Some(reason) = reason {
            *self.counts.entry(reason.kind()).or_default() += 1;
        }
    }

    /// Returns the number of sockets without a known owner.
    pub fn unknown(&self) -> usize {
        self.counts.values().sum()
    }

    /// Returns the reasons that occur, in plain words.
    pub fn reasons(&self) -> impl Iterator<Item = &'static str> {
        self.counts.keys().map(|reason| reason.words())
    }

    /// Returns the number of sockets without a known owner for this reason.
    pub fn of(&self, reason: NoOwner) -> usize {
        self.counts.get(&reason.kind()).copied().unwrap_or(0)
    }

    /// Returns a one-line summary such as `7 of 212 owners unknown: 5 not permitted (try sudo), 2 in TIME_WAIT`, with
    /// the most frequent reason first. `None` if every owner is known. `try sudo` is omitted for a superuser.
    pub fn line(&self, system: SystemKind, superuser: bool) -> Option<String> {
        if self.counts.is_empty() {
            return None;
        }
        let mut counts: Vec<(NoOwner, usize)> = self.counts.iter().map(|(&reason, &count)| (reason, count)).collect();
        counts.sort_by_key(|&(reason, count)| (std::cmp::Reverse(count), reason));
        let reasons: Vec<String> = counts
            .into_iter()
            .map(|(reason, count)| {
                let hint = match reason {
                    NoOwner::NotPermitted { .. } => system.privilege_hint(superuser).to_owned(),
                    NoOwner::Kernel => self.kernel_users_shown(),
                    _ => String::new(),
                };
                format!("{count} {}{hint}", reason.words())
            })
            .collect();
        let owners = if self.total == 1 { "owner" } else { "owners" };
        Some(format!(
            "{} of {} {owners} unknown: {}",
            self.unknown(),
            self.total,
            reasons.join(", ")
        ))
    }

    /// Returns what the kernel created its sockets for, as ` (VXLAN interface vx0, NFS server)`; empty if nothing is
    /// known about it.
    fn kernel_users_shown(&self) -> String {
        /// The number of purposes that are listed.
        const NAMED: usize = 4;
        if self.kernel_users.is_empty() {
            return String::new();
        }
        let named: Vec<String> = self.kernel_users.iter().take(NAMED).map(KernelUser::shown).collect();
        let more = if self.kernel_users.len() > NAMED { ", ..." } else { "" };
        format!(" ({}{more})", named.join(", "))
    }

    /// Returns a line, without a full stop, that explains why owners are missing for lack of permission and what helps;
    /// `program` is the path of the program file. `None` if nothing was forbidden.
    ///
    /// Both capabilities are needed: `/proc/PID/fd` belongs to the process's user with mode 0500, which
    /// `cap_dac_read_search` overrides, and its links are shown only to those who may trace the process (ptrace(2),
    /// `PTRACE_MODE_READ_FSCREDS`), which `cap_sys_ptrace` grants. A program with file capabilities shows every user
    /// what root sees.
    ///
    /// On Windows everybody sees the owner of every socket, so no advice is needed.
    pub fn advice(&self, system: SystemKind, program: &str) -> Option<String> {
        (system == SystemKind::Linux && self.of(NoOwner::NotPermitted { user: None }) > 0).then(|| {
            let setcap: [&[u8]; 3] = [b"setcap", b"cap_sys_ptrace,cap_dac_read_search+ep", program.as_bytes()];
            let setcap = crate::text::shell_command("sudo", &setcap);
            format!(
                "the sockets of other users' processes show their owners only to root: use sudo, or allow it once for \
                 all users with `{setcap}`"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(known: usize, reasons: &[(NoOwner, usize)]) -> OwnerSummary {
        let mut summary = OwnerSummary::default();
        (0..known).for_each(|_| summary.add(None));
        for &(reason, count) in reasons {
            (0..count).for_each(|_| summary.add(Some(reason)));
        }
        summary
    }

    #[test]
    fn owner_summary_nothing_unknown_has_no_line_and_no_advice() {
        assert_eq!(summary(0, &[]).line(SystemKind::Linux, false), None);
        assert_eq!(summary(5, &[]).line(SystemKind::Linux, false), None);
        assert_eq!(summary(5, &[]).advice(SystemKind::Linux, "netstat"), None);
    }

    #[test]
    fn owner_summary_line_names_most_frequent_reason_first() {
        let users = [
            (NoOwner::TimeWait, 2),
            (NoOwner::NotPermitted { user: Some(0) }, 3),
            (NoOwner::NotPermitted { user: None }, 1),
            (NoOwner::NotPermitted { user: Some(33) }, 1),
        ];
        assert_eq!(
            summary(205, &users).line(SystemKind::Linux, false).unwrap(),
            "7 of 212 owners unknown: 5 not permitted (try sudo), 2 in TIME_WAIT"
        );
        assert_eq!(
            summary(1, &[(NoOwner::Kernel, 1), (NoOwner::Handshake, 1)])
                .line(SystemKind::Linux, false)
                .unwrap(),
            "2 of 3 owners unknown: 1 still in the handshake, 1 of the kernel itself"
        );
    }

    #[test]
    fn owner_summary_line_one_owner_is_singular() {
        assert_eq!(
            summary(0, &[(NoOwner::Unheld, 1)])
                .line(SystemKind::Linux, false)
                .unwrap(),
            "1 of 1 owner unknown: 1 held by no process"
        );
    }

    #[test]
    fn owner_summary_advice_is_given_only_if_not_permitted() {
        assert_eq!(
            summary(1, &[(NoOwner::TimeWait, 9)]).advice(SystemKind::Linux, "netstat"),
            None
        );
        let advice = summary(1, &[(NoOwner::NotPermitted { user: Some(0) }, 1)])
            .advice(SystemKind::Linux, "/usr/bin/netstat")
            .unwrap();
        assert!(
            advice.contains("sudo setcap cap_sys_ptrace,cap_dac_read_search+ep /usr/bin/netstat"),
            "{advice}"
        );
    }
}
