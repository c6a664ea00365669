//! Decides when a failed request is tried again: the `retry` crate's delays, under tokio's clock, per host and cancellable.
//! Must never try again what cannot succeed, outwait a registry's Retry-After, or block a thread.

mod gate;
mod patience;

pub use gate::{HostGate, Pass};
pub use patience::Patience;

use crate::events::{Event, Events};
use crate::model::fault::{Class, Fault, Policy};
use std::future::Future;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The delays of a policy, without end: doubling from the first, capped; half of each is fixed, half is random, so that
/// machines which failed together do not come back together.
fn delays(policy: Policy) -> impl Iterator<Item = Duration> {
    let first = u64::try_from(policy.first_delay.as_millis()).unwrap_or(u64::MAX);
    retry::delay::Exponential::from_millis_with_factor(first, 2.0).map(move |delay| {
        let half = delay.min(policy.cap) / 2;
        half + retry::delay::jitter(half)
    })
}

/// Tries a request again as the policy says. Cheap to clone; clones share the gate.
#[derive(Debug, Clone)]
pub struct Retry {
    policy: Policy,
    gate: HostGate,
    patience: Patience,
    events: Events,
    cancel: CancellationToken,
}

impl Retry {
    /// A driver for all requests to the gate's host.
    pub fn new(
        policy: Policy,
        gate: HostGate,
        patience: Patience,
        events: Events,
        cancel: CancellationToken,
    ) -> Self {
        Retry {
            policy,
            gate,
            patience,
            events,
            cancel,
        }
    }

    /// The policy it keeps.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Runs `attempt` (given 0, 1, 2 …) until it succeeds, fails for good, or the tries are used up; then the last fault.
    ///
    /// Cancelling drops the attempt where it stands and gives [`Class::Cancelled`].
    pub async fn run<T, F, Fut>(&self, mut attempt: F) -> Result<T, Fault>
    where
        F: FnMut(u32) -> Fut,
        Fut: Future<Output = Result<T, Fault>>,
    {
        let more = usize::try_from(self.policy.tries.saturating_sub(1)).unwrap_or(usize::MAX);
        let mut delays = delays(self.policy).take(more);
        let mut number = 0;
        loop {
            let mut fault = match self.unless_cancelled(attempt(number)).await? {
                Ok(value) => return Ok(value),
                Err(fault) => fault,
            };
            let wait = delays
                .next()
                .and_then(|delay| fault.wait(delay.max(self.gate.remaining())));
            let Some(wait) = wait else {
                return Err(fault);
            };
            let waiting = match self.patience.begin(wait) {
                Ok(waiting) => waiting,
                Err(budget) => {
                    let spent = "this release may not wait any longer for registries";
                    let known = std::mem::take(&mut fault.detail);
                    fault.detail = format!("{known}; {spent} ({} s)", budget.as_secs());
                    return Err(fault);
                }
            };
            number += 1;
            tracing::debug!(fault = %fault, wait = ?wait, "trying again");
            self.events.send(Event::Waiting {
                host: self.gate.host().to_owned(),
                delay: wait,
                asked: fault.class == Class::RateLimit || fault.retry_after.is_some(),
                brief: fault.brief(),
                reason: fault.what(),
            });
            self.unless_cancelled(tokio::time::sleep(wait)).await?;
            drop(waiting);
        }
    }

