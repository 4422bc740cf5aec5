//! `record --install-service`: installs the recorder as a service of systemd, OpenRC or runit, and removes it.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::process;

use netstat_model::text::{escape_str, plain_error};
use netstat_os::files::{self, EntryKind};

use super::args::RecordArgs;
use crate::context::{Context, Failure, Outcome};

/// The name of the service.
pub(super) const NAME: &str = "netstat-record";
/// The command in the packaged files; it is replaced by the path of this program and the given limits.
const PACKAGED: &str = "/usr/bin/netstat-rs record --keep 30d --max-size 2GB --verbose";
const UNIT: &str = include_str!("../../../../../packaging/netstat-record.service");
const OPENRC: &str = include_str!("../../../../../packaging/openrc/netstat-record");
const RUNIT: &str = include_str!("../../../../../packaging/runit/netstat-record/run");
const RUNIT_LOG: &str = include_str!("../../../../../packaging/runit/netstat-record/log/run");
/// A text that each of these files contains. A file without it is not from this program and is left alone.
const OURS: &str = "Keeps every connection of this computer";

/// The service manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    Systemd,
    OpenRc,
    /// With the directory whose entries are started.
    Runit(&'static str),
}

/// The actions to take, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Plan {
    /// The files to write, and whether they are executable.
    write: Vec<(PathBuf, String, bool)>,
    run: Vec<Vec<&'static str>>,
    /// The files to remove after that.
    remove: Vec<PathBuf>,
    then: Vec<Vec<&'static str>>,
}

/// Installs or removes the service.
pub(super) fn service(args: &RecordArgs, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let manager = manager(&|path| Path::new(path).exists()).ok_or_else(|| {
        let why = "no systemd, OpenRC or runit manages services here; start `netstat record` by other means";
        Failure::Refused(why.to_owned())
    })?;
    let plan = match args.uninstall {
        true => removal(manager),
        false => {
            let program = program()?;
            let packaged = ["/usr/lib/systemd/system", "/lib/systemd/system"]
                .iter()
                .any(|folder| Path::new(folder).join("netstat-record.service").exists());
            installation(manager, &program, &args.limits(), packaged)
        }
    };
    context.out.write_all(plan.text().as_bytes())?;
    if args.dry_run {
        return Ok(Outcome::Printed);
    }
    if !context.system.is_superuser() {
        return Err(Failure::Refused(
            "only the superuser can do this; try sudo, or --dry-run".to_owned(),
        ));
    }
    context.out.flush()?;
    if !args.yes && !confirmed(context)? {
        return Err(Failure::Refused("nothing was changed".to_owned()));
    }
    plan.carry_out()?;
    let done = match args.uninstall {
        true => "the service is removed; what was recorded is still there",
        false => "the service runs; ask with `netstat history`",
    };
    writeln!(context.err, "netstat: {done}")?;
    Ok(Outcome::Printed)
}

/// Returns the service manager of this system; `exists` says whether a path exists.
fn manager(exists: &dyn Fn(&str) -> bool) -> Option<Manager> {
    match () {
        // sd_booted(3).
        () if exists("/run/systemd/system") => Some(Manager::Systemd),
        () if exists("/run/openrc") && exists("/sbin/openrc-run") => Some(Manager::OpenRc),
        () if exists("/etc/sv") && exists("/var/service") => Some(Manager::Runit("/var/service")),
        () if exists("/etc/sv") && exists("/etc/service") => Some(Manager::Runit("/etc/service")),
        () => None,
    }
}

