//! Decides the flag of how layers are compressed, which every command that pushes has.
//! Must never ask whether podman has it.

use crate::model::{compression::CompressionLevel, spec::Spec};

/// Over `compression_level` of the configuration.
#[derive(Debug, clap::Args)]
pub(super) struct Layers {
    /// How hard new layers are compressed: 1 (quick) to 9 (small); the same on every machine [default: 3]
    #[arg(long, value_name = "N", env = "RPUB_COMPRESSION_LEVEL")]
    compression_level: Option<CompressionLevel>,
}

impl Layers {
    pub(super) fn over(&self, spec: &mut Spec) {
        spec.compression_level = self.compression_level.or(spec.compression_level);
    }
}
