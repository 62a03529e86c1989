//! Rows, and the table that people read.

use serde_json::{Value, json};

use crate::jobs::Job;
use crate::measure::figures::median;
use crate::peers::Peer;
use crate::runner::Gathered;

/// One metric of one peer in one job.
#[derive(Clone, Debug)]
pub struct Row {
    pub job: String,
    pub peer: String,
    pub metric: String,
    pub unit: String,
    /// Median, smallest and largest of the rounds; `None` if the peer has no figure.
    pub values: Option<[f64; 3]>,
    /// The median as a multiple of the floor's.
    pub ratio_to_raw: Option<f64>,
    /// The peer that is the floor.
    pub floor: Option<&'static str>,
    /// Why there is no figure, or what to know about it.
    pub note: String,
}

impl Row {
    pub fn to_json(&self) -> Value {
        json!({
            "job": self.job,
            "peer": self.peer,
            "metric": self.metric,
            "unit": self.unit,
            "median": self.values.map(|v| v[0]),
            "min": self.values.map(|v| v[1]),
            "max": self.values.map(|v| v[2]),
            "ratio_to_raw": self.ratio_to_raw,
            "raw": self.floor,
            "note": self.note,
        })
    }
}

/// The rows of a job: for each metric that any peer has, one for each peer.
pub fn rows_of(job: &Job, peers: &[&Peer], gathered: &[Gathered]) -> Vec<Row> {
    let mut metrics: Vec<(String, String)> = Vec::new();
    for figure in gathered.iter().flat_map(|g| &g.rounds).flat_map(|round| &round.figures) {
        if !metrics.iter().any(|(metric, _)| *metric == figure.metric) {
            metrics.push((figure.metric.clone(), figure.unit.clone()));
        }
    }
    if metrics.is_empty() {
        metrics.push(("none".to_owned(), String::new()));
    }
    let mut rows = Vec::new();
    for (metric, unit) in metrics {
        let values_of = |gathered: &Gathered| -> Option<[f64; 3]> {
            let values: Vec<f64> = gathered
                .rounds
                .iter()
                .flat_map(|round| &round.figures)
                .filter(|figure| figure.metric == metric)
                .map(|figure| figure.value)
                .collect();
            let (low, high) =
                values.iter().fold((f64::MAX, f64::MIN), |(low, high), &v| (low.min(v), high.max(v)));
            Some([median(&values)?, low, high])
        };
        let floor = peers.iter().position(|peer| Some(peer.name) == job.floor);
        let floor = floor.and_then(|index| values_of(&gathered[index])).map(|v| v[0]).filter(|&v| v > 0.0);
        for (peer, gathered) in peers.iter().zip(gathered) {
            let values = values_of(gathered);
            rows.push(Row {
                job: job.name.clone(),
                peer: peer.name.to_owned(),
                metric: metric.clone(),
                unit: unit.clone(),
                values,
                ratio_to_raw: values.zip(floor).map(|(v, floor)| v[0] / floor),
                floor: job.floor,
                note: note_of(gathered),
            });
        }
    }
    rows
}

fn note_of(gathered: &Gathered) -> String {
    let mut notes: Vec<String> = Vec::new();
    for note in gathered.rounds.iter().flat_map(|round| &round.notes) {
        if !notes.contains(note) {
            notes.push(note.clone());
        }
    }
    notes.truncate(2);
    notes.extend(gathered.unable.clone());
    notes.extend(gathered.error.as_ref().map(|error| format!("failed: {error}")));
    notes.join("; ")
}

/// The table of one job.
pub fn table(job: &Job, rows: &[Row]) -> String {
    let mut text = format!("\n{}: {}\n", job.name, job.about);
    let mut metric = "";
    for row in rows {
        if row.metric != metric {
            metric = &row.metric;
            text += &format!(
                "  {:<54} {:>11} {:>11} {:>11}  {}\n",
                if row.unit.is_empty() { metric.to_owned() } else { format!("{metric}, {}", row.unit) },
                "median",
                "min",
                "max",
                row.floor.map_or(String::new(), |floor| format!("× {floor}"))
            );
        }
        let [median, min, max] = row.values.map_or([const { String::new() }; 3], |v| v.map(number));
        let ratio = row.ratio_to_raw.map_or(String::new(), |ratio| format!("{ratio:.2}"));
        let note = if row.note.is_empty() { String::new() } else { format!("  {}", row.note) };
        let line = format!("    {:<52} {median:>11} {min:>11} {max:>11}  {ratio:>8}{note}", row.peer);
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// A figure with three digits that matter.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000.0 => {
            let digits = format!("{value:.0}");
            let mut text = String::new();
            for (index, digit) in digits.chars().enumerate() {
                if index > 0 && digit.is_ascii_digit() && (digits.len() - index) % 3 == 0 {
                    text.push(',');
                }
                text.push(digit);
            }
            text
        }
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests;
