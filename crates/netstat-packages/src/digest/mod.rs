//! Digests of files, used to find out whether a program still has the content that its package recorded.

mod cache;
mod file_id;
mod hash;
mod state;

use std::fmt;

pub use cache::{Cache, parse as parse_cache};
pub use file_id::FileId;
pub use hash::{Hashed, Job, Progress, Source, Unhashed, digests};
pub use state::digest_of;

/// A digest algorithm that package databases use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// MD5 (RFC 1321), used by dpkg. Detects accidental changes, not attacks.
    Md5,
    /// SHA-1 (FIPS 180-4), used by apk 2.
    Sha1,
    /// SHA-224 (FIPS 180-4), used by some rpm packages.
    Sha224,
    /// SHA-256 (FIPS 180-4), used by rpm, apk 3 and pacman.
    Sha256,
    /// SHA-384 (FIPS 180-4), used by some rpm packages.
    Sha384,
    /// SHA-512 (FIPS 180-4), used by some rpm packages.
    Sha512,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Algorithm; 6] = [
        Algorithm::Md5,
        Algorithm::Sha1,
        Algorithm::Sha224,
        Algorithm::Sha256,
        Algorithm::Sha384,
        Algorithm::Sha512,
    ];

    /// Returns the usual name, such as `SHA-256`.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha1 => "SHA-1",
            Algorithm::Sha224 => "SHA-224",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha384 => "SHA-384",
            Algorithm::Sha512 => "SHA-512",
        }
    }

    /// Returns the length of a digest in bytes.
    pub const fn length(self) -> usize {
        match self {
            Algorithm::Md5 => 16,
            Algorithm::Sha1 => 20,
            Algorithm::Sha224 => 28,
            Algorithm::Sha256 => 32,
            Algorithm::Sha384 => 48,
            Algorithm::Sha512 => 64,
        }
    }
}

/// A digest. Displayed as lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    // The bytes after the length of the algorithm are zero.
    bytes: [u8; 64],
}

impl Digest {
    /// Creates a digest from `bytes`; `None` if their number is not the length of the algorithm's digests.
    pub fn new(algorithm: Algorithm, bytes: &[u8]) -> Option<Digest> {
        if bytes.len() != algorithm.length() {
            return None;
        }
        let mut digest = Digest {
            algorithm,
            bytes: [0; 64],
        };
        digest.bytes[..bytes.len()].copy_from_slice(bytes);
        Some(digest)
    }

    /// Creates a digest from the output of `algorithm`, which has the right length.
    fn made(algorithm: Algorithm, bytes: &[u8]) -> Digest {
        let mut digest = Digest {
            algorithm,
            bytes: [0; 64],
        };
        digest.bytes[..bytes.len()].copy_from_slice(bytes);
        digest
    }

    /// Parses hexadecimal digits of either case; `None` if they are invalid or their number is wrong.
    pub fn from_hex(algorithm: Algorithm, digits: &[u8]) -> Option<Digest> {
        if digits.len() != 2 * algorithm.length() {
            return None;
        }
        let mut digest = Digest {
            algorithm,
            bytes: [0; 64],
        };
        for (byte, pair) in digest.bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            *byte = (high << 4 | low) as u8;
        }
        Some(digest)
    }

    /// Returns the algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the bytes of the digest.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.length()]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{self}", self.algorithm.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn digest_of_wrong_length_or_letters_is_refused() {
        let digits = b"d41d8cd98f00b204e9800998ecf8427e";
        assert_eq!(
            Digest::from_hex(Algorithm::Md5, digits).unwrap().to_string().as_bytes(),
            digits
        );
        assert_eq!(Digest::from_hex(Algorithm::Sha1, digits), None);
        assert_eq!(
            Digest::from_hex(Algorithm::Md5, b"g41d8cd98f00b204e9800998ecf8427e"),
            None
        );
        assert_eq!(Digest::from_hex(Algorithm::Md5, &digits[..31]), None);
    }

    proptest! {
        #[test]
        fn digest_printed_reads_back_unchanged(algorithm in prop::sample::select(&Algorithm::ALL[..]), bytes in prop::array::uniform32(any::<u8>())) {
            let bytes: Vec<u8> = bytes.iter().cycle().take(algorithm.length()).copied().collect();
            let digest = Digest::new(algorithm, &bytes).unwrap();
            prop_assert_eq!(digest.bytes(), &bytes[..]);
            prop_assert_eq!(Digest::from_hex(algorithm, digest.to_string().to_uppercase().as_bytes()), Some(digest));
        }

        #[test]
        fn digest_of_any_text_never_panics(digits: Vec<u8>) {
            for algorithm in Algorithm::ALL {
                let _ = Digest::from_hex(algorithm, &digits);
            }
        }
    }
}
