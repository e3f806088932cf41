//! Landlock: which files can be opened, and for what.

use std::fs;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};

use super::grants::{Grant, SandboxGrants};

/// The version whose rights are all refused unless they are given. A later one is used once it is tried.
const TRIED: ABI = ABI::V7;

/// Descriptors that must stay open: the kernel forgets a folder of `/proc` that nobody has open, and a rule for it then
/// applies to nothing.
#[derive(Debug)]
pub struct GrantKeeper {
    _own: Option<PathFd>,
}

/// The folder of this process in `/proc`, where it reads how much memory and how many descriptors it uses.
const OWN: &str = "/proc/self";

/// Refuses everything that `grants` do not give, for this thread and those that it starts later. Returns the version of Landlock's
/// interface.
///
/// # Errors
/// Why nothing is refused.
pub(super) fn restrict(grants: &SandboxGrants) -> Result<(u32, GrantKeeper), String> {
    let kept = GrantKeeper { _own: PathFd::new(OWN).ok() };
    let RestrictionStatus { ruleset, landlock, .. } = try_restrict(grants, &kept).map_err(|error| words(&error))?;
    match landlock {
        LandlockStatus::NotImplemented => {
            Err("this kernel has no Landlock, or a filter of this container hides it".to_owned())
        }
        LandlockStatus::NotEnabled => {
            Err("Landlock is not enabled in this kernel (`lsm=` of its command line)".to_owned())
        }
        LandlockStatus::Available { .. } if ruleset == RulesetStatus::NotEnforced => {
            Err("Landlock of this kernel knows none of the rights".to_owned())
        }
        LandlockStatus::Available { effective_abi, kernel_abi } => {
            let version = kernel_abi.unwrap_or(effective_abi as i32);
            Ok((version.unsigned_abs(), kept))
        }
    }
}

/// Whether the kernel has Landlock.
///
/// # Errors
/// Why not.
pub(super) fn is_available() -> Result<(), String> {
    let asked = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let asked = asked.handle_access(AccessFs::from_all(ABI::V1)).and_then(|rules| rules.create());
    asked.map(|_| ()).map_err(|error| words(&error))
}

fn try_restrict(grants: &SandboxGrants, kept: &GrantKeeper) -> Result<RestrictionStatus, RulesetError> {
    let mut scope = BitFlags::from(Scope::Signal);
    if !grants.abstract_sockets {
        scope |= Scope::AbstractUnixSocket;
    }
    let refused = Ruleset::default().handle_access(AccessFs::from_all(TRIED))?.handle_access(AccessNet::BindTcp)?;
    let mut rules = refused.scope(scope)?.create()?;
    for (path, grant) in &grants.entries {
        // It was there when it was given; what is gone since can't be opened either.
        let Ok(opened) = PathFd::new(path) else { continue };
        rules = rules.add_rule(PathBeneath::new(opened, rights(path, *grant)))?;
    }
    if let Some(own) = &kept._own {
        rules = rules.add_rule(PathBeneath::new(own, AccessFs::ReadFile | AccessFs::ReadDir))?;
    }
    rules.restrict_self()
}

fn rights(path: &Path, grant: Grant) -> BitFlags<AccessFs> {
    let mut rights = BitFlags::EMPTY;
    if grant.read {
        rights |= make_bitflags!(AccessFs::{ReadFile | ReadDir});
    }
    if grant.write {
        rights |= make_bitflags!(AccessFs::{WriteFile | Truncate | MakeReg});
    }
    if grant.sockets {
        rights |= make_bitflags!(AccessFs::{ReadDir | MakeSock | MakeSym | MakeDir | RemoveFile | RemoveDir});
    }
    if fs::metadata(path).is_ok_and(|found| found.is_dir()) { rights } else { rights & AccessFs::from_file(TRIED) }
}

