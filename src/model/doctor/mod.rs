//! Decides what is wrong with a machine, its engine, a project and its registries, from facts that somebody else observed.
//! Must never look at anything itself, nor name a remedy that does not mend what was found.

/// podman, its helpers, its sockets, its storage.
pub mod engine;
/// Subordinate ids, and what maps them.
pub mod ids;
/// Folders and the kernel.
pub mod machine;
/// rpub.toml and the Containerfiles.
pub mod project;
/// What Containerfiles say that podman would stumble over.
pub mod reading;
/// Registries and logins.
pub mod registry;
/// How programs are installed here.
pub mod system;

use schemars::JsonSchema;
use serde::Serialize;

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "area")]
pub enum Area {
    /// The user, the kernel, folders, disks.
    Machine,
    /// podman and what it needs.
    Engine,
    /// rpub.toml and the Containerfiles.
    Project,
    /// The registries of rpub.toml.
    Registry,
}

impl Area {
    /// All, in the order in which they are told.
    pub const ALL: [Area; 4] = [Area::Machine, Area::Engine, Area::Project, Area::Registry];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Area::Machine => "machine",
            Area::Engine => "engine",
            Area::Project => "project",
            Area::Registry => "registry",
        }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "severity")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Good to know.
    Note,
    /// rpub works, but slowly, or not for long.
    Warning,
    /// rpub cannot work.
    Broken,
}

impl Severity {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Ok => "ok",
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Broken => "broken",
        }
    }
}

/// The one command that mends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "remedy", deny_unknown_fields)]
pub struct Remedy {
    /// For a shell.
    pub command: String,
    /// Whether root must run it.
    pub as_root: bool,
    /// Whether it loses nothing, so that `--fix` may run it.
    pub harmless: bool,
}

impl Remedy {
    /// Root runs it.
    pub fn by_root(command: impl Into<String>) -> Self {
        Remedy {
            command: command.into(),
            as_root: true,
            harmless: false,
        }
    }

    /// The user runs it, in the shell that rpub is started from, after a look at it.
    pub fn by_hand(command: impl Into<String>) -> Self {
        Remedy {
            as_root: false,
            ..Remedy::by_root(command)
        }
    }

    /// `--fix` may run it.
    pub fn harmless(command: impl Into<String>) -> Self {
        Remedy {
            harmless: true,
            ..Remedy::by_hand(command)
        }
    }

    /// As one types it.
    pub fn typed(&self) -> String {
        if !self.as_root {
            self.command.clone()
        } else if self.command.contains(['&', '|', ';', '>', '$']) {
            format!("sudo sh -c {}", quoted(&self.command))
        } else {
            format!("sudo {}", self.command)
        }
    }
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "finding", deny_unknown_fields)]
pub struct Finding {
    /// The check's name: `subuid`, `registry-login`, …
    pub check: String,
    /// What it is about.
    pub area: Area,
    /// How bad it is.
    pub severity: Severity,
    /// What was found, one line.
    pub found: String,
    /// Why it matters, one line.
    pub why: String,
    /// What mends it, where a command does.
    pub remedy: Option<Remedy>,
}

impl Finding {
    fn new(check: &str, area: Area, severity: Severity, found: impl Into<String>) -> Self {
        Finding {
            check: check.to_owned(),
            area,
            severity,
            found: found.into(),
            why: String::new(),
            remedy: None,
        }
    }

    fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    fn mend(mut self, remedy: impl Into<Option<Remedy>>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// Whether rpub cannot work with it.
    pub fn is_broken(&self) -> bool {
        self.severity == Severity::Broken
    }

    fn trouble(&self) -> Trouble {
        match (self.area, self.check.as_str()) {
            (Area::Project, _) => Trouble::Project,
            (Area::Machine | Area::Engine, _) => Trouble::Engine,
            (Area::Registry, registry::LOGIN | registry::PUSH) => Trouble::Permission,
            (Area::Registry, _) => Trouble::Registry,
        }
    }
}

/// What kind of failure a release would end with; the earlier ones hide the later ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// A mistake in rpub.toml or a Containerfile.
    Project,
    /// The machine, or podman.
    Engine,
    /// A registry knows us not, or does not let us.
    Permission,
    /// A registry cannot be reached.
    Registry,
}

