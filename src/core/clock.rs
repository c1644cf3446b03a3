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
