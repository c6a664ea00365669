//! Decides what is read of an engine's `info`: version, platform, redirects, and the helper that makes networks for steps.
//! Must never ask twice: podman looks up the packages of its helpers each time (`dpkg -S`, half a second of processor).

use super::libpod::{Failure, Libpod, read_bounded};
use crate::model::{fault::one_line, origin::Redirect, platform::Platform};
use reqwest::Method;
use serde_json::Value;

/// No `info` is larger.
const LIMIT: usize = 1024 * 1024;

/// What an engine says of itself.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) version: String,
    pub(super) platform: Platform,
    pub(super) rootless: bool,
    pub(super) redirects: Vec<Redirect>,
    pub(super) helpers: Helpers,
}

/// The programs that can connect a step's network.
#[derive(Debug, Clone, Default)]
pub(super) struct Helpers {
    pub(super) slirp4netns: bool,
    pub(super) pasta: bool,
    /// The one that podman uses, where it tells (from 5.0 on).
    pub(super) chosen: Option<String>,
}

impl About {
    /// Asks the engine; an error is in its words.
    pub(super) async fn ask(libpod: &Libpod) -> Result<About, String> {
        let call = libpod.request(Method::GET, &["info"]);
        let answer = libpod.send(call).await;
        let answer = answer.map_err(|Failure { words, .. }| words)?;
        let body = read_bounded(answer, LIMIT).await;
        let info: Value = serde_json::from_slice(&body)
            .map_err(|error| format!("its info is not JSON: {error}"))?;
        About::read(&info)
    }

    fn read(info: &Value) -> Result<About, String> {
        let text = |pointer: &str| info.pointer(pointer).and_then(Value::as_str);
        let some = |pointer: &str| text(pointer).filter(|text| !text.is_empty());
        let (os, arch) = (text("/host/os"), text("/host/arch"));
        Ok(About {
            version: one_line(some("/version/Version").ok_or("it does not tell its version")?),
            platform: Platform::of_engine(os.unwrap_or_default(), arch.unwrap_or_default())
                .map_err(|error| error.to_string())?,
            // An engine that does not say is not trusted to be rootless.
            rootless: info.pointer("/host/security/rootless") == Some(&Value::Bool(true)),
            redirects: info.get("registries").map(redirects).unwrap_or_default(),
            helpers: Helpers {
                slirp4netns: some("/host/slirp4netns/executable").is_some(),
                pasta: some("/host/pasta/executable").is_some(),
                chosen: some("/host/rootlessNetworkCmd").map(one_line),
            },
        })
    }
}

/// The rules of `registries.conf`: an object for each prefix, beside `search`, which is a list.
fn redirects(told: &Value) -> Vec<Redirect> {
    let rules = told.as_object().into_iter().flatten();
    let rule = |(prefix, rule): (&String, &Value)| {
        let location = rule.get("Location")?.as_str()?;
        Some(Redirect {
            prefix: prefix.clone(),
            location: if location.is_empty() {
                prefix
            } else {
                location
            }
            .to_owned(),
            insecure: rule.get("Insecure").and_then(Value::as_bool) == Some(true),
        })
    };
    rules.filter_map(rule).collect()
}
