//! The plain view: a line for each step of a handshake, and one a second for each connection.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Deadline;
use super::board::{Board, Connection};
use crate::failure::Failure;
use crate::output::{DIM, GOOD, NAME, Output};
use crate::units::{millis, millis_number, percent};

const EVERY: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub fn run(board: &Board, mut end: Deadline, output: &Output) -> Result<(), Failure> {
    let mut steps_shown: Vec<usize> = Vec::new();
    let mut last = Instant::now();
    loop {
        let connections = board.snapshot();
        steps_shown.resize(connections.len(), 0);
        for (index, (connection, shown)) in connections.iter().zip(&mut steps_shown).enumerate() {
            for step in connection.steps.iter().skip(*shown) {
                output.line(format_args!("{NAME}client {}{NAME:#}  {step}", index + 1))?;
                output.record(|| json!({ "event": "step", "client": index + 1, "step": step }))?;
                *shown += 1;
            }
        }
        if last.elapsed() >= EVERY {
            last += EVERY;
            for (index, connection) in connections.iter().enumerate() {
                show(index + 1, connection, output)?;
            }
        }
        if end.passed(board) {
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn show(client: usize, connection: &Connection, output: &Output) -> Result<(), Failure> {
    let (Some(up), Some(down)) = (&connection.client, &connection.host) else { return Ok(()) };
    let (there, back) = (&up.counters, &down.counters);
    output.line(format_args!(
        "{NAME}client {client}{NAME:#}  rtt {} {DIM}± {}{DIM:#}  up {} sent, {GOOD}{} delivered{GOOD:#}, {} dropped ({:.1} %), {} in flight  down {} sent, {} delivered, {} dropped ({:.1} %)",
        millis(up.rtt),
        millis(up.jitter),
        there.sent,
        there.delivered,
        there.dropped,
        percent(there.dropped, there.delivered + there.dropped),
        up.in_flight,
        back.sent,
        back.delivered,
        back.dropped,
        percent(back.dropped, back.delivered + back.dropped),
    ))?;
    output.record(|| {
        json!({
            "event": "figures",
            "client": client,
            "rtt_ms": millis_number(up.rtt),
            "jitter_ms": millis_number(up.jitter),
            "in_flight": up.in_flight,
            "window": up.settings.packet_window,
            "up": { "sent": there.sent, "delivered": there.delivered, "dropped": there.dropped },
            "down": { "sent": back.sent, "delivered": back.delivered, "dropped": back.dropped },
        })
    })
}
