//! Time as the stores see it: microseconds since the Unix epoch, from a clock that never runs backwards
//! within a process.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

/// An instant: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(pub i64);

/// A length of time in microseconds, never negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span(u64);

impl Span {
    /// The longest span: some 292,000 years.
    pub const MAX: Self = Self(i64::MAX.cast_unsigned());

    /// A span of so many microseconds, cut off at [`Span::MAX`].
    pub const fn from_micros(micros: u64) -> Self {
        if micros > Self::MAX.0 { Self::MAX } else { Self(micros) }
    }

    /// A span of so many whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self::from_micros(seconds.saturating_mul(1_000_000))
    }

    /// The span in microseconds.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// A third of the span: how often a lease of this length is renewed.
    #[must_use]
    pub const fn third(self) -> Self {
        Self(self.0 / 3)
    }
}

impl From<Span> for std::time::Duration {
    fn from(span: Span) -> Self {
        Self::from_micros(span.0)
    }
}

impl Timestamp {
    /// The instant `span` later, cut off at the end of time.
    #[must_use]
    pub const fn after(self, span: Span) -> Self {
        Self(self.0.saturating_add_unsigned(span.0))
    }

    /// How long it is from `earlier` to here; nothing where `earlier` is later.
    pub const fn since(self, earlier: Self) -> Span {
        let micros = self.0.saturating_sub(earlier.0);
        if micros < 0 { Span(0) } else { Span(micros.cast_unsigned()) }
    }
}

/// What tells a store the time. It is asked before any lock is taken, so it may run foreign code.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The instant it is now.
    fn now(&self) -> Timestamp;
}

/// The host's clock, read once and carried on by the time since boot: a wall clock that is set back or
/// forward changes no TTL, and a laptop's sleep counts as time that has passed.
#[derive(Debug)]
pub struct SystemClock {
    offset: i64,
}

impl SystemClock {
    /// A clock that agrees with the host's wall clock now.
    pub fn new() -> Self {
        let wall = micros(rustix::time::clock_gettime(rustix::time::ClockId::Realtime));
        Self { offset: wall - elapsed() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(elapsed() + self.offset)
    }
}

/// The host's wall clock as it is at each moment, for records that its processes share: two of them agree on the time,
/// even where the clock was set between their starts.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        Timestamp(micros(rustix::time::clock_gettime(rustix::time::ClockId::Realtime)))
    }
}

#[cfg(target_os = "linux")]
const ELAPSED: rustix::time::ClockId = rustix::time::ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const ELAPSED: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

fn elapsed() -> i64 {
    micros(rustix::time::clock_gettime(ELAPSED))
}

const fn micros(time: rustix::time::Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1_000)
}

/// A clock that moves only when told to.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at `start`.
    pub const fn new(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.0))
    }

    /// Moves the clock forward.
    pub fn advance(&self, span: Span) {
        self.0.fetch_add(span.0.cast_signed(), Ordering::SeqCst);
    }

    /// Sets the clock.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::{Clock, ManualClock, Span, SystemClock, Timestamp};

    #[test]
    fn a_span_is_cut_off_at_the_longest() {
        assert_eq!(Span::from_micros(u64::MAX), Span::MAX);
        assert_eq!(Span::from_secs(u64::MAX), Span::MAX);
        assert_eq!(Span::from_secs(2).as_micros(), 2_000_000);
        assert_eq!(Duration::from(Span::from_secs(2)), Duration::from_secs(2));
    }

    #[test]
    fn a_lease_is_renewed_after_a_third_of_it() {
        assert_eq!(Span::from_secs(30).third(), Span::from_secs(10));
        assert_eq!(Span::from_micros(2).third(), Span::from_micros(0));
    }

    #[test]
    fn an_instant_later_stops_at_the_end_of_time() {
        assert_eq!(Timestamp(5).after(Span::from_micros(3)), Timestamp(8));
        assert_eq!(Timestamp(-5).after(Span::from_micros(3)), Timestamp(-2));
        assert_eq!(Timestamp(5).after(Span::MAX), Timestamp(i64::MAX));
    }

    #[test]
    fn the_time_since_a_later_instant_is_none() {
        assert_eq!(Timestamp(8).since(Timestamp(5)), Span::from_micros(3));
        assert_eq!(Timestamp(5).since(Timestamp(8)), Span::from_micros(0));
        assert_eq!(Timestamp(i64::MAX).since(Timestamp(i64::MIN)), Span::MAX);
    }

    #[test]
    fn a_manual_clock_moves_when_told_to() {
        let clock = ManualClock::new(Timestamp(5));
        assert_eq!(clock.now(), clock.now());
        clock.advance(Span::from_micros(2));
        assert_eq!(clock.now(), Timestamp(7));
        clock.set(Timestamp(1));
        assert_eq!(clock.now(), Timestamp(1));
    }

    #[test]
    fn the_hosts_clock_agrees_with_the_wall_and_never_runs_back() {
        let clock = SystemClock::new();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_micros();
        let apart = u128::try_from(clock.now().0).expect("it is later than 1970").abs_diff(wall);
        assert!(apart < 60_000_000, "{apart} microseconds apart");
        let mut last = clock.now();
        for _ in 0..10_000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }
}
