//! What a try tells about its endpoint: remembered, counted, and said where it changes something.

use std::time::Instant;

use log::{info, warn};
use pingora::{Error, ErrorType};

use super::context::Context;
use crate::decision::upstream::ejection::Reason;
use crate::decision::upstream::outcome::TryResult;
use crate::state::upstreams::EjectionChange;

/// Notes how a try at the chosen endpoint ended. Further ends of the same try are ignored.
pub fn tried(ctx: &mut Context, result: TryResult) {
    let (Some(id), Some(chosen)) = (ctx.attempt.upstream, &mut ctx.attempt.chosen) else { return };
    let upstream = ctx.serving.upstream(id);
    let Some(change) = upstream.state.record(chosen, result, Instant::now) else { return };
    let (name, endpoint) = (upstream.state.name(), &chosen.endpoint);
    match change {
        EjectionChange::Ejected { reason, time } => {
            upstream.metrics.ejected(reason);
            let (why, last) = (words(reason), describe(result));
            warn!(
                "upstream {name}: endpoint {endpoint} is left out for {time:?}, since {why}, the last time with {last}"
            );
        }
        EjectionChange::Withheld { reason } => upstream.metrics.ejection_withheld(reason),
        EjectionChange::Returned => {
            info!("upstream {name}: endpoint {endpoint} passed its trial and takes requests again")
        }
    }
}

/// Notes that no connection could be made, unless it was for want of something on this side.
pub fn unreachable(ctx: &mut Context, e: &Error) {
    if !matches!(e.etype(), ErrorType::BindError | ErrorType::SocketError) {
        tried(ctx, TryResult::ConnectFailed);
    }
}

fn words(reason: Reason) -> &'static str {
    match reason {
        Reason::Consecutive => "it failed too many requests in a row",
        Reason::ErrorRate => "it fails more requests than the others",
        Reason::Trial => "it failed its trial",
    }
}

fn describe(result: TryResult) -> String {
    match result {
        TryResult::Answered(status) => format!("the status {status}"),
        TryResult::ConnectFailed => "no connection".to_owned(),
        TryResult::Broken => "a broken connection".to_owned(),
        TryResult::TimedOut => "no answer in time".to_owned(),
    }
}
