//! Decides what a WWW-Authenticate header asks for: Bearer with realm, service and scope, or Basic.
//! Must never fail on what it does not know: an unknown scheme is skipped, a broken one is no challenge.

/// What a registry asks for with a 401 (RFC 9110, 11.6.1; distribution's token specification).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A token from `realm`.
    Bearer {
        /// The token service's URL.
        realm: String,
        /// Who the token is for.
        service: Option<String>,
        /// What the token must permit, divided by spaces.
        scope: Option<String>,
    },
    /// User and password with each request.
    Basic,
}

impl Challenge {
    /// The one to answer among all header values: Bearer before Basic.
    pub(super) fn choose<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<Challenge> {
        let all: Vec<_> = headers.into_iter().flat_map(parse).collect();
        all.iter()
            .find(|challenge| matches!(challenge, Challenge::Bearer { .. }))
            .or(all.first())
            .cloned()
    }
}

/// A scheme with its parameters, names in lower case.
type Scheme = (String, Vec<(String, String)>);

fn parse(header: &str) -> Vec<Challenge> {
    schemes(header)
        .into_iter()
        .filter_map(|(scheme, params)| {
            let get = |name: &str| {
                let found = params.iter().find(|(key, _)| key == name);
                found.map(|(_, value)| value.clone())
            };
            match scheme.as_str() {
                "bearer" => Some(Challenge::Bearer {
                    realm: get("realm").filter(|realm| !realm.is_empty())?,
                    service: get("service"),
                    scope: get("scope"),
                }),
                "basic" => Some(Challenge::Basic),
                _ => None,
            }
        })
        .collect()
}

/// Splits a header at its commas, except quoted ones. A piece without `=` before its first space begins a scheme.
fn schemes(header: &str) -> Vec<Scheme> {
    let mut found: Vec<Scheme> = Vec::new();
    for piece in split_unquoted(header) {
        let mut piece = piece.trim();
        let word = piece.split([' ', '\t']).next().unwrap_or_default();
        if !word.is_empty() && !word.contains('=') {
            found.push((word.to_ascii_lowercase(), Vec::new()));
            piece = piece[word.len()..].trim_start();
        }
        let (Some((key, value)), Some((_, params))) = (piece.split_once('='), found.last_mut())
        else {
            continue;
        };
        params.push((key.trim().to_ascii_lowercase(), unquote(value.trim())));
    }
    found
}

fn split_unquoted(header: &str) -> Vec<&str> {
    let (mut pieces, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in header.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                pieces.push(&header[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&header[start..]);
    pieces
}

fn unquote(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"') else {
        return value.to_owned();
    };
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let (mut out, mut escaped) = (String::new(), false);
    for c in inner.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            escaped = false;
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn what_registries_send_is_understood() {
        let ghcr = r#"Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:o/n:pull,push""#;
        let expected = Some(bearer(
            "https://ghcr.io/token",
            Some("ghcr.io"),
            Some("repository:o/n:pull,push"),
        ));
        assert_eq!(Challenge::choose([ghcr]), expected);
        let odd = r#"  bEARER  Service = ghcr.io , realm="https://ghcr.io/token" ,error="insufficient_scope",,scope="repository:o/n:pull,push" "#;
        assert_eq!(Challenge::choose([odd]), expected);
        assert_eq!(
            Challenge::choose([r#"Basic realm="Registry, \"quoted\"""#]),
            Some(Challenge::Basic)
        );
    }

    #[test]
    fn of_several_the_token_is_taken() {
        let both = r#"Basic realm="a, b", Negotiate, Bearer realm="https://t/""#;
        assert_eq!(
            Challenge::choose([both]),
            Some(bearer("https://t/", None, None))
        );
        let two = ["Basic realm=x", r#"Bearer realm="https://t/""#];
        assert_eq!(
            Challenge::choose(two),
            Some(bearer("https://t/", None, None))
        );
    }

    #[test]
    fn what_is_no_challenge_is_none() {
        for bad in [
            "",
            ",",
            "Negotiate",
            "Bearer",
            "Bearer service=x",
            "\"",
            "=",
            "realm=\"x\"",
        ] {
            assert_eq!(Challenge::choose([bad]), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_it_panic(header in "\\PC{0,80}") {
            let _ = Challenge::choose([header.as_str()]);
        }
    }
}
