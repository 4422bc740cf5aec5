//! `--parquet`: connections as a Parquet file, which the engine of a fleet generates.

use std::path::Path;

#[cfg(feature = "fleet")]
use netstat_model::text::plain_error;
use netstat_record::Question;

use super::args::HistoryArgs;
use crate::context::{Context, Failure, Outcome};

#[cfg(not(feature = "fleet"))]
pub(super) fn parquet(_: &HistoryArgs, _: &Path, _: &Question, _: &mut Context<'_>) -> Result<Outcome, Failure> {
    Err(needs_a_fleet())
}

fn needs_a_fleet() -> Failure {
    let why = "--parquet is written by the engine of a fleet: it needs --store clickhouse://HOST/DATABASE; of a record, take --csv";
    Failure::Usage(why.to_owned())
}

#[cfg(feature = "fleet")]
pub(super) fn parquet(
    args: &HistoryArgs,
    path: &Path,
    question: &Question,
    context: &mut Context<'_>,
) -> Result<Outcome, Failure> {
    use netstat_fleet::FleetStore;
    use netstat_model::text::escape_str;

    let Some(client) = args.store.fleet(context.system.is_superuser())? else {
        return Err(needs_a_fleet());
    };
    let shown = escape_str(&path.display().to_string()).into_owned();
    let cannot = |why: &str| Failure::Refused(format!("{shown}: {}", escape_str(why)));
    let store = FleetStore::open(client).map_err(|error| cannot(&plain_error(&error)))?;
    let mut file = netstat_os::create_private(path).map_err(|error| cannot(&plain_error(&error)))?;
    match store.parquet(question, &mut file) {
        Ok(Some(bytes)) => {
            let size = crate::context::human::bytes(bytes);
            writeln!(context.err, "netstat: {size} written to {shown}")?;
            Ok(Outcome::Printed)
        }
        wrong => {
            drop(file);
            // The incomplete file is useless.
            let _ = std::fs::remove_file(path);
            match wrong {
                Err(error) => Err(cannot(&plain_error(&error))),
                _ => Err(Failure::Usage(
                    "--parquet does not go with --public, --exposed, --community-id or ? in a name: the engine cannot tell these".to_owned(),
                )),
            }
        }
    }
}
