//! How long things took: counted in buckets of a logarithmic scale, by atomic counters and no lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many bounds there are.
pub const LIMITS: usize = 25;

/// The upper bounds of the buckets in nanoseconds, each included in its own: 1, 2.5 and 5 of every power of ten from a
/// microsecond to 100 seconds. What took longer is in a bucket of its own after them.
pub const BOUNDS: [u64; LIMITS] = bounds();

const fn bounds() -> [u64; LIMITS] {
    let mut bounds = [0; LIMITS];
    let (mut place, mut power) = (0, 1_000);
    while place < LIMITS {
        bounds[place] = match place % 3 {
            0 => power,
            1 => power * 5 / 2,
            _ => power * 5,
        };
        if place % 3 == 2 {
            power *= 10;
        }
        place += 1;
    }
    bounds
}

/// What a histogram has counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// How often, for each bucket alone.
    pub buckets: [u64; LIMITS + 1],
    /// All of it together, in nanoseconds.
    pub nanos: u64,
}

/// How often something took how long.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; LIMITS + 1],
    nanos: AtomicU64,
}

impl Histogram {
    /// Counts something that took so long, for `times` of its kind.
    pub fn add(&self, took: Duration, times: u64) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < nanos);
        self.buckets[bucket].fetch_add(times, Ordering::Relaxed);
        self.nanos.fetch_add(nanos.saturating_mul(times), Ordering::Relaxed);
    }

    /// What was counted until now; what is counted meanwhile may be in it or not.
    pub fn counted(&self) -> Counted {
        Counted {
            buckets: std::array::from_fn(|bucket| self.buckets[bucket].load(Ordering::Relaxed)),
            nanos: self.nanos.load(Ordering::Relaxed),
        }
    }
}

/// The mean of what was added, for readers that come far more often than additions.
#[derive(Debug, Default)]
pub struct Mean {
    times: AtomicU64,
    nanos: AtomicU64,
    now: AtomicU64,
}

impl Mean {
    /// Adds one.
    pub fn add(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let sum = self.nanos.fetch_add(nanos, Ordering::Relaxed).wrapping_add(nanos);
        let times = self.times.fetch_add(1, Ordering::Relaxed) + 1;
        self.now.store(sum / times, Ordering::Relaxed);
    }

    /// The mean in nanoseconds; nothing as long as nothing was added.
    pub fn nanos(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }
}

/// Which of many that are alike are timed: all of the first [`EXACT`](Self::EXACT), then one in [`STRIDE`](Self::STRIDE),
/// which counts for all of them. Threads that come at once may skip a turn.
#[derive(Debug, Default)]
pub struct Sampler(AtomicU64);

impl Sampler {
    /// How many are timed before any is skipped.
    pub const EXACT: u64 = 1024;
    /// Of how many one is timed after that.
    pub const STRIDE: u64 = 64;

    /// For how many the one at hand counts; `None` if it is not timed.
    pub fn turn(&self) -> Option<u64> {
        let turn = self.0.load(Ordering::Relaxed);
        self.0.store(turn.wrapping_add(1), Ordering::Relaxed);
        if turn < Self::EXACT {
            return Some(1);
        }
        (turn % Self::STRIDE == Self::STRIDE - 1).then_some(Self::STRIDE)
    }

    /// Takes a turn back: there was nothing to time.
    pub fn undo(&self) {
        let turn = self.0.load(Ordering::Relaxed);
        self.0.store(turn.saturating_sub(1), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_one_two_and_a_half_and_five_of_each_power_of_ten() {
        assert_eq!(BOUNDS[..5], [1_000, 2_500, 5_000, 10_000, 25_000]);
        assert_eq!(BOUNDS[LIMITS - 1], 100_000_000_000);
        assert!(BOUNDS.is_sorted());
    }

    #[test]
    fn a_bucket_includes_its_bound_and_what_is_longer_than_all_has_its_own() {
        let histogram = Histogram::default();
        histogram.add(Duration::ZERO, 1);
        histogram.add(Duration::from_micros(1), 1);
        histogram.add(Duration::from_nanos(1_001), 3);
        histogram.add(Duration::from_secs(101), 1);
        let counted = histogram.counted();
        assert_eq!((counted.buckets[0], counted.buckets[1], counted.buckets[LIMITS]), (2, 3, 1));
        assert_eq!(counted.buckets.iter().sum::<u64>(), 6);
        assert_eq!(counted.nanos, 1_000 + 3 * 1_001 + 101_000_000_000);
    }

    #[test]
    fn a_mean_is_nothing_until_something_was_added() {
        let mean = Mean::default();
        assert_eq!(mean.nanos(), 0);
        mean.add(Duration::from_millis(10));
        mean.add(Duration::from_millis(30));
        assert_eq!(mean.nanos(), 20_000_000);
    }

    #[test]
    fn a_sampler_counts_each_at_first_and_as_many_later() {
        let sampler = Sampler::default();
        let count = |turns: u64| (0..turns).filter_map(|_| sampler.turn()).sum::<u64>();
        assert_eq!(count(10), 10);
        assert_eq!(count(Sampler::EXACT - 10), Sampler::EXACT - 10);
        assert_eq!(count(Sampler::STRIDE - 1), 0);
        assert_eq!(count(1), Sampler::STRIDE);
        assert_eq!(count(100 * Sampler::STRIDE), 100 * Sampler::STRIDE);
    }
}
