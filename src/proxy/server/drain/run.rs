//! Takes the process through the stages of its drain, and logs the progress.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use log::{info, warn};

use crate::config::snapshot::ProcessConfig;
use crate::proxy::drain::{Drain, DrainReason, DrainStage};
use crate::proxy::runtime::Runtime;

/// How often the log says what is waited for. Bounds that a reload has changed are seen at once.
const PROGRESS: Duration = Duration::from_secs(5);

/// How long it waits after it has ended something: for answers and closes to reach the kernel, and for clients to read them.
const FLUSH_GRACE: Duration = Duration::from_secs(1);

impl Drain {
    /// Returns when the drain begins, with its reason.
    pub async fn begins(&self) -> DrainReason {
        loop {
            if let Some(reason) = self.reason() {
                return reason;
            }
            self.changed.notified().await;
        }
    }
}

/// Drains from beginning to end. Returns how many requests were cut.
pub async fn run_drain(runtime: &Runtime) -> u64 {
    let reason = runtime.drain.begins().await;
    let mut drain = DrainRunner { runtime, drain: &runtime.drain, logged: Instant::now() };
    info!("drain begins ({reason}): {} left", drain.left());
    drain.give_notice(reason).await;
    drain.drain.leave(drain.process(|process| process.drain_idle));
    drain.leave().await;
    let lost = runtime.in_flight() as u64;
    let cut = drain.drain.cut() + lost;
    let took = drain.drain.elapsed().unwrap_or_default();
    if cut > 0 {
        warn!("drained in {took:.1?}: {cut} requests cut");
    } else {
        info!("drained in {took:.1?}: no request cut");
    }
    cut
}

struct DrainRunner<'a> {
    runtime: &'a Runtime,
    drain: &'a Drain,
    /// When the progress was logged last.
    logged: Instant,
}

impl DrainRunner<'_> {
    /// Goes on serving for `process.drain_notice`, so that load balancers see that the process is not ready.
    async fn give_notice(&mut self, reason: DrainReason) {
        let notice = self.process(|process| process.drain_notice);
        if notice.is_zero() || reason == DrainReason::HandedOver {
            return;
        }
        let ends = Instant::now() + notice;
        let _ = self.drain.notice_ends.set(ends);
        self.drain.enter(DrainStage::Notice);
        info!("not ready any more; the listeners close in {notice:.1?}");
        self.wait(Some(ends), |this| this.drain.forced() > 0).await;
    }

    /// Waits for the last request; ends streams and requests whose time is up.
    async fn leave(&mut self) {
        let closed = Instant::now();
        let due = |this: &Self| {
            let (streams, all) = this.process(|process| (process.drain_streams, process.drain));
            (closed + streams.min(all), closed + all)
        };
        loop {
            let (streams, all) = due(self);
            let now = Instant::now();
            if self.is_done() {
                return;
            }
            if self.drain.forced() > 0 {
                warn!("asked a second time: {} cut", self.left());
                break;
            }
            if self.drain.stage() < DrainStage::StreamsEnd && now >= streams {
                info!("time is up for streams: {} left", self.left());
                self.drain.enter(DrainStage::StreamsEnd);
                if now >= all {
                    // They end in order, though nothing else may wait any longer.
                    self.wait(Some(now + FLUSH_GRACE), |this| this.runtime.metrics.streams_open() == 0).await;
                    continue;
                }
            }
            if now >= all {
                warn!("`process.drain` is over: {} cut", self.left());
                break;
            }
            let next = if self.drain.stage() < DrainStage::StreamsEnd { streams } else { all };
            self.rest(next.min(self.logged + PROGRESS)).await;
            self.log_progress(all);
        }
        for stage in [DrainStage::Cut, DrainStage::Over] {
            let forced = self.drain.forced();
            if self.is_done() {
                return;
            }
            self.drain.enter(stage);
            let until = Instant::now() + FLUSH_GRACE;
            self.wait(Some(until), |this| stage == DrainStage::Cut && this.drain.forced() > forced).await;
        }
    }

    /// Waits until nothing is left, `done` says so, or `until`.
    async fn wait(&mut self, until: Option<Instant>, done: impl Fn(&Self) -> bool) {
        let serving = self.drain.stage() < DrainStage::Leaving;
        while !(done(self) || !serving && self.is_done()) && until.is_none_or(|until| Instant::now() < until) {
            let next = self.logged + PROGRESS;
            self.rest(until.map_or(next, |until| until.min(next))).await;
            if let Some(until) = until {
                self.log_progress(until);
            }
        }
    }

    /// Sleeps until something changes, or `until`.
    async fn rest(&self, until: Instant) {
        tokio::select! {
            () = self.drain.changed.notified() => {}
            () = tokio::time::sleep_until(until.into()) => {}
        }
    }

    /// Logs at intervals what is left.
    fn log_progress(&mut self, until: Instant) {
        if self.logged.elapsed() >= PROGRESS {
            self.logged = Instant::now();
            let stage = self.drain.stage().name();
            let time = until.saturating_duration_since(self.logged);
            info!("draining ({stage}): {} left, {time:.0?} to go at most", self.left());
        }
    }

    fn is_done(&self) -> bool {
        self.drain.listeners.load(Ordering::SeqCst) == 0
            && self.runtime.in_flight() == 0
            && self.runtime.state.connections.open() == 0
    }

    fn process<T>(&self, read: impl FnOnce(&ProcessConfig) -> T) -> T {
        read(&self.runtime.store.load().snapshot.process)
    }

    fn left(&self) -> Remaining {
        Remaining {
            requests: self.runtime.in_flight(),
            streams: self.runtime.metrics.streams_open(),
            connections: self.runtime.state.connections.open(),
        }
    }
}

