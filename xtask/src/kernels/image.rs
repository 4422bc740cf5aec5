//! The initial RAM disk of a guest: busybox, the programs with their libraries, the kernel's network modules.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Arch, Program, fetch};

/// What the image is made of.
pub(super) struct Contents<'a> {
    /// The kernel's folder.
    pub(super) kernel: &'a Path,
    pub(super) programs: &'a [Program],
    /// In place of the program that cargo builds.
    pub(super) netstat: Option<&'a Path>,
    pub(super) tools: &'a [PathBuf],
    /// For another architecture than this computer's.
    pub(super) busybox: Option<&'a Path>,
    pub(super) arch: Arch,
    /// Where the image goes.
    pub(super) folder: &'a Path,
}

/// Programs of this computer that tests use as oracles and helpers; those that are not installed are left out. They come before
/// busybox's, which have fewer options, and cannot be copied under another name.
const TOOLS: [&str; 42] = [
    "ss",
    "ip",
    "nft",
    "wg",
    "nstat",
    "setcap",
    "capsh",
    "unshare",
    "setpriv",
    "nsenter",
    "mount",
    "umount",
    "strace",
    "sh",
    "bash",
    "env",
    "true",
    "false",
    "sleep",
    "cat",
    "cp",
    "mv",
    "rm",
    "ln",
    "ls",
    "mkdir",
    "chmod",
    "touch",
    "timeout",
    "seq",
    "sort",
    "head",
    "grep",
    "sed",
    "awk",
    "md5sum",
    "sha256sum",
    "id",
    "getent",
    "ncat",
    "kill",
    "tee",
];

/// Folders whose modules all go along, with what they depend on; below `kernel/`.
const MODULE_FOLDERS: [&str; 4] = ["net/", "drivers/net/wireguard/", "drivers/char/", "drivers/virtio/"];
/// Single modules.
const MODULES: [&str; 7] = ["dummy", "veth", "vrf", "tun", "virtio_pci", "virtio_console", "ifb"];
/// Large parts of `net/` that no test needs.
const LEFT_OUT: [&str; 10] = [
    "net/bluetooth/",
    "net/mac80211/",
    "net/wireless/",
    "net/ceph/",
    "net/batman-adv/",
    "net/openvswitch/",
    "net/sunrpc/",
    "net/tipc/",
    "net/9p/",
    "net/rxrpc/",
];

/// Packs the image; its path.
pub(super) fn pack(contents: &Contents<'_>) -> Result<PathBuf> {
    let name = contents
        .kernel
        .file_name()
        .context("a kernel's folder has a name")?
        .to_string_lossy()
        .into_owned();
    let images = contents.folder.join("images");
    fs::create_dir_all(&images)?;
    let root = images.join(format!("{name}.root"));
    let _ = fs::remove_dir_all(&root);
    fill(contents, &root)?;
    let image = images.join(format!("{name}.cpio.gz"));
    archive(&root, &image)?;
    fs::remove_dir_all(&root)?;
    Ok(image)
}

fn fill(contents: &Contents<'_>, root: &Path) -> Result<()> {
    for folder in [
        "bin", "sbin", "etc", "proc", "sys", "dev", "tmp", "run", "root", "usr/bin", "usr/sbin", "var/lib", "var/tmp",
        "tests",
    ] {
        fs::create_dir_all(root.join(folder))?;
    }
    for folder in ["tmp", "var/tmp"] {
        fs::set_permissions(root.join(folder), fs::Permissions::from_mode(0o1777))?;
    }
    put(&busybox(contents)?, &root.join("bin/busybox"))?;
    let shell = if contents.arch == Arch::X86 {
        "../usr/bin/sh"
    } else {
        "busybox"
    };
    symlink(shell, root.join("bin/sh"))?;
    symlink("../bin/busybox", root.join("sbin/modprobe"))?;
    write(root, "init", include_str!("guest.sh"), 0o755)?;
    write(
        root,
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/tmp:/bin/sh\n",
        0o644,
    )?;
    write(root, "etc/group", "root:x:0:\nnogroup:x:65534:\n", 0o644)?;
    write(root, "etc/hosts", "127.0.0.1 localhost\n::1 localhost\n", 0o644)?;
    write(
        root,
        "etc/nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files\nservices: files\n",
        0o644,
    )?;
    let services = fs::read_to_string("/etc/services").unwrap_or_default();
    write(root, "etc/services", &services, 0o644)?;
    programs(contents, root)?;
    if contents.arch == Arch::X86 {
        for tool in TOOLS {
            if let Some(path) = find(tool) {
                put_with_libraries(root, &path)?;
                put(&path.canonicalize()?, &root.join("usr/bin").join(tool))?;
            }
        }
    }
    schemas(root)?;
    for tool in contents.tools {
        put_with_libraries(root, &tool.canonicalize().with_context(|| tool.display().to_string())?)?;
    }
    kernel_modules(contents, root)
}

