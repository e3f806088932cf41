//! seccomp: which system calls the process can make.
//!
//! A list of what is refused, not of what is allowed: the C library, tokio, the allocator and the cryptography change which calls
//! they make with each version, and with the kernel that they find; a call that is missing from a list of what is allowed is found
//! by a failure in production. What is refused here are calls that a gateway never makes after its start, and that whoever took
//! control of it would: to start programs, to look into other processes, to become another user, to change what is mounted, to load
//! code into the kernel, to reach parts of the kernel with many flaws. The unit for systemd adds a list of what is allowed,
//! which an operator can change.

use std::collections::BTreeMap;

use nix::errno::Errno;
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

/// Refused whatever their arguments are.
const REFUSED: &[libc::c_long] = &[
    // Programs.
    libc::SYS_execve,
    libc::SYS_execveat,
    // Other processes.
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_process_madvise,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    // Users and capabilities.
    libc::SYS_capset,
    libc::SYS_setfsgid,
    libc::SYS_setfsuid,
    libc::SYS_setgid,
    libc::SYS_setgroups,
    libc::SYS_setregid,
    libc::SYS_setresgid,
    libc::SYS_setresuid,
    libc::SYS_setreuid,
    libc::SYS_setuid,
    // Mounts, namespaces, and files without a path.
    libc::SYS_chroot,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_mknodat,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_pivot_root,
    libc::SYS_setns,
    libc::SYS_umount2,
    libc::SYS_unshare,
    // The kernel and the machine.
    libc::SYS_acct,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kexec_load,
    libc::SYS_personality,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    // Parts of the kernel that have had many flaws. What io_uring does is seen by no filter.
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_fanotify_init,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_perf_event_open,
    libc::SYS_request_key,
    libc::SYS_userfaultfd,
];

#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[libc::c_long] = &[
    libc::SYS_ioperm,
    libc::SYS_iopl,
    libc::SYS_kexec_file_load,
    libc::SYS_mknod,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
];

#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[libc::c_long] = &[];

/// The bit of x32, a second interface of x86-64 with the same architecture, and the numbers of refused calls that differ there.
#[cfg(target_arch = "x86_64")]
const X32: Option<libc::c_long> = Some(0x4000_0000);
#[cfg(target_arch = "x86_64")]
const X32_NUMBERS: &[libc::c_long] = &[520, 521, 528, 539, 540, 545];

#[cfg(not(target_arch = "x86_64"))]
const X32: Option<libc::c_long> = None;
#[cfg(not(target_arch = "x86_64"))]
const X32_NUMBERS: &[libc::c_long] = &[];

/// The families of sockets that a gateway uses. The C library also asks AF_NETLINK for the addresses of this machine, and does
/// without.
const FAMILIES: [libc::c_int; 3] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];

/// Each of these makes a new namespace, in which a user has all capabilities.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];

/// Refuses these calls to this thread and those that it starts later.
///
/// # Errors
/// Why none is refused.
pub(super) fn restrict() -> Result<(), String> {
    let unable = |error: &dyn std::fmt::Display| format!("the filter of system calls is not used: {error}");
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| unable(&error))?;
    let filter = |rules, errno| {
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno as u32), arch);
        filter.and_then(BpfProgram::try_from).map_err(|error| unable(&error))
    };
    // The flags of clone3 are in memory, where no filter sees them. Without it, the C library uses clone.
    let hidden = filter(on_each_interface([(libc::SYS_clone3, Vec::new())]), Errno::ENOSYS)?;
    let refused = filter(rules().map_err(|error| unable(&error))?, Errno::EPERM)?;
    [hidden, refused].iter().try_for_each(|program| apply_filter(program)).map_err(|error| unable(&error))
}

/// By the number of the call, what its arguments must be for it to be refused; empty: anything.
type CallRules = BTreeMap<i64, Vec<SeccompRule>>;

