//! The commands that take arguments of their own, one directory each.

pub(crate) mod audit;
pub(crate) mod completions;
pub(crate) mod doctor;
#[cfg(feature = "fleet")]
pub(crate) mod fleet;
pub(crate) mod history;
pub(crate) mod inspect;
pub(crate) mod man;
pub(crate) mod monitor;
pub(crate) mod record;
pub(crate) mod schema;
#[cfg(feature = "serve")]
pub(crate) mod serve;
pub(crate) mod snapshot;
