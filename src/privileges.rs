//! What the process may do once everything that needs more is done.
//!
//! A gateway reads strangers' bytes for years; to bind a low port and to read a private key takes root for a moment. So the
//! process starts as root, and [`restrict`] makes it somebody else before the first thread that could meet a stranger runs:
//! credentials belong to threads, and one that was forgotten would keep the old ones.
//!
//! Log files are opened after that, by the new user. What opens at start opens again when the log is rotated, and no file
//! is created or given away by root in a folder that another user writes to (nginx did that: CVE-2016-1247).

use std::fmt;
use std::io;
use std::path::Path;

use nix::unistd::{self, AccessFlags, Gid, Group, Uid};

use crate::config::snapshot::User;

/// Why the process can't become the user of the file. Nothing was served, and what was given up stays given up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("process.user: this machine has no user `{0}`")]
    UnknownUser(String),
    #[error("process.user: this machine has no group `{0}`")]
    UnknownGroup(String),
    #[error("process.user: this machine does not know the group of user {0}; write `{0}:GROUP`")]
    GroupMissing(Uid),
    #[error("process.user: only root can become {target}, and this process runs as user {current}")]
    NotPermitted { target: Target, current: Uid },
    #[error("process.user: cannot become {target}: {source}")]
    Failed { target: Target, source: io::Error },
    #[error("process.user: the rights of root could be taken back after becoming {0}")]
    Reversible(Target),
    #[error("cannot give up the gaining of rights (PR_SET_NO_NEW_PRIVS): {0}")]
    NoNewPrivileges(io::Error),
}

/// A user and a group as the kernel knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    uid: Uid,
    gid: Gid,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {} with group {}", self.uid, self.gid)
    }
}

/// Whether the process may do everything.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Becomes `user`, without any further groups, if one is named, and gives up the gaining of rights in any case: the gateway
/// starts no other program. Call it before the first thread is started.
///
/// # Errors
/// When the user or its group is not known here, when the process is neither root nor already that user, or when the
/// system does not give up root for good.
pub fn restrict(user: Option<&User>) -> Result<(), Error> {
    nix::sys::prctl::set_no_new_privs().map_err(|source| Error::NoNewPrivileges(source.into()))?;
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

/// The user and the group that [`restrict`] is to become.
///
/// # Errors
/// When they are not known here.
pub fn target(user: &User) -> Result<(u32, u32), Error> {
    let target = resolve(user)?;
    Ok((target.uid.as_raw(), target.gid.as_raw()))
}

fn resolve(user: &User) -> Result<Target, Error> {
    let entry = match user.name.parse() {
        Ok(id) => Entry { uid: Uid::from_raw(id), gid: primary_group(unistd::User::from_uid(Uid::from_raw(id))) },
        Err(_) => match unistd::User::from_name(&user.name) {
            Ok(Some(found)) => Entry { uid: found.uid, gid: Some(found.gid) },
            _ => return Err(Error::UnknownUser(user.name.clone())),
        },
    };
    let gid = match &user.group {
        None => entry.gid.ok_or(Error::GroupMissing(entry.uid))?,
        Some(group) => match group.parse() {
            Ok(id) => Gid::from_raw(id),
            Err(_) => match Group::from_name(group) {
                Ok(Some(found)) => found.gid,
                _ => return Err(Error::UnknownGroup(group.clone())),
            },
        },
    };
    Ok(Target { uid: entry.uid, gid })
}

/// What the system says of a user.
struct Entry {
    uid: Uid,
    gid: Option<Gid>,
}

fn primary_group(found: nix::Result<Option<unistd::User>>) -> Option<Gid> {
    found.ok().flatten().map(|user| user.gid)
}

fn is_already(target: Target) -> bool {
    let (Ok(user), Ok(group)) = (unistd::getresuid(), unistd::getresgid()) else { return false };
    [user.real, user.effective, user.saved] == [target.uid; 3]
        && [group.real, group.effective, group.saved] == [target.gid; 3]
}

/// Groups first: a user that is not root any more could not change them.
fn become_user(target: Target) -> Result<(), Error> {
    let Target { uid, gid } = target;
    let failed = |source: nix::Error| match source {
        nix::Error::EPERM => Error::NotPermitted { target, current: Uid::effective() },
        source => Error::Failed { target, source: source.into() },
    };
    unistd::setgroups(&[]).map_err(failed)?;
    unistd::setresgid(gid, gid, gid).map_err(failed)?;
    unistd::setresuid(uid, uid, uid).map_err(failed)?;
    // Its memory holds private keys: no core file, and no debugger of the same user. Linux does so itself, unless
    // fs.suid_dumpable says otherwise.
    nix::sys::prctl::set_dumpable(false).map_err(failed)
}

/// Trust, but look: a capability that was left (CAP_SETUID) would give everything back.
fn verify(target: Target) -> Result<(), Error> {
    let (root, wheel) = (Uid::from_raw(0), Gid::from_raw(0));
    let clean = is_already(target) && unistd::getgroups().is_ok_and(|groups| groups.is_empty());
    let back = (!target.uid.is_root() && unistd::setresuid(root, root, root).is_ok())
        || (target.gid != wheel && !target.uid.is_root() && unistd::setresgid(wheel, wheel, wheel).is_ok());
    if clean && !back { Ok(()) } else { Err(Error::Reversible(target)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, group: Option<&str>) -> User {
        User { name: name.to_owned(), group: group.map(str::to_owned) }
    }

    #[test]
    fn names_and_numbers_are_resolved() {
        let root = Target { uid: Uid::from_raw(0), gid: Gid::from_raw(0) };
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
