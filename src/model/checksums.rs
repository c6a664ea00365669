//! Decides what the SHA256SUMS of a release says of rpub's two programs.
//! Must never take a list that leaves one out, or names anything else.

use super::digest::Digest;
use std::str::FromStr;

/// The version that this rpub is, as its release's tag: `v1.2.3`.
pub const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));

/// SHA-256 of the two programs of this version's release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checksums {
    /// Of the one for x86-64.
    pub x86_64: Digest,
    /// Of the one for 64-bit ARM.
    pub aarch64: Digest,
}

/// Why a text is not the list of this version's checksums.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotChecksums {
    /// That line, counted from 1, is something else.
    #[error("line {0} is not the checksum of rpub {VERSION} for x86_64 or aarch64")]
    Line(usize),
    /// One of them is named twice.
    #[error("line {0} names a program again")]
    Again(usize),
    /// One of them is not named.
    #[error("rpub {VERSION} for {0} is missing in it")]
    Missing(&'static str),
}

/// What the program for an architecture, as `uname -m` names it, is called in the release.
pub fn asset(arch: &str) -> String {
    format!("rpub-{VERSION}-{arch}-linux")
}

impl Checksums {
    /// That of the program for an architecture; None where there is no such program.
    pub fn of(&self, arch: &str) -> Option<Digest> {
        match arch {
            "x86_64" => Some(self.x86_64),
            "aarch64" => Some(self.aarch64),
            _ => None,
        }
    }
}

impl FromStr for Checksums {
    type Err = NotChecksums;

    fn from_str(text: &str) -> Result<Self, NotChecksums> {
        let (mut x86_64, mut aarch64) = (None, None);
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let (hex, name) = line.split_once("  ").ok_or(NotChecksums::Line(number))?;
            let place = match name {
                name if name == asset("x86_64") => &mut x86_64,
                name if name == asset("aarch64") => &mut aarch64,
                _ => return Err(NotChecksums::Line(number)),
            };
            let digest = format!("sha256:{hex}").parse();
            let digest = digest.map_err(|_| NotChecksums::Line(number))?;
            if place.replace(digest).is_some() {
                return Err(NotChecksums::Again(number));
            }
        }
        Ok(Checksums {
            x86_64: x86_64.ok_or(NotChecksums::Missing("x86_64"))?,
            aarch64: aarch64.ok_or(NotChecksums::Missing("aarch64"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_two_lines_and_nothing_else() {
        let (one, two) = ("1".repeat(64), "a".repeat(64));
        let x86_64 = format!("{one}  {}\n", asset("x86_64"));
        let aarch64 = format!("{two}  {}\n", asset("aarch64"));
        for text in [format!("{x86_64}{aarch64}"), format!("{aarch64}{x86_64}")] {
            let read: Checksums = text.parse().unwrap();
            assert_eq!(read.of("x86_64").unwrap().hex(), one);
            assert_eq!(read.of("aarch64").unwrap().hex(), two);
            assert_eq!(read.of("riscv64"), None);
        }
        let wrong = |text: &str| text.parse::<Checksums>().unwrap_err();
        assert_eq!(wrong(""), NotChecksums::Missing("x86_64"));
        assert_eq!(wrong(&x86_64), NotChecksums::Missing("aarch64"));
        let again = format!("{x86_64}{aarch64}{x86_64}");
        assert_eq!(wrong(&again), NotChecksums::Again(3));
        for line in [
            String::new(),
            "<html>".to_owned(),
            format!("{two}  rpub-v0.0.0-x86_64-linux"),
            format!("{two}  {}.sig", asset("aarch64")),
            format!("{two} *{}", asset("aarch64")),
            format!("{}  {}", "A".repeat(64), asset("aarch64")),
            format!("{}  {}", "a".repeat(63), asset("aarch64")),
            format!("\u{1b}[2J{two}  {}", asset("aarch64")),
        ] {
            let text = format!("{x86_64}{line}\n{aarch64}");
            assert_eq!(wrong(&text), NotChecksums::Line(2), "{line:?}");
        }
    }
}
