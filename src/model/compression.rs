//! Decides which levels of compression there are: gzip's own.
//! Must never hold one that podman refuses, nor 0: layers would go uncompressed.

use std::{fmt, ops::RangeInclusive, str::FromStr};

/// How hard layers are compressed: 1 is quick, 9 is small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompressionLevel(u32);

impl CompressionLevel {
    /// All that there are.
    pub const RANGE: RangeInclusive<u32> = 1..=9;

    /// Where none is asked for: the quickest whose layers are less than 5 % larger than at podman's own level, which is 5
    /// (measured by `scripts/bench levels`).
    pub const USUAL: Self = Self(3);

    /// The level of this number, if it is one.
    pub fn new(number: u32) -> Option<Self> {
        Self::RANGE.contains(&number).then_some(Self(number))
    }
}

/// The text is no level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a level is a whole number from {} to {}", CompressionLevel::RANGE.start(), CompressionLevel::RANGE.end())]
pub struct BadLevel;

impl FromStr for CompressionLevel {
    type Err = BadLevel;

    fn from_str(text: &str) -> Result<Self, BadLevel> {
        let number = text.parse().map_err(|_| BadLevel)?;
        Self::new(number).ok_or(BadLevel)
    }
}

impl fmt::Display for CompressionLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_gzip() {
        for text in ["1", "6", "9"] {
            let level: CompressionLevel = text.parse().unwrap();
            assert_eq!(level.to_string(), text);
        }
        assert_eq!(CompressionLevel::new(3), Some(CompressionLevel::USUAL));
        for text in ["", "0", "10", "-1", "1.5", " 6", "best"] {
            assert_eq!(text.parse::<CompressionLevel>(), Err(BadLevel), "{text:?}");
        }
    }
}
