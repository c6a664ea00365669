//! Decides that doctor finds mistakes in rpub.toml and in Containerfiles, and opens them where they are.
//! Must never let an editor do what the finding did not tell.

use crate::machine::Machine;

const CONTAINERFILE: &str = "FROM scratch\nCOPY text /\nHEALTHCHECK CMD [\"/x\"]\n";
const TOML: &str = "[[image]]\nname = \"app\"\nplatforms = [\"linux/amd64\"]\n";

fn project(toml: &str, containerfile: &str) -> Machine {
    let machine = Machine::start();
    machine.write("rpub.toml", toml);
    machine.write("Containerfile", containerfile);
    machine.write("text", "x");
    machine
}

/// An editor in which a person gives one command of sed's, at the line that it is opened at.
fn editor(machine: &Machine, command: &str) -> String {
    machine.write(
        "editor",
        &format!("#!/bin/sh\nexec sed -i \"${{1#+}}{command}\" \"$2\"\n"),
    );
    "chmod +x editor; export EDITOR=./editor".to_owned()
}

#[test]
fn a_project_as_it_should_be() {
    let machine = project(TOML, CONTAINERFILE);
    let said = machine.doctor("", "");
    assert_eq!(said.code, 0, "{:#}", said.document);
    assert_eq!(
        (said.severity("config"), said.severity("containerfile")),
        ("ok", "ok")
    );
    let found = said.of("containerfile").unwrap()["found"].as_str().unwrap();
    assert!(found.contains("HEALTHCHECK"), "{found}");
}

#[test]
fn a_word_that_rpub_toml_does_not_know() {
    let machine = project(&TOML.replace("platforms", "platfroms"), CONTAINERFILE);
    let lines = editor(&machine, "s/platfroms/platforms/");
    machine.heals("config", 2, &lines);
}

#[test]
fn a_containerfile_that_is_not_there() {
    let toml = TOML.replace("[[image]]\n", "[[image]]\ncontainerfile = \"Dockerfile\"\n");
    let machine = project(&toml, CONTAINERFILE);
    let lines = editor(&machine, "s/Dockerfile/Containerfile/");
    machine.heals("config", 2, &lines);
}

#[test]
fn a_containerfile_that_is_none() {
    let machine = project(TOML, "FROM scratch\nCOPPY text /\n");
    let lines = editor(&machine, "s/COPPY/COPY/");
    machine.heals("containerfile", 2, &lines);
}

#[test]
fn a_file_that_is_copied_and_not_there() {
    let machine = project(TOML, "FROM scratch\nCOPY txet /\n");
    let lines = editor(&machine, "s/txet/text/");
    machine.heals("copy-source", 2, &lines);
}

#[test]
fn a_file_that_is_copied_and_left_out() {
    let machine = project(TOML, CONTAINERFILE);
    machine.write(".containerignore", "*\n");
    let lines = editor(&machine, "s/COPY text/COPY Containerfile/");
    let said = machine.doctor(&lines, "");
    assert_eq!(
        (said.severity("copy-source"), said.code),
        ("broken", 2),
        "{:#}",
        said.document
    );
    machine.write(".containerignore", "*\n!Containerfile\n");
    machine.heals("copy-source", 2, &lines);
}

#[test]
fn a_here_document_that_this_podman_does_not_know() {
    let machine = project(TOML, "FROM scratch\nCOPY <<END /x\nhello\nEND\n");
    let version = machine.user("podman --version").stdout;
    let version = String::from_utf8(version).unwrap();
    let lines = editor(&machine, ",\\$c COPY text /x");
    if version.contains("version 4.") {
        machine.heals("here-documents", 2, &lines);
    } else {
        assert_eq!(machine.doctor("", "").code, 0, "{version}");
    }
}

#[test]
fn a_platform_that_nothing_here_runs() {
    // A machine's own /proc has no binfmt_misc.
    let foreign = if cfg!(target_arch = "x86_64") {
        "linux/arm64"
    } else {
        "linux/amd64"
    };
    let machine = project(&TOML.replace("linux/amd64", foreign), CONTAINERFILE);
    let unasked = machine.doctor("", "");
    assert_eq!(
        (unasked.severity("emulation"), unasked.code),
        ("warning", 0)
    );
    let args = format!("--platform {foreign}");
    let said = machine.doctor("", &args);
    assert_eq!(
        (said.severity("emulation"), said.code),
        ("broken", 2),
        "{:#}",
        said.document
    );
    let after = machine.after_remedy(&said, "emulation", "", &args);
    let found = after.of("emulation").unwrap();
    if found["severity"] == "broken" {
        // It is mounted now, and has no entry: an emulator for all of the machine is nothing for a test to install.
        assert!(
            found["found"]
                .as_str()
                .unwrap()
                .contains("nothing here runs"),
            "{found}"
        );
    } else {
        assert_eq!(after.code, 0, "{found}");
    }
}
