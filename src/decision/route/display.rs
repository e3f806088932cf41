//! What routes match, in words: as an owner writes it, as far as that is one line.

use std::fmt;

use super::pattern::{Condition, EncodedSeparators, HostPattern, PathPattern, Segment};

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(name) => f.write_str(name),
            HostPattern::Wildcard(suffix) => write!(f, "*.{suffix}"),
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathPattern::Exact(path) => f.write_str(path),
            PathPattern::Prefix(prefix) => write!(f, "{prefix}*"),
            PathPattern::Regex(regex) => write!(f, "matching {regex}"),
            PathPattern::Parameters(segments) => segments.iter().try_for_each(|segment| match segment {
                Segment::Literal(literal) => write!(f, "/{literal}"),
                Segment::Parameter(name) => write!(f, "/{{{name}}}"),
            }),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Exact(value) => f.write_str(&String::from_utf8_lossy(value.as_bytes())),
            Condition::Regex(regex) => write!(f, "matching {regex}"),
            Condition::Present(true) => f.write_str("present"),
            Condition::Present(false) => f.write_str("absent"),
        }
    }
}

impl fmt::Display for EncodedSeparators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EncodedSeparators::Reject => "reject",
            EncodedSeparators::Keep => "keep",
            EncodedSeparators::Decode => "decode",
        })
    }
}
