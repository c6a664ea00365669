//! Decides at which request of a release it is killed, and how the story ends then.
//! Must never name a request that a release does not make.

/// The tags that v1.2.3 moves, in order.
pub(super) const TAGS: [&str; 3] = ["1.2.3", "1.2", "latest"];

/// The request at which a release is stopped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) registry: usize,
    pub(super) image: usize,
    /// The tag that it is about; empty for the list of all tags.
    pub(super) tag: &'static str,
    pub(super) method: &'static str,
    /// The how many-th of such requests.
    pub(super) nth: u32,
    /// Whether the registry has done it, and only the answer is missing.
    pub(super) done: bool,
}

/// What is run after the kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The same release: it is finished.
    Same,
    /// v1.2.4: the killed one is taken back first.
    Other,
}

impl Point {
    /// The path of its request for an image.
    pub(super) fn path(&self, name: &str) -> String {
        if self.tag.is_empty() {
            format!("/{name}/tags/list")
        } else {
            format!("/{name}/manifests/{}$", self.tag)
        }
    }

    /// Whether a registry is another one when it is done.
    pub(super) fn writes(&self) -> bool {
        self.method == "PUT"
    }

    /// Whether the journal is written before it: reading what is there comes before.
    pub(super) fn journaled(&self) -> bool {
        self.method != "GET"
    }
}

/// Every request from the first look at the tags to the last read-back, each before and after the registry has done it;
/// with the ending that it has where not all have both.
pub(super) fn points() -> Vec<(Point, Ending)> {
    // The first list of tags is asked for before anything is assembled; each list is asked on once. A PUT is read back by
    // who sent it, and again by who decides that the next tag may move.
    let mut requests = vec![("", "GET", 3), ("", "GET", 4)];
    requests.extend(TAGS.map(|tag| (tag, "GET", 1)));
    for tag in TAGS {
        requests.extend([(tag, "PUT", 1), (tag, "HEAD", 1), (tag, "HEAD", 2)]);
    }
    let mut points = Vec::new();
    for (number, (tag, method, nth)) in requests.into_iter().enumerate() {
        for bits in 0..8 {
            let [registry, image, done] = [bits & 1, bits >> 1 & 1, bits >> 2];
            let point = Point {
                registry,
                image,
                tag,
                method,
                nth,
                done: done == 1,
            };
            let even = (number + registry + image + done).is_multiple_of(2);
            points.push((point, if even { Ending::Same } else { Ending::Other }));
        }
    }
    points
}
