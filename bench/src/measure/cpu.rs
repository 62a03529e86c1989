//! Processor time and processor affinity.

use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use crate::failure::Result;

/// User and system time of the whole process so far.
pub fn process() -> Duration {
    read(ClockId::ProcessCPUTime)
}

/// User and system time of this thread so far.
pub fn thread() -> Duration {
    read(ClockId::ThreadCPUTime)
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Keeps this thread, and those that it starts, to the last processor that it may use: wake-ups then never cross
/// processors. The last, because interrupts tend to land on the first.
pub fn pin() -> Result {
    let allowed = sched_getaffinity(None)?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|&cpu| allowed.is_set(cpu)).ok_or("no processor to run on")?;
    let mut one = CpuSet::new();
    one.set(last);
    sched_setaffinity(None, &one)?;
    Ok(())
}
