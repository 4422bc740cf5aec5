//! `-g`: multicast groups, in the layout of net-tools.

use std::io::{self, Write};

use netstat_model::route::MulticastGroup;
use netstat_model::text::escape;

/// Writes the table.
///
/// # Errors
/// Returns an error of the writer.
pub(crate) fn write(out: &mut dyn Write, groups: &[MulticastGroup]) -> io::Result<()> {
    writeln!(out, "IPv6/IPv4 Group Memberships")?;
    writeln!(out, "Interface       RefCnt Group")?;
    writeln!(out, "--------------- ------ ---------------------")?;
    for group in groups {
        writeln!(
            out,
            "{:<15} {:<6} {}",
            escape(&group.interface),
            group.users,
            group.group
        )?;
    }
    Ok(())
}