/// An error with its causes, which the crate's own words leave out.
fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !words.contains(&said) {
            words = format!("{words}: {said}");
        }
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
    use std::process::Command;
    use std::thread;

    use super::*;

    /// Runs `step` on a thread of its own, restricted to `grants`. `None`, with the reason on standard error, where the kernel can't.
    fn restricted<T: Send + 'static>(grants: SandboxGrants, step: impl FnOnce(u32) -> T + Send + 'static) -> Option<T> {
        let done = thread::spawn(move || restrict(&grants).map(|(version, _kept)| step(version)));
        match done.join().unwrap() {
            Ok(done) => Some(done),
            Err(error) => {
                eprintln!("not tested: {error}");
                None
            }
        }
    }

    fn denied<T>(result: std::io::Result<T>) -> bool {
        result.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    }

    #[test]
    fn only_what_is_given_can_be_opened() {
        let (given, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut grants = SandboxGrants::default();
        let logs = given.path().join("logs");
        fs::create_dir(&logs).unwrap();
        fs::write(given.path().join("file"), "1").unwrap();
        fs::write(other.path().join("file"), "2").unwrap();
        grants.read(given.path());
        grants.write_in(&logs, [].into_iter());
        restricted(grants, move |_| {
            assert_eq!(fs::read(given.path().join("file")).unwrap(), b"1");
            assert_eq!(fs::read_dir(given.path()).unwrap().count(), 2);
            assert!(
                denied(fs::write(given.path().join("file"), "3")) && denied(fs::write(given.path().join("new"), "3"))
            );
            fs::write(logs.join("new"), "3").unwrap();
            assert!(denied(fs::read(other.path().join("file"))) && denied(fs::read_dir(other.path())));
            assert!(denied(File::open("/etc/passwd")) && denied(fs::read_dir("/")));
            assert!(
                denied(fs::create_dir(given.path().join("folder")))
                    && denied(fs::remove_file(given.path().join("file")))
            );
            assert!(!fs::read("/proc/self/status").unwrap().is_empty() && fs::read_dir("/proc/self/fd").is_ok());
            assert!(denied(fs::read("/proc/1/status")));
            // The folders of the test.
            drop((given, other));
        });
    }

    #[test]
    fn no_file_is_executed() {
        let mut grants = SandboxGrants::default();
        grants.read(Path::new("/usr"));
        restricted(grants, |_| assert!(denied(Command::new("/usr/bin/true").status())));
    }

    #[test]
    fn sockets_are_made_in_their_folder_and_in_one_that_takes_its_place() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("run");
        fs::create_dir(&folder).unwrap();
        let mut grants = SandboxGrants::default();
        grants.make_sockets_in(&folder);
        restricted(grants, move |_| {
            for _ in 0..2 {
                drop(UnixListener::bind(folder.join("s")).unwrap());
                std::os::unix::fs::symlink("s", folder.join("new")).unwrap();
                fs::rename(folder.join("new"), folder.join("link")).unwrap();
                assert!(denied(fs::write(folder.join("file"), "")));
                fs::remove_file(folder.join("link")).unwrap();
                fs::remove_file(folder.join("s")).unwrap();
                fs::remove_dir(&folder).unwrap();
                fs::create_dir(&folder).unwrap();
                assert!(File::open(&folder).is_ok());
            }
            drop(above);
        });
    }

    #[test]
    fn no_port_is_bound_and_clients_connect() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        restricted(SandboxGrants::default(), move |version| {
            assert!(TcpStream::connect(address).is_ok() && listener.accept().is_ok());
            if version < 4 {
                eprintln!("not tested, because Landlock of this kernel does not know ports: none is bound");
                return;
            }
            assert!(denied(TcpListener::bind("127.0.0.1:0")));
        });
    }

    #[test]
    fn abstract_sockets_of_others_are_out_of_reach_unless_they_are_given() {
        let address = SocketAddr::from_abstract_name(format!("portcullis-{}", std::process::id())).unwrap();
        let _listener = UnixListener::bind_addr(&address).unwrap();
        let mut given = SandboxGrants::default();
        given.allow_abstract_sockets();
        for (grants, reached) in [(SandboxGrants::default(), false), (given, true)] {
            let address = address.clone();
            restricted(grants, move |version| {
                if version < 6 {
                    eprintln!("not tested, because Landlock of this kernel does not know abstract sockets");
                    return;
                }
                assert_eq!(UnixStream::connect_addr(&address).is_ok(), reached);
            });
        }
    }
}
