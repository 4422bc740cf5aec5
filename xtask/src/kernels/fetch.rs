//! Kernel packages of Debian, with an apt state of their own: nothing of this computer's changes.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::Arch;

/// Releases to look in, from the oldest on. A release that the mirror does not have (any more) is left out.
const SUITES: [&str; 7] = [
    "buster-backports",
    "bullseye",
    "bookworm",
    "bookworm-backports",
    "trixie",
    "trixie-backports",
    "sid",
];
/// Their security updates.
const SECURITY: [&str; 3] = ["bullseye-security", "bookworm-security", "trixie-security"];
/// The key ring of package debian-archive-keyring.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Package lists older than this are fetched again.
const FRESH: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// Where kernels are kept, and how they come there.
pub(super) struct Store {
    folder: PathBuf,
    arch: Arch,
}

impl Store {
    /// Prepares the folder and the package lists.
    pub(super) fn new(folder: &Path, arch: Arch) -> Result<Store> {
        let store = Store {
            folder: folder.to_owned(),
            arch,
        };
        for part in [
            "apt/state/lists/partial",
            "apt/cache/archives/partial",
            "apt/etc/preferences.d",
            "apt/log",
            "debs",
            "kernels",
        ] {
            fs::create_dir_all(folder.join(part))?;
        }
        Ok(store)
    }

