//! Decides when a host may be asked: not while it has asked us to wait, then by one request first, and never by too many.
//! Must never let a crowd knock where one of it was just refused.

use super::delays;
use crate::model::fault::{Class, Fault, LONGEST_WAIT, Policy};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// So many requests are under way to one host at most, whole uploads included.
const AT_ONCE: usize = 16;

/// One per host, shared by all requests to it: after a 429 or 503 none of them starts before the wait is over, and then
/// one goes first; each that is answered well lets two more follow.
///
/// Each refusal in a row doubles the wait; successes take it back.
#[derive(Debug, Clone)]
pub struct HostGate(Arc<Gate>);

#[derive(Debug)]
struct Gate {
    host: String,
    policy: Policy,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    closed_until: Option<Instant>,
    /// Refusals since the last success, as far as they count.
    strikes: u8,
    /// How often the host has refused. Requests of before say nothing about what it takes now.
    epoch: u64,
    /// The last refusal; none after a success.
    refused: Option<Fault>,
    /// How many requests may be under way that started in this epoch.
    window: usize,
    /// How many are.
    under_way: usize,
}

impl State {
    fn remaining(&self) -> Duration {
        self.closed_until
            .map(|until| until.saturating_duration_since(Instant::now()))
            .unwrap_or_default()
    }
}

/// The right to send one request; it ends when the answer is there.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
    epoch: u64,
}

/// What to do before a request.
enum Turn {
    Go(u64),
    Sleep(Duration),
    /// Until one of those under way is back.
    Wait,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        // Plain values, each changed by one statement: a panic elsewhere cannot have left it half written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `came` is the epoch in which the request came to the gate.
    fn turn(&self, came: u64) -> Result<Turn, Fault> {
        let mut state = self.state();
        let remaining = state.remaining();
        if remaining > LONGEST_WAIT {
            let detail = format!("it asked us to wait for {} s", remaining.as_secs());
            let mut fault = Fault::new(Class::RateLimit, &self.host, "", detail);
            fault.retry_after = Some(remaining);
            return Err(fault);
        }
        // What the others were refused while this one waited is as good as its own tries.
        if let Some(refused) = &state.refused
            && state.epoch - came >= u64::from(self.policy.tries)
        {
            let mut fault = refused.clone();
            fault.spent = true;
            return Err(fault);
        }
        Ok(if !remaining.is_zero() {
            Turn::Sleep(remaining)
        } else if state.under_way < state.window {
            state.under_way += 1;
            Turn::Go(state.epoch)
        } else {
            Turn::Wait
        })
    }
}

impl HostGate {
    /// An open gate.
    pub fn new(host: impl Into<String>, policy: Policy) -> Self {
        HostGate(Arc::new(Gate {
            host: host.into(),
            policy,
            state: Mutex::new(State {
                closed_until: None,
                strikes: 0,
                epoch: 0,
                refused: None,
                window: AT_ONCE,
                under_way: 0,
            }),
            changed: Notify::new(),
        }))
    }

    /// The host it stands before.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// How long it stays closed from now; zero where it is open.
    pub fn remaining(&self) -> Duration {
        self.0.state().remaining()
    }

    /// Waits until a request may be sent.
    ///
    /// # Errors
    /// [`Class::RateLimit`] at once where that takes longer than [`LONGEST_WAIT`]; what the host refused others with,
    /// where it has done so as often as the policy allows tries while this one waited.
    pub async fn pass(&self) -> Result<Pass, Fault> {
        let gate = &self.0;
        let came = gate.state().epoch;
        loop {
            let changed = gate.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed, even one before the first poll.
            changed.as_mut().enable();
            match gate.turn(came)? {
                Turn::Go(epoch) => {
                    let gate = Arc::clone(gate);
                    return Ok(Pass { gate, epoch });
                }
                // Again after the sleep: another answer may have closed it for longer.
                Turn::Sleep(remaining) => tokio::time::sleep(remaining).await,
                Turn::Wait => changed.await,
            }
        }
    }
}

impl Pass {
    /// The request was answered well: more may follow, and the next wait is shorter again.
    pub fn succeeded(self) {
        let mut state = self.gate.state();
        state.strikes /= 2;
        if self.epoch == state.epoch {
            state.refused = None;
            state.window = (state.window * 2).min(AT_ONCE);
        }
    }

