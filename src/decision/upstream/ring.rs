//! Consistent hashing on a ring of points, after ketama: when a member leaves, only its own keys move.
//!
//! A member's points are the hashes of `address:port-0`, `address:port-1` and so on, 160 for each unit of weight as in
//! nginx and libketama; the hash is FNV-1a with a finaliser instead of their MD5 and CRC32. A key belongs to the first
//! point at or after its hash. Gateways with the same members agree, whatever order they are written in.

use super::balance::Member;
use super::hash::{finish, fnv, fnv_from};

const POINTS_FOR_A_WEIGHT: u64 = 160;
/// Most points on a ring (16 bytes each), unless there are more members. Beyond, the points of every member are halved
/// until they fit: halving keeps half of the points where they were, and does it only when the total weight doubles.
const MAX_POINTS: u64 = 1 << 17;

#[derive(Debug)]
pub(super) struct Ring {
    points: Box<[Point]>,
    members: usize,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    hash: u64,
    member: u32,
}

impl Ring {
    pub(super) fn new(members: &[Member]) -> Self {
        let wanted = |member: &Member| POINTS_FOR_A_WEIGHT * u64::from(member.weight.max(1));
        let total: u64 = members.iter().map(wanted).sum();
        let halvings = (0..64).find(|halvings| total >> halvings <= MAX_POINTS).unwrap_or(0);
        let mut points = Vec::new();
        for (index, member) in members.iter().enumerate() {
            let name = fnv(member.address.to_string().as_bytes());
            let count = (wanted(member) >> halvings).max(1);
            points.extend((0..count).map(|point| Point {
                hash: finish(fnv_from(name, format!("-{point}").as_bytes())),
                member: index as u32,
            }));
        }
        // Should two points fall together, the lower address has it, so that the order of members does not matter.
        points.sort_unstable_by_key(|point| (point.hash, members[point.member as usize].address));
        points.dedup_by_key(|point| point.hash);
        Ring { points: points.into_boxed_slice(), members: members.len() }
    }

    /// The first usable member at or after `hash`, around the ring.
    pub(super) fn find(&self, hash: u64, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let start = self.points.partition_point(|point| point.hash < hash);
        let (before, after) = self.points.split_at(start);
        let mut way = after.iter().chain(before).map(|point| point.member as usize);
        let first = way.next()?;
        if usable(first) {
            return Some(first);
        }
        // Members are far fewer than points: find out before walking all the way round in vain.
        if !(0..self.members).any(&usable) {
            return None;
        }
        way.find(|member| usable(*member))
    }
}
