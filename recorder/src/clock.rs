//! Where ticks come from, and how fast they go.
#![allow(unsafe_code, reason = "the time-stamp counter is read by an intrinsic")]

use std::fs;

use rtrace_format::{Clock, ClockSource};

/// A source of ticks, cheap enough to ask on every event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ticks {
    tsc: bool,
}

impl Ticks {
    /// The source that `clock` counts.
    pub fn of(clock: &Clock) -> Ticks {
        Ticks { tsc: clock.source == ClockSource::Tsc }
    }

    /// The tick now.
    #[inline(always)]
    pub fn now(self) -> u64 {
        self.counter().unwrap_or_else(monotonic_ns)
    }

    /// The tick now where it is the processor's counter, which is read without a call.
    ///
    /// The counter is not serialised against the instructions around it: a few
    /// nanoseconds of blur are worth less than the fence would cost.
    #[inline(always)]
    pub fn counter(self) -> Option<u64> {
        #[cfg(target_arch = "x86_64")]
        if self.tsc {
            // SAFETY: every x86-64 processor has the instruction; `tsc` is only
            // set where the kernel itself keeps time by it.
            let tick = unsafe { core::arch::x86_64::_rdtsc() };
            #[cfg(test)]
            let tick = tick + tests::passed();
            return Some(tick);
        }
        None
    }
}

/// `CLOCK_MONOTONIC` in nanoseconds.
#[inline]
pub fn monotonic_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// The CPU time of a thread of this process, in nanoseconds; 0 where it is gone.
pub fn thread_cpu_ns(tid: u32) -> u64 {
    // The kernel's encoding of "CPU clock of thread tid": the complement of the
    // id above three bits that say per-thread (4) and scheduler time (2).
    clock_ns((!(tid as libc::clockid_t) << 3) | 6)
}

fn clock_ns(id: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec; a failure leaves zero.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Chooses the clock of a new session and fixes its rate.
pub fn choose() -> Clock {
    if !tsc_is_trusted() {
        return Clock::monotonic(monotonic_ns());
    }
    let ticks = Ticks { tsc: true };
    let first = bracket(ticks);
    // The two reads of each end are some 30 ns apart, so that over this stretch
    // the rate is off by a few millionths at most.
    while monotonic_ns() - first.1 < CALIBRATION_NS {
        std::hint::spin_loop();
    }
    let last = bracket(ticks);
    let (elapsed, ns) = (last.0 - first.0, last.1 - first.1);
    Clock::from_rate(ClockSource::Tsc, elapsed, ns, ticks.now())
}

const CALIBRATION_NS: u64 = 6_000_000;

/// A tick and the nanosecond at which it was read: the closest of several tries.
fn bracket(ticks: Ticks) -> (u64, u64) {
    let mut best = (u64::MAX, 0, 0);
    for _ in 0..8 {
        let before = ticks.now();
        let ns = monotonic_ns();
        let after = ticks.now();
        let width = after.wrapping_sub(before);
        if width < best.0 {
            best = (width, before.wrapping_add(width / 2), ns);
        }
    }
    (best.1, best.2)
}

/// Whether the counter runs at one rate on every core, through sleep, and is
/// what the kernel keeps its own time by: it watches the counter all the time
/// and leaves it when it drifts.
fn tsc_is_trusted() -> bool {
    if cfg!(not(target_arch = "x86_64")) {
        return false;
    }
    let source =
        fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    if source.map_or(true, |source| source.trim() != "tsc") {
        return false;
    }
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = cpu.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let has = |flag| flags.split_ascii_whitespace().any(|word| word == flag);
    has("constant_tsc") && has("nonstop_tsc")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        static PASSED: Cell<u64> = const { Cell::new(0) };
    }

    /// Lets so many ticks pass for this thread.
    pub(crate) fn pass(ticks: u64) {
        PASSED.set(PASSED.get() + ticks);
    }

    pub(super) fn passed() -> u64 {
        PASSED.get()
    }

    #[test]
    fn the_chosen_clock_keeps_pace_with_the_kernels() {
        let clock = choose();
        let ticks = Ticks::of(&clock);
        let (tick, ns) = bracket(ticks);
        std::thread::sleep(std::time::Duration::from_millis(50));
        let (tick_later, ns_later) = bracket(ticks);
        let ours = clock.duration_ns(tick_later - tick);
        let theirs = ns_later - ns;
        assert!(ours.abs_diff(theirs) < theirs / 1000, "{ours} ns for {theirs} ns");
    }

    #[test]
    fn a_threads_cpu_time_grows_with_its_work() {
        // SAFETY: no arguments, cannot fail.
        let tid = unsafe { libc::gettid() } as u32;
        let before = thread_cpu_ns(tid);
        let start = monotonic_ns();
        while monotonic_ns() - start < 5_000_000 {}
        assert!(thread_cpu_ns(tid) > before);
        assert_eq!(thread_cpu_ns(u32::MAX >> 4), 0);
    }
}
