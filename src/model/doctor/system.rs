//! Decides how a program is installed on this distribution.
//! Must never name a package of another one.

/// Whose packages this machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distribution {
    /// Debian, Ubuntu and what comes of them.
    Debian,
    /// Fedora, RHEL and what comes of them.
    Fedora,
    /// openSUSE, SLES.
    Suse,
    /// Arch Linux and what comes of it.
    Arch,
    /// Alpine.
    Alpine,
    /// Another one.
    Other,
}

impl Distribution {
    /// From the text of `/etc/os-release`.
    pub fn of(os_release: &str) -> Self {
        let mut names = Vec::new();
        for line in os_release.lines() {
            if let Some((key, value)) = line.split_once('=')
                && matches!(key, "ID" | "ID_LIKE")
            {
                names.extend(value.trim_matches(['"', '\'']).split_whitespace());
            }
        }
        let is = |wanted: &[&str]| names.iter().any(|name| wanted.contains(name));
        if is(&["debian", "ubuntu"]) {
            Distribution::Debian
        } else if is(&["fedora", "rhel", "centos"]) {
            Distribution::Fedora
        } else if is(&["suse", "opensuse", "sles"]) {
            Distribution::Suse
        } else if is(&["arch"]) {
            Distribution::Arch
        } else if is(&["alpine"]) {
            Distribution::Alpine
        } else {
            Distribution::Other
        }
    }

    /// The command that installs it, for root.
    pub fn install(self, program: &str) -> String {
        use Distribution as D;
        let package = match (program, self) {
            ("newuidmap" | "newgidmap", D::Debian) => "uidmap",
            ("newuidmap" | "newgidmap", D::Fedora) => "shadow-utils",
            ("newuidmap" | "newgidmap", D::Alpine) => "shadow-subids",
            ("newuidmap" | "newgidmap", _) => "shadow",
            ("pasta", _) => "passt",
            ("podman", D::Debian) => "podman uidmap slirp4netns crun",
            ("qemu", D::Arch) => "qemu-user-static qemu-user-static-binfmt",
            ("qemu", D::Suse) => "qemu-linux-user",
            ("qemu", _) => "qemu-user-static",
            _ => program,
        };
        match self {
            D::Debian => format!("apt-get install -y {package}"),
            D::Fedora => format!("dnf install -y {package}"),
            D::Suse => format!("zypper install -y {package}"),
            D::Arch => format!("pacman -S --noconfirm {package}"),
            D::Alpine => format!("apk add {package}"),
            // Whoever runs another one knows its name.
            D::Other => format!("pkcon install -y {package}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_those_of_the_distribution() {
        for (text, program, command) in [
            ("ID=debian\n", "newuidmap", "apt-get install -y uidmap"),
            (
                "NAME=x\nID=ubuntu\nID_LIKE=debian",
                "pasta",
                "apt-get install -y passt",
            ),
            (
                "ID=\"mint\"\nID_LIKE=\"ubuntu debian\"",
                "crun",
                "apt-get install -y crun",
            ),
            (
                "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"",
                "newgidmap",
                "dnf install -y shadow-utils",
            ),
            (
                "ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"",
                "qemu",
                "zypper install -y qemu-linux-user",
            ),
            ("ID=alpine", "podman", "apk add podman"),
            (
                "ID=arch",
                "slirp4netns",
                "pacman -S --noconfirm slirp4netns",
            ),
        ] {
            assert_eq!(Distribution::of(text).install(program), command);
        }
    }
}
