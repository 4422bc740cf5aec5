//! Who can reach a port, as JSON.

use netstat_model::Family;
use netstat_model::packet_filter::{Condition, FilterPath, FilterVerdict};
use netstat_model::windows_host::{PortProxy, Profile, ProfileVerdict};
use serde_json::{Value, json};

use super::Object;
use crate::commands::inspect::reach::{Reach, WindowsReach};

/// Returns how packet filters treat packets to a port.
fn passage((family, passage): &(Family, FilterVerdict)) -> Value {
    let (word, ways, why): (&str, &[FilterPath], Option<&str>) = match passage {
        FilterVerdict::Everybody => ("everybody", &[], None),
        FilterVerdict::Nobody => ("nobody", &[], None),
        FilterVerdict::Only(ways) => ("only", ways, None),
        FilterVerdict::AllBut(ways) => ("all_but", ways, None),
        FilterVerdict::Depends(ways) => ("depends", ways, None),
        FilterVerdict::Unknown(why) => ("unknown", &[], Some(why)),
    };
    let condition = |way: &FilterPath| way.iter().map(Condition::to_string).collect::<Vec<_>>();
    json!({
        "family": family.name(),
        "passage": word,
        "ways": ways.iter().map(condition).collect::<Vec<_>>(),
        "why": why,
    })
}

/// Returns who can reach a listening port.
pub(super) fn reach(reach: &Reach) -> Value {
    json!({
        "protocol": reach.protocol.name(),
        "address": reach.address.to_string(),
        "port": reach.port,
        "from": reach.extent.name(),
        "words": reach.words,
        "published": reach.published,
        "passages": reach.passages.iter().map(passage).collect::<Vec<_>>(),
        "windows": reach.windows.as_ref().map(windows_reach),
    })
}

fn windows_reach(reach: &WindowsReach) -> Value {
    let verdict = |(profile, verdict): &(Profile, ProfileVerdict)| {
        let from = match verdict {
            ProfileVerdict::Only(from, _) => Some(from),
            _ => None,
        };
        json!({"profile": profile.name(), "verdict": verdict.name(), "from": from, "rule": verdict.rule()})
    };
    let proxy = |proxy: &PortProxy| json!({"kind": proxy.kind, "listen": proxy.listen, "to": proxy.to});
    Object::default()
        .fact(
            "firewall",
            reach
                .firewall
                .as_ref()
                .map(|verdicts| verdicts.iter().map(verdict).collect::<Vec<_>>()),
        )
        .set("port_proxies", reach.proxies.iter().map(proxy).collect::<Vec<_>>())
        .finish()
}
