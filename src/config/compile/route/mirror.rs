//! Compile: which requests of a route are copied, by `mirror`.

use http::Method;

use super::split::{share, upstream};
use super::{each, method};
use crate::config::compile::CompileContext;
use crate::config::doc_path::DocPath;
use crate::config::raw;
use crate::config::raw::split as written;
use crate::decision::defaults;
use crate::decision::upstream::mirror::Mirror;
use crate::decision::upstream::share::Share;
use crate::decision::upstream::split::Destination;

/// Largest body that may be copied: copies wait in memory.
const MAX_BODY: u64 = 16 << 20;

/// Most copies of a route at a time.
const MAX_CONCURRENT: u32 = 10_000;

/// What may be done twice without harm (RFC 9110 §9.2.1), but for TRACE, which no route takes.
const SAFE: [Method; 3] = [Method::GET, Method::HEAD, Method::OPTIONS];

/// Compiles the `mirror` of a route, which is at `path`. `to` is where the real requests go.
pub(super) fn mirror(
    ctx: &mut CompileContext,
    path: &DocPath,
    written: &written::Mirror,
    to: Option<&Destination>,
    raw: &raw::Config,
) -> Option<Mirror> {
    let before = ctx.errors();
    let upstream = upstream(ctx, &path.key("upstream"), &written.upstream, raw);
    if let (Some(Destination::One(real)), Some(mirror)) = (to, upstream)
        && *real == mirror
    {
        let message = format!("the requests go to `{}` already", written.upstream);
        ctx.error_with_help(&path.key("upstream"), "mirror_to_itself", message, "name another upstream");
    }
    let methods = each(ctx, &path.key("methods"), &written.methods.0, "invalid_method", |text| method(text));
    let body = match written.body {
        Some(size) if size.0 > MAX_BODY => {
            let message = "copies wait in memory, and this one would be too large";
            ctx.error_with_help(&path.key("body"), "out_of_range", message, "write at most `16MiB`");
            None
        }
        Some(size) => usize::try_from(size.0).ok(),
        None => Some(defaults::MIRROR_BODY_BYTES),
    };
    let timeout = match written.timeout {
        Some(span) if span.0.is_zero() => {
            let message = "a duration of nothing would fail at once, every time";
            ctx.error_with_help(&path.key("timeout"), "duration_zero", message, "write for example `5s`");
            None
        }
        Some(span) => Some(span.0),
        None => Some(defaults::MIRROR_TIME),
    };
    let number = written.concurrent.map_or(u64::from(defaults::MIRROR_CONCURRENT), |count| count.0);
    let concurrent = u32::try_from(number).ok().filter(|number| (1..=MAX_CONCURRENT).contains(number));
    if concurrent.is_none() {
        let help = format!("write a number from 1 to {MAX_CONCURRENT}; `share: 0%` copies nothing");
        ctx.error_with_help(&path.key("concurrent"), "out_of_range", format!("{number} is out of range"), help);
    }
    let mirror = Mirror {
        upstream: upstream?,
        share: written.share.map_or(Share::ALL, share),
        methods: methods.map(|methods| if methods.is_empty() { SAFE.to_vec() } else { methods })?,
        body: body?,
        timeout: timeout?,
        concurrent: concurrent?,
    };
    (ctx.errors() == before).then_some(mirror)
}