/// The published schemas, at the path where tests look for them.
fn schemas(root: &Path) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs/schema")
        .canonicalize()?;
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let to = root.join(path.strip_prefix("/").context("a canonical path is absolute")?);
        fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
        fs::copy(&path, to)?;
    }
    // Tests name it from their own package.
    let package = folder
        .ancestors()
        .nth(2)
        .context("a folder in the workspace")?
        .join("crates/netstat");
    fs::create_dir_all(root.join(package.strip_prefix("/").unwrap_or(&package)))?;
    Ok(())
}

/// What the guest runs, one numbered script each.
fn programs(contents: &Contents<'_>, root: &Path) -> Result<()> {
    for (number, program) in contents.programs.iter().enumerate() {
        let quoted: Vec<String> = program
            .command
            .iter()
            .map(|word| format!("'{}'", word.replace('\'', "'\\''")))
            .collect();
        let text = format!("# {}\nexec {}\n", program.name.replace('\n', " "), quoted.join(" "));
        write(root, &format!("tests/{number:03}"), &text, 0o644)?;
        let path = Path::new(&program.command[0]);
        if path.is_absolute() && !path.starts_with("/bin") {
            put_with_libraries(root, path)?;
            // Tests of the program find it where cargo built it: beside the folder of the test program.
            let built = path.ancestors().nth(2).map(|folder| folder.join("netstat"));
            if let Some(built) = built.filter(|built| built.is_file()) {
                put_with_libraries(root, &built)?;
                symlink(&built, root.join("usr/bin/netstat")).or_else(|error| match error.kind() {
                    std::io::ErrorKind::AlreadyExists => Ok(()),
                    _ => Err(error),
                })?;
            }
        }
    }
    if let Some(netstat) = contents.netstat {
        let at = root.join("usr/bin/netstat");
        let _ = fs::remove_file(&at);
        put(netstat, &at)?;
        libraries(root, netstat)?;
    }
    Ok(())
}

/// A static busybox for the guest: this computer's, or the one that was fetched.
fn busybox(contents: &Contents<'_>) -> Result<PathBuf> {
    let here = || find("busybox").context("no busybox for the guest: install the package busybox-static");
    let path = contents.busybox.map_or_else(here, |path| Ok(path.to_owned()))?;
    ensure!(
        dependencies(&path)?.is_empty(),
        "{} is not static: install the package busybox-static",
        path.display()
    );
    Ok(path)
}

/// The kernel's modules for networks, uncompressed: busybox loads no others.
fn kernel_modules(contents: &Contents<'_>, root: &Path) -> Result<()> {
    let from = fetch::modules(contents.kernel)?;
    let version = from.file_name().context("modules have a version")?.to_owned();
    let to = root.join("lib/modules").join(&version);
    fs::create_dir_all(&to)?;
    for file in ["modules.builtin", "modules.order", "modules.builtin.modinfo"] {
        if from.join(file).exists() {
            fs::copy(from.join(file), to.join(file))?;
        }
    }
    let list = fs::read_to_string(from.join("modules.dep")).context("modules.dep")?;
    for file in wanted_modules(&list) {
        let plain = file
            .trim_end_matches(".xz")
            .trim_end_matches(".zst")
            .trim_end_matches(".gz");
        let target = to.join(plain);
        fs::create_dir_all(target.parent().context("a module lies in a folder")?)?;
        let unpacker = match file.rsplit('.').next() {
            Some("xz") => "xz",
            Some("zst") => "zstd",
            Some("gz") => "gzip",
            _ => {
                fs::copy(from.join(&file), &target)?;
                continue;
            }
        };
        let output = Command::new(unpacker)
            .arg("-dc")
            .arg(from.join(&file))
            .output()
            .context(unpacker)?;
        ensure!(output.status.success(), "{unpacker} {file}: {}", output.status);
        fs::write(target, output.stdout)?;
    }
    let status = fetch::depmod().arg("-b").arg(root).arg(&version).status()?;
    ensure!(status.success(), "depmod: {status}");
    Ok(())
}

