//! Decides what a terminal shows of the work under way, as lines for a width: builds, registries, else the stage.
//! Must never show a line wider than that, nor look at a clock.

use super::{Style, plain::printable, seconds, size, traffic::Traffic};
use crate::{
    events::{Event, Stage},
    model::platform::Platform,
};
use std::{collections::BTreeMap, time::Duration};

/// A stage that has nothing to show is named after this time.
const SILENCE: Duration = Duration::from_secs(1);
/// Between two lines about the same registry where lines stay.
const PACE: Duration = Duration::from_secs(5);
/// Columns of a bar.
const BAR: usize = 20;

/// A build under way.
#[derive(Debug)]
struct Building {
    who: String,
    begun: Duration,
    count: String,
    instruction: String,
}

/// All that is under way. Times are counted from any one moment.
#[derive(Debug, Default)]
pub(super) struct Board {
    stage: Option<(Stage, Duration)>,
    builds: Vec<Building>,
    registries: BTreeMap<String, Traffic>,
    /// Blobs and bytes that podman has handed over in this stage, and before a push in the builds.
    received: (usize, u64),
    told: BTreeMap<String, Duration>,
}

impl Board {
    /// Takes the next event. What comes to an end by it is told in a line.
    pub(super) fn hear(&mut self, event: &Event, now: Duration) -> Option<String> {
        match event {
            Event::Stage(stage) => {
                self.stage = Some((*stage, now));
                self.builds.clear();
                // What went while later steps were built is part of the push.
                if *stage != Stage::Push {
                    self.registries.values_mut().for_each(Traffic::end);
                    self.received = (0, 0);
                }
            }
            Event::Building { image, platform } => {
                self.builds.push(Building {
                    who: who(image, platform),
                    begun: now,
                    count: String::new(),
                    instruction: "begins".to_owned(),
                });
            }
            Event::Step {
                image,
                platform,
                count,
                instruction,
            } => {
                let who = who(image, platform);
                if let Some(build) = self.builds.iter_mut().find(|build| build.who == who) {
                    build.count.clone_from(count);
                    build.instruction = printable(instruction);
                }
            }
            Event::Built {
                image, platform, ..
            } => {
                let who = who(image, platform);
                self.builds.retain(|build| build.who != who);
            }
            Event::Received { size, .. } => {
                self.received.0 += 1;
                self.received.1 += size;
            }
            Event::Waiting {
                host,
                delay,
                asked,
                brief,
                ..
            } => {
                let registry = self.registries.entry(host.clone()).or_default();
                registry.wait(now, *delay, *asked, brief);
            }
            _ => return self.hear_traffic(event, now),
        }
        None
    }

    fn hear_traffic(&mut self, event: &Event, now: Duration) -> Option<String> {
        match event {
            Event::Pushing { place, blobs } => self.of(place).begin(place, *blobs, now),
            Event::Expect {
                place,
                digest,
                size,
            } => self.of(place).expect(place, *digest, *size, now),
            Event::Progress {
                place,
                digest,
                bytes,
            } => self.of(place).progress(place, *digest, *bytes, now),
            Event::Settled {
                place,
                digest,
                bytes,
            } => self.of(place).settled(place, *digest, *bytes, now),
            Event::Blob {
                place,
                digest,
                size,
                sent,
            } => self.of(place).there(place, (*digest, *size), *sent, now),
            Event::Pushed { place } => return self.of(place).pushed(place, now),
            _ => {}
        }
        None
    }

    /// What goes to the registry of a repository.
    fn of(&mut self, place: &str) -> &mut Traffic {
        self.registries.entry(host(place).to_owned()).or_default()
    }

    /// The lines for a screen of `width` columns.
    pub(super) fn live(&mut self, now: Duration, width: usize, style: Style) -> Vec<String> {
        let mut lines: Vec<String> = self
            .builds
            .iter()
            .map(|build| build.line(now, width, style))
            .collect();
        let registries = self.registries.iter_mut();
        let shown: Vec<(&String, &Traffic)> = registries
            .filter_map(|(host, traffic)| {
                traffic.tick(now);
                let shown = traffic.is_open() || traffic.waiting(now).is_some();
                shown.then_some((host, &*traffic))
            })
            .collect();
        // One under the other, where there is room.
        let widest = shown.iter().map(|(host, _)| host.len()).max();
        let pad = widest.filter(|widest| widest + 60 <= width).unwrap_or(0);
        let line = |(host, traffic): (&String, &Traffic)| {
            registry(&format!("{host:<pad$}"), traffic, now, width, style)
        };
        lines.extend(shown.into_iter().map(line));
        if let Some((stage, begun)) = self.stage
            && lines.is_empty()
            && now.saturating_sub(begun) >= SILENCE
        {
            let took = seconds(now.saturating_sub(begun).as_secs_f64());
            let doing = match (stage, self.received.0) {
                (Stage::Push, 0) => "podman reads and compresses layers".to_owned(),
                (Stage::Push, blobs) => {
                    format!("podman gave {blobs} layers, {}", size(self.received.1))
                }
                _ => stage.name().to_owned(),
            };
            lines.push(format!("  {doing}  {took}"));
        }
        lines.iter().map(|line| cut(line, width)).collect()
    }

