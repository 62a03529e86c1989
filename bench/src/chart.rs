//! A chart of the figures that matter most, as SVG, for the documentation. One panel for each figure, one bar for each peer.

use std::fmt::Write;

use crate::report::{Row, number};

/// Job, metric, and what the panel says.
const PANELS: &[(&str, &str, &str)] = &[
    ("threads-100x32", "cpu per packet", "100 B, two threads, batches of 32: cpu per packet, µs"),
    ("threads-1100x32", "cpu per packet", "1,100 B, two threads, batches of 32: cpu per packet, µs"),
    ("lock-100x1", "cpu per packet", "100 B, one by one on one thread: cpu per packet, µs"),
    ("fan-out", "cpu of the host per packet", "a host with 1,000 clients: its cpu per packet, µs"),
    ("ping-pong", "round trip, median", "100 B there and back: median, µs"),
    (
        "overhead",
        "both ways: bytes beyond payload per packet",
        "60 packets/s both ways: bytes beyond the payload",
    ),
    ("handshake", "cpu, both ends", "connecting: cpu of both ends, µs"),
    ("memory", "allocated per connection", "a host's memory for an idle connection, bytes"),
];

/// What one has to know to read the bars.
const REMARKS: &str = "\
    rusty_enet, renet, quinn, webrtc and websocket put packets that are sent together into one datagram. renetcode and dtls \
    have no acknowledgments, rusty_enet no encryption.\n\
    rusty_enet's and renetcode's tables for all connections are made beforehand and not in their memory for one.";

const WIDTH: usize = 920;
const COLUMN: usize = WIDTH / 2;
const NAME: usize = 108;
const VALUE: usize = 64;
const LINE: usize = 17;
const HEAD: usize = 40;

/// The chart; `below` is told under it. `None` if no panel has a figure.
pub fn svg(rows: &[Row], below: &str) -> Option<String> {
    let panels: Vec<(&str, Vec<(&str, f64)>)> = PANELS
        .iter()
        .map(|&(job, metric, title)| (title, bars(rows, job, metric)))
        .filter(|(_, bars)| !bars.is_empty())
        .collect();
    if panels.is_empty() {
        return None;
    }
    let mut body = String::new();
    let mut top = 10;
    for pair in panels.chunks(2) {
        for (column, (title, bars)) in pair.iter().enumerate() {
            panel(&mut body, column * COLUMN + 10, top, title, bars);
        }
        top += HEAD + pair.iter().map(|(_, bars)| bars.len()).max().unwrap_or_default() * LINE;
    }
    for line in REMARKS.lines().chain(below.lines()) {
        top += LINE;
        body += &format!("<text x=\"10\" y=\"{top}\" class=\"below\">{}</text>\n", escape(line));
    }
    let height = top + 12;
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"system-ui, sans-serif\" font-size=\"12\">\n\
         <style>\n\
         text {{ fill: #1c1f24 }} .title {{ font-weight: 600 }} .value, .below {{ fill: #555c66 }}\n\
         .bar {{ fill: #9aa7b8 }} .ours {{ fill: #d9692b }} .floor {{ fill: #cfd6de }} .below {{ font-size: 10px }}\n\
         </style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    ))
}

/// The peers that have the figure, in the order of the rows.
fn bars<'a>(rows: &'a [Row], job: &str, metric: &str) -> Vec<(&'a str, f64)> {
    rows.iter()
        .filter(|row| row.job == job && row.metric == metric)
        .filter_map(|row| Some((row.peer.as_str(), row.values?[0])))
        .collect()
}

fn panel(body: &mut String, left: usize, top: usize, title: &str, bars: &[(&str, f64)]) {
    let _ = writeln!(body, "<text x=\"{left}\" y=\"{}\" class=\"title\">{}</text>", top + 14, escape(title));
    let most = bars.iter().map(|&(_, value)| value).fold(f64::MIN_POSITIVE, f64::max);
    let room = (COLUMN - NAME - VALUE - 30) as f64;
    for (index, &(peer, value)) in bars.iter().enumerate() {
        let y = top + 22 + index * LINE;
        let length = (value / most * room).max(1.0);
        let class = match peer {
            _ if peer.starts_with("torque") => "ours",
            "raw" | "raw-gso" | "mmsg" => "floor",
            _ => "bar",
        };
        let _ = writeln!(
            body,
            "<text x=\"{left}\" y=\"{}\">{}</text><rect x=\"{x}\" y=\"{y}\" width=\"{length:.1}\" height=\"{}\" \
             class=\"{class}\"/><text x=\"{:.1}\" y=\"{}\" class=\"value\">{}</text>",
            y + 11,
            escape(peer),
            LINE - 4,
            (left + NAME) as f64 + length + 5.0,
            y + 11,
            number(value),
            x = left + NAME,
        );
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests;
