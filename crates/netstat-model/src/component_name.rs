//! Display names of units and containers.

use std::borrow::Cow;

use crate::{Component, ContainerRuntime, UnitManager};

/// Returns the display name of the component at index `at` of a process's components, which are listed outermost first:
/// `ssh.service`, `app.service (user 1000)`, `docker 0123456789ab`. A unit inside a container differs from one of the
/// same name outside, so the container is appended: `sshd.service (lxc web)`. Names come from outside: escape before
/// printing. Empty if there is no such component.
pub fn component_name(components: &[Component], at: usize) -> Cow<'_, [u8]> {
    let Some(component) = components.get(at) else {
        return Cow::Borrowed(b"");
    };
    let name = bare_name(component);
    // A pod holds containers but is not one itself.
    let is_container = |component: &&Component| matches!(component, Component::Container { runtime, .. } if *runtime != ContainerRuntime::Pod);
    match (component, components[..at].iter().rev().find(is_container)) {
        (Component::Unit { .. }, Some(container)) => {
            Cow::Owned([&name, &b" ("[..], &bare_name(container), b")"].concat())
        }
        _ => name,
    }
}

/// Returns the name of a component without its surroundings.
fn bare_name(component: &Component) -> Cow<'_, [u8]> {
    match component {
        Component::Unit {
            name,
            manager: UnitManager::System,
        }
        | Component::Service { name }
        | Component::Package { name } => Cow::Borrowed(name),
        Component::Unit {
            name,
            manager: UnitManager::User(user),
        } => Cow::Owned([name, format!(" (user {user})").as_bytes()].concat()),
        Component::Container { runtime, id } => Cow::Owned([runtime.name().as_bytes(), b" ", id.as_slice()].concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(name: &str, manager: UnitManager) -> Component {
        Component::Unit {
            name: name.into(),
            manager,
        }
    }

    #[test]
    fn unit_name_of_user_or_container_names_that_owner() {
        let container = |runtime, id: &str| Component::Container { runtime, id: id.into() };
        let last = |components: &[Component]| {
            String::from_utf8(component_name(components, components.len() - 1).into_owned()).unwrap()
        };
        let sshd = unit("sshd.service", UnitManager::System);
        assert_eq!(last(std::slice::from_ref(&sshd)), "sshd.service");
        assert_eq!(
            last(&[unit("sshd.service", UnitManager::User(7))]),
            "sshd.service (user 7)"
        );
        assert_eq!(
            last(&[container(ContainerRuntime::Lxc, "x"), sshd.clone()]),
            "sshd.service (lxc x)"
        );
        assert_eq!(last(&[container(ContainerRuntime::Pod, "1"), sshd]), "sshd.service");
        assert_eq!(component_name(&[], 0), &b""[..]);
    }
}
