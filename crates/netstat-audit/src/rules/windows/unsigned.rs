//! Nobody stands for the program with a signature.

use netstat_model::process::Signature;
use netstat_model::text::escape;

use super::{show_signature, told};
use crate::case::{Case, Exposure};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// See the module.
pub(crate) static RULE: Rule = Rule {
    name: "unsigned",
    title: "a program on the network is not signed, or its signature does not hold (Windows)",
    explanation: "Most programs for Windows are signed, in their file or by a catalogue of the system. Looked at are programs that are connected beyond this computer or listen for others. \
        High when the file was changed after it was signed, or its certificate was revoked or is distrusted; medium when there is no signature, or one that leads to nobody whom this computer trusts; low where only administrators \
        can have put the program there. Nothing is asked of the network, so a certificate that was revoked lately counts as valid. Where the system's catalogues cannot be asked, \
        a file without a signature of its own is not judged.",
    harmless: "programs that were built here; free software whose makers buy no certificate; old programs",
    technique: "T1036.001",
    family: Family::Identity,
    check: Check::Process(check),
};

fn check(case: &Case<'_>, notes: &mut Notes) {
    let Some((windows, path)) = told(case) else { return };
    if case.exposure <= Exposure::Loopback {
        return;
    }
    let rooted = case.program.is_some_and(|program| program.rooted);
    let weak = if rooted { Severity::Low } else { Severity::Medium };
    let (severity, headline, line) = match &windows.signature {
        netstat_model::Fact::Known(Signature::None) => (
            weak,
            "is not signed".to_owned(),
            "neither the file nor a catalogue of the system has a signature of it".to_owned(),
        ),
        // TRUST_E_BAD_DIGEST, CERT_E_REVOKED, TRUST_E_EXPLICIT_DISTRUST (winerror.h).
        netstat_model::Fact::Known(Signature::Invalid(code @ (0x8009_6010 | 0x800B_010C | 0x800B_0111))) => (
            Severity::High,
            "has a signature that does not hold".to_owned(),
            Signature::reason(*code),
        ),
        netstat_model::Fact::Known(Signature::Invalid(code)) => (
            weak,
            "has a signature of nobody whom this computer trusts".to_owned(),
            Signature::reason(*code),
        ),
        netstat_model::Fact::Known(Signature::Valid { .. }) => return,
        netstat_model::Fact::Known(Signature::NotInFile) => {
            notes.unexamined(
                "whether its program is signed: none is in the file, and the system's catalogues could not be asked",
            );
            return;
        }
        netstat_model::Fact::Unknown(why) => {
            notes.unexamined(format!("whether its program is signed: {}", why.words()));
            return;
        }
    };
    let mut evidence = vec![format!("the program is {}", escape(path)), line];
    if rooted {
        evidence.push("only administrators can have put it there".to_owned());
    }
    evidence.extend(case.reach_evidence());
    notes.found(Note {
        severity,
        headline,
        evidence,
        verify: show_signature(path),
        would_change: "you built it, or its maker publishes its digest".to_owned(),
        pid: None,
        program: None,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;
    use netstat_model::{Fact, Why};

    #[test]
    fn signature_counts_by_its_state_place_and_reach() {
        let seen = |signature: Fact<Signature>, rooted: bool, foreign: &str| {
            let made = Made::windows(r"C:\tools\agent.exe")
                .signature(signature)
                .connected(foreign);
            if rooted { made.rooted() } else { made }.check(&RULE)
        };
        let none = || Fact::Known(Signature::None);
        assert_eq!(seen(none(), false, "203.0.113.7:443"), [Severity::Medium]);
        assert_eq!(seen(none(), true, "203.0.113.7:443"), [Severity::Low]);
        assert_eq!(seen(none(), false, "127.0.0.1:443"), []);
        let invalid = |code| Fact::Known(Signature::Invalid(code));
        assert_eq!(seen(invalid(0x8009_6010), true, "203.0.113.7:443"), [Severity::High]);
        assert_eq!(seen(invalid(0x800B_0109), false, "203.0.113.7:443"), [Severity::Medium]);
        let valid = Signature::Valid {
            signer: b"Contoso".to_vec(),
            catalogue: true,
        };
        assert_eq!(seen(Fact::Known(valid), false, "203.0.113.7:443"), []);
    }

    #[test]
    fn signature_that_could_not_be_read_is_no_finding() {
        for signature in [Fact::Known(Signature::NotInFile), Fact::Unknown(Why::NotPermitted)] {
            let made = Made::windows(r"C:\tools\agent.exe")
                .signature(signature)
                .connected("203.0.113.7:443");
            assert_eq!(made.check(&RULE), []);
            assert_eq!(made.unexamined(&RULE).len(), 1);
        }
    }
}
