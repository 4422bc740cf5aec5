//! A cache of user and group names, each of which is looked up at most once.

use std::collections::HashMap;
use std::sync::Arc;

/// The names of users and groups as the account database of the system has them (`getpwuid_r(3)`, `getgrgid_r(3)`).
/// Where they come from depends on nsswitch.conf(5): local files, and a directory service if one is configured.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    users: HashMap<u32, Option<Arc<str>>>,
    groups: HashMap<u32, Option<Arc<str>>>,
}

impl Accounts {
    /// Returns the name of user `uid`, or `None` if there is no such user or the lookup fails.
    pub(crate) fn user(&mut self, uid: u32) -> Option<Arc<str>> {
        let look_up = || Some(nix::unistd::User::from_uid(uid.into()).ok()??.name.into());
        self.users.entry(uid).or_insert_with(look_up).clone()
    }

    /// Returns the id of the user called `name`, or `None` if there is no such user or the lookup fails.
    pub(crate) fn user_id(&self, name: &str) -> Option<u32> {
        Some(nix::unistd::User::from_name(name).ok()??.uid.as_raw())
    }

    /// Returns the name of group `gid`, or `None` if there is no such group or the lookup fails.
    pub(crate) fn group(&mut self, gid: u32) -> Option<Arc<str>> {
        let look_up = || Some(nix::unistd::Group::from_gid(gid.into()).ok()??.name.into());
        self.groups.entry(gid).or_insert_with(look_up).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the name that `getent(1)` prints, or `None` if it finds no entry.
    fn getent(database: &str, id: u32) -> Option<String> {
        let output = std::process::Command::new("getent")
            .args([database, &id.to_string()])
            .output()
            .ok()?;
        let line = String::from_utf8(output.stdout).ok()?;
        line.split_once(':').map(|(name, _)| name.to_owned())
    }

    #[test]
    fn names_are_those_of_the_account_database() {
        if getent("passwd", 0).is_none() {
            return netstat_testkit::skip("names_are_those_of_the_account_database", "no getent, or no user 0");
        }
        let mut accounts = Accounts::default();
        for id in [0, 1, 65_534, 3_999_999_999] {
            // The first lookup asks the database, the second one the cache.
            for _ in 0..2 {
                assert_eq!(
                    accounts.user(id).as_deref(),
                    getent("passwd", id).as_deref(),
                    "user {id}"
                );
                assert_eq!(
                    accounts.group(id).as_deref(),
                    getent("group", id).as_deref(),
                    "group {id}"
                );
            }
        }
    }
}