/// Returns the path of this program, which root is to start from now on.
///
/// # Errors
/// Returns an error if anybody else could replace the program.
fn program() -> Result<String, Failure> {
    let path = std::env::current_exe()
        .map_err(|error| Failure::Refused(format!("this program's file: {}", plain_error(&error))))?;
    let shown = escape_str(&path.display().to_string()).into_owned();
    for part in path.ancestors() {
        let entry =
            files::entry(part).map_err(|error| Failure::Refused(format!("{shown}: {}", plain_error(&error))))?;
        let sticky = entry.kind == EntryKind::Directory && entry.mode & 0o1000 != 0;
        if entry.user != 0 || (entry.mode & 0o022 != 0 && !sticky) {
            let part = escape_str(&part.display().to_string()).into_owned();
            return Err(Failure::Refused(format!(
                "others than root can change {part}, so root should not start {shown} as a service: install it first, for example into /usr/local/bin"
            )));
        }
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._+-".contains(&byte);
    match path.to_str().filter(|path| path.bytes().all(plain)) {
        Some(path) => Ok(path.to_owned()),
        None => Err(Failure::Refused(format!(
            "{shown}: a service file can only hold letters, digits and . _ + - / of a path"
        ))),
    }
}

fn installation(manager: Manager, program: &str, limits: &str, packaged: bool) -> Plan {
    let adapted = |text: &str| {
        text.replace(PACKAGED, &format!("{program} record {limits} --verbose"))
            .replace("command=\"/usr/bin/netstat-rs\"", &format!("command=\"{program}\""))
            .replace(
                "command_args=\"record --keep 30d --max-size 2GB --verbose\"",
                &format!("command_args=\"record {limits} --verbose\""),
            )
            .replace(NO_NETWORK, if limits.contains(" --ship ") { NETWORK } else { NO_NETWORK })
            .replace("# The package installs the program under this name beside net-tools; change ExecStart where it is called otherwise.\n", "")
    };
    match manager {
        Manager::Systemd if packaged => Plan {
            run: vec![vec!["systemctl", "enable", "--now", NAME]],
            ..Plan::default()
        },
        Manager::Systemd => Plan {
            write: vec![(unit_path(), adapted(UNIT), false)],
            run: vec![
                vec!["systemctl", "daemon-reload"],
                vec!["systemctl", "enable", "--now", NAME],
            ],
            ..Plan::default()
        },
        Manager::OpenRc => Plan {
            write: vec![(openrc_path(), adapted(OPENRC), true)],
            run: vec![
                vec!["rc-update", "add", NAME, "default"],
                vec!["rc-service", NAME, "start"],
            ],
            ..Plan::default()
        },
        Manager::Runit(services) => Plan {
            write: vec![
                (runit_path().join("run"), adapted(RUNIT), true),
                (runit_path().join("log/run"), RUNIT_LOG.to_owned(), true),
            ],
            run: vec![vec!["ln", "-s", "/etc/sv/netstat-record", services]],
            ..Plan::default()
        },
    }
}

/// The lines that keep the unit off the network.
const NO_NETWORK: &str = "RestrictAddressFamilies=AF_NETLINK AF_UNIX\nIPAddressDeny=any\n";
/// Their replacement for a recorder that sends to a fleet.
const NETWORK: &str = "RestrictAddressFamilies=AF_NETLINK AF_UNIX AF_INET AF_INET6\n";

fn removal(manager: Manager) -> Plan {
    match manager {
        Manager::Systemd => Plan {
            run: vec![vec!["systemctl", "disable", "--now", NAME]],
            remove: vec![unit_path()],
            then: vec![vec!["systemctl", "daemon-reload"]],
            ..Plan::default()
        },
        Manager::OpenRc => Plan {
            run: vec![
                vec!["rc-service", NAME, "stop"],
                vec!["rc-update", "del", NAME, "default"],
            ],
            remove: vec![openrc_path()],
            ..Plan::default()
        },
        Manager::Runit(services) => Plan {
            run: vec![vec!["sv", "down", "/etc/sv/netstat-record"]],
            remove: vec![
                Path::new(services).join(NAME),
                runit_path().join("run"),
                runit_path().join("log/run"),
            ],
            ..Plan::default()
        },
    }
}

fn unit_path() -> PathBuf {
    PathBuf::from("/etc/systemd/system/netstat-record.service")
}

fn openrc_path() -> PathBuf {
    PathBuf::from("/etc/init.d/netstat-record")
}

fn runit_path() -> PathBuf {
    PathBuf::from("/etc/sv/netstat-record")
}

impl Plan {
    /// Describes the actions to take.
    fn text(&self) -> String {
        let mut text = String::new();
        for (path, content, _) in &self.write {
            let _ = writeln!(text, "write {}:", path.display());
            for line in content.lines() {
                let _ = writeln!(text, "{}", format!("    {line}").trim_end());
            }
        }
        for command in &self.run {
            let _ = writeln!(text, "run {}", command.join(" "));
        }
        for path in &self.remove {
            let _ = writeln!(text, "remove {}", path.display());
        }
        for command in &self.then {
            let _ = writeln!(text, "run {}", command.join(" "));
        }
        text
    }

    fn carry_out(&self) -> Result<(), Failure> {
        for (path, content, is_program) in &self.write {
            write(path, content, *is_program)?;
        }
        for command in &self.run {
            run(command)?;
        }
        for path in &self.remove {
            remove(path)?;
        }
        for command in &self.then {
            run(command)?;
        }
        Ok(())
    }
}

fn refused(path: &Path, error: &io::Error) -> Failure {
    Failure::Refused(format!("{}: {}", path.display(), plain_error(&error)))
}

/// Whether the file at `path` may be replaced or removed: an earlier file of this program, or the link to it.
fn is_ours(path: &Path) -> Result<bool, Failure> {
    match files::entry(path) {
        Ok(entry) if entry.kind == EntryKind::Link => {
            Ok(fs::read_link(path).is_ok_and(|target| target == runit_path()))
        }
        Ok(_) => Ok(fs::read_to_string(path).is_ok_and(|text| text.contains(OURS) || text == RUNIT_LOG)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(refused(path, &error)),
    }
}

fn write(path: &Path, content: &str, is_program: bool) -> Result<(), Failure> {
    if !is_ours(path)? {
        return Err(Failure::Refused(format!(
            "{}: something else is there; it is left alone",
            path.display()
        )));
    }
    let failed = |error: io::Error| refused(path, &error);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    // Written under another name and renamed, so that no service manager reads an incomplete file.
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new);
    let mut file = netstat_os::create_private(&new).map_err(failed)?;
    io::Write::write_all(&mut file, content.as_bytes()).map_err(failed)?;
    files::set_mode(&file, if is_program { 0o755 } else { 0o644 }).map_err(failed)?;
    fs::rename(&new, path).map_err(failed)
}

fn remove(path: &Path) -> Result<(), Failure> {
    if !is_ours(path)? {
        return Err(Failure::Refused(format!(
            "{}: this is not the service of `--install-service`; it is left alone",
            path.display()
        )));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(refused(path, &error)),
        _ => Ok(()),
    }
}

fn run(command: &[&str]) -> Result<(), Failure> {
    let shown = command.join(" ");
    let Some((name, rest)) = command.split_first() else {
        return Ok(());
    };
    match process::Command::new(name).args(rest).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::Refused(format!("`{shown}` failed: {status}"))),
        Err(error) => Err(Failure::Refused(format!("`{shown}`: {}", plain_error(&error)))),
    }
}

