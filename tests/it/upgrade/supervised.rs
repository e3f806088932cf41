//! What the service manager hears, as systemd would.

use std::os::unix::net::UnixDatagram;
use std::time::Instant;

use super::{FIXED, ends, upgrade};
use crate::support::gateway::kill;
use crate::support::wait::DEADLINE;
use crate::support::{Gateway, Setup};

/// A service manager's socket.
struct Manager {
    socket: UnixDatagram,
    _folder: tempfile::TempDir,
}

impl Manager {
    fn supervise(yaml: &str, watchdog: Option<u64>) -> (Gateway, Manager) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut setup = Setup::new(yaml).variable("NOTIFY_SOCKET", path.display());
        if let Some(period) = watchdog {
            setup = setup.variable("WATCHDOG_USEC", period);
        }
        (setup.start(), Manager { socket, _folder: folder })
    }

    fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// The first message that begins so; others are passed over, unless one of them is `never`.
    #[track_caller]
    fn hears(&self, beginning: &str, never: &str) -> String {
        let start = Instant::now();
        while start.elapsed() < DEADLINE {
            let message = self.next();
            if message.starts_with(beginning) {
                return message;
            }
            assert!(!message.starts_with(never), "{message}");
        }
        panic!("no {beginning}");
    }
}

#[test]
fn start_reload_and_stop_are_told() {
    let (mut gateway, manager) = Manager::supervise(FIXED, None);
    assert_eq!(manager.next(), "READY=1\nSTATUS=serving");
    gateway.signal("HUP");
    let reloading = manager.next();
    let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("a time");
    assert!(time.parse::<u64>().is_ok_and(|time| time > 0), "{reloading}");
    assert_eq!(manager.next(), "READY=1");
    gateway.signal("TERM");
    assert!(manager.next().starts_with("STOPPING=1"));
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn the_watchdog_hears_from_the_process_that_serves_and_the_old_one_says_no_more() {
    let (mut gateway, manager) = Manager::supervise(FIXED, Some(100_000));
    manager.hears("READY=1", "STOPPING");
    manager.hears("WATCHDOG=1", "STOPPING");
    let new = upgrade(&gateway);
    assert_eq!(manager.hears("MAINPID=", "STOPPING"), format!("MAINPID={new}\nREADY=1\nSTATUS=serving"));
    assert_eq!(gateway.wait().code(), Some(0));
    // Whatever the old one has said was said before it ended.
    manager.socket.set_nonblocking(true).unwrap();
    while let Ok(length) = manager.socket.recv(&mut [0; 64]) {
        assert!(length > 0);
    }
    manager.socket.set_nonblocking(false).unwrap();
    for _ in 0..3 {
        manager.hears("WATCHDOG=1", "STOPPING");
    }
    assert!(kill(new, "TERM"));
    manager.hears("STOPPING=1", "MAINPID");
    ends(new);
}

#[test]
fn a_process_that_hangs_is_heard_no_more() {
    let (gateway, manager) = Manager::supervise(FIXED, Some(100_000));
    manager.hears("WATCHDOG=1", "STOPPING");
    gateway.signal("STOP");
    manager.socket.set_nonblocking(true).unwrap();
    while manager.socket.recv(&mut [0; 64]).is_ok() {}
    manager.socket.set_nonblocking(false).unwrap();
    manager.socket.set_read_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
    assert!(manager.socket.recv(&mut [0; 64]).is_err());
    gateway.signal("CONT");
    manager.socket.set_read_timeout(Some(DEADLINE)).unwrap();
    manager.hears("WATCHDOG=1", "STOPPING");
}
