//! Round-trip time as RFC 6298 estimates it, in microseconds (PROTOCOL.md 9.1).

use crate::instant::Instant;
use crate::micros::{Micros, Micros32};

/// Until there is a sample.
const INITIAL: Micros = Micros::from_millis(333);
/// Samples above this are a clock's doing, not the network's.
const MAX_SAMPLE: Micros = Micros::from_secs(60);
/// The distance above the expected range at which a sample is surprising.
const SURPRISE: Micros = Micros::from_millis(1);
/// More surprising samples in a row than this are believed.
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
    /// The estimate before the latest surprising samples.
    before: Option<Before>,
    /// Expected samples since surprising ones were forgotten.
    calm: u8,
    latest: Micros32,
    has_sample: bool,
    /// The low bits of the microseconds: there is a sample with each pong.
    sampled: u32,
    minimum: [Micros32; 2],
    minimum_since: u32,
}

#[derive(Clone, Copy, Debug)]
struct Before {
    estimate: Estimate,
    /// The number of surprising samples since then.
    surprises: u8,
    least: Micros32,
}

#[derive(Clone, Copy, Debug)]
struct Estimate {
    smoothed: Micros32,
    variation: Micros32,
}

impl Estimate {
    fn update(&mut self, sample: Micros) {
        let (smoothed, variation) = (self.smoothed.get(), self.variation.get());
        let error = smoothed.abs_diff(sample);
        self.variation = ((variation * 3 + error) / 4).into();
        self.smoothed = ((smoothed * 7 + sample) / 8).into();
    }

    fn overdue(&self) -> Micros {
        self.smoothed.get() + (self.variation.get() * 4).max(Micros::from_millis(1))
    }

    fn is_surprised_by(&self, sample: Micros) -> bool {
        sample > self.smoothed.get() + self.variation.get() * 4 + SURPRISE
    }
}

impl Rtt {
    pub(crate) fn new(now: Instant, first: Option<Micros>) -> Self {
        let mut rtt = Self {
            estimate: Estimate { smoothed: INITIAL.into(), variation: (INITIAL / 2).into() },
            before: None,
            calm: CALM,
            latest: Micros32::default(),
            has_sample: false,
            sampled: now.low_micros(),
            minimum: [Micros32::MAX; 2],
            minimum_since: now.low_micros(),
        };
        if let Some(sample) = first {
            rtt.sample(now, sample);
        }
        rtt
    }

    /// The estimate for another path to the same socket, whose round trip has taken this long. Much of the variation is that of the
    /// two ends, so it is not taken to be much more than it was.
    pub(crate) fn on_another_path(&self, now: Instant, round_trip: Micros) -> Self {
        let mut rtt = Self::new(now, Some(round_trip));
        let believed = self.before.map_or(self.estimate, |before| before.estimate).variation.get();
        let smoothed = rtt.smoothed();
        rtt.estimate.variation = believed.clamp(smoothed / 8, smoothed / 2).into();
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
        let smoothed = believed.smoothed.get();
        let pause = (smoothed / 8).max(MIN_PAUSE);
        if self.has_sample && now.since_low_micros(self.sampled) < pause {
            return;
        }
        self.note_minimum(now, most);
        let nearest = smoothed.clamp(least, most);
        if nearest != smoothed || !self.has_sample {
            return self.take(now, nearest);
        }
        self.sampled = now.low_micros();
        if self.before.is_some_and(|before| most < before.least.get()) {
            self.forget_surprises();
        }
        // The deviation is not known either, but for how large it can be.
        let variation = self.estimate.variation.get();
        self.estimate.variation = ((variation * 3 + variation.min(most - least)) / 4).into();
    }

    fn take(&mut self, now: Instant, sample: Micros) {
        let sample = sample.min(MAX_SAMPLE);
        self.latest = sample.into();
        self.sampled = now.low_micros();
        if !self.has_sample {
            self.estimate = Estimate { smoothed: sample.into(), variation: (sample / 2).into() };
            self.has_sample = true;
            return;
        }
        match &mut self.before {
            Some(before) if !before.estimate.is_surprised_by(sample) => self.forget_surprises(),
            Some(Before { surprises: MAX_SURPRISES, .. }) => self.before = None,
            Some(before) => {
                before.surprises += 1;
                before.least = before.least.get().min(sample).into();
            }
            None if self.estimate.is_surprised_by(sample) => {
                self.before = Some(Before { estimate: self.estimate, surprises: 1, least: sample.into() });
            }
            None => self.calm = self.calm.saturating_add(1),
        }
        self.estimate.update(sample);
    }

    /// The samples are as before again. If surprises are rare, the path did not cause those in between, so the estimate from
    /// before them is restored.
    fn forget_surprises(&mut self) {
        if let Some(before) = self.before.take()
            && self.calm >= CALM
        {
            self.estimate = before.estimate;
            self.calm = 0;
        }
    }

    fn note_minimum(&mut self, now: Instant, sample: Micros) {
        if now.since_low_micros(self.minimum_since) >= MINIMUM_SPAN {
            self.minimum = [Micros32::MAX, self.minimum[0]];
            self.minimum_since = now.low_micros();
        }
        self.minimum[0] = self.minimum[0].get().min(sample).into();
    }

    pub(crate) fn smoothed(&self) -> Micros {
        self.estimate.smoothed.get()
    }

    pub(crate) fn variation(&self) -> Micros {
        self.estimate.variation.get()
    }

    pub(crate) fn latest(&self) -> Micros {
        self.latest.get()
    }

    /// The least sample of late; zero without one.
    pub(crate) fn minimum(&self) -> Micros {
        let [now, before] = self.minimum.map(Micros32::get);
        if self.has_sample { now.min(before).min(MAX_SAMPLE) } else { Micros::ZERO }
    }

    /// Time after which an answer is overdue, beside the other side's own delay (9.3).
    pub(crate) fn overdue(&self) -> Micros {
        self.estimate.overdue()
    }

    /// The same, as it was before surprising samples that nothing has confirmed. A side that moves leaves its reports behind, and those
    /// that follow them make such samples.
    pub(crate) fn believed_overdue(&self) -> Micros {
        self.before.map_or(self.estimate, |before| before.estimate).overdue()
    }
}

#[cfg(test)]
mod tests;
