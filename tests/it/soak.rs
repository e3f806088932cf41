//! Under a mixed load with reloads and dying endpoints, everything adds up.

use std::time::Duration;

use crate::support::soak::Soak;
use crate::support::soak::drift::Slopes;

/// A short run of what `cargo bench --bench soak` does for longer. Memory and descriptors need more time than that to be judged.
#[test]
fn each_request_has_a_line_each_5xx_a_cause_and_each_gauge_returns() {
    let slopes = Slopes { kib: f64::INFINITY, descriptors: f64::INFINITY };
    let soak = Soak { slopes, ..Soak::new(Duration::from_secs(4)) };
    let outcome = soak.run();
    assert!(outcome.is_good(), "with the seed {}:\n{outcome}", soak.seed);
}