    /// The future's result, or [`Class::Cancelled`] as soon as the user asks to stop.
    pub async fn unless_cancelled<F: Future>(&self, work: F) -> Result<F::Output, Fault> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => {
                Err(Fault::new(Class::Cancelled, self.gate.host(), "", ""))
            }
            done = work => Ok(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fault::LONGEST_WAIT;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::time::Instant;

    pub(super) const SECOND: Duration = Duration::from_secs(1);

    pub(super) fn driver(tries: u32) -> (Retry, HostGate, CancellationToken) {
        let policy = Policy {
            tries,
            ..Policy::default()
        };
        let gate = HostGate::new("ghcr.io", policy);
        let cancel = CancellationToken::new();
        let patience = Patience::new(policy.budget);
        let events = Events::default();
        let retry = Retry::new(policy, gate.clone(), patience, events, cancel.clone());
        (retry, gate, cancel)
    }

    pub(super) fn fault(class: Class, status: u16, retry_after: Option<Duration>) -> Fault {
        let mut fault = Fault::new(class, "ghcr.io", "GET https://ghcr.io/v2/", "");
        fault.status = Some(status);
        fault.retry_after = retry_after;
        fault
    }

    /// Fails with `fault` for the first `failures` attempts; gives how many attempts there were.
    async fn run(retry: &Retry, failures: u32, fault: Fault) -> (Result<(), Fault>, u32) {
        let count = AtomicU32::new(0);
        let result = retry
            .run(|number| {
                assert_eq!(number, count.fetch_add(1, Ordering::Relaxed));
                let fault = fault.clone();
                async move {
                    if number < failures {
                        Err(fault)
                    } else {
                        Ok(())
                    }
                }
            })
            .await;
        (result, count.into_inner())
    }

    #[test]
    fn delays_double_up_to_the_cap_and_are_half_random() {
        let policy = Policy {
            tries: 9,
            first_delay: SECOND,
            cap: 10 * SECOND,
            ..Policy::default()
        };
        for (delay, whole) in delays(policy).zip([1, 2, 4, 8, 10, 10, 10]) {
            let whole = whole * SECOND;
            assert!(
                delay >= whole / 2 && delay <= whole,
                "{delay:?} of {whole:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_passing_fault_is_tried_again_and_a_lasting_one_not() {
        let (retry, ..) = driver(3);
        let server = fault(Class::Server, 500, None);
        let (result, tries) = run(&retry, 2, server.clone()).await;
        assert!(result.is_ok());
        assert_eq!(tries, 3);
        let (result, tries) = run(&retry, 9, server).await;
        assert_eq!(result.unwrap_err().class, Class::Server);
        assert_eq!(tries, 3);
        for (class, expected) in [
            (Class::Permission, 3),
            (Class::Auth, 1),
            (Class::NotFound, 1),
            (Class::Refused, 1),
        ] {
            assert_eq!(run(&retry, 9, fault(class, 400, None)).await.1, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_waited_for_but_not_for_ever() {
        let (retry, ..) = driver(3);
        let start = Instant::now();
        let asked = fault(Class::RateLimit, 429, Some(100 * SECOND));
        assert!(run(&retry, 1, asked).await.0.is_ok());
        assert!(start.elapsed() >= 100 * SECOND);
        let asked = fault(Class::RateLimit, 429, Some(2 * LONGEST_WAIT));
        let (result, tries) = run(&retry, 1, asked).await;
        assert_eq!(result.unwrap_err().class, Class::RateLimit);
        assert_eq!(tries, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_the_release_may() {
        let (retry, ..) = driver(20);
        let retry = Retry {
            patience: Patience::new(100 * SECOND),
            ..retry
        };
        let start = Instant::now();
        let (result, tries) = run(&retry, 20, fault(Class::Server, 500, None)).await;
        let fault = result.unwrap_err();
        assert!(fault.detail.contains("may not wait any longer"), "{fault}");
        assert!(start.elapsed() <= 100 * SECOND && tries > 4 && tries < 20);
    }

    #[tokio::test(start_paused = true)]
    async fn cancelling_ends_an_attempt_and_a_wait() {
        let (retry, _, cancel) = driver(3);
        let stopped = retry.run(|_| {
            cancel.cancel();
            std::future::pending::<Result<(), Fault>>()
        });
        assert_eq!(stopped.await.unwrap_err().class, Class::Cancelled);

        let (retry, _, cancel) = driver(3);
        let (events, mut told) = Events::channel();
        let retry = Retry { events, ..retry };
        let stopped = tokio::spawn(async move {
            retry
                .run(|_| async { Err::<(), _>(fault(Class::Server, 500, None)) })
                .await
        });
        assert!(matches!(told.recv().await, Some(Event::Waiting { .. })));
        cancel.cancel();
        assert_eq!(stopped.await.unwrap().unwrap_err().class, Class::Cancelled);
    }
}
