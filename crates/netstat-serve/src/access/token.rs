//! The access token, created at start or read from a file.

use std::fmt;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The minimum length of a chosen token, in characters.
const SHORTEST: usize = 16;
/// The maximum size of a token file in bytes.
const LONGEST: u64 = 4096;

/// The access token: a secret that grants access to everything.
#[derive(Clone)]
pub struct Token {
    secret: String,
    digest: [u8; 32],
    random: bool,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Why a token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("{0}")]
    File(#[from] io::Error),
    /// The token is too short to be secure.
    #[error("the token needs at least {SHORTEST} characters")]
    Short,
    /// The token contains characters that are not allowed in a header.
    #[error("the token may hold printable ASCII characters without spaces only")]
    Letters,
    /// The file is longer than any token.
    #[error("the file is too long for a token")]
    Long,
    /// The system provides no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

impl Token {
    /// Creates a token of 256 random bits.
    ///
    /// # Errors
    /// Fails with [`TokenError::Random`] if the system provides no random numbers.
    pub fn random() -> Result<Token, TokenError> {
        let secret = random_secret().ok_or(TokenError::Random)?;
        Ok(Token {
            digest: digest(&secret),
            secret,
            random: true,
        })
    }

    /// Creates a token with a chosen secret.
    ///
    /// # Errors
    /// Fails if the secret is too short or contains characters that are not allowed in a header.
    pub fn chosen(secret: &str) -> Result<Token, TokenError> {
        if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Letters);
        }
        if secret.len() < SHORTEST {
            return Err(TokenError::Short);
        }
        Ok(Token {
            digest: digest(secret),
            secret: secret.to_owned(),
            random: false,
        })
    }

    /// Reads the token from a file; surrounding white space is ignored.
    ///
    /// # Errors
    /// Fails if the file cannot be read, and in the cases of [`Token::chosen`].
    pub fn from_file(path: &Path) -> Result<Token, TokenError> {
        match read_text(path, LONGEST) {
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(TokenError::Long),
            Err(error) => Err(error.into()),
            Ok(text) => Token::chosen(text.trim()),
        }
    }

    /// Returns the secret.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Whether the token was created by [`Token::random`].
    pub(crate) fn is_random(&self) -> bool {
        self.random
    }

    /// Whether `given` is the secret. Takes the same time for every wrong one.
    pub(crate) fn matches(&self, given: &str) -> bool {
        self.digest.ct_eq(&digest(given)).into()
    }
}

/// Returns 256 random bits as text that fits into a header and a URL; `None` if the system provides no random numbers.
pub(crate) fn random_secret() -> Option<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// Returns the digest of a secret. Secrets are compared by their digests, which all have the same length.
pub(super) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Reads the text file at `path`, of at most `longest` bytes. Never reads more, whatever kind of file it is.
///
/// # Errors
/// Returns the error of the system, or [`io::ErrorKind::FileTooLarge`] if the file is longer.
pub(crate) fn read_text(path: &Path, longest: u64) -> io::Result<String> {
    netstat_os::files::text_named(path, longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_too_short_or_not_ascii_is_refused() {
        assert!(matches!(Token::chosen("short"), Err(TokenError::Short)));
        assert!(matches!(
            Token::chosen("sixteen letters\u{e4}"),
            Err(TokenError::Letters)
        ));
        let token = Token::chosen("0123456789abcdef").unwrap();
        assert!(token.matches("0123456789abcdef") && !token.matches("0123456789abcdeF"));
        assert_ne!(Token::random().unwrap().secret(), Token::random().unwrap().secret());
        assert_eq!(format!("{token:?}"), "Token");
    }

    #[test]
    fn token_file_too_long_or_device_is_refused() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, &[b'x'; LONGEST as usize + 1]).unwrap();
        assert!(matches!(Token::from_file(file.path()), Err(TokenError::Long)));
        let endless = Path::new("/dev/zero");
        if endless.exists() {
            assert!(matches!(Token::from_file(endless), Err(TokenError::File(_))));
        }
    }
}
