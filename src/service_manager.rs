//! Notifications to the service manager, by the protocol of sd_notify(3).
//!
//! Without `$NOTIFY_SOCKET` there is no service manager, and nothing is sent. A process that takes over from another one
//! sends nothing before it has done so, and the old one sends nothing after that: systemd has one main process at a time.
//!
//! The messages are those of the crate `sd-notify`; the sockets are not. Its `notify` finds the service manager in the
//! environment only, where a process that takes over has none, and it blocks without a bound while systemd is busy.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use log::warn;
use sd_notify::NotifyState;
use serde::{Deserialize, Serialize};

/// Where the service manager listens, and the interval of its watchdog. A process that takes over needs both from the old
/// one: its own environment is that of the command that started it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifySettings {
    /// `$NOTIFY_SOCKET`: a path, or an abstract name that begins with `@`.
    pub socket: Option<String>,
    /// `$WATCHDOG_USEC`, in microseconds.
    pub watchdog: Option<u64>,
}

impl NotifySettings {
    /// Whether the service manager listens at a socket without a path.
    pub fn is_abstract(&self) -> bool {
        self.socket.as_ref().is_some_and(|socket| socket.starts_with('@'))
    }

    /// From the environment of this process.
    pub fn of_this_process() -> NotifySettings {
        let socket = std::env::var("NOTIFY_SOCKET").ok().filter(|socket| !socket.is_empty());
        let watchdog = sd_notify::watchdog_enabled().and_then(|period| u64::try_from(period.as_micros()).ok());
        NotifySettings { socket, watchdog: watchdog.filter(|&period| period > 0) }
    }

    /// These, with those of `others` in place of what is missing.
    pub fn or(self, others: NotifySettings) -> NotifySettings {
        NotifySettings { socket: self.socket.or(others.socket), watchdog: self.watchdog.or(others.watchdog) }
    }

    /// The interval of the notifications for the watchdog: half its period, as sd_watchdog_enabled(3) recommends. `None`: there
    /// is no watchdog.
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.socket.as_ref()?;
        self.watchdog.map(|period| Duration::from_micros(period) / 2)
    }
}

/// The service manager, if there is one.
#[derive(Debug)]
pub struct ServiceManager {
    settings: NotifySettings,
    socket: Option<NotifySocket>,
    enabled: AtomicBool,
}

/// How the service manager is reached.
#[derive(Debug)]
struct NotifySocket {
    address: SocketAddr,
    /// For notifications that must arrive: a send waits for [`SEND_TIMEOUT`].
    blocking: UnixDatagram,
    /// For the watchdog, whose notifications are repeated: a send never waits, since threads that serve requests do it.
    nonblocking: UnixDatagram,
}

/// How long a notification waits for a service manager that does not read, as systemd does not while it loads its units.
const SEND_TIMEOUT: Duration = Duration::from_secs(3);

impl ServiceManager {
    /// `enabled`: whether notifications are sent from the beginning, or only after [`ServiceManager::enable`].
    pub fn new(settings: NotifySettings, enabled: bool) -> ServiceManager {
        let socket = settings.socket.as_deref().and_then(|socket| match NotifySocket::open(socket) {
            Ok(socket) => Some(socket),
            Err(error) => {
                warn!("the service manager's socket `{socket}` (NOTIFY_SOCKET) cannot be used: {error}");
                None
            }
        });
        ServiceManager { settings, socket, enabled: AtomicBool::new(enabled) }
    }

    pub fn settings(&self) -> &NotifySettings {
        &self.settings
    }

    /// From now on, notifications are sent.
    pub fn enable(&self) {
        self.enabled.store(true, Ordering::Release);
    }

    /// From now on, none is sent: another process sends them.
    pub fn disable(&self) {
        self.enabled.store(false, Ordering::Release);
    }

