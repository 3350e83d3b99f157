//! Ticks to nanoseconds, by one line that every process and reader shares.

use crate::error::{Error, ErrorKind, Result};
use crate::meta::{Meta, Value};

/// Where ticks come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockSource {
    /// The processor's time-stamp counter, where it is invariant and the kernel trusts it.
    Tsc,
    /// `CLOCK_MONOTONIC`, one tick a nanosecond.
    Monotonic,
}

impl ClockSource {
    /// The name in the metadata and in `info`.
    pub fn name(self) -> &'static str {
        match self {
            ClockSource::Tsc => "tsc",
            ClockSource::Monotonic => "monotonic",
        }
    }
}

/// The rate of a session's clock, fixed when the session starts (SPEC section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Where ticks come from.
    pub source: ClockSource,
    /// Nanoseconds a tick, times `2^shift`.
    pub mult: u64,
    /// The binary point of `mult`; at most 63.
    pub shift: u32,
    /// The tick at which the trace began.
    pub base_tick: u64,
    /// The nanosecond that `base_tick` stands for; 0 unless traces were joined.
    pub base_ns: i64,
}

impl Clock {
    /// `CLOCK_MONOTONIC` from `base_tick` nanoseconds on.
    pub fn monotonic(base_tick: u64) -> Clock {
        Clock { source: ClockSource::Monotonic, mult: 1, shift: 0, base_tick, base_ns: 0 }
    }

    /// A counter that made `ticks` ticks in `ns` nanoseconds.
    ///
    /// The point is put so that `mult` keeps 32 significant bits and more,
    /// which is finer than any measurement of the rate.
    pub fn from_rate(source: ClockSource, ticks: u64, ns: u64, base_tick: u64) -> Clock {
        const SHIFT: u32 = 32;
        let mult = (u128::from(ns) << SHIFT) / u128::from(ticks.max(1));
        let mult = u64::try_from(mult).unwrap_or(u64::MAX).max(1);
        Clock { source, mult, shift: SHIFT, base_tick, base_ns: 0 }
    }

    /// Nanoseconds since the trace began, rounded down.
    #[inline]
    pub fn ns(&self, tick: u64) -> i64 {
        let ticks = i128::from(tick) - i128::from(self.base_tick);
        let ns = ticks.saturating_mul(i128::from(self.mult)) >> self.shift;
        let ns = ns.saturating_add(i128::from(self.base_ns));
        ns.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    /// The nanoseconds of a number of ticks, rounded down.
    #[inline]
    pub fn duration_ns(&self, ticks: u64) -> u64 {
        let ns = (u128::from(ticks) * u128::from(self.mult)) >> self.shift;
        u64::try_from(ns).unwrap_or(u64::MAX)
    }

    /// The first tick whose [`ns`](Clock::ns) is at least `ns`; 0 or `u64::MAX` where there is none.
    pub fn tick_at(&self, ns: i64) -> u64 {
        let wanted = (i128::from(ns) - i128::from(self.base_ns)).saturating_mul(1 << self.shift);
        let mult = i128::from(self.mult);
        let ticks = wanted.div_euclid(mult) + i128::from(wanted.rem_euclid(mult) != 0);
        ticks.saturating_add(self.base_tick.into()).clamp(0, u64::MAX.into()) as u64
    }

    /// Puts the clock into session metadata.
    pub fn to_meta(&self, meta: &mut Meta) {
        meta.set("clock", Value::text(self.source.name()));
        meta.set("clock_mult", Value::U64(self.mult));
        meta.set("clock_shift", Value::U64(self.shift.into()));
        meta.set("clock_base_tick", Value::U64(self.base_tick));
        meta.set("clock_base_ns", Value::I64(self.base_ns));
    }

    /// The clock that session metadata describes.
    ///
    /// # Errors
    /// A missing key, an unknown source, a rate of nothing, a shift above 63.
    pub fn from_meta(meta: &Meta) -> Result<Clock> {
        let bad = || Error::new(ErrorKind::BadValue("the clock in the metadata"), 0);
        let source = match meta.get_text("clock") {
            Some(b"tsc") => ClockSource::Tsc,
            Some(b"monotonic") => ClockSource::Monotonic,
            _ => return Err(bad()),
        };
        let number = |key| meta.get_u64(key).ok_or_else(bad);
        let clock = Clock {
            source,
            mult: number("clock_mult")?,
            shift: u32::try_from(number("clock_shift")?).map_err(|_| bad())?,
            base_tick: number("clock_base_tick")?,
            base_ns: meta.get_i64("clock_base_ns").unwrap_or(0),
        };
        if clock.mult == 0 || clock.shift > 63 { Err(bad()) } else { Ok(clock) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn three_ticks_a_nanosecond() {
        let clock = Clock::from_rate(ClockSource::Tsc, 3_000_000_000, 1_000_000_000, 900);
        assert_eq!(clock.ns(900), 0);
        assert_eq!(clock.ns(899), -1, "rounded down, before the beginning too");
        assert_eq!(clock.duration_ns(3_000_000_000_000), 999_999_999_767, "the rate's own error");
    }

    proptest! {
        #[test]
        fn tick_at_is_the_first_tick_of_its_nanosecond(
            mult in 1u64..1 << 40, shift in 0u32..40, base in 0u64..1 << 60, ns in 0i64..1 << 50,
        ) {
            let clock = Clock { source: ClockSource::Tsc, mult, shift, base_tick: base, base_ns: 0 };
            let tick = clock.tick_at(ns);
            if tick != u64::MAX {
                prop_assert!(clock.ns(tick) >= ns);
                prop_assert!(tick == base || clock.ns(tick - 1) < ns);
            }
        }

        #[test]
        fn metadata_keeps_the_clock(mult in 1u64.., shift in 0u32..64, base: u64, base_ns: i64) {
            let clock =
                Clock { source: ClockSource::Tsc, mult, shift, base_tick: base, base_ns };
            let mut meta = Meta::default();
            clock.to_meta(&mut meta);
            prop_assert_eq!(Clock::from_meta(&meta), Ok(clock));
        }

        #[test]
        fn nothing_overflows(mult in 1u64.., shift in 0u32..64, base: u64, base_ns: i64, tick: u64, ns: i64) {
            let clock =
                Clock { source: ClockSource::Tsc, mult, shift, base_tick: base, base_ns };
            clock.ns(tick);
            clock.duration_ns(tick);
            clock.tick_at(ns);
        }
    }
}
