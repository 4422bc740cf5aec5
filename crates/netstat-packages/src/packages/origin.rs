//! What the location of a file suggests about its origin, if no package of the distribution owns it.
//!
//! A location is evidence, not proof: anyone who can write to the directory can put anything there.

use std::borrow::Cow;
use std::path::Path;

use netstat_model::text;

/// The origin that the location of a file suggests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// What installs files in this location.
    pub manager: Manager,
    /// The name that the location gives: a package, a tool with its version, a vendor. Escaped.
    pub name: Option<String>,
}

/// What installs files in a location: a package manager, a tool, or a convention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the name of a tool; see `words`")]
pub enum Manager {
    Snap,
    Flatpak,
    Nix,
    Guix,
    Homebrew,
    AppImage,
    Cargo,
    CargoBuild,
    Rustup,
    Go,
    GoBuild,
    Pip,
    Pipx,
    Uv,
    Pyenv,
    Conda,
    Npm,
    Nvm,
    Volta,
    Deno,
    Bun,
    Rbenv,
    Rvm,
    Sdkman,
    Ghcup,
    Asdf,
    Mise,
    Steam,
    JetBrains,
    EditorServer,
    UserLocal,
    UsrLocal,
    Opt,
}

impl Manager {
    /// Whether updates replace all files of an installation, possibly while the old version is still running.
    pub const fn renews_itself(self) -> bool {
        matches!(
            self,
            Manager::EditorServer
                | Manager::JetBrains
                | Manager::Snap
                | Manager::Flatpak
                | Manager::Nix
                | Manager::Guix
                | Manager::Homebrew
                | Manager::Steam
                | Manager::Npm
                | Manager::Nvm
                | Manager::Rustup
                | Manager::Uv
                | Manager::Pipx
                | Manager::Mise
                | Manager::CargoBuild
                | Manager::GoBuild
        )
    }

    /// Returns a description that follows "installed by" or "in the place of".
    pub const fn words(self) -> &'static str {
        match self {
            Manager::Snap => "snap",
            Manager::Flatpak => "flatpak",
            Manager::Nix => "nix",
            Manager::Guix => "guix",
            Manager::Homebrew => "Homebrew",
            Manager::AppImage => "AppImage",
            Manager::Cargo => "cargo install",
            Manager::CargoBuild => "cargo build",
            Manager::Rustup => "rustup",
            Manager::Go => "go",
            Manager::GoBuild => "go run",
            Manager::Pip => "pip",
            Manager::Pipx => "pipx",
            Manager::Uv => "uv",
            Manager::Pyenv => "pyenv",
            Manager::Conda => "conda",
            Manager::Npm => "npm",
            Manager::Nvm => "nvm",
            Manager::Volta => "volta",
            Manager::Deno => "deno",
            Manager::Bun => "bun",
            Manager::Rbenv => "rbenv",
            Manager::Rvm => "rvm",
            Manager::Sdkman => "SDKMAN",
            Manager::Ghcup => "ghcup",
            Manager::Asdf => "asdf",
            Manager::Mise => "mise",
            Manager::Steam => "Steam",
            Manager::JetBrains => "JetBrains Toolbox",
            Manager::EditorServer => "an editor's remote server",
            Manager::UserLocal => "a user's own programs",
            Manager::UsrLocal => "the administrator's own programs",
            Manager::Opt => "a vendor's programs",
        }
    }
}

/// Where in a path the components of a rule must occur.
#[derive(Clone, Copy)]
enum At {
    Start,
    Anywhere,
}

/// A rule: the manager, the components and where they occur, and the number of following components that form the name
/// (0 for no name).
struct Rule(Manager, At, &'static [&'static str], usize);

use At::{Anywhere, Start};

