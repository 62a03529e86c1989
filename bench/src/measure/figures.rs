//! What a worker reports: one line of JSON.

use std::time::Duration;

use serde_json::{Value, json};

use crate::failure::Result;

/// One measured value.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    pub metric: String,
    pub unit: String,
    pub value: f64,
}

/// What one worker found out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    pub figures: Vec<Figure>,
    /// What a reader of the row should know.
    pub notes: Vec<String>,
}

impl Figures {
    /// Adds a value.
    pub fn push(&mut self, metric: &str, unit: &str, value: f64) {
        self.figures.push(Figure { metric: metric.to_owned(), unit: unit.to_owned(), value });
    }

    /// Adds a note.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// As the line that a worker prints.
    pub fn to_json(&self) -> Value {
        let figures: Vec<Value> = self
            .figures
            .iter()
            .map(|f| json!({ "metric": f.metric, "unit": f.unit, "value": f.value }))
            .collect();
        json!({ "figures": figures, "notes": self.notes })
    }

    /// From the line that a worker printed.
    pub fn from_json(value: &Value) -> Result<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("a text is missing");
        let mut figures = Self::default();
        for figure in value["figures"].as_array().ok_or("no figures")? {
            figures.figures.push(Figure {
                metric: text(&figure["metric"])?,
                unit: text(&figure["unit"])?,
                value: figure["value"].as_f64().ok_or("a value is no number")?,
            });
        }
        for note in value["notes"].as_array().into_iter().flatten() {
            figures.notes.push(text(note)?);
        }
        Ok(figures)
    }
}

/// Microseconds of `time` for each of `count`.
pub fn micros_each(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e6 / count.max(1) as f64
}

/// The middle value; of an even number, the mean of the two in the middle.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 { Some(upper) } else { Some((upper + sorted[sorted.len() / 2 - 1]) / 2.0) }
}

#[cfg(test)]
mod tests;
