//! What a drain does to a connection and to a request.
//!
//! A connection's task looks at the stage whenever it is polled. What has to be added is the poll: these functions run the
//! task and poll it once more with every stage.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use crate::proxy::connection::client::ClientConnection;
use crate::proxy::drain::{Drain, DrainStage};
use crate::state::connections::ConnectionSlot;

/// Serves the connection of `client`, through a drain if there is one.
pub async fn serve_until_drained(client: &ClientConnection, mut serve: Pin<&mut impl Future<Output = ()>>) {
    let drain = &client.listener.runtime.drain;
    let mut stages = drain.stages();
    let mut told = None;
    let mut entered = Some(*stages.borrow_and_update());
    loop {
        match entered.take() {
            None | Some(DrainStage::Serving) => {}
            Some(DrainStage::Notice) => told = drain.moment().map(|at| Box::pin(tokio::time::sleep_until(at.into()))),
            Some(stage) => {
                told = None;
                client.retire();
                client.drain_stage_changed();
                if stage == DrainStage::Over {
                    return;
                }
            }
        }
        tokio::select! {
            biased;
            () = serve.as_mut() => return,
            () = reached(&mut told) => {
                told = None;
                client.retire();
            }
            turned = stages.changed() => match turned {
                Ok(()) => entered = Some(*stages.borrow_and_update()),
                // Nobody is left who could drain.
                Err(_) => return serve.await,
            },
        }
    }
}

async fn reached(moment: &mut Option<Pin<Box<Sleep>>>) {
    match moment {
        Some(sleep) => sleep.await,
        None => pending().await,
    }
}

/// Serves a request that has a task of its own, on the connection of `client`, until the drain is over.
pub async fn serve_request_until_drained(client: &ClientConnection, mut serve: Pin<&mut impl Future<Output = ()>>) {
    let drain = &client.listener.runtime.drain;
    loop {
        // Before the stage is looked at, so that none is missed.
        let turned = client.next_drain_stage();
        if drain.stage() == DrainStage::Over {
            return;
        }
        tokio::select! {
            biased;
            () = serve.as_mut() => return,
            () = turned => {}
        }
    }
}

impl Drain {
    /// When a connection is retired: a random moment of the notice, so that the clients do not all connect to other instances
    /// at once.
    fn moment(&self) -> Option<Instant> {
        let left = self.notice_ends.get()?.saturating_duration_since(Instant::now());
        Some(Instant::now() + left.mul_f64(fastrand::f64()))
    }
}

/// A client whose handshake is not over.
pub struct PendingClient<'a> {
    drain: &'a Drain,
    since: Instant,
}

impl<'a> PendingClient<'a> {
    pub fn new(drain: &'a Drain) -> Self {
        PendingClient { drain, since: Instant::now() }
    }

    /// Does `work` for it; after the listeners have closed for [`PENDING_GRACE`] at most. `None`: it took longer, or failed.
    pub async fn before_leaving<T>(&self, work: impl Future<Output = Option<T>>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => done,
            () = self.drain.idle_over(self.since, PENDING_GRACE) => None,
        }
    }
}

/// For a handshake that has begun when the listeners close: some round trips, and no more, since whoever only connects would
/// hold up the process for `bounds.handshake`.
const PENDING_GRACE: Duration = Duration::from_secs(2);

/// The count of a connection. When it is given back, the drain is evaluated again.
pub struct CountedConnection {
    place: Option<ConnectionSlot>,
    drain: Arc<Drain>,
}

impl CountedConnection {
    pub fn new(place: ConnectionSlot, drain: &Arc<Drain>) -> Self {
        CountedConnection { place: Some(place), drain: drain.clone() }
    }
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        self.place = None;
        self.drain.look_again();
    }
}
