//! Decides when each thing that the pipeline tells happened, by listening before anybody who shows it.
//! Must never hold an event back, nor keep what nobody will read.

use crate::{
    events::{Event, Sent},
    model::trace::{How, Trace},
};
use std::time::Instant;
use tokio::{
    sync::mpsc::{self, UnboundedReceiver},
    task::JoinHandle,
};

/// The task that listens until all senders are gone.
pub struct Recorder(JoinHandle<Trace>);

impl Recorder {
    /// Begins to listen; what it hears goes on to the receiver that it gives.
    pub fn between(mut receiver: UnboundedReceiver<Event>) -> (Self, UnboundedReceiver<Event>) {
        let (sender, forwarded) = mpsc::unbounded_channel();
        let start = Instant::now();
        let now = jiff::Timestamp::now();
        let mut trace = Trace {
            began: now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            ..Trace::default()
        };
        let task = tokio::spawn(async move {
            let since = || u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            while let Some(event) = receiver.recv().await {
                hear(&mut trace, since(), &event);
                // Whoever shows it may have ended before.
                let _ = sender.send(event);
            }
            trace.end(since());
            trace
        });
        (Recorder(task), forwarded)
    }

    /// All that was heard. All senders must be gone or going.
    pub async fn finish(self) -> Trace {
        // A panic in the task has printed itself; then nothing was heard.
        self.0.await.unwrap_or_default()
    }
}

fn hear(trace: &mut Trace, at: u64, event: &Event) {
    match event {
        Event::Stage(stage) => trace.stage(at, stage.name()),
        Event::Building { image, platform } => trace.building(at, image, platform),
        Event::Built {
            image, platform, ..
        } => trace.built(at, image, platform),
        Event::Blob {
            place,
            digest,
            size,
            sent,
        } => {
            let how = match sent {
                Sent::Present => How::Present,
                Sent::Mounted => How::Mounted,
                Sent::Uploaded => How::Uploaded,
            };
            trace.sent(at, (place, *digest, *size), how);
        }
        Event::Manifest { place, digest } => trace.manifest(place, *digest),
        Event::Waiting {
            host,
            delay,
            reason,
            ..
        } => {
            let delay = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            trace.wait(at, host, reason, delay);
        }
        Event::Fact(fact) => trace.fact(at, fact.clone()),
        Event::Warning(text) => trace.note(at, true, text),
        Event::Note(text) => trace.note(at, false, text),
        Event::BuildLine { .. }
        | Event::Step { .. }
        | Event::Pushing { .. }
        | Event::Expect { .. }
        | Event::Pushed { .. }
        | Event::Received { .. }
        | Event::Progress { .. }
        | Event::Settled { .. }
        | Event::Tagged { .. }
        | Event::Deleted { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{Events, Stage};

    #[tokio::test]
    async fn what_is_heard_goes_on_unchanged_and_in_order() {
        let (events, receiver) = Events::channel();
        let (recorder, mut shown) = Recorder::between(receiver);
        events.send(Event::Stage(Stage::Plan));
        events.send(Event::Note("n".to_owned()));
        drop(events);
        assert!(matches!(shown.recv().await, Some(Event::Stage(_))));
        assert!(matches!(shown.recv().await, Some(Event::Note(_))));
        assert!(shown.recv().await.is_none());
        let trace = recorder.finish().await;
        assert_eq!(trace.stages[0].0, "plan");
        assert_eq!(trace.notes[0].text, "n");
        assert!(trace.began.ends_with('Z'), "{}", trace.began);
    }
}
