//! Decides that who is told to slow down does, as long as GitHub says, and that the token never shows.
//! Must never wait for a minute: what would be waited is in the fault.

use super::*;
use crate::support::deletions::deletion_of;

const LIMIT: &str = "You have exceeded a secondary rate limit. Please wait a few minutes.";

fn limited(status: u16) -> Break {
    let body = serde_json::json!({"message": LIMIT});
    Break::status(status).body(&body.to_string())
}

/// One that tries once, so that nobody waits.
fn impatient(ghcr: &Ghcr) -> Remote {
    let mut options = options_for(ghcr);
    options.policy.tries = 1;
    let (registry, ..) = client(options, login());
    registry.repository(APP.parse().unwrap())
}

/// All requests that the client makes of the API here: of the owner, of the list, of one, and the deletion.
const REQUESTS: [(&str, &str); 4] = [
    ("GET", "/users/"),
    ("GET", "/versions?"),
    ("GET", "/versions/"),
    ("DELETE", "/versions/"),
];

#[tokio::test]
async fn ghcr_is_waited_for_as_long_as_it_says() {
    let (ghcr, manifests) = filled(9).await;
    let mut left = manifests.iter().skip(1);
    for status in [403, 429] {
        for (method, pattern) in REQUESTS {
            let wait = limited(status).header("Retry-After", "1");
            ghcr.api_proxy.break_also(Rule::on(method, pattern, wait));
            let (registry, mut told, _) = client(options_for(&ghcr), login());
            let app = registry.repository(APP.parse().unwrap());
            let digest = left.next().unwrap().digest();
            let deleted = app.delete(&deletion_of(digest)).await.unwrap();
            assert_eq!(deleted, rpub::model::retention::Deleted::Now);
            let mut waits = Vec::new();
            while let Ok(event) = told.try_recv() {
                if let Event::Waiting { delay, reason, .. } = event {
                    waits.push((delay >= Duration::from_secs(1), reason));
                }
            }
            assert_eq!(waits.len(), 1, "{status} {method} {pattern}");
            assert!(waits[0].0, "{waits:?}");
            assert!(waits[0].1.contains("secondary rate limit"), "{waits:?}");
            ghcr.api_proxy.heal();
        }
    }
    assert_eq!(ghcr.packages().package(APP).len(), 1);
}

#[tokio::test]
async fn ghcr_is_waited_for_a_minute_where_it_names_no_time() {
    let (ghcr, manifests) = filled(2).await;
    let deletion = deletion_of(manifests[1].digest());
    let hour = jiff::Timestamp::now().as_second() + 3600;
    let used_up = |status| {
        Break::status(status)
            .header("x-ratelimit-remaining", "0")
            .header("x-ratelimit-reset", hour.to_string())
    };
    let minute = Duration::from_mins(1);
    for (method, pattern) in REQUESTS {
        for (fault, at_least, below) in [
            (limited(403), minute, 2 * minute),
            (limited(429), minute, 2 * minute),
            (Break::status(429), minute, 2 * minute),
            (
                limited(403).header("Retry-After", "90"),
                Duration::from_secs(90),
                2 * minute,
            ),
            (used_up(403), 59 * minute, 61 * minute),
            (used_up(429), 59 * minute, 61 * minute),
        ] {
            let context = format!("{method} {pattern} {fault:?}");
            ghcr.api_proxy
                .break_also(Rule::on(method, pattern, fault).always());
            let fault = impatient(&ghcr).delete(&deletion).await.unwrap_err();
            assert_eq!(fault.class, Class::RateLimit, "{context}: {fault}");
            let wait = fault.retry_after.unwrap();
            assert!(wait >= at_least && wait < below, "{context}: {wait:?}");
            ghcr.api_proxy.heal();
        }
    }
    assert_eq!(ghcr.packages().package(APP).len(), 2);
    // An hour is more than anybody waits, with all tries left.
    ghcr.api_proxy
        .break_also(Rule::on("GET", "", used_up(403)).always());
    let fault = at(&ghcr, APP).versions().await.unwrap_err();
    assert_eq!(fault.class, Class::RateLimit);
}

#[tokio::test]
async fn ghcr_gets_the_token_and_nobody_else_sees_it() {
    const WRONG: &str = "ghp_topsecret0123456789abcdefghijklmnop";
    let (ghcr, manifests) = filled(2).await;
    let digest = manifests[1].digest();
    let echo =
        serde_json::json!({"message": format!("Bad credentials: Bearer {WRONG}")}).to_string();
    for status in [401, 403, 404, 422, 500] {
        for (method, pattern) in REQUESTS.into_iter().chain([("POST", "/restore")]) {
            let context = format!("{status} {method} {pattern}");
            let (registry, mut told, _) = client(
                options_for(&ghcr),
                CredentialSource::login(USER, WRONG.to_owned().into()),
            );
            let app = registry.repository(APP.parse().unwrap());
            let fault = Break::status(status).body(&echo);
            ghcr.api_proxy
                .break_also(Rule::on(method, pattern, fault).always());
            // To the emulator the token is wrong; what comes before the request in question has to be right.
            let one = serde_json::json!({
                "id": 1, "name": digest, "type": "Organization",
                "created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-01T00:00:00Z",
            });
            let list = Break::status(200).body(&format!("[{one}]"));
            let one = Break::status(200).body(&one.to_string());
            ghcr.api_proxy
                .break_also(Rule::on("GET", "/versions?", list).always());
            ghcr.api_proxy.break_also(Rule::on("GET", "", one).always());
            let mut seen = vec![
                format!("{registry:?} {app:?} {:?}", app.versions().await),
                format!("{:?}", app.delete(&deletion_of(digest)).await),
                format!("{:?}", app.restore(digest).await),
            ];
            if let Err(fault) = app.restore(digest).await {
                seen.push(format!("{fault} {} {}", fault.remedy(), fault.place()));
            }
            while let Ok(event) = told.try_recv() {
                seen.push(format!("{event:?}"));
            }
            let seen = seen.join(" ");
            assert!(ghcr.api_proxy.count(method, pattern) > 0, "{context}");
            is_clean(&seen);
            assert!(!seen.contains(WRONG), "{context}: {seen}");
            ghcr.api_proxy.heal();
        }
    }
    let sent = |seen: &crate::support::proxy::Seen| seen.authorization.clone().unwrap();
    let bearer = format!("Bearer {WRONG}");
    assert!(
        ghcr.api_proxy
            .seen()
            .iter()
            .all(|seen| sent(seen) == bearer)
    );
    // The registry's own tokens are no business of the API, nor the login of where its pages point.
    let others = ghcr.proxy.seen();
    assert!(
        others
            .iter()
            .all(|seen| seen.authorization.as_ref() != Some(&bearer))
    );
}
