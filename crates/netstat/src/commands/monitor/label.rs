//! The label that the monitor shows beside the name of a program.

use netstat_audit::script::{Runs, runs};
use netstat_model::metrics::ProcessIdentity;
use netstat_model::text::file_name;
use netstat_model::{Fact, Invocation};

/// Returns the name of the script that an interpreter runs, or the name by which a program was called if its file has a
/// different one (`redis-server`, whose file is `redis-check-rdb`), as the list does. `None` if there is neither.
pub(super) fn label(identity: &ProcessIdentity) -> Option<Vec<u8>> {
    let file = identity.image.as_ref().known()?.file_name();
    let Fact::Known(command) = &identity.command else {
        return None;
    };
    let words = command.strip_suffix(b"\0").unwrap_or(command);
    let arguments: Vec<Vec<u8>> = words.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect();
    if let Some(Runs::File(name) | Runs::Module(name)) = runs(file, &arguments) {
        return Some(file_name(name).to_vec()).filter(|name| !name.is_empty());
    }
    let invocation = Invocation {
        arguments,
        script: None,
    };
    let called = invocation.called().filter(|called| !file.starts_with(called))?;
    Some(called.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_model::{ImageName, Why};

    #[test]
    fn label_program_with_arguments_is_its_script_or_other_name() {
        let label = |path: &str, command: &str| {
            let identity = ProcessIdentity {
                comm: (*b"x").into(),
                image: Fact::Known(ImageName {
                    path: path.into(),
                    deleted: false,
                }),
                command: Fact::Known(command.replace(' ', "\0").into_bytes().into()),
                components: Fact::Unknown(Why::NotAsked),
                user: Fact::Known(0),
            };
            label(&identity).map(|label| String::from_utf8(label).unwrap())
        };
        assert_eq!(
            label("/usr/bin/python3.11", "python3 /srv/app/srv.py --x"),
            Some("srv.py".to_owned())
        );
        assert_eq!(
            label("/usr/bin/redis-check-rdb", "redis-server *:6379"),
            Some("redis-server".to_owned())
        );
        assert_eq!(label("/usr/bin/python3.11", "python3"), None);
        assert_eq!(label("/usr/sbin/nginx", "nginx: worker process"), None);
        assert_eq!(label("/usr/bin/bash", "-bash"), None);
    }
}
