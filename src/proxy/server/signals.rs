//! What signals ask of the process, and how it ends.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime as TokioRuntime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::drain::run::run_drain;
use crate::admin::Readiness;
use crate::admin::command::{AdminCommand, CommandHandler};
use crate::proxy::drain::DrainReason;
use crate::proxy::runtime::Runtime;
use crate::signal_mask;
use crate::telemetry::program_log;

/// What the process around the server does at its turning points.
pub trait ShutdownHooks: Send + Sync {
    /// A signal has begun the drain.
    fn drain_began(&self);
    /// The process ends now.
    fn exiting(&self);
}

/// SIGTERM, SIGINT and SIGQUIT drain; a second one ends at once. SIGHUP reloads, SIGUSR1 reopens the log.
pub struct Signals {
    pub runtime: Arc<Runtime>,
    pub readiness: Arc<Readiness>,
    pub commands: Arc<dyn CommandHandler>,
    /// Becomes true when another process has followed this one.
    pub followed: watch::Receiver<bool>,
    pub shutdown_hooks: Arc<dyn ShutdownHooks>,
}

/// The reason for not being ready.
const DRAINING: &str = "draining";

/// For the last log lines.
const FLUSH: Duration = Duration::from_secs(2);

/// How a process ends that has cut requests: EX_TEMPFAIL of `sysexits.h`, since their clients may try again.
const CUT: i32 = 75;

impl Signals {
    /// Watches from here on, and leads through the drain when there is one. On a thread of its own, which no request can hold
    /// up.
    ///
    /// # Errors
    /// When the operating system has no thread or no descriptor left.
    pub fn watch(self) -> io::Result<()> {
        let tokio = Builder::new_current_thread().enable_all().build()?;
        let streams = SignalStreams::open(&tokio)?;
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            // Those that came meanwhile are obeyed now.
            signal_mask::unblock_handled();
            tokio.block_on(async {
                tokio::spawn(drain(self.runtime.clone(), self.readiness.clone(), self.shutdown_hooks.clone()));
                self.obey(streams).await;
            });
        })?;
        Ok(())
    }

    async fn obey(&self, mut streams: SignalStreams) {
        let mut told = false;
        let (runtime, mut followed) = (self.runtime.clone(), self.followed.clone());
        tokio::spawn(async move {
            if followed.wait_for(|followed| *followed).await.is_ok() {
                runtime.drain.begin(DrainReason::HandedOver);
            }
        });
        loop {
            let name = tokio::select! {
                _ = streams.reopen.recv() => {
                    self.runtime.state.access_logs.reopen();
                    continue;
                }
                _ = streams.hangup.recv() => {
                    let commands = self.commands.clone();
                    // What came of it, the log says.
                    tokio::task::spawn_blocking(move || commands.handle(AdminCommand::Reload(None)));
                    continue;
                }
                _ = streams.terminate.recv() => "SIGTERM",
                _ = streams.interrupt.recv() => "SIGINT",
                _ = streams.quit.recv() => "SIGQUIT",
            };
            // A drain that an operator or a successor has begun is not hurried by the first: supervisors send it as a matter of
            // course.
            if std::mem::replace(&mut told, true) {
                self.runtime.drain.force();
            } else {
                self.runtime.drain.begin(DrainReason::Signal(name));
            }
        }
    }
}

/// Waits for a drain to begin, and ends the process when it is done.
#[expect(clippy::exit, reason = "Pingora would sleep through its whole grace period instead")]
async fn drain(runtime: Arc<Runtime>, readiness: Arc<Readiness>, shutdown_hooks: Arc<dyn ShutdownHooks>) {
    runtime.drain.begins().await;
    if runtime.drain.reason() != Some(DrainReason::HandedOver) {
        shutdown_hooks.drain_began();
    }
    readiness.block(DRAINING);
    let cut = run_drain(&runtime).await;
    runtime.state.access_logs.flush(Instant::now() + FLUSH);
    shutdown_hooks.exiting();
    program_log::flush(FLUSH);
    std::process::exit(if cut == 0 { 0 } else { CUT })
}

struct SignalStreams {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
    reopen: Signal,
}

impl SignalStreams {
    fn open(tokio: &TokioRuntime) -> io::Result<SignalStreams> {
        let _within = tokio.enter();
        Ok(SignalStreams {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
        })
    }
}
