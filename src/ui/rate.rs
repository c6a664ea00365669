//! Decides how fast bytes go and when the rest will have gone, from the times that it is given.
//! Must never look at a clock, nor promise a time where nothing has moved yet.

use std::time::Duration;

/// What was sent this long ago counts a third of what is sent now.
const MEMORY: f64 = 5.0;
/// Bytes come in bursts: less time than this makes no speed.
const SHORTEST: f64 = 0.5;
/// A longer time left is no news.
const LONGEST: f64 = 100.0 * 3600.0;

/// A speed as an exponentially weighted average. Times are counted from any one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Rate {
    since: Option<Duration>,
    /// Sent since then, and not part of the average yet.
    bytes: u64,
    average: f64,
    /// How much of a whole average it is: less than 1 in the beginning.
    weight: f64,
}

impl Rate {
    /// So many bytes more have gone by `now`.
    pub(super) fn add(&mut self, bytes: u64, now: Duration) {
        self.tick(now);
        self.bytes += bytes;
    }

    /// Takes what has gone by `now` into the average; nothing at all makes it slower.
    pub(super) fn tick(&mut self, now: Duration) {
        let since = *self.since.get_or_insert(now);
        let passed = now.saturating_sub(since).as_secs_f64();
        if passed < SHORTEST {
            return;
        }
        let keep = (-passed / MEMORY).exp();
        // Precision is lost above 2^53 bytes only.
        #[allow(clippy::cast_precision_loss)]
        let speed = self.bytes as f64 / passed;
        self.average = self.average * keep + speed * (1.0 - keep);
        self.weight = self.weight * keep + (1.0 - keep);
        self.bytes = 0;
        self.since = Some(now);
    }

    /// Time that passes from here to the next byte is nobody's: nothing was to be sent.
    pub(super) fn rest(&mut self, now: Duration) {
        self.tick(now);
        self.since = None;
    }

    /// Bytes in a second; none where it cannot be known yet, or where nothing moves.
    pub(super) fn speed(&self) -> Option<f64> {
        let speed = self.average / self.weight;
        (self.weight > 0.0 && speed >= 1.0).then_some(speed)
    }

    /// How long `bytes` more will take.
    pub(super) fn left(&self, bytes: u64) -> Option<Duration> {
        #[allow(clippy::cast_precision_loss)]
        let seconds = bytes as f64 / self.speed()?;
        (seconds <= LONGEST).then(|| Duration::from_secs_f64(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// The speed in whole KiB a second.
    fn kib(rate: &Rate) -> Option<i64> {
        #[allow(clippy::cast_possible_truncation)]
        rate.speed().map(|speed| (speed / 1024.0).round() as i64)
    }

    #[test]
    fn nothing_is_promised_before_something_moved() {
        let mut rate = Rate::default();
        assert_eq!((rate.speed(), rate.left(1)), (None, None));
        rate.add(MIB, at(7.0));
        assert_eq!(rate.left(1), None, "no time has passed");
        rate.tick(at(7.4));
        assert_eq!(rate.left(1), None, "too little");
        let mut still = Rate::default();
        still.tick(at(0.0));
        still.tick(at(60.0));
        assert_eq!(still.left(0), None);
    }

    #[test]
    fn a_steady_speed_is_known_at_once_and_stays() {
        let mut rate = Rate::default();
        for tenth in 0..100_u32 {
            rate.add(MIB / 10, at(f64::from(tenth) / 10.0));
            if tenth > 5 {
                let told = kib(&rate).unwrap();
                assert!((1000..=1200).contains(&told), "{told} at {tenth}");
            }
        }
        let left = rate.left(60 * MIB).unwrap().as_secs();
        assert!((57..=61).contains(&left), "{left}");
    }

    #[test]
    fn a_new_speed_takes_over_and_standing_still_makes_it_slower() {
        let mut rate = Rate::default();
        for second in 0..=20_u32 {
            rate.add(10 * MIB, at(second.into()));
        }
        let fast = rate.speed().unwrap();
        for second in 21..=25_u32 {
            rate.add(MIB, at(second.into()));
        }
        let between = rate.speed().unwrap();
        for second in 26..=60_u32 {
            rate.add(MIB, at(second.into()));
        }
        assert!(between < fast * 0.6, "{between} after {fast}");
        let slow = kib(&rate).unwrap();
        assert!((1024..1040).contains(&slow), "{slow}");
        for second in 61..200_u32 {
            rate.tick(at(second.into()));
        }
        assert_eq!(rate.left(MIB), None, "nothing moves any more");
    }

    #[test]
    fn a_rest_is_no_slowness() {
        let mut rate = Rate::default();
        for second in 0..=4_u32 {
            rate.add(MIB, at(second.into()));
        }
        rate.rest(at(5.0));
        let before = kib(&rate);
        rate.add(0, at(500.0));
        assert_eq!(kib(&rate), before);
        assert_eq!(before, Some(1024));
    }

    #[test]
    fn neither_ends_of_time_nor_steps_back_are_a_panic() {
        let mut rate = Rate::default();
        rate.add(1, at(10.0));
        rate.add(1, at(5.0));
        rate.add(u64::from(u32::MAX), at(11.0));
        rate.tick(at(12.0));
        assert!(rate.left(0).is_some());
        assert_eq!(rate.left(u64::MAX), None, "longer than anybody waits");
    }
}
