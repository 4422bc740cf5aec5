//! The kinds of places where programs do not belong.

/// A kind of place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A place where no program ever belongs.
    Never,
    /// A place for short-lived files of any user.
    Passing,
    /// A place for data of services.
    Data,
    /// A hidden directory outside any home directory.
    Hidden,
    /// A hidden directory in a home directory, where no known tool keeps programs.
    HomeHidden,
    /// The cache of a home directory, in a subdirectory where no known tool keeps programs.
    HomeCache,
}
