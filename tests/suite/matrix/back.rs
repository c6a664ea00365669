//! Decides that a release which fails leaves none of its tags anywhere, or says which: whatever breaks, also while it goes back.
//! Must never list requests by hand: those that a roll-back makes are seen in one without a second fault.

use super::places::{Places, Tags};
use crate::support::{
    faults::{Fault, Rule},
    proxy::Proxy,
};
use rpub::error::{Error, Kind};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

/// The kind of a request: `DELETE manifests/sha256`, `GET versions/ID`.
pub(super) fn kind(method: &str, target: &str) -> String {
    let path = target.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.split('/').collect();
    let from = |word: &str| parts.iter().rposition(|part| *part == word);
    let rest = ["manifests", "blobs", "tags", "versions", "users", "token"];
    let start = rest.iter().find_map(|word| from(word)).unwrap_or_default();
    let part = |part: &&str| match *part {
        digest if digest.starts_with("sha256:") => "sha256".to_owned(),
        id if id.len() > 3 && id.chars().all(|c| c.is_ascii_digit()) => "ID".to_owned(),
        session if session.len() > 30 => "SESSION".to_owned(),
        // The owner is the case's own.
        _ if parts[start] == "users" => "users".to_owned(),
        part => part.to_owned(),
    };
    let parts: Vec<String> = parts[start..].iter().map(part).collect();
    format!("{method} {}", parts.join("/"))
}

/// What begins the roll-back: `latest` cannot be moved on docker-registry. From then on `under_way` is true.
pub(super) fn failing(places: &Places, under_way: &Arc<AtomicBool>) {
    let under_way = Arc::clone(under_way);
    let fits = move |method: &str, target: &str| {
        let fits = kind(method, target) == "PUT manifests/latest";
        under_way.fetch_or(fits, Ordering::SeqCst);
        fits
    };
    let refused = Rule::at(fits, Fault::status(400)).always();
    places.proxy.break_also(refused);
}

type Counts = BTreeMap<String, u32>;

/// Counts the requests that come to a proxy while it is under way; breaks none.
fn count(proxy: &Proxy, under_way: &Arc<AtomicBool>) -> Arc<Mutex<Counts>> {
    let counts = Arc::new(Mutex::new(Counts::new()));
    let (counted, under_way) = (Arc::clone(&counts), Arc::clone(under_way));
    let fits = move |method: &str, target: &str| {
        if under_way.load(Ordering::SeqCst) {
            let kind = kind(method, target);
            *counted.lock().unwrap().entry(kind).or_default() += 1;
        }
        false
    };
    proxy.break_also(Rule::at(fits, Fault::Reset));
    counts
}

/// The n-th request of a kind breaks, or each from it on.
struct Case {
    place: usize,
    kind: String,
    nth: u32,
    lasting: bool,
    name: &'static str,
    fault: Fault,
}

