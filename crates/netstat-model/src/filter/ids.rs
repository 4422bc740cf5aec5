//! `--pid` and `--user`: numbers, and names of users and groups.

use std::fmt;
use std::str::FromStr;

use super::error::{FilterError, Mistake};
use super::list;

/// A number without sign, from `least` on.
fn number(word: &str, least: u32) -> Option<u32> {
    let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let number = word.parse().ok().filter(|_| digits)?;
    (number >= least).then_some(number)
}

/// Process ids, of which one must be a holder's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pids {
    /// Rising, none twice.
    pids: Vec<u32>,
}

impl Pids {
    /// Whether everything is let through.
    pub fn is_empty(&self) -> bool {
        self.pids.is_empty()
    }

    /// Whether `pid` is in it.
    pub fn contains(&self, pid: u32) -> bool {
        self.pids.binary_search(&pid).is_ok()
    }

    /// Adds every id of `other`.
    pub fn add(&mut self, other: &Pids) {
        self.pids.extend_from_slice(&other.pids);
        self.pids.sort_unstable();
        self.pids.dedup();
    }

    /// The ids, rising.
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

    /// Reads ids separated by commas, at least one.
    fn from_str(list: &str) -> Result<Pids, FilterError> {
        list.split(',')
            .map(|word| number(word, 1).ok_or_else(|| FilterError::new(word, Mistake::Pid)))
            .collect()
    }
}

/// Users, of whom one must have made the socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Users {
    users: Vec<User>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum User {
    Id(u32),
    /// A name and, once it is found, its id.
    Name(String, Option<u32>),
}

/// `(uid_t)-1` is not a user (POSIX chown(2)).
const NO_USER: u32 = u32::MAX;

impl Users {
    /// Whether everything is let through.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Whether the user with this id is in it. A name that has not been found is nobody.
    pub fn contains(&self, id: u32) -> bool {
        self.users.iter().any(|user| match user {
            User::Id(wanted) => *wanted == id,
            User::Name(_, found) => *found == Some(id),
        })
    }

    /// The ids in it; names that have not been found have none.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.users.iter().filter_map(|user| match user {
            User::Id(id) => Some(*id),
            User::Name(_, found) => *found,
        })
    }

    /// Adds every user of `other` that is not there yet.
    pub fn add(&mut self, other: Users) {
        for user in other.users {
            if !self.users.contains(&user) {
                self.users.push(user);
            }
        }
    }

    /// The names in it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.users.iter().filter_map(|user| match user {
            User::Name(name, _) => Some(name.as_str()),
            User::Id(_) => None,
        })
    }

    /// Says which id the user called `name` has. Before that, the name matches nobody.
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

    /// Reads names and ids separated by commas, at least one.
    fn from_str(list: &str) -> Result<Users, FilterError> {
        let mut users = Users::default();
        for word in list.split(',') {
            let digits = word.bytes().all(|byte| byte.is_ascii_digit());
            let user = match number(word, 0) {
                Some(id) if id != NO_USER => User::Id(id),
                // A colon parts the fields of passwd(5), so no name has one.
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