    /// The request failed: closes the gate where the host is overloaded or named a time.
    pub fn failed(self, fault: &Fault) {
        let overloaded = fault.class == Class::RateLimit || matches!(fault.status, Some(429 | 503));
        if !overloaded && fault.retry_after.is_none() {
            return;
        }
        let mut state = self.gate.state();
        let mut wait = fault.retry_after.unwrap_or_default();
        // Requests that were under way together are refused together: that is one strike, not many.
        if overloaded && self.epoch == state.epoch {
            let delay = delays(self.gate.policy).nth(usize::from(state.strikes));
            wait = wait.max(delay.unwrap_or_default());
            state.strikes = state.strikes.saturating_add(1);
            state.refused = Some(fault.clone());
            state.epoch += 1;
            state.window = 1;
            state.under_way = 0;
        }
        let until = Instant::now() + wait;
        state.closed_until = Some(state.closed_until.map_or(until, |old| old.max(until)));
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        if self.epoch == state.epoch {
            state.under_way -= 1;
        }
        drop(state);
        self.gate.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{SECOND, driver, fault};
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    async fn refuse(gate: &HostGate, fault: &Fault) {
        gate.pass().await.unwrap().failed(fault);
    }

    /// A request that was sent before the refusal, and is long, holds nobody up.
    #[tokio::test(start_paused = true)]
    async fn what_was_under_way_before_the_refusal_is_not_waited_for() {
        let (_, gate, _) = driver(3);
        let long = gate.pass().await.unwrap();
        refuse(&gate, &fault(Class::Server, 503, None)).await;
        let next = gate.pass().await.unwrap();
        drop(long);
        let more = tokio::time::timeout(SECOND, gate.pass()).await;
        assert!(more.is_err(), "one goes first");
        next.succeeded();
        let two = (gate.pass().await.unwrap(), gate.pass().await.unwrap());
        let third = tokio::time::timeout(SECOND, gate.pass()).await;
        assert!(third.is_err(), "and two follow");
        drop(two);
    }

    #[tokio::test(start_paused = true)]
    async fn one_refusal_holds_back_every_request_to_the_host() {
        let (_, gate, _) = driver(3);
        let start = Instant::now();
        let burst = [gate.pass().await.unwrap(), gate.pass().await.unwrap()];
        assert_eq!(start.elapsed(), Duration::ZERO);
        // The second refusal of the same burst changes nothing.
        for (pass, wait) in burst.into_iter().zip([Some(20 * SECOND), None]) {
            pass.failed(&fault(Class::RateLimit, 429, wait));
        }
        let first = gate.pass().await.unwrap();
        assert!(start.elapsed() >= 20 * SECOND && start.elapsed() < 21 * SECOND);
        // The second one waits for what the first is answered.
        let second = gate.pass();
        tokio::pin!(second);
        let early = tokio::time::timeout(60 * SECOND, &mut second).await;
        assert!(early.is_err());
        first.succeeded();
        let far = fault(Class::RateLimit, 429, Some(2 * LONGEST_WAIT));
        second.await.unwrap().failed(&far);
        assert_eq!(gate.pass().await.unwrap_err().class, Class::RateLimit);
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_first_and_is_never_answered_lets_the_next_go() {
        let (_, gate, _) = driver(3);
        refuse(&gate, &fault(Class::Server, 503, None)).await;
        let first = gate.pass().await.unwrap();
        let second = gate.pass();
        tokio::pin!(second);
        assert!(
            tokio::time::timeout(SECOND, &mut second).await.is_err(),
            "the first is under way"
        );
        drop(first);
        second.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_shared_wait_grows_with_refusals_and_shrinks_with_successes() {
        let (_, gate, _) = driver(3);
        let overloaded = fault(Class::Server, 503, None);
        for longest in [1, 2, 4] {
            refuse(&gate, &overloaded).await;
            assert!(gate.remaining() >= longest * SECOND / 2);
            assert!(gate.remaining() <= longest * SECOND);
        }
        for _ in 0..2 {
            gate.pass().await.unwrap().succeeded();
        }
        refuse(&gate, &overloaded).await;
        assert!(gate.remaining() <= SECOND);
        // A plain 500 or a lost connection says nothing about the host's load.
        refuse(&gate, &fault(Class::Server, 500, None)).await;
        assert!(gate.remaining().is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_gate_lengthens_the_wait_of_a_try() {
        let (retry, gate, _) = driver(2);
        refuse(&gate, &fault(Class::RateLimit, 429, Some(50 * SECOND))).await;
        let start = Instant::now();
        let count = AtomicUsize::new(0);
        let tried = retry.run(|number| {
            count.fetch_add(1, Ordering::Relaxed);
            async move {
                if number == 0 {
                    Err(fault(Class::Transport, 0, None))
                } else {
                    Ok(())
                }
            }
        });
        tried.await.unwrap();
        assert_eq!(count.into_inner(), 2);
        assert!(start.elapsed() >= 50 * SECOND);
    }

    /// A crowd before a host that never answers anything but 429: all of it ends, and few of it were sent.
    #[tokio::test(start_paused = true)]
    async fn a_crowd_before_a_closed_door_sends_a_handful_and_ends() {
        let (retry, gate, _) = driver(3);
        let sent = Arc::new(AtomicUsize::new(0));
        let crowd = (0..50).map(|_| {
            let (retry, gate, sent) = (retry.clone(), gate.clone(), Arc::clone(&sent));
            tokio::spawn(async move {
                let attempt = |_| async {
                    let pass = gate.pass().await?;
                    sent.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(SECOND / 10).await;
                    let refused = fault(Class::RateLimit, 429, None);
                    pass.failed(&refused);
                    Err::<(), _>(refused)
                };
                retry.run(attempt).await
            })
        });
        for one in futures::future::join_all(crowd).await {
            assert_eq!(one.unwrap().unwrap_err().class, Class::RateLimit);
        }
        // Those that were under way when the first answer came, and one at a time after that.
        assert!(sent.load(Ordering::Relaxed) <= AT_ONCE + 8, "{sent:?}");
    }
}
