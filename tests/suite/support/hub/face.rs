//! Decides how Docker Hub's registry differs from the real one behind it: what it deletes, and which reads it counts.
//! Must never answer for an image: all but those answers come from the real registry.

use super::super::front::{Front, Rules, Said};
use super::super::loopback::client;
use super::super::registries::RegistryProcess;
use super::super::wire::Head;
use async_trait::async_trait;
use rpub::model::digest::Digest;
use rpub::model::reference::Host;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// How a manifest that nothing names is deleted by digest.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Deletes {
    /// 202, and it is gone.
    AtOnce,
    /// This status, and it is gone after somebody has looked for it so many times in vain.
    Later { status: u16, looks: u32 },
    /// This status, and it stays.
    Never(u16),
}

struct State {
    deletes: Deletes,
    /// What is on its way out, with how many looks it has left.
    going: BTreeMap<String, u32>,
    /// How many manifests may still be read; none: any number.
    left: Option<u32>,
    pulled: u32,
}

pub(super) struct Shared {
    registry: RegistryProcess,
    state: Mutex<State>,
}

/// The registry as its users see it; it ends when this is dropped.
pub(super) struct Face(Front<Shared>);

impl Face {
    pub(super) async fn before(registry: RegistryProcess) -> Self {
        let state = State {
            deletes: Deletes::AtOnce,
            going: BTreeMap::new(),
            left: None,
            pulled: 0,
        };
        let shared = Shared {
            registry,
            state: Mutex::new(state),
        };
        Face(Front::of(shared).await)
    }

    pub(super) fn host(&self) -> Host {
        self.0.host()
    }

    pub(super) fn registry(&self) -> &RegistryProcess {
        &self.0.rules.registry
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.rules.state.lock().unwrap()
    }

    pub(super) fn deletes(&self, how: Deletes) {
        self.state().deletes = how;
    }

    pub(super) fn forget(&self) {
        self.state().going.clear();
    }

    pub(super) fn pulls(&self, left: u32) {
        self.state().left = Some(left);
    }

    pub(super) fn pulled(&self) -> u32 {
        self.state().pulled
    }
}

#[async_trait]
impl Rules for Shared {
    fn registry(&self) -> &RegistryProcess {
        &self.registry
    }

    async fn own_answer(&self, head: &Head) -> Option<Said> {
        let shared = self;
        let path = head.word(1).strip_prefix("/v2/")?;
        let (name, reference) = path.split_once("/manifests/")?;
        let digest: Option<Digest> = reference.parse().ok();
        match (head.word(0), digest) {
            ("GET", _) => read(shared),
            ("HEAD", Some(_)) => {
                looked(shared, path).await;
                None
            }
            ("DELETE", None) => Some(Said::new(
                405,
                "UNSUPPORTED",
                "The operation is unsupported.",
            )),
            ("DELETE", Some(digest)) => delete(shared, name, digest, path),
            _ => None,
        }
    }
}

/// GET counts as a pull.
fn read(shared: &Shared) -> Option<Said> {
    let mut state = shared.state.lock().unwrap();
    if let Some(left) = &mut state.left {
        if *left == 0 {
            let message = "You have reached your pull rate limit.";
            return Some(said(429, message));
        }
        *left -= 1;
    }
    state.pulled += 1;
    None
}

fn delete(shared: &Shared, name: &str, digest: Digest, path: &str) -> Option<Said> {
    let there = shared.registry.manifests(name);
    // The real registry says 404.
    there.get(&digest)?;
    let text = digest.to_string();
    let names = |list: &serde_json::Value| {
        let children = list["manifests"].as_array().into_iter().flatten();
        children.into_iter().any(|child| child["digest"] == *text)
    };
    if there.values().any(names) {
        let message = "The manifest is still referenced by a manifest list.";
        return Some(said(403, message));
    }
    let mut state = shared.state.lock().unwrap();
    match state.deletes {
        Deletes::AtOnce => None,
        Deletes::Later { status, looks } => {
            state.going.entry(path.to_owned()).or_insert(looks);
            Some(said(status, ""))
        }
        Deletes::Never(status) => Some(said(status, "")),
    }
}

/// As Docker Hub says a status.
fn said(status: u16, message: &'static str) -> Said {
    let (code, usual) = match status {
        202 => ("", ""),
        403 => ("DENIED", "requested access to the resource is denied"),
        429 => ("TOOMANYREQUESTS", "too many requests"),
        _ => ("UNKNOWN", "unknown error"),
    };
    let message = if message.is_empty() { usual } else { message };
    let mut said = Said::new(status, code, message);
    if status == 429 {
        said.headers.push(("Ratelimit-Limit", "200;w=21600"));
        said.headers.push(("Ratelimit-Remaining", "0;w=21600"));
    }
    said
}

/// Somebody looks for a manifest: what is on its way out is gone when its looks are used up.
async fn looked(shared: &Shared, path: &str) {
    {
        let mut state = shared.state.lock().unwrap();
        match state.going.get_mut(path) {
            None => return,
            Some(0) => {}
            Some(left) => {
                *left -= 1;
                return;
            }
        }
        state.going.remove(path);
    }
    let url = format!("http://{}/v2/{path}", shared.registry.host());
    let deleted = client().delete(url).send().await.unwrap();
    assert_eq!(deleted.status(), 202);
}