    /// The names of all kernels that can be had, from the oldest on: `6.1.0-56-cloud-amd64`.
    pub(super) fn available(&self) -> Result<Vec<String>> {
        self.update()?;
        let end = format!("-cloud-{}", self.arch.debian());
        let output = self
            .apt("apt-cache")
            .args(["pkgnames", "linux-image-"])
            .output()
            .context("apt-cache")?;
        ensure!(
            output.status.success(),
            "apt-cache: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let mut names: Vec<String> = String::from_utf8(output.stdout)?
            .lines()
            .filter_map(|line| line.strip_prefix("linux-image-"))
            // Packages without a full version only depend on those with one.
            .filter(|name| name.strip_suffix(&end).is_some_and(is_full_version))
            .map(str::to_owned)
            .collect();
        names.sort_by(|one, other| by_version(one, other));
        names.dedup();
        Ok(names)
    }

    /// The kernel that a user means: the last one whose version begins so.
    pub(super) fn choose(&self, version: &str) -> Result<String> {
        let here = self.folder.join("kernels").join(version);
        if here.is_dir() {
            return Ok(version.to_owned());
        }
        let all = self.available()?;
        let chosen = match version {
            "oldest" => all.first(),
            "newest" => all.last(),
            _ => all.iter().rfind(|name| begins_with(name, version)),
        };
        chosen.cloned().with_context(|| {
            format!("no kernel of Debian's has a version that begins with {version:?}; `cargo xtask kernels --list` shows all")
        })
    }

    /// The folder with a kernel and its modules; fetched when it is not there yet.
    pub(super) fn get(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join("kernels").join(name);
        if folder.join("complete").exists() {
            return Ok(folder);
        }
        eprintln!("fetching kernel {name}");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        let image = format!("linux-image-{name}");
        let archive = self.fetch(&image, &folder)?;
        // Since 6.19 the image package only depends on the kernel itself and on its modules.
        if kernel_image(&folder).is_err() {
            let output = Command::new("dpkg-deb")
                .arg("-f")
                .arg(&archive)
                .arg("Depends")
                .output()?;
            let depends = String::from_utf8(output.stdout)?;
            for package in depends
                .split([',', '|'])
                .filter_map(|one| one.split_whitespace().next())
            {
                let parts = ["linux-base-", "linux-binary-", "linux-modules-"];
                let numbered = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
                if parts
                    .iter()
                    .any(|part| package.strip_prefix(part).is_some_and(numbered))
                {
                    self.fetch(package, &folder)?;
                }
            }
        }
        kernel_image(&folder)?;
        let modules = modules(&folder)?;
        let version = modules.file_name().context("modules have a version")?.to_owned();
        // `lib/modules/VERSION` lies in `lib`, which lies in the folder that depmod wants.
        let base = modules.ancestors().nth(3).context("modules lie in a file system")?;
        let status = depmod()
            .arg("-b")
            .arg(base)
            .arg(&version)
            .status()
            .context("depmod (package kmod)")?;
        ensure!(status.success(), "depmod: {status}");
        fs::write(folder.join("complete"), "")?;
        Ok(folder)
    }

    /// The static busybox of Debian's package for the guest's architecture; fetched when it is not there yet.
    pub(super) fn busybox(&self) -> Result<PathBuf> {
        let folder = self.folder.join(format!("busybox-{}", self.arch.debian()));
        let found = || {
            ["bin/busybox", "usr/bin/busybox"]
                .map(|path| folder.join(path))
                .into_iter()
                .find(|path| path.is_file())
        };
        if found().is_none() {
            self.update()?;
            self.fetch("busybox-static", &folder)?;
        }
        found().with_context(|| format!("{} has no busybox", folder.display()))
    }

    /// Fetches and unpacks one package; the path of its file.
    fn fetch(&self, package: &str, to: &Path) -> Result<PathBuf> {
        let debs = self.folder.join("debs");
        let qualified = format!("{package}:{}", self.arch.debian());
        let status = self
            .apt("apt-get")
            .args(["-qq", "download", &qualified])
            .current_dir(&debs)
            .status()?;
        ensure!(status.success(), "apt-get download {qualified}: {status}");
        let prefix = format!("{package}_");
        let mut files: Vec<PathBuf> = fs::read_dir(&debs)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                path.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
            })
            .collect();
        files.sort_by_key(|path| path.metadata().and_then(|data| data.modified()).ok());
        let archive = files.pop().with_context(|| format!("{package} was not fetched"))?;
        let status = Command::new("dpkg-deb").arg("-x").arg(&archive).arg(to).status()?;
        ensure!(status.success(), "dpkg-deb -x {}: {status}", archive.display());
        Ok(archive)
    }

    /// Fetches the package lists when they are not of today.
    fn update(&self) -> Result<()> {
        let stamp = self.folder.join("apt/updated");
        let fresh = stamp.metadata().and_then(|data| data.modified()).ok();
        if fresh.and_then(|at| at.elapsed().ok()).is_some_and(|age| age < FRESH) {
            return Ok(());
        }
        let (main, security) = mirrors()?;
        let mut sources = String::new();
        let lines = SUITES
            .iter()
            .map(|suite| (suite, &main))
            .chain(SECURITY.iter().map(|suite| (suite, &security)));
        for (suite, mirror) in lines {
            sources.push_str(&format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n"));
        }
        fs::write(self.folder.join("apt/etc/sources.list"), sources)?;
        fs::write(self.folder.join("apt/status"), "")?;
        fs::write(self.folder.join("apt/apt.conf"), self.settings())?;
        eprintln!("fetching package lists");
        // Fails as a whole when one release is missing; the others are there all the same.
        let output = self
            .apt("apt-get")
            .args(["-qq", "update"])
            .output()
            .context("apt-get")?;
        fs::write(self.folder.join("apt/log/update"), &output.stderr)?;
        fs::write(stamp, "")?;
        Ok(())
    }

    fn settings(&self) -> String {
        let apt = self.folder.join("apt");
        let apt = apt.display();
        format!(
            "Dir::Etc \"{apt}/etc\";\nDir::Etc::sourcelist \"{apt}/etc/sources.list\";\nDir::Etc::sourceparts \"{apt}/etc/none\";\n\
             Dir::Etc::preferencesparts \"{apt}/etc/preferences.d\";\nDir::State \"{apt}/state\";\n\
             Dir::State::status \"{apt}/status\";\nDir::Cache \"{apt}/cache\";\nDir::Log \"{apt}/log\";\n\
             Acquire::Languages \"none\";\n\
             // Signatures are checked; a mirror may be older than its lists promise.\n\
             Acquire::Check-Valid-Until \"false\";\n\
             APT::Sandbox::User \"root\";\nAPT::Architectures {{ \"amd64\"; \"arm64\"; }};\n\
             APT::Update::Post-Invoke-Success {{}};\nDPkg::Post-Invoke {{}};\n"
        )
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", self.folder.join("apt/apt.conf"));
        command
    }
}

