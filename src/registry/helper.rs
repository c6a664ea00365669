//! Decides how a `docker-credential-NAME` program is asked for a login.
//! Must never run anything but a plain name found in PATH, wait for ever, or read without a limit.

use super::credentials::{Credential, Environment, is_plain};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// No login is longer.
const OUTPUT_LIMIT: u64 = 64 * 1024;
/// A helper that asks a person for something will not be answered in CI.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct Found {
    #[serde(rename = "Username")]
    username: String,
    #[serde(rename = "Secret")]
    secret: SecretString,
}

/// Asks `docker-credential-NAME` for the login of `server`; `None` where it has none.
pub(super) async fn get(
    name: &str,
    server: &str,
    environment: &Environment,
) -> Result<Option<Credential>, String> {
    if !is_plain(name) {
        return Err("the credential helper's name is not a plain name".to_owned());
    }
    let program = format!("docker-credential-{name}");
    let path = environment.get("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(&program))
        .find(|file| file.is_file())
        .ok_or_else(|| format!("{program} is not in PATH"))?;
    let asked = tokio::time::timeout(PATIENCE, ask(found, server)).await;
    let (success, output) = asked
        .map_err(|_| format!("{program} did not answer within {} s", PATIENCE.as_secs()))?
        .map_err(|error| format!("{program}: {error}"))?;
    if !success {
        // The protocol's own words for "I have none" come on stdout, with exit code 1.
        let none = String::from_utf8_lossy(&output).contains("credentials not found");
        return if none {
            Ok(None)
        } else {
            Err(format!("{program} failed"))
        };
    }
    // Neither the output nor the parser's words about it may be told: they hold the secret.
    let found: Found = serde_json::from_slice(&output)
        .map_err(|_| format!("{program} did not answer with a login in JSON"))?;
    Ok(match found.username.as_str() {
        _ if found.secret.expose_secret().is_empty() => None,
        "<token>" => Some(Credential::RefreshToken(found.secret)),
        _ => Some(Credential::Login {
            user: found.username,
            password: found.secret,
        }),
    })
}

async fn ask(program: PathBuf, server: &str) -> std::io::Result<(bool, Vec<u8>)> {
    let mut child = tokio::process::Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that ends without reading has its say in the exit code.
        let _ = stdin.write_all(server.as_bytes()).await;
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(OUTPUT_LIMIT).read_to_end(&mut output).await?;
    }
    let status = child.wait().await?;
    Ok((status.success(), output))
}
