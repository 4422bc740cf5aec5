//! The values of `--pid` and `--user`: ids and user names.

use std::fmt;
use std::str::FromStr;

use super::error::{FilterError, Mistake};
use super::list;

/// Parses an unsigned number that is at least `least`.
fn number(word: &str, least: u32) -> Option<u32> {
    let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let number = word.parse().ok().filter(|_| digits)?;
    (number >= least).then_some(number)
}

/// Process ids, at least one of which must hold the socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pids {
    /// In ascending order, without duplicates.
    pids: Vec<u32>,
}

impl Pids {
    /// Whether everything is accepted because there are no ids.
    pub fn is_empty(&self) -> bool {
        self.pids.is_empty()
    }

    /// Whether the set contains `pid`.
    pub fn contains(&self, pid: u32) -> bool {
        self.pids.binary_search(&pid).is_ok()
    }

    /// Adds every id of `other` to the set.
    pub fn add(&mut self, other: &Pids) {
        self.pids.extend_from_slice(&other.pids);
        self.pids.sort_unstable();
        self.pids.dedup();
    }

    /// Returns an iterator over the ids, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.pids.iter().copied()
    }
}

impl FromIterator<u32> for Pids {
    fn from_iter<I: IntoIterator<Item = u32>>(pids: I) -> Pids {
        let mut all = Pids::default();
        all.add(&Pids {
            pids: pids.into_iter().collect(),
        });
        all
    }
}

impl fmt::Display for Pids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, self.pids.iter())
    }
}

impl FromStr for Pids {
    type Err = FilterError;

    /// Parses one or more ids separated by commas.
    fn from_str(list: &str) -> Result<Pids, FilterError> {
        list.split(',')
            .map(|word| number(word, 1).ok_or_else(|| FilterError::new(word, Mistake::Pid)))
            .collect()
    }
}

/// Users, one of whom must have created the socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Users {
    users: Vec<User>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum User {
    Id(u32),
    /// A user name and its id, once resolved.
    Name(String, Option<u32>),
}

/// `(uid_t)-1` is not a valid user (POSIX chown(2)).
const NO_USER: u32 = u32::MAX;

impl Users {
    /// Whether everything is accepted because there are no users.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Whether the list contains the user with this id. A name that has not been resolved matches nobody.
    pub fn contains(&self, id: u32) -> bool {
        self.users.iter().any(|user| match user {
            User::Id(wanted) => *wanted == id,
            User::Name(_, found) => *found == Some(id),
        })
    }

    /// Returns an iterator over the ids; names that have not been resolved are skipped.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.users.iter().filter_map(|user| match user {
            User::Id(id) => Some(*id),
            User::Name(_, found) => *found,
        })
    }

    /// Adds every user of `other` that is not present yet.
    pub fn add(&mut self, other: Users) {
        for user in other.users {
            if !self.users.contains(&user) {
                self.users.push(user);
            }
        }
    }

    /// Returns an iterator over the user names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.users.iter().filter_map(|user| match user {
            User::Name(name, _) => Some(name.as_str()),
            User::Id(_) => None,
        })
    }

    /// Sets the id of the user `name`. Until then the name matches nobody.
    pub fn resolve(&mut self, name: &str, id: u32) {
        for user in &mut self.users {
            if let User::Name(own, found) = user
                && own == name
            {
                *found = Some(id);
            }
        }
    }
}

impl fmt::Display for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(
            f,
            self.users.iter().map(|user| match user {
                User::Id(id) => id.to_string(),
                User::Name(name, _) => name.clone(),
            }),
        )
    }
}

impl FromStr for Users {
    type Err = FilterError;

    /// Parses one or more names and ids separated by commas.
    fn from_str(list: &str) -> Result<Users, FilterError> {
        let mut users = Users::default();
        for word in list.split(',') {
            let digits = word.bytes().all(|byte| byte.is_ascii_digit());
            let user = match number(word, 0) {
                Some(id) if id != NO_USER => User::Id(id),
                // A colon separates the fields of passwd(5), so no user name contains one.
                None if !digits && !word.contains(':') => User::Name(word.to_owned(), None),
                _ => return Err(FilterError::new(word, Mistake::User)),
            };
            users.add(Users { users: vec![user] });
        }
        Ok(users)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pids() {
        let pids: Pids = "4321,7,7".parse().unwrap();
        assert_eq!(pids.to_string(), "7,4321");
        assert!(pids.contains(7) && !pids.contains(8));
        for wrong in ["", "0", "-1", "+1", "x", "4294967296", "1,"] {
            assert_eq!(
                wrong.parse::<Pids>().unwrap_err().why(),
                "is no process id from 1 to 4294967295"
            );
        }
    }

    #[test]
    fn users() {
        let mut users: Users = "root,1000,www-data".parse().unwrap();
        assert!(users.contains(1000) && !users.contains(33));
        users.resolve("www-data", 33);
        users.resolve("root", 0);
        assert!(users.contains(33) && users.contains(0));
        assert_eq!(users.to_string(), "root,1000,www-data");
        for wrong in ["", "root,", "4294967295", "4294967296", "a:b"] {
            assert_eq!(wrong.parse::<Users>().unwrap_err().why(), "is no user name or id");
        }
    }
}
