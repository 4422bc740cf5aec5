//! Network namespaces: separate networks on one computer, as containers have them.

use crate::Component;

/// A network namespace that was queried.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Namespace {
    /// The inode that identifies the namespace: the number in `net:[4026531840]` (`namespaces(7)`).
    pub inode: u64,
    /// Whether it is the caller's own namespace.
    pub own: bool,
    /// The label under which it is shown.
    pub label: NamespaceLabel,
}

/// The label of a network namespace. Names come from outside: escape before printing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum NamespaceLabel {
    /// The name in `/run/netns` (`ip-netns(8)`).
    Name(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Vec<u8>),
    /// The container or unit of the process that has been in the namespace longest.
    Component(Component),
    /// The process that has been in the namespace longest.
    Process {
        /// The process id.
        pid: u32,
        /// The kernel's short name of the process (`comm`).
        #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
        comm: Vec<u8>,
    },
    /// The namespace that the computer started with, in which kernel threads run.
    Initial,
    /// The caller's own namespace, if it has no name.
    Own,
    /// Nothing is known but the inode.
    Unnamed,
}

impl Namespace {
    /// Returns the short label: `web`, `docker 0123456789ab`, `ssh.service`, `42/sleep`, `initial`, `this`,
    /// `net:[4026531840]`. Escape before printing.
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
