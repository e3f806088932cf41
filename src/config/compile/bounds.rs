//! Compile: `bounds`, and what a route sets of them. The table is in [`crate::decision::bounds`]; here is one function for each
//! type of a bound.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::CompileContext;
use crate::config::doc_path::DocPath;
use crate::config::raw;
use crate::config::raw::shape::OrOff;
use crate::config::raw::units::{Count, Size, Span, Speed};
use crate::decision::bounds::{A_DAY, BoundRanges, Bounds, RouteBounds, with_file_bounds, with_route_bounds};

macro_rules! compile_section {
    ($($(#[$doc:meta])* $name:ident: $type:ident, $scope:ident;)*) => {
        fn section(ctx: &mut CompileContext, raw: &raw::Config) -> Bounds {
            let path = DocPath::root().key("bounds");
            let (written, defaults, ranges) = (&raw.bounds, Bounds::default(), BoundRanges::default());
            Bounds {
                $($name: self::$type(
                    ctx,
                    &path.key(stringify!($name)),
                    written.$name.as_ref(),
                    defaults.$name,
                    &ranges.$name,
                ),)*
            }
        }
    };
}
with_file_bounds!(compile_section);

/// The section `bounds`.
pub fn bounds(ctx: &mut CompileContext, raw: &raw::Config) -> Bounds {
    let bounds = section(ctx, raw);
    if raw.bounds.token.is_some() && bounds.token > bounds.header_bytes {
        let (token, header) = (Size(bounds.token), Size(bounds.header_bytes));
        ctx.warning(
            &DocPath::root().key("bounds").key("token"),
            "setting_without_effect",
            format!("a token of {token} does not fit `header_bytes`, which is {header} for all fields together"),
            "raise `bounds.header_bytes` too, with room for the other fields",
        );
    }
    bounds
}

/// A route that switches off what it inherits says why.
macro_rules! require_reason {
    ($ctx:ident, $path:expr, $written:expr, duration_or_off) => {
        reason($ctx, $path, $written)
    };
    ($ctx:ident, $path:expr, $written:expr, size_or_off) => {
        reason($ctx, $path, $written)
    };
    ($ctx:ident, $path:expr, $written:expr, rate_or_off) => {
        reason($ctx, $path, $written)
    };
}

fn reason<T>(ctx: &mut CompileContext, path: &DocPath, written: Option<&OrOff<T>>) {
    if matches!(written, Some(OrOff::Off(None))) {
        let message = "the route switches a bound off that it inherits, and does not say why";
        ctx.error_with_help(path, "reason_missing", message, "write `{off: reason}`");
    }
}

macro_rules! compile_own {
    ($($(#[$doc:meta])* $name:ident: $type:ident;)*) => {
        /// What holds for the requests of `route`, which stands at `path`; the rest is as in `bounds`.
        pub fn of_route(ctx: &mut CompileContext, path: &DocPath, route: &raw::route::Route, bounds: &Bounds) -> RouteBounds {
            let (inherited, ranges) = (RouteBounds::from(bounds), BoundRanges::default());
            $(require_reason!(ctx, &path.key(stringify!($name)), route.$name.as_ref(), $type);)*
            RouteBounds {
                $($name: self::$type(
                    ctx,
                    &path.key(stringify!($name)),
                    route.$name.as_ref(),
                    inherited.$name,
                    &ranges.$name,
                ),)*
            }
        }
    };
}
with_route_bounds!(compile_own);

pub(super) fn duration(
    ctx: &mut CompileContext,
    path: &DocPath,
    written: Option<&Span>,
    default: Duration,
    range: &RangeInclusive<Duration>,
) -> Duration {
    let Some(&Span(wait)) = written else { return default };
    if range.contains(&wait) {
        return wait;
    }
    if wait < *range.start() {
        let help = format!("write at least `{}`", Span(*range.start()));
        ctx.error_with_help(path, "out_of_range", "without any time, every request would be refused", help);
    } else {
        let longest = if *range.end() == A_DAY { "a day".to_owned() } else { Span(*range.end()).to_string() };
        ctx.error(path, "out_of_range", format!("more than {longest} is no bound"));
    }
    default
}

fn duration_or_off(
    ctx: &mut CompileContext,
    path: &DocPath,
    written: Option<&OrOff<Span>>,
    default: Option<Duration>,
    range: &RangeInclusive<Duration>,
) -> Option<Duration> {
    match written {
        None => default,
        Some(OrOff::Off(_)) => None,
        Some(OrOff::On(wait)) => Some(duration(ctx, path, Some(wait), *range.end(), range)),
    }
}

fn size(
    ctx: &mut CompileContext,
    path: &DocPath,
    written: Option<&Size>,
    default: u64,
    range: &RangeInclusive<u64>,
) -> u64 {
    let Some(&Size(bytes)) = written else { return default };
    if range.contains(&bytes) {
        return bytes;
    }
    let message = format!("the size is not between {} and {}", Size(*range.start()), Size(*range.end()));
    ctx.error(path, "out_of_range", message);
    default
}

/// The largest number stands for no bound.
fn size_or_off(
    ctx: &mut CompileContext,
    path: &DocPath,
    written: Option<&OrOff<Size>>,
    default: u64,
    range: &RangeInclusive<u64>,
) -> u64 {
    match written {
        None => default,
        Some(OrOff::Off(_)) => u64::MAX,
        Some(OrOff::On(bytes)) => size(ctx, path, Some(bytes), default, range),
    }
}

fn count(
    ctx: &mut CompileContext,
    path: &DocPath,
    written: Option<&Count>,
    default: u32,
    range: &RangeInclusive<u32>,
) -> u32 {
    let Some(&Count(count)) = written else { return default };
    match u32::try_from(count) {
        Ok(count) if range.contains(&count) => count,
        _ => {
            let message = format!("{count} is not between {} and {}", range.start(), range.end());
            ctx.error(path, "out_of_range", message);
            default
        }
    }
}

fn rate_or_off(
    ctx: &mut CompileContext,
    path: &DocPath,
    written: Option<&OrOff<Speed>>,
    default: Option<NonZeroU64>,
    range: &RangeInclusive<NonZeroU64>,
) -> Option<NonZeroU64> {
    match written {
        None => default,
        Some(OrOff::Off(_)) => None,
        Some(OrOff::On(Speed(rate))) => {
            if !range.contains(rate) {
                let message = format!("the rate is not between {} and {}", Speed(*range.start()), Speed(*range.end()));
                ctx.error(path, "out_of_range", message);
            }
            Some(*rate)
        }
    }
}
