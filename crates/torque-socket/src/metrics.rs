//! Counters as text that Prometheus and its like read.

use std::fmt::Write;

use torque_proto::Stats;

use crate::io::IoStats;

/// Each counter as `torque_<name>_total`, those of the driver as `torque_io_<name>_total`.
pub(crate) fn text(stats: &Stats, io: &IoStats) -> String {
    let mut text = String::new();
    for (name, value) in stats.iter() {
        add(&mut text, "", name, value);
    }
    for (name, value) in io.iter() {
        add(&mut text, "io_", name, value);
    }
    text
}

fn add(text: &mut String, group: &str, name: &str, value: u64) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# TYPE torque_{group}{name}_total counter\ntorque_{group}{name}_total {value}");
}