    /// Where lines stay: how far each registry is that has not been told of for a while.
    pub(super) fn due(&mut self, now: Duration) -> Vec<String> {
        let mut lines = Vec::new();
        for (host, traffic) in &mut self.registries {
            traffic.tick(now);
            if !traffic.is_open() {
                self.told.remove(host);
                continue;
            }
            // The first line, too, comes only after a while: what is quick is told at its end.
            let told = self.told.entry(host.clone()).or_insert(now);
            if now.saturating_sub(*told) >= PACE {
                *told = now;
                lines.push(format!("  {host}: {}", far(traffic).join(", ")));
            }
        }
        lines
    }
}

fn who(image: &str, platform: &Platform) -> String {
    format!("{image} {platform}")
}

/// The registry of a repository; a directory store is its own.
fn host(place: &str) -> &str {
    match place.split_once('/') {
        Some((host, _)) if !host.starts_with("oci:") => host,
        _ => place,
    }
}

impl Building {
    fn line(&self, now: Duration, width: usize, style: Style) -> String {
        let took = seconds(now.saturating_sub(self.begun).as_secs_f64().floor());
        let took = took.replace(".0 s", " s");
        let who = style.paint("1", &self.who);
        let gap = |text: &str, word: &str| match text {
            "" => String::new(),
            text => format!("{word}{text}  "),
        };
        let head = format!("  {who}  build {}{took}", gap(&self.count, "step "));
        // Where there is no room for a word of the step, the image's name may be cut instead.
        if console::measure_text_width(&head) + 10 <= width {
            format!("{head}  {}", self.instruction)
        } else {
            format!("  {}{took}  {who}", gap(&self.count, ""))
        }
    }
}

/// How far a registry is: bytes, speed, time left, layers.
fn far(traffic: &Traffic) -> Vec<String> {
    let standing = traffic.standing();
    let more = if standing.more { "+" } else { "" };
    let mut parts = vec![format!(
        "{} of {}",
        size(standing.sent),
        size(standing.bytes).replacen(' ', &format!("{more} "), 1)
    )];
    if let Some(speed) = speed(traffic) {
        parts.push(speed);
    }
    if let Some(left) = left(traffic) {
        parts.push(left);
    }
    parts.push(format!("{}/{} layers", standing.done, standing.blobs));
    parts
}

fn speed(traffic: &Traffic) -> Option<String> {
    // Positive, and no registry is as fast as a u64 is long.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let speed = traffic.rate().speed()? as u64;
    Some(format!("{}/s", size(speed)))
}

fn left(traffic: &Traffic) -> Option<String> {
    let standing = traffic.standing();
    let bytes = standing.bytes - standing.sent;
    let left = traffic.rate().left(bytes).filter(|_| bytes > 0)?;
    let over = if standing.more { "> " } else { "" };
    let whole = seconds(left.as_secs_f64().ceil()).replace(".0 s", " s");
    Some(format!("{over}{whole} left"))
}

/// The longest form that fits.
fn registry(host: &str, traffic: &Traffic, now: Duration, width: usize, style: Style) -> String {
    let standing = traffic.standing();
    let name = style.paint("1", host);
    let layers = format!("{}/{} layers", standing.done, standing.blobs);
    let share = standing.share();
    let percent = format!("{share:>3}%");
    let bare = percent.trim_start();
    let forms = if let Some(wait) = traffic.waiting(now) {
        let short = wait.rsplit_once("; trying ");
        let short = style.paint("33", short.map_or(&wait, |(_, short)| short));
        let wait = style.paint("33", &wait);
        let so_far = if traffic.is_open() {
            format!("  ({bare}, {layers})")
        } else {
            String::new()
        };
        vec![
            format!("  {name}  {wait}{so_far}"),
            format!("  {name}  {wait}"),
            format!("  {name}  {short}"),
            format!("{short} {name}"),
        ]
    } else {
        let parts = far(traffic).join("  ");
        let bar = "#".repeat(share * BAR / 100);
        let bar = format!("[{bar:.<BAR$}]");
        let left = left(traffic);
        let both = left.as_ref().map(|left| format!("{left}  {layers}"));
        let brief = left.as_ref().unwrap_or(&layers);
        vec![
            format!("  {name}  {bar} {percent}  {parts}"),
            format!("  {name}  {percent}  {parts}"),
            format!("  {name}  {percent}  {}  {brief}", far(traffic)[0]),
            format!("  {name}  {percent}  {}", both.as_ref().unwrap_or(brief)),
            format!("  {name}  {percent}  {brief}"),
            format!("{percent} {name}"),
        ]
    };
    let fits = |form: &&String| console::measure_text_width(form) <= width;
    let chosen = forms.iter().find(fits).or(forms.last());
    chosen.cloned().unwrap_or_default()
}

/// `line` in at most `width` columns.
fn cut(line: &str, width: usize) -> String {
    console::truncate_str(line, width, "…").into_owned()
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
