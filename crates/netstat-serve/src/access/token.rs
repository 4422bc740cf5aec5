//! The token: made at start, or read from a file.

use std::fmt;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Whoever chooses a token chooses at least so many characters.
const SHORTEST: usize = 16;
/// No token is longer.
const LONGEST: u64 = 4096;

/// A secret that opens everything that is served.
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

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("{0}")]
    File(#[from] io::Error),
    /// It is too short to be safe.
    #[error("the token needs at least {SHORTEST} characters")]
    Short,
    /// It holds what no header can.
    #[error("the token may hold printable ASCII characters without spaces only")]
    Letters,
    /// It is longer than any token.
    #[error("the file is too long for a token")]
    Long,
    /// The system gave no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

impl Token {
    /// A new one of 256 random bits.
    ///
    /// # Errors
    /// [`TokenError::Random`].
    pub fn random() -> Result<Token, TokenError> {
        let secret = random_secret().ok_or(TokenError::Random)?;
        Ok(Token {
            digest: digest(&secret),
            secret,
            random: true,
        })
    }

    /// One that somebody chose.
    ///
    /// # Errors
    /// When it is too short or holds characters that no header can hold.
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

    /// The one in a file; space around it does not count.
    ///
    /// # Errors
    /// When the file cannot be read, or as for [`Token::chosen`].
    pub fn from_file(path: &Path) -> Result<Token, TokenError> {
        match read_text(path, LONGEST) {
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(TokenError::Long),
            Err(error) => Err(error.into()),
            Ok(text) => Token::chosen(text.trim()),
        }
    }

    /// The secret itself.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Whether this program made it.
    pub(crate) fn is_random(&self) -> bool {
        self.random
    }

    /// Whether `given` is the secret; takes as long for every wrong one.
    pub(crate) fn matches(&self, given: &str) -> bool {
        self.digest.ct_eq(&digest(given)).into()
    }
}

/// 256 random bits that fit into a header and a link.
pub(crate) fn random_secret() -> Option<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// What secrets are compared by: all digests are equally long.
pub(super) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// The text of the file at `path`, which may hold up to `longest` bytes. Never reads more, whatever kind of file it is.
///
/// # Errors
/// The system's; [`io::ErrorKind::FileTooLarge`] when it is longer.
pub(crate) fn read_text(path: &Path, longest: u64) -> io::Result<String> {
    netstat_os::files::text_named(path, longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_are_short_or_strange_are_refused() {
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
    fn long_file_and_device_are_refused() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, &[b'x'; LONGEST as usize + 1]).unwrap();
        assert!(matches!(Token::from_file(file.path()), Err(TokenError::Long)));
        let endless = Path::new("/dev/zero");
        if endless.exists() {
            assert!(matches!(Token::from_file(endless), Err(TokenError::File(_))));
        }
    }
}
