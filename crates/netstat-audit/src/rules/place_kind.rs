//! The kinds of places where programs do not belong.

/// A kind of place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// No program ever belongs there.
    Never,
    /// For short-lived files of anyone.
    Passing,
    /// For data of services.
    Data,
    /// Hidden, and in no home.
    Hidden,
    /// Hidden in a home, where no tool is known to keep programs.
    HomeHidden,
    /// In the cache of a home, where no tool is known to keep programs.
    HomeCache,
}
