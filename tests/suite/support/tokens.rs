//! Decides who passes where a proxy demands Bearer tokens: GHCR's flow, with a token service beside the registry.
//! Must never be more lenient than GHCR: a token serves the scopes it was made for and no others.

use super::wire::Head;
use base64::Engine as _;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// The token service and what it has given out.
pub(crate) struct Tokens {
    login: String,
    /// Token → the scopes it serves.
    valid: Mutex<BTreeMap<String, Vec<String>>>,
    issued: Mutex<u32>,
}

/// What a request is answered with, where it may not pass.
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Tokens {
    pub(crate) fn new(user: &str, password: &str) -> Self {
        let login = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        Tokens {
            login,
            valid: Mutex::default(),
            issued: Mutex::default(),
        }
    }

    /// From now on none of the tokens passes.
    pub(crate) fn expire(&self) {
        self.valid.lock().unwrap().clear();
    }

    /// Every token given out so far begins with this.
    pub(crate) const PREFIX: &'static str = "tok-topsecret-";

    /// `GET /token?service=…&scope=…`: a token for a right login, 403 DENIED (as GHCR says it) for a wrong one.
    pub(crate) fn issue(&self, head: &Head, query: &str) -> Refusal {
        if head.get("authorization") != Some(&format!("Basic {}", self.login)) {
            return Refusal {
                status: 403,
                headers: vec![],
                body: r#"{"errors":[{"code":"DENIED","message":"denied"}]}"#.to_owned(),
            };
        }
        let mut issued = self.issued.lock().unwrap();
        *issued += 1;
        let token = format!("{}{issued}-{}", Self::PREFIX, "x".repeat(40));
        let scopes = query
            .split('&')
            .filter_map(|pair| pair.strip_prefix("scope="))
            .map(|scope| {
                scope
                    .replace("%3A", ":")
                    .replace("%2F", "/")
                    .replace("%2C", ",")
            })
            .collect();
        self.valid.lock().unwrap().insert(token.clone(), scopes);
        Refusal {
            status: 200,
            headers: vec![],
            body: format!(r#"{{"token":"{token}"}}"#),
        }
    }

    /// `Err` with a challenge where the request's token does not serve.
    pub(crate) fn check(&self, head: &Head, base: &str) -> Result<(), Refusal> {
        let path = head.word(1).split('?').next().unwrap_or_default();
        let action = match head.word(0) {
            "GET" | "HEAD" => "pull",
            "DELETE" if path.contains("/manifests/") => "delete",
            _ => "push",
        };
        let name = path
            .strip_prefix("/v2/")
            .and_then(|rest| {
                ["/blobs/", "/manifests/", "/tags/"]
                    .iter()
                    .find_map(|part| rest.split_once(part))
            })
            .map(|(name, _)| name);
        let token = head
            .get("authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        let valid = self.valid.lock().unwrap();
        let scopes = token.and_then(|token| valid.get(token));
        let serves = scopes.is_some_and(|scopes| {
            name.is_none_or(|name| {
                scopes.iter().any(|scope| {
                    scope
                        .strip_prefix(&format!("repository:{name}:"))
                        .is_some_and(|actions| actions.split(',').any(|one| one == action))
                })
            })
        });
        if serves {
            return Ok(());
        }
        let wanted = match action {
            "pull" => "pull",
            "push" => "pull,push",
            _ => "pull,push,delete",
        };
        let scope = name.map_or(String::new(), |name| {
            format!(r#",scope="repository:{name}:{wanted}""#)
        });
        Err(Refusal {
            status: 401,
            headers: vec![(
                "WWW-Authenticate".to_owned(),
                format!(r#"Bearer realm="{base}/token",service="registry.test"{scope}"#),
            )],
            body: r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#
                .to_owned(),
        })
    }
}