/// The rules, more specific ones first. A component that ends in `*` matches as a prefix. Sources: the documentation of
/// each manager; `/usr/local` and `/opt` from the Filesystem Hierarchy Standard 3.0, `~/.local/bin` from the XDG Base
/// Directory Specification.
const RULES: &[Rule] = &[
    Rule(Manager::Snap, Start, &["snap"], 1),
    Rule(Manager::Snap, Start, &["var", "lib", "snapd", "snap"], 1),
    Rule(Manager::Flatpak, Start, &["var", "lib", "flatpak", "app"], 1),
    Rule(Manager::Flatpak, Start, &["var", "lib", "flatpak", "runtime"], 1),
    Rule(Manager::Flatpak, Anywhere, &[".local", "share", "flatpak", "app"], 1),
    Rule(
        Manager::Flatpak,
        Anywhere,
        &[".local", "share", "flatpak", "runtime"],
        1,
    ),
    Rule(Manager::Nix, Start, &["nix", "store"], 1),
    Rule(Manager::Guix, Start, &["gnu", "store"], 1),
    Rule(Manager::AppImage, Start, &["tmp", ".mount_*"], 0),
    Rule(Manager::GoBuild, Anywhere, &["go-build*"], 0),
    Rule(Manager::Homebrew, Anywhere, &[".linuxbrew", "Cellar"], 2),
    Rule(Manager::Homebrew, Anywhere, &[".linuxbrew"], 0),
    Rule(Manager::Rustup, Anywhere, &[".rustup", "toolchains"], 1),
    Rule(Manager::Rustup, Start, &["usr", "local", "rustup", "toolchains"], 1),
    Rule(Manager::Npm, Anywhere, &["node_modules"], 1),
    Rule(Manager::Pipx, Anywhere, &["pipx", "venvs"], 1),
    Rule(Manager::Uv, Anywhere, &[".local", "share", "uv", "tools"], 1),
    Rule(Manager::Uv, Anywhere, &[".local", "share", "uv", "python"], 1),
    Rule(Manager::Pyenv, Anywhere, &[".pyenv", "versions"], 1),
    Rule(Manager::Conda, Anywhere, &["miniconda*"], 0),
    Rule(Manager::Conda, Anywhere, &["anaconda*"], 0),
    Rule(Manager::Conda, Anywhere, &["miniforge*"], 0),
    Rule(Manager::Conda, Anywhere, &["mambaforge*"], 0),
    Rule(Manager::Conda, Anywhere, &["conda", "envs"], 1),
    Rule(Manager::Pip, Anywhere, &["site-packages"], 1),
    Rule(
        Manager::Pip,
        Start,
        &["usr", "local", "lib", "python3*", "dist-packages"],
        1,
    ),
    Rule(Manager::Nvm, Anywhere, &[".nvm", "versions"], 2),
    Rule(Manager::Volta, Anywhere, &[".volta", "tools", "image"], 2),
    Rule(Manager::Deno, Anywhere, &[".deno"], 0),
    Rule(Manager::Bun, Anywhere, &[".bun"], 0),
    Rule(Manager::Rbenv, Anywhere, &[".rbenv", "versions"], 1),
    Rule(Manager::Rvm, Anywhere, &[".rvm", "rubies"], 1),
    Rule(Manager::Rvm, Start, &["usr", "local", "rvm", "rubies"], 1),
    Rule(Manager::Sdkman, Anywhere, &[".sdkman", "candidates"], 2),
    Rule(Manager::Ghcup, Anywhere, &[".ghcup"], 0),
    Rule(Manager::Asdf, Anywhere, &[".asdf", "installs"], 2),
    Rule(Manager::Mise, Anywhere, &[".local", "share", "mise", "installs"], 2),
    Rule(Manager::Cargo, Anywhere, &[".cargo", "bin"], 1),
    Rule(Manager::Cargo, Start, &["usr", "local", "cargo", "bin"], 1),
    Rule(Manager::CargoBuild, Anywhere, &["target", "debug"], 0),
    Rule(Manager::CargoBuild, Anywhere, &["target", "release"], 0),
    Rule(Manager::Go, Anywhere, &["go", "pkg", "mod"], 0),
    Rule(Manager::Go, Start, &["usr", "local", "go"], 0),
    Rule(Manager::Go, Start, &["home", "*", "go", "bin"], 1),
    Rule(Manager::Go, Start, &["root", "go", "bin"], 1),
    Rule(Manager::Steam, Anywhere, &[".local", "share", "Steam"], 0),
    Rule(Manager::Steam, Anywhere, &[".steam"], 0),
    Rule(
        Manager::JetBrains,
        Anywhere,
        &[".local", "share", "JetBrains", "Toolbox", "apps"],
        1,
    ),
    Rule(Manager::EditorServer, Anywhere, &[".vscode-server"], 0),
    Rule(Manager::EditorServer, Anywhere, &[".cursor-server"], 0),
    Rule(Manager::EditorServer, Anywhere, &[".windsurf-server"], 0),
    Rule(Manager::EditorServer, Anywhere, &[".zed_server"], 0),
    Rule(Manager::UserLocal, Start, &["home", "*", ".local", "bin"], 0),
    Rule(Manager::UserLocal, Start, &["root", ".local", "bin"], 0),
    Rule(Manager::UserLocal, Start, &["home", "*", "bin"], 0),
    Rule(Manager::UserLocal, Start, &["root", "bin"], 0),
    Rule(Manager::UsrLocal, Start, &["usr", "local"], 0),
    Rule(Manager::Opt, Start, &["opt"], 1),
];

