//! Chooses the sources of events: the best ones that are requested and permitted.

use std::path::Path;

use netstat_model::{EventOrigin, Limit, text::plain_error};

use super::destroyed::Destroyed;
use super::owner_hints::OwnerHints;
use super::trace::{Sight, Tracer};
use crate::linux::namespaces;
use crate::linux::owners_ebpf::Unavailable;
use crate::{EventWay, EventsAsk, Refused};

/// The open sources.
pub(super) struct Sources {
    pub(super) tracer: Option<Tracer>,
    pub(super) destroyed: Option<Destroyed>,
    pub(super) hints: Option<OwnerHints>,
    pub(super) origin: EventOrigin,
    /// Which sources they are, and why no better ones are used.
    pub(super) how: String,
    /// What they do not report.
    pub(super) limits: Vec<Limit>,
}

/// Why tracepoints are not used.
struct Untraced {
    why: String,
    remedy: Option<String>,
}

impl Untraced {
    /// Creates the limit that says that `what` is missing without them.
    fn limit(&self, what: &str) -> Limit {
        Limit {
            what: what.to_owned(),
            why: format!("the kernel's tracepoints are not used: {}", self.why),
            remedy: self.remedy.clone(),
        }
    }
}

impl Sources {
    /// Opens the best sources that `ask` and the system permit. `own` is the inode of the caller's network namespace.
    ///
    /// # Errors
    /// Returns an error if a mechanism is forced and cannot be used.
    pub(super) fn open(proc: &Path, ask: &EventsAsk, own: u32) -> Result<Sources, Refused> {
        let mut how = String::new();
        let (tracer, untraced) = open_tracer(ask, own)?;
        if ask.way == EventWay::Auto && tracer.is_none() {
            how = format!("tracepoints not used: {}; ", untraced.why);
        }
        let mut destroyed = None;
        let mut no_messages = None;
        if ask.way != EventWay::Poll {
            match Destroyed::open(tracer.is_none()) {
                Ok(open) => destroyed = Some(open),
                Err(error) if ask.way == EventWay::Netlink => {
                    return Err(Refused::failed(format!("netlink: {}", plain_error(&error))));
                }
                Err(error) => {
                    how.push_str(&format!(
                        "messages about destroyed sockets not used: {}; ",
                        plain_error(&error)
                    ));
                    no_messages = Some(plain_error(&error));
                }
            }
        }
        let mut sources = Sources {
            origin: EventOrigin::Poll,
            hints: None,
            how,
            limits: Vec::new(),
            tracer,
            destroyed,
        };
        sources.describe(ask.way, &untraced, no_messages);
        if ask.all_namespaces && sources.tracer.is_none() && namespaces::find(proc).0.len() > 1 {
            let limit = untraced.limit("connections of other network namespaces are not seen");
            sources.limits.push(limit);
        }
        Ok(sources)
    }

    /// Describes the sources and what they do not report, and opens the hints where they help.
    fn describe(&mut self, way: EventWay, untraced: &Untraced, no_messages: Option<String>) {
        match (&self.tracer, &self.destroyed) {
            (Some(tracer), _) => {
                self.origin = EventOrigin::Trace;
                self.how.push_str("watched by the kernel's tracepoints (eBPF)");
                self.limits = trace_limits(tracer.sight(), no_messages);
            }
            (None, Some(destroyed)) => {
                self.origin = EventOrigin::Destroyed;
                self.how
                    .push_str("watched by the kernel's messages about destroyed sockets and by polling");
                let hints = open_hints(way);
                let mut limit = untraced.limit(match hints {
                    Ok(_) => "some short connections that the peer resets have no owner",
                    Err(_) => "connections shorter than a poll have no owner and no beginning",
                });
                match hints {
                    Ok(opened) => {
                        self.hints = Some(opened);
                        self.how.push_str(", with owners from the tracepoint of state changes");
                    }
                    Err(Some(why)) => limit.why.push_str(&format!("; {why}")),
                    Err(None) => {}
                }
                self.limits.push(limit);
                if !destroyed.tells_udp() {
                    self.limits.push(Limit {
                        what: "UDP sockets that live shorter than a poll are not seen".into(),
                        why: "the kernel module udp_diag is not loaded and cannot be loaded".into(),
                        remedy: None,
                    });
                }
            }
            (None, None) => {
                self.how.push_str("watched by polling");
                let mut limit = untraced.limit("connections shorter than a poll are not seen");
                if let Some(why) = no_messages {
                    limit
                        .why
                        .push_str(&format!("; no messages about destroyed sockets: {why}"));
                }
                self.limits.push(limit);
            }
        }
    }
}

/// Opens the tracepoints, or returns why they are not used.
fn open_tracer(ask: &EventsAsk, own: u32) -> Result<(Option<Tracer>, Untraced), Refused> {
    let mut untraced = Untraced {
        why: "they were not asked for".to_owned(),
        remedy: None,
    };
    if !matches!(ask.way, EventWay::Auto | EventWay::Trace) {
        return Ok((None, untraced));
    }
    match Tracer::load((!ask.all_namespaces).then_some(own), ask.changes) {
        Ok(loaded) => Ok((Some(loaded), untraced)),
        Err(error) if ask.way == EventWay::Trace => {
            Err(Refused::failed(format!("tracepoints: {}", plain_error(&error))))
        }
        Err(error) => {
            untraced.why = plain_error(&error);
            untraced.remedy = error.remedy();
            Ok((None, untraced))
        }
    }
}

/// Opens the source of owners from state changes, if the mechanism allows it. Otherwise returns the reason, unless that
/// is also why there are no tracepoints at all.
fn open_hints(way: EventWay) -> Result<OwnerHints, Option<String>> {
    if way != EventWay::Auto {
        return Err(None);
    }
    OwnerHints::open().map_err(|error| match error {
        Unavailable::Capabilities { .. }
        | Unavailable::UserNamespace
        | Unavailable::PidNamespace
        | Unavailable::TimeNamespace
        | Unavailable::NoProc(_) => None,
        error => Some(plain_error(&error)),
    })
}

/// Returns what tracepoints alone do not report. `no_messages` is the reason if there are no messages about destroyed
/// sockets, either.
fn trace_limits(sight: Sight, no_messages: Option<String>) -> Vec<Limit> {
    let limit = |what: &str, why: &str| Limit {
        what: what.to_owned(),
        why: why.to_owned(),
        remedy: None,
    };
    let mut limits = Vec::new();
    if !sight.uses {
        limits.push(limit(
            "UDP sockets are seen by polling only",
            "the running kernel has no tracepoints for sends and receives (Linux 6.3)",
        ));
    } else if let Some(why) = no_messages {
        limits.push(limit(
            "the ends of UDP sockets are found by polling, some seconds later",
            &why,
        ));
    }
    if !sight.uses && !sight.accepts {
        limits.push(limit(
            "the owner of an accepted connection is known only when it closes or a list shows it",
            "the running kernel can trace neither accepts nor receives",
        ));
    }
    limits
}
