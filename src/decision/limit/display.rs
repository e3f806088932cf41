//! Limits as text, for `explain` and `diff`.

use std::fmt;
use std::time::Duration;

use super::{Limit, LimitKey, Phase, Quota};

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.quota, self.key)?;
        if self.phase != self.key.default_phase() {
            write!(f, ", {}", self.phase)?;
        }
        f.write_str(if self.report_only { ", reports only" } else { "" })
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Quota::Rate(rate) => write!(f, "{} per {}, burst {}", rate.count, Period(rate.period), rate.burst),
            Quota::Concurrent(max) => write!(f, "{max} at the same time"),
        }
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LimitKey::ClientAddress => f.write_str("by client address"),
            LimitKey::Principal => f.write_str("by principal"),
            LimitKey::Header(name) => write!(f, "by header {name}"),
            LimitKey::Route => f.write_str("by route"),
            LimitKey::Gateway => f.write_str("for the whole gateway"),
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::BeforeIdentity => "before identity",
            Phase::AfterIdentity => "after identity",
        })
    }
}

struct Period(Duration);

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            1 => f.write_str("second"),
            60 => f.write_str("minute"),
            3600 => f.write_str("hour"),
            86_400 => f.write_str("day"),
            seconds => write!(f, "{seconds} seconds"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::RateQuota;
    use super::*;

    #[test]
    fn a_limit_says_how_much_by_what_and_whether_it_bites() {
        let rate = |period| Quota::Rate(RateQuota::new(5, Duration::from_secs(period), 9));
        let limit = |key, quota, report| Limit::new("l".into(), "l".into(), key, quota, report).to_string();
        assert_eq!(limit(LimitKey::Principal, rate(60), false), "5 per minute, burst 9, by principal");
        assert_eq!(
            limit(LimitKey::Gateway, rate(90), true),
            "5 per 90 seconds, burst 9, for the whole gateway, reports only"
        );
        assert_eq!(
            limit(LimitKey::ClientAddress, Quota::Concurrent(3), false),
            "3 at the same time, by client address"
        );
        let late = Limit::new("l".into(), "l".into(), LimitKey::Route, Quota::Concurrent(3), true);
        assert_eq!(
            late.in_phase(Phase::AfterIdentity).to_string(),
            "3 at the same time, by route, after identity, reports only"
        );
    }
}
