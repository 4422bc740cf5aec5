//! The names of containers, as their runtimes store them on disk.

use std::io::Read;
use std::net::IpAddr;
use std::path::Path;

use netstat_os::files::{self, Directory};
use serde_json::Value;

/// The maximum number of bytes read of a container's description.
const FILE_LIMIT: u64 = 4 << 20;

/// A Docker container. Names are untrusted; escape them before printing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerContainer {
    /// The full id: 64 hexadecimal digits.
    pub id: String,
    /// The name, without the leading slash that Docker stores.
    pub name: String,
    /// The addresses in Docker's networks.
    pub addresses: Vec<IpAddr>,
}

/// Returns every container whose description is stored by the Docker below `root`, usually `/`. Empty if there are none
/// or they cannot be read, which requires root.
pub fn docker_containers(root: impl AsRef<Path>) -> Vec<DockerContainer> {
    let directory = root.as_ref().join("var/lib/docker/containers");
    let names = Directory::open(&directory).and_then(|directory| directory.names());
    let read = |name: Vec<u8>| {
        let mut text = Vec::new();
        let path = directory.join(files::path_of(name)).join("config.v2.json");
        let file = files::open_foreign(&path).ok()?;
        files::content(&file).take(FILE_LIMIT).read_to_end(&mut text).ok()?;
        parse_docker_container(&text)
    };
    let mut containers: Vec<_> = names.unwrap_or_default().into_iter().filter_map(read).collect();
    containers.sort_by(|a, b| a.id.cmp(&b.id));
    containers
}

/// Parses the text of a `config.v2.json`; `None` if it does not describe a container.
pub fn parse_docker_container(text: &[u8]) -> Option<DockerContainer> {
    let whole: Value = serde_json::from_slice(text).ok()?;
    let networks = whole.pointer("/NetworkSettings/Networks").and_then(Value::as_object);
    let addresses = networks
        .into_iter()
        .flat_map(|networks| networks.values())
        .flat_map(|network| [network.get("IPAddress"), network.get("GlobalIPv6Address")])
        .filter_map(|address| address?.as_str()?.parse().ok())
        .collect();
    Some(DockerContainer {
        id: whole.get("ID")?.as_str()?.to_owned(),
        name: whole.get("Name")?.as_str()?.trim_start_matches('/').to_owned(),
        addresses,
    })
}

/// Returns the Kubernetes pods whose logs the kubelet stores below `root`, as pairs of UID and `NAMESPACE/NAME`. The
/// directories in `/var/log/pods` are called `NAMESPACE_NAME_UID`, and only root can create them. Names are untrusted;
/// escape them before printing.
pub fn pods(root: impl AsRef<Path>) -> Vec<(String, String)> {
    let directory = Directory::open(&root.as_ref().join("var/log/pods"));
    let names = directory.and_then(|directory| directory.names()).unwrap_or_default();
    let read = |name: &Vec<u8>| parse_pod(std::str::from_utf8(name).ok()?);
    let mut pods: Vec<(String, String)> = names.iter().filter_map(read).collect();
    pods.sort_unstable();
    pods
}

/// Parses `NAMESPACE_NAME_UID`. None of the parts contains a `_`; the UID of a static pod may be a hash.
fn parse_pod(name: &str) -> Option<(String, String)> {
    let mut parts = name.split('_');
    let (space, pod, uid) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = parts.next().is_none() && ![space, pod, uid].contains(&"");
    whole.then(|| (uid.to_owned(), format!("{space}/{pod}")))
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = r#"{"ID":"00ff","Name":"/web","State":{"Running":true},"NetworkSettings":{"Networks":{
        "bridge":{"IPAddress":"172.17.0.2","GlobalIPv6Address":""},"own":{"IPAddress":"10.0.0.9","GlobalIPv6Address":"fd00::9"}}}}"#;

    #[test]
    fn docker_container_id_name_and_addresses_are_read() {
        let container = parse_docker_container(TEXT.as_bytes()).unwrap();
        assert_eq!((container.id.as_str(), container.name.as_str()), ("00ff", "web"));
        let addresses: Vec<String> = container.addresses.iter().map(IpAddr::to_string).collect();
        assert_eq!(addresses, ["172.17.0.2", "10.0.0.9", "fd00::9"]);
        assert_eq!(parse_docker_container(b"{}"), None);
        assert_eq!(parse_docker_container(b""), None);
    }

    #[test]
    fn docker_containers_are_found_below_root() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("var/lib/docker/containers/00ff");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("config.v2.json"), TEXT).unwrap();
        fs::create_dir_all(root.path().join("var/lib/docker/containers/broken")).unwrap();
        assert_eq!(docker_containers(root.path()).len(), 1);
        assert_eq!(docker_containers(root.path().join("nothing")), []);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: Vec<u8>) {
            let _ = parse_docker_container(&text);
        }
    }

    #[test]
    fn pods_are_found_by_their_log_directories() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(pods(directory.path()), []);
        for name in [
            "default_web-0_5f0a-11",
            "kube-system_etcd_aabb",
            "broken",
            "a_b_c_d",
            "__",
        ] {
            fs::create_dir_all(directory.path().join("var/log/pods").join(name)).unwrap();
        }
        let expected = [("5f0a-11", "default/web-0"), ("aabb", "kube-system/etcd")];
        assert_eq!(
            pods(directory.path()),
            expected.map(|(uid, name)| (uid.to_owned(), name.to_owned()))
        );
    }
}
