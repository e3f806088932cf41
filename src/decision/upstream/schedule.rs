//! Smooth weighted round robin: whose turn it is, laid down for a whole round.
//!
//! The order is that of nginx: weights 5, 1, 1 give a a b a c a a, not a a a a a b c.

/// Longest round. Heavier weights are scaled down to it.
const MAX_TURNS: u64 = 65_536;
/// Turns times members, which is what laying down a round costs.
const MAX_WORK: u64 = 1 << 24;

#[derive(Debug)]
pub(super) struct Schedule(Box<[u32]>);

impl Schedule {
    pub(super) fn new(weights: impl Iterator<Item = u32>) -> Self {
        let turns = turns(weights.map(|weight| u64::from(weight.max(1))).collect());
        let round: u64 = turns.iter().sum();
        // Every turn each member earns its weight, and the richest pays a whole round for its turn.
        let mut credit = vec![0i64; turns.len()];
        let mut next = || {
            for (credit, turns) in credit.iter_mut().zip(&turns) {
                *credit += *turns as i64;
            }
            let richest =
                (0..credit.len()).reduce(|best, member| if credit[member] > credit[best] { member } else { best })?;
            credit[richest] -= round as i64;
            Some(richest as u32)
        };
        Schedule((0..round).map_while(|_| next()).collect())
    }

    /// Whose turn it is, if there is anyone.
    pub(super) fn at(&self, turn: u64) -> Option<usize> {
        let round = self.0.len() as u64;
        (round > 0).then(|| self.0[(turn % round) as usize] as usize)
    }

    #[cfg(test)]
    pub(super) fn round(&self) -> &[u32] {
        &self.0
    }
}

/// How many turns each member has in a round: the weights in lowest terms, scaled down if the round would be too long.
fn turns(weights: Vec<u64>) -> Vec<u64> {
    let members = weights.len() as u64;
    let longest = (MAX_WORK / members.max(1)).min(MAX_TURNS).max(members);
    let exact = lowest_terms(weights);
    let round: u64 = exact.iter().sum();
    if round <= longest {
        return exact;
    }
    lowest_terms(exact.into_iter().map(|weight| (weight * longest / round).max(1)).collect())
}

fn lowest_terms(mut weights: Vec<u64>) -> Vec<u64> {
    let divisor = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
    for weight in &mut weights {
        *weight /= divisor;
    }
    weights
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
