//! Network namespaces, hand-driven TCP peers and name servers for the tests of this workspace.

pub mod dns;