    /// This process serves.
    pub fn ready(&self, status: &str) {
        self.notify(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// This process has taken over from the one that was the main process. `false`: the service manager does not know it, and
    /// would take the end of the old one for the end of the service.
    #[must_use]
    pub fn took_over(&self, status: &str) -> bool {
        let main = NotifyState::MainPid(std::process::id());
        self.notify(&[main, NotifyState::Ready, NotifyState::Status(status)])
    }

    /// The process ends once its requests are done.
    pub fn stopping(&self, status: &str) {
        self.notify(&[NotifyState::Stopping, NotifyState::Status(status)]);
    }

    /// The process is alive.
    pub fn watchdog(&self) {
        let Some(socket) = self.socket() else { return };
        // A failure does not matter: the next one follows soon.
        let _ = socket.nonblocking.send_to_addr(message(&[NotifyState::Watchdog]).as_bytes(), &socket.address);
    }

    /// The configuration is being read again, until the returned value is dropped.
    pub fn reloading(&self) -> ReloadNotice<'_> {
        // Type=notify-reload requires the time, and compares it with when it asked for the reload.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.notify(&[NotifyState::Reloading, now]),
            Err(_) => self.notify(&[NotifyState::Reloading]),
        };
        ReloadNotice { manager: self }
    }

    /// `false`: the notification could not be sent.
    fn notify(&self, states: &[NotifyState<'_>]) -> bool {
        let Some(socket) = self.socket() else { return true };
        let message = message(states);
        let sent = socket.blocking.send_to_addr(message.as_bytes(), &socket.address);
        if let Err(error) = &sent {
            warn!(
                "the service manager cannot be notified of `{}`: {error}",
                message.lines().next().unwrap_or_default()
            );
        }
        sent.is_ok()
    }

    fn socket(&self) -> Option<&NotifySocket> {
        self.socket.as_ref().filter(|_| self.enabled.load(Ordering::Acquire))
    }
}

/// Notifies the service manager of the end of a reload when it is dropped, see [`ServiceManager::reloading`].
#[must_use = "dropping it notifies of the end of the reload"]
pub struct ReloadNotice<'a> {
    manager: &'a ServiceManager,
}

impl Drop for ReloadNotice<'_> {
    fn drop(&mut self) {
        self.manager.notify(&[NotifyState::Ready]);
    }
}

/// One datagram: a line for each state.
fn message(states: &[NotifyState<'_>]) -> String {
    states.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl NotifySocket {
    fn open(socket: &str) -> io::Result<NotifySocket> {
        let address = match socket.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(OsStr::from_bytes(socket.as_bytes()))?,
            _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "neither a path nor an abstract name")),
        };
        let (blocking, nonblocking) = (UnixDatagram::unbound()?, UnixDatagram::unbound()?);
        blocking.set_write_timeout(Some(SEND_TIMEOUT))?;
        nonblocking.set_nonblocking(true)?;
        Ok(NotifySocket { address, blocking, nonblocking })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_notified_twice_in_its_period() {
        let settings = |socket: Option<&str>, watchdog| NotifySettings { socket: socket.map(str::to_owned), watchdog };
        let all = settings(Some("/run/n"), Some(10_000_000));
        assert_eq!(all.watchdog_interval(), Some(Duration::from_secs(5)));
        assert_eq!(settings(Some("/run/n"), None).watchdog_interval(), None);
        assert_eq!(settings(None, Some(10_000_000)).watchdog_interval(), None, "there is no service manager");
        assert_eq!(NotifySettings::default().or(all.clone()), all);
    }

    #[test]
    fn notifications_are_sent_only_while_they_are_enabled() {
        let name = format!("portcullis-test-{}", std::process::id());
        let listener = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        listener.set_nonblocking(true).unwrap();
        let manager = ServiceManager::new(NotifySettings { socket: Some(format!("@{name}")), watchdog: None }, false);
        manager.ready("disabled");
        manager.enable();
        drop(manager.reloading());
        assert!(manager.took_over("serving"));
        manager.watchdog();
        manager.disable();
        manager.stopping("disabled");
        let mut received = Vec::new();
        let mut buffer = [0; 256];
        while let Ok(length) = listener.recv(&mut buffer) {
            received.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        let time = received[0].strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("a time");
        assert!(time.parse::<u64>().is_ok_and(|time| time > 0), "{received:?}");
        let took_over = format!("MAINPID={}\nREADY=1\nSTATUS=serving", std::process::id());
        assert_eq!(received[1..], ["READY=1".to_owned(), took_over, "WATCHDOG=1".to_owned()]);
    }
}
