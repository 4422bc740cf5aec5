//! What can be seen of this computer, and what not, each with its reason.
//!
//! What can be tried is tried: sockets are listed, the eBPF programs are loaded, and what the answers lack is reported as they report
//! it. The rest is read from `/proc` and `/sys`.

mod answers;
mod environment;
mod kernel;
mod privileges;

use std::path::Path;

use crate::{Check, System};

/// All checks, by area.
pub(super) fn all(system: &mut dyn System, proc: &Path) -> Vec<Check> {
    let root = Path::new("/");
    let mut checks = privileges::checks(proc);
    checks.extend(kernel::checks(proc, root));
    checks.extend(environment::checks(proc, root));
    checks.extend(answers::checks(system));
    checks
}
