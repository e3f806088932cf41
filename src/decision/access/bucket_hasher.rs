//! Which bucket of a limit a request counts in.

use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::net::IpAddr;

use super::principal::Principal;
use crate::decision::limit::{BucketKey, LimitKey};
use crate::decision::request::RequestView;

/// Names buckets by a keyed 128-bit hash (two runs of SipHash), so that no client can choose a value that shares a
/// bucket with another's.
///
/// The keys come from outside and must stay the same for as long as the buckets live.
#[derive(Clone, Debug)]
pub struct BucketHasher {
    low: RandomState,
    high: RandomState,
}

impl BucketHasher {
    pub fn new(low: RandomState, high: RandomState) -> Self {
        BucketHasher { low, high }
    }

    /// The bucket of `key` that `request` counts in.
    pub(in crate::decision) fn bucket(
        &self,
        key: &LimitKey,
        route: &str,
        request: &RequestView<'_>,
        principal: Option<&Principal>,
    ) -> BucketKey {
        match key {
            LimitKey::ClientAddress => self.client(request),
            LimitKey::Principal => match principal {
                Some(principal) => self.hash(|hasher| {
                    hasher.write_u8(Kind::Principal as u8);
                    part(hasher, principal.identity.as_bytes());
                    part(hasher, principal.id.as_bytes());
                }),
                // Only public routes have no principal, and compiling refuses this key there.
                None => self.client(request),
            },
            LimitKey::Header(name) if request.fields.contains(name) => self.hash(|hasher| {
                hasher.write_u8(Kind::Header as u8);
                request.fields.get_all(name).for_each(|value| part(hasher, value));
            }),
            LimitKey::Header(_) => self.client(request),
            LimitKey::Route => self.hash(|hasher| {
                hasher.write_u8(Kind::Route as u8);
                part(hasher, route.as_bytes());
            }),
            LimitKey::Gateway => self.hash(|hasher| hasher.write_u8(Kind::Gateway as u8)),
        }
    }

    /// An IPv6 client usually owns a whole /64 and could take a fresh address for each request.
    fn client(&self, request: &RequestView<'_>) -> BucketKey {
        self.hash(|hasher| match request.normal.client.to_canonical() {
            IpAddr::V4(address) => {
                hasher.write_u8(Kind::Ipv4 as u8);
                hasher.write(&address.octets());
            }
            IpAddr::V6(address) => {
                hasher.write_u8(Kind::Ipv6 as u8);
                hasher.write(&address.octets()[..8]);
            }
        })
    }

    fn hash(&self, feed: impl Fn(&mut DefaultHasher)) -> BucketKey {
        let run = |state: &RandomState| {
            let mut hasher = state.build_hasher();
            feed(&mut hasher);
            u128::from(hasher.finish())
        };
        BucketKey(run(&self.high) << 64 | run(&self.low))
    }
}

/// First byte of what is hashed, so that values of different kinds can't meet.
enum Kind {
    Ipv4 = 1,
    Ipv6,
    Principal,
    Header,
    Route,
    Gateway,
}

/// Adds `bytes` behind their length, so that `ab` + `c` and `a` + `bc` differ.
fn part(hasher: &mut DefaultHasher, bytes: &[u8]) {
    hasher.write_usize(bytes.len());
    hasher.write(bytes);
}
