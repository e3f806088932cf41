//! Drops the privileges of the process as soon as everything that needs them is done.
//!
//! A gateway reads untrusted bytes all the time, but needs root only to bind a low port and to read a private key. Therefore
//! the process starts as root, and [`restrict`] makes it another user before it starts its first thread: credentials belong to
//! threads (credentials(7)), and a thread that was started before would keep those of root.
//!
//! Log files are opened after that, by the new user. A file that opens at the start then also opens when the log is rotated,
//! and root creates or changes no file in a folder that another user writes to (nginx did that: CVE-2016-1247).

use std::fmt;
use std::io;
use std::path::Path;

use nix::unistd::{self, AccessFlags, Gid, Group, Uid};

use crate::config::snapshot::User;

/// Why the process can't become the user of the configuration. Privileges that were dropped stay dropped.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegesError {
    #[error("process.user: this machine has no user `{0}`")]
    UnknownUser(String),
    #[error("process.user: this machine has no group `{0}`")]
    UnknownGroup(String),
    #[error("process.user: this machine does not know the group of user {0}; write `{0}:GROUP`")]
    GroupMissing(Uid),
    #[error("process.user: only root can become {target}, and this process runs as user {current}")]
    NotPermitted { target: UserIds, current: Uid },
    #[error("process.user: cannot become {target}: {source}")]
    Failed { target: UserIds, source: io::Error },
    #[error("process.user: root could be regained after becoming {0}")]
    Reversible(UserIds),
    #[error("cannot set PR_SET_NO_NEW_PRIVS: {0}")]
    NoNewPrivileges(io::Error),
    #[error("cannot set PR_SET_DUMPABLE: {0}")]
    Dumpable(io::Error),
}

/// A user and a group by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserIds {
    uid: Uid,
    gid: Gid,
}

impl fmt::Display for UserIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {} with group {}", self.uid, self.gid)
    }
}

/// Whether the process runs as root.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Becomes `user` without supplementary groups, if it is given. Sets PR_SET_NO_NEW_PRIVS in any case, since the gateway starts
/// no program that would need more, and, unless `core_dumps`, lets no core file be written and no debugger of the same user
/// attach: the memory holds private keys. Must be called before the first thread is started.
///
/// # Errors
/// When the user or its group does not exist, when the process is neither root nor already that user, or when root could be
/// regained.
pub fn restrict(user: Option<&User>, core_dumps: bool) -> Result<(), PrivilegesError> {
    let restricted = become_restricted(user);
    // Last: changing the user may set it anew (fs.suid_dumpable).
    nix::sys::prctl::set_dumpable(core_dumps).map_err(|source| PrivilegesError::Dumpable(source.into()))?;
    restricted
}

fn become_restricted(user: Option<&User>) -> Result<(), PrivilegesError> {
    nix::sys::prctl::set_no_new_privs().map_err(|source| PrivilegesError::NoNewPrivileges(source.into()))?;
    let Some(user) = user else { return Ok(()) };
    let target = resolve(user)?;
    if is_already(target) {
        return Ok(());
    }
    become_user(target)?;
    verify(target)
}