/// Directories in which nothing is installed: what looks like a manager's directory there is even suspicious.
const PASSING: &[&[&str]] = &[&["tmp"], &["var", "tmp"], &["dev"], &["run"], &["proc"]];

/// Returns the origin that the location of the file `path` suggests; `path` is absolute and without links.
///
/// Below `/tmp`, `/var/tmp`, `/dev`, `/run` and `/proc` only mounted AppImages and `go run` are recognised: cargo, for
/// example, does not install to `/tmp/.cargo/bin`.
pub fn origin(path: &Path) -> Option<Origin> {
    let bytes = path.as_os_str().as_encoded_bytes();
    let parts: Vec<&[u8]> = bytes.strip_prefix(b"/")?.split(|&byte| byte == b'/').collect();
    // The last component is the file itself.
    let dirs = &parts[..parts.len() - 1];
    let passing = PASSING.iter().any(|place| starts(place, dirs));
    RULES.iter().find_map(|Rule(manager, at, pattern, names)| {
        if passing && !matches!(manager, Manager::AppImage | Manager::GoBuild) {
            return None;
        }
        let after = match at {
            Start => starts(pattern, dirs).then_some(pattern.len())?,
            Anywhere => (0..dirs.len()).find(|&from| starts(pattern, &dirs[from..]))? + pattern.len(),
        };
        let names = if *names > 0 {
            named(*manager, &parts[after..], *names)
        } else {
            None
        };
        Some(Origin {
            manager: *manager,
            name: names,
        })
    })
}

fn starts(pattern: &[&str], parts: &[&[u8]]) -> bool {
    parts.len() >= pattern.len()
        && pattern
            .iter()
            .zip(parts)
            .all(|(pattern, part)| match pattern.strip_suffix('*') {
                Some(beginning) => part.starts_with(beginning.as_bytes()),
                None => *part == pattern.as_bytes(),
            })
}

