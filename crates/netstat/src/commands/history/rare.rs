//! `--rare`: what only few computers of a fleet have.

use super::Answer;
use crate::context::{Diagnostics, Failure};
#[cfg(feature = "fleet")]
use netstat_model::text::plain_error;

/// Returns the largest number of computers that counts as rare: one, or one in a thousand.
#[cfg(feature = "fleet")]
fn rare_up_to(of: u64) -> u64 {
    (of / 1_000).max(1)
}

/// The maximum number of rows, unless `--top` says otherwise.
#[cfg(feature = "fleet")]
const ROWS: usize = 10_000;

#[cfg(not(feature = "fleet"))]
pub(super) fn rare(_: &mut Answer<'_, '_, '_>, _: &mut Diagnostics) -> Result<(), Failure> {
    Err(needs_a_fleet())
}

fn needs_a_fleet() -> Failure {
    Failure::Usage("--rare compares computers: it needs a fleet's store, --store clickhouse://HOST/DATABASE".to_owned())
}

#[cfg(feature = "fleet")]
pub(super) fn rare(answer: &mut Answer<'_, '_, '_>, diagnostics: &mut Diagnostics) -> Result<(), Failure> {
    use netstat_fleet::findings::{self, FindingKind, SMALLEST_FLEET};
    use netstat_model::columns::Value;

    use super::headings::RARE;
    use super::novelty::print;

    let Some(client) = answer.args.store.fleet(answer.context.system.is_superuser())? else {
        return Err(needs_a_fleet());
    };
    let failed = |error: netstat_fleet::EngineError| {
        let text = format!("{}: {}", client.address(), plain_error(&error));
        Failure::Refused(netstat_model::text::escape_str(&text).into_owned())
    };
    let of = findings::host_count(&client).map_err(failed)?;
    if of < SMALLEST_FLEET {
        diagnostics.line(format!("what one computer of {of} has says little: the fleet is small"));
    }
    let since = answer.question.since.unwrap_or(i64::MIN);
    let most = answer.args.top.unwrap_or(ROWS);
    let found = findings::rare(&client, since, rare_up_to(of), most).map_err(failed)?;
    let text = |bytes: &[u8]| Value::text(bytes.to_vec());
    let programs = &answer.question.filter.programs;
    let hosts = &answer.question.hosts;
    let rows = found
        .iter()
        .filter(|one| programs.is_empty() || programs.matches_path(&one.subject))
        .filter(|one| hosts.is_empty() || hosts.matches(&one.host))
        .map(|one| {
            vec![
                Value::Word(match one.kind {
                    FindingKind::NewPort => "first to port",
                    FindingKind::NewAddress => "first to network",
                    FindingKind::NewListener => "first listening on port",
                    _ => "first on the network",
                }),
                text(&one.subject),
                text(&one.detail),
                Value::Number(one.hosts),
                Value::Number(one.of),
                Value::Time(one.first),
                text(&one.host),
            ]
        })
        .collect();
    print(answer, &RARE, rows, ("nothing rare in this time", diagnostics))
}
