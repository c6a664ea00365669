//! Decides what the program knows of its own making: target, compiler, commit.
//! Must never fail for want of git: the commit is what `RPUB_COMMIT` says, or unknown.
#![allow(clippy::print_stdout, reason = "cargo is spoken to by lines")]

use std::{env, process::Command};

fn main() {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    let text = output
        .ok()
        .and_then(|out| String::from_utf8(out.stdout).ok());
    let rustc = text.as_deref().map_or("unknown", str::trim);
    let target = env::var("TARGET").unwrap_or_else(|_| "unknown".to_owned());
    println!("cargo:rustc-env=RPUB_BUILT_BY={rustc}");
    println!("cargo:rustc-env=RPUB_BUILT_FOR={target}");
    // scripts/release-binaries sets it; asked of git here, every commit would build everything anew.
    println!("cargo:rerun-if-env-changed=RPUB_COMMIT");
    println!("cargo:rerun-if-changed=build.rs");
}
