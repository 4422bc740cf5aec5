//! The reasons why a record cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use netstat_model::text::plain_error;

/// The version of the schema that this program writes, in `PRAGMA user_version`.
pub(crate) const VERSION: i32 = 6;

/// The reason why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file or its directory cannot be accessed.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// There is no record at this path.
    #[error("{0}: there is no record yet; `netstat record` makes one")]
    Absent(PathBuf),
    /// Another recorder is writing to it.
    #[error("{0}: another recorder is writing to it")]
    Locked(PathBuf),
    /// It is another kind of file, which the text describes.
    #[error("{0}: not a netstat record but {1}")]
    Foreign(PathBuf, String),
    /// It contains an object that no version of this program creates.
    #[error("{0}: the record contains {1}, which netstat did not make; it is not used")]
    ForeignObject(PathBuf, String),
    /// Another user could change it, or it is not an ordinary file, as the text explains.
    #[error("{0}: not used as a record: {1}")]
    Unsafe(PathBuf, String),
    /// A newer version of this program created it.
    #[error("{0}: the record has version {1}, which is newer than this program's {ours}", ours = VERSION)]
    Newer(PathBuf, i32),
    /// An older version of this program created it, and only a recorder may upgrade it.
    #[error("{0}: the record has the older version {1}: `netstat record --for 1s` brings it up to date")]
    Older(PathBuf, i32),
    /// The store of a fleet, or the connection to it, reported an error.
    #[error("{0}")]
    Fleet(String),
    /// It contains an invalid value, which the text describes.
    #[error("the record is damaged: {0}")]
    Damaged(&'static str),
    /// SQLite reported an error for this file.
    #[error("{0}: {text}", text = said(.1))]
    Sqlite(PathBuf, rusqlite::Error),
    /// SQLite reported an error.
    #[error("{}", said(.0))]
    Statement(#[from] rusqlite::Error),
}

/// Returns what an SQLite error means for a record.
fn said(error: &rusqlite::Error) -> String {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, OperationInterrupted};
    match error.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => format!("the record is damaged: {}", plain_error(&error)),
        Some(OperationInterrupted) => "the record took too long to answer; it may be damaged".to_owned(),
        _ => plain_error(&error),
    }
}

impl StoreError {
    /// Whether there was no room or the device failed, so that a later attempt may succeed.
    pub fn is_temporary(&self) -> bool {
        use rusqlite::ErrorCode::{CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, SystemIoFailure};
        match self {
            StoreError::Sqlite(_, error) | StoreError::Statement(error) => matches!(
                error.sqlite_error_code(),
                Some(DiskFull | SystemIoFailure | CannotOpen | DatabaseBusy | DatabaseLocked)
            ),
            _ => false,
        }
    }

    /// Returns the error with the file's name added.
    pub fn in_file(self, path: &Path) -> StoreError {
        match self {
            StoreError::Statement(error) => StoreError::Sqlite(path.to_owned(), error),
            other => other,
        }
    }

    /// Whether it concerns a single row, so that the others can still be read.
    pub(crate) fn is_of_row(&self) -> bool {
        use rusqlite::Error::QueryReturnedNoRows;
        use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
        match self {
            StoreError::Damaged(_) => true,
            StoreError::Statement(error) | StoreError::Sqlite(_, error) => matches!(
                error,
                FromSqlConversionFailure(..)
                    | IntegralValueOutOfRange(..)
                    | InvalidColumnType(..)
                    | Utf8Error(..)
                    | QueryReturnedNoRows
            ),
            _ => false,
        }
    }
}