/// The modules to take along and all that they depend on, out of `modules.dep`: `FILE: NEEDED NEEDED ...`.
fn wanted_modules(list: &str) -> BTreeSet<String> {
    let mut wanted = BTreeSet::new();
    for line in list.lines() {
        let Some((file, needed)) = line.split_once(':') else {
            continue;
        };
        let path = file.trim_start_matches("kernel/");
        let name = path.rsplit('/').next().unwrap_or(path);
        let name = name.split(".ko").next().unwrap_or(name).replace('-', "_");
        let folder = MODULE_FOLDERS.iter().any(|folder| path.starts_with(folder));
        let left_out = LEFT_OUT.iter().any(|folder| path.starts_with(folder));
        if (folder && !left_out) || MODULES.contains(&name.as_str()) {
            wanted.insert(file.to_owned());
            wanted.extend(needed.split_whitespace().map(str::to_owned));
        }
    }
    wanted
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

fn write(root: &Path, path: &str, text: &str, mode: u32) -> Result<()> {
    let path = root.join(path);
    fs::write(&path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(())
}

/// Copies a file and makes it a program for everybody.
fn put(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
    fs::copy(from, to).with_context(|| from.display().to_string())?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Copies a program to the same path in the guest, and the libraries it needs to theirs.
fn put_with_libraries(root: &Path, program: &Path) -> Result<()> {
    let to = root.join(
        program
            .strip_prefix("/")
            .with_context(|| format!("{} is not absolute", program.display()))?,
    );
    if !to.exists() {
        put(program, &to)?;
    }
    libraries(root, program)
}

fn libraries(root: &Path, program: &Path) -> Result<()> {
    for library in dependencies(program)? {
        let to = root.join(library.strip_prefix("/").unwrap_or(&library));
        if !to.exists() {
            put(&library.canonicalize()?, &to)?;
        }
    }
    Ok(())
}

/// The libraries that ldd(1) lists, the loader among them; none for a static program or one of another architecture.
fn dependencies(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("ldd")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let paths = text
        .split_whitespace()
        .filter(|word| word.starts_with('/') && !word.ends_with(':'));
    Ok(paths.map(PathBuf::from).collect())
}

/// Writes a folder as a compressed cpio archive in the "newc" format (kernel: Documentation/driver-api/early-userspace/buffer-format.rst).
fn archive(root: &Path, to: &Path) -> Result<()> {
    let file = BufWriter::new(File::create(to).with_context(|| to.display().to_string())?);
    let mut out = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    let mut number = 1;
    // The console has to be there before anything runs: character device 5, 1.
    entry(&mut out, &mut number, "dev", 0o040_755, (0, 0), &[])?;
    entry(&mut out, &mut number, "dev/console", 0o020_600, (5, 1), &[])?;
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut paths: Vec<PathBuf> = fs::read_dir(&folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        paths.sort();
        for path in paths {
            let data = path.symlink_metadata()?;
            let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
            let content = if data.is_symlink() {
                fs::read_link(&path)?.to_string_lossy().into_owned().into_bytes()
            } else if data.is_file() {
                let mut bytes = Vec::new();
                File::open(&path)?.read_to_end(&mut bytes)?;
                bytes
            } else {
                Vec::new()
            };
            if name != "dev" {
                entry(&mut out, &mut number, &name, data.mode(), (0, 0), &content)?;
            }
            if data.is_dir() {
                folders.push(path);
            }
        }
    }
    entry(&mut out, &mut number, "TRAILER!!!", 0, (0, 0), &[])?;
    out.finish()?.flush()?;
    Ok(())
}

fn entry(
    out: &mut impl Write,
    number: &mut u32,
    name: &str,
    mode: u32,
    device: (u32, u32),
    content: &[u8],
) -> Result<()> {
    let size = u32::try_from(content.len()).with_context(|| format!("{name} is too large"))?;
    let links = 1;
    // Number, mode, user, group, links, time, size, device of the file (2), device that it is (2), length of the name, check sum.
    let fields = [
        *number,
        mode,
        0,
        0,
        links,
        0,
        size,
        0,
        0,
        device.0,
        device.1,
        name.len() as u32 + 1,
        0,
    ];
    *number += 1;
    let mut head = String::from("070701");
    for field in fields {
        head.push_str(&format!("{field:08x}"));
    }
    head.push_str(name);
    let mut head = head.into_bytes();
    head.push(0);
    pad(&mut head);
    out.write_all(&head)?;
    out.write_all(content)?;
    out.write_all(&[0; 3][..content.len().next_multiple_of(4) - content.len()])?;
    Ok(())
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_with_what_they_need() {
        let list = "kernel/net/ipv4/tcp_diag.ko: kernel/lib/x.ko\n\
            kernel/drivers/net/vrf.ko.xz:\n\
            kernel/drivers/gpu/big.ko: kernel/lib/y.ko\n\
            kernel/net/wireless/cfg80211.ko:\n";
        let wanted: Vec<String> = wanted_modules(list).into_iter().collect();
        assert_eq!(
            wanted,
            [
                "kernel/drivers/net/vrf.ko.xz",
                "kernel/lib/x.ko",
                "kernel/net/ipv4/tcp_diag.ko"
            ]
        );
    }

    #[test]
    fn archive_entries_are_aligned() {
        let mut out = Vec::new();
        entry(&mut out, &mut 1, "a", 0o100_644, (0, 0), b"xyz12").unwrap();
        assert_eq!(out.len() % 4, 0);
        assert!(out.starts_with(b"070701"));
        assert_eq!(out.len(), 112 + 8);
    }
}