fn rules() -> Result<CallRules, seccompiler::BackendError> {
    let is = |argument, operator, value: libc::c_int| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, u64::from(value.unsigned_abs()))
    };
    let has = |argument, bits: libc::c_int| is(argument, SeccompCmpOp::MaskedEq(u64::from(bits.unsigned_abs())), bits);
    let family = FAMILIES.iter().map(|&family| is(0, SeccompCmpOp::Ne, family)).collect::<Result<Vec<_>, _>>()?;
    let namespaces = NAMESPACES.iter().map(|&flag| SeccompRule::new(vec![has(0, flag)?]));
    let namespaces = namespaces.collect::<Result<Vec<_>, _>>()?;
    let executable = || SeccompRule::new(vec![has(2, libc::PROT_EXEC)?]);
    let writable_code = SeccompRule::new(vec![has(2, libc::PROT_EXEC | libc::PROT_WRITE)?])?;
    let conditional = [
        (libc::SYS_socket, vec![SeccompRule::new(family)?]),
        (libc::SYS_clone, namespaces),
        // Memory that was written does not become code.
        (libc::SYS_mmap, vec![writable_code]),
        (libc::SYS_mprotect, vec![executable()?]),
        (libc::SYS_pkey_mprotect, vec![executable()?]),
    ];
    let always = REFUSED.iter().chain(REFUSED_HERE).map(|&call| (call, Vec::new()));
    let mut rules = on_each_interface(always.chain(conditional));
    rules.extend(X32_NUMBERS.iter().flat_map(|call| X32.map(|bit| (call | bit, Vec::new()))));
    Ok(rules)
}

fn on_each_interface(rules: impl IntoIterator<Item = (libc::c_long, Vec<SeccompRule>)>) -> CallRules {
    let both = |(call, rules): (libc::c_long, Vec<SeccompRule>)| {
        X32.map(|bit| (call | bit, rules.clone())).into_iter().chain([(call, rules)])
    };
    rules.into_iter().flat_map(both).collect()
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::process::Command;
    use std::thread;

    use nix::sched::{CloneFlags, unshare};
    use socket2::{Domain, Socket, Type};

    use super::*;

    /// Runs `step` on a thread of its own, restricted. Not at all, with the reason on standard error, where the kernel can't.
    fn restricted(step: impl FnOnce() + Send + 'static) {
        if let Err(error) = thread::spawn(|| restrict().map(|()| step())).join().unwrap() {
            eprintln!("not tested: {error}");
        }
    }

    #[test]
    fn no_program_is_started_and_no_namespace_is_made() {
        restricted(|| {
            assert_eq!(Command::new("true").status().unwrap_err().kind(), ErrorKind::PermissionDenied);
            assert_eq!(unshare(CloneFlags::CLONE_NEWUSER), Err(Errno::EPERM));
        });
    }

    #[test]
    fn threads_start_and_sockets_of_the_gateways_families_open() {
        restricted(|| {
            assert_eq!(thread::spawn(|| 1).join().unwrap(), 1);
            for family in [Domain::UNIX, Domain::IPV4, Domain::IPV6] {
                // A machine may have no IPv6, and says so.
                let opened = Socket::new(family, Type::STREAM, None);
                assert!(!opened.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied), "{family:?}");
            }
            let (netlink, packet) = (libc::AF_NETLINK, libc::AF_PACKET);
            for family in [netlink, packet, libc::AF_ALG, libc::AF_VSOCK] {
                let error = Socket::new(Domain::from(family), Type::RAW, None).unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::EPERM), "{family}");
            }
        });
    }

    #[test]
    fn every_refusal_is_compiled_into_few_instructions() {
        let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
        let filter = SeccompFilter::new(rules().unwrap(), SeccompAction::Allow, SeccompAction::KillProcess, arch);
        let program = BpfProgram::try_from(filter.unwrap()).unwrap();
        // The kernel refuses 4096 and more (BPF_MAXINSNS).
        assert!((REFUSED.len()..2048).contains(&program.len()), "{}", program.len());
    }
}
