//! Where a route's requests go, and what is copied of them.

use crate::config::diff::change::Effect;
use crate::config::diff::facts::{ConfigFacts, any_or};
use crate::config::raw::units::{Size, Span};
use crate::config::snapshot::Upstream;
use crate::decision::ids::UpstreamId;
use crate::decision::upstream::mirror::Mirror;
use crate::decision::upstream::split::{Destination, Side, Split, SplitField, StickyBy, When};

pub(super) fn forward(to: &Destination, mirror: Option<&Mirror>, upstreams: &[Upstream], facts: &mut ConfigFacts) {
    let name = |id: &UpstreamId| upstreams[id.0 as usize].name.to_string();
    match to {
        Destination::One(upstream) => {
            facts.tell(Effect::Destination, "destination", format!("upstream {}", name(upstream)));
        }
        Destination::Split(split) => self::split(split, name, facts),
    }
    if let Some(Mirror { upstream, share, methods, body, timeout, concurrent }) = mirror {
        let (methods, body, time) = (any_or(methods), Size(*body as u64), Span(*timeout));
        let words = format!("{share} of {methods} up to {body} to {}, {concurrent} at a time, {time}", name(upstream));
        facts.tell(Effect::Destination, "mirror", words);
    }
}

fn split(split: &Split, name: impl Fn(&UpstreamId) -> String, facts: &mut ConfigFacts) {
    let Split { sides, rest, sticky_by, falls_back } = split;
    for Side { upstream, share, when } in sides {
        let share = if upstream == rest { "the rest".to_owned() } else { share.to_string() };
        let when: Vec<String> = when.iter().map(condition).collect();
        let words = if when.is_empty() { share } else { format!("{share}, and always {}", when.join(" or ")) };
        facts.tell(Effect::Destination, format!("split {}", name(upstream)), words);
    }
    let sticky = match sticky_by {
        None => "chance".to_owned(),
        Some(StickyBy::Principal) => "principal".to_owned(),
        Some(StickyBy::ClientAddress) => "client_address".to_owned(),
        Some(StickyBy::Header(name)) => format!("header {name}"),
        Some(StickyBy::Cookie(name)) => format!("cookie {name}"),
    };
    facts.tell(Effect::Destination, "split by", sticky);
    facts.tell(Effect::Destination, "split when unavailable", if *falls_back { "rest" } else { "refuse" });
}

fn condition(When { field, condition }: &When) -> String {
    match field {
        SplitField::Header(name) => format!("header {name} {condition}"),
        SplitField::Cookie(name) => format!("cookie {name} {condition}"),
    }
}