fn faults() -> [(&'static str, Fault); 8] {
    [
        ("reset", Fault::Reset),
        ("answer lost", Fault::LoseAnswer),
        ("401", Fault::status(401)),
        ("403", Fault::status(403)),
        ("404", Fault::status(404)),
        ("405", Fault::status(405)),
        ("500", Fault::status(500)),
        ("a web page", Fault::html(200)),
    ]
}

/// Every fault at the first and the last request of each kind: for ever, and where `single` also once, by turns.
fn cases(counted: &[Counts], single: bool) -> Vec<Case> {
    let wanted = std::env::var("RPUB_MATRIX").unwrap_or_default();
    let mut cases = Vec::new();
    for (place, counts) in counted.iter().enumerate() {
        for (kind, count) in counts {
            for nth in [1, *count] {
                if nth == 1
                    && *count == 1
                    && cases
                        .last()
                        .is_some_and(|one: &Case| one.kind == *kind && one.place == place)
                {
                    continue;
                }
                for (index, (name, fault)) in faults().into_iter().enumerate() {
                    for lasting in [false, true] {
                        let turn = (index + nth as usize).is_multiple_of(2) == lasting;
                        let case = Case {
                            place,
                            kind: kind.clone(),
                            nth,
                            lasting,
                            name,
                            fault: fault.clone(),
                        };
                        let stands = if single { turn } else { lasting };
                        if (wanted == "all" || wanted.is_empty()) && stands || wanted == case.name()
                        {
                            cases.push(case);
                        }
                    }
                }
            }
        }
    }
    cases
}

impl Case {
    fn name(&self) -> String {
        let onwards = if self.lasting { " onwards" } else { "" };
        format!(
            "{}: {} {}{onwards}, {}",
            self.place, self.kind, self.nth, self.name
        )
    }

    fn rule(&self, under_way: &Arc<AtomicBool>) -> Rule {
        let (wanted, under_way) = (self.kind.clone(), Arc::clone(under_way));
        let fits = move |method: &str, target: &str| {
            under_way.load(Ordering::SeqCst) && kind(method, target) == wanted
        };
        let rule = Rule::at(fits, self.fault.clone()).nth(self.nth);
        if self.lasting { rule.onwards() } else { rule }
    }

    /// Whether it passes, and is no answer that another try would not change.
    fn passes(&self) -> bool {
        !self.lasting && !matches!(self.name, "401" | "403" | "404" | "405")
    }
}

/// Each place has what it had before.
fn is_old(places: &Places, found: &[Tags]) -> Result<(), String> {
    let old: BTreeMap<String, _> = (places.old.tags.iter())
        .map(|tag| (tag.to_string(), places.old.list.digest()))
        .collect();
    let other = found.iter().find(|place| place.tags != old);
    other.map_or(Ok(()), |place| {
        Err(format!("{} has {:?}", place.repository, place.tags))
    })
}

pub(super) fn is_new(places: &Places, found: &[Tags]) -> Result<(), String> {
    let mut new: BTreeMap<String, _> = (places.new.tags.iter())
        .map(|tag| (tag.to_string(), places.new.list.digest()))
        .collect();
    new.insert("1.2.2".to_owned(), places.old.list.digest());
    let other = found.iter().find(|place| place.tags != new);
    other.map_or(Ok(()), |place| {
        Err(format!("{} has {:?}", place.repository, place.tags))
    })
}

/// Each tag that is not as before is named, with what must be done; none of them is a stranger.
fn is_told(places: &Places, found: &[Tags], error: &Error, junk: bool) -> Result<(), String> {
    for place in found {
        for tag in places.old.tags.iter().chain(&places.new.tags) {
            let (old, new) = (places.old.list.digest(), places.new.list.digest());
            let was = places.old.tags.contains(tag).then_some(old);
            let now = place.tags.get(tag.as_str()).copied();
            let name = format!("{}:{tag}", place.repository);
            let told = match was {
                Some(was) => format!("let {name} name {was} again"),
                None => format!("remove {name}"),
            };
            if now != was && !error.place.contains(&told) {
                return Err(format!("{name} names {now:?}, and that is not told"));
            }
            if now.is_some_and(|now| now != old && now != new) && !junk {
                return Err(format!("{name} names {now:?}"));
            }
        }
    }
    Ok(())
}

/// One case; what broke the promise.
async fn play(places: &Places, case: &Case, from_the_start: bool) -> Result<(), String> {
    let (namespace, mut machine) = places.case();
    let under_way = Arc::new(AtomicBool::new(from_the_start));
    places.heal();
    if !from_the_start {
        failing(places, &under_way);
    }
    places.proxies()[case.place]
        .1
        .break_also(case.rule(&under_way));
    let released = machine.release(&places.new).await;
    places.heal();
    let found = places.look(&namespace);
    let Err(error) = released else {
        return if from_the_start {
            is_new(places, &found)
        } else {
            Err("it was published".to_owned())
        };
    };
    let told = format!(
        "\n  {:?}: {error} / {}\n{}",
        error.kind,
        error.hint,
        machine.traces()
    );
    let with = |broken: String| broken + &told;
    match error.kind {
        Kind::RollbackIncomplete if !machine.is_unfinished() => {
            return Err(with("its journal is gone".to_owned()));
        }
        Kind::RollbackIncomplete => {
            // Where nothing can be written under the tag any more, what stands there is told.
            let junk = told.contains("an empty manifest of rpub's");
            is_told(places, &found, &error, junk).map_err(with)?;
            if !error.hint.contains("rpub release refs/tags/v1.2.3") {
                return Err(with("how to go on is not told".to_owned()));
            }
            if case.name == "401" && !error.hint.contains("podman login") {
                return Err(with("the cause is not told".to_owned()));
            }
        }
        _ if machine.is_unfinished() => return Err(with("its journal stays".to_owned())),
        _ => {
            is_old(places, &found).map_err(with)?;
            if !places.junk(&namespace).is_empty() {
                return Err(with("a throw-away manifest is left".to_owned()));
            }
        }
    }
    if !from_the_start && case.passes() && error.kind != Kind::RolledBack {
        return Err(with("it did not go back".to_owned()));
    }
    // Whatever happened: it is published when all is well.
    let again = machine.release(&places.new).await;
    again.map_err(|error| with(format!("run again: {error}")))?;
    is_new(places, &places.look(&namespace)).map_err(with)
}

async fn run(places: &Places, cases: Vec<Case>, from_the_start: bool) {
    let many = cases.len();
    let mut broken = Vec::new();
    for case in cases {
        if let Err(why) = play(places, &case, from_the_start).await {
            broken.push(format!("{}: {why}", case.name()));
        }
    }
    assert!(
        broken.is_empty(),
        "{} of {many} cases; one alone: RPUB_MATRIX='NAME'\n{}",
        broken.len(),
        broken.join("\n")
    );
}

/// The requests at each place from a moment on in a release that fails, or that does not.
async fn counted(places: &Places, from_the_start: bool) -> Vec<Counts> {
    let (namespace, mut machine) = places.case();
    let under_way = Arc::new(AtomicBool::new(from_the_start));
    if !from_the_start {
        failing(places, &under_way);
    }
    let counts = places.proxies().map(|(_, proxy)| count(proxy, &under_way));
    let released = machine.release(&places.new).await;
    places.heal();
    let found = places.look(&namespace);
    if from_the_start {
        released.unwrap();
        is_new(places, &found).unwrap();
    } else {
        let error = released.unwrap_err();
        let told = format!("{error}: {}", machine.traces());
        assert_eq!(error.kind, Kind::RolledBack, "{told}");
        is_old(places, &found).unwrap();
        assert!(places.junk(&namespace).is_empty());
    }
    counts.map(|counts| counts.lock().unwrap().clone()).to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matrix_of_a_roll_back_leaves_no_tag_or_names_it() {
    let places = Places::new(false).await;
    let counted = counted(&places, false).await;
    for place in [0, 1, 3] {
        assert!(
            counted[place].contains_key("PUT manifests/1.2.3"),
            "{counted:?}"
        );
    }
    for (place, kind) in [
        (0, "manifests/sha256"),
        (2, "versions/ID"),
        (3, "manifests/sha256"),
    ] {
        let kind = format!("DELETE {kind}");
        assert!(counted[place].contains_key(&kind), "{counted:?}");
    }
    run(&places, cases(&counted, true), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matrix_of_one_lasting_fault_leaves_no_tag_or_names_it() {
    let places = Places::new(false).await;
    let counted = counted(&places, true).await;
    run(&places, cases(&counted, false), true).await;
}
