//! Whether memory and descriptors grow as time goes by.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::super::Gateway;
use super::Demand;

/// A growth for each minute.
#[derive(Clone, Copy, Debug)]
pub struct Slopes {
    /// Of resident memory.
    pub kib: f64,
    pub descriptors: f64,
}

/// What resident memory goes up and down by without a drift: long answers on their way, and pages that the allocator keeps for a while.
/// Over a short time that looks like a slope, so that this much, spread over the time, is not called a drift.
const NOISE_KIB: f64 = 8.0 * 1024.0;
/// The same of descriptors.
const NOISE_DESCRIPTORS: f64 = 10.0;

/// Memory and descriptors of a gateway, at points of time.
pub(super) struct Samples {
    /// Minutes since the load began, KiB, and descriptors.
    taken: Vec<(f64, f64, f64)>,
}

/// Enough to judge by, and few enough to compare each with each.
const MOST_SAMPLES: u32 = 1000;
const SHORTEST_WAIT: Duration = Duration::from_millis(250);
/// The share of the time in which pools, tables and the allocator fill up, which is no drift.
const WARM_UP: f64 = 1.0 / 3.0;

impl Samples {
    /// Takes samples for `time`.
    pub(super) fn take(gateway: &Gateway, time: Duration) -> Samples {
        let began = Instant::now();
        let wait = SHORTEST_WAIT.max(time / MOST_SAMPLES);
        let mut taken = Vec::new();
        while began.elapsed() < time {
            let kib = gateway.memory() as f64 / 1024.0;
            taken.push((began.elapsed().as_secs_f64() / 60.0, kib, descriptors(gateway.pid()) as f64));
            thread::sleep(wait);
        }
        Samples { taken }
    }

    pub(super) fn demands(&self, most: &Slopes) -> [Demand; 2] {
        let warm = (self.taken.len() as f64 * WARM_UP) as usize;
        let judge = |what, unit: &str, value: fn(&(f64, f64, f64)) -> (f64, f64), most: f64, noise: f64| {
            let points: Vec<_> = self.taken[warm..].iter().map(value).collect();
            let (first, last) =
                (points.first().copied().unwrap_or_default(), points.last().copied().unwrap_or_default());
            let most = most + noise / (last.0 - first.0).max(f64::EPSILON);
            let (slope, peak) = (slope(&points), points.iter().map(|point| point.1).fold(0.0, f64::max));
            let measured = format!(
                "{slope:+.1} {unit}/min (at most {most:.1}); from {:.0} to {:.0}, at most {peak:.0} {unit}",
                first.1, last.1
            );
            let faults = if slope <= most { vec![] } else { vec![format!("grows by {slope:.1} {unit} a minute")] };
            Demand::new(what, measured, faults)
        };
        let memory = judge("memory does not drift", "KiB", |sample| (sample.0, sample.1), most.kib, NOISE_KIB);
        let descriptors = |sample: &(f64, f64, f64)| (sample.0, sample.2);
        [memory, judge("descriptors do not drift", "open", descriptors, most.descriptors, NOISE_DESCRIPTORS)]
    }
}

fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("a running process of ours").count()
}

/// The slope of a line through `points`: the median of the slopes between any two of them (Theil-Sen). Peaks in up to a quarter of
/// the points do not tilt it, as they would tilt that of the least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let pairs = points.iter().enumerate().flat_map(|(at, a)| points[at + 1..].iter().map(move |b| (a, b)));
    let mut slopes: Vec<f64> = pairs.filter(|(a, b)| a.0 != b.0).map(|(a, b)| (b.1 - a.1) / (b.0 - a.0)).collect();
    let middle = slopes.len() / 2;
    if slopes.is_empty() { 0.0 } else { *slopes.select_nth_unstable_by(middle, f64::total_cmp).1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_line_has_its_slope() {
        let line = |slope: f64| -> Vec<(f64, f64)> {
            (0..50).map(|at| (f64::from(at) / 4.0, 7.0 + slope * f64::from(at) / 4.0)).collect()
        };
        for expected in [0.0, 3.0, -2.5] {
            assert!((slope(&line(expected)) - expected).abs() < 1e-9, "{expected}");
        }
    }

    #[test]
    fn peaks_do_not_tilt_it() {
        let mut points: Vec<_> = (0..100).map(|at| (f64::from(at), 2.0 * f64::from(at))).collect();
        for at in [80, 85, 90, 95, 99] {
            points[at].1 += 10_000.0;
        }
        assert!((slope(&points) - 2.0).abs() < 0.1, "{}", slope(&points));
    }

    #[test]
    fn a_growth_behind_noise_is_found() {
        let noise = |at: u32| f64::from(at * 7919 % 101) - 50.0;
        let points: Vec<_> = (0..400).map(|at| (f64::from(at), f64::from(at) + noise(at))).collect();
        assert!((slope(&points) - 1.0).abs() < 0.05, "{}", slope(&points));
    }

    #[test]
    fn too_few_points_have_none() {
        assert_eq!((slope(&[]), slope(&[(1.0, 5.0)])), (0.0, 0.0));
        assert_eq!(slope(&[(1.0, 5.0), (1.0, 9.0)]), 0.0);
    }
}
