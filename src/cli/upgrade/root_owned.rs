//! Whether nobody but root can change what a path leads to.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// As many as the kernel follows (path_resolution(7)).
const MAX_LINKS: u32 = 40;

/// Checks the folder or file at `path`, which is absolute, and everything on the way to it, links included: each must belong to
/// root and be writable by nobody else. A folder may be open to all if only owners may rename there (the sticky bit), since what
/// it holds on the way is checked too.
///
/// # Errors
/// What others can change, and how.
pub fn check(path: &Path) -> Result<(), String> {
    if !path.is_absolute() {
        return Err(format!("`{}` is no absolute path", path.display()));
    }
    let (mut at, mut links) = (PathBuf::from("/"), 0);
    check_one(&at)?;
    let mut rest = components(path);
    while let Some(component) = rest.pop_front() {
        if component == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&component);
        if !check_one(&next)? {
            at = next;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(format!("`{}` has too many links", path.display()));
        }
        let target = fs::read_link(&next).map_err(|error| format!("`{}`: {error}", next.display()))?;
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        rest = components(&target).into_iter().chain(rest).collect();
    }
    Ok(())
}

/// The same for a configuration, which may be a folder of files.
///
/// # Errors
/// As those of [`check`].
pub fn check_configuration(path: &Path) -> Result<(), String> {
    check(path)?;
    let Ok(entries) = fs::read_dir(path) else { return Ok(()) };
    let named = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    entries.flatten().map(|entry| entry.path()).filter(named).try_for_each(|file| check(&file))
}

fn components(path: &Path) -> VecDeque<OsString> {
    let kept = |component: &Component<'_>| matches!(component, Component::Normal(_) | Component::ParentDir);
    path.components().filter(kept).map(|component| component.as_os_str().to_owned()).collect()
}

/// Checks `path` itself. Returns whether it is a link.
fn check_one(path: &Path) -> Result<bool, String> {
    let shown = path.display();
    let found = fs::symlink_metadata(path).map_err(|error| format!("`{shown}`: {error}"))?;
    if found.uid() != 0 {
        return Err(format!("`{shown}` belongs to user {}", found.uid()));
    }
    if found.is_symlink() {
        return Ok(true);
    }
    let mode = found.mode() & 0o7777;
    let sticky = found.is_dir() && mode & 0o1000 != 0;
    if mode & 0o022 != 0 && !sticky {
        return Err(format!("others may write to `{shown}` (mode {mode:03o})"));
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};

    use nix::unistd::Uid;

    use super::*;

    #[test]
    fn everything_on_the_way_must_be_roots_alone() {
        if !Uid::effective().is_root() {
            eprintln!("not tested, because only root has files of its own");
            return;
        }
        let above = tempfile::tempdir().unwrap();
        let (folder, file) = (above.path().join("folder"), above.path().join("folder/file.yaml"));
        let reset = || {
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir(&folder).unwrap();
            fs::write(&file, "").unwrap();
            fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
            fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        };
        let refused = |path: &Path, why: &str| {
            let said = check_configuration(path).unwrap_err();
            assert!(said.contains(why), "{said}");
        };
        reset();
        check_configuration(&file).unwrap();
        check_configuration(&folder).unwrap();
        check_configuration(&folder.join("../folder/file.yaml")).unwrap();
        refused(&folder.join("missing"), "No such file");
        refused(Path::new("file"), "no absolute path");

        chown(&file, Some(4711), None).unwrap();
        refused(&file, "file.yaml` belongs to user 4711");
        refused(&folder, "file.yaml` belongs to user 4711");
        reset();
        fs::set_permissions(&file, Permissions::from_mode(0o664)).unwrap();
        refused(&file, "others may write");
        reset();
        fs::set_permissions(&folder, Permissions::from_mode(0o757)).unwrap();
        refused(&file, "others may write");
        fs::set_permissions(&folder, Permissions::from_mode(0o1777)).unwrap();
        check(&file).unwrap();
        let link = folder.join("link");
        symlink("file.yaml", &link).unwrap();
        check(&link).unwrap();
        lchown(&link, Some(4711), None).unwrap();
        refused(&link, "link` belongs to user 4711");
        fs::remove_file(&link).unwrap();
        symlink("link", &link).unwrap();
        refused(&link, "too many links");
    }
}
