//! One timer for a connection, set as seldom as possible.
//!
//! A deadline that moves further away, as the one for the next request does with each request, leaves the timer as it is: it
//! fires early, and is then set anew. So a connection that is busy sets its timer once in the length of its bounds.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::time::Sleep;

/// Wakes a task at a moment that changes.
#[derive(Default)]
pub struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Whether `due` is past. If not, the task is woken then, or before.
    pub fn poll(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let due = tokio::time::Instant::from_std(due);
        let sleep = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if sleep.deadline() > due {
            sleep.as_mut().reset(due);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= due {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_met_after_it_moved_away_and_back() {
        let start = tokio::time::Instant::now();
        let mut timer = Timer::default();
        let mut wait_until = async |seconds| {
            let due = (start + Duration::from_secs(seconds)).into_std();
            std::future::poll_fn(|cx| timer.poll(due, cx)).await;
            start.elapsed().as_secs()
        };
        assert_eq!(wait_until(5).await, 5);
        assert_eq!(wait_until(60).await, 60);
        assert_eq!(wait_until(30).await, 60);
        assert_eq!(wait_until(61).await, 61);
    }
}
