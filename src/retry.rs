//! Decides when a failed request is tried again: the `retry` crate's delays, under tokio's clock, per host and cancellable.
//! Must never try again what cannot succeed, outwait a registry's Retry-After, or block a thread.

use crate::events::{Event, Events};
use crate::model::fault::{Class, Fault, LONGEST_WAIT, Policy};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
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
    events: Events,
    cancel: CancellationToken,
}

impl Retry {
    /// A driver for all requests to the gate's host.
    pub fn new(policy: Policy, gate: HostGate, events: Events, cancel: CancellationToken) -> Self {
        Retry {
            policy,
            gate,
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
            let fault = match self.unless_cancelled(attempt(number)).await? {
                Ok(value) => return Ok(value),
                Err(fault) => fault,
            };
            let wait = delays
                .next()
                .and_then(|delay| fault.wait(delay.max(self.gate.remaining())));
            let Some(wait) = wait else {
                return Err(fault);
            };
            number += 1;
            tracing::debug!(fault = %fault, wait = ?wait, "trying again");
            self.events.send(Event::Waiting {
                host: self.gate.host().to_owned(),
                delay: wait,
                reason: fault.what(),
            });
            self.unless_cancelled(tokio::time::sleep(wait)).await?;
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

/// One per host, shared by all requests to it: after a 429 or 503 none of them starts before the wait is over.
///
/// Each such answer in a row doubles the wait; successes take it back.
#[derive(Debug, Clone)]
pub struct HostGate(Arc<Gate>);

#[derive(Debug)]
struct Gate {
    host: String,
    policy: Policy,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    closed_until: Option<Instant>,
    strikes: u8,
}

impl State {
    fn remaining(&self) -> Duration {
        self.closed_until
            .map(|until| until.saturating_duration_since(Instant::now()))
            .unwrap_or_default()
    }
}

impl HostGate {
    /// An open gate.
    pub fn new(host: impl Into<String>, policy: Policy) -> Self {
        HostGate(Arc::new(Gate {
            host: host.into(),
            policy,
            state: Mutex::default(),
        }))
    }

    /// The host it stands before.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is two plain numbers: a panic elsewhere cannot have left it half written.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long it stays closed from now; zero where it is open.
    pub fn remaining(&self) -> Duration {
        self.state().remaining()
    }

    /// Waits until it is open. Fails at once where that takes longer than [`LONGEST_WAIT`].
    pub async fn pass(&self) -> Result<(), Fault> {
        loop {
            let remaining = self.remaining();
            if remaining.is_zero() {
                return Ok(());
            }
            if remaining > LONGEST_WAIT {
                let detail = format!("it asked us to wait for {} s", remaining.as_secs());
                let mut fault = Fault::new(Class::RateLimit, self.host(), "", detail);
                fault.retry_after = Some(remaining);
                return Err(fault);
            }
            // Again after the sleep: another answer may have closed it for longer.
            tokio::time::sleep(remaining).await;
        }
    }

    /// A request was answered well: the next wait is shorter again.
    pub fn succeeded(&self) {
        self.state().strikes /= 2;
    }

    /// A request failed: closes the gate where the host is overloaded or named a time.
    pub fn failed(&self, fault: &Fault) {
        let overloaded = matches!(fault.status, Some(429 | 503));
        if !overloaded && fault.retry_after.is_none() {
            return;
        }
        let mut state = self.state();
        let mut wait = fault.retry_after.unwrap_or_default();
        // Requests that were under way together are refused together: that is one strike, not many.
        if overloaded && state.remaining().is_zero() {
            let delay = delays(self.0.policy).nth(usize::from(state.strikes));
            wait = wait.max(delay.unwrap_or_default());
            state.strikes = state.strikes.saturating_add(1);
        }
        let until = Instant::now() + wait;
        state.closed_until = Some(state.closed_until.map_or(until, |old| old.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    const SECOND: Duration = Duration::from_secs(1);

    fn driver(tries: u32) -> (Retry, HostGate, CancellationToken) {
        let policy = Policy {
            tries,
            ..Policy::default()
        };
        let gate = HostGate::new("ghcr.io", policy);
        let cancel = CancellationToken::new();
        let retry = Retry::new(policy, gate.clone(), Events::default(), cancel.clone());
        (retry, gate, cancel)
    }

    fn fault(class: Class, status: u16, retry_after: Option<Duration>) -> Fault {
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
    async fn one_refusal_holds_back_every_request_to_the_host() {
        let (_, gate, _) = driver(3);
        let start = Instant::now();
        gate.pass().await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        gate.failed(&fault(Class::RateLimit, 429, Some(20 * SECOND)));
        // A second refusal of the same burst changes nothing.
        gate.failed(&fault(Class::RateLimit, 429, None));
        let (first, second) = tokio::join!(gate.pass(), gate.pass());
        assert!(first.is_ok() && second.is_ok());
        assert!(start.elapsed() >= 20 * SECOND && start.elapsed() < 21 * SECOND);
        gate.failed(&fault(Class::RateLimit, 429, Some(2 * LONGEST_WAIT)));
        assert_eq!(gate.pass().await.unwrap_err().class, Class::RateLimit);
    }

    #[tokio::test(start_paused = true)]
    async fn the_shared_wait_grows_with_refusals_and_shrinks_with_successes() {
        let (_, gate, _) = driver(3);
        let overloaded = fault(Class::Server, 503, None);
        for longest in [1, 2, 4] {
            gate.failed(&overloaded);
            assert!(gate.remaining() >= longest * SECOND / 2);
            assert!(gate.remaining() <= longest * SECOND);
            gate.pass().await.unwrap();
        }
        gate.succeeded();
        gate.succeeded();
        gate.failed(&overloaded);
        assert!(gate.remaining() <= SECOND);
        gate.pass().await.unwrap();
        // A plain 500 or a lost connection says nothing about the host's load.
        gate.failed(&fault(Class::Server, 500, None));
        assert!(gate.remaining().is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_gate_lengthens_the_wait_of_a_try() {
        let (retry, gate, _) = driver(2);
        gate.failed(&fault(Class::RateLimit, 429, Some(50 * SECOND)));
        let start = Instant::now();
        let (result, _) = run(&retry, 1, fault(Class::Transport, 0, None)).await;
        assert!(result.is_ok());
        assert!(start.elapsed() >= 50 * SECOND);
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
