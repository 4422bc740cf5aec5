//! `--store`: where the record is.

use std::path::PathBuf;

use clap::Args;

use crate::context::Failure;
use netstat_os::System;

/// The file of the record.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoreArgs {
    /// record file [default: $XDG_STATE_HOME/netstat/record.db or ~/.local/state/netstat/record.db; for root
    /// /var/lib/netstat/record.db]
    #[arg(long, value_name = "PATH", alias = "history")]
    store: Option<PathBuf>,
}

impl StoreArgs {
    /// Files that may hold a record to read; none of them has to exist.
    pub(crate) fn places(&self, system: &dyn System) -> Vec<PathBuf> {
        // The usual record is of this machine, and says nothing of another.
        if !self.is_named() && !system.has_files() {
            return Vec::new();
        }
        crate::recall::places(self.store.as_deref(), system.is_superuser())
    }

    /// Whether a file was named.
    pub(crate) fn is_named(&self) -> bool {
        self.store.is_some()
    }

    /// The file's path.
    ///
    /// # Errors
    /// When none is named and no HOME says where the default is.
    pub(crate) fn path(&self, root: bool) -> Result<PathBuf, Failure> {
        self.store
            .clone()
            .or_else(|| netstat_record::default_path(root, |name| std::env::var_os(name)))
            .ok_or_else(|| Failure::Usage("HOME is not set; name the record file with --store PATH".to_owned()))
    }
}
