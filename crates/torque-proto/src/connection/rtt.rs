//! Round-trip time as RFC 6298 estimates it, in microseconds, and the rate of delivery (PROTOCOL.md 9.1).

use crate::instant::Instant;
use crate::micros::Micros;

/// Until there is a sample.
const INITIAL: Micros = Micros::from_millis(333);
/// Samples above this are a clock's doing, not the network's.
const MAX_SAMPLE: Micros = Micros::from_secs(60);
/// A sample is surprising if it is above what was expected by this much more.
const SURPRISE: Micros = Micros::from_millis(1);
/// As many surprising samples in a row are the truth.
const MAX_SURPRISES: u8 = 8;
/// As many expected samples must have come between two spells of surprising ones that are forgotten.
const CALM: u8 = 8;
/// Least time between two samples from verdicts, beside an eighth of the round-trip time.
const MIN_PAUSE: Micros = Micros::from_millis(1);
/// The least sample is that of this span and the one before it.
const MINIMUM_SPAN: Micros = Micros::from_secs(5);

/// Smoothed round-trip time and its variation.
///
/// A program that stands still for seconds makes samples of seconds. They count, so that nothing is done too early; but when
/// the next sample is as before, they are forgotten, because what a path was worth does not change in between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rtt {
    estimate: Estimate,
    /// What was believed before the surprising samples that came last.
    before: Option<Before>,
    /// Expected samples since surprising ones were forgotten.
    calm: u8,
    latest: Micros,
    has_sample: bool,
    sampled: Instant,
    minimum: [Micros; 2],
    minimum_since: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Before {
    estimate: Estimate,
    /// How many surprising samples came since, and the least of them.
    surprises: u8,
    least: Micros,
}

#[derive(Clone, Copy, Debug)]
struct Estimate {
    smoothed: Micros,
    variation: Micros,
}

impl Estimate {
    fn update(&mut self, sample: Micros) {
        let error = self.smoothed.abs_diff(sample);
        self.variation = (self.variation * 3 + error) / 4;
        self.smoothed = (self.smoothed * 7 + sample) / 8;
    }

    fn is_surprised_by(&self, sample: Micros) -> bool {
        sample > self.smoothed + self.variation * 4 + SURPRISE
    }
}

impl Rtt {
    pub(crate) fn new(now: Instant, first: Option<Micros>) -> Self {
        let mut rtt = Self {
            estimate: Estimate { smoothed: INITIAL, variation: INITIAL / 2 },
            before: None,
            calm: CALM,
            latest: Micros::ZERO,
            has_sample: false,
            sampled: now,
            minimum: [Micros::MAX; 2],
            minimum_since: now,
        };
        if let Some(sample) = first {
            rtt.sample(now, sample);
        }
        rtt
    }

    /// A packet and its answer took this long.
    pub(crate) fn sample(&mut self, now: Instant, sample: Micros) {
        self.note_minimum(now, sample);
        self.take(now, sample);
    }

    /// They took `most`, in which the answer was held back for as long as makes `least` possible. While the present
    /// estimate lies between, it stays; what is learned is that it is not farther off than that, and that surprising samples
    /// above `most` tell of the past.
    pub(crate) fn sample_between(&mut self, now: Instant, least: Micros, most: Micros) {
        let believed = self.before.map_or(self.estimate, |before| before.estimate);
        let pause = (believed.smoothed / 8).max(MIN_PAUSE);
        if self.has_sample && now.micros_since(self.sampled) < pause {
            return;
        }
        self.note_minimum(now, most);
        let nearest = believed.smoothed.clamp(least, most.max(least));
        if nearest != believed.smoothed || !self.has_sample {
            return self.take(now, nearest);
        }
        self.sampled = now;
        if self.before.is_some_and(|before| most < before.least) {
            self.forget_surprises();
        }
        // The deviation is not known either, but for how large it can be.
        let deviation = self.estimate.variation.min(most - least);
        self.estimate.variation = (self.estimate.variation * 3 + deviation) / 4;
    }

    fn take(&mut self, now: Instant, sample: Micros) {
        let sample = sample.min(MAX_SAMPLE);
        self.latest = sample;
        self.sampled = now;
        if !self.has_sample {
            self.estimate = Estimate { smoothed: sample, variation: sample / 2 };
            self.has_sample = true;
            return;
        }
        match &mut self.before {
            Some(before) if !before.estimate.is_surprised_by(sample) => self.forget_surprises(),
            Some(Before { surprises: MAX_SURPRISES, .. }) => self.before = None,
            Some(before) => {
                before.surprises += 1;
                before.least = before.least.min(sample);
            }
            None if self.estimate.is_surprised_by(sample) => {
                self.before = Some(Before { estimate: self.estimate, surprises: 1, least: sample });
            }
            None => self.calm = self.calm.saturating_add(1),
        }
        self.estimate.update(sample);
    }

    /// It is as before: what came in between was not the path's doing, if it does not happen all the time.
    fn forget_surprises(&mut self) {
        if let Some(before) = self.before.take()
            && self.calm >= CALM
        {
            self.estimate = before.estimate;
            self.calm = 0;
        }
    }

    fn note_minimum(&mut self, now: Instant, sample: Micros) {
        if now.micros_since(self.minimum_since) >= MINIMUM_SPAN {
            self.minimum = [Micros::MAX, self.minimum[0]];
            self.minimum_since = now;
        }
        self.minimum[0] = self.minimum[0].min(sample);
    }

    pub(crate) fn smoothed(&self) -> Micros {
        self.estimate.smoothed
    }

    pub(crate) fn variation(&self) -> Micros {
        self.estimate.variation
    }

    pub(crate) fn latest(&self) -> Micros {
        self.latest
    }

    /// The least sample of late; zero without one.
    pub(crate) fn minimum(&self) -> Micros {
        let [now, before] = self.minimum;
        if self.has_sample { now.min(before).min(MAX_SAMPLE) } else { Micros::ZERO }
    }

    /// Time after which an answer is overdue, beside the other side's own delay (9.3).
    pub(crate) fn overdue(&self) -> Micros {
        self.estimate.smoothed + (self.estimate.variation * 4).max(Micros::from_millis(1))
    }
}

/// Packets delivered each second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    since: Instant,
    count: u32,
    last: u32,
}

impl Rate {
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, count: 0, last: 0 }
    }

    /// So many were reported delivered.
    pub(crate) fn count(&mut self, now: Instant, delivered: u64) {
        let span = now.micros_since(self.since);
        if span >= Micros::from_secs(1) {
            let per_second = u64::from(self.count) * 1_000_000 / span.get();
            *self = Self { since: now, count: 0, last: u32::try_from(per_second).unwrap_or(u32::MAX) };
        }
        self.count = self.count.saturating_add(u32::try_from(delivered).unwrap_or(u32::MAX));
    }

    /// The rate of the last whole second.
    pub(crate) fn last(&self) -> u32 {
        self.last
    }
}

#[cfg(test)]
#[path = "rtt_tests.rs"]
mod tests;
