//! Numbers and durations with a default and a range.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{CompileContext, bounds};
use crate::config::doc_path::DocPath;
use crate::config::raw::units::{Count, Span};
use crate::decision::bounds::WAIT;

/// The number as written if it is in `range`; otherwise `default`, with a diagnostic.
pub(super) fn count(
    ctx: &mut CompileContext,
    path: &DocPath,
    written: Option<Count>,
    range: RangeInclusive<u32>,
    default: u32,
) -> u32 {
    let Some(Count(number)) = written else { return default };
    match u32::try_from(number) {
        Ok(number) if range.contains(&number) => number,
        _ => {
            ctx.error_with_help(
                path,
                "out_of_range",
                format!("{number} is out of range"),
                format!("write a number from {} to {}", range.start(), range.end()),
            );
            default
        }
    }
}

/// The duration as written if it is more than nothing; otherwise `default`, with a diagnostic.
pub(super) fn span(ctx: &mut CompileContext, path: &DocPath, written: Option<Span>, default: Duration) -> Duration {
    match written {
        None => default,
        Some(Span(duration)) if !duration.is_zero() => duration,
        Some(_) => {
            ctx.error_with_help(
                path,
                "duration_zero",
                "a duration of nothing would fail at once, every time",
                format!("write more than 0, or remove it for the default of {}s", default.as_secs()),
            );
            default
        }
    }
}

/// A time that the gateway waits for somebody, checked like the durations of `bounds`.
pub(super) fn wait(ctx: &mut CompileContext, path: &DocPath, written: Option<Span>, default: Duration) -> Duration {
    bounds::duration(ctx, path, written.as_ref(), default, &WAIT)
}
