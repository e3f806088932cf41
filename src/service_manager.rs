//! What the service manager is told: the protocol of sd_notify(3), one datagram for each message.
//!
//! Without `$NOTIFY_SOCKET` nobody is told, and nothing happens here. A process that follows another one speaks only once it
//! has taken over, and the one that was followed says no more: systemd has one main process at a time.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use log::warn;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Where the service manager listens, and how often it wants to hear that the process is well. A process that follows
/// another one needs both from it: its own environment is that of the command that started it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// `$NOTIFY_SOCKET`: a path, or an abstract name that begins with `@`.
    pub socket: Option<String>,
    /// `$WATCHDOG_USEC`, in microseconds.
    pub watchdog: Option<u64>,
}

impl Terms {
    /// What the environment says to this process.
    pub fn of_this_process() -> Terms {
        Terms::new(std::process::id(), |name| std::env::var(name).ok())
    }

    fn new(pid: u32, variable: impl Fn(&str) -> Option<String>) -> Terms {
        let socket = variable("NOTIFY_SOCKET").filter(|socket| !socket.is_empty());
        // `$WATCHDOG_PID` keeps a child from answering for its parent.
        let meant = variable("WATCHDOG_PID").is_none_or(|meant| meant == pid.to_string());
        let watchdog =
            variable("WATCHDOG_USEC").and_then(|period| period.parse().ok()).filter(|&period| meant && period > 0);
        Terms { socket, watchdog }
    }

    /// These, and where they say nothing what `others` say.
    pub fn or(self, others: Terms) -> Terms {
        Terms { socket: self.socket.or(others.socket), watchdog: self.watchdog.or(others.watchdog) }
    }

    /// How often to say that the process is well: twice as often as it is asked for, as sd_watchdog_enabled(3) recommends.
    pub fn beat(&self) -> Option<Duration> {
        self.socket.as_ref()?;
        self.watchdog.map(|period| Duration::from_micros(period) / 2)
    }
}

/// The service manager, if there is one.
#[derive(Debug)]
pub struct ServiceManager {
    terms: Terms,
    line: Option<Line>,
    speaks: AtomicBool,
}

/// How the service manager is reached.
#[derive(Debug)]
struct Line {
    address: SocketAddr,
    /// For what must be heard, even where the service manager is busy: waits for [`PATIENCE`].
    patient: UnixDatagram,
    /// For what is said again anyway: never waits, since it is said by threads that serve.
    hasty: UnixDatagram,
}

/// For a service manager that does not listen just now, as systemd does while it reads its units again.
const PATIENCE: Duration = Duration::from_secs(3);

impl ServiceManager {
    /// `speaks`: whether what is said is sent from the beginning, or only after [`ServiceManager::speak`].
    pub fn new(terms: Terms, speaks: bool) -> ServiceManager {
        let line = terms.socket.as_deref().and_then(|socket| match connect(socket) {
            Ok(line) => Some(line),
            Err(error) => {
                warn!("the service manager's socket `{socket}` (NOTIFY_SOCKET) cannot be used: {error}");
                None
            }
        });
        ServiceManager { terms, line, speaks: AtomicBool::new(speaks) }
    }

    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// From now on, what is said is sent.
    pub fn speak(&self) {
        self.speaks.store(true, Ordering::Release);
    }

    /// From now on, nothing is: another process speaks.
    pub fn be_silent(&self) {
        self.speaks.store(false, Ordering::Release);
    }

    /// This process serves.
    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// This process has followed the one that was the main process. `false`: the service manager does not know it, and would
    /// take the end of the old one for the end of the service.
    #[must_use]
    pub fn followed(&self, status: &str) -> bool {
        self.tell(&format!("MAINPID={}\nREADY=1\nSTATUS={status}", std::process::id()))
    }

    /// The process ends once its requests are done.
    pub fn stopping(&self, status: &str) {
        self.tell(&format!("STOPPING=1\nSTATUS={status}"));
    }

    /// The process is well.
    pub fn beat(&self) {
        let Some(line) = self.line.as_ref().filter(|_| self.speaks.load(Ordering::Acquire)) else { return };
        // The next one comes soon, and whoever is too busy to take this one does not miss it.
        let _ = line.hasty.send_to_addr(b"WATCHDOG=1", &line.address);
    }

    /// The configuration is being read again, until what this gives is dropped.
    pub fn reloading(&self) -> Reloading<'_> {
        if self.line.is_some() {
            // Type=notify-reload compares it with when it asked.
            let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Into::into).as_micros();
            self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
        }
        Reloading { manager: self }
    }

    /// `false`: it could not be told.
    fn tell(&self, message: &str) -> bool {
        let Some(line) = self.line.as_ref().filter(|_| self.speaks.load(Ordering::Acquire)) else { return true };
        let told = line.patient.send_to_addr(message.as_bytes(), &line.address);
        if let Err(error) = &told {
            warn!("the service manager cannot be told `{}`: {error}", message.lines().next().unwrap_or_default());
        }
        told.is_ok()
    }
}

/// See [`ServiceManager::reloading`].
#[must_use = "dropping it says that the reload is over"]
pub struct Reloading<'a> {
    manager: &'a ServiceManager,
}

impl Drop for Reloading<'_> {
    fn drop(&mut self) {
        self.manager.tell("READY=1");
    }
}

fn connect(socket: &str) -> io::Result<Line> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(OsStr::from_bytes(socket.as_bytes()))?,
        _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "neither a path nor an abstract name")),
    };
    let (patient, hasty) = (UnixDatagram::unbound()?, UnixDatagram::unbound()?);
    patient.set_write_timeout(Some(PATIENCE))?;
    hasty.set_nonblocking(true)?;
    Ok(Line { address, patient, hasty })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_where_and_how_often() {
        let terms = |variables: &[(&str, &str)]| {
            let find =
                |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            Terms::new(7, find)
        };
        let all = [("NOTIFY_SOCKET", "/run/n"), ("WATCHDOG_USEC", "10000000"), ("WATCHDOG_PID", "7")];
        assert_eq!(terms(&all).beat(), Some(Duration::from_secs(5)));
        assert_eq!(terms(&all[..2]).beat(), Some(Duration::from_secs(5)));
        assert_eq!(terms(&[all[0], all[1], ("WATCHDOG_PID", "8")]).beat(), None);
        assert_eq!(terms(&[all[1]]).beat(), None, "there is nobody to tell");
        assert_eq!(terms(&[]).or(terms(&all)), terms(&all));
    }

    #[test]
    fn who_does_not_speak_yet_sends_nothing() {
        let name = format!("portcullis-test-{}", std::process::id());
        let listener = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        listener.set_nonblocking(true).unwrap();
        let manager = ServiceManager::new(Terms { socket: Some(format!("@{name}")), watchdog: None }, false);
        manager.ready("silent");
        manager.speak();
        drop(manager.reloading());
        manager.be_silent();
        manager.stopping("silent");
        let mut said = Vec::new();
        let mut buffer = [0; 256];
        while let Ok(length) = listener.recv(&mut buffer) {
            said.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        assert!(said[0].starts_with("RELOADING=1\nMONOTONIC_USEC="), "{said:?}");
        assert_eq!(said[1..], ["READY=1"]);
    }
}
