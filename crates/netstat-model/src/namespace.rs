//! Network namespaces: separate networks on one computer, as containers have them.

use crate::Component;

/// A network namespace that was looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Namespace {
    /// The inode that identifies it: the number in `net:[4026531840]` (`namespaces(7)`).
    pub inode: u64,
    /// Whether it is the caller's own.
    pub own: bool,
    /// What it is known by.
    pub label: NamespaceLabel,
}

/// What a network namespace is known by. Names come from outside: escape before printing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum NamespaceLabel {
    /// A name in `/run/netns` (`ip-netns(8)`).
    Name(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Vec<u8>),
    /// The container or unit of the process that has been in it longest.
    Component(Component),
    /// The process that has been in it longest.
    Process {
        /// Process id.
        pid: u32,
        /// The kernel's short name for it.
        #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
        comm: Vec<u8>,
    },
    /// It is the one that the computer started with: the kernel's own threads are in it.
    Initial,
    /// It is the caller's own, without a name.
    Own,
    /// Nothing but its inode.
    Unnamed,
}

impl Namespace {
    /// The label in short: `web`, `docker 0123456789ab`, `ssh.service`, `42/sleep`, `initial`, `this`, `net:[4026531840]`. To be
    /// escaped
    /// before it is printed.
    pub fn shown(&self) -> Vec<u8> {
        match &self.label {
            NamespaceLabel::Name(name) => name.clone(),
            NamespaceLabel::Component(
                Component::Unit { name, .. } | Component::Service { name } | Component::Package { name },
            ) => name.clone(),
            NamespaceLabel::Component(Component::Container { runtime, id }) => {
                [runtime.name().as_bytes(), b" ", id].concat()
            }
            NamespaceLabel::Process { pid, comm } => [pid.to_string().as_bytes(), b"/", comm].concat(),
            NamespaceLabel::Initial => b"initial".to_vec(),
            NamespaceLabel::Own => b"this".to_vec(),
            NamespaceLabel::Unnamed => format!("net:[{}]", self.inode).into_bytes(),
        }
    }
}