impl Drain {
    fn forced(&self) -> usize {
        self.forced.load(Ordering::SeqCst)
    }
}

/// What is waited for.
struct Remaining {
    requests: usize,
    streams: i64,
    connections: u32,
}

impl fmt::Display for Remaining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Remaining { requests, streams, connections } = self;
        write!(f, "{requests} requests ({streams} of them streams), {connections} connections")
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use super::*;
    use crate::config::ConfigSource;
    use crate::config::load::SystemEnvironment;
    use crate::telemetry::metrics::Metrics;

    fn runtime(process: &str) -> Arc<Runtime> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("portcullis.yaml");
        let listener = "{ name: main, address: \"127.0.0.1:1\" }";
        let route = "{ name: all, access: public, respond: {} }";
        let text = format!(
            "version: 1\nlisteners: [{listener}]\nroutes: [{route}]\naccess_log: {{ output: off }}\nprocess: {{ {process} }}\n"
        );
        std::fs::write(&file, text).unwrap();
        let source = ConfigSource::new(file.display().to_string(), Arc::new(SystemEnvironment));
        let (snapshot, diagnostics) = source.open();
        let snapshot = snapshot.unwrap_or_else(|| panic!("{diagnostics:?}"));
        Runtime::new(Arc::new(snapshot), Arc::new(Metrics::new())).unwrap()
    }

    #[tokio::test]
    async fn a_successor_takes_over_without_a_notice_and_with_what_is_queued() {
        let runtime = runtime("drain_notice: 1h, drain: 1h");
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        assert!(runtime.drain.owns_queue(address(1)));
        runtime.drain.handed_over(vec![address(1)]);
        runtime.drain.begin(DrainReason::HandedOver);
        assert_eq!(run_drain(&runtime).await, 0);
        assert!(!runtime.drain.owns_queue(address(1)));
        // It listens elsewhere, and nobody would answer here.
        assert!(runtime.drain.owns_queue(address(2)));
        assert_eq!(runtime.drain.stage(), DrainStage::Leaving);
    }

    #[tokio::test]
    async fn the_notice_is_given_and_a_listener_waited_for() {
        let runtime = runtime("drain_notice: 50ms, drain: 1h");
        let listener = runtime.drain.listener();
        let mut stages = runtime.drain.stages();
        let closing = async {
            stages.wait_for(|stage| *stage == DrainStage::Notice).await.unwrap();
            stages.wait_for(|stage| *stage == DrainStage::Leaving).await.unwrap();
            drop(listener);
        };
        runtime.drain.begin(DrainReason::Command);
        let begun = Instant::now();
        assert_eq!(tokio::join!(run_drain(&runtime), closing).0, 0);
        assert!(begun.elapsed() >= Duration::from_millis(50));
    }

    #[tokio::test]
    async fn what_never_ends_is_counted() {
        let runtime = runtime("drain: 0s");
        runtime.request_began();
        runtime.drain.begin(DrainReason::Signal("SIGTERM"));
        assert_eq!(run_drain(&runtime).await, 1);
        assert_eq!(runtime.drain.stage(), DrainStage::Over);
    }
}