/// Returns the first `count` components of `rest` as a name: `node v22.1.0`.
fn named(manager: Manager, rest: &[&[u8]], count: usize) -> Option<String> {
    let mut count = count.min(rest.len());
    // A scope is part of the name: node_modules/@scope/package.
    if manager == Manager::Npm && rest.first().is_some_and(|first| first.starts_with(b"@")) {
        count = rest.len().min(2);
    }
    let joined = rest[..count].join(&b" "[..]);
    let name: Cow<'_, [u8]> = match manager {
        Manager::Npm => rest[..count].join(&b"/"[..]).into(),
        // HASH-NAME-VERSION; the hash has 32 characters in both stores.
        Manager::Nix | Manager::Guix if joined.get(32) == Some(&b'-') => joined[33..].to_vec().into(),
        _ => joined.into(),
    };
    (!name.is_empty()).then(|| text::escape(&name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(path: &str) -> Option<(Manager, Option<String>)> {
        origin(Path::new(path)).map(|origin| (origin.manager, origin.name))
    }

    #[test]
    fn origin_of_known_directory_is_its_manager() {
        let told = |path: &str| at(path).map(|(manager, name)| (manager, name.unwrap_or_default()));
        for (path, manager, name) in [
            ("/snap/firefox/4173/usr/lib/firefox/firefox", Manager::Snap, "firefox"),
            (
                "/var/lib/flatpak/app/org.gimp.GIMP/x86_64/stable/files/bin/gimp",
                Manager::Flatpak,
                "org.gimp.GIMP",
            ),
            (
                "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-nginx-1.26.2/bin/nginx",
                Manager::Nix,
                "nginx-1.26.2",
            ),
            (
                "/gnu/store/0123456789abcdfghijklmnpqrsvwxyz-hello-2.12/bin/hello",
                Manager::Guix,
                "hello-2.12",
            ),
            (
                "/home/linuxbrew/.linuxbrew/Cellar/redis/7.2.4/bin/redis-server",
                Manager::Homebrew,
                "redis 7.2.4",
            ),
            ("/tmp/.mount_KritaX1y2z3/usr/bin/krita", Manager::AppImage, ""),
            ("/home/a/.cargo/bin/miniserve", Manager::Cargo, "miniserve"),
            ("/home/a/p/target/release/p", Manager::CargoBuild, ""),
            (
                "/root/.rustup/toolchains/stable-x86_64/bin/rustc",
                Manager::Rustup,
                "stable-x86_64",
            ),
            ("/home/a/go/bin/gopls", Manager::Go, "gopls"),
            ("/tmp/go-build1234/b001/exe/main", Manager::GoBuild, ""),
            ("/srv/app/node_modules/@swc/core/swc.node", Manager::Npm, "@swc/core"),
            (
                "/home/a/.nvm/versions/node/v22.1.0/bin/node",
                Manager::Nvm,
                "node v22.1.0",
            ),
            (
                "/home/a/.pyenv/versions/3.12.1/bin/python3.12",
                Manager::Pyenv,
                "3.12.1",
            ),
            ("/home/a/miniconda3/bin/python3.11", Manager::Conda, ""),
            (
                "/srv/venv/lib/python3.11/site-packages/uvloop/loop.so",
                Manager::Pip,
                "uvloop",
            ),
            (
                "/home/a/.asdf/installs/nodejs/20.1.0/bin/node",
                Manager::Asdf,
                "nodejs 20.1.0",
            ),
            ("/home/a/.local/bin/tool", Manager::UserLocal, ""),
            ("/usr/local/sbin/daemon", Manager::UsrLocal, ""),
            ("/opt/vendor/bin/agent", Manager::Opt, "vendor"),
        ] {
            assert_eq!(told(path), Some((manager, name.to_owned())), "{path}");
        }
    }

    #[test]
    fn origin_of_other_directory_is_none() {
        for path in [
            "/usr/bin/cat",
            "/tmp/.cargo/bin/x",
            "/dev/shm/node_modules/x/y",
            "/home/a/x",
            "/snap",
            "relative",
            "/",
        ] {
            assert_eq!(at(path), None, "{path}");
        }
    }

    #[test]
    fn origin_name_with_control_characters_is_escaped() {
        assert_eq!(
            at("/opt/a\u{1b}[2J/x"),
            Some((Manager::Opt, Some("a\\e[2J".to_owned())))
        );
    }

    proptest! {
        #[test]
        fn origin_of_any_path_has_printable_name(bytes: Vec<u8>) {
            if let Some(origin) = origin(&netstat_os::files::path_of(bytes)) {
                let name = origin.name.unwrap_or_default();
                prop_assert_eq!(text::escape_str(&name), name.as_str());
            }
        }
    }
}
