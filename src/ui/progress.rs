//! Decides how events come onto stderr while the work goes on: as lines that stay, and on a terminal as live ones.
//! Must never slow the work: it reads a channel, and nobody waits for it but the end.

use super::{
    GitHub, Style,
    board::Board,
    line::{Sort, line},
    screen,
};
use crate::events::Event;
use std::{
    io::{IsTerminal as _, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::mpsc::UnboundedReceiver,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

/// Between two pictures on a terminal.
const FRAME: Duration = Duration::from_millis(100);
/// Between two looks whether a log is to be told something.
const LOOK: Duration = Duration::from_secs(1);
/// So many events at most become one picture.
const AT_ONCE: usize = 500;

/// The task that tells events until all senders are gone.
pub struct Progress(JoinHandle<()>);

impl Progress {
    /// Begins to tell what `receiver` gives.
    pub fn start(
        receiver: UnboundedReceiver<Event>,
        style: Style,
        github: Option<Arc<GitHub>>,
    ) -> Self {
        let live = github.is_none() && style.verbosity >= 0 && lives();
        if live {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                screen::wipe();
                before(panic);
            }));
        }
        let teller = Teller {
            style,
            github,
            live,
            board: Board::default(),
            begun: Instant::now(),
        };
        Progress(tokio::spawn(teller.tell(receiver)))
    }

    /// Waits until everything has been told. All senders must be gone or going.
    pub async fn finish(self) {
        // A panic in the task has printed itself; there is nothing else to tell.
        let _ = self.0.await;
        screen::wipe();
    }

    /// Takes the live lines off the terminal at once: the process ends here.
    pub fn break_off() {
        screen::wipe();
    }
}

/// Whether stderr is a terminal that lines can be drawn on, with somebody before it.
fn lives() -> bool {
    let set = |name: &str| {
        let value = std::env::var(name).unwrap_or_default();
        (!value.is_empty()).then_some(value)
    };
    let draws = set("TERM").is_some_and(|term| term != "dumb");
    let nobody = set("CI").is_some_and(|ci| ci != "false");
    std::io::stderr().is_terminal() && draws && !nobody
}

struct Teller {
    style: Style,
    github: Option<Arc<GitHub>>,
    live: bool,
    board: Board,
    begun: Instant,
}

impl Teller {
    async fn tell(mut self, mut receiver: UnboundedReceiver<Event>) {
        let mut tick = interval(if self.live { FRAME } else { LOOK });
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut events = Vec::new();
        loop {
            tokio::select! {
                count = receiver.recv_many(&mut events, AT_ONCE) => {
                    if count == 0 {
                        break;
                    }
                    let lines: Vec<String> = events.drain(..).flat_map(|event| self.hear(&event)).collect();
                    // Live lines alone can wait for the next picture.
                    if !lines.is_empty() {
                        self.write(&lines);
                    }
                }
                _ = tick.tick() => {
                    let lines = if self.live {
                        Vec::new()
                    } else {
                        self.due()
                    };
                    self.write(&lines);
                }
            }
        }
        if self.live {
            screen::draw(&[], &[]);
        }
        if let Some(end) = self.github.as_deref().and_then(GitHub::end) {
            self.write(&[end.to_owned()]);
        }
    }

    /// The lines that an event is worth.
    fn hear(&mut self, event: &Event) -> Vec<String> {
        let sort = if self.live {
            Sort::AboveLive
        } else {
            Sort::Log
        };
        let line = line(event, self.style, sort);
        let line = match &self.github {
            Some(github) => github.line(event, line),
            None => line,
        };
        let ended = self.board.hear(event, self.begun.elapsed());
        let ended = ended.filter(|_| self.style.verbosity >= 0);
        let ended = ended.map(|text| self.harmless(format!("  {text}")));
        line.into_iter().chain(ended).collect()
    }

    fn due(&mut self) -> Vec<String> {
        let lines = self.board.due(self.begun.elapsed());
        if self.style.verbosity < 0 {
            return Vec::new();
        }
        lines.into_iter().map(|line| self.harmless(line)).collect()
    }

    fn harmless(&self, line: String) -> String {
        match &self.github {
            Some(_) => super::github::harmless(&line),
            None => line,
        }
    }

    fn write(&mut self, lines: &[String]) {
        if !self.live {
            // Nobody reads stderr any more: there is nobody to tell.
            let tell = |line: &String| drop(writeln!(std::io::stderr().lock(), "{line}"));
            lines.iter().for_each(tell);
            return;
        }
        let (columns, rows) = screen::size();
        let width = columns.saturating_sub(1).max(1);
        let mut live = self.board.live(self.begun.elapsed(), width, self.style);
        // What does not fit under one line that stays could not be taken away again.
        live.truncate(rows.saturating_sub(2).max(1));
        screen::draw(lines, &live);
    }
}
