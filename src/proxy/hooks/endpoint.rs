//! What a try tells about its endpoint: kept for ejection, counted, and logged where it changes something.

use std::time::Instant;

use log::{info, warn};
use pingora::Error;

use super::error::is_local;
use super::forward::{Try, UpstreamContext};
use crate::decision::upstream::ejection::Reason;
use crate::decision::upstream::outcome::TryResult;
use crate::state::upstreams::EjectionChange;

/// Notes how the try under way ended at its endpoint. Further ends of the same try are ignored.
pub fn record_result(ctx: &mut UpstreamContext<'_>, result: TryResult) {
    let upstream = ctx.serving.upstream(ctx.tries.upstream);
    let Some(Try { selected, .. }) = &mut ctx.current else { return };
    let Some(change) = upstream.state.record(selected, result, Instant::now) else { return };
    let (name, endpoint) = (upstream.state.name(), &selected.endpoint);
    match change {
        EjectionChange::Ejected { reason, time } => {
            upstream.metrics.ejected(reason);
            let (why, last) = (describe_reason(reason), describe_result(result));
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
pub fn record_unreachable(ctx: &mut UpstreamContext<'_>, e: &Error) {
    if !is_local(e) {
        record_result(ctx, TryResult::ConnectFailed);
    }
}

fn describe_reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Consecutive => "it failed too many requests in a row",
        Reason::ErrorRate => "it fails more requests than the others",
        Reason::Trial => "it failed its trial",
    }
}

fn describe_result(result: TryResult) -> String {
    match result {
        TryResult::Answered(status) => format!("the status {status}"),
        TryResult::ConnectFailed => "no connection".to_owned(),
        TryResult::Broken => "a broken connection".to_owned(),
        TryResult::TimedOut => "no answer in time".to_owned(),
    }
}