/// Whether the process may create and rename files in `folder`.
pub fn can_write_to(folder: &Path) -> bool {
    unistd::access(folder, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
}

/// The user and the group that [`restrict`] makes the process.
///
/// # Errors
/// When they do not exist.
pub fn ids_of(user: &User) -> Result<(u32, u32), PrivilegesError> {
    let ids = resolve(user)?;
    Ok((ids.uid.as_raw(), ids.gid.as_raw()))
}

/// Runs `step` with the rights of `user`, and is root again after it: whether something works for `user` is found out before
/// anything is changed. To be called before the first thread is started.
///
/// # Errors
/// As those of [`restrict`]. The process is as it was then.
pub fn attempt_as<T>(user: &User, step: impl FnOnce() -> T) -> Result<T, PrivilegesError> {
    let target = resolve(user)?;
    if is_already(target) {
        return Ok(step());
    }
    let failed = |source| failed(target, source);
    let (own, groups) = ((Uid::effective(), Gid::effective()), unistd::getgroups().map_err(failed)?);
    let become_it = || {
        unistd::setgroups(&[])?;
        unistd::setegid(target.gid)?;
        unistd::seteuid(target.uid)
    };
    let done = become_it().map(|()| step());
    // In the reverse order: only root can change its groups.
    let back = unistd::seteuid(own.0).and_then(|()| unistd::setegid(own.1)).and_then(|()| unistd::setgroups(&groups));
    let done = done.map_err(failed)?;
    back.map_err(failed)?;
    Ok(done)
}

fn resolve(user: &User) -> Result<UserIds, PrivilegesError> {
    let entry = match user.name.parse() {
        Ok(id) => UserEntry { uid: Uid::from_raw(id), gid: primary_group(unistd::User::from_uid(Uid::from_raw(id))) },
        Err(_) => match unistd::User::from_name(&user.name) {
            Ok(Some(found)) => UserEntry { uid: found.uid, gid: Some(found.gid) },
            _ => return Err(PrivilegesError::UnknownUser(user.name.clone())),
        },
    };
    let gid = match &user.group {
        None => entry.gid.ok_or(PrivilegesError::GroupMissing(entry.uid))?,
        Some(group) => match group.parse() {
            Ok(id) => Gid::from_raw(id),
            Err(_) => match Group::from_name(group) {
                Ok(Some(found)) => found.gid,
                _ => return Err(PrivilegesError::UnknownGroup(group.clone())),
            },
        },
    };
    Ok(UserIds { uid: entry.uid, gid })
}

/// The entry of a user in the user database.
struct UserEntry {
    uid: Uid,
    gid: Option<Gid>,
}

fn primary_group(found: nix::Result<Option<unistd::User>>) -> Option<Gid> {
    found.ok().flatten().map(|user| user.gid)
}

fn is_already(target: UserIds) -> bool {
    let (Ok(user), Ok(group)) = (unistd::getresuid(), unistd::getresgid()) else { return false };
    [user.real, user.effective, user.saved] == [target.uid; 3]
        && [group.real, group.effective, group.saved] == [target.gid; 3]
}

/// Groups first: only root can change them.
fn become_user(target: UserIds) -> Result<(), PrivilegesError> {
    let UserIds { uid, gid } = target;
    let failed = |source| failed(target, source);
    unistd::setgroups(&[]).map_err(failed)?;
    unistd::setresgid(gid, gid, gid).map_err(failed)?;
    unistd::setresuid(uid, uid, uid).map_err(failed)
}

fn failed(target: UserIds, source: nix::Error) -> PrivilegesError {
    match source {
        nix::Error::EPERM => PrivilegesError::NotPermitted { target, current: Uid::effective() },
        source => PrivilegesError::Failed { target, source: source.into() },
    }
}

/// Checks that root can't be regained, as a capability that was left (CAP_SETUID) would allow.
fn verify(target: UserIds) -> Result<(), PrivilegesError> {
    let (root, wheel) = (Uid::from_raw(0), Gid::from_raw(0));
    let clean = is_already(target) && unistd::getgroups().is_ok_and(|groups| groups.is_empty());
    let back = (!target.uid.is_root() && unistd::setresuid(root, root, root).is_ok())
        || (target.gid != wheel && !target.uid.is_root() && unistd::setresgid(wheel, wheel, wheel).is_ok());
    if clean && !back { Ok(()) } else { Err(PrivilegesError::Reversible(target)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, group: Option<&str>) -> User {
        User { name: name.to_owned(), group: group.map(str::to_owned) }
    }

    #[test]
    fn names_and_numbers_are_resolved() {
        let root = UserIds { uid: Uid::from_raw(0), gid: Gid::from_raw(0) };
        assert_eq!(resolve(&user("root", None)).unwrap(), root);
        assert_eq!(resolve(&user("0", Some("0"))).unwrap(), root);
        assert_eq!(resolve(&user("4711", Some("4712"))).unwrap().gid, Gid::from_raw(4712));
    }

    #[test]
    fn what_this_machine_does_not_know_is_named() {
        let said = |name, group| resolve(&user(name, group)).unwrap_err().to_string();
        assert!(said("no-such-user", None).ends_with("no user `no-such-user`"));
        assert!(said("root", Some("no-such-group")).ends_with("no group `no-such-group`"));
        assert!(said("3999999999", None).ends_with("write `3999999999:GROUP`"));
    }

    #[test]
    fn becoming_who_one_is_already_asks_for_nothing() {
        let (uid, gid) = (Uid::current().to_string(), Gid::current().to_string());
        assert!(is_already(resolve(&user(&uid, Some(&gid))).unwrap()));
    }
}
