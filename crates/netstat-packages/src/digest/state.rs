//! The states of digest computations.

use md5::Md5;
use sha1::Sha1;
use sha2::digest::Digest as _;
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::{Algorithm, Digest};

/// A digest computation in progress.
pub(super) enum State {
    Md5(Md5),
    Sha1(Sha1),
    Sha224(Sha224),
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl State {
    pub(super) fn new(algorithm: Algorithm) -> State {
        match algorithm {
            Algorithm::Md5 => State::Md5(Md5::new()),
            Algorithm::Sha1 => State::Sha1(Sha1::new()),
            Algorithm::Sha224 => State::Sha224(Sha224::new()),
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha384 => State::Sha384(Sha384::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            State::Md5(state) => state.update(bytes),
            State::Sha1(state) => state.update(bytes),
            State::Sha224(state) => state.update(bytes),
            State::Sha256(state) => state.update(bytes),
            State::Sha384(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    pub(super) fn finish(self) -> Digest {
        match self {
            State::Md5(state) => Digest::made(Algorithm::Md5, &state.finalize()),
            State::Sha1(state) => Digest::made(Algorithm::Sha1, &state.finalize()),
            State::Sha224(state) => Digest::made(Algorithm::Sha224, &state.finalize()),
            State::Sha256(state) => Digest::made(Algorithm::Sha256, &state.finalize()),
            State::Sha384(state) => Digest::made(Algorithm::Sha384, &state.finalize()),
            State::Sha512(state) => Digest::made(Algorithm::Sha512, &state.finalize()),
        }
    }
}

/// Computes the digest of `bytes`.
pub fn digest_of(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    let mut state = State::new(algorithm);
    state.update(bytes);
    state.finish()
}
