//! Decides which registry and repository podman takes an image from.
//! Must never guess: what podman's own rules do not tell has no origin.

use super::reference::{Host, Reference, RepositoryName};

/// A rule of `registries.conf`, as podman tells it: names that begin with `prefix` are found at `location`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// `docker.io`, `docker.io/library`, `127.0.0.1:5000`
    pub prefix: String,
    /// What stands in its place; the same where nothing is redirected.
    pub location: String,
    /// Whether it may speak plain HTTP.
    pub insecure: bool,
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The registry.
    pub host: Host,
    /// The repository there.
    pub repository: RepositoryName,
    /// The tag or digest.
    pub reference: Reference,
    /// Whether the registry may speak plain HTTP.
    pub insecure: bool,
}

/// Where an image of this name comes from. None for images that are on this machine only (`localhost/…`).
pub fn origin(name: &str, redirects: &[Redirect]) -> Option<Origin> {
    let (head, rest) = name.split_once('/').unwrap_or(("", name));
    let has_host = head.contains(['.', ':']) || head == "localhost";
    let full = match (has_host, head) {
        (true, "localhost") => return None,
        (true, _) => name.to_owned(),
        (false, "") => format!("docker.io/library/{rest}"),
        (false, _) => format!("docker.io/{name}"),
    };
    let (full, reference) = split_reference(&full)?;
    let matching = redirects.iter().filter(|rule| {
        let rest = full.strip_prefix(&rule.prefix);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    let rule = matching.max_by_key(|rule| rule.prefix.len());
    let found = rule.map_or_else(
        || full.to_owned(),
        |rule| format!("{}{}", rule.location, &full[rule.prefix.len()..]),
    );
    let (host, repository) = found.split_once('/')?;
    let host: Host = host.parse().ok()?;
    Some(Origin {
        insecure: rule.is_some_and(|rule| rule.insecure) && host.is_loopback(),
        repository: repository.parse().ok()?,
        host,
        reference,
    })
}

/// The name and its tag or digest; a digest counts more than a tag.
fn split_reference(name: &str) -> Option<(&str, Reference)> {
    if let Some((name, digest)) = name.split_once('@') {
        let name = split_tag(name).map_or(name, |(name, _)| name);
        return Some((name, Reference::Digest(digest.parse().ok()?)));
    }
    let (name, tag) = split_tag(name).unwrap_or((name, "latest"));
    Some((name, Reference::Tag(tag.parse().ok()?)))
}

fn split_tag(name: &str) -> Option<(&str, &str)> {
    // A port's colon is before a slash.
    name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_where_podman_would_ask() {
        let rules = [
            ("docker.io", "127.0.0.1:5000/hub", true),
            ("docker.io/library", "mirror.example.org/library", true),
            ("127.0.0.1:7000", "127.0.0.1:7000", true),
        ];
        let rules = rules.map(|(prefix, location, insecure)| Redirect {
            prefix: prefix.to_owned(),
            location: location.to_owned(),
            insecure,
        });
        for (name, expected) in [
            // Plain HTTP beyond this machine is never taken over.
            (
                "debian",
                Some(("mirror.example.org", "library/debian", "latest", false)),
            ),
            (
                "owner/app:1",
                Some(("127.0.0.1:5000", "hub/owner/app", "1", true)),
            ),
            ("ghcr.io/o/app:2", Some(("ghcr.io", "o/app", "2", false))),
            (
                "127.0.0.1:7000/base",
                Some(("127.0.0.1:7000", "base", "latest", true)),
            ),
            ("localhost/mine", None),
            ("ghcr.io/o/app:no:tag", None),
        ] {
            let found = origin(name, &rules);
            let told = found.as_ref().map(|origin| {
                let reference = origin.reference.to_string();
                (
                    origin.host.as_str().to_owned(),
                    origin.repository.to_string(),
                    reference,
                    origin.insecure,
                )
            });
            let expected = expected.map(|(host, name, tag, insecure)| {
                (host.to_owned(), name.to_owned(), tag.to_owned(), insecure)
            });
            assert_eq!(told, expected, "{name}");
        }
        let digest = format!("sha256:{}", "0".repeat(64));
        let pinned = origin(&format!("debian:12@{digest}"), &[]).unwrap();
        assert_eq!(pinned.reference.to_string(), digest);
        assert_eq!(pinned.repository.as_str(), "library/debian");
    }
}
