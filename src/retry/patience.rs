//! Decides whether a release may still wait: it has a budget of time for that, which all its registries share.
//! Must never count the same second twice, however many requests wait in it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long one release may wait for registries in all. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct Patience(Arc<Mutex<Waited>>);

#[derive(Debug)]
struct Waited {
    /// None: for as long as the tries allow.
    budget: Option<Duration>,
    waiting: usize,
    since: Instant,
    before: Duration,
}

/// While it lives, something waits.
#[derive(Debug)]
pub(super) struct Waiting(Patience);

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.waiting -= 1;
        if state.waiting == 0 {
            let this_time = state.since.elapsed();
            state.before += this_time;
        }
    }
}

impl Patience {
    /// As much as `budget`.
    pub fn new(budget: Duration) -> Self {
        Patience(Arc::new(Mutex::new(Waited {
            budget: Some(budget),
            waiting: 0,
            since: Instant::now(),
            before: Duration::ZERO,
        })))
    }

    /// From here on only the number of tries counts: what has begun to be visible must come to an end.
    pub fn lift(&self) {
        self.state().budget = None;
    }

    /// The whole budget is there again.
    pub fn renew(&self) {
        let mut state = self.state();
        state.before = Duration::ZERO;
        state.since = Instant::now();
    }

    fn state(&self) -> MutexGuard<'_, Waited> {
        // Plain values: a panic elsewhere cannot have left them half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a wait; the budget in place of it where there is not enough left.
    pub(super) fn begin(&self, wait: Duration) -> Result<Waiting, Duration> {
        let mut state = self.state();
        let under_way = if state.waiting > 0 {
            state.since.elapsed()
        } else {
            Duration::ZERO
        };
        if let Some(budget) = state.budget
            && state.before + under_way + wait > budget
        {
            return Err(budget);
        }
        if state.waiting == 0 {
            state.since = Instant::now();
        }
        state.waiting += 1;
        drop(state);
        Ok(Waiting(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn waits_side_by_side_count_once_and_the_budget_ends_them() {
        let patience = Patience::new(10 * SECOND);
        let both = (patience.begin(4 * SECOND), patience.begin(4 * SECOND));
        tokio::time::sleep(4 * SECOND).await;
        drop(both);
        // Time in which nothing waits is free.
        tokio::time::sleep(60 * SECOND).await;
        let third = patience.begin(6 * SECOND).unwrap();
        tokio::time::sleep(6 * SECOND).await;
        assert_eq!(patience.begin(SECOND).unwrap_err(), 10 * SECOND);
        drop(third);
        assert_eq!(patience.begin(SECOND).unwrap_err(), 10 * SECOND);
        patience.renew();
        assert_eq!(patience.begin(11 * SECOND).unwrap_err(), 10 * SECOND);
        assert!(patience.begin(10 * SECOND).is_ok());
        patience.lift();
        assert!(patience.begin(60 * SECOND).is_ok());
    }
}
