//! The old process's side.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use std::{io, thread};

use log::{error, info, warn};
use nix::unistd::Uid;

use super::{Address, Answer, Error, Offer, PATIENCE, PROTOCOL, Request, Step, wire};
use crate::service_manager::Terms;

/// Longest that a new process may take to become ready, whatever it asks for.
const MAX_PATIENCE: Duration = Duration::from_secs(3600);

/// A listening socket for as long as whoever serves it holds it: this side keeps none open that was closed for a drain.
#[derive(Clone, Debug)]
pub struct Handle {
    pub name: String,
    /// As the configuration says it.
    pub address: SocketAddr,
    pub socket: Weak<TcpListener>,
}

/// What the process does at the turning points of a handover.
pub trait Old: Send + Sync {
    /// Why nobody can follow it now, if that is so.
    fn refuses(&self) -> Option<&'static str>;
    /// It did not come about. `granted`: the other process had leave to serve, and may have begun to.
    fn goes_on(&self, granted: bool);
    /// The process `pid` serves: drain.
    fn is_followed(&self, pid: u32);
}

/// Gives the sockets of this process to the one that follows it.
pub struct Giver {
    handles: Vec<Handle>,
    terms: Terms,
    old: Arc<dyn Old>,
    /// One handover at a time.
    busy: AtomicBool,
    /// The process that has followed; 0 for none.
    follower: AtomicU32,
}

impl Giver {
    pub fn new(handles: Vec<Handle>, terms: Terms, old: Arc<dyn Old>) -> Arc<Giver> {
        Arc::new(Giver { handles, terms, old, busy: AtomicBool::new(false), follower: AtomicU32::new(0) })
    }

    /// Answers on `socket` for as long as the process lives, on a thread of its own.
    ///
    /// # Errors
    /// When the thread can't be started.
    pub fn serve(self: Arc<Self>, socket: UnixListener) -> io::Result<()> {
        thread::Builder::new().name("handover".to_owned()).spawn(move || {
            for stream in socket.incoming() {
                match stream {
                    Ok(stream) => self.meet(stream),
                    Err(e) => {
                        error!("the upgrade socket failed to accept: {e}");
                        // Such as too many open files: accepting again at once would fail again at once.
                        thread::park_timeout(Duration::from_millis(100));
                    }
                }
            }
        })?;
        Ok(())
    }

    /// Whether another process takes over just now, or has done so.
    pub fn is_giving(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// Begins a handover on a thread of its own, or says why not.
    fn meet(self: &Arc<Self>, stream: UnixStream) {
        if let Err(error) = admit(&stream) {
            warn!("upgrade socket: {error}");
            return;
        }
        if self.busy.swap(true, Ordering::AcqRel) {
            let reason = match self.follower.load(Ordering::Acquire) {
                0 => "another process is taking over just now".to_owned(),
                pid => format!("process {pid} has taken over already"),
            };
            // Whoever asks learns it or is gone.
            let _ = wire::send(&stream, &Answer::Refused(reason));
            return;
        }
        let giver = self.clone();
        let begun = thread::Builder::new().name("handover-one".to_owned()).spawn(move || giver.hand_over(&stream));
        if let Err(error) = begun {
            error!("a handover cannot begin: {error}");
            self.busy.store(false, Ordering::Release);
        }
    }

    fn hand_over(&self, stream: &UnixStream) {
        let mut reached = Reached::default();
        let result = self.steps(stream, &mut reached);
        let Reached { pid, granted } = reached;
        match result {
            Ok(()) => {
                self.follower.store(pid, Ordering::Release);
                self.old.is_followed(pid);
            }
            Err(error) => {
                warn!("process {pid} did not take over: {error}; this process goes on");
                self.old.goes_on(granted);
                self.busy.store(false, Ordering::Release);
            }
        }
    }

    fn steps(&self, stream: &UnixStream, reached: &mut Reached) -> Result<(), Error> {
        let request: Request = wire::receive(stream)?;
        reached.pid = request.pid;
        info!("process {} (version {}) asks to take over", request.pid, request.version);
        if request.protocol != PROTOCOL {
            let reason = format!("it speaks version {PROTOCOL} of the handover, not {}", request.protocol);
            return self.refuse(stream, reason);
        }
        if let Some(why) = self.old.refuses() {
            return self.refuse(stream, why.to_owned());
        }
        if !self.offer(stream)? {
            return self.refuse(stream, "it is draining".to_owned());
        }
        wire::wait_for(stream, Duration::from_millis(request.patience).min(MAX_PATIENCE) + PATIENCE)?;
        if wire::receive::<Step>(stream)? != Step::Ready {
            return Err(Error::Nonsense("a step out of turn"));
        }
        if let Some(why) = self.old.refuses().or(self.held().is_none().then_some("it is draining")) {
            return self.refuse(stream, why.to_owned());
        }
        wire::wait_for(stream, PATIENCE)?;
        reached.granted = true;
        wire::send(stream, &Answer::Go)?;
        match wire::receive::<Step>(stream)? {
            Step::Serving => Ok(()),
            Step::Ready => Err(Error::Nonsense("a step out of turn")),
        }
    }

    fn refuse(&self, stream: &UnixStream, reason: String) -> Result<(), Error> {
        wire::send(stream, &Answer::Refused(reason.clone()))?;
        Err(Error::Io(io::Error::other(format!("it was refused, since {reason}"))))
    }

    /// Sends the offer and the descriptors. `false`: there is nothing to offer any more.
    fn offer(&self, stream: &UnixStream) -> io::Result<bool> {
        let Some(sockets) = self.held() else { return Ok(false) };
        let listeners =
            self.handles.iter().map(|handle| Address { name: handle.name.clone(), address: handle.address }).collect();
        let offer = Offer {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            listeners,
            terms: self.terms.clone(),
        };
        wire::send(stream, &Answer::Offer(offer))?;
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let mut descriptors: Vec<_> = sockets.iter().map(|socket| socket.as_fd()).collect();
        descriptors.extend([stdout.as_fd(), stderr.as_fd()]);
        wire::send_descriptors(stream, &descriptors)?;
        Ok(true)
    }

    /// Every socket, if none is closed yet.
    fn held(&self) -> Option<Vec<Arc<TcpListener>>> {
        self.handles.iter().map(|handle| handle.socket.upgrade()).collect()
    }
}

/// How far a handover came.
#[derive(Default)]
struct Reached {
    pid: u32,
    granted: bool,
}

/// Only this process's own user, and root.
fn admit(stream: &UnixStream) -> Result<(), Error> {
    wire::wait_for(stream, PATIENCE)?;
    let user = wire::user(stream)?;
    if user == 0 || user == Uid::effective().as_raw() { Ok(()) } else { Err(Error::Stranger(user)) }
}
