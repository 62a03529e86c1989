//! Round-trip time as RFC 6298 estimates it, in microseconds (PROTOCOL.md 9.1).

use crate::micros::Micros;

/// Until there is a sample.
const INITIAL: Micros = Micros::from_millis(333);
/// Samples above this are a clock's doing, not the network's.
const MAX_SAMPLE: Micros = Micros::from_secs(60);

/// Smoothed round-trip time and its variation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rtt {
    smoothed: Micros,
    variation: Micros,
    latest: Micros,
    has_sample: bool,
}

impl Rtt {
    pub(crate) fn new(first: Option<Micros>) -> Self {
        let mut rtt =
            Self { smoothed: INITIAL, variation: INITIAL / 2, latest: Micros::ZERO, has_sample: false };
        if let Some(sample) = first {
            rtt.sample(sample);
        }
        rtt
    }

    pub(crate) fn sample(&mut self, sample: Micros) {
        let sample = sample.min(MAX_SAMPLE);
        self.latest = sample;
        if self.has_sample {
            let error = self.smoothed.abs_diff(sample);
            self.variation = (self.variation * 3 + error) / 4;
            self.smoothed = (self.smoothed * 7 + sample) / 8;
        } else {
            self.smoothed = sample;
            self.variation = sample / 2;
            self.has_sample = true;
        }
    }

    pub(crate) fn smoothed(&self) -> Micros {
        self.smoothed
    }

    pub(crate) fn variation(&self) -> Micros {
        self.variation
    }

    pub(crate) fn latest(&self) -> Micros {
        self.latest
    }

    /// Time after which an answer is overdue, beside the other side's own delay (9.3).
    pub(crate) fn overdue(&self) -> Micros {
        self.smoothed + (self.variation * 4).max(Micros::from_millis(1))
    }
}
