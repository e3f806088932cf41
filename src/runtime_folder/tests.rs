use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use super::names::{LONGEST_NAME, MAX_SOCKET_PATH, own_name};
use super::*;

fn folder() -> (tempfile::TempDir, PathBuf) {
    let above = tempfile::tempdir().unwrap();
    let path = above.path().join("run");
    (above, path)
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_folder_is_the_one_that_was_named_or_the_systems() {
    let choose = |named: Option<&str>, root, variables: &[(&str, &str)]| {
        let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        RuntimeFolderChoice::new(named.map(PathBuf::from), root, variable)
            .map(|choice| choice.path.display().to_string())
    };
    let systemd = ("RUNTIME_DIRECTORY", "/run/a:/run/b");
    let session = ("XDG_RUNTIME_DIR", "/run/user/7");
    assert_eq!(choose(Some("/x"), true, &[systemd]).as_deref(), Some("/x"));
    assert_eq!(choose(None, true, &[systemd, session]).as_deref(), Some("/run/a"));
    assert_eq!(choose(None, true, &[session]).as_deref(), Some("/run/portcullis"));
    assert_eq!(choose(None, false, &[session]).as_deref(), Some("/run/user/7/portcullis"));
    assert_eq!(choose(None, false, &[("XDG_RUNTIME_DIR", "")]), None);
}

#[test]
fn it_is_for_its_owner_alone() {
    let (_above, path) = folder();
    drop(RuntimeFolder::claim(&path, None).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
    fs::set_permissions(&path, Permissions::from_mode(0o750)).unwrap();
    let said = RuntimeFolder::claim(&path, None).unwrap_err().to_string();
    assert!(said.contains("mode 750") && said.contains("chmod 700"), "{said}");
}

#[test]
fn a_link_or_a_file_is_no_folder_and_a_long_path_is_refused_before_anything_is_made() {
    let (above, path) = folder();
    std::os::unix::fs::symlink(above.path(), &path).unwrap();
    assert!(matches!(RuntimeFolder::claim(&path, None), Err(RuntimeFolderError::Unusable { .. })));
    let long = above.path().join("a".repeat(90));
    let said = RuntimeFolder::claim(&long, None).unwrap_err().to_string();
    assert!(said.contains("86 at most"), "{said}");
    assert!(!long.exists());
}

#[test]
fn the_longest_path_that_is_taken_holds_a_socket() {
    let above = tempfile::tempdir().unwrap();
    let rest = MAX_SOCKET_PATH - LONGEST_NAME - above.path().as_os_str().len() - 1;
    let folder = RuntimeFolder::claim(&above.path().join("a".repeat(rest)), None).unwrap();
    folder.bind(CONTROL).unwrap();
}

#[test]
fn sockets_are_found_once_they_are_published_and_are_gone_in_the_end() {
    let (_above, path) = folder();
    let folder = RuntimeFolder::claim(&path, None).unwrap();
    let sockets = [folder.bind(CONTROL).unwrap(), folder.bind(UPGRADE).unwrap()];
    assert!(!folder.is_taken());
    folder.publish().unwrap();
    folder.publish().unwrap();
    assert!(folder.is_taken());
    assert_eq!(names(&path).len(), 4);
    drop(sockets);
    assert!(!folder.is_taken());
    folder.withdraw(false);
    assert_eq!(names(&path), [""; 0]);
}

#[test]
fn what_a_killed_process_left_is_removed_and_what_lives_is_not() {
    let (_above, path) = folder();
    let folder = RuntimeFolder::claim(&path, None).unwrap();
    let dead = RuntimeFolder { pid: 1 << 22, ..RuntimeFolder::join(&path, None).unwrap() };
    let living = RuntimeFolder { pid: (1 << 22) - 1, ..RuntimeFolder::join(&path, None).unwrap() };
    drop((dead.bind(CONTROL).unwrap(), dead.bind(UPGRADE).unwrap()));
    let _control = living.bind(CONTROL).unwrap();
    folder.tidy();
    assert_eq!(names(&path), [own_name(CONTROL, living.pid)]);
}

#[test]
fn whoever_was_followed_leaves_the_links_alone() {
    let (_above, path) = folder();
    let new = RuntimeFolder::claim(&path, None).unwrap();
    let old = RuntimeFolder { pid: 1 << 22, ..RuntimeFolder::join(&path, None).unwrap() };
    let _sockets = [old.bind(CONTROL).unwrap(), old.bind(UPGRADE).unwrap()];
    old.publish().unwrap();
    let _next = [new.bind(CONTROL).unwrap(), new.bind(UPGRADE).unwrap()];
    new.publish().unwrap();
    old.withdraw(false);
    assert!(new.is_taken());
    assert_eq!(names(&path).len(), 4);
}

#[test]
fn one_process_at_a_time_starts_with_a_folder() {
    let (_above, path) = folder();
    let first = RuntimeFolder::claim(&path, None).unwrap();
    assert!(matches!(RuntimeFolder::claim(&path, None), Err(RuntimeFolderError::Locked { .. })));
    // A process that takes over need not have the lock yet.
    let next = RuntimeFolder::join(&path, None).unwrap();
    drop(first);
    next.wait_for_lock();
    assert!(matches!(RuntimeFolder::claim(&path, None), Err(RuntimeFolderError::Locked { .. })));
}

#[test]
fn what_a_start_that_failed_has_done_is_undone() {
    let (_above, path) = folder();
    let folder = RuntimeFolder::claim(&path, None).unwrap();
    drop((folder.bind(CONTROL).unwrap(), folder.bind(UPGRADE).unwrap()));
    folder.undo();
    assert!(!path.exists());

    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
    fs::write(path.join("file"), "").unwrap();
    let folder = RuntimeFolder { pid: 1 << 22, ..RuntimeFolder::claim(&path, None).unwrap() };
    drop(folder.bind(CONTROL).unwrap());
    folder.undo();
    assert_eq!(names(&path), ["file"]);
}

#[test]
fn root_gives_away_a_folder_without_other_files_alone() {
    if !Uid::effective().is_root() {
        eprintln!("not tested, because only root can give a folder away");
        return;
    }
    let (_above, path) = folder();
    let owner = |path: &Path| fs::metadata(path).unwrap().uid();
    let next = Some((4711, 4712));
    {
        let folder = RuntimeFolder::claim(&path, next).unwrap();
        let _socket = folder.bind(CONTROL).unwrap();
        assert_eq!(owner(&path), 0, "not before the end of the start");
        assert_eq!(owner(&path.join(own_name(CONTROL, folder.pid))), 4711);
        folder.give().unwrap();
        assert_eq!(owner(&path), 4711);
        // What a killed gateway has left does not count.
    }
    RuntimeFolder::claim(&path, Some((4713, 4713))).unwrap().give().unwrap();
    assert_eq!(owner(&path), 4713);
    for (user, said) in [(0, "holds other files"), (4711, "belongs to user 4711")] {
        fs::write(path.join("file"), "").unwrap();
        chown(&path, Some(user), Some(user)).unwrap();
        let refused = RuntimeFolder::claim(&path, Some((4713, 4713))).unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
        assert_eq!(owner(&path), user);
    }
}

#[test]
fn a_folder_that_was_deleted_or_replaced_is_known() {
    let (above, path) = folder();
    let folder = RuntimeFolder::claim(&path, None).unwrap();
    let _sockets = [folder.bind(CONTROL).unwrap(), folder.bind(UPGRADE).unwrap()];
    folder.publish().unwrap();
    assert!(folder.is_in_place() && folder.has_sockets() && folder.has_links());
    fs::remove_file(path.join("control.sock")).unwrap();
    assert!(!folder.has_links() && folder.has_sockets());
    fs::remove_file(path.join(own_name(UPGRADE, folder.pid))).unwrap();
    assert!(!folder.has_sockets());
    fs::rename(&path, above.path().join("elsewhere")).unwrap();
    assert!(!folder.is_in_place());
    fs::create_dir(&path).unwrap();
    assert!(!folder.is_in_place());
}
