//! Notifications to the service manager, as systemd receives them.

use std::os::unix::net::UnixDatagram;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use super::{FIXED, ends};
use crate::support::gateway::kill;
use crate::support::wait::{self, DEADLINE};
use crate::support::{Gateway, Setup};

/// A service manager that listens all the time.
struct Manager {
    messages: Receiver<String>,
    _folder: tempfile::TempDir,
}

impl Manager {
    fn supervise(yaml: &str, watchdog: Option<u64>) -> (Gateway, Manager) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let (sender, messages) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = socket.recv(&mut buffer) {
                if sender.send(String::from_utf8_lossy(&buffer[..length]).into_owned()).is_err() {
                    return;
                }
            }
        });
        let mut setup = Setup::new(yaml).variable("NOTIFY_SOCKET", path.display());
        if let Some(period) = watchdog {
            setup = setup.variable("WATCHDOG_USEC", period);
        }
        (setup.start(), Manager { messages, _folder: folder })
    }

    #[track_caller]
    fn next(&self) -> String {
        self.messages.recv_timeout(DEADLINE).expect("a message")
    }

    /// Passes over what was said so far.
    fn forget(&self) {
        while self.messages.try_recv().is_ok() {}
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
    let new = gateway.upgrade();
    assert_eq!(manager.hears("MAINPID=", "STOPPING"), format!("MAINPID={new}\nREADY=1\nSTATUS=serving"));
    assert_eq!(gateway.wait().code(), Some(0));
    // Whatever the old one has said was said before it ended.
    manager.forget();
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
    let silent = || manager.messages.recv_timeout(Duration::from_millis(500)).is_err();
    wait::until_true("silence", silent);
    gateway.signal("CONT");
    manager.hears("WATCHDOG=1", "STOPPING");
}
