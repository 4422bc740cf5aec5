//! The checks of what can be seen of this computer and what cannot, each with its reason.
//!
//! Whatever can be tried is tried: sockets are listed, the eBPF programs are loaded, and the limits of the answers are
//! reported. The rest is read from `/proc` and `/sys`.

mod answers;
mod environment;
mod kernel;
mod privileges;

use std::path::Path;

use crate::{Check, System};

/// Returns all checks, ordered by area.
pub(super) fn all(system: &mut dyn System, proc: &Path) -> Vec<Check> {
    let root = Path::new("/");
    let mut checks = privileges::checks(proc);
    checks.extend(kernel::checks(proc, root));
    checks.extend(environment::checks(proc, root));
    checks.extend(answers::checks(system));
    checks
}