/// A remedy that `--fix` ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "fix", deny_unknown_fields)]
pub struct Fixed {
    /// The check that named it.
    pub check: String,
    /// What was run.
    pub command: String,
    /// Its complaint, where it failed.
    pub failure: Option<String>,
}

/// `--format json` of `rpub doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(title = "rpub doctor", deny_unknown_fields)]
pub struct Diagnosis {
    /// The version of this document's form.
    #[schemars(extend("const" = 1))]
    pub schema: u32,
    /// Whether nothing is broken.
    pub healthy: bool,
    /// What was found, by area.
    pub findings: Vec<Finding>,
    /// What `--fix` did before.
    pub fixed: Vec<Fixed>,
}

impl Diagnosis {
    /// Of these findings, in the order of their areas.
    pub fn new(mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| finding.area);
        Diagnosis {
            schema: 1,
            healthy: !findings.iter().any(Finding::is_broken),
            findings,
            fixed: Vec::new(),
        }
    }

    /// The finding that decides how it ends, and with what; none where nothing is broken.
    pub fn trouble(&self) -> Option<(Trouble, &Finding)> {
        let broken = self.findings.iter().filter(|finding| finding.is_broken());
        broken
            .map(|finding| (finding.trouble(), finding))
            .min_by_key(|(trouble, _)| *trouble)
    }

    /// What `--fix` may run, each once.
    pub fn harmless(&self) -> Vec<(&Finding, &Remedy)> {
        let mut found: Vec<(&Finding, &Remedy)> = Vec::new();
        for finding in &self.findings {
            if let Some(remedy) = finding.remedy.as_ref().filter(|r| r.harmless && !r.as_root)
                && finding.severity >= Severity::Warning
                && !found.iter().any(|(_, known)| *known == remedy)
            {
                found.push((finding, remedy));
            }
        }
        found
    }
}

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(check: &str, area: Area) -> Finding {
        Finding::new(check, area, Severity::Broken, "x")
    }

    #[test]
    fn what_is_first_in_the_way_decides() {
        let of = |findings: Vec<Finding>| Diagnosis::new(findings).trouble().map(|(t, _)| t);
        assert_eq!(of(vec![]), None);
        let warning = Finding::new("a", Area::Project, Severity::Warning, "x");
        assert_eq!(of(vec![warning]), None);
        let down = broken("registry-connection", Area::Registry);
        let login = broken(registry::LOGIN, Area::Registry);
        assert_eq!(of(vec![down.clone()]), Some(Trouble::Registry));
        assert_eq!(of(vec![down.clone(), login]), Some(Trouble::Permission));
        let subuid = broken("subuid", Area::Machine);
        assert_eq!(of(vec![down, subuid.clone()]), Some(Trouble::Engine));
        let config = broken("config", Area::Project);
        assert_eq!(of(vec![subuid, config]), Some(Trouble::Project));
    }

    #[test]
    fn only_what_is_wrong_and_harmless_is_fixed_and_once() {
        let migrate = || Remedy::harmless("podman system migrate");
        let diagnosis = Diagnosis::new(vec![
            broken("a", Area::Machine).mend(migrate()),
            broken("b", Area::Machine).mend(migrate()),
            broken("c", Area::Machine).mend(Remedy::by_root("usermod")),
            broken("d", Area::Machine).mend(Remedy::by_hand("rm")),
            Finding::new("e", Area::Machine, Severity::Note, "x").mend(Remedy::harmless("x")),
        ]);
        let commands = diagnosis.harmless().into_iter();
        let commands: Vec<&str> = commands.map(|(_, r)| r.command.as_str()).collect();
        assert_eq!(commands, ["podman system migrate"]);
    }

    #[test]
    fn commands_are_typed_as_a_shell_takes_them() {
        let root = |command: &str| Remedy::by_root(command).typed();
        assert_eq!(root("chmod u+s /x"), "sudo chmod u+s /x");
        assert_eq!(root("a && b 'c'"), r"sudo sh -c 'a && b '\''c'\'''");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("/run/user/1000"), "/run/user/1000");
    }
}
