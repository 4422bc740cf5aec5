//! The errors between this computer and the engine, and whether a retry may help.

/// When the same request may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// After a short pause.
    Soon,
    /// After somebody has changed something: access rights, tables, certificates, the version.
    AfterChange,
    /// Never: the rows themselves are invalid.
    Never,
}

/// The error of a request to the engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// No connection could be established, or it broke.
    #[error("the engine cannot be reached: {0}")]
    Unreachable(String),
    /// The connection cannot be encrypted, or a certificate is not valid.
    #[error("no trusted TLS connection: {0}")]
    Tls(String),
    /// The server is not ClickHouse.
    #[error("what answers there is not ClickHouse: {0}")]
    NotClickHouse(String),
    /// The engine refused the request with an error code.
    #[error("{}", refusal(*code, text))]
    Refused {
        /// The error code (`X-ClickHouse-Exception-Code`).
        code: u32,
        /// The error message, in one line.
        text: String,
    },
    /// The answer ended prematurely, or has an unexpected format.
    #[error("the answer ended in the middle: {0}")]
    Truncated(String),
    /// The version of the engine is too old.
    #[error("the engine has version {0}; 24.8 or later is needed")]
    Version(String),
    /// The tables do not exist.
    #[error("there is no fleet there yet; `netstat fleet init` makes its tables")]
    NoSchema,
    /// The tables have another version.
    #[error("the tables have version {found}, this program needs {needed}: {}", cure(*found, *needed))]
    Schema {
        /// The version of the tables.
        found: u32,
        /// The version that this program needs.
        needed: u32,
    },
}

fn cure(found: u32, needed: u32) -> &'static str {
    match found < needed {
        true => "`netstat fleet upgrade` brings them up to date",
        false => "a newer netstat made them",
    }
}

fn refusal(code: u32, text: &str) -> String {
    let what = match code {
        60 | 81 => "there is no such table or database",
        192 | 193 | 194 | 516 => "user name or password refused",
        497 => "the user may not do this",
        242 => "the table is read-only",
        252 => "too many parts; the engine does not keep up",
        159 => "the engine took too long",
        241 => "the engine has not enough memory for this",
        202 => "too many queries at once",
        243 => "no room on the engine's disk",
        279 => "a shard did not answer",
        _ => "the engine refused",
    };
    format!("{what} (error {code}: {text})")
}

impl EngineError {
    /// Returns whether and when the same rows may be sent again.
    pub fn retry(&self) -> Retry {
        match self {
            EngineError::Unreachable(_) | EngineError::Truncated(_) => Retry::Soon,
            EngineError::Tls(_)
            | EngineError::NotClickHouse(_)
            | EngineError::Version(_)
            | EngineError::NoSchema
            | EngineError::Schema { .. } => Retry::AfterChange,
            EngineError::Refused { code, .. } => match code {
                // CANNOT_PARSE_INPUT_ASSERTION_FAILED, CANNOT_READ_ALL_DATA, CANNOT_PARSE_..., SYNTAX_ERROR,
                // INCORRECT_DATA: the data is invalid.
                27 | 33 | 26 | 38 | 41 | 62 | 72 | 117 | 321 => Retry::Never,
                // Missing tables or columns, access rights, users, types.
                16 | 44 | 47 | 53 | 60 | 81 | 192..=194 | 497 | 516 => Retry::AfterChange,
                _ => Retry::Soon,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_each_class_of_refusal_has_its_own_way() {
        let retry = |code| {
            EngineError::Refused {
                code,
                text: String::new(),
            }
            .retry()
        };
        for code in [252, 241, 159, 279, 202, 209, 210, 242, 243, 999] {
            assert_eq!(retry(code), Retry::Soon, "{code}");
        }
        for code in [60, 81, 516, 497, 16] {
            assert_eq!(retry(code), Retry::AfterChange, "{code}");
        }
        for code in [27, 33, 62] {
            assert_eq!(retry(code), Retry::Never, "{code}");
        }
    }
}