pub(super) fn confirmed(context: &mut Context<'_>) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "--install-service asks before it changes anything, and stdin is no terminal: say --yes or --dry-run"
                .to_owned(),
        ));
    }
    write!(context.err, "Do this? [y/N] ")?;
    context.err.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(paths: &[&str]) -> Option<Manager> {
        manager(&|path| paths.contains(&path))
    }

    #[test]
    fn service_manager_found_is_the_running_one() {
        assert_eq!(
            here(&["/run/systemd/system", "/etc/sv", "/etc/service"]),
            Some(Manager::Systemd)
        );
        assert_eq!(here(&["/run/openrc", "/sbin/openrc-run"]), Some(Manager::OpenRc));
        assert_eq!(here(&["/etc/sv", "/etc/service"]), Some(Manager::Runit("/etc/service")));
        assert_eq!(here(&["/sbin/openrc-run"]), None, "installed, but it does not run");
    }

    #[test]
    fn installation_starts_this_program_with_its_limits() {
        for manager in [Manager::Systemd, Manager::OpenRc, Manager::Runit("/etc/service")] {
            let plan = installation(manager, "/usr/local/bin/netstat", "--keep 7d --max-size 100MB", false);
            let content = &plan.write[0].1;
            assert!(content.contains("/usr/local/bin/netstat"), "{content}");
            assert!(
                content.contains("record --keep 7d --max-size 100MB --verbose"),
                "{content}"
            );
            assert!(
                !content.contains("/usr/bin/netstat-rs") && content.contains(OURS),
                "{content}"
            );
            assert!(!plan.run.is_empty());
            let back = removal(manager);
            for (path, ..) in &plan.write {
                assert!(back.remove.contains(path), "{back:?}");
            }
        }
    }

    #[test]
    fn installation_packaged_unit_is_only_enabled() {
        let plan = installation(Manager::Systemd, "/usr/bin/netstat-rs", "", true);
        assert_eq!(plan.text(), "run systemctl enable --now netstat-record\n");
    }

    #[test]
    fn service_file_of_others_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/netstat-record.service");
        write(&path, UNIT, false).unwrap();
        write(&path, UNIT, false).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), UNIT);
        fs::write(&path, "[Service]\nExecStart=/opt/other\n").unwrap();
        assert!(write(&path, UNIT, false).is_err() && remove(&path).is_err());
        fs::write(&path, UNIT).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
        remove(&path).unwrap();
    }
}
