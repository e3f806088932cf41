//! The names in a runtime folder.

/// The socket for commands.
pub const CONTROL: &str = "control";
/// The socket for handovers.
pub const UPGRADE: &str = "upgrade";

/// The longest path that a Unix socket can have (unix(7), `sun_path` without its NUL).
pub(super) const MAX_SOCKET_PATH: usize = 107;
/// `/control.PID.sock`, with the largest pid that Linux gives (2^22).
pub(super) const LONGEST_NAME: usize = "/control.4194304.sock".len();

/// The socket `name` of the process `pid`.
pub(super) fn own_name(name: &str, pid: u32) -> String {
    format!("{name}.{pid}.sock")
}

/// The link to the socket `name` of the process that serves.
pub(super) fn link_name(name: &str) -> String {
    format!("{name}.sock")
}

/// The process whose control socket is called `name`.
pub(super) fn pid_of(name: &str) -> Option<u32> {
    name.strip_prefix(CONTROL)?.strip_prefix('.')?.strip_suffix(".sock")?.parse().ok()
}

/// Whether a gateway calls something so in its folder.
pub(super) fn is_known(name: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(name) else { return false };
    [CONTROL, UPGRADE].iter().any(|kind| {
        name.strip_prefix(kind).is_some_and(|rest| {
            let number = rest.strip_suffix(".sock").or_else(|| rest.strip_suffix(".new"));
            rest == ".sock"
                || number.and_then(|number| number.strip_prefix('.')).is_some_and(|pid| pid.parse::<u32>().is_ok())
        })
    })
}
