//! The stable hash of consistent hashing: equal on every gateway and in every version, and not secret.
//!
//! FNV-1a (64 bits), followed by the finaliser of MurmurHash3, since FNV alone spreads short keys badly over the high bits.

use std::net::IpAddr;

use super::balance::HashKey;
use crate::decision::request::RequestView;
use crate::decision::request::cookies::cookies;

/// The hash that places `request` on the ring. A request without the header or cookie is placed by its client address.
pub fn hash_input(key: &HashKey, request: &RequestView<'_>) -> u64 {
    let client = || match request.normal.client {
        IpAddr::V4(address) => fnv(&address.octets()),
        IpAddr::V6(address) => fnv(&address.octets()),
    };
    finish(match key {
        HashKey::Header(name) => request.fields.get(name).map_or_else(client, fnv),
        HashKey::Cookie(name) => cookies(request.fields, name.as_bytes()).next().map_or_else(client, fnv),
        HashKey::ClientAddress => client(),
        HashKey::Path => fnv(request.normal.path.as_bytes()),
    })
}

pub(super) fn fnv(bytes: &[u8]) -> u64 {
    fnv_from(0xcbf2_9ce4_8422_2325, bytes)
}

/// Goes on from the hash of what came before `bytes`.
pub(super) fn fnv_from(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |state, byte| (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

pub(super) fn finish(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