/// The Debian mirrors that this computer is set up for: packages and security updates.
fn mirrors() -> Result<(String, String)> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
    }
    let texts: String = files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
    let addresses: Vec<&str> = texts
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(str::split_whitespace)
        .filter(|word| word.contains("://"))
        .map(|word| word.trim_end_matches('/'))
        .collect();
    let find = |end: &str| {
        addresses
            .iter()
            .find(|address| address.ends_with(end))
            .map(|&address| address.to_owned())
    };
    let Some(main) = find("/debian") else {
        bail!("this computer's apt is not set up for Debian, so there is no mirror to fetch kernels from");
    };
    let security = find("/debian-security").unwrap_or_else(|| format!("{main}-security"));
    Ok((main, security))
}

/// depmod(8), which an ordinary user's PATH lacks.
pub(super) fn depmod() -> Command {
    let mut command = Command::new("depmod");
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

/// The kernel's file.
pub(super) fn kernel_image(folder: &Path) -> Result<PathBuf> {
    let mut places = vec![folder.join("boot")];
    if let Ok(modules) = modules(folder) {
        places.push(modules);
    }
    for place in places {
        let Ok(entries) = fs::read_dir(&place) else { continue };
        for entry in entries {
            let path = entry?.path();
            let is_kernel = |name: &str| name.starts_with("vmlinuz") || name.starts_with("vmlinux");
            if path.file_name().is_some_and(|name| is_kernel(&name.to_string_lossy())) {
                return Ok(path);
            }
        }
    }
    bail!("{} has no kernel", folder.display())
}

/// The folder of the kernel's modules, named after its version.
pub(super) fn modules(folder: &Path) -> Result<PathBuf> {
    for place in ["lib/modules", "usr/lib/modules"] {
        if let Ok(mut entries) = fs::read_dir(folder.join(place))
            && let Some(entry) = entries.next()
        {
            return Ok(entry?.path());
        }
    }
    bail!("{} has no modules", folder.display())
}

/// The numbers of a version, in order.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

/// Whether a version names one kernel: `6.1.0-56`, not `6.1`.
fn is_full_version(version: &str) -> bool {
    numbers(version).len() > 2
}

fn by_version(one: &str, other: &str) -> Ordering {
    numbers(one).cmp(&numbers(other)).then_with(|| one.cmp(other))
}

/// Whether a version begins with these numbers: `6.1` begins `6.1.0-56`, not `6.12.1`.
fn begins_with(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix)
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_by_number() {
        let mut names = [
            "6.12.9-cloud-amd64",
            "7.3.4+deb13-cloud-amd64",
            "6.1.0-56-cloud-amd64",
            "5.10.0-46-cloud-amd64",
        ];
        names.sort_by(|one, other| by_version(one, other));
        assert_eq!(names[0], "5.10.0-46-cloud-amd64");
        assert_eq!(names[3], "7.3.4+deb13-cloud-amd64");
    }

    #[test]
    fn full_version_has_more_than_two_numbers() {
        assert!(is_full_version("6.1.0-56") && is_full_version("7.3.4+deb13"));
        assert!(!is_full_version("6.1") && !is_full_version("6.12"));
    }

    #[test]
    fn version_prefix_ends_at_a_whole_number() {
        assert!(begins_with("6.1.0-56-cloud-amd64", "6.1"));
        assert!(!begins_with("6.12.9-cloud-amd64", "6.1"));
        assert!(begins_with("6.1.0-56-cloud-amd64", "6.1.0-56-cloud-amd64"));
    }
}
